//! The client's side of the opening handshake (RFC 6455 §4.1): makes the request and checks the answer.

use super::handshake::accept;
use super::url::Url;
use crate::codec::http::answer::{Answer, AnswerError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a client asks the server for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) url: Url,
    /// Names and values, already checked.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) subprotocols: Vec<String>,
}

/// The value of Sec-WebSocket-Key: 16 random bytes.
pub(crate) fn key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Whether the handshake itself sets this header, so that users may not.
pub(crate) fn is_own_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["host", "upgrade", "connection", "content-length", "transfer-encoding"].contains(&&*name)
        || name.starts_with("sec-websocket-")
}

impl Ask {
    /// The request, with this value of Sec-WebSocket-Key.
    pub(crate) fn encode(&self, key: &str) -> String {
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
            self.url.target,
            self.url.authority()
        );
        let mut line = |name: &str, value: &str| {
            request.extend([name, ": ", value, "\r\n"]);
        };
        if !self.subprotocols.is_empty() {
            line("Sec-WebSocket-Protocol", &self.subprotocols.join(", "));
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        request.push_str("\r\n");
        request
    }

    /// Checks a 101 response as RFC 6455 §4.1 requires.
    pub(crate) fn check(&self, answer: &Answer<'_>, key: &str) -> Result<(), AnswerError> {
        if !answer.is_1_1() {
            return Err(AnswerError::HttpVersion);
        }
        if !answer.lists("upgrade", "websocket") {
            return Err(AnswerError::Upgrade);
        }
        if !answer.lists("connection", "upgrade") {
            return Err(AnswerError::Connection);
        }
        let mut accepts = answer.values("sec-websocket-accept");
        match (accepts.next(), accepts.next()) {
            (Some(value), None) if *value == *accept(key.as_bytes()).as_bytes() => {}
            (None, _) => return Err(AnswerError::NoAccept),
            _ => return Err(AnswerError::Accept),
        }
        if answer.values("sec-websocket-extensions").any(|value| !value.is_empty()) {
            return Err(AnswerError::Extension);
        }
        let mut chosen = answer.values("sec-websocket-protocol");
        match (chosen.next(), chosen.next()) {
            (None, _) => Ok(()),
            (Some(name), None) if self.subprotocols.iter().any(|offered| offered.as_bytes() == name) => {
                Ok(())
            }
            _ => Err(AnswerError::Subprotocol),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::http::head::HEADERS_MAX;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    fn ask(subprotocols: &[&str]) -> Ask {
        Ask {
            url: Url::parse("ws://example.com:9501/chat?x").expect("a URL"),
            headers: vec![("Cookie".into(), "a=b".into())],
            subprotocols: subprotocols.iter().map(|name| name.to_string()).collect(),
        }
    }

    fn judge(bytes: &str, subprotocols: &[&str]) -> Result<(), AnswerError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let (answer, len) =
            Answer::parse(bytes.as_bytes(), &mut headers).expect("a head").expect("a whole one");
        assert_eq!(len, bytes.len());
        ask(subprotocols).check(&answer, KEY)
    }

    #[test]
    fn the_request_is_the_rfcs() {
        assert_eq!(
            ask(&["chat", "superchat"]).encode(KEY),
            "GET /chat?x HTTP/1.1\r\nHost: example.com:9501\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: chat, superchat\r\nCookie: a=b\r\n\r\n"
        );
        assert_eq!(key([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA==");
    }

    #[test]
    fn a_good_answer_is_taken_and_each_broken_requirement_told() {
        assert_eq!(judge(GOOD, &[]), Ok(()));
        let relaxed = GOOD.replace("Upgrade: websocket", "upgrade: WebSocket");
        assert_eq!(judge(&relaxed.replace("Connection: Upgrade", "Connection: x, upgrade"), &[]), Ok(()));
        for (from, to, expected) in [
            ("HTTP/1.1", "HTTP/1.0", AnswerError::HttpVersion),
            ("Upgrade: websocket\r\n", "", AnswerError::Upgrade),
            ("Upgrade: websocket", "Upgrade: h2c", AnswerError::Upgrade),
            ("Connection: Upgrade\r\n", "", AnswerError::Connection),
            ("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "", AnswerError::NoAccept),
            ("xOo=", "xOO=", AnswerError::Accept),
            ("s3pP", "S3pP", AnswerError::Accept),
            (
                "\r\n\r\n",
                "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                AnswerError::Accept,
            ),
            ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", AnswerError::Extension),
            ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n", AnswerError::Subprotocol),
        ] {
            assert_eq!(judge(&GOOD.replacen(from, to, 1), &[]), Err(expected), "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn only_an_offered_subprotocol_is_taken_and_none_is_fine() {
        let chosen =
            |name: &str| GOOD.replacen("\r\n\r\n", &format!("\r\nSec-WebSocket-Protocol: {name}\r\n\r\n"), 1);
        assert_eq!(judge(GOOD, &["chat"]), Ok(()));
        assert_eq!(judge(&chosen("chat"), &["superchat", "chat"]), Ok(()));
        for other in ["Chat", "chat, superchat", "", "chat\r\nSec-WebSocket-Protocol: chat"] {
            assert!(judge(&chosen(other), &["chat", "superchat"]).is_err(), "{other}");
        }
    }

    #[test]
    fn an_answer_at_every_length_is_partial_until_it_is_whole() {
        for end in 0..GOOD.len() {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            assert!(matches!(Answer::parse(&GOOD.as_bytes()[..end], &mut headers), Ok(None)), "cut at {end}");
        }
        for wrong in ["SSH-2.0-OpenSSH\r\n", "HTTP/2 101\r\n\r\n", "\0", "HTTP/1.1 1x1 \r\n\r\n"] {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            assert_eq!(
                Answer::parse(wrong.as_bytes(), &mut headers).err(),
                Some(AnswerError::Malformed),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn the_handshakes_own_headers_are_known_in_any_case() {
        for name in ["Host", "UPGRADE", "connection", "Sec-WebSocket-Key", "Content-Length"] {
            assert!(is_own_header(name), "{name}");
        }
        for name in ["Cookie", "Origin", "Authorization", "X-Host"] {
            assert!(!is_own_header(name), "{name}");
        }
    }
}
