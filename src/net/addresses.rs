//! How many connections each address has. An IPv6 client owns a /64 at least, so that is what is counted.

use slab::Slab;
use std::collections::HashMap;
use std::net::IpAddr;

/// Entries are named by index + 1; 0 stands for "not counted".
#[derive(Default)]
pub(crate) struct Addresses {
    by_network: HashMap<Network, u32>,
    counts: Slab<(Network, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4([u8; 4]),
    V6([u8; 8]),
}

fn network(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(address) => Network::V4(address.octets()),
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h, ..] = address.octets();
            Network::V6([a, b, c, d, e, f, g, h])
        }
    }
}

impl Addresses {
    /// Counts one more connection: the entry's name, and how many there are now.
    pub(crate) fn add(&mut self, address: IpAddr) -> (u32, u32) {
        let network = network(address);
        let counts = &mut self.counts;
        let name = *self.by_network.entry(network).or_insert_with(|| counts.insert((network, 0)) as u32 + 1);
        let count = &mut self.counts[name as usize - 1].1;
        *count += 1;
        (name, *count)
    }

    /// Counts one less; an address without connections costs nothing.
    pub(crate) fn remove(&mut self, name: u32) {
        let Some(key) = (name as usize).checked_sub(1) else { return };
        let (network, count) = &mut self.counts[key];
        *count -= 1;
        if *count == 0 {
            self.by_network.remove(network);
            self.counts.remove(key);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.counts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_and_a_mapped_address_count_as_one() {
        let mut addresses = Addresses::default();
        let mut add = |text: &str| addresses.add(text.parse().expect("an address"));
        assert_eq!(add("10.0.0.1"), (1, 1));
        assert_eq!(add("::ffff:10.0.0.1"), (1, 2));
        assert_eq!(add("2001:db8::1"), (2, 1));
        assert_eq!(add("2001:db8::ffff:1"), (2, 2));
        assert_eq!(add("2001:db8:0:1::1"), (3, 1));
        for name in [0, 1, 1, 2, 2, 3] {
            addresses.remove(name);
        }
        assert_eq!((addresses.len(), addresses.by_network.len()), (0, 0));
    }
}
