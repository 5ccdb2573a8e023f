//! What a route or a listener has of its own, in place of what `Config` says for all.

use super::{Config, ConfigError, Origins};
use std::net::SocketAddr;

/// Gives `$then` every setting that a route or a listener may have of its own.
macro_rules! every_option {
    ($then:ident) => {
        $then! {
            origins: Origins,
            subprotocols: Vec<String>,
            event_streams: bool,
            long_polling: bool,
            body_bytes_max: usize,
            message_bytes_max: usize,
            fragments_max: u32,
            deliver_fragments: bool,
            messages_per_second_max: Option<u32>,
            bytes_per_second_max: Option<u64>,
            delay_receive: bool,
        }
    };
}

macro_rules! define_overrides {
    ($($name:ident: $type:ty,)*) => {
        /// The settings that are not as `Config` has them.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct Overrides {
            $($name: Option<$type>,)*
        }

        impl Overrides {
            pub(crate) fn apply(&self, config: &mut Config) {
                $(
                    if let Some(value) = &self.$name {
                        config.$name = value.clone();
                    }
                )*
            }

            /// The names of the settings that are given.
            fn names(&self) -> impl Iterator<Item = &'static str> {
                [$(self.$name.is_some().then_some(stringify!($name)),)*].into_iter().flatten()
            }
        }
    };
}
every_option!(define_overrides);

impl Overrides {
    pub(crate) fn is_empty(&self) -> bool {
        self.names().next().is_none()
    }

    /// Refuses what has no meaning for raw TCP.
    pub(crate) fn check_for_tcp(&self) -> Result<(), ConfigError> {
        const MEANT: [&str; 4] =
            ["message_bytes_max", "messages_per_second_max", "bytes_per_second_max", "delay_receive"];
        match self.names().find(|name| !MEANT.contains(name)) {
            Some(name) => Err(ConfigError::new(name, "has no meaning for raw TCP")),
            None => Ok(()),
        }
    }
}

/// The path of a route, and what it has of its own in place of what [`Config`] says for the whole server. What is not
/// set here is as the [listener](ListenOptions) has it that the connection came in by, and what is not set there either
/// as [`Config`] has it. [`Server::reload`](crate::Server::reload) changes only what neither of them sets.
///
/// ```
/// use swio::{Callbacks, Origins, RouteOptions, Server};
///
/// let builder = Server::builder()
///     .listen("127.0.0.1:0")
///     // Any page may come here, with small messages and not many of them.
///     .route(
///         RouteOptions::new("/app/{key}")
///             .origins(Origins::Any)
///             .message_bytes_max(10 << 10)
///             .messages_per_second_max(10),
///         || Callbacks::new().on_message(|server, frame| { server.push(frame.fd, frame.data).ok(); }),
///     )
///     // Here only pages of this server, with large uploads.
///     .route(RouteOptions::new("/admin").body_bytes_max(64 << 20), Callbacks::new);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct RouteOptions {
    pub(crate) pattern: String,
    pub(crate) overrides: Overrides,
}

impl RouteOptions {
    /// A route that has everything as its listener and [`Config`] have it; see
    /// [`Builder::route`](crate::Builder::route) for patterns.
    pub fn new(pattern: impl Into<String>) -> RouteOptions {
        RouteOptions { pattern: pattern.into(), overrides: Overrides::default() }
    }
}

/// The address of a listener, and what the connections that come in by it have of their own in place of what
/// [`Config`] says for the whole server. A [route's](RouteOptions) settings take precedence.
///
/// ```
/// use swio::{Framing, ListenOptions, Origins, Server};
///
/// let builder = Server::builder()
///     // To the world.
///     .listen(ListenOptions::new("0.0.0.0:9501").messages_per_second_max(20))
///     // To other programs of ours.
///     .listen(ListenOptions::new("127.0.0.1:9502").origins(Origins::Any).unlimited_rates())
///     .listen_tcp(ListenOptions::new("127.0.0.1:9503").message_bytes_max(512), Framing::EndMark(b"\n".into()));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct ListenOptions {
    pub(crate) address: String,
    pub(crate) overrides: Overrides,
}

impl ListenOptions {
    /// A listener that has everything as [`Config`] has it, on an address such as `127.0.0.1:9501`; see
    /// [`Builder::listen`](crate::Builder::listen).
    pub fn new(address: impl Into<String>) -> ListenOptions {
        ListenOptions { address: address.into(), overrides: Overrides::default() }
    }

    /// In place of [`Config::delay_receive`].
    pub fn delay_receive(mut self, delay: bool) -> ListenOptions {
        self.overrides.delay_receive = Some(delay);
        self
    }
}

macro_rules! define_setters {
    ($owner:ident) => {
        impl $owner {
            /// In place of [`Config::origins`].
            pub fn origins(mut self, origins: Origins) -> Self {
                self.overrides.origins = Some(origins);
                self
            }

            /// In place of [`Config::subprotocols`].
            pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
                self.overrides.subprotocols = Some(names.into_iter().map(Into::into).collect());
                self
            }

            /// In place of [`Config::event_streams`].
            pub fn event_streams(mut self, are_served: bool) -> Self {
                self.overrides.event_streams = Some(are_served);
                self
            }

            /// In place of [`Config::long_polling`].
            pub fn long_polling(mut self, is_served: bool) -> Self {
                self.overrides.long_polling = Some(is_served);
                self
            }

            /// In place of [`Config::body_bytes_max`].
            pub fn body_bytes_max(mut self, bytes: usize) -> Self {
                self.overrides.body_bytes_max = Some(bytes);
                self
            }

            /// In place of [`Config::message_bytes_max`].
            pub fn message_bytes_max(mut self, bytes: usize) -> Self {
                self.overrides.message_bytes_max = Some(bytes);
                self
            }

            /// In place of [`Config::fragments_max`].
            pub fn fragments_max(mut self, fragments: u32) -> Self {
                self.overrides.fragments_max = Some(fragments);
                self
            }

            /// In place of [`Config::deliver_fragments`].
            pub fn deliver_fragments(mut self, deliver: bool) -> Self {
                self.overrides.deliver_fragments = Some(deliver);
                self
            }

            /// In place of [`Config::messages_per_second_max`].
            pub fn messages_per_second_max(mut self, messages: u32) -> Self {
                self.overrides.messages_per_second_max = Some(Some(messages));
                self
            }

            /// In place of [`Config::bytes_per_second_max`]. That of a route is for its WebSockets alone: an HTTP
            /// connection, with all that is posted over it, is limited as its listener is.
            pub fn bytes_per_second_max(mut self, bytes: u64) -> Self {
                self.overrides.bytes_per_second_max = Some(Some(bytes));
                self
            }

            /// No limit of messages and bytes a second, whatever [`Config`] says.
            pub fn unlimited_rates(mut self) -> Self {
                self.overrides.messages_per_second_max = Some(None);
                self.overrides.bytes_per_second_max = Some(None);
                self
            }
        }
    };
}
define_setters!(RouteOptions);
define_setters!(ListenOptions);

macro_rules! define_conversions {
    ($owner:ident from $($text:ty)*) => {
        $(
            impl From<$text> for $owner {
                fn from(text: $text) -> $owner {
                    $owner::new(text.to_string())
                }
            }
        )*
    };
}
define_conversions!(RouteOptions from &str String &String);
define_conversions!(ListenOptions from &str String &String SocketAddr &SocketAddr);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_replaces_what_the_configuration_says_and_nothing_else() {
        let mut config = Config::default();
        RouteOptions::new("/").overrides.apply(&mut config);
        assert_eq!(config, Config::default());
        let options = RouteOptions::new("/")
            .origins(Origins::Any)
            .subprotocols(["a", "b"])
            .event_streams(true)
            .long_polling(true)
            .body_bytes_max(1)
            .message_bytes_max(2)
            .fragments_max(3)
            .deliver_fragments(true)
            .messages_per_second_max(4)
            .bytes_per_second_max(5);
        options.overrides.apply(&mut config);
        let expected = Config {
            origins: Origins::Any,
            subprotocols: vec!["a".into(), "b".into()],
            event_streams: true,
            long_polling: true,
            body_bytes_max: 1,
            message_bytes_max: 2,
            fragments_max: 3,
            deliver_fragments: true,
            messages_per_second_max: Some(4),
            bytes_per_second_max: Some(5),
            ..Config::default()
        };
        assert_eq!(config, expected);
        ListenOptions::new("").unlimited_rates().delay_receive(true).overrides.apply(&mut config);
        let expected = Config {
            messages_per_second_max: None,
            bytes_per_second_max: None,
            delay_receive: true,
            ..expected
        };
        assert_eq!(config, expected);
    }
}
