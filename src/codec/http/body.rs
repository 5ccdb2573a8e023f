//! Request bodies (RFC 9112 §6, §7.1): where a body that is still arriving ends, and a chunked one made
//! plain. Chunk sizes are read by httparse.

use super::Refusal;
use super::head::Framing;

/// Finds the end of a body in a buffer that grows. Offsets count from the body's first byte.
#[derive(Debug)]
pub(crate) enum Body {
    Length(usize),
    Chunked {
        /// Up to here the buffer was understood.
        at: usize,
        /// Payload bytes up to here.
        len: usize,
    },
}

const MALFORMED: Refusal = Refusal::new(400, "malformed chunked body");
const TOO_BIG: Refusal = Refusal::new(413, "request body too big");
/// A chunk's size line with its extensions; longer ones only serve to waste time.
const SIZE_LINE_MAX: usize = 256;

impl Body {
    /// Refuses at once a body that says it is over `bytes_max`.
    pub(crate) fn new(framing: Option<Framing>, bytes_max: usize) -> Result<Body, Refusal> {
        match framing {
            None => Ok(Body::Length(0)),
            Some(Framing::Length(len)) if len > bytes_max as u64 => Err(TOO_BIG),
            Some(Framing::Length(len)) => Ok(Body::Length(len as usize)),
            Some(Framing::Chunked) => Ok(Body::Chunked { at: 0, len: 0 }),
        }
    }

    /// Looks at the body's bytes so far: how many of them belong to it once it is whole, else `None`.
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
            },
        }
    }

    /// The payload of a whole body, chunks joined in place.
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
    /// Behind the chunk's line end; of the last chunk, behind the whole body.
    end: usize,
}

/// The chunk at the start of `bytes`, its size line whole but not necessarily its payload. The last chunk is
/// given only with the empty line behind it: trailer fields are refused, nobody here would read them.
fn next_chunk(bytes: &[u8]) -> Result<Option<Chunk>, Refusal> {
    // httparse takes an empty size for 0.
    if bytes.first().is_some_and(|digit| !digit.is_ascii_hexdigit()) {
        return Err(MALFORMED);
    }
    match httparse::parse_chunk_size(bytes) {
        Ok(httparse::Status::Complete((start, 0))) => match &bytes[start..] {
            [b'\r', b'\n', ..] => Ok(Some(Chunk { start, len: 0, end: start + 2 })),
            [] | [b'\r'] => Ok(None),
            _ => Err(Refusal::new(400, "trailer fields are not taken")),
        },
        Ok(httparse::Status::Complete((start, len))) => {
            let len = usize::try_from(len).ok().filter(|len| *len < usize::MAX / 2).ok_or(TOO_BIG)?;
            Ok(Some(Chunk { start, len, end: start + len + 2 }))
        }
        Ok(httparse::Status::Partial) if bytes.len() > SIZE_LINE_MAX => Err(MALFORMED),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(MALFORMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked() -> Body {
        Body::new(Some(Framing::Chunked), 100).expect("no length yet")
    }

    #[test]
    fn chunked_bodies_are_joined_however_they_arrive() {
        let wire = b"3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\n\r\nGET";
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
        assert!(Body::new(Some(Framing::Length(101)), 100).is_err());
        assert_eq!(chunked().end(b"65\r\n", 100), Err(TOO_BIG));
        assert_eq!(chunked().end(b"fffffffffffffff0\r\n", 100), Err(TOO_BIG));
        let mut two = b"40\r\n".to_vec();
        two.extend_from_slice(&[b'x'; 0x40]);
        two.extend_from_slice(b"\r\n40\r\n");
        assert_eq!(chunked().end(&two, 100), Err(TOO_BIG));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for wire in [&b"x\r\n"[..], b"\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"0\r\nX: y\r\n\r\n", &[b'0'; 300]]
        {
            let refused = chunked().end(wire, 100).expect_err("malformed");
            assert_eq!(refused.status, 400, "{:?}", String::from_utf8_lossy(wire));
        }
    }
}
