//! The list of all settings: the keys of a settings file, and which of them a running server can change. A field of
//! `Config` that is missing here is a compile error.

use super::Config;
use super::check::ConfigError;

/// Reads the settings file again.
pub(crate) type Reread = Box<dyn Fn() -> Result<Config, ConfigError> + Send>;

/// One line for each field: `live` if a running server can change it, `fixed` if it is only used at start.
macro_rules! every_setting {
    ($then:ident) => {
        $then! {
            connections_max live,
            connections_per_address_max live,
            handshakes_per_address_max live,
            trusted_proxies live,
            forwarded_header live,
            origins live,
            hosts live,
            subprotocols live,
            page_protocol live,
            event_streams live,
            event_stream_retry live,
            long_polling live,
            poll_hold live,
            poll_grace live,
            head_bytes_max live,
            body_bytes_max live,
            message_bytes_max live,
            fragments_max live,
            messages_per_second_max live,
            bytes_per_second_max live,
            deliver_fragments live,
            outbox_bytes_max live,
            outboxes_bytes_max live,
            inbound_bytes_max live,
            slow_consumer live,
            topics_per_connection_max live,
            topic_bytes_max live,
            topics_max live,
            history_bytes_max live,
            uid_bytes_max live,
            user_data_bytes_max live,
            presence_grace live,
            presence_absences_max live,
            buffer_high_watermark live,
            buffer_low_watermark live,
            bytes_per_second_min live,
            request_timeout live,
            connect_timeout live,
            keep_alive_timeout live,
            ping_interval live,
            pong_timeout live,
            idle_timeout live,
            tcp_user_timeout fixed,
            tcp_keepalive fixed,
            delay_receive live,
            close_timeout live,
            linger_timeout live,
            shutdown_timeout live,
            drain_window live,
            shutdown_code live,
            read_buffer_bytes fixed,
            reads_per_turn_max live,
            accepts_per_turn_max live,
            backlog fixed,
            reuse_port fixed,
            socket_send_buffer_bytes fixed,
            socket_unsent_bytes_max fixed,
            socket_recv_buffer_bytes fixed,
            mailbox_items_max fixed,
            mailbox_bytes_max fixed,
            task_threads live,
            tasks_max live,
        }
    };
}
#[cfg(feature = "toml")]
pub(super) use every_setting;

macro_rules! define_changes {
    ($($key:ident $life:ident,)*) => {
        impl Config {
            /// The settings that differ in `new`, and whether a running server can change them.
            pub(crate) fn changes(&self, new: &Config) -> Vec<(&'static str, bool)> {
                // Without `..`, so that a new field must be added to this list.
                let Config { $($key),* } = self;
                let mut changes = Vec::new();
                $(
                    if *$key != new.$key {
                        changes.push((stringify!($key), stringify!($life) == "live"));
                    }
                )*
                changes
            }
        }
    };
}
every_setting!(define_changes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_up_at_start_is_told_from_what_was_not() {
        let config = Config::default();
        assert_eq!(config.changes(&config.clone()), []);
        let new = Config { fragments_max: 7, backlog: 1, ..Config::default() };
        assert_eq!(config.changes(&new), [("fragments_max", true), ("backlog", false)]);
    }
}
