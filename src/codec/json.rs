//! JSON strings (RFC 8259 §7). Knows nothing else of JSON.

use std::io::Write as _;

/// Appends a text, which must be UTF-8, in quotes.
pub(crate) fn quote(to: &mut Vec<u8>, text: &[u8]) {
    to.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte < b' ' || b"\"\\".contains(byte)) {
        to.extend_from_slice(&rest[..at]);
        match rest[at] {
            byte @ (b'"' | b'\\') => to.extend([b'\\', byte]),
            b'\n' => to.extend(b"\\n"),
            byte => write!(to, "\\u{byte:04x}").expect("a Vec takes all"),
        }
        rest = &rest[at + 1..];
    }
    to.extend_from_slice(rest);
    to.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_that_may_not_stand_for_itself_is_escaped() {
        let mut quoted = Vec::new();
        quote(&mut quoted, "say \"no\"\r\n\\ ü\u{1}\0".as_bytes());
        assert_eq!(String::from_utf8(quoted).expect("text"), r#""say \"no\"\u000d\n\\ ü\u0001\u0000""#);
        for text in ["", "a", "é\u{2028}/"] {
            let mut quoted = Vec::new();
            quote(&mut quoted, text.as_bytes());
            assert_eq!(quoted, format!("\"{text}\"").as_bytes());
        }
    }
}
