//! The limits of this layer, in one place, so that they can be changed while a server runs.

use super::rate::Rates;
use crate::config::{Config, Network, SlowConsumer};
use crate::fd::Fd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::IpAddr;
use std::time::Duration;

/// Output of one turn that is kept together: enough to write each connection's part of a burst in one call.
pub(crate) const BATCH_BYTES_MAX: usize = 1 << 20;

/// Files that are not connections: standard streams, listeners, the poller, what the program itself opens.
pub(crate) const OTHER_FILES: usize = 64;

/// One address may have a quarter of what is shared.
pub(super) const SHARES: usize = 4;
/// So many connections an address may have, however few there may be in all.
const FEW: u32 = 16;

#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    /// The limit for connections with a socket, and again for those without one.
    pub(crate) of_a_kind_max: usize,
    pub(crate) connections_per_address_max: Option<u32>,
    pub(crate) handshakes_per_address_max: Option<u32>,
    trusted_proxies: Vec<Network>,
    pub(crate) rates: Rates,
    pub(crate) reads_per_turn_max: u32,
    pub(crate) accepts_per_turn_max: u32,
    pub(crate) outbox_bytes_max: usize,
    pub(crate) outboxes_bytes_max: usize,
    pub(crate) inbound_bytes_max: usize,
    /// What the connections of one address may have of these. As much as one connection may have in any case.
    pub(super) outboxes_share: usize,
    pub(super) inbound_share: usize,
    pub(crate) slow_consumer: SlowConsumer,
    pub(crate) buffer_high_watermark: usize,
    pub(crate) buffer_low_watermark: usize,
    /// When so much waits for a peer, it is not read for what adds to that.
    pub(super) unread_bytes_max: usize,
    /// Output of one turn beyond this is written early.
    pub(crate) batch_bytes_max: usize,
    pub(crate) finish_timeout: Duration,
    /// How long the end of a connection may take in all, in addition to the time for what is queued; and after how long
    /// its pace is judged.
    pub(crate) ending_timeout: Duration,
    /// After how long the pace of who is sent an answer is judged, its connection's end included.
    pub(crate) answer_timeout: Duration,
    /// After how long the pace of everybody else is judged.
    pub(crate) pace_timeout: Duration,
    /// A transfer that is slower than this, in bytes per second, is given up.
    pub(crate) bytes_per_second_min: u32,
    pub(crate) linger_timeout: Duration,
}

impl Limits {
    /// Also raises the limit of open files, because every socket is one. Sessions of long polling are not: where files
    /// are the only limit, there may be as many of them as of sockets.
    pub(crate) fn new(config: &Config) -> Limits {
        let files = raise_file_limit().saturating_sub(OTHER_FILES).max(1);
        let of_a_kind_max = config.connections_max.unwrap_or(files);
        let connections_max = match (config.connections_max, config.long_polling) {
            (None, true) => files.saturating_mul(2),
            _ => of_a_kind_max,
        };
        Limits {
            connections_max: connections_max.min(Fd::INDEX_MAX as usize),
            of_a_kind_max,
            connections_per_address_max: (config.connections_per_address_max)
                .map(|max| max.min(u32::try_from(of_a_kind_max / SHARES).unwrap_or(u32::MAX).max(FEW))),
            handshakes_per_address_max: config.handshakes_per_address_max,
            trusted_proxies: config.trusted_proxies.clone(),
            rates: Rates::new(config.messages_per_second_max, config.bytes_per_second_max),
            reads_per_turn_max: config.reads_per_turn_max,
            accepts_per_turn_max: config.accepts_per_turn_max,
            outbox_bytes_max: config.outbox_bytes_max,
            outboxes_bytes_max: config.outboxes_bytes_max,
            inbound_bytes_max: config.inbound_bytes_max,
            outboxes_share: (config.outboxes_bytes_max / SHARES).max(config.outbox_bytes_max),
            inbound_share: (config.inbound_bytes_max / SHARES).max(config.inbound_bytes_needed()),
            slow_consumer: config.slow_consumer,
            buffer_high_watermark: config.buffer_high_watermark(),
            buffer_low_watermark: config.buffer_low_watermark,
            unread_bytes_max: config.unread_bytes_max(),
            batch_bytes_max: BATCH_BYTES_MAX,
            finish_timeout: config.close_timeout,
            ending_timeout: config.close_timeout.saturating_mul(4),
            answer_timeout: config.keep_alive_timeout.max(config.close_timeout),
            pace_timeout: config.pong_timeout,
            bytes_per_second_min: config.bytes_per_second_min,
            linger_timeout: config.linger_timeout,
        }
    }

    pub(crate) fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

/// Raises the soft limit of open files to the hard one and returns it.
fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        log::warn!("the limit of open files can't be raised: {error}");
    }
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
