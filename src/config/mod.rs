//! Every limit and timeout, with its default and the reason for it. To add one, add a field here, its default below, a
//! line in `settings` and a line in `examples/swio.toml`.

pub(crate) mod authority;
mod check;
mod network;
pub(crate) mod options;
mod origins;
mod settings;
#[cfg(feature = "toml")]
mod toml;

pub use check::ConfigError;
pub use network::{Network, ParseNetworkError};
pub use origins::{Hosts, Origins};
pub(crate) use settings::Reread;
#[cfg(feature = "toml")]
pub(crate) use toml::SettingsFile;

use std::time::Duration;

/// What happens to a message that a connection has no room for because its peer reads too slowly. It can be set for the
/// server ([`Config::slow_consumer`]), for a connection ([`set_slow_consumer`](crate::Server::set_slow_consumer)) and
/// for a message ([`Message::slow_consumer`](crate::Message::slow_consumer)).
///
/// Whatever the policy, messages that were pushed under [`DropOldest`](SlowConsumer::DropOldest) make room first. A
/// message is dropped as a whole or not at all, and never after its first byte was given to the socket. Control
/// frames are not dropped while a connection lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SlowConsumer {
    /// The push is refused as [`PushError::Full`](crate::PushError::Full) and the connection closed with
    /// 1013 (try again later). The default: a client that comes back can be brought up to date, one with a
    /// hole in its messages can't know. What waits for it and was not begun to be sent is dropped at once, control
    /// frames too, so that its memory is there for others.
    ///
    /// What a client's own messages cause, such as echoes, does not come to that under this policy: while so much of it
    /// waits that no more of the largest messages would fit, or the high watermark is reached, the client is not read
    /// until it has read.
    #[default]
    Close,
    /// The push is refused as [`PushError::Full`](crate::PushError::Full); the connection stays open.
    DropNewest,
    /// The oldest messages that were pushed under this policy are dropped until the new one fits, and the push is `Ok`.
    /// If that is not enough, none is dropped and the push is refused as [`PushError::Full`](crate::PushError::Full).
    /// The connection stays open. For messages that are useful only while they are new. Up to 16 KiB that were pushed
    /// before the socket was full are not dropped.
    DropOldest,
}

/// The header in which trusted proxies pass on the client's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, and `X-Forwarded-Host` for the host. The default: nginx, HAProxy, Caddy and the load
    /// balancers of clouds use it.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), with `for` and `host`.
    Forwarded,
}

/// Every limit and timeout of a server, with safe defaults.
///
/// Set it with [`Builder::configure`](crate::Builder::configure) or, with the feature `toml`, in a settings file. A
/// value that can't work is an error at start. [`Server::reload`](crate::Server::reload) changes it while the server
/// runs. Routes and listeners can have some of the settings of their own: see
/// [`RouteOptions`](crate::RouteOptions) and [`ListenOptions`](crate::ListenOptions).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Maximum number of open connections; beyond it a new client gets 503. `None`, the default: as many as the limit
    /// of open files allows (raised to the system's hard limit at start), and in addition as many sessions of
    /// [`long_polling`](Config::long_polling), which need no file. A number limits both together.
    pub connections_max: Option<usize>,
    /// Maximum number of open connections from one address (IPv6: one /64); beyond it a new client gets 429. Never more
    /// than a quarter of [`connections_max`](Config::connections_max), but 16 in any case. Connections through a proxy
    /// of [`trusted_proxies`](Config::trusted_proxies) are not counted under the proxy's address; of these, WebSockets,
    /// event streams and sessions of long polling count under the client's. Default 1,024: a large office, or the
    /// gateway of a mobile network, is one address.
    pub connections_per_address_max: Option<u32>,
    /// Maximum number of WebSockets, event streams and sessions of long polling opened per second from one address, and
    /// of connections to listeners for raw TCP, with a burst of ten seconds' worth; beyond it the client gets 429, and
    /// raw TCP is ended. Default 100, so that 1,000 clients behind one address may reconnect at once.
    pub handshakes_per_address_max: Option<u32>,
    /// Reverse proxies whose word about the client's address is believed. A connection from one of them is not counted
    /// under the proxy's own address. If a request has the [`forwarded_header`](Config::forwarded_header), the client
    /// is the right-most address in it that is not in this list. On connections from anywhere else the header is
    /// ignored. Default: the loopback addresses. Do not list a network that clients can connect from.
    ///
    /// They are believed which host they were asked for, too, if they say so: the last one in `X-Forwarded-Host`, or
    /// the `host` beside the client in `Forwarded`. It counts in place of `Host` for [`Origins::Same`] and
    /// [`hosts`](Config::hosts).
    pub trusted_proxies: Vec<Network>,
    /// The header that all of these proxies append to, or replace. Only one is read: the proxies may pass the other one
    /// on as a client made it up. Default: `X-Forwarded-For`.
    pub forwarded_header: ForwardedHeader,
    /// Which pages may open a WebSocket, an event stream or a session of long polling, and post to it; others get 403.
    /// Default: pages of the same origin.
    pub origins: Origins,
    /// Which hosts a request may be for; others get 421. It is the defence against pages that have a name server say
    /// that they come from here (DNS rebinding). Default: on listeners bound to a loopback address the names of this
    /// machine, and what proxies on it pass on; on others any.
    pub hosts: Hosts,
    /// Subprotocols, the server's favourite first (RFC 6455 §4.2.2). The first one that the client offers is chosen; a
    /// client that offers only others gets 400. Default: none, and then none is chosen.
    pub subprotocols: Vec<String>,
    /// Whether clients may speak `swio.1`, the protocol of pages (docs/PROTOCOL.md): WebSockets that offer it as a
    /// subprotocol, and event streams that ask for it with `protocol=swio.1`. If not, they are treated as clients
    /// that have not: no subprotocol is chosen for that, and they get the payload alone. The script for pages needs it.
    /// Long polling has labels and notices in any case. Default true.
    pub page_protocol: bool,

    /// Whether a `GET` whose `Accept` lists `text/event-stream` opens an event stream (WHATWG HTML §9.2) instead of
    /// going to `on_request`. [`on_handshake`](crate::Handler::on_handshake) may refuse it, and after
    /// [`on_open`](crate::Handler::on_open) it can be pushed to, broadcast to, put into topics and
    /// [closed](crate::Server::disconnect) like a WebSocket.
    ///
    /// If the query has `swio=stream`, the client first gets an event `swio` with `{"session":"TOKEN"}` and may then
    /// send messages: each is the body of a `POST` with the query `swio=send&session=TOKEN`, text, or binary with the
    /// type `application/octet-stream`. With `protocol=swio.1` in the query as well, the client speaks the protocol of
    /// pages (docs/PROTOCOL.md). `on_message` gets the message with the stream's fd. The response is 204, or an error:
    /// 404 if there is no such session (any more), 413 over [`message_bytes_max`](Config::message_bytes_max) or
    /// [`body_bytes_max`](Config::body_bytes_max), 429 over
    /// [`messages_per_second_max`](Config::messages_per_second_max).
    ///
    /// With HTTP/1.1 a browser opens six connections to a host, for all its tabs together, and a stream holds one for
    /// as long as it lives, as a poll does: of six tabs none can post. A proxy in front that speaks HTTP/2 lifts that.
    ///
    /// With [`reuse_port`](Config::reuse_port) only streams without a token work in several processes: a `POST` may
    /// reach another process than the one that has the stream, and gets 404 there. The log warns of that at start.
    /// Default false.
    pub event_streams: bool,
    /// How long the client of an event stream is told to wait before it reconnects. Default 3 s: what some browsers do
    /// anyway.
    pub event_stream_retry: Duration,
    /// Whether pages may poll, for networks that let nothing else through: a `GET` whose query has `swio=poll` opens a
    /// session. [`on_handshake`](crate::Handler::on_handshake) is called with the request's fd; from
    /// [`on_open`](crate::Handler::on_open) on, the session has an fd of its own, which can be pushed to, joins topics
    /// and counts as a connection.
    ///
    /// The response is JSON: `{"session":"TOKEN","hold":25000,"cursor":0,"messages":[]}`. From then on the client asks
    /// with `swio=poll&session=TOKEN&cursor=N`, where N is the `cursor` of the last response. It gets a response as
    /// soon as there are messages: each is `{"text":".."}` or `{"binary":"BASE64"}`, with the message's `topic`,
    /// `event` and `id` if it has them; up to 64 KiB (or one longer message) at a time. An object without text and
    /// binary is a notice of the protocol of pages (docs/PROTOCOL.md): `{"position":"TOPIC","id":"ID"}` says where the
    /// client is in the history of a topic. Messages that N does not acknowledge are sent again. If two requests wait,
    /// the newer one counts, and the older one gets a response without messages. A response with `closed`, such as
    /// `{"code":1000,"reason":""}`, is the last. A session that has ended is 404, an impossible cursor 400. Clients send
    /// messages by POST, as with [`event_streams`](Config::event_streams).
    ///
    /// What waits for the client counts towards [`outbox_bytes_max`](Config::outbox_bytes_max) until it is sent. The
    /// session ends with [`Cause::Timeout`](crate::Cause::Timeout) if no request came for
    /// [`poll_hold`](Config::poll_hold) and [`poll_grace`](Config::poll_grace).
    ///
    /// All requests of a session must reach the process that has it: together with
    /// [`reuse_port`](Config::reuse_port) this is an error. Default false.
    pub long_polling: bool,
    /// How long a request of long polling waits for messages before it is answered without any. Default 25 s: less than
    /// proxies wait for a response.
    pub poll_hold: Duration,
    /// How long a session of long polling survives without a request, counted from the end of the longest possible wait
    /// ([`poll_hold`](Config::poll_hold)). Default 15 s: time for a response and the next request on a slow network.
    pub poll_grace: Duration,

    /// Maximum size of a request's head in bytes; beyond it the client gets 431. Default 8 KiB: enough for browsers
    /// with many cookies, and the limit of common proxies.
    pub head_bytes_max: usize,
    /// Maximum size of a request's body in bytes; beyond it the client gets 413. Default 2 MiB, like
    /// [`message_bytes_max`](Config::message_bytes_max): both limits apply to a message that a page posts.
    pub body_bytes_max: usize,
    /// Maximum size in bytes of one message, all fragments together, or of a package of raw TCP. Beyond it the
    /// connection is closed with 1009, before the excess is buffered. Default 2 MiB: Swoole's `package_max_length`.
    pub message_bytes_max: usize,
    /// Maximum number of fragments of one message; beyond it the connection is closed with 1009. Default 4,096: real
    /// clients send a few dozen, and each fragment costs work, however small it is.
    pub fragments_max: u32,
    /// Maximum number of messages per second from one connection, with a burst of two seconds' worth. Pings, pongs,
    /// fragments, packages of raw TCP and HTTP requests count as messages. Beyond it the connection is closed with
    /// 1008, or with 429 if it speaks HTTP. What is posted for a session, and its polls, count for the session too, and
    /// get 429. Requests that come by a proxy of [`trusted_proxies`](Config::trusted_proxies) count only there: the
    /// proxy sends those of many clients over one connection. Default 2,500: games and mouse pointers send a few
    /// hundred, and a client that was offline may send 5,000 messages that it kept, or one in
    /// [`fragments_max`](Config::fragments_max) fragments, at once.
    pub messages_per_second_max: Option<u32>,
    /// Maximum number of bytes per second from one connection, with a burst of two seconds' worth; each read counts as
    /// at least 1/65,536 of the burst. Beyond it the connection is closed with 1008; HTTP gets 429. Default 32 MiB: a
    /// quarter of a gigabit line, more than any chat needs. Set it higher if clients upload over a fast local network.
    pub bytes_per_second_max: Option<u64>,
    /// Whether `on_message` gets a message in parts, as they arrive, instead of the whole message at its end.
    /// [`Frame::finish`](crate::Frame::finish) is false for all parts but the last. A part is whatever one read of the
    /// socket had of one fragment, so it says nothing about where the client cut. A message of any size takes no memory
    /// this way, but a callback that expects whole messages misunderstands every one that does not arrive at once.
    /// Default false.
    pub deliver_fragments: bool,

    /// Maximum number of bytes that were accepted for one connection and are not written yet. Beyond it a push is
    /// refused, and [`slow_consumer`](Config::slow_consumer) says what happens then. It must hold the largest message
    /// that you push: a larger one is refused as `Full` and, with [`SlowConsumer::Close`], ends the connection, however
    /// fast the peer reads. Default 8 MiB: Swoole's `socket_buffer_size`.
    pub outbox_bytes_max: usize,
    /// The same limit for all connections together. The connections of one address together may take a quarter of it,
    /// or `outbox_bytes_max` if that is more. Addresses are counted as for
    /// [`connections_per_address_max`](Config::connections_per_address_max), and not at all where that and
    /// [`handshakes_per_address_max`](Config::handshakes_per_address_max) are `None`. Default 1 GiB.
    pub outboxes_bytes_max: usize,
    /// Maximum memory for all incomplete messages and requests together. When it is used up, a WebSocket that needs
    /// more of it is closed with 1013, and a request gets 503. The connections of one address together may take a
    /// quarter of it, or as much as the largest message if that is more. Default 256 MiB: 128 of the largest messages
    /// at once. Without this limit 20,000 clients could hold 40 GiB with messages that they never finish.
    pub inbound_bytes_max: usize,
    /// What happens to a message that the outbox has no room for. Default: the connection is closed with 1013.
    pub slow_consumer: SlowConsumer,
    /// Number of queued bytes at which `on_buffer_full` is called for a connection. `None`, the default: 80 % of
    /// `outbox_bytes_max`, as in Swoole.
    pub buffer_high_watermark: Option<usize>,
    /// `on_buffer_empty` is called when, after that, no more than this number of bytes is queued. Default 0.
    pub buffer_low_watermark: usize,

    /// Maximum number of topics that one connection is in; beyond it `join` is
    /// [`JoinError::ConnectionFull`](crate::JoinError::ConnectionFull). Default 256: more than one page shows, and a
    /// client that joins whatever it can costs less than 16 KiB if others are in the same topics.
    pub topics_per_connection_max: usize,
    /// Maximum length of a topic's name in bytes; beyond it `join` is
    /// [`JoinError::NameLength`](crate::JoinError::NameLength). Default 256: Pusher's names have up to 164 characters,
    /// which leaves room for a prefix of yours.
    pub topic_bytes_max: usize,
    /// Maximum number of topics; beyond it a new one is [`JoinError::TopicsFull`](crate::JoinError::TopicsFull).
    /// Default 1,048,576: one for each of a million connections, and less than 1 GiB even with the longest names.
    pub topics_max: usize,
    /// Maximum memory for all [histories](crate::Server::keep_history) together; beyond it the oldest messages are
    /// forgotten. Default 64 MiB: some 100,000 chat messages.
    pub history_bytes_max: usize,
    /// Maximum length of a uid in bytes; beyond it `bind` is [`JoinError::NameLength`](crate::JoinError::NameLength).
    /// Default 256: an e-mail address has up to 254.
    pub uid_bytes_max: usize,
    /// Maximum size in bytes of what [`bind_with`](crate::Server::bind_with) says about a user; beyond it the call
    /// fails with [`JoinError::DataLength`](crate::JoinError::DataLength). Default 1 KiB: as much as Pusher allows,
    /// enough for a name and the address of a picture.
    pub user_data_bytes_max: usize,
    /// How long a user may be without a connection in a topic before [`on_presence`](crate::Handler::on_presence)
    /// reports that the user has left. It applies when connections end; after [`leave`](crate::Server::leave) or
    /// [`unbind`](crate::Server::unbind) the user has left at once. Default 5 s: by then a page that was reloaded, or a
    /// phone that changed its network, is back. Zero: reported at once.
    pub presence_grace: Duration,
    /// Maximum number of users who are within that time at once; beyond it the longest absent has left. Default 65,536:
    /// users who come and go under ever new names take less than 256 MiB, even with the longest names and data.
    pub presence_absences_max: usize,

    /// Minimum number of bytes per second, in either direction, of a transfer that has begun: the body of a request, a
    /// message or package that comes in pieces, output that waits for its client to read it, also while the connection
    /// ends. A client that is slower is given up. Who is faster is not, however long it takes. It is judged by what
    /// came and by what the client's system acknowledged, over [`request_timeout`](Config::request_timeout) for
    /// requests, [`keep_alive_timeout`](Config::keep_alive_timeout) for their answers,
    /// [`pong_timeout`](Config::pong_timeout) for WebSockets, event streams and raw TCP, and four times
    /// [`close_timeout`](Config::close_timeout) for connections that end: a line may stand still for as long. Clients
    /// that are [protected](crate::Server::protect) are exempt. Default 2 KiB: a tenth of what the worst lines of
    /// mobile networks carry, but holding a megabyte of the server's memory costs a steady sender.
    pub bytes_per_second_min: u32,
    /// Maximum time from accept to the first byte of a request, and from there to the end of its head; a body may take
    /// longer if it comes at [`bytes_per_second_min`](Config::bytes_per_second_min). Also the time to answer a request
    /// or handshake later. A client that sent part of a request gets 408, one that waits for
    /// an answer 503, and one that sent nothing is just closed. Default 10 s: a phone on a bad line needs seconds, but
    /// one byte per second must not keep a slot.
    pub request_timeout: Duration,
    /// Maximum time for a [`Client`](crate::Client) to connect to one address, and again for the answer to its
    /// handshake; then the attempt has failed. Default 10 s: the kernel can repeat a lost first packet twice, and a
    /// busy server can answer.
    pub connect_timeout: Duration,
    /// How long an HTTP connection may be idle between requests, or take to read a response (longer while it is read
    /// at [`bytes_per_second_min`](Config::bytes_per_second_min)). Then it is closed. Default 60 s.
    pub keep_alive_timeout: Duration,
    /// A WebSocket that was silent for this long is sent a ping, and an event stream is sent a comment this often; up
    /// to 10 % of jitter is added. `None`: never. Default 25 s: NATs and proxies forget a silent connection after 30 to
    /// 60 s.
    pub ping_interval: Option<Duration>,
    /// How long a peer may stay silent after a ping. Then the connection ends with
    /// [`Cause::Timeout`](crate::Cause::Timeout). Who is still reading what was sent before the ping has this long
    /// from the end of that. Default 20 s.
    pub pong_timeout: Duration,
    /// How long a client may send no message, nor part of one; pongs do not count. Then a WebSocket is closed with
    /// 1001, and raw TCP is disconnected. It may take up to 4 % longer. `None`, the default: clients may listen without
    /// ever sending.
    pub idle_timeout: Option<Duration>,
    /// Whether nothing is read from a new connection until [`confirm`](crate::Server::confirm) is called: Swoole's
    /// `enable_delay_receive`. Default false.
    pub delay_receive: bool,
    /// How long sent data may stay unacknowledged, or unsent because the peer's window is full, before the system ends
    /// the connection (`TCP_USER_TIMEOUT`, on Linux). Default 60 s: longer than the server itself waits for anything,
    /// so it only ends peers that nothing else would end, because pings are off or the peer is protected. `None`: the
    /// system's own timeout, a quarter of an hour.
    pub tcp_user_timeout: Option<Duration>,
    /// After this much silence the system asks the peer's system whether it is still there, and then again every 15 s,
    /// or more often if this is less. Default 60 s: with pings it is never needed, and then costs nothing. `None`:
    /// never.
    pub tcp_keepalive: Option<Duration>,
    /// How long the peer has to answer the server's close frame. Default 3 s.
    ///
    /// One that still reads what was pushed to it before gets more time: four times this, and again as long while it
    /// reads at [`bytes_per_second_min`](Config::bytes_per_second_min). In all the end of a connection takes at most
    /// four times this and as long as what was queued takes at that rate. A connection that is given up because it does
    /// not read gets the former alone: what was not begun to be sent is dropped.
    pub close_timeout: Duration,
    /// How long to go on reading, and discarding what is read, after the server ended its side of TCP. Otherwise a
    /// reset could destroy the last close frame before the peer reads it (RFC 6455 §7.1.1). Default 1 s.
    pub linger_timeout: Duration,
    /// How long a shutdown waits for outboxes, close handshakes and tasks, counted from the end of
    /// [`drain_window`](Config::drain_window). What is not done by then is cut off. Default 5 s.
    pub shutdown_timeout: Duration,
    /// A shutdown closes connections one after the other over this time: if all were closed at once, all clients would
    /// reconnect at once, to whatever replaces this server. With few connections it is shorter, because 16 are closed
    /// every 20 ms. Zero: all at once. Default 1 s.
    pub drain_window: Duration,
    /// The close code of a shutdown: 1001 (going away), 1012 (service restart), 1013 (try again later), or one of your
    /// own from 3000 to 4999. Default 1001.
    pub shutdown_code: u16,

    /// Size of the buffer that sockets are read into; the whole server has one. Default 64 KiB: it stays in the
    /// processor's cache, and limits what one connection can ask for before others have their turn.
    pub read_buffer_bytes: usize,
    /// Maximum number of full reads from one connection before the others have their turn, which comes earlier where
    /// the callbacks take more than 0.25 ms. Default 4.
    pub reads_per_turn_max: u32,
    /// Maximum number of connections accepted from one listener before the others have their turn. Where a turn has
    /// taken more than 2 ms, it accepts 16. Default 256.
    pub accepts_per_turn_max: u32,
    /// Maximum number of connections that the kernel keeps until they are accepted; the system may use a lower limit.
    /// Default 4,096.
    pub backlog: u32,
    /// Whether other sockets may listen on the same address (`SO_REUSEPORT`), among which Linux spreads the
    /// connections: several processes side by side, or the next one before the last has gone. Default off, so that an
    /// address in use is an error.
    ///
    /// The kernel spreads connections, not clients: two connections of one client may reach two processes. WebSockets
    /// and raw TCP do not mind. Sessions that are made of several requests do: [`long_polling`](Config::long_polling)
    /// together with this is an error, and with [`event_streams`](Config::event_streams) the log warns that what
    /// clients post may get 404. For those give each process a port of its own, behind a proxy that sends a client
    /// always to the same one.
    pub reuse_port: bool,
    /// Size of the kernel's send buffer for one connection (`SO_SNDBUF`), which is not part of the outbox. `None`, the
    /// default: the system decides and lets it grow with the connection. A smaller one saves kernel memory if many
    /// clients read slowly, and costs throughput over long distances. The system has its own limits, and Linux doubles
    /// the value.
    pub socket_send_buffer_bytes: Option<usize>,
    /// Maximum number of bytes that the kernel keeps for one connection and has not sent yet (`TCP_NOTSENT_LOWAT`, on
    /// Linux); what is beyond waits in the outbox. Default 64 KiB: the kernel's send buffer grows to some MB, which
    /// nobody would need and which slow clients would hold beside their outboxes. A client that reads fast does not
    /// notice, unless [`outboxes_bytes_max`](Config::outboxes_bytes_max) is used up: then more than this for one client
    /// in one turn is refused. `None`: no bound but that of the send buffer.
    pub socket_unsent_bytes_max: Option<usize>,
    /// The same as [`socket_send_buffer_bytes`](Config::socket_send_buffer_bytes) for the receive buffer (`SO_RCVBUF`).
    pub socket_recv_buffer_bytes: Option<usize>,
    /// Maximum number of commands from other threads that wait for the server; beyond it a [`Handle`](crate::Handle)
    /// gets [`PushError::Busy`](crate::PushError::Busy). Default 65,536.
    pub mailbox_items_max: usize,
    /// Maximum number of bytes in the payloads of these commands; beyond it a handle gets `Busy` too. Default 64 MiB.
    pub mailbox_bytes_max: usize,
    /// Number of threads for [tasks](crate::Server::task); each is started when it is first needed. Default 4: tasks
    /// wait for disks and databases more than they compute.
    pub task_threads: usize,
    /// Maximum number of unfinished tasks, including those that wait for a thread or whose result waits for the server;
    /// beyond it a new one is [`TaskError::Busy`](crate::TaskError::Busy). Default 1,024: more would only wait longer
    /// for a thread.
    pub tasks_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            connections_max: None,
            connections_per_address_max: Some(1_024),
            handshakes_per_address_max: Some(100),
            trusted_proxies: Network::loopback().into(),
            forwarded_header: ForwardedHeader::XForwardedFor,
            origins: Origins::Same,
            hosts: Hosts::Auto,
            subprotocols: Vec::new(),
            page_protocol: true,
            event_streams: false,
            event_stream_retry: Duration::from_secs(3),
            long_polling: false,
            poll_hold: Duration::from_secs(25),
            poll_grace: Duration::from_secs(15),
            head_bytes_max: 8 << 10,
            body_bytes_max: 2 << 20,
            message_bytes_max: 2 << 20,
            fragments_max: 4_096,
            messages_per_second_max: Some(2_500),
            bytes_per_second_max: Some(32 << 20),
            deliver_fragments: false,
            outbox_bytes_max: 8 << 20,
            outboxes_bytes_max: 1 << 30,
            inbound_bytes_max: 256 << 20,
            slow_consumer: SlowConsumer::Close,
            topics_per_connection_max: 256,
            topic_bytes_max: 256,
            topics_max: 1 << 20,
            history_bytes_max: 64 << 20,
            uid_bytes_max: 256,
            user_data_bytes_max: 1 << 10,
            presence_grace: Duration::from_secs(5),
            presence_absences_max: 65_536,
            buffer_high_watermark: None,
            buffer_low_watermark: 0,
            bytes_per_second_min: 2 << 10,
            request_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(60),
            ping_interval: Some(Duration::from_secs(25)),
            pong_timeout: Duration::from_secs(20),
            idle_timeout: None,
            tcp_user_timeout: Some(Duration::from_secs(60)),
            tcp_keepalive: Some(Duration::from_secs(60)),
            delay_receive: false,
            close_timeout: Duration::from_secs(3),
            linger_timeout: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(5),
            drain_window: Duration::from_secs(1),
            shutdown_code: 1001,
            read_buffer_bytes: 64 << 10,
            reads_per_turn_max: 4,
            accepts_per_turn_max: 256,
            backlog: 4_096,
            reuse_port: false,
            socket_send_buffer_bytes: None,
            socket_unsent_bytes_max: Some(64 << 10),
            socket_recv_buffer_bytes: None,
            mailbox_items_max: 65_536,
            mailbox_bytes_max: 64 << 20,
            task_threads: 4,
            tasks_max: 1_024,
        }
    }
}
