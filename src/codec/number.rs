//! Numbers as clients send them back. Knows no protocol.

use std::str::FromStr;

/// A number that was written as this server writes it: by digits alone, and none too many. Whatever else `parse` takes,
/// such as `+1` and `007`, was made up.
pub(crate) fn canonical<T: FromStr>(text: &str) -> Option<T> {
    let is_canonical = match text.as_bytes() {
        [b'0'] | [b'1'..=b'9'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    text.parse().ok().filter(|_| is_canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        for number in [0, 1, 9, 10, 907, u64::MAX] {
            assert_eq!(canonical(&number.to_string()), Some(number));
        }
        for text in [
            "",
            "+",
            "+1",
            "-1",
            "00",
            "01",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "x",
            "\u{661}",
            "18446744073709551616",
        ] {
            assert_eq!(canonical::<u64>(text), None, "{text:?}");
        }
        assert_eq!((canonical::<u16>("65535"), canonical::<u16>("65536")), (Some(65_535), None));
        assert_eq!(canonical::<std::num::NonZeroU32>("0"), None);
    }
}
