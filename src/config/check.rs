//! Finds values that can't work, and names the field in the error.

use super::Config;
use std::fmt;
use std::io;
use std::time::Duration;

/// What is wrong with a setting: which one it is, its line if it came from a file, and what it must be.
///
/// ```
/// # use std::io;
/// let error = swio::Server::builder()
///     .listen("127.0.0.1:0")
///     .configure(|config| config.backlog = 0)
///     .build()
///     .expect_err("nobody could wait");
/// assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
/// assert_eq!(error.to_string(), "backlog must be at least 1");
/// // Where `main` returns it, it can be read too.
/// assert_eq!(format!("{error:?}"), "Custom { kind: InvalidInput, error: backlog must be at least 1 }");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ConfigError {
    key: String,
    line: Option<usize>,
    /// The file that it comes from, or the route or listener that has it of its own.
    of: Option<String>,
    what: String,
}

impl ConfigError {
    pub(crate) fn new(key: impl Into<String>, what: impl Into<String>) -> ConfigError {
        ConfigError { key: key.into(), line: None, of: None, what: what.into() }
    }

    /// The line of the setting.
    #[cfg(any(test, feature = "toml"))]
    pub(crate) fn at(mut self, line: usize) -> ConfigError {
        self.line = Some(line);
        self
    }

    pub(crate) fn of(mut self, of: impl Into<String>) -> ConfigError {
        self.of = Some(of.into());
        self
    }

    /// The setting's name. Empty if the error is not about one setting, for instance if the file is not TOML.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The line of the setting, counted from 1, if it came from a text.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.of, self.line) {
            (Some(of), Some(line)) => write!(f, "{of}:{line}: ")?,
            (Some(of), None) => write!(f, "{of}: ")?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        if !self.key.is_empty() {
            write!(f, "{} ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// As [`Display`](fmt::Display): where `main` returns it, `Debug` is what its user reads.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for io::Error {
    fn from(error: ConfigError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

impl Config {
    /// Refuses values with which no client could be served. The error names the field and what it must be.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.check_counts()?;
        self.check_durations()?;
        self.check_names()?;
        self.check_sharing()?;
        self.check_sizes()
    }

    fn check_counts(&self) -> Result<(), ConfigError> {
        let positive = [
            ("connections_max", self.connections_max.unwrap_or(1)),
            ("connections_per_address_max", self.connections_per_address_max.unwrap_or(1) as usize),
            ("handshakes_per_address_max", self.handshakes_per_address_max.unwrap_or(1) as usize),
            ("message_bytes_max", self.message_bytes_max),
            ("fragments_max", self.fragments_max as usize),
            ("messages_per_second_max", self.messages_per_second_max.unwrap_or(1) as usize),
            ("bytes_per_second_max", self.bytes_per_second_max.map_or(1, |rate| rate.min(1) as usize)),
            ("bytes_per_second_min", self.bytes_per_second_min as usize),
            ("reads_per_turn_max", self.reads_per_turn_max as usize),
            ("accepts_per_turn_max", self.accepts_per_turn_max as usize),
            ("backlog", self.backlog as usize),
            ("mailbox_items_max", self.mailbox_items_max),
            ("mailbox_bytes_max", self.mailbox_bytes_max),
            ("task_threads", self.task_threads),
            ("topics_per_connection_max", self.topics_per_connection_max),
            ("topic_bytes_max", self.topic_bytes_max),
            ("topics_max", self.topics_max),
            ("uid_bytes_max", self.uid_bytes_max),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(ConfigError::new(*name, "must be at least 1"));
        }
        if self.topics_max > u32::MAX as usize {
            return Err(ConfigError::new("topics_max", "must be at most 4,294,967,295"));
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), ConfigError> {
        self.origins.check().map_err(|what| ConfigError::new("origins", what))?;
        self.hosts.check().map_err(|what| ConfigError::new("hosts", what))?;
        if let Some(wrong) = self.subprotocols.iter().find(|name| !is_name(name)) {
            let what = format!("has {wrong:?}, which is no name of a subprotocol");
            return Err(ConfigError::new("subprotocols", what));
        }
        if !matches!(self.shutdown_code, 1001 | 1012 | 1013 | 3000..=4999) {
            return Err(ConfigError::new("shutdown_code", "must be 1001, 1012, 1013 or 3000 to 4999"));
        }
        Ok(())
    }

    /// The kernel spreads the connections to a shared port over the processes, whatever they ask for.
    fn check_sharing(&self) -> Result<(), ConfigError> {
        if self.reuse_port && self.long_polling {
            let what = "can't be on together with reuse_port: each poll may reach another process, which does not know \
                        its session. Give each process a port of its own, and let a proxy send each client to one";
            return Err(ConfigError::new("long_polling", what));
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), ConfigError> {
        if self.head_bytes_max < 128 {
            return Err(ConfigError::new("head_bytes_max", "must be at least 128: a handshake needs that"));
        }
        if !(16..=1 << 30).contains(&self.read_buffer_bytes) {
            return Err(ConfigError::new("read_buffer_bytes", "must be 16 to 1,073,741,824"));
        }
        if self.outbox_bytes_max < 512 {
            return Err(ConfigError::new(
                "outbox_bytes_max",
                "must be at least 512: a handshake's answer needs that",
            ));
        }
        let buffers = [
            ("socket_send_buffer_bytes", self.socket_send_buffer_bytes),
            ("socket_recv_buffer_bytes", self.socket_recv_buffer_bytes),
            ("socket_unsent_bytes_max", self.socket_unsent_bytes_max),
        ];
        let is_wrong = |bytes: Option<usize>| bytes.is_some_and(|bytes| !(1..=1 << 30).contains(&bytes));
        if let Some((name, _)) = buffers.iter().find(|(_, bytes)| is_wrong(*bytes)) {
            return Err(ConfigError::new(*name, "must be 1 to 1,073,741,824"));
        }
        if self.outboxes_bytes_max < self.outbox_bytes_max {
            return Err(ConfigError::new("outboxes_bytes_max", "must be at least outbox_bytes_max"));
        }
        if self.buffer_high_watermark() > self.outbox_bytes_max {
            return Err(ConfigError::new("buffer_high_watermark", "must be at most outbox_bytes_max"));
        }
        if self.buffer_low_watermark >= self.buffer_high_watermark() {
            return Err(ConfigError::new("buffer_low_watermark", "must be less than buffer_high_watermark"));
        }
        if self.inbound_bytes_max < self.inbound_bytes_needed() {
            return Err(ConfigError::new(
                "inbound_bytes_max",
                format!(
                    "must be at least {}, 1 KiB more than the largest of message_bytes_max, body_bytes_max and \
                     head_bytes_max",
                    self.inbound_bytes_needed()
                ),
            ));
        }
        Ok(())
    }

    fn check_durations(&self) -> Result<(), ConfigError> {
        if let Some(idle) = self.tcp_keepalive
            && !(1..=32_767).contains(&idle.as_secs())
        {
            return Err(ConfigError::new("tcp_keepalive", "must be 1 to 32,767 s"));
        }
        if self.tcp_user_timeout.is_some_and(|timeout| timeout.as_millis() > i32::MAX as u128) {
            return Err(ConfigError::new("tcp_user_timeout", "must be at most 24 days"));
        }
        let durations = [
            ("request_timeout", self.request_timeout),
            ("connect_timeout", self.connect_timeout),
            ("keep_alive_timeout", self.keep_alive_timeout),
            ("poll_hold", self.poll_hold),
            ("poll_grace", self.poll_grace),
            ("ping_interval", self.ping_interval.unwrap_or(Duration::MAX)),
            ("pong_timeout", self.pong_timeout),
            ("tcp_user_timeout", self.tcp_user_timeout.unwrap_or(Duration::MAX)),
            ("idle_timeout", self.idle_timeout.unwrap_or(Duration::MAX)),
            ("close_timeout", self.close_timeout),
            ("linger_timeout", self.linger_timeout),
        ];
        if let Some((name, _)) = durations.iter().find(|(_, value)| *value < Duration::from_millis(1)) {
            return Err(ConfigError::new(*name, "must be at least 1 ms"));
        }
        Ok(())
    }

    /// What the largest message or request takes while it is incomplete.
    pub(crate) fn inbound_bytes_needed(&self) -> usize {
        let largest = self.message_bytes_max.max(self.body_bytes_max).max(self.head_bytes_max);
        largest.saturating_add(1 << 10)
    }

    /// The number of queued bytes at which `on_buffer_full` is called.
    pub(crate) fn buffer_high_watermark(&self) -> usize {
        self.buffer_high_watermark.unwrap_or(self.outbox_bytes_max / 5 * 4)
    }

    /// The number of queued bytes at which a connection is not read for what adds to them: at the high watermark, or
    /// earlier, so that the answer to one more message, and to what was read with it, fits.
    pub(crate) fn unread_bytes_max(&self) -> usize {
        let room = self.message_bytes_max.saturating_add(self.read_buffer_bytes);
        let fits = self.outbox_bytes_max.saturating_sub(room).max(self.outbox_bytes_max / 4);
        fits.min(self.buffer_high_watermark())
    }

    /// Warnings about settings that can work, but are probably not meant.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.outbox_bytes_max < self.message_bytes_max {
            warnings.push(format!(
                "outbox_bytes_max ({}) is less than message_bytes_max ({}): the largest messages are taken from \
                 clients, and never fit to be pushed to any",
                self.outbox_bytes_max, self.message_bytes_max
            ));
        }
        if (self.event_streams || self.long_polling) && self.body_bytes_max < self.message_bytes_max {
            warnings.push(format!(
                "body_bytes_max ({}) is less than message_bytes_max ({}): the largest messages come through on \
                 WebSockets, and never where pages post them",
                self.body_bytes_max, self.message_bytes_max
            ));
        }
        if self.reuse_port && self.event_streams {
            warnings.push(
                "event_streams is on together with reuse_port: where several processes share the port, what clients of \
                 event streams post may reach another process, which answers 404; streams that nobody posts for work"
                    .to_owned(),
            );
        }
        if let Some(rate) = self.bytes_per_second_max
            && rate.saturating_mul(2) < self.message_bytes_max.max(self.read_buffer_bytes) as u64
        {
            warnings.push(format!(
                "bytes_per_second_max ({rate}) is less than half of message_bytes_max ({}) or read_buffer_bytes ({}): \
                 the largest messages are over it when they come at once",
                self.message_bytes_max, self.read_buffer_bytes
            ));
        }
        warnings
    }
}

/// Whether this is a token (RFC 9110 §5.6.2), as the name of a subprotocol must be.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Hosts, Origins};

    #[test]
    fn the_defaults_are_valid() {
        Config::default().check().expect("the defaults are valid");
    }

    #[test]
    fn a_wrong_value_is_an_error_that_names_the_field() {
        let wrong = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().expect_err("a wrong value").to_string()
        };
        assert!(wrong(|c| c.message_bytes_max = 0).starts_with("message_bytes_max"));
        assert!(wrong(|c| c.connections_max = Some(0)).starts_with("connections_max"));
        assert!(wrong(|c| c.pong_timeout = Duration::ZERO).starts_with("pong_timeout"));
        assert!(
            wrong(|c| c.origins = Origins::List(vec!["https://x.example/".into()])).starts_with("origins")
        );
        assert!(wrong(|c| c.origins = Origins::List(vec!["x.example".into()])).starts_with("origins"));
        assert!(wrong(|c| c.hosts = Hosts::List(vec!["x.example:80".into()])).starts_with("hosts"));
        assert!(wrong(|c| c.subprotocols = vec!["a b".into()]).starts_with("subprotocols"));
        assert!(wrong(|c| c.subprotocols = vec!["a\r\nX: y".into()]).starts_with("subprotocols"));
        assert!(wrong(|c| c.head_bytes_max = 3).starts_with("head_bytes_max"));
        assert!(wrong(|c| c.outbox_bytes_max = 2 << 30).starts_with("outboxes_bytes_max"));
        assert!(wrong(|c| c.inbound_bytes_max = 2 << 20).starts_with("inbound_bytes_max"));
        assert!(wrong(|c| c.buffer_high_watermark = Some(9 << 20)).starts_with("buffer_high_watermark"));
        assert!(wrong(|c| c.buffer_high_watermark = Some(0)).starts_with("buffer_low_watermark"));
        assert!(wrong(|c| c.buffer_low_watermark = 7 << 20).starts_with("buffer_low_watermark"));
        assert!(wrong(|c| c.outbox_bytes_max = 0).starts_with("outbox_bytes_max"));
        assert!(wrong(|c| c.topics_max = 1 << 32).starts_with("topics_max"));
        assert!(wrong(|c| c.uid_bytes_max = 0).starts_with("uid_bytes_max"));
        for code in [0, 1000, 1005, 1006, 1015, 2999, 5000] {
            let config = Config { shutdown_code: code, ..Config::default() };
            assert!(config.check().is_err_and(|error| error.key() == "shutdown_code"), "{code}");
        }
        assert!(wrong(|c| c.socket_send_buffer_bytes = Some(0)).starts_with("socket_send_buffer_bytes"));
        assert!(
            wrong(|c| c.socket_recv_buffer_bytes = Some(1 << 31)).starts_with("socket_recv_buffer_bytes")
        );
        assert!(wrong(|c| c.task_threads = 0).starts_with("task_threads"));
        assert!(wrong(|c| c.read_buffer_bytes = 0).starts_with("read_buffer_bytes"));
    }

    #[test]
    fn what_is_hardly_meant_is_warned_of() {
        assert_eq!(Config::default().warnings(), Vec::<String>::new());
        let config = Config { outbox_bytes_max: 1 << 20, ..Config::default() };
        config.check().expect("pushes may all be small");
        let warnings = config.warnings();
        assert!(
            matches!(&warnings[..], [one] if one.starts_with("outbox_bytes_max (1048576)")),
            "{warnings:?}"
        );
        for (event_streams, long_polling) in [(false, false), (true, false), (false, true)] {
            let pages = Config { event_streams, long_polling, ..Config::default() };
            assert_eq!(pages.warnings(), Vec::<String>::new());
            let warnings = Config { body_bytes_max: 1 << 20, ..pages }.warnings();
            assert_eq!(warnings.len(), usize::from(event_streams || long_polling), "{warnings:?}");
            assert!(warnings.iter().all(|one| one.starts_with("body_bytes_max (1048576)")), "{warnings:?}");
        }
    }

    #[test]
    fn sessions_of_several_requests_do_not_go_with_a_shared_port() {
        let shared = Config { reuse_port: true, ..Config::default() };
        shared.check().expect("a WebSocket stays with its process");
        assert_eq!(shared.warnings(), Vec::<String>::new());

        let error = Config { long_polling: true, ..shared.clone() }.check().expect_err("polls go anywhere");
        assert_eq!(error.key(), "long_polling");
        assert!(error.to_string().contains("reuse_port"), "{error}");
        Config { long_polling: true, reuse_port: false, ..shared.clone() }.check().expect("one process");

        let streams = Config { event_streams: true, ..shared };
        streams.check().expect("a stream stays with its process");
        let warnings = streams.warnings();
        assert!(
            matches!(&warnings[..], [one] if one.starts_with("event_streams") && one.contains("reuse_port")),
            "{warnings:?}"
        );
    }

    #[test]
    fn an_error_says_where_and_what() {
        let error = ConfigError::new("backlog", "must be at least 1");
        assert_eq!(error.to_string(), "backlog must be at least 1");
        assert_eq!(error.clone().at(3).to_string(), "line 3: backlog must be at least 1");
        assert_eq!(
            error.clone().at(3).of("swio.toml").to_string(),
            "swio.toml:3: backlog must be at least 1"
        );
        assert_eq!(error.of("swio.toml").to_string(), "swio.toml: backlog must be at least 1");
    }
}
