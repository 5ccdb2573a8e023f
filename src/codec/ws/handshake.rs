//! The server's side of the opening handshake (RFC 6455 §4.2): checks requests.

use crate::codec::http::{BadRequest, Head, Refusal};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use sha1::{Digest as _, Sha1};

/// RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a request tries to open a WebSocket, correctly or not. It is then checked as a handshake and never answered
/// like a plain request.
pub(crate) fn is_attempt(head: &Head<'_>) -> bool {
    head.lists("upgrade", "websocket")
        || head.value("sec-websocket-key").is_some()
        || head.value("sec-websocket-version").is_some()
}

/// Checks everything that RFC 6455 §4.2.1 requires of the client. Returns the value of Sec-WebSocket-Accept.
pub(crate) fn check(head: &Head<'_>) -> Result<String, Refusal> {
    if head.method != "GET" {
        return Err(BadRequest::HandshakeMethod.into());
    }
    if !head.is_1_1 {
        return Err(BadRequest::HandshakeHttpVersion.into());
    }
    if !head.lists("upgrade", "websocket") {
        return Err(BadRequest::HandshakeUpgrade.into());
    }
    if !head.lists("connection", "upgrade") {
        return Err(BadRequest::HandshakeConnection.into());
    }
    if head.framing()?.is_some() {
        return Err(BadRequest::HandshakeBody.into());
    }
    match (head.values("sec-websocket-version").count(), head.value("sec-websocket-version")) {
        (1, Some("13")) => {}
        (0, _) => return Err(BadRequest::NoWebSocketVersion.into()),
        (1, _) => return Err(BadRequest::WebSocketVersion.into()),
        _ => return Err(BadRequest::DuplicateWebSocketVersion.into()),
    }
    let mut keys = head.values("sec-websocket-key");
    match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key) => Ok(accept(key)),
        (Some(_), None) => Err(BadRequest::Key.into()),
        (None, _) => Err(BadRequest::NoKey.into()),
        _ => Err(BadRequest::DuplicateKey.into()),
    }
}

/// The nonce need not be decoded, so bits behind its end do not matter: the example key of RFC 6455 §4.1 has some.
fn is_key(key: &[u8]) -> bool {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    );
    let mut nonce = [0; 18];
    key.len() == 24 && LENIENT.decode_slice(key, &mut nonce) == Ok(16)
}

/// Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 §4.2.2).
pub(crate) fn accept(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}

/// Chooses the subprotocol: the first of the server's that the client offers. `None` if the server has none or the
/// client offers none. If the client offers only others, it is refused: a browser would fail anyway without its
/// subprotocol.
pub(crate) fn subprotocol<'a>(head: &Head<'_>, preferred: &'a [String]) -> Result<Option<&'a str>, Refusal> {
    if preferred.is_empty() || head.list("sec-websocket-protocol").next().is_none() {
        return Ok(None);
    }
    let offered = |name: &&String| head.list("sec-websocket-protocol").any(|offer| offer == name.as_str());
    match preferred.iter().find(offered) {
        Some(name) => Ok(Some(name)),
        None => Err(BadRequest::Subprotocol.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::http::head::HEADERS_MAX;

    const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn with_head<T>(bytes: &str, look: impl FnOnce(&Head<'_>) -> T) -> T {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let (head, _) = Head::parse(bytes.as_bytes(), &mut headers).expect("a head").expect("a whole head");
        look(&head)
    }

    fn status(bytes: &str) -> u16 {
        with_head(bytes, |head| {
            assert!(is_attempt(head), "{bytes}");
            check(head).err().map_or(101, |refusal| refusal.status())
        })
    }

    #[test]
    fn the_rfcs_own_example_is_accepted() {
        assert_eq!(with_head(GOOD, check), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()));
        let relaxed = GOOD.replace("Upgrade: websocket", "upgrade: h2c, WebSocket");
        let relaxed = relaxed.replace("Connection: Upgrade", "Connection: keep-alive\r\nconnection: upgrade");
        assert_eq!(status(&relaxed), 101);
    }

    #[test]
    fn each_broken_requirement_has_its_status() {
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let version = "Sec-WebSocket-Version: 13\r\n";
        for (from, to, expected) in [
            ("GET", "POST", 405),
            ("HTTP/1.1", "HTTP/1.0", 505),
            ("Upgrade: websocket\r\n", "", 400),
            ("Upgrade: websocket", "Upgrade: websockets", 400),
            ("Connection: Upgrade\r\n", "", 400),
            ("Connection: Upgrade", "Connection: keep-alive", 400),
            (key, "", 400),
            (key, "Sec-WebSocket-Key: \r\n", 400),
            (key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n", 400),
            (key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n", 400),
            (key, "Sec-WebSocket-Key: dGhl!HNhbXBsZSBub25jZQ==\r\n", 400),
            (key, &key.repeat(2), 400),
            (version, "", 400),
            (version, "Sec-WebSocket-Version: 8\r\n", 426),
            (version, "Sec-WebSocket-Version: 13, 8\r\n", 426),
            (version, &version.repeat(2), 400),
            (version, &format!("{version}Content-Length: 5\r\n"), 400),
            (version, &format!("{version}Transfer-Encoding: chunked\r\n"), 400),
        ] {
            assert_eq!(status(&GOOD.replacen(from, to, 1)), expected, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn what_devices_and_clients_of_other_languages_send_is_in_order() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        // RFC 4648 §3.5 only lets one refuse bits behind the end; RFC 9110 §8.6: no body has the length 0.
        for (from, to) in [
            (key, "AQIDBAUGBwgJCgsMDQ4PEC=="),
            (key, "dGhlIHNhbXBsZSBub25jZf=="),
            ("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"),
        ] {
            assert_eq!(status(&GOOD.replacen(from, to, 1)), 101, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn a_plain_request_is_no_attempt() {
        for bytes in
            ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n"]
        {
            assert!(!with_head(bytes, is_attempt));
        }
    }

    #[test]
    fn the_servers_preference_chooses_among_the_offered_subprotocols() {
        let choose = |lines: &str, preferred: &[&str]| {
            let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            let preferred: Vec<String> = preferred.iter().map(|name| name.to_string()).collect();
            with_head(&bytes, |head| subprotocol(head, &preferred).map(|name| name.map(str::to_owned)))
        };
        let offer = "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n";
        assert_eq!(choose(offer, &["c", "a"]), Ok(Some("c".into())));
        assert_eq!(choose(offer, &[]), Ok(None));
        assert_eq!(choose("", &["a"]), Ok(None));
        assert_eq!(choose(offer, &["A"]).map_err(|refusal| refusal.status()), Err(400));
    }
}
