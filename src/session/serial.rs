//! The serialized form, in JSON and in binary formats, of types whose form is not simply their fields: messages,
//! answers, information about a connection. Input is checked like by the types' own constructors.

use crate::codec::http::{Response, ResponseHead};
use crate::config::SlowConsumer;
use crate::fd::Fd;
use crate::net::lost::Lost;
use crate::session::info::{ClientInfo, Status, Transport};
use crate::session::message::Message;
use crate::session::request::{Acceptance, Handshake, Verdict};
use crate::session::scalars::Base64;
use serde::de::{Deserializer, Error as _};
use serde::ser::{Error as _, SerializeStruct as _, Serializer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A payload is either text or binary.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MessageForm {
    text: Option<String>,
    binary: Option<Base64<'static>>,
    event: Option<String>,
    id: Option<String>,
    latest: Option<u64>,
    slow_consumer: Option<SlowConsumer>,
}

/// Text formats get the fields that are set. Binary formats get all of them, because some know fields only by their
/// order.
impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn field<F, T>(form: &mut F, all: bool, name: &'static str, value: Option<T>) -> Result<(), F::Error>
        where
            F: serde::ser::SerializeStruct,
            T: Serialize,
        {
            if all || value.is_some() { form.serialize_field(name, &value) } else { form.skip_field(name) }
        }
        let text = self.as_str();
        let binary = text.is_none().then(|| Base64(self.as_bytes().into()));
        let label = |label: fn(&crate::codec::labels::Labels) -> &str| {
            self.labels().map(label).filter(|label| !label.is_empty())
        };
        let (event, id) = (label(|labels| &labels.event), label(|labels| &labels.id));
        let (latest, policy) = (self.delivery().key, self.delivery().slow_consumer);
        let all = !serializer.is_human_readable();
        let present = [true, event.is_some(), id.is_some(), latest.is_some(), policy.is_some()];
        let count = if all { 6 } else { present.into_iter().filter(|is_present| *is_present).count() };
        let mut form = serializer.serialize_struct("Message", count)?;
        field(&mut form, all, "text", text)?;
        field(&mut form, all, "binary", binary)?;
        field(&mut form, all, "event", event)?;
        field(&mut form, all, "id", id)?;
        field(&mut form, all, "latest", latest)?;
        field(&mut form, all, "slow_consumer", policy)?;
        form.end()
    }
}

impl<'de> Deserialize<'de> for Message<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = MessageForm::deserialize(deserializer)?;
        let mut message = match (form.text, form.binary) {
            (Some(text), None) => Message::from(text),
            (None, Some(Base64(bytes))) => Message::binary(bytes),
            _ => return Err(D::Error::custom("a message has either `text` or `binary`")),
        };
        if let Some(event) = form.event {
            message = message.event(event);
        }
        if let Some(id) = form.id {
            message = message.id(id);
        }
        if let Some(key) = form.latest {
            message = message.latest(key);
        }
        if let Some(policy) = form.slow_consumer {
            message = message.slow_consumer(policy);
        }
        Ok(message)
    }
}

type HeaderList<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The body is text if it is UTF-8.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseForm<'a> {
    status: u16,
    #[serde(default)]
    headers: HeaderList<'a>,
    #[serde(default)]
    text: Cow<'a, str>,
    #[serde(default)]
    binary: Option<Base64<'a>>,
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (text, binary) = match std::str::from_utf8(self.body_bytes()) {
            Ok(text) => (text.into(), None),
            Err(_) => ("".into(), Some(Base64(self.body_bytes().into()))),
        };
        let headers = self.headers().map(|(name, value)| (name.into(), value.into())).collect();
        ResponseForm { status: self.status(), headers, text, binary }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = ResponseForm::deserialize(deserializer)?;
        let mut response = Response::checked(form.status).map_err(D::Error::custom)?;
        for (name, value) in form.headers {
            response = response
                .checked_header(name.into_owned().into(), value.into_owned().into())
                .map_err(D::Error::custom)?;
        }
        match (form.binary, form.text) {
            (None, text) => Ok(response.body(text.into_owned().into_bytes())),
            (Some(Base64(bytes)), text) if text.is_empty() => Ok(response.body(bytes)),
            _ => Err(D::Error::custom("a response has either `text` or `binary`")),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResponseHeadForm<'a> {
    status: u16,
    #[serde(default)]
    headers: HeaderList<'a>,
    #[serde(default)]
    content_length: Option<u64>,
}

impl Serialize for ResponseHead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let headers = self.response.headers().map(|(name, value)| (name.into(), value.into())).collect();
        let form = ResponseHeadForm { status: self.status(), headers, content_length: self.length };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ResponseHead {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = ResponseHeadForm::deserialize(deserializer)?;
        let mut response = Response::checked(form.status).map_err(D::Error::custom)?;
        for (name, value) in form.headers {
            response = response
                .checked_header(name.into_owned().into(), value.into_owned().into())
                .map_err(D::Error::custom)?;
        }
        Ok(ResponseHead { response, length: form.content_length })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum HandshakeForm {
    Accept {
        #[serde(default)]
        subprotocol: Option<String>,
        #[serde(default)]
        headers: HeaderList<'static>,
    },
    Refuse(Response),
}

impl Serialize for Handshake {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match self.0.clone() {
            Verdict::Accept(Acceptance { envelope: Some(_), .. }) => {
                return Err(S::Error::custom("an envelope is known to its own server only"));
            }
            Verdict::Accept(Acceptance { subprotocol, headers, envelope: None }) => {
                HandshakeForm::Accept { subprotocol: subprotocol.map(Cow::into_owned), headers }
            }
            Verdict::Refuse(response) => HandshakeForm::Refuse(response),
            Verdict::Later => {
                return Err(S::Error::custom("Handshake::later is no answer that could be written"));
            }
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Handshake {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match HandshakeForm::deserialize(deserializer)? {
            HandshakeForm::Accept { subprotocol, headers } => {
                let mut handshake = Handshake::accept();
                if let Some(name) = subprotocol {
                    handshake = handshake.subprotocol(name);
                }
                for (name, value) in headers {
                    handshake = handshake.checked_header(name, value).map_err(D::Error::custom)?;
                }
                Ok(handshake)
            }
            HandshakeForm::Refuse(response) => Ok(Handshake::refuse(response)),
        }
    }
}

/// An instant is written as the time that has passed since, because an instant has no meaning in another process.
#[derive(Serialize, Deserialize)]
struct ClientInfoForm {
    fd: Fd,
    status: Status,
    transport: Transport,
    remote_addr: Option<SocketAddr>,
    local_addr: Option<SocketAddr>,
    connected_millis_ago: u64,
    last_received_millis_ago: u64,
    round_trip_millis: Option<u64>,
    queued_bytes: usize,
    held_bytes: usize,
    is_paused: bool,
    is_protected: bool,
    uid: Option<Box<str>>,
    lost: Lost,
}

impl Serialize for ClientInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let millis_ago = |instant: Instant| instant.elapsed().as_millis() as u64;
        let form = ClientInfoForm {
            fd: self.fd,
            status: self.status,
            transport: self.transport,
            remote_addr: self.remote_addr,
            local_addr: self.local_addr,
            connected_millis_ago: millis_ago(self.connected_at),
            last_received_millis_ago: millis_ago(self.last_received_at),
            round_trip_millis: self.round_trip.map(|trip| trip.as_millis() as u64),
            queued_bytes: self.queued_bytes,
            held_bytes: self.held_bytes,
            is_paused: self.is_paused,
            is_protected: self.is_protected,
            uid: self.uid.clone(),
            lost: self.lost,
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ClientInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = ClientInfoForm::deserialize(deserializer)?;
        let now = Instant::now();
        // No clock of this kind goes back further than the start of its machine.
        let ago = |millis| now.checked_sub(Duration::from_millis(millis)).unwrap_or(now);
        Ok(ClientInfo {
            fd: form.fd,
            status: form.status,
            transport: form.transport,
            remote_addr: form.remote_addr,
            connected_at: ago(form.connected_millis_ago),
            last_received_at: ago(form.last_received_millis_ago),
            queued_bytes: form.queued_bytes,
            local_addr: form.local_addr,
            round_trip: form.round_trip_millis.map(Duration::from_millis),
            is_paused: form.is_paused,
            is_protected: form.is_protected,
            held_bytes: form.held_bytes,
            uid: form.uid,
            lost: form.lost,
        })
    }
}
