//! Parameters of queries, found without decoding the others: whoever sends a query decides how many it has. A name is
//! found only as it is written here, not percent-encoded.

use std::borrow::Cow;

/// The pairs of a query in order: a name as sent, and the whole pair.
pub(crate) fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let ends = memchr::memchr_iter(b'&', query).chain(std::iter::once(query.len()));
    let mut start = 0;
    ends.map(move |end| {
        let pair = &query[start..end];
        start = end + 1;
        (&pair[..memchr::memchr(b'=', pair).unwrap_or(pair.len())], pair)
    })
}

/// The value of a pair, decoded as forms are (WHATWG URL §5.1).
pub(crate) fn value(pair: &[u8]) -> Cow<'_, str> {
    form_urlencoded::parse(pair).next().map(|(_, value)| value).unwrap_or_default()
}

/// The values of all parameters of this name.
pub(crate) fn values<'a>(query: &'a str, name: &'static str) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
    let query = query.as_bytes();
    // Found in a first pass, which most queries end with: it is many times faster than the second one.
    let has_it = memchr::memmem::find(query, name.as_bytes()).is_some();
    pairs(if has_it { query } else { b"" })
        .filter(move |(other, _)| *other == name.as_bytes())
        .map(|(_, pair)| value(pair))
}

/// The first parameter of this name, which may be encoded in the query as forms encode it.
pub(crate) fn param<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let is_it = |other: &[u8]| {
        other == name.as_bytes()
            || memchr::memchr2(b'%', b'+', other).is_some()
                && form_urlencoded::parse(other).next().is_some_and(|(other, _)| other == name)
    };
    pairs(query.as_bytes())
        .find(|(other, pair)| !pair.is_empty() && is_it(other))
        .map(|(_, pair)| value(pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_that_a_form_has_for_the_name() {
        for query in [
            "",
            "a",
            "a=",
            "=a",
            "b=1&a=2&a=3",
            "a=1=2&&a",
            "ba=1&ab=2",
            "a=%26+%C3%BC%ff",
            "+=+&a=+&",
            "a&a=1",
        ] {
            let expected: Vec<_> =
                form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "a").collect();
            let expected: Vec<_> = expected.into_iter().map(|(_, value)| value).collect();
            assert_eq!(values(query, "a").collect::<Vec<_>>(), expected, "{query:?}");
            assert_eq!(param(query, "a"), expected.first().cloned(), "{query:?}");
        }
        assert_eq!((values("%61=1", "a").count(), param("b&%61=1", "a")), (0, Some("1".into())));
        for (query, name) in [("b+%63=1", "b c"), ("=1", ""), ("&", ""), ("", "")] {
            let expected = form_urlencoded::parse(query.as_bytes()).find(|(other, _)| other == name);
            assert_eq!(param(query, name), expected.map(|(_, value)| value), "{query:?}");
        }
    }
}
