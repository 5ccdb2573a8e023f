//! What waits for a connection without a socket: units, each with its length and kind in front, so that they are told
//! apart whatever is in them. Knows no connection.

/// Of a header: the unit is binary. The other 31 bits are the length.
const BINARY: u32 = 1 << 31;

pub(crate) const HEADER_BYTES: usize = size_of::<u32>();

/// What is in front of a unit of `len` bytes, which are less than 2 GiB.
pub(crate) fn header(is_binary: bool, len: usize) -> [u8; HEADER_BYTES] {
    let len = u32::try_from(len).ok().filter(|len| *len < BINARY).expect("messages have limits");
    (len | if is_binary { BINARY } else { 0 }).to_le_bytes()
}

/// The length of the unit at the start of `bytes`, its header included.
pub(crate) fn len_of_first(bytes: &[u8]) -> Option<usize> {
    let header = u32::from_le_bytes(*bytes.first_chunk()?);
    Some(HEADER_BYTES + (header & !BINARY) as usize)
}

/// Turns `out`, which has room for a header at `start`, into a unit from there on.
pub(crate) fn finish(out: &mut [u8], start: usize, is_binary: bool) {
    let header = header(is_binary, out.len() - start - HEADER_BYTES);
    out[start..start + HEADER_BYTES].copy_from_slice(&header);
}

/// Whole units, one after the other: whether each is binary, and its bytes.
pub(crate) fn iter(mut units: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        let len = len_of_first(units).filter(|len| *len <= units.len())?;
        let (unit, rest) = units.split_at(len);
        units = rest;
        let is_binary = unit[HEADER_BYTES - 1] & 0x80 != 0;
        Some((is_binary, &unit[HEADER_BYTES..]))
    })
}

pub(crate) fn count(units: &[u8]) -> usize {
    iter(units).count()
}

/// Where the unit with this number, from 0, begins.
pub(crate) fn start_of(units: &[u8], number: usize) -> usize {
    iter(units).take(number).map(|(_, unit)| HEADER_BYTES + unit.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_apart_whatever_is_in_them() {
        let all: [(bool, &[u8]); 4] = [(false, b"a\nb"), (true, b""), (false, b""), (true, &[0x80; 300])];
        let mut units = Vec::new();
        for (is_binary, bytes) in all {
            units.extend_from_slice(&header(is_binary, bytes.len()));
            units.extend_from_slice(bytes);
        }
        assert_eq!(iter(&units).collect::<Vec<_>>(), all);
        assert_eq!(count(&units), 4);
        let starts: Vec<usize> = (0..=5).map(|number| start_of(&units, number)).collect();
        assert_eq!(starts, [0, 7, 11, 15, units.len(), units.len()]);
        // What is not whole is not there.
        assert_eq!(iter(&units[..6]).next(), None);
        assert_eq!((count(&units[..14]), len_of_first(&units[..3])), (2, None));
    }

    #[test]
    fn a_unit_is_finished_in_place() {
        let mut out = b"before".to_vec();
        out.extend_from_slice(&[0; HEADER_BYTES]);
        out.extend_from_slice(b"text");
        finish(&mut out, 6, false);
        assert_eq!(iter(&out[6..]).collect::<Vec<_>>(), [(false, b"text".as_slice())]);
    }
}
