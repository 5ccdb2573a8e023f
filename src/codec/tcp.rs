//! Packages on raw TCP: finds where one ends in a stream of bytes, and frames what is sent. Bytes in, ranges of them
//! out. Allocates memory only for incomplete packages, and only as bytes arrive, never by a declared length.

use super::ws::close;
use crate::codec::arrival::Arrival;
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// How a stream of bytes is cut into packages; see [`Builder::listen_tcp`](crate::Builder::listen_tcp).
/// [`push`](crate::Server::push) frames what it sends the same way, so that two servers of this crate understand each
/// other.
///
/// ```
/// use swio::{Framing, LengthType};
///
/// // Lines, as netcat sends them: Swoole's open_eof_split with package_eof.
/// let lines = Framing::EndMark(b"\n".into());
/// // A length of four bytes, then that many bytes: Swoole's open_length_check with package_length_type N.
/// let lengths = Framing::Length { length_type: LengthType::U32Be, length_offset: 0, body_offset: 4 };
/// # drop((lines, lengths));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Bytes as they arrive. One call of `on_receive` may get more or less than what the peer sent at once.
    #[default]
    None,
    /// A package ends with this mark of 1 to 8 bytes. `on_receive` gets what is before the mark, and
    /// [`push`](crate::Server::push) appends it. A message that contains the mark can't be sent
    /// ([`PushError::Unsendable`](crate::PushError::Unsendable)): it would arrive as two.
    EndMark(Cow<'static, [u8]>),
    /// A package has its length in its head.
    ///
    /// If the head is nothing but the length (`length_offset` is 0 and `body_offset` is not larger than the length's
    /// own size), `on_receive` gets the body, and [`push`](crate::Server::push) prepends the length. If the head has
    /// more, `on_receive` gets the whole package, and `push` takes a whole package and fills in the length. A package
    /// that is shorter than its head, or too long for its length, is
    /// [`PushError::Unsendable`](crate::PushError::Unsendable).
    Length {
        /// Size and byte order of the length.
        length_type: LengthType,
        /// Number of bytes before the length.
        length_offset: u16,
        /// Where the bytes begin that the length counts: 0 if it counts the whole package, including itself.
        body_offset: u16,
    },
}

/// Size and byte order of a length: Swoole's `package_length_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthType {
    /// One byte: `C`.
    U8,
    /// Two bytes, big-endian: `n`.
    U16Be,
    /// Two bytes, little-endian: `v`.
    U16Le,
    /// Four bytes, big-endian: `N`.
    U32Be,
    /// Four bytes, little-endian: `V`.
    U32Le,
}

impl LengthType {
    const fn size(self) -> usize {
        match self {
            LengthType::U8 => 1,
            LengthType::U16Be | LengthType::U16Le => 2,
            LengthType::U32Be | LengthType::U32Le => 4,
        }
    }

    const fn is_little_endian(self) -> bool {
        matches!(self, LengthType::U16Le | LengthType::U32Le)
    }

    /// `bytes` must have this type's size.
    fn read(self, bytes: &[u8]) -> u32 {
        let join = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        if self.is_little_endian() { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) }
    }

    /// Fills `bytes`, which must have this type's size; `None` if the value is too large for it.
    fn write(self, value: usize, bytes: &mut [u8]) -> Option<()> {
        let value = u32::try_from(value).ok().filter(|value| u64::from(*value) >> (8 * self.size()) == 0)?;
        if self.is_little_endian() {
            bytes.copy_from_slice(&value.to_le_bytes()[..self.size()]);
        } else {
            bytes.copy_from_slice(&value.to_be_bytes()[4 - self.size()..]);
        }
        Some(())
    }
}

const MARK_BYTES_MAX: usize = 8;

impl Framing {
    /// Whether this framing can work.
    pub(crate) fn check(&self) -> Result<(), FramingError> {
        match self {
            Framing::EndMark(mark) if !(1..=MARK_BYTES_MAX).contains(&mark.len()) => {
                Err(FramingError::EndMarkLength)
            }
            _ => Ok(()),
        }
    }
}

/// Why a framing can't work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FramingError {
    EndMarkLength,
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FramingError::EndMarkLength => "an end mark has 1 to 8 bytes",
        })
    }
}

/// Why a peer's bytes are not a package. Knows the close code. Only the handler gets it: raw TCP has no close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackageError {
    TooBig,
    /// The length is shorter than the head that it must count.
    LengthTooShort,
    /// The server's memory for incomplete packages is used up; not this peer's fault.
    NoRoom,
}

impl PackageError {
    pub(crate) fn close_code(self) -> u16 {
        match self {
            PackageError::TooBig => close::TOO_BIG,
            PackageError::LengthTooShort => close::PROTOCOL_ERROR,
            PackageError::NoRoom => close::TRY_AGAIN_LATER,
        }
    }

    pub(crate) fn what(self) -> &'static str {
        match self {
            PackageError::TooBig => "package over message_bytes_max",
            PackageError::LengthTooShort => "length shorter than its own head",
            PackageError::NoRoom => "no memory for partial packages",
        }
    }
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

/// The limits on what one connection may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackageLimits {
    pub(crate) package_bytes_max: usize,
    /// How many more bytes of memory the package may take.
    pub(crate) room: usize,
}

/// A framing, prepared for use.
#[derive(Debug)]
pub(crate) enum Framer {
    None,
    EndMark(Box<Finder<'static>>),
    Length(PackageHead),
}

/// Where the length is, and what it counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackageHead {
    length_type: LengthType,
    length: (usize, usize),
    body_offset: usize,
    /// The head is nothing but the length, which handlers do not see.
    is_bare: bool,
}

/// A framed message: its body, with either a length before it or a mark after it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Package<'m, 'f> {
    pub(crate) head: Length,
    pub(crate) body: Cow<'m, [u8]>,
    pub(crate) mark: &'f [u8],
}

/// The encoded length; empty if the framing prepends none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Length {
    bytes: [u8; 4],
    size: usize,
}

impl Length {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

impl Package<'_, '_> {
    pub(crate) fn append_to(&self, run: &mut Vec<u8>) {
        let parts = [self.head.as_slice(), &self.body, self.mark];
        run.reserve(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| run.extend_from_slice(part));
    }
}

impl Framer {
    pub(crate) fn new(framing: &Framing) -> Framer {
        match framing {
            Framing::None => Framer::None,
            Framing::EndMark(mark) => Framer::EndMark(Box::new(Finder::new(mark).into_owned())),
            Framing::Length { length_type, length_offset, body_offset } => {
                let (offset, size) = (usize::from(*length_offset), length_type.size());
                Framer::Length(PackageHead {
                    length_type: *length_type,
                    length: (offset, offset + size),
                    body_offset: usize::from(*body_offset),
                    is_bare: offset == 0 && usize::from(*body_offset) <= size,
                })
            }
        }
    }

    /// The common case: the input begins with a complete package. Returns its length and where in it the part for
    /// `on_receive` is. `None` means that it is incomplete: use [`PartialPackage::step`].
    #[inline]
    pub(crate) fn whole(
        &self,
        input: &[u8],
        limits: &PackageLimits,
    ) -> Result<Option<(usize, Range<usize>)>, PackageError> {
        let (end, data) = match self {
            Framer::None => (input.len(), 0..input.len()),
            Framer::EndMark(finder) => match finder.find(input) {
                Some(at) => (at + finder.needle().len(), 0..at),
                None => return Ok(None),
            },
            Framer::Length(head) => match head.package_len(input, limits)? {
                Some(len) if len <= input.len() => (len, head.data_start()..len),
                _ => return Ok(None),
            },
        };
        match self {
            Framer::EndMark(_) if data.len() > limits.package_bytes_max => Err(PackageError::TooBig),
            _ => Ok(Some((end, data))),
        }
    }

    /// Frames a message; `None` if this framing can't carry it.
    pub(crate) fn frame<'m>(&self, mut body: Cow<'m, [u8]>) -> Option<Package<'m, '_>> {
        let (mut head, mut mark) = (Length::default(), &[][..]);
        match self {
            Framer::None => {}
            Framer::EndMark(finder) => {
                mark = finder.needle();
                // The end of the message and the beginning of the mark together may also form a mark.
                let seam = Seam::new(&body, &mark[..mark.len() - 1], mark);
                if finder.find(&body).is_some() || finder.find(seam.bytes()).is_some() {
                    return None;
                }
            }
            Framer::Length(PackageHead { length_type, length, body_offset, is_bare: true }) => {
                head.size = length.1;
                length_type.write(length.1 + body.len() - body_offset, &mut head.bytes[..length.1])?;
            }
            Framer::Length(PackageHead { length_type, length, body_offset, is_bare: false }) => {
                let value = body.len().checked_sub(*body_offset).filter(|_| body.len() >= length.1)?;
                length_type.write(value, &mut body.to_mut()[length.0..length.1])?;
            }
        }
        Some(Package { head, body, mark })
    }
}

impl PackageHead {
    /// The length of the whole package; `None` if `start` is too short to tell.
    fn package_len(&self, start: &[u8], limits: &PackageLimits) -> Result<Option<usize>, PackageError> {
        let Some(length) = start.get(self.length.0..self.length.1) else { return Ok(None) };
        let len = self.body_offset + self.length_type.read(length) as usize;
        let data_len = len.checked_sub(self.data_start()).filter(|_| len >= self.length.1);
        match data_len.ok_or(PackageError::LengthTooShort)? {
            data_len if data_len > limits.package_bytes_max => Err(PackageError::TooBig),
            _ => Ok(Some(len)),
        }
    }

    fn data_start(&self) -> usize {
        if self.is_bare { self.length.1 } else { 0 }
    }
}

/// The bytes around a cut between two pieces: enough on each side to find a mark that lies across the cut.
struct Seam {
    bytes: [u8; 2 * MARK_BYTES_MAX],
    before: usize,
    len: usize,
}

impl Seam {
    fn new(before: &[u8], behind: &[u8], mark: &[u8]) -> Seam {
        let before = &before[before.len().saturating_sub(mark.len() - 1)..];
        let behind = &behind[..behind.len().min(mark.len() - 1)];
        let mut bytes = [0; 2 * MARK_BYTES_MAX];
        bytes[..before.len()].copy_from_slice(before);
        bytes[before.len()..before.len() + behind.len()].copy_from_slice(behind);
        Seam { bytes, before: before.len(), len: before.len() + behind.len() }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The beginning of a package that is incomplete.
#[derive(Debug, Default)]
pub(crate) struct PartialPackage {
    bytes: Vec<u8>,
    arrival: Arrival,
}

impl PartialPackage {
    /// Its memory in addition to the bytes, including the allocator's overhead.
    const OWN_BYTES: usize = size_of::<PartialPackage>() + 48;

    pub(crate) fn held_bytes(&self) -> usize {
        PartialPackage::OWN_BYTES + self.bytes.capacity()
    }

    /// Takes what belongs to the package from the start of `input`. Returns how many bytes that were and, if the
    /// package is complete now, where in [`PartialPackage::bytes`] the part for `on_receive` is. Otherwise the input
    /// is used up.
    pub(crate) fn step(
        &mut self,
        framer: &Framer,
        input: &[u8],
        limits: &PackageLimits,
    ) -> Result<(usize, Option<Range<usize>>), PackageError> {
        // From here on `room` is what the package may take in total.
        let limits = &PackageLimits { room: limits.room.saturating_add(self.held_bytes()), ..*limits };
        match framer {
            Framer::None => {
                self.keep(input, limits)?;
                Ok((input.len(), Some(0..self.bytes.len())))
            }
            Framer::EndMark(finder) => self.step_to_mark(finder, input, limits),
            Framer::Length(head) => self.step_to_length(head, input, limits),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How much of it has come, and how it comes on.
    pub(crate) fn arriving(&mut self) -> (usize, &mut Arrival) {
        (self.bytes.len(), &mut self.arrival)
    }

    fn step_to_mark(
        &mut self,
        finder: &Finder<'_>,
        input: &[u8],
        limits: &PackageLimits,
    ) -> Result<(usize, Option<Range<usize>>), PackageError> {
        let mark = finder.needle();
        let seam = Seam::new(&self.bytes, input, mark);
        let end = match finder.find(seam.bytes()) {
            Some(at) => Some(at + mark.len() - seam.before),
            None => finder.find(input).map(|at| at + mark.len()),
        };
        let used = end.unwrap_or(input.len());
        // The last bytes may be the beginning of a mark, so they do not count as data yet.
        let data_len = match end {
            Some(_) => self.bytes.len() + used - mark.len(),
            None => (self.bytes.len() + used).saturating_sub(mark.len() - 1),
        };
        if data_len > limits.package_bytes_max {
            return Err(PackageError::TooBig);
        }
        self.keep(&input[..used], limits)?;
        Ok((used, end.map(|_| 0..data_len)))
    }

    fn step_to_length(
        &mut self,
        head: &PackageHead,
        input: &[u8],
        limits: &PackageLimits,
    ) -> Result<(usize, Option<Range<usize>>), PackageError> {
        let mut used = 0;
        loop {
            let (held, len) = (self.bytes.len(), head.package_len(&self.bytes, limits)?);
            if len == Some(held) {
                return Ok((used, Some(head.data_start()..held)));
            }
            if used == input.len() {
                return Ok((used, None));
            }
            let missing = len.unwrap_or(head.length.1) - held;
            let end = input.len().min(used + missing);
            self.keep(&input[used..end], limits)?;
            used = end;
        }
    }

    /// Doubles the capacity, so that a package in many pieces is not copied for each piece, but takes only a small part
    /// of the remaining room ahead of need.
    fn keep(&mut self, more: &[u8], limits: &PackageLimits) -> Result<(), PackageError> {
        let (needed, capacity) = (self.bytes.len() + more.len(), self.bytes.capacity());
        if needed > capacity {
            let spare =
                limits.room.checked_sub(PartialPackage::OWN_BYTES + needed).ok_or(PackageError::NoRoom)?;
            self.bytes.reserve_exact((2 * capacity).min(needed + spare / 8).max(needed) - self.bytes.len());
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
