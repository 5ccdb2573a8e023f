//! JSON as far as the server writes it: strict, and with what it has no use for left out. (serde_json's comparisons of
//! its values with numbers would leave the types in other tests open.)

use std::iter::Peekable;
use std::str::Chars;

#[derive(Debug)]
pub(super) enum Json {
    Text(String),
    Number(u64),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(super) fn read(bytes: &[u8]) -> Json {
        let text = std::str::from_utf8(bytes).expect("JSON is text");
        let mut chars = text.chars().peekable();
        let json = value(&mut chars);
        assert_eq!(chars.next(), None, "something behind the JSON: {text}");
        json
    }

    pub(super) fn member(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else { panic!("no object: {self:?}") };
        members.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.member(name).map(|value| match value {
            Json::Text(text) => text.clone(),
            _ => panic!("no text: {value:?}"),
        })
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.member(name).map(|value| match value {
            Json::Number(number) => *number,
            _ => panic!("no number: {value:?}"),
        })
    }
}

fn value(chars: &mut Peekable<Chars<'_>>) -> Json {
    match chars.next().expect("a value") {
        '"' => Json::Text(string(chars)),
        '[' => Json::List(members(chars, ']', value)),
        '{' => Json::Object(members(chars, '}', |chars| {
            assert_eq!(chars.next(), Some('"'));
            let name = string(chars);
            assert_eq!(chars.next(), Some(':'));
            (name, value(chars))
        })),
        first => {
            let mut number = u64::from(first.to_digit(10).expect("a number"));
            while let Some(digit) = chars.peek().and_then(|next| next.to_digit(10)) {
                number = number * 10 + u64::from(digit);
                chars.next();
            }
            Json::Number(number)
        }
    }
}

fn members<T>(
    chars: &mut Peekable<Chars<'_>>,
    end: char,
    mut member: impl FnMut(&mut Peekable<Chars<'_>>) -> T,
) -> Vec<T> {
    let mut members = Vec::new();
    if chars.next_if_eq(&end).is_some() {
        return members;
    }
    loop {
        members.push(member(chars));
        match chars.next() {
            Some(',') => {}
            next => {
                assert_eq!(next, Some(end));
                return members;
            }
        }
    }
}

fn string(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut text = String::new();
    loop {
        match chars.next().expect("the end of a string") {
            '"' => return text,
            '\\' => text.push(match chars.next().expect("an escape") {
                'n' => '\n',
                'u' => {
                    let digits: String = chars.take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).expect("four digits");
                    char::from_u32(code).expect("no surrogate")
                }
                plain @ ('"' | '\\' | '/') => plain,
                other => panic!("an escape: {other:?}"),
            }),
            plain => {
                assert!(plain >= ' ', "a control character in JSON");
                text.push(plain);
            }
        }
    }
}
