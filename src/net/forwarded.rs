//! The client addresses that trusted proxies forward: one for each connection, packed. Nothing is allocated before the
//! first is told.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// An IPv6 address, or an IPv4 one mapped into it, and a port. All zero stands for none: no client has that address.
type Packed = [u8; FORWARDED_BYTES];

/// What one address takes.
pub(crate) const FORWARDED_BYTES: usize = 18;
const NONE: Packed = [0; FORWARDED_BYTES];

/// By the connection's index.
#[derive(Debug, Default)]
pub(super) struct Forwarded(Vec<Packed>);

impl Forwarded {
    /// `reserved`: how many there will be room for without a copy.
    pub(super) fn set(&mut self, index: u32, address: Option<SocketAddr>, reserved: usize) {
        let index = index as usize;
        match address {
            Some(address) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(reserved);
                }
                if index >= self.0.len() {
                    self.0.resize(index + 1, NONE);
                }
                self.0[index] = pack(address);
            }
            None => {
                if let Some(packed) = self.0.get_mut(index) {
                    *packed = NONE;
                }
            }
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<SocketAddr> {
        self.0.get(index as usize).filter(|packed| **packed != NONE).map(unpack)
    }
}

fn pack(address: SocketAddr) -> Packed {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut packed = NONE;
    packed[..16].copy_from_slice(&ip.octets());
    packed[16..].copy_from_slice(&address.port().to_be_bytes());
    packed
}

/// A mapped address comes back as what it means.
fn unpack(packed: &Packed) -> SocketAddr {
    let [ip @ .., high, low] = packed;
    SocketAddr::new(Ipv6Addr::from(*ip).to_canonical(), u16::from_be_bytes([*high, *low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_kinds_come_back_as_they_were() {
        assert_eq!(size_of::<Packed>(), FORWARDED_BYTES);
        let mut forwarded = Forwarded::default();
        assert_eq!(forwarded.get(1), None);
        forwarded.set(1, None, 10);
        assert_eq!(forwarded.0.capacity(), 0, "nobody told of any");
        let all = ["203.0.113.7:0", "0.0.0.0:65535", "[2001:db8::1]:443", "[::1]:0", "[::]:1"]
            .map(|address| address.parse::<SocketAddr>().expect("an address"));
        for (index, address) in (1..).zip(all) {
            forwarded.set(index, Some(address), 10);
        }
        for (index, address) in (1..).zip(all) {
            assert_eq!(forwarded.get(index), Some(address));
        }
        assert_eq!((forwarded.get(0), forwarded.get(6), forwarded.0.capacity()), (None, None, 10));
        // What maps an IPv4 address means it.
        forwarded.set(2, "[::ffff:203.0.113.7]:9".parse().ok(), 10);
        assert_eq!(forwarded.get(2), "203.0.113.7:9".parse().ok());
        forwarded.set(2, None, 10);
        assert_eq!((forwarded.get(2), forwarded.get(3)), (None, Some(all[2])));
    }
}
