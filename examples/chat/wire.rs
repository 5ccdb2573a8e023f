//! The messages between page and server: one JSON object each, with a `type`. Also their limits: everything that a
//! visitor can choose has a limit here.

use serde::{Deserialize, Serialize};

const NICK_CHARS_MAX: usize = 24;
const ROOM_CHARS_MAX: usize = 32;
const TEXT_CHARS_MAX: usize = 4000;
pub(crate) const TAG_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum FromPage {
    /// Enters a room and leaves the previous one. For `key` see `Chat::identify`.
    Join {
        room: String,
        nick: String,
        key: Option<String>,
    },
    Nick {
        nick: String,
    },
    /// `tag` is sent back with the message, so that the page knows which of its own have arrived.
    Say {
        text: String,
        tag: Option<String>,
    },
    Typing,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum ToPage<'a> {
    Rooms { rooms: Vec<RoomLine<'a>> },
    Joined { room: &'a str, you: Person<'a>, people: Vec<Person<'a>>, history: Vec<&'a Message> },
    Message(&'a Message),
    Arrived(Person<'a>),
    Left(Person<'a>),
    Renamed { who: u64, from: &'a str, name: &'a str },
    Typing(Person<'a>),
    Error(Refusal),
}

#[derive(Serialize)]
pub(crate) struct RoomLine<'a> {
    pub(crate) name: &'a str,
    pub(crate) people: usize,
}

#[derive(Clone, Copy, Serialize)]
pub(crate) struct Person<'a> {
    pub(crate) who: u64,
    pub(crate) name: &'a str,
}

#[derive(Serialize)]
pub(crate) struct Message {
    pub(crate) id: u64,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    pub(crate) who: u64,
    /// The author's name at that time.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) tag: Option<String>,
}

/// Why something was refused: a code for the page, a sentence for the person, and the message in question.
#[derive(Serialize)]
pub(crate) struct Refusal {
    code: &'static str,
    message: String,
    tag: Option<String>,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), tag: None }
    }

    pub(crate) fn about(self, tag: Option<String>) -> Self {
        Self { tag, ..self }
    }
}

pub(crate) fn parse(json: &[u8]) -> Result<FromPage, Refusal> {
    serde_json::from_slice(json).map_err(|error| Refusal::new("bad-message", error.to_string()))
}

pub(crate) fn encode(event: &ToPage<'_>) -> String {
    serde_json::to_string(event).expect("numbers, strings and lists always have a JSON form")
}

/// Removes invisible characters, trims, and makes one space of any blanks inside: names that look the same are the
/// same.
pub(crate) fn nickname(raw: &str) -> Result<String, Refusal> {
    let visible: String = raw.chars().filter(|c| c.is_whitespace() || !is_invisible(*c)).collect();
    let name = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    if !(1..=NICK_CHARS_MAX).contains(&name.chars().count()) {
        return Err(Refusal::new("bad-nick", format!("A name has 1 to {NICK_CHARS_MAX} characters.")));
    }
    Ok(name)
}

/// Lower case, with hyphens for blanks, so that different spellings lead to the same room.
pub(crate) fn room_name(raw: &str) -> Result<String, Refusal> {
    let name = raw.split_whitespace().collect::<Vec<_>>().join("-").to_lowercase();
    let fits = (1..=ROOM_CHARS_MAX).contains(&name.chars().count());
    if !fits || !name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
        let rule =
            format!("A room’s name has 1 to {ROOM_CHARS_MAX} letters, digits, hyphens, dots or underscores.");
        return Err(Refusal::new("bad-room", rule));
    }
    Ok(name)
}

pub(crate) fn text(raw: &str) -> Result<String, Refusal> {
    let text: String = raw.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect();
    let text = text.trim_start_matches('\n').trim_end();
    if text.is_empty() {
        return Err(Refusal::new("empty-text", "There is nothing to send."));
    }
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(Refusal::new("long-text", format!("A message has at most {TEXT_CHARS_MAX} characters.")));
    }
    Ok(text.to_owned())
}

/// Control characters, characters without width, and those that change the direction of the text around them.
fn is_invisible(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{feff}')
}
