//! What the server wrote, read naively and strictly.

/// What follows the pages that a client asked for before its handshake, once they are whole.
pub(super) fn behind_pages(mut bytes: &[u8]) -> Option<&[u8]> {
    while bytes.starts_with(b"HTTP/1.1 200 ") {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let text = std::str::from_utf8(&bytes[..head]).expect("a head is text");
        let len = text.split("Content-Length: ").nth(1).and_then(|line| line.split("\r\n").next());
        let len: usize = len.and_then(|len| len.parse().ok()).expect("a length");
        bytes = bytes.get(head + 4 + len..)?;
    }
    Some(bytes)
}

/// The first frame of `bytes` if it is whole: first byte, payload, what follows. Strict about what servers
/// send.
pub(super) fn frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    assert!(short & 0x80 == 0, "a server's frame is not masked");
    let (len, rest) = match short {
        126 => {
            let (len, rest) = rest.split_at_checked(2)?;
            let len = usize::from(u16::from_be_bytes([len[0], len[1]]));
            assert!(len >= 126);
            (len, rest)
        }
        127 => panic!("no frame here is so long"),
        len => (usize::from(len), rest),
    };
    let (payload, rest) = rest.split_at_checked(len)?;
    Some((first, payload, rest))
}
