//! Every limit and timeout: its default, and the reason for the default. A new one is a field here, its default
//! below, a line in `settings` and one in `examples/swio.toml`.

mod check;
mod network;
pub(crate) mod options;
mod settings;
#[cfg(feature = "toml")]
mod toml;

pub use check::ConfigError;
pub use network::{Network, ParseNetworkError};
#[cfg(feature = "toml")]
pub(crate) use toml::SettingsFile;

use std::time::Duration;

/// What becomes of a message for which a connection has no room, because its peer does not read what is pushed to
/// it. Of the server: [`Config::slow_consumer`]; of a connection:
/// [`set_slow_consumer`](crate::Server::set_slow_consumer); of a message:
/// [`Message::slow_consumer`](crate::Message::slow_consumer).
///
/// Whatever the policy, messages that were pushed under [`DropOldest`](SlowConsumer::DropOldest) make room first. A
/// message is dropped as a whole or not at all, and never after its first byte was given to the socket. Control
/// frames are never dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowConsumer {
    /// The push is refused as [`PushError::Full`](crate::PushError::Full) and the connection closed with
    /// 1013 (try again later). The default: a client that comes back can be brought up to date, one with a
    /// hole in its messages can't know.
    #[default]
    Close,
    /// The push is refused as [`PushError::Full`](crate::PushError::Full); the connection lives on.
    DropNewest,
    /// The oldest messages that were pushed under this policy are dropped until the new one fits, and the push is
    /// `Ok`; where they are not enough, none is dropped and the push is refused as
    /// [`PushError::Full`](crate::PushError::Full). The connection lives on. For what is of use only while it is new.
    /// What was pushed before the socket took no more, up to 16 KiB, is not dropped.
    DropOldest,
}

/// Which pages may open a WebSocket or an event stream here, and post to one (RFC 6455 §10.2). Browsers name
/// the page's origin in the request; clients that are no browsers name none and are always let in. Nor do browsers for
/// an image or the like of another origin, but they say that it is one (`Sec-Fetch-Site`): it is not let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origins {
    /// Only pages of this server itself: the origin's host and port equal the `Host` of the request.
    /// The default: browsers send cookies along with cross-site handshakes, so this is the CSRF defence.
    #[default]
    Same,
    /// Pages of these origins, each written as browsers do: `https://example.com`, `http://localhost:8080`;
    /// no path and no trailing slash.
    List(Vec<String>),
    /// Any page.
    Any,
}

/// By which header trusted proxies tell whom they speak for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`. The default: what nginx, HAProxy, Caddy and the load balancers of clouds add to.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Every limit and timeout of a server, with safe defaults.
///
/// Set through [`Builder::configure`](crate::Builder::configure), or from a file of settings with the feature
/// `toml`; a value that can't work is an error at start. Changed while running by
/// [`Server::reload`](crate::Server::reload). Routes and listeners may have some of it of their own: see
/// [`RouteOptions`](crate::RouteOptions) and [`ListenOptions`](crate::ListenOptions).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Connections at once; over it a new one gets 503. `None`, the default: as many as the limit of open
    /// files allows, which is raised to the system's hard limit at start, and beside them as many sessions of
    /// [`long_polling`](Config::long_polling), which are no files. A number holds for both together.
    pub connections_max: Option<usize>,
    /// Connections at once from one address (IPv6: one /64); over it a new one gets 429. Of those that a proxy of
    /// [`trusted_proxies`](Config::trusted_proxies) brings, WebSockets count, under the client's address.
    /// Default 1,024: a large office, or a mobile network's gateway, is one address.
    pub connections_per_address_max: Option<u32>,
    /// WebSockets, event streams and sessions of long polling opened a second from one address, with a burst of ten
    /// seconds' worth; over it 429. Default 100: so that 1,000 clients behind one address may come back at once.
    pub handshakes_per_address_max: Option<u32>,
    /// Reverse proxies that are believed whom they speak for: a connection from there is not counted under its own
    /// address, and where a request has the [`forwarded_header`](Config::forwarded_header), the right-most address in
    /// it that is not one of these is the client's. From anywhere else the header is ignored. Default: the loopback
    /// addresses. Name no network that clients can connect from.
    pub trusted_proxies: Vec<Network>,
    /// The header that all of these proxies add to, or replace. One only: the other one may be passed on as a client
    /// made it up. Default: `X-Forwarded-For`.
    pub forwarded_header: ForwardedHeader,
    /// Which pages may open a WebSocket, an event stream or a session of long polling, and post to it. Default: same
    /// origin.
    pub origins: Origins,
    /// Subprotocols in the order the server prefers them (RFC 6455 §4.2.2). The first that a client offers is
    /// chosen; a client that offers only others gets 400. Default: none, and none is chosen.
    pub subprotocols: Vec<String>,

    /// Whether a `GET` whose `Accept` lists `text/event-stream` opens an event stream (WHATWG HTML §9.2) in place of
    /// being given to `on_request`: [`on_handshake`](crate::Handler::on_handshake) may refuse it,
    /// [`on_open`](crate::Handler::on_open) is told, and from then on it is pushed to, broadcast to, put into topics
    /// and [closed](crate::Server::disconnect) as a WebSocket is.
    ///
    /// A client that asks with `swio=stream` in the query is first sent an event `swio` with `{"session":"TOKEN"}`, and
    /// may then send messages: each is the body of a `POST` with the query `swio=send&session=TOKEN`, text, or binary
    /// where it is `application/octet-stream`. With `protocol=swio.1` beside it, it speaks the protocol of pages
    /// (docs/PROTOCOL.md). `on_message` gets it with the stream's fd; the answer is 204, or says
    /// what is wrong: 404 where there is no such session any more. Over
    /// [`message_bytes_max`](Config::message_bytes_max) or [`body_bytes_max`](Config::body_bytes_max) it is 413, over
    /// [`messages_per_second_max`](Config::messages_per_second_max) 429.
    ///
    /// Browsers open six connections to a host by HTTP/1.1, for all their tabs together, and a stream holds one for as
    /// long as it lives, as a poll does: of six tabs none can post. A proxy in front that speaks HTTP/2 lifts that.
    /// Default false.
    pub event_streams: bool,
    /// How long the client of an event stream is told to wait before it comes back. Default 3 s: what browsers do by
    /// themselves, some of them.
    pub event_stream_retry: Duration,
    /// Whether pages may poll, where nothing else comes through: a `GET` whose query has `swio=poll` opens a session.
    /// [`on_handshake`](crate::Handler::on_handshake) is asked under the request's fd; from
    /// [`on_open`](crate::Handler::on_open) on the session has an fd of its own, which can be pushed to, joins topics
    /// and counts as a connection.
    ///
    /// The answer is JSON: `{"session":"TOKEN","hold":25000,"cursor":0,"messages":[]}`. From then on the client asks
    /// with `swio=poll&session=TOKEN&cursor=N`, where N is the last answer's `cursor`, and is answered as soon as
    /// there are messages, each `{"text":".."}` or `{"binary":"BASE64"}`, perhaps with `topic`, `event` and `id` of
    /// the message, up to 64 KiB (or one longer message) at a time. An object without either is a notice of the
    /// protocol of pages (docs/PROTOCOL.md): `{"position":"ID"}` says where the client is in histories. What N does
    /// not acknowledge is sent again. Of two requests at a time the newer one counts, the older is answered without
    /// messages. An answer with `closed`, as `{"code":1000,"reason":""}`, is the last; a session that is over is 404,
    /// a cursor that can't be 400. Messages to the server are sent by POST, as those of
    /// [`event_streams`](Config::event_streams).
    ///
    /// What waits for the client counts towards [`outbox_bytes_max`](Config::outbox_bytes_max) until it is sent. The
    /// session ends with [`Cause::Timeout`](crate::Cause::Timeout) where no request came for
    /// [`poll_hold`](Config::poll_hold) and [`poll_grace`](Config::poll_grace). Default false.
    pub long_polling: bool,
    /// How long a request of long polling waits for messages until it is answered without any. Default 25 s: below what
    /// proxies wait for an answer.
    pub poll_hold: Duration,
    /// How long a session of long polling outlives the longest wait for messages without another request. Default 15 s:
    /// a slow network's answer and the next request.
    pub poll_grace: Duration,

    /// Bytes of a request's head; over it 431. Default 8 KiB: what browsers with many cookies send, and what
    /// common proxies take.
    pub head_bytes_max: usize,
    /// Bytes of a request's body; over it 413. Default 2 MiB, as
    /// [`message_bytes_max`](Config::message_bytes_max): what pages post is limited by both.
    pub body_bytes_max: usize,
    /// Bytes of one message over all its fragments, or of a package of raw TCP; over it 1009, before the excess is
    /// buffered.
    /// Default 2 MiB: Swoole's `package_max_length`.
    pub message_bytes_max: usize,
    /// Fragments of one message; over it 1009. Default 4,096: real clients send a few dozen, and each costs
    /// work out of proportion to its bytes.
    pub fragments_max: u32,
    /// Messages a second of one connection, with a burst of two seconds' worth; pings, pongs and fragments count as
    /// messages, and so do packages of raw TCP. Over it 1008, or 429 for what is posted. Default 2,500: games and
    /// pointers send a few hundred, and a client that was offline may send 5,000 kept messages, or one in
    /// [`fragments_max`](Config::fragments_max) fragments, at once.
    pub messages_per_second_max: Option<u32>,
    /// Bytes a second of one connection, with a burst of two seconds' worth; each read counts as a 65,536th of the
    /// burst at least. Over it 1008, or 429 for HTTP. Default 32 MiB: a quarter of a gigabit line, which no chat needs;
    /// set it higher where clients upload on a fast local network.
    pub bytes_per_second_max: Option<u64>,
    /// Whether `on_message` gets what comes of a message as it comes, not the whole message at its end:
    /// [`Frame::finish`](crate::Frame::finish) is false of all parts but the last. A part is what one read of the
    /// socket had of one fragment, so it says nothing of where the client cut. A message of any size so takes no
    /// memory; a callback that expects whole ones misunderstands all that are not here at once. Default false.
    pub deliver_fragments: bool,

    /// Bytes accepted for one connection and not yet written. Default 8 MiB: Swoole's `socket_buffer_size`.
    /// Must hold the largest message that you push: one that does not fit is refused as `Full`, and with
    /// [`SlowConsumer::Close`] ends the connection, however fast the peer reads.
    pub outbox_bytes_max: usize,
    /// The same for all connections together. Default 1 GiB.
    pub outboxes_bytes_max: usize,
    /// Memory of all messages and requests that are only partly here, together. Whoever needs more of it when it is
    /// spent is told to come back: a WebSocket by close code 1013, a request by 503. Default 256 MiB: 128 of the
    /// largest messages at once. Without it 20,000 clients could hold 40 GiB with messages that they never end.
    pub inbound_bytes_max: usize,
    /// What becomes of a message for which there is no room. Default: the connection is closed with 1013.
    pub slow_consumer: SlowConsumer,
    /// Queued bytes of a connection at which `on_buffer_full` is called. `None`, the default: 80 % of
    /// `outbox_bytes_max`, as in Swoole.
    pub buffer_high_watermark: Option<usize>,
    /// Queued bytes, or fewer, at which `on_buffer_empty` is called after that. Default 0.
    pub buffer_low_watermark: usize,

    /// Topics that one connection is in at once; over it
    /// [`JoinError::ConnectionFull`](crate::JoinError::ConnectionFull). Default 256: more than one page
    /// shows, and what a client that joins whatever it can costs stays under 16 KiB where the topics are others' too.
    pub topics_per_connection_max: usize,
    /// Bytes of a topic's name; over it [`JoinError::NameLength`](crate::JoinError::NameLength). Default 256: Pusher's
    /// names have up to 164 characters, and a prefix of yours fits before.
    pub topic_bytes_max: usize,
    /// Topics at once; over it a new one is [`JoinError::TopicsFull`](crate::JoinError::TopicsFull).
    /// Default 1,048,576: one for each of a million connections, and even with the longest names under 1 GiB.
    pub topics_max: usize,
    /// Memory of all [histories](crate::Server::keep_history) together; over it the oldest messages of all are
    /// forgotten. Default 64 MiB: some 100,000 chat messages.
    pub history_bytes_max: usize,
    /// Bytes of a uid; over it [`JoinError::NameLength`](crate::JoinError::NameLength). Default 256: an e-mail address
    /// has up to 254.
    pub uid_bytes_max: usize,
    /// Bytes of what [`bind_with`](crate::Server::bind_with) says of a user; over it
    /// [`JoinError::DataLength`](crate::JoinError::DataLength). Default 1 KiB: as much as Pusher allows, a name and a
    /// picture's address.
    pub user_data_bytes_max: usize,
    /// How long a user whose last connection in a topic has ended may be without one before
    /// [`on_presence`](crate::Handler::on_presence) is told that the user has left; who is taken out by
    /// [`leave`](crate::Server::leave) or [`unbind`](crate::Server::unbind) has left at once. Default 5 s: a page that
    /// is loaded again, or a phone that changes its network, is back by then. Zero: told at once.
    pub presence_grace: Duration,
    /// Users who are in that time at once; over it whoever has been away longest has left. Default 65,536: what those
    /// who come and go under ever new names can take stays under 256 MiB, even with the longest names and data.
    pub presence_absences_max: usize,

    /// Time from accept to a request's first byte, and from there for the whole of it, head and body; over it
    /// 408, or a plain end where nothing was sent at all. Default 10 s: a phone on a bad line needs seconds, one
    /// byte a second must not hold a slot.
    pub request_timeout: Duration,
    /// How long a [`Client`](crate::Client) may take to connect to one address, and then again for its handshake to be
    /// answered. Default 10 s: two of the kernel's second tries to reach a host that lost the first packet, and what
    /// a busy server needs.
    pub connect_timeout: Duration,
    /// How long an HTTP connection may be idle between requests, or take to read an answer; more where it reads
    /// on. Default 60 s.
    pub keep_alive_timeout: Duration,
    /// Silence after which a WebSocket is sent a ping, and how often an event stream is sent a comment, with up to 10 %
    /// of jitter. `None`: never.
    /// Default 25 s: shorter than the 30 to 60 s after which NATs and proxies forget a silent connection.
    pub ping_interval: Option<Duration>,
    /// How long after a ping the peer may stay silent before it is given up. Default 20 s.
    pub pong_timeout: Duration,
    /// How long a client may send no message, or part of one, before its WebSocket is closed with 1001; pongs are none.
    /// Raw TCP is ended where nothing came for so long.
    /// It is found out up to 4 % later. Default `None`: who only listens is as welcome as who speaks.
    pub idle_timeout: Option<Duration>,
    /// Whether nothing is read from a new connection until [`confirm`](crate::Server::confirm): Swoole's
    /// `enable_delay_receive`. Default false.
    pub delay_receive: bool,
    /// How long what was sent may stay unacknowledged, or untaken by a peer with a full window, before the system ends
    /// the connection (`TCP_USER_TIMEOUT`, on Linux). Default 60 s: longer than the server itself waits for anything,
    /// so that it only ends a peer where nothing else would, pings being off or the peer protected. `None`: the
    /// system's own, a quarter of an hour.
    pub tcp_user_timeout: Option<Duration>,
    /// Silence after which the system asks the peer's system whether it is there, and again every 15 s, or more often
    /// where this is less. Default 60 s: with pings it is never needed, and costs nothing then. `None`: never.
    pub tcp_keepalive: Option<Duration>,
    /// How long the peer has to answer the server's close frame. Default 3 s.
    pub close_timeout: Duration,
    /// How long to go on reading, and discarding, after the server ended its side of TCP, so that a last
    /// close frame is not destroyed by a reset (RFC 6455 §7.1.1). Default 1 s.
    pub linger_timeout: Duration,
    /// How long a shutdown waits for outboxes, close handshakes and tasks, counted from the end of the window.
    /// Default 5 s.
    pub shutdown_timeout: Duration,
    /// Over how long a shutdown tells its connections, one after the other: told all at once, all come back at once,
    /// to whatever takes this server's place. It is shorter where there are few of them, since 16 are told every
    /// 20 ms. Zero: all at once. Default 1 s.
    pub drain_window: Duration,
    /// The close code of a shutdown: 1001 (going away), 1012 (service restart), 1013 (try again later), or one of your
    /// own from 3000 to 4999. Default 1001.
    pub shutdown_code: u16,

    /// Bytes read from one socket at a time; one buffer for the whole server. Default 64 KiB: it stays in the
    /// processor's cache, and bounds what one connection can ask for before others have their turn.
    pub read_buffer_bytes: usize,
    /// Full reads from one connection before the others get their turn. Default 4.
    pub reads_per_turn_max: u32,
    /// Connections accepted of each listener before the others get their turn. Default 256.
    pub accepts_per_turn_max: u32,
    /// Connections that the kernel holds until they are accepted; the system may cap it. Default 4,096.
    pub backlog: u32,
    /// Whether other sockets may listen on the same address (`SO_REUSEPORT`), among which Linux spreads the
    /// connections: several processes side by side, or the next one before the last has gone. Default off, so that an
    /// address in use is an error.
    pub reuse_port: bool,
    /// What the kernel may hold of output to one connection (`SO_SNDBUF`), beside the outbox. `None`, the default:
    /// what the system finds right, which grows with the connection. Smaller saves the kernel's memory where many read
    /// slowly, and costs throughput on long ways. The system has its own limits, and Linux doubles the value.
    pub socket_send_buffer_bytes: Option<usize>,
    /// The same for input (`SO_RCVBUF`).
    pub socket_recv_buffer_bytes: Option<usize>,
    /// Commands from other threads that wait for the server. Default 65,536.
    pub mailbox_items_max: usize,
    /// Bytes of the payloads among them. Default 64 MiB.
    pub mailbox_bytes_max: usize,
    /// Threads for [tasks](crate::Server::task), started when they are needed. Default 4: tasks wait for disks and
    /// databases more than they compute.
    pub task_threads: usize,
    /// Tasks that are under way at once, those included that wait for a thread or whose result waits for the server.
    /// Default 1,024: with the threads there are, more would only wait longer.
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
            subprotocols: Vec::new(),
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
            socket_recv_buffer_bytes: None,
            mailbox_items_max: 65_536,
            mailbox_bytes_max: 64 << 20,
            task_threads: 4,
            tasks_max: 1_024,
        }
    }
}
