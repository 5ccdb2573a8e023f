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
/// Chunk framing, extensions included, may have this many bytes more than the payload. Without a limit, tiny chunks
/// could take several times the memory that the limit on bodies allows.
const FRAMING_BYTES_MAX: usize = 16 << 10;
/// Maximum length of the extensions of one chunk, and of a trailer.
const IGNORED_BYTES_MAX: usize = 1 << 10;

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
/// only with its trailer and the empty line that follows it. Chunk extensions and trailer fields are ignored, as RFC
/// 9112 §7.1.1 and §7.1.2 have it.
fn next_chunk(bytes: &[u8]) -> Result<Option<Chunk>, Refusal> {
    let digits = bytes.iter().take_while(|digit| digit.is_ascii_hexdigit()).count();
    if digits > SIZE_DIGITS_MAX {
        return Err(TOO_BIG);
    }
    if digits == 0 && !bytes.is_empty() {
        return Err(MALFORMED);
    }
    let Some(extension) = line(&bytes[digits..])? else { return Ok(None) };
    if !extension.is_empty() && !extension.trim_ascii_start().starts_with(b";") {
        return Err(MALFORMED);
    }
    let size = std::str::from_utf8(&bytes[..digits]).expect("hexadecimal digits");
    let len = usize::from_str_radix(size, 16).expect("few hexadecimal digits");
    let start = digits + extension.len() + 2;
    if len > 0 {
        return Ok(Some(Chunk { start, len, end: start + len + 2 }));
    }
    let trailer = trailer_len(&bytes[start..])?;
    Ok(trailer.map(|trailer| Chunk { start, len, end: start + trailer }))
}

/// The length of the trailer section with the empty line that ends it; `None` if more bytes are needed.
fn trailer_len(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut len = 0;
    loop {
        if len > IGNORED_BYTES_MAX {
            return Err(TOO_BIG);
        }
        let Some(field) = line(&bytes[len..])? else { return Ok(None) };
        len += field.len() + 2;
        if field.is_empty() {
            return Ok(Some(len));
        }
        let name = field.iter().position(|byte| *byte == b':').map(|colon| &field[..colon]);
        if !name.is_some_and(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic)) {
            return Err(MALFORMED);
        }
    }
}

/// The line at the start of `bytes`; `None` if its end is not there yet. Control characters are refused, bare line ends
/// above all: readers disagree about whether a line ends there, and so about where the request does.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    let is_plain = |byte: &&u8| **byte == b'\t' || !byte.is_ascii_control();
    let len = bytes.iter().take_while(is_plain).count();
    match &bytes[len..] {
        _ if len > IGNORED_BYTES_MAX => Err(TOO_BIG),
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some(&bytes[..len])),
        _ => Err(MALFORMED),
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
    fn extensions_and_trailers_are_ignored() {
        let wire = b"3;a\r\nabc\r\n2 ; a=b;c=\"d;\\\"e\xff\"\r\nde\r\n0;x\r\nX: y\r\nZ-z:\r\n\r\nGET";
        let whole = wire.len() - 3;
        let mut body = chunked();
        for end in 0..wire.len() {
            let found = body.end(&wire[..end], 100).expect("well-formed");
            assert_eq!(found, (end >= whole).then_some(whole), "cut at {end}");
        }
        let mut bytes = wire[..whole].to_vec();
        assert_eq!(body.plain(&mut bytes), b"abcde");
    }

    #[test]
    fn what_is_ignored_is_bounded() {
        for (start, end) in [("3;", "\r\nabc\r\n0\r\n\r\n"), ("0\r\nX:", "\r\n\r\n")] {
            let wire = |len: usize| [start, &"x".repeat(len), end].concat();
            assert!(matches!(chunked().end(wire(1_000).as_bytes(), 100), Ok(Some(_))), "{start}");
            assert_eq!(chunked().end(wire(1_100).as_bytes(), 100), Err(TOO_BIG), "{start}");
            assert_eq!(chunked().end([start, &"x".repeat(1_100)].concat().as_bytes(), 100), Err(TOO_BIG));
        }
        let fields = format!("0\r\n{}\r\n", "X: y\r\n".repeat(300));
        assert_eq!(chunked().end(fields.as_bytes(), 100), Err(TOO_BIG));
        // Many short ones count together.
        let chunks = format!("1;{}\r\nx\r\n", "x".repeat(900)).repeat(20);
        assert_eq!(chunked().end(chunks.as_bytes(), 1_000), Err(TOO_BIG));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for wire in [
            &b"x\r\n"[..],
            b"\r\n",
            b"3\r\nabcd\r\n",
            b"-1\r\n",
            b"3 \r\nabc\r\n",
            b"3 x\r\nabc\r\n",
            b"3x\r\n",
            // Where one reader sees the end of a line and another does not.
            b"3;\nabc\r\n",
            b"3;x\ny\r\nabc\r\n",
            b"3;x\ry\r\nabc\r\n",
            b"3;\r\r\nabc\r\n",
            b"3;x=\"\n\"\r\nabc\r\n",
            b"3;\0\r\nabc\r\n",
            b"0\r\nX: y\n\n",
            b"0\r\nX: y\r\n\n",
            b"0\r\nX: y\rZ: w\r\n\r\n",
            b"0\r\nX\r\n\r\n",
            b"0\r\n: y\r\n\r\n",
            b"0\r\nX : y\r\n\r\n",
            b"0\r\nX: y\r\n folded: z\r\n\r\n",
            b"0\r\nGET / HTTP/1.1\r\n\r\n",
            b"3\nabc\n",
            b"0x3\r\nabc\r\n",
        ] {
            let refused = chunked().end(wire, 100).expect_err("malformed");
            assert_eq!(refused.status(), 400, "{:?}", String::from_utf8_lossy(wire));
        }
    }
}
