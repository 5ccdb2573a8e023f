//! What connections of a route and a listener may do: the configuration with the options of both applied, worked out
//! in advance.

use crate::config::{Config, Origins};
use crate::net::rate::Rates;

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) message_bytes_max: usize,
    pub(crate) fragments_max: u32,
    pub(crate) deliver_fragments: bool,
    pub(crate) event_streams: bool,
    pub(crate) long_polling: bool,
    pub(crate) delay_receive: bool,
    pub(crate) rates: Rates,
    pub(crate) body_bytes_max: usize,
    pub(crate) origins: Origins,
    pub(crate) subprotocols: Vec<String>,
}

impl Policy {
    pub(crate) fn new(config: &Config) -> Policy {
        Policy {
            message_bytes_max: config.message_bytes_max,
            fragments_max: config.fragments_max,
            deliver_fragments: config.deliver_fragments,
            event_streams: config.event_streams,
            long_polling: config.long_polling,
            delay_receive: config.delay_receive,
            rates: Rates::new(config.messages_per_second_max, config.bytes_per_second_max),
            body_bytes_max: config.body_bytes_max,
            origins: config.origins.clone(),
            subprotocols: config.subprotocols.clone(),
        }
    }
}
