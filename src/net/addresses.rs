//! How many connections each address has, and how fast it opens more. An IPv6 client owns at least a /64, so these are
//! counted. An address without connections is remembered only while its recent handshakes count.

use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// How many addresses without connections are remembered: a client with many can't use up all memory.
pub(crate) const REMEMBERED_MAX: usize = 65_536;
/// The most memory of one address: its places in the map, the slab and the queue, each with room for twice as many.
pub(crate) const ADDRESS_BYTES: usize =
    3 * size_of::<(NetworkKey, u32)>() + 2 * (size_of::<Tally>() + 8) + 2 * size_of::<(Duration, u32)>();
/// After a quiet time an address may make as many handshakes at once as it may in this time: when a server comes back,
/// all clients that share an address come back together.
const BURST: Duration = Duration::from_secs(10);

/// An entry's name is its index + 1; 0 stands for "not counted".
#[derive(Default)]
pub(crate) struct Addresses {
    by_network: HashMap<NetworkKey, u32>,
    entries: Slab<Tally>,
    /// Entries without connections, roughly in the order in which they may be forgotten.
    vacant: VecDeque<(Duration, u32)>,
}

struct Tally {
    network: NetworkKey,
    connections: u32,
    /// When all handshakes so far would be over at the allowed pace, counted from the server's start.
    paced: Duration,
    is_vacant: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum NetworkKey {
    V4([u8; 4]),
    V6([u8; 8]),
}

fn network(address: IpAddr) -> NetworkKey {
    match address.to_canonical() {
        IpAddr::V4(address) => NetworkKey::V4(address.octets()),
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h, ..] = address.octets();
            NetworkKey::V6([a, b, c, d, e, f, g, h])
        }
    }
}

impl Addresses {
    /// Counts one more connection. Returns the entry's name and its number of connections.
    pub(crate) fn add(&mut self, address: IpAddr) -> (u32, u32) {
        let network = network(address);
        let entries = &mut self.entries;
        let name = *self.by_network.entry(network).or_insert_with(|| {
            let entry = Tally { network, connections: 0, paced: Duration::ZERO, is_vacant: false };
            entries.insert(entry) as u32 + 1
        });
        let entry = &mut self.entries[name as usize - 1];
        entry.connections += 1;
        (name, entry.connections)
    }

    /// Whether an entry is that of this address.
    pub(crate) fn is_of(&self, name: u32, address: IpAddr) -> bool {
        self.by_network.get(&network(address)) == Some(&name)
    }

    /// Counts one more connection of an address that has some. Returns its number of connections.
    pub(crate) fn share(&mut self, name: u32) -> u32 {
        let Some(key) = (name as usize).checked_sub(1) else { return 0 };
        self.entries[key].connections += 1;
        self.entries[key].connections
    }

    /// Counts one connection less.
    pub(crate) fn remove(&mut self, name: u32, now: Duration) {
        let Some(key) = (name as usize).checked_sub(1) else { return };
        let entry = &mut self.entries[key];
        entry.connections -= 1;
        // One that is in the queue already is dealt with when its time comes.
        if entry.connections > 0 || entry.is_vacant {
            return;
        }
        if entry.paced <= now {
            return self.drop_entry(key);
        }
        entry.is_vacant = true;
        self.vacant.push_back((entry.paced, name));
        if self.vacant.len() > REMEMBERED_MAX {
            self.expire_first(Duration::MAX);
        }
    }

    /// Counts a handshake, if that is within `per_second` and [`BURST`]. True if it is one too many, which does not
    /// count.
    pub(crate) fn is_too_fast(&mut self, name: u32, per_second: u32, now: Duration) -> bool {
        let Some(key) = (name as usize).checked_sub(1) else { return false };
        let entry = &mut self.entries[key];
        let paced = entry.paced.max(now) + Duration::from_secs(1) / per_second;
        let is_too_fast = paced - now > BURST;
        if !is_too_fast {
            entry.paced = paced;
        }
        is_too_fast
    }

    /// When [`Addresses::expire`] has something to do next.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.vacant.front().map(|(at, _)| *at)
    }

    /// Forgets addresses whose time has come.
    pub(crate) fn expire(&mut self, now: Duration) {
        while self.next().is_some_and(|at| at <= now) {
            self.expire_first(now);
        }
    }

    fn expire_first(&mut self, now: Duration) {
        let Some((_, name)) = self.vacant.pop_front() else { return };
        let key = name as usize - 1;
        let entry = &mut self.entries[key];
        entry.is_vacant = false;
        if entry.connections > 0 {
            return;
        }
        if entry.paced > now {
            // It came and went meanwhile.
            entry.is_vacant = true;
            return self.vacant.push_back((entry.paced, name));
        }
        self.drop_entry(key);
    }

    fn drop_entry(&mut self, key: usize) {
        let entry = self.entries.remove(key);
        self.by_network.remove(&entry.network);
        if self.entries.is_empty() {
            *self = Addresses::default();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

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
            addresses.remove(name, SECOND);
        }
        assert_eq!((addresses.len(), addresses.by_network.len()), (0, 0));
    }

    #[test]
    fn ten_seconds_worth_of_handshakes_may_come_at_once_and_then_as_many_as_the_pace_allows() {
        let mut addresses = Addresses::default();
        let (name, _) = addresses.add(address(1));
        let mut now = 3 * SECOND;
        let mut taken = |now| (0..1_000).take_while(|_| !addresses.is_too_fast(name, 5, now)).count();
        assert_eq!(taken(now), 50);
        now += SECOND;
        assert_eq!((taken(now), taken(now)), (5, 0));
        now += 60 * SECOND;
        assert_eq!(taken(now), 50);
    }

    #[test]
    fn to_leave_and_come_again_is_no_way_round_and_is_forgotten_in_time() {
        let mut addresses = Addresses::default();
        let mut taken = 0;
        for _ in 0..200 {
            let (name, count) = addresses.add(address(1));
            assert_eq!(count, 1);
            taken += u32::from(!addresses.is_too_fast(name, 5, SECOND));
            addresses.remove(name, SECOND);
        }
        assert_eq!((taken, addresses.len(), addresses.vacant.len()), (50, 1, 1));
        addresses.expire(10 * SECOND);
        assert_eq!(addresses.len(), 1);
        addresses.expire(12 * SECOND);
        assert_eq!((addresses.len(), addresses.next(), addresses.by_network.capacity()), (0, None, 0));
    }

    #[test]
    fn one_that_is_back_when_its_time_comes_is_kept() {
        let mut addresses = Addresses::default();
        let (name, _) = addresses.add(address(1));
        assert!(!addresses.is_too_fast(name, 1, SECOND));
        addresses.remove(name, SECOND);
        assert_eq!(addresses.add(address(1)), (name, 1));
        addresses.expire(60 * SECOND);
        assert_eq!(addresses.add(address(1)), (name, 2));
        // Again by its own hand in between: the later time counts.
        assert!(!addresses.is_too_fast(name, 1, 60 * SECOND));
        addresses.remove(name, 60 * SECOND);
        addresses.remove(name, 60 * SECOND);
        addresses.expire(60 * SECOND);
        assert_eq!(addresses.len(), 1);
        addresses.expire(61 * SECOND);
        assert_eq!(addresses.len(), 0);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut addresses = Addresses::default();
        for number in 0..2 * REMEMBERED_MAX as u32 {
            let (name, _) = addresses.add(address(number));
            assert!(!addresses.is_too_fast(name, 1, SECOND));
            addresses.remove(name, SECOND);
        }
        assert_eq!((addresses.len(), addresses.vacant.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        addresses.expire(3 * SECOND);
        assert_eq!(addresses.len(), 0);
    }
}
