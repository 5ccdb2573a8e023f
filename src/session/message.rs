//! Messages to send, as callers give them.

use crate::codec::labels::Labels;
use crate::codec::ws::{Opcode, utf8};
use crate::config::SlowConsumer;
use crate::net::quota::Delivery;
use crate::session::frame::Data;
use crate::session::prepared::Prepared;
use std::borrow::Cow;
use std::fmt;

/// A message to send. Strings become text messages, bytes become binary messages, and a received [`Data`] keeps its
/// kind.
///
/// ```
/// use swio::{Message, Opcode};
///
/// assert_eq!(Message::from("hello").opcode(), Opcode::Text);
/// assert_eq!(Message::from(vec![1, 2, 3]).opcode(), Opcode::Binary);
/// ```
#[derive(Clone)]
pub struct Message<'a> {
    opcode: Opcode,
    content: Content<'a>,
    delivery: Delivery,
    /// Most have none.
    labels: Option<Box<Labels>>,
}

/// What a message is made of.
#[derive(Clone)]
pub(crate) enum Content<'a> {
    Bytes(Cow<'a, [u8]>),
    Prepared(Prepared),
}

impl<'a> Message<'a> {
    /// [`Opcode::Text`] or [`Opcode::Binary`].
    pub fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.content {
            Content::Bytes(bytes) => bytes,
            Content::Prepared(prepared) => prepared.as_bytes(),
        }
    }

    /// The text of a text message, `None` for a binary message.
    pub fn as_str(&self) -> Option<&str> {
        if self.opcode != Opcode::Text {
            return None;
        }
        Some(utf8::text(self.as_bytes()).expect("made of a text, or checked as it arrived"))
    }

    /// The same message, owning its bytes.
    pub fn into_owned(self) -> Message<'static> {
        let content = match self.content {
            Content::Bytes(bytes) => Content::Bytes(Cow::Owned(bytes.into_owned())),
            Content::Prepared(prepared) => Content::Prepared(prepared),
        };
        Message { opcode: self.opcode, content, delivery: self.delivery, labels: self.labels }
    }

    /// Encodes it once, for any number of sends. A message that is prepared already is shared. Settings such as
    /// [`latest`](Message::latest) and [`event`](Message::event) are not kept: make them on each message that is made
    /// from the result.
    pub fn prepare(self) -> Prepared {
        match self.content {
            Content::Bytes(bytes) => Prepared::new(self.opcode, &bytes),
            Content::Prepared(prepared) => prepared,
        }
    }

    /// Sets what happens to this message if a connection has no room for it. This overrides the connection's own
    /// [policy](crate::Server::set_slow_consumer).
    ///
    /// ```no_run
    /// # use swio::{Fd, Message, PushError, Server, SlowConsumer};
    /// fn typing(server: &mut Server, fd: Fd) -> Result<(), PushError> {
    ///     server.push(fd, Message::from("alice is typing").slow_consumer(SlowConsumer::DropNewest))
    /// }
    /// ```
    pub fn slow_consumer(mut self, policy: SlowConsumer) -> Message<'a> {
        self.delivery.slow_consumer = Some(policy);
        self
    }

    /// Lets only the latest message with this key wait: if an earlier one waits for the same connection, this one
    /// takes its place in the queue. Use it for states rather than events, such as positions, prices and scores: a
    /// slow client gets fewer of them, and never an old one after a newer one. The key is any number of yours, for
    /// example the id of the object whose state it is; each connection has its own keys. A message that is kept in a
    /// [history](crate::Server::keep_history) loses its key, because clients resume by the order of messages.
    ///
    /// ```no_run
    /// # use swio::{Fd, Message, PushError, Server};
    /// fn moved(server: &mut Server, player: u64, x: f32, y: f32) {
    ///     server.broadcast(Message::from(format!("{player} {x} {y}")).latest(player)).send();
    /// }
    /// ```
    pub fn latest(mut self, key: u64) -> Message<'a> {
        self.delivery.key = Some(key);
        self
    }

    /// Removes the key that [`latest`](Message::latest) has set.
    pub(crate) fn in_order(mut self) -> Message<'a> {
        self.delivery.key = None;
        self
    }

    /// Its size in bytes, as the mailbox counts it.
    pub(crate) fn bytes(&self) -> usize {
        let labels = self.labels.as_ref().map_or(0, |labels| labels.id.len() + labels.event.len());
        self.as_bytes().len() + labels
    }

    pub(crate) fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Sets its event name for pages: they listen for this name instead of `message`. The name is sent on event
    /// streams (without line breaks and NUL), to polls and with `swio.1`; it has no meaning on other connections.
    /// Avoid `open`, `close`, `error`, `gap` and the like: pages take those for events of the connection itself, and
    /// the script for pages delivers such a message as `message`.
    ///
    /// ```no_run
    /// # use swio::{Message, Server};
    /// fn tell(server: &mut Server, price: f64) {
    ///     server.publish("prices", Message::from(price.to_string()).event("price")).send();
    /// }
    /// ```
    pub fn event(mut self, name: impl Into<String>) -> Message<'a> {
        self.labels_mut().event = name.into();
        self
    }

    /// Sets its id, which a client that reconnects sends as [`Request::last_event_id`](crate::Request::last_event_id).
    /// The id is sent on the same connections as the name of an [`event`](Message::event), and in the same way. A
    /// message that is published to a topic with a [history](crate::Server::keep_history) gets an id automatically.
    pub fn id(mut self, id: impl Into<String>) -> Message<'a> {
        self.labels_mut().id = id.into();
        self
    }

    /// The topic that it is published to, for [envelopes](crate::Envelope); `None` if it is pushed or broadcast.
    pub fn topic(&self) -> Option<&str> {
        self.label(|labels| &labels.topic)
    }

    /// The id that was set by [`id`](Message::id), or by the [history](crate::Server::keep_history) of its topic.
    pub fn event_id(&self) -> Option<&str> {
        self.label(|labels| &labels.id)
    }

    /// The event name that was set by [`event`](Message::event).
    pub fn event_name(&self) -> Option<&str> {
        self.label(|labels| &labels.event)
    }

    fn label(&self, label: impl FnOnce(&Labels) -> &str) -> Option<&str> {
        self.labels().map(label).filter(|label| !label.is_empty())
    }

    /// Sets the topic that it is published to.
    pub(crate) fn published_to(mut self, topic: &str) -> Message<'a> {
        self.set_topic(topic);
        self
    }

    /// Sets the id that it has, instead of its own, on event streams without labels.
    pub(crate) fn overall_id(mut self, id: String) -> Message<'a> {
        self.labels_mut().overall_id = id;
        self
    }

    pub(crate) fn set_topic(&mut self, topic: &str) {
        self.labels_mut().topic = topic.to_owned();
    }

    fn labels_mut(&mut self) -> &mut Labels {
        self.labels.get_or_insert_default()
    }

    pub(crate) fn labels(&self) -> Option<&Labels> {
        self.labels.as_deref()
    }

    /// The payload, copied only where others share it.
    #[inline(always)]
    pub(crate) fn into_bytes(self) -> Cow<'a, [u8]> {
        match self.content {
            Content::Bytes(bytes) => bytes,
            Content::Prepared(prepared) => Cow::Owned(prepared.as_bytes().to_vec()),
        }
    }

    pub(crate) fn prepared(&self) -> Option<&Prepared> {
        match &self.content {
            Content::Bytes(_) => None,
            Content::Prepared(prepared) => Some(prepared),
        }
    }

    pub(crate) fn new(opcode: Opcode, bytes: impl Into<Cow<'a, [u8]>>) -> Message<'a> {
        Message { opcode, content: Content::Bytes(bytes.into()), delivery: Delivery::default(), labels: None }
    }

    pub(crate) fn text(bytes: impl Into<Cow<'a, [u8]>>) -> Message<'a> {
        Message::new(Opcode::Text, bytes)
    }

    pub(crate) fn binary(bytes: impl Into<Cow<'a, [u8]>>) -> Message<'a> {
        Message::new(Opcode::Binary, bytes)
    }
}

/// Equal if kind and payload are, prepared or not.
impl PartialEq for Message<'_> {
    fn eq(&self, other: &Message<'_>) -> bool {
        (self.opcode, self.as_bytes()) == (other.opcode, other.as_bytes())
    }
}

impl Eq for Message<'_> {}

/// Shows the payload only: its settings are rarely of interest.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Message").field(&Data { opcode: self.opcode, bytes: self.as_bytes() }).finish()
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Message<'a> {
        Message::text(text.as_bytes())
    }
}

impl<'a> From<&'a String> for Message<'a> {
    fn from(text: &'a String) -> Message<'a> {
        Message::text(text.as_bytes())
    }
}

impl From<String> for Message<'_> {
    fn from(text: String) -> Self {
        Message::text(text.into_bytes())
    }
}

impl<'a> From<Cow<'a, str>> for Message<'a> {
    fn from(text: Cow<'a, str>) -> Message<'a> {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Message<'a> {
        Message::binary(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    fn from(bytes: &'a [u8; N]) -> Message<'a> {
        Message::binary(bytes.as_slice())
    }
}

impl<'a> From<&'a Vec<u8>> for Message<'a> {
    fn from(bytes: &'a Vec<u8>) -> Message<'a> {
        Message::binary(bytes.as_slice())
    }
}

impl From<Vec<u8>> for Message<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Message::binary(bytes)
    }
}

impl<'a> From<Data<'a>> for Message<'a> {
    fn from(data: Data<'a>) -> Message<'a> {
        Message::new(data.opcode, data.bytes)
    }
}

impl From<Prepared> for Message<'_> {
    fn from(prepared: Prepared) -> Self {
        Message {
            opcode: prepared.opcode(),
            content: Content::Prepared(prepared),
            delivery: Delivery::default(),
            labels: None,
        }
    }
}

impl From<&Prepared> for Message<'_> {
    fn from(prepared: &Prepared) -> Self {
        prepared.clone().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fd::Fd;
    use crate::session::frame::Frame;

    #[test]
    fn the_text_is_there_at_every_length() {
        let fd = Fd::from_u64(2).expect("an fd");
        for text in ["", "hello", "κόσμε 🎉", &"é".repeat(200), &"漢字 and ascii ".repeat(5_000)] {
            let data = Frame::new(fd, Opcode::Text, text.as_bytes()).data;
            assert_eq!((data.as_str(), Message::from(data).as_str()), (Some(text), Some(text)));
            assert_eq!(Message::from(text).prepare().as_bytes(), text.as_bytes());
            let data = Frame::new(fd, Opcode::Binary, text.as_bytes()).data;
            assert_eq!((data.as_str(), Message::from(data).as_str()), (None, None));
        }
    }

    #[test]
    fn a_prepared_message_is_the_one_that_it_was_made_of() {
        for len in [0, 1, 125, 126, 0xffff, 0x1_0000] {
            let bytes = vec![7; len];
            let prepared = Message::from(&bytes).prepare();
            assert_eq!((prepared.opcode(), prepared.as_bytes()), (Opcode::Binary, &*bytes));
            assert_eq!(Message::from(&prepared), Message::from(&bytes));
            assert_eq!(Message::from(&prepared).into_owned().prepare(), prepared);
        }
        let text = Message::from("x").prepare();
        assert_eq!(text.opcode(), Opcode::Text);
        assert_ne!(Message::from(&text), Message::from(b"x"));
        assert_eq!(format!("{text:?}"), r#"Prepared("x")"#);
        assert_eq!(format!("{:?}", Message::from("x").latest(7)), r#"Message("x")"#);
        assert_eq!(format!("{:?}", Message::from(&[1, 2])), "Message([1, 2])");
    }
}
