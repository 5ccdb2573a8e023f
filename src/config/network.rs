//! Networks, written as address and prefix length: `10.0.0.0/8`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// All addresses that begin with the same bits: `10.0.0.0/8`, `2001:db8::/32`, or a single address, `192.0.2.7`.
///
/// ```
/// use swio::Network;
///
/// let network: Network = "10.0.0.0/8".parse().expect("a network");
/// assert!(network.contains([10, 1, 2, 3].into()) && !network.contains([11, 0, 0, 1].into()));
/// assert!("10.0.0.1/8".parse::<Network>().is_err(), "bits behind the prefix");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is not a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseNetworkError;

impl Network {
    /// Whether the address is in this network. An IPv4-mapped IPv6 address counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(address)) => {
                let differing = (own.to_bits() ^ address.to_bits()).leading_zeros();
                differing >= self.prefix.into()
            }
            (IpAddr::V6(own), IpAddr::V6(address)) => {
                let differing = (own.to_bits() ^ address.to_bits()).leading_zeros();
                differing >= self.prefix.into()
            }
            _ => false,
        }
    }

    /// The loopback addresses: `127.0.0.0/8` and `::1`.
    pub fn loopback() -> [Network; 2] {
        [
            Network { address: [127, 0, 0, 0].into(), prefix: 8 },
            Network { address: IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), prefix: 128 },
        ]
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Network, ParseNetworkError> {
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| ParseNetworkError)?;
        let (bits, zeros) = match address {
            IpAddr::V4(address) => (32, address.to_bits().trailing_zeros()),
            IpAddr::V6(address) => (128, address.to_bits().trailing_zeros()),
        };
        let is_number = |prefix: &&str| prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            None => bits,
            Some(prefix) => Some(prefix)
                .filter(is_number)
                .and_then(|prefix| prefix.parse().ok())
                .ok_or(ParseNetworkError)?,
        };
        if prefix > bits || zeros < u32::from(bits - prefix) || address != address.to_canonical() {
            return Err(ParseNetworkError);
        }
        Ok(Network { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Display for ParseNetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no network: write an address, or the first one and the length of its prefix, such as 10.0.0.0/8",
        )
    }
}

impl std::error::Error for ParseNetworkError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.7/32", "::/0", "2001:db8::/32", "::1/128"] {
            assert_eq!(text.parse::<Network>().expect(text).to_string(), text);
        }
        assert_eq!("::1".parse::<Network>().expect("one alone").to_string(), "::1/128");
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.1/8",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0/8",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "localhost",
            "::ffff:10.0.0.0/104",
            "10.0.0.0/999999999999",
        ] {
            assert_eq!(text.parse::<Network>(), Err(ParseNetworkError), "{text:?}");
        }
    }

    #[test]
    fn a_network_contains_what_begins_as_it_does() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().expect(network).contains(address.parse().expect(address))
        };
        assert!(contains("127.0.0.0/8", "127.255.0.1") && contains("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(!contains("127.0.0.0/8", "128.0.0.1") && !contains("127.0.0.0/8", "::1"));
        assert!(contains("0.0.0.0/0", "255.255.255.255") && !contains("0.0.0.0/0", "::1"));
        assert!(
            contains("2001:db8::/33", "2001:db8:7fff::1") && !contains("2001:db8::/33", "2001:db8:8000::1")
        );
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.6"));
        assert!(
            Network::loopback().iter().any(|network| network.contains("::1".parse().expect("an address")))
        );
    }
}
