//! The name of a connection: packing, printing and parsing it, and a map from connections to a user's own data.
//! Knows nothing of sockets.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

const INDEX_BITS: u32 = 24;

/// Names one connection for all time.
///
/// An `Fd` looks like Swoole's `$fd`: the first connections print as 1, 2, 3. It is not the kernel's file
/// descriptor. When a slot of the connection table is used again, it gets another generation, so an `Fd` kept
/// from an earlier connection can never reach a later client: pushing to it is [`PushError::Gone`].
/// That holds for one run of one server. The next run counts from 1 again.
///
/// Layout, from the high bits: generation 32, reactor 8, index 24. The value survives `u64`, decimal text,
/// logs and databases. JavaScript's numbers hold only 53 bits, so send it to a page as a string.
///
/// ```
/// use swio::Fd;
///
/// let fd: Fd = "4294967297".parse()?;
/// assert_eq!(fd.to_u64(), (1 << 32) + 1);
/// assert_eq!(Fd::from_u64(fd.to_u64()), Some(fd));
/// # Ok::<(), swio::ParseFdError>(())
/// ```
///
/// [`PushError::Gone`]: crate::PushError::Gone
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fd(NonZeroU64);

impl Fd {
    /// The largest number of connections in one reactor's table.
    pub(crate) const INDEX_MAX: u32 = (1 << INDEX_BITS) - 1;

    /// `index` counts from 1: index 0 is reserved for tokens of the poller that are not connections.
    pub(crate) fn new(generation: u32, reactor: u8, index: u32) -> Fd {
        debug_assert!(0 < index && index <= Fd::INDEX_MAX);
        let value = u64::from(generation) << 32 | u64::from(reactor) << INDEX_BITS | u64::from(index);
        Fd(NonZeroU64::new(value).expect("the index is not 0"))
    }

    /// The same value as a number; [`Fd::from_u64`] takes it back.
    pub const fn to_u64(self) -> u64 {
        self.0.get()
    }

    /// The `Fd` of a number that [`Fd::to_u64`] gave, or `None` where the number can't be one.
    pub const fn from_u64(value: u64) -> Option<Fd> {
        if value & Fd::INDEX_MAX as u64 == 0 {
            return None;
        }
        match NonZeroU64::new(value) {
            Some(value) => Some(Fd(value)),
            None => None,
        }
    }

    /// The number of the reactor that serves the connection: its part of the value, 0 to 255. A server with one
    /// reactor has number 0.
    pub const fn reactor(self) -> u8 {
        (self.0.get() >> INDEX_BITS) as u8
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0.get() >> 32) as u32
    }

    pub(crate) fn index(self) -> u32 {
        self.0.get() as u32 & Fd::INDEX_MAX
    }
}

impl fmt::Display for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fd({})", self.0)
    }
}

impl From<Fd> for u64 {
    fn from(fd: Fd) -> u64 {
        fd.to_u64()
    }
}

/// A text or number that is not an [`Fd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseFdError;

impl fmt::Display for ParseFdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an fd: expected the decimal number that an fd prints as")
    }
}

impl std::error::Error for ParseFdError {}

impl TryFrom<u64> for Fd {
    type Error = ParseFdError;

    fn try_from(value: u64) -> Result<Fd, ParseFdError> {
        Fd::from_u64(value).ok_or(ParseFdError)
    }
}

impl FromStr for Fd {
    type Err = ParseFdError;

    fn from_str(text: &str) -> Result<Fd, ParseFdError> {
        // As it is shown, in no other form.
        let number = text.parse().ok().filter(|_| !text.starts_with(['+', '0']));
        number.and_then(Fd::from_u64).ok_or(ParseFdError)
    }
}

/// Decimal text where people read it, a number in binary formats.
#[cfg(feature = "serde")]
impl serde::Serialize for Fd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => serializer.serialize_u64(self.to_u64()),
        }
    }
}

/// No number is read from text: JavaScript may have rounded it, and it would be another connection's.
#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Fd {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Fd, D::Error> {
        use serde::de::Error as _;
        let fd = match deserializer.is_human_readable() {
            true => String::deserialize(deserializer)?.parse(),
            false => u64::deserialize(deserializer)?.try_into(),
        };
        fd.map_err(D::Error::custom)
    }
}

/// A user's own data for each connection, found by [`Fd`] without hashing.
///
/// Data of an earlier connection is never seen under a later one's `Fd`, and connections of several
/// [reactors](Fd::reactor) do not get in each other's way. Remove what you insert in `on_close`.
///
/// ```
/// use swio::{Fd, FdMap};
///
/// let mut names = FdMap::new();
/// let fd = Fd::from_u64(7).unwrap();
/// names.insert(fd, "ada");
/// assert_eq!(names.get(fd), Some(&"ada"));
/// assert_eq!(names.remove(fd), Some("ada"));
/// assert!(names.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct FdMap<T> {
    /// Of the reactor that was inserted first, which is the only one in most maps.
    first: Slots<T>,
    others: Vec<Slots<T>>,
    len: usize,
}

/// The data of one reactor's connections.
#[derive(Clone, Debug)]
struct Slots<T> {
    reactor: u8,
    /// By the fd's index: a reactor has at most one live connection with it.
    pairs: Vec<Option<(Fd, T)>>,
}

impl<T> Slots<T> {
    const fn new(reactor: u8) -> Slots<T> {
        Slots { reactor, pairs: Vec::new() }
    }
}

impl<T> Default for FdMap<T> {
    fn default() -> FdMap<T> {
        FdMap::new()
    }
}

impl<T> FdMap<T> {
    /// An empty map; owns no memory yet.
    pub const fn new() -> FdMap<T> {
        FdMap { first: Slots::new(0), others: Vec::new(), len: 0 }
    }

    /// Puts `value` in for `fd`. Gives back what was there for the same `fd`. Of two connections in the same slot of a
    /// reactor the later one has the place: the earlier one's data is dropped, whichever comes first.
    ///
    /// For each reactor the map is as long as the highest index in it: insert fds that the server gave you, not what a
    /// client sent.
    pub fn insert(&mut self, fd: Fd, value: T) -> Option<T> {
        let pairs = &mut self.slots_or_new(fd.reactor()).pairs;
        let index = fd.index() as usize;
        if index >= pairs.len() {
            pairs.resize_with(index + 1, || None);
        }
        if pairs[index].as_ref().is_some_and(|(owner, _)| *owner > fd) {
            return None;
        }
        match pairs[index].replace((fd, value)) {
            Some((earlier, value)) => (earlier == fd).then_some(value),
            None => {
                self.len += 1;
                None
            }
        }
    }

    /// The data of `fd`.
    pub fn get(&self, fd: Fd) -> Option<&T> {
        match self.slots(fd.reactor())?.pairs.get(fd.index() as usize) {
            Some(Some((owner, value))) if *owner == fd => Some(value),
            _ => None,
        }
    }

    /// The data of `fd`, to change it.
    pub fn get_mut(&mut self, fd: Fd) -> Option<&mut T> {
        match self.slots_mut(fd.reactor())?.pairs.get_mut(fd.index() as usize) {
            Some(Some((owner, value))) if *owner == fd => Some(value),
            _ => None,
        }
    }

    /// Takes the data of `fd` out.
    pub fn remove(&mut self, fd: Fd) -> Option<T> {
        let pair = self.slots_mut(fd.reactor())?.pairs.get_mut(fd.index() as usize)?;
        let (_, value) = pair.take_if(|(owner, _)| *owner == fd)?;
        self.len -= 1;
        Some(value)
    }

    /// Whether `fd` has data here.
    pub fn contains(&self, fd: Fd) -> bool {
        self.get(fd).is_some()
    }

    /// All pairs, one reactor after the other, each in the order of its connection table.
    pub fn iter(&self) -> impl Iterator<Item = (Fd, &T)> {
        let all = std::iter::once(&self.first).chain(&self.others);
        all.flat_map(|slots| slots.pairs.iter().flatten()).map(|(fd, value)| (*fd, value))
    }

    /// How many connections have data here.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no connection has data here.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn slots(&self, reactor: u8) -> Option<&Slots<T>> {
        if self.first.reactor == reactor {
            return Some(&self.first);
        }
        self.others.iter().find(|slots| slots.reactor == reactor)
    }

    fn slots_mut(&mut self, reactor: u8) -> Option<&mut Slots<T>> {
        if self.first.reactor == reactor {
            return Some(&mut self.first);
        }
        self.others.iter_mut().find(|slots| slots.reactor == reactor)
    }

    fn slots_or_new(&mut self, reactor: u8) -> &mut Slots<T> {
        if self.first.pairs.is_empty() && self.others.is_empty() {
            self.first.reactor = reactor;
        }
        if self.first.reactor == reactor {
            return &mut self.first;
        }
        let place = self.others.iter().position(|slots| slots.reactor == reactor).unwrap_or_else(|| {
            self.others.push(Slots::new(reactor));
            self.others.len() - 1
        });
        &mut self.others[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_fds_print_as_small_numbers() {
        assert_eq!(Fd::new(0, 0, 1).to_string(), "1");
        assert_eq!(Fd::new(0, 0, 2).to_string(), "2");
    }

    #[test]
    fn packing_keeps_every_part() {
        let fd = Fd::new(u32::MAX, 255, Fd::INDEX_MAX);
        assert_eq!((fd.generation(), fd.reactor(), fd.index()), (u32::MAX, 255, Fd::INDEX_MAX));
        assert_eq!(fd.to_u64(), u64::MAX);
        assert_eq!(fd.to_string().parse(), Ok(fd));
        let fd = Fd::new(7, 3, 9);
        assert_eq!((fd.generation(), fd.reactor(), fd.index()), (7, 3, 9));
    }

    #[test]
    fn numbers_with_index_zero_are_no_fd() {
        for value in [0, 1 << 24, 1 << 32, 7 << 24] {
            assert_eq!(Fd::from_u64(value), None);
            assert_eq!(value.to_string().parse::<Fd>(), Err(ParseFdError));
        }
        for text in ["", "-1", "+1", "01", "x", "1.0", "18446744073709551616"] {
            assert_eq!(text.parse::<Fd>(), Err(ParseFdError), "{text}");
        }
    }

    #[test]
    fn a_map_never_shows_an_earlier_connections_data() {
        let (early, late) = (Fd::new(0, 0, 3), Fd::new(1, 0, 3));
        let mut map = FdMap::new();
        assert_eq!(map.insert(early, "early"), None);
        assert_eq!(map.get(late), None);
        assert_eq!(map.remove(late), None);
        assert_eq!(map.insert(late, "late"), None);
        assert_eq!((map.get(early), map.get(late), map.len()), (None, Some(&"late"), 1));
        assert_eq!(map.insert(early, "too late"), None);
        assert_eq!((map.get(early), map.len()), (None, 1));
        assert_eq!(map.insert(late, "later"), Some("late"));
        assert_eq!(map.iter().collect::<Vec<_>>(), [(late, &"later")]);
        assert_eq!(map.remove(late), Some("later"));
        assert!(map.is_empty());
    }

    #[test]
    fn data_of_several_reactors_lives_side_by_side() {
        // The first one seen need not be reactor 0.
        let fds =
            [Fd::new(0, 2, 3), Fd::new(5, 0, 3), Fd::new(0, 0, 1), Fd::new(0, 255, 3), Fd::new(9, 2, 1)];
        let mut map = FdMap::new();
        for (number, fd) in fds.into_iter().enumerate() {
            assert_eq!(map.get(fd), None, "{fd}");
            assert_eq!(map.remove(fd), None, "{fd}");
            assert_eq!(map.insert(fd, number), None, "{fd}");
        }
        assert_eq!(map.len(), 5);
        for (number, fd) in fds.into_iter().enumerate() {
            assert_eq!(map.get(fd), Some(&number), "{fd}");
            *map.get_mut(fd).expect("inserted") += 10;
            assert_eq!(map.insert(fd, number + 20), Some(number + 10), "{fd}");
        }
        let order: Vec<_> = map.iter().map(|(fd, number)| (fd.reactor(), fd.index(), *number)).collect();
        assert_eq!(order, [(2, 1, 24), (2, 3, 20), (0, 1, 22), (0, 3, 21), (255, 3, 23)]);

        // An earlier connection is told from a later one in each of them.
        assert_eq!(map.insert(Fd::new(4, 0, 3), 99), None);
        assert_eq!((map.get(Fd::new(4, 0, 3)), map.get(fds[1])), (None, Some(&21)));
        assert_eq!(map.insert(Fd::new(6, 0, 3), 26), None);
        assert_eq!((map.get(fds[1]), map.get(Fd::new(6, 0, 3)), map.len()), (None, Some(&26), 5));

        assert_eq!(fds.map(|fd| map.remove(fd)), [Some(20), None, Some(22), Some(23), Some(24)]);
        assert_eq!(map.remove(Fd::new(6, 0, 3)), Some(26));
        assert!(map.is_empty() && map.iter().next().is_none());
    }
}
