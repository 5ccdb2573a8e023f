//! WebSocket clients, on the same reactor and codec as the server: alone, many on one thread, or inside a server.
//! Contract of this layer: only what users see of a client; the server does the connecting.

/// A WebSocket client for scripts: no loop, no callbacks, no thread. Each call returns when its work is done.
///
/// ```no_run
/// use std::time::Duration;
/// use swio::client::blocking;
///
/// let mut chat = blocking::connect("ws://127.0.0.1:9501/chat")?;
/// chat.push("hello")?;
/// while let Some(message) = chat.receive(Duration::from_secs(5))? {
///     println!("{}", message.as_str().unwrap_or("(binary)"));
/// }
/// chat.close(1000, "that was all");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub mod blocking;
mod link;

pub use link::Link;

use crate::codec::http::Answer;
use crate::codec::http::response::{is_field_value, is_token};
use crate::codec::ws::handshake_client::{self, Ask};
use crate::codec::ws::url::Url;
use crate::config::Config;
use crate::error::{CloseReason, Fault, PushError};
use crate::server::Handle;
use crate::server::Server;
use crate::server::start::event_loop::EventLoop;
use crate::server::state::outgoing::{Backoff, ClientId, ClientTarget};
use crate::session::frame::Frame;
use crate::session::message::Message;
use link::ClientCallbacks;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::{fmt, io};

/// A WebSocket client: the server to connect to, and the callbacks.
///
/// Callbacks get a [`Link`] to push through, just as a server's callbacks get the server. [`run`](Client::run) runs the
/// client on this thread, [`start`](Client::start) on a thread of its own, [`run_all`] runs many clients on one thread,
/// and [`Server::connect`] runs one beside the connections of a server. For scripts there is [`blocking`].
///
/// ```no_run
/// use swio::{Backoff, Client};
///
/// Client::connect("ws://127.0.0.1:9501/chat")
///     .header("Cookie", "session=1234")
///     .reconnect(Backoff::default())
///     .on_open(|client, _answer| { client.push("hello").ok(); })
///     .on_message(|_client, frame| println!("{}", frame.data))
///     .on_close(|_client, reason| println!("{reason}"))
///     .run()
/// # .unwrap();
/// ```
///
/// The limits of [`Config`] apply to what the server sends, except those on speed: the client chose this server. A
/// silent server is pinged, and the connection ends if it stays silent.
#[must_use]
pub struct Client {
    url: String,
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    backoff: Option<Backoff>,
    config: Config,
    callbacks: ClientCallbacks,
}

impl Client {
    /// A client for the server at a URL such as `ws://example.com:9501/chat?room=1`. If the URL is wrong,
    /// [`run`](Client::run), `start` and so on return the error. For each attempt the host name is looked up on another
    /// thread, and all its addresses are tried in turn. `wss://` is not supported
    /// yet: connect through a local TLS proxy such as stunnel.
    pub fn connect(url: impl Into<String>) -> Client {
        Client {
            url: url.into(),
            headers: Vec::new(),
            subprotocols: Vec::new(),
            backoff: None,
            config: Config::default(),
            callbacks: ClientCallbacks::default(),
        }
    }

    /// Adds a header to the request of the handshake, such as `Authorization`, `Cookie` or `Origin`.
    ///
    /// # Panics
    /// If the name is not a token, the value has a control character, or the handshake itself sets the header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Client {
        let (name, value) = (name.into(), value.into());
        assert!(is_token(&name), "{name:?} is no header name");
        assert!(is_field_value(&value), "control character in the value of header {name}");
        assert!(!handshake_client::is_own_header(&name), "{name} is the handshake's own");
        self.headers.push((name, value));
        self
    }

    /// Offers a subprotocol. Call it several times to offer several, the favourite first. [`Answer::subprotocol`] is
    /// the one that the server chose, if any.
    ///
    /// # Panics
    /// If the name is not a token.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Client {
        let name = name.into();
        assert!(is_token(&name), "{name:?} is no name of a subprotocol");
        self.subprotocols.push(name);
        self
    }

    /// Connects again after a failed attempt, and when the connection has ended for any reason except
    /// [`disconnect`](Link::disconnect) or [`stop`](Link::stop) on this side. Without this there is only one attempt.
    /// To give up after certain close codes, call `stop` in [`on_close`](Client::on_close):
    ///
    /// ```
    /// # use swio::{Backoff, Client};
    /// let client = Client::connect("ws://127.0.0.1:9501/chat")
    ///     .reconnect(Backoff::default())
    ///     .on_close(|client, reason| {
    ///         if reason.code >= 4000 {
    ///             client.stop();
    ///         }
    ///     });
    /// ```
    pub fn reconnect(mut self, backoff: Backoff) -> Client {
        self.backoff = Some(backoff);
        self
    }

    /// Changes limits and timeouts for [`run`](Client::run), [`start`](Client::start) and [`blocking`]. A client inside
    /// a server uses the server's.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Client {
        change(&mut self.config);
        self
    }

    /// Called when the connection is open: from now on you can push. The [`Answer`] is the server's response to the
    /// handshake.
    pub fn on_open(mut self, call: impl FnMut(&mut Link<'_>, &Answer<'_>) + Send + 'static) -> Client {
        self.callbacks.open = Some(Box::new(call));
        self
    }

    /// Called for each message.
    pub fn on_message(mut self, call: impl FnMut(&mut Link<'_>, Frame<'_>) + Send + 'static) -> Client {
        self.callbacks.message = Some(Box::new(call));
        self
    }

    /// Called for each ping. The client answers pings by itself.
    pub fn on_ping(mut self, call: impl FnMut(&mut Link<'_>, &[u8]) + Send + 'static) -> Client {
        self.callbacks.ping = Some(Box::new(call));
        self
    }

    /// Called for each pong, whether it answers a ping or was sent unasked.
    pub fn on_pong(mut self, call: impl FnMut(&mut Link<'_>, &[u8]) + Send + 'static) -> Client {
        self.callbacks.pong = Some(Box::new(call));
        self
    }

    /// Called when an open connection has ended: exactly once for each [`on_open`](Client::on_open). A client that
    /// [reconnects](Client::reconnect) may open another.
    pub fn on_close(mut self, call: impl FnMut(&mut Link<'_>, &CloseReason) + Send + 'static) -> Client {
        self.callbacks.close = Some(Box::new(call));
        self
    }

    /// Called when an attempt to connect failed ([`Fault::Connect`]), the server broke the protocol, or a callback
    /// panicked.
    pub fn on_error(mut self, call: impl FnMut(&mut Link<'_>, &Fault) + Send + 'static) -> Client {
        self.callbacks.error = Some(Box::new(call));
        self
    }

    /// Runs the client on this thread until it has ended: the connection is closed and there is no further attempt.
    ///
    /// # Errors
    /// If the URL or a setting can't work, or with the error of the last attempt if that failed.
    pub fn run(self) -> io::Result<()> {
        run_all([self])
    }

    /// Runs the client on a thread of its own.
    ///
    /// # Errors
    /// If the URL or a setting can't work. Failed attempts are reported by the callbacks, and the last one by
    /// [`RunningClient::join`] too.
    pub fn start(self) -> io::Result<RunningClient> {
        self.target()?;
        let (sender, receiver) = mpsc::channel();
        let thread = thread::Builder::new().name("swio-client".into()).spawn(move || {
            let mut event_loop = event_loop(&self.config)?;
            let id = event_loop.server().connect(self)?;
            sender.send((event_loop.handle(), id)).ok();
            serve(event_loop)
        })?;
        match receiver.recv() {
            Ok((handle, id)) => Ok(RunningClient { handle, id, thread }),
            // The thread has ended; its result says why.
            Err(_) => Err(join(thread).err().unwrap_or_else(|| io::Error::other("the client did not start"))),
        }
    }

    fn target(&self) -> io::Result<ClientTarget> {
        let url = Url::parse(&self.url).map_err(|what| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("can't connect to {:?}: {what}", self.url))
        })?;
        let ask = Ask { url, headers: self.headers.clone(), subprotocols: self.subprotocols.clone() };
        Ok(ClientTarget { ask, backoff: self.backoff })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Runs many clients on this thread until all have ended. The limits and timeouts of the first one apply to all.
///
/// ```no_run
/// use swio::{Client, client};
///
/// client::run_all((0..1_000).map(|number| {
///     Client::connect("ws://127.0.0.1:9501/chat")
///         .on_open(move |client, _answer| { client.push(format!("I am number {number}")).ok(); })
/// }))
/// # .unwrap();
/// ```
///
/// # Errors
/// As for [`Client::run`]; the error is that of the last client that gave up.
pub fn run_all(clients: impl IntoIterator<Item = Client>) -> io::Result<()> {
    let mut clients = clients.into_iter().peekable();
    let Some(first) = clients.peek() else { return Ok(()) };
    let mut event_loop = event_loop(&first.config)?;
    for client in clients {
        event_loop.server().connect(client)?;
    }
    serve(event_loop)
}

fn event_loop(config: &Config) -> io::Result<EventLoop> {
    Server::builder().configure(|own| own.clone_from(config)).build_unbound()
}

/// Turns the loop until all clients have ended.
fn serve(mut event_loop: EventLoop) -> io::Result<()> {
    loop {
        let server = event_loop.server();
        if server.usage().clients == 0 {
            server.shutdown();
        }
        if !event_loop.poll(None)? {
            return event_loop.server().take_failure().map_or(Ok(()), Err);
        }
    }
}

impl Server {
    /// Opens a WebSocket to another server and runs it beside the connections of this one. Connecting begins when the
    /// current callback has returned. Events go to the client's own callbacks or, if it has none, to the handler that
    /// called this: [`on_client_open`](crate::Handler::on_client_open), `on_message` and so on, and `on_error` if an
    /// attempt fails.
    ///
    /// The connection has an fd like any other, for [`push`](Server::push), [`disconnect`](Server::disconnect),
    /// [`join`](Server::join). Only [`broadcast`](Server::broadcast) and the list of
    /// [`connections`](Server::connections) leave it out: they are for the clients of this server.
    ///
    /// ```no_run
    /// use swio::{Client, Server};
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_start(|server| {
    ///         let news = Client::connect("ws://127.0.0.1:9502/news")
    ///             .on_message(|client, frame| { client.server().broadcast(frame.data).send(); });
    ///         server.connect(news).expect("a URL");
    ///     })
    ///     .run()
    /// # .unwrap();
    /// ```
    ///
    /// # Errors
    /// If the URL can't work, or the system gives no random bytes.
    pub fn connect(&mut self, client: Client) -> io::Result<ClientId> {
        let target = client.target()?;
        self.add_client(target, |id| client.callbacks.into_handler(id))
    }
}

/// A client on a thread of its own; made by [`Client::start`]. The client goes on when this is dropped.
#[derive(Debug)]
pub struct RunningClient {
    handle: Handle,
    id: ClientId,
    thread: JoinHandle<io::Result<()>>,
}

impl RunningClient {
    /// Sends a message. `Ok` means that the client's thread will get it; if the client is not connected at that time,
    /// the message is dropped.
    ///
    /// # Errors
    /// [`PushError::Busy`] when too many messages, or bytes of them, wait to be picked up by the client's thread
    /// ([`Config::mailbox_items_max`], [`Config::mailbox_bytes_max`]); [`PushError::Stopped`] when the client has
    /// ended.
    pub fn push<'a>(&self, message: impl Into<Message<'a>>) -> Result<(), PushError> {
        let (id, message) = (self.id, message.into().into_owned());
        self.handle.run_sized(message.as_bytes().len(), move |server| {
            let pushed = server.client_fd(id).ok_or(PushError::Gone).and_then(|fd| server.push(fd, message));
            if let Err(error) = pushed {
                log::debug!("a push from another thread was not accepted: {error}");
            }
        })
    }

    /// Ends the client for good. A connection is closed with 1000, after everything that was pushed before.
    ///
    /// # Errors
    /// As for [`RunningClient::push`].
    pub fn stop(&self) -> Result<(), PushError> {
        let id = self.id;
        self.handle.run(move |server| {
            server.stop_client(id);
        })
    }

    /// The client's id in its loop.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// A handle to the client's loop, for everything else.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until the client has ended.
    ///
    /// # Errors
    /// If the last attempt to connect failed, or the system's poller did.
    pub fn join(self) -> io::Result<()> {
        join(self.thread)
    }
}

fn join(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the client's thread panicked")))
}
