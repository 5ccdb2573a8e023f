//! Frame headers (RFC 6455 §5.2): parsed strictly, written in the shortest form. Those of clients have a mask.

use super::{Opcode, ProtocolError, Role, mask};

/// The longest header: that of a masked frame.
pub(crate) const MASKED_MAX: usize = 14;
/// The longest payload of a control frame (RFC 6455 §5.5).
pub(crate) const CONTROL_MAX: usize = 125;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    /// Zeros in a frame from a server, which has no mask.
    pub(crate) mask: [u8; 4],
    pub(crate) len: u64,
}

/// Reads a frame header from the start of `bytes`, which `role` received. Returns the header and its length, or `None`
/// if more bytes are needed. An error is found as soon as the bytes so far show it.
#[inline]
pub(crate) fn parse(bytes: &[u8], role: Role) -> Result<Option<(Header, usize)>, ProtocolError> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    if first & 0x70 != 0 {
        return Err(ProtocolError::ReservedBits);
    }
    let fin = first & 0x80 != 0;
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(ProtocolError::ReservedOpcode)?;
    if opcode.is_control() && !fin {
        return Err(ProtocolError::ControlFragmented);
    }
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    // RFC 6455 §5.1: clients mask what they send, servers do not.
    if (second & 0x80 != 0) != (role == Role::Server) {
        return Err(if role == Role::Server { ProtocolError::Unmasked } else { ProtocolError::Masked });
    }
    let short = second & 0x7f;
    if opcode.is_control() && usize::from(short) > CONTROL_MAX {
        return Err(ProtocolError::ControlTooLong);
    }
    let (len, at) = match short {
        126 => {
            let Some(long) = bytes[2..].first_chunk::<2>() else { return Ok(None) };
            let len = u64::from(u16::from_be_bytes(*long));
            if len < 126 {
                return Err(ProtocolError::LengthNotShortest);
            }
            (len, 4)
        }
        127 => {
            let Some(long) = bytes[2..].first_chunk::<8>() else { return Ok(None) };
            let len = u64::from_be_bytes(*long);
            if len >> 63 != 0 {
                return Err(ProtocolError::LengthTopBit);
            }
            if len <= 0xffff {
                return Err(ProtocolError::LengthNotShortest);
            }
            (len, 10)
        }
        len => (u64::from(len), 2),
    };
    if role == Role::Client {
        return Ok(Some((Header { fin, opcode, mask: [0; 4], len }, at)));
    }
    let Some(&mask) = bytes[at..].first_chunk::<4>() else { return Ok(None) };
    Ok(Some((Header { fin, opcode, mask, len }, at + 4)))
}

/// The encoded bytes of a frame header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodedHeader {
    bytes: [u8; MASKED_MAX],
    len: u8,
}

impl EncodedHeader {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The same header with a mask, for a client's frame (RFC 6455 §5.3).
    pub(crate) fn masked(mut self, key: [u8; 4]) -> EncodedHeader {
        let len = usize::from(self.len);
        self.bytes[1] |= 0x80;
        self.bytes[len..len + 4].copy_from_slice(&key);
        EncodedHeader { len: self.len + 4, ..self }
    }
}

/// Encodes the header of a server's frame: not masked (RFC 6455 §5.1), with the length in its shortest form.
pub(crate) fn encode(fin: bool, opcode: Opcode, len: usize) -> EncodedHeader {
    let mut bytes = [0; MASKED_MAX];
    bytes[0] = u8::from(fin) << 7 | opcode as u8;
    let header_len = match len {
        0..=125 => {
            bytes[1] = len as u8;
            2
        }
        126..=0xffff => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    EncodedHeader { bytes, len: header_len }
}

/// A complete control frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ControlFrame {
    bytes: [u8; 2 + 4 + CONTROL_MAX],
    len: u8,
}

impl ControlFrame {
    /// The payload may have up to [`CONTROL_MAX`] bytes. A client must give a mask key, a server must not.
    pub(crate) fn new(opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>) -> ControlFrame {
        let mut bytes = [0; 2 + 4 + CONTROL_MAX];
        let header = encode(true, opcode, payload.len());
        let header = key.map_or(header, |key| header.masked(key));
        let start = header.as_slice().len();
        let end = start + payload.len();
        bytes[..start].copy_from_slice(header.as_slice());
        bytes[start..end].copy_from_slice(payload);
        if let Some(key) = key {
            mask::apply(&mut bytes[start..end], key);
        }
        ControlFrame { bytes, len: end as u8 }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The length of a header that [`encode`] made.
pub(crate) fn encoded_len(frame: &[u8]) -> usize {
    match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}

/// Appends a whole frame of a message, as a server sends it.
pub(crate) fn append_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    let header = encode(true, opcode, payload.len());
    out.reserve(header.as_slice().len() + payload.len());
    out.extend_from_slice(header.as_slice());
    out.extend_from_slice(payload);
}

/// Writes a masked frame, as a client sends it.
#[cfg(any(test, feature = "sim"))]
pub(crate) fn encode_masked(fin: bool, opcode: Opcode, mask: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    let header = encode(fin, opcode, payload.len());
    out.extend_from_slice(header.as_slice());
    let second = out.len() - header.as_slice().len() + 1;
    out[second] |= 0x80;
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    super::mask::apply(&mut out[start..], mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [usize; 10] = [0, 1, 124, 125, 126, 127, 0xfffe, 0xffff, 0x1_0000, 0x1_0001];

    #[test]
    fn encoded_headers_are_read_back_at_every_length_border() {
        for len in LENGTHS {
            for fin in [false, true] {
                let mut wire = encode(fin, Opcode::Binary, len).as_slice().to_vec();
                wire[1] |= 0x80;
                wire.extend_from_slice(&[1, 2, 3, 4]);
                let header = Header { fin, opcode: Opcode::Binary, mask: [1, 2, 3, 4], len: len as u64 };
                assert_eq!(parse(&wire, Role::Server), Ok(Some((header, wire.len()))));
                for end in 0..wire.len() {
                    assert_eq!(parse(&wire[..end], Role::Server), Ok(None), "length {len} cut at {end}");
                }
            }
        }
    }

    #[test]
    fn each_side_reads_what_the_other_writes_and_refuses_its_own() {
        for len in LENGTHS {
            let plain = encode(true, Opcode::Binary, len);
            let masked = plain.masked([1, 2, 3, 4]);
            let header = Header { fin: true, opcode: Opcode::Binary, mask: [0; 4], len: len as u64 };
            let (wire, masked_wire) = (plain.as_slice(), masked.as_slice());
            assert_eq!(parse(wire, Role::Client), Ok(Some((header, wire.len()))));
            let with_mask = Header { mask: [1, 2, 3, 4], ..header };
            assert_eq!(parse(masked_wire, Role::Server), Ok(Some((with_mask, masked_wire.len()))));
            assert_eq!(parse(wire, Role::Server), Err(ProtocolError::Unmasked));
            assert_eq!(parse(masked_wire, Role::Client), Err(ProtocolError::Masked));
            for end in 0..wire.len() {
                assert_eq!(parse(&wire[..end], Role::Client), Ok(None), "length {len} cut at {end}");
            }
        }
    }

    #[test]
    fn a_control_frame_is_its_header_and_its_payload() {
        for payload in [&b""[..], b"ping", &[7; CONTROL_MAX]] {
            let plain = ControlFrame::new(Opcode::Ping, payload, None);
            let header = encode(true, Opcode::Ping, payload.len());
            assert_eq!(plain.as_slice(), [header.as_slice(), payload].concat());
            let masked = ControlFrame::new(Opcode::Ping, payload, Some([9, 8, 7, 6]));
            let (header, at) = parse(masked.as_slice(), Role::Server).expect("right").expect("whole");
            let mut unmasked = masked.as_slice()[at..].to_vec();
            mask::apply(&mut unmasked, header.mask);
            assert_eq!((header.mask, &*unmasked), ([9, 8, 7, 6], payload));
        }
    }

    #[test]
    fn every_first_two_bytes_are_judged_as_the_rfc_says() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let mut wire = vec![first, second];
                wire.extend_from_slice(&[0x40; 12]);
                let (fin, opcode, short) = (first & 0x80 != 0, first & 0x0f, second & 0x7f);
                let control = opcode >= 8;
                let expected = if first & 0x70 != 0 {
                    Err(ProtocolError::ReservedBits)
                } else if matches!(opcode, 3..=7 | 11..) {
                    Err(ProtocolError::ReservedOpcode)
                } else if control && !fin {
                    Err(ProtocolError::ControlFragmented)
                } else if second & 0x80 == 0 {
                    Err(ProtocolError::Unmasked)
                } else if control && short > 125 {
                    Err(ProtocolError::ControlTooLong)
                } else {
                    Ok(())
                };
                assert_eq!(parse(&wire, Role::Server).map(|_| ()), expected, "{first:#x} {second:#x}");
            }
        }
    }

    #[test]
    fn lengths_must_be_in_their_shortest_form() {
        let with = |short: u8, long: &[u8]| {
            let mut wire = vec![0x82, 0x80 | short];
            wire.extend_from_slice(long);
            wire.extend_from_slice(&[0; 4]);
            parse(&wire, Role::Server).map(|header| header.map(|(header, _)| header.len))
        };
        assert_eq!(with(126, &125u16.to_be_bytes()), Err(ProtocolError::LengthNotShortest));
        assert_eq!(with(126, &126u16.to_be_bytes()), Ok(Some(126)));
        assert_eq!(with(127, &0xffffu64.to_be_bytes()), Err(ProtocolError::LengthNotShortest));
        assert_eq!(with(127, &0x1_0000u64.to_be_bytes()), Ok(Some(0x1_0000)));
        assert_eq!(with(127, &(1u64 << 63).to_be_bytes()), Err(ProtocolError::LengthTopBit));
        assert_eq!(with(127, &(u64::MAX >> 1).to_be_bytes()), Ok(Some(u64::MAX >> 1)));
    }
}
