//! Request bodies (RFC 9112 §6, §7.1): finds the end of a body that is still arriving, and decodes chunked ones.

use super::head::BodyFraming;
use super::{BadRequest, Refusal};

/// Finds the end of a body in a growing buffer. Offsets count from the first byte of the body.
#[derive(Debug)]
pub(crate) enum Body {
    Length(usize),
    Chunked {
        /// The buffer was parsed up to here.
        at: usize,
        /// Number of payload bytes up to there.
        len: usize,
    },
}

const MALFORMED: Refusal = Refusal::BadRequest(BadRequest::Chunk);
const TOO_BIG: Refusal = Refusal::BodyTooBig;
/// Maximum number of digits of a chunk's size: enough for any body that is accepted, too few to overflow.
const SIZE_DIGITS_MAX: usize = 12;
/// Chunk framing may have this many bytes more than the payload. Without a limit, tiny chunks could take several times
/// the memory that the limit on bodies allows.
const FRAMING_BYTES_MAX: usize = 16 << 10;

impl Body {
    /// Refuses a body at once if its declared length is over `bytes_max`.
    pub(crate) fn new(framing: Option<BodyFraming>, bytes_max: usize) -> Result<Body, Refusal> {
        match framing {
            None => Ok(Body::Length(0)),
            Some(BodyFraming::Length(len)) if len > bytes_max as u64 => Err(TOO_BIG),
            Some(BodyFraming::Length(len)) => Ok(Body::Length(len as usize)),
            Some(BodyFraming::Chunked) => Ok(Body::Chunked { at: 0, len: 0 }),
        }
    }

    /// Looks at the bytes so far. Returns the length of the body if it is complete, otherwise `None`.
    pub(crate) fn end(&mut self, bytes: &[u8], bytes_max: usize) -> Result<Option<usize>, Refusal> {
        match self {
            Body::Length(len) => Ok((bytes.len() >= *len).then_some(*len)),
            Body::Chunked { at, len } => loop {
                let Some(chunk) = next_chunk(&bytes[*at..])? else { return Ok(None) };
                if chunk.len > bytes_max - *len {
                    return Err(TOO_BIG);
                }
                let end = *at + chunk.end;
                if chunk.len == 0 {
                    return Ok(Some(end));
                }
                if bytes.len() < end {
                    return Ok(None);
                }
                if &bytes[end - 2..end] != b"\r\n" {
                    return Err(MALFORMED);
                }
                *at = end;
                *len += chunk.len;
                if *at - *len > *len + FRAMING_BYTES_MAX {
                    return Err(TOO_BIG);
                }
            },
        }
    }

    /// The payload of a complete body; chunks are joined in place.
    pub(crate) fn plain<'a>(&self, bytes: &'a mut [u8]) -> &'a [u8] {
        let Body::Chunked { .. } = self else { return bytes };
        let (mut from, mut to) = (0, 0);
        while let Ok(Some(chunk)) = next_chunk(&bytes[from..]) {
            if chunk.len == 0 {
                break;
            }
            let start = from + chunk.start;
            bytes.copy_within(start..start + chunk.len, to);
            to += chunk.len;
            from += chunk.end;
        }
        &bytes[..to]
    }
}

struct Chunk {
    start: usize,
    len: usize,
    /// The end of the chunk, including its line end. For the last chunk, the end of the whole body.
    end: usize,
}

/// The chunk at the start of `bytes`. Its size line is complete, but its payload may not be. The last chunk is returned
/// only with the empty line that follows it. Chunk extensions and trailer fields are refused: nothing here reads them,
/// limits would not count their bytes, and servers disagree about where they end.
fn next_chunk(bytes: &[u8]) -> Result<Option<Chunk>, Refusal> {
    let digits = bytes.iter().take_while(|digit| digit.is_ascii_hexdigit()).count();
    if digits > SIZE_DIGITS_MAX {
        return Err(TOO_BIG);
    }
    match &bytes[digits..] {
        [] => return Ok(None),
        _ if digits == 0 => return Err(MALFORMED),
        [b'\r'] => return Ok(None),
        [b'\r', b'\n', ..] => {}
        [b';' | b' ' | b'\t', ..] => return Err(BadRequest::ChunkExtension.into()),
        _ => return Err(MALFORMED),
    }
    let size = std::str::from_utf8(&bytes[..digits]).expect("hexadecimal digits");
    let len = usize::from_str_radix(size, 16).expect("few hexadecimal digits");
    let start = digits + 2;
    match (len, &bytes[start..]) {
        (0, [b'\r', b'\n', ..]) => Ok(Some(Chunk { start, len: 0, end: start + 2 })),
        (0, [] | [b'\r']) => Ok(None),
        (0, _) => Err(BadRequest::Trailer.into()),
        _ => Ok(Some(Chunk { start, len, end: start + len + 2 })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked() -> Body {
        Body::new(Some(BodyFraming::Chunked), 100).expect("no length yet")
    }

    #[test]
    fn chunked_bodies_are_joined_however_they_arrive() {
        let wire = b"3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\nGET";
        let whole = wire.len() - 3;
        let mut body = chunked();
        for end in 0..wire.len() {
            let found = body.end(&wire[..end], 100).expect("well-formed");
            assert_eq!(found, (end >= whole).then_some(whole), "cut at {end}");
        }
        assert_eq!(chunked().end(wire, 100), Ok(Some(whole)));
        let mut bytes = wire[..whole].to_vec();
        assert_eq!(body.plain(&mut bytes), b"abc0123456789");
    }

    #[test]
    fn bodies_over_the_limit_are_refused_by_their_declared_size() {
        assert!(Body::new(Some(BodyFraming::Length(101)), 100).is_err());
        assert_eq!(chunked().end(b"65\r\n", 100), Err(TOO_BIG));
        assert_eq!(chunked().end(b"fffffffffffffff0\r\n", 100), Err(TOO_BIG));
        let mut two = b"40\r\n".to_vec();
        two.extend_from_slice(&[b'x'; 0x40]);
        two.extend_from_slice(b"\r\n40\r\n");
        assert_eq!(chunked().end(&two, 100), Err(TOO_BIG));
        assert_eq!(chunked().end(&[b'0'; 300], 100), Err(TOO_BIG));
    }

    #[test]
    fn tiny_chunks_do_not_hold_many_times_the_limit() {
        let most = 1 << 20;
        let mut body = chunked();
        let wire = b"1\r\nx\r\n".repeat(most);
        assert_eq!(body.end(&wire, most), Err(TOO_BIG));
        assert_eq!(chunked().end(&b"a\r\n0123456789\r\n".repeat(5_000), most), Ok(None));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for wire in [
            &b"x\r\n"[..],
            b"\r\n",
            b"3\r\nabcd\r\n",
            b"-1\r\n",
            b"0\r\nX: y\r\n\r\n",
            b"3;x=y\r\nabc\r\n",
            b"3;\nabc",
            b"3 \r\nabc\r\n",
            b"3\nabc\n",
            b"0x3\r\nabc\r\n",
        ] {
            let refused = chunked().end(wire, 100).expect_err("malformed");
            assert_eq!(refused.status(), 400, "{:?}", String::from_utf8_lossy(wire));
        }
    }
}
