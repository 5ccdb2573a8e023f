//! Close codes and the payload of close frames (RFC 6455 §5.5.1, §7.4).

use super::{ProtocolError, utf8};

pub(crate) const NORMAL: u16 = 1000;
pub(crate) const GOING_AWAY: u16 = 1001;
pub(crate) const PROTOCOL_ERROR: u16 = 1002;
/// Never sent: the close frame had no code.
pub(crate) const NO_STATUS: u16 = 1005;
/// Never sent: there was no close frame.
pub(crate) const ABNORMAL: u16 = 1006;
pub(crate) const INVALID_PAYLOAD: u16 = 1007;
pub(crate) const POLICY_VIOLATION: u16 = 1008;
pub(crate) const TOO_BIG: u16 = 1009;
pub(crate) const INTERNAL_ERROR: u16 = 1011;
pub(crate) const TRY_AGAIN_LATER: u16 = 1013;

/// The longest reason text: a control frame has 125 bytes, and the code takes two.
pub(crate) const REASON_BYTES_MAX: usize = 123;

impl ProtocolError {
    pub(crate) fn close_code(self) -> u16 {
        match self {
            ProtocolError::InvalidUtf8 => INVALID_PAYLOAD,
            ProtocolError::MessageTooBig | ProtocolError::TooManyFragments => TOO_BIG,
            ProtocolError::NoRoom => TRY_AGAIN_LATER,
            _ => PROTOCOL_ERROR,
        }
    }
}

/// Whether a close frame may have this code (RFC 6455 §7.4, and the codes that were registered later).
pub(crate) const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Reads the code and the reason from a close frame's payload. An empty payload is code 1005.
pub(crate) fn parse(payload: &[u8]) -> Result<(u16, &str), ProtocolError> {
    match payload {
        [] => Ok((NO_STATUS, "")),
        [_] => Err(ProtocolError::CloseTooShort),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !may_be_sent(code) {
                return Err(ProtocolError::CloseCode);
            }
            Ok((code, utf8::text(reason).map_err(|_| ProtocolError::InvalidUtf8)?))
        }
    }
}

/// The payload for `code` and as much of `reason` as fits, cut between characters. For 1005 it is empty (RFC 6455
/// §7.1.5).
pub(crate) fn payload(code: u16, reason: &str) -> Vec<u8> {
    if code == NO_STATUS {
        return Vec::new();
    }
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_registered_and_private_codes_are_legal() {
        let registered = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
        let legal = |code| registered.contains(&code) || (3000..5000).contains(&code);
        for code in 0..=u16::MAX {
            assert_eq!(may_be_sent(code), legal(code), "{code}");
            assert_eq!(parse(&code.to_be_bytes()).is_ok(), legal(code), "{code}");
        }
    }

    #[test]
    fn payloads_round_trip() {
        for (code, reason) in [(1000, ""), (4999, "bye"), (3000, "κόσμε"), (NO_STATUS, "")] {
            assert_eq!(parse(&payload(code, reason)), Ok((code, reason)));
        }
        assert_eq!(parse(b"\x03"), Err(ProtocolError::CloseTooShort));
        assert_eq!(parse(b"\x03\xe8\xff"), Err(ProtocolError::InvalidUtf8));
        assert_eq!(parse(b"\x03\xed"), Err(ProtocolError::CloseCode));
    }

    #[test]
    fn a_long_reason_is_cut_at_a_characters_end() {
        let long = "é".repeat(100);
        let payload = payload(1000, &long);
        assert_eq!(payload.len(), 2 + 122);
        assert_eq!(parse(&payload), Ok((1000, &long[..122])));
    }
}
