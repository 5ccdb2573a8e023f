//! Clients that reconnect: the positions that they send, and the one that is catching up now.

use crate::fd::Fd;
use crate::server::state::history::Place;
use crate::session::request::Request;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What [`recover`](crate::Server::recover) found of the messages that a client missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Recovered {
    /// How many messages were pushed to it.
    pub messages: usize,
    /// Whether these are all. If not, the client's state has a gap: send it the whole state again.
    pub is_complete: bool,
}

/// What a client says of its positions: an id for each topic.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    pub(crate) of: BTreeMap<String, String>,
    pub(crate) elsewhere: Elsewhere,
}

/// The client's position in topics that it does not mention.
#[derive(Debug, Default)]
pub(crate) enum Elsewhere {
    /// It is new there: everything begins now.
    #[default]
    New,
    /// It was here before, and may have been in the topic without being told a position.
    Unknown,
    /// The position with this one id.
    At(String),
}

impl Positions {
    /// For a client that goes on in one topic.
    pub(crate) fn in_topic(topic: &str, last_id: Option<&str>) -> Positions {
        let of = last_id.map(|last_id| (topic.to_owned(), last_id.to_owned())).into_iter().collect();
        Positions { of, elsewhere: Elsewhere::New }
    }

    /// For a client that has one id for all topics, such as an event stream without labels.
    pub(crate) fn overall(last_id: Option<&str>) -> Positions {
        let elsewhere = last_id.map_or(Elsewhere::New, |last_id| Elsewhere::At(last_id.to_owned()));
        Positions { of: BTreeMap::new(), elsewhere }
    }

    /// For a client of `swio.1`, whose query has `last-event-id=ID TOPIC` for each topic. If there are several for one
    /// topic, the first counts, as for any parameter.
    pub(crate) fn in_query(request: &Request<'_>) -> Positions {
        let mut positions = Positions::default();
        for (_, value) in
            request.query_pairs().filter(|(name, value)| name == "last-event-id" && !value.is_empty())
        {
            positions.elsewhere = Elsewhere::Unknown;
            if let Some((id, topic)) = value.split_once(' ') {
                positions.of.entry(topic.to_owned()).or_insert_with(|| id.to_owned());
            }
        }
        positions
    }
}

/// A client that catches up after its `on_open` or `on_subscribe`. Until then, what is published to the histories that
/// it has joined waits, so that everything arrives once and in order.
#[derive(Debug)]
pub(crate) struct Returning {
    pub(crate) fd: Fd,
    pub(crate) positions: Positions,
    /// Topics with a history that it has joined meanwhile, and its places in them.
    pub(crate) joined: Vec<(Rc<str>, Place)>,
    /// Stamps of messages that were published meanwhile, but not for it.
    pub(crate) excepted: Vec<u64>,
}
