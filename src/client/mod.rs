//! WebSocket clients on the reactor and codec of the server: what is to be connected to and what is to be done then,
//! run by itself, many together, or from inside a server. Contract of this layer: only what users see of a client; the
//! connecting itself is the server's.

/// A WebSocket client for scripts: no loop, no callbacks, no thread. Each call does what it says and waits until that
/// is done.
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
use crate::server::Server;
use crate::server::api::event_loop::EventLoop;
use crate::server::api::handle::Handle;
use crate::server::api::message::{Frame, Message};
use crate::server::verbs::outgoing::{Backoff, ClientId, ClientTarget};
use link::ClientCallbacks;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::{fmt, io};

/// A WebSocket client: where to connect to, and what to do then.
///
/// Its callbacks get a [`Link`] to push through, as those of a server get the server. [`run`](Client::run) serves it
/// on this thread, [`start`](Client::start) on one of its own, [`run_all`] many on one thread, and
/// [`Server::connect`] beside the connections of a server. For scripts there is [`blocking`].
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
/// What the server sends is held to the limits of [`Config`] as what clients send a server is, but for those of speed:
/// it was chosen to be heard. A server that is silent is pinged, and given up where it stays so.
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
    /// A client of the server at a URL such as `ws://example.com:9501/chat?room=1`. What is wrong with the URL is an
    /// error of [`run`](Client::run) and the like. The name in it is looked up for each attempt, on another thread,
    /// and all its addresses are tried in turn. TLS (`wss://`) is left to a proxy.
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

    /// Adds a header to the handshake's request, such as `Authorization`, `Cookie` or `Origin`.
    ///
    /// # Panics
    /// Where the name is no token, the value has a control character, or the header is the handshake's own.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Client {
        let (name, value) = (name.into(), value.into());
        assert!(is_token(&name), "{name:?} is no header name");
        assert!(is_field_value(&value), "control character in the value of header {name}");
        assert!(!handshake_client::is_own_header(&name), "{name} is the handshake's own");
        self.headers.push((name, value));
        self
    }

    /// Offers a subprotocol; may be called for several, in the order of preference. Which of them the server has
    /// chosen, if any, is [`Answer::subprotocol`].
    ///
    /// # Panics
    /// Where the name is no token.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Client {
        let name = name.into();
        assert!(is_token(&name), "{name:?} is no name of a subprotocol");
        self.subprotocols.push(name);
        self
    }

    /// Connects again when an attempt has failed or the connection has ended, whatever ended it but this side's own
    /// [`disconnect`](Link::disconnect) or [`stop`](Link::stop). Without this there is one attempt. Who is not to come
    /// back after some close codes stops in [`on_close`](Client::on_close):
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

    /// Changes limits and timeouts: of [`run`](Client::run), [`start`](Client::start) and [`blocking`]. Clients of a
    /// server have the server's.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Client {
        change(&mut self.config);
        self
    }

    /// The connection is open. Pushing is possible from now on; the answer is that to the handshake.
    pub fn on_open(mut self, call: impl FnMut(&mut Link<'_>, &Answer<'_>) + Send + 'static) -> Client {
        self.callbacks.open = Some(Box::new(call));
        self
    }

    /// A message.
    pub fn on_message(mut self, call: impl FnMut(&mut Link<'_>, Frame<'_>) + Send + 'static) -> Client {
        self.callbacks.message = Some(Box::new(call));
        self
    }

    /// A ping came. It is answered by itself.
    pub fn on_ping(mut self, call: impl FnMut(&mut Link<'_>, &[u8]) + Send + 'static) -> Client {
        self.callbacks.ping = Some(Box::new(call));
        self
    }

    /// A pong came, whether it answers a ping or nothing.
    pub fn on_pong(mut self, call: impl FnMut(&mut Link<'_>, &[u8]) + Send + 'static) -> Client {
        self.callbacks.pong = Some(Box::new(call));
        self
    }

    /// A connection that was open has ended: exactly once for each [`on_open`](Client::on_open). There may be another.
    pub fn on_close(mut self, call: impl FnMut(&mut Link<'_>, &CloseReason) + Send + 'static) -> Client {
        self.callbacks.close = Some(Box::new(call));
        self
    }

    /// Something went wrong: an attempt to connect ([`Fault::Connect`]), the server broke the protocol, a callback
    /// panicked.
    pub fn on_error(mut self, call: impl FnMut(&mut Link<'_>, &Fault) + Send + 'static) -> Client {
        self.callbacks.error = Some(Box::new(call));
        self
    }

    /// Serves the client on this thread until it is over: its connection has ended and there is no further attempt.
    ///
    /// # Errors
    /// Where the URL or a setting can't work, or the last attempt failed; the error is that attempt's.
    pub fn run(self) -> io::Result<()> {
        run_all([self])
    }

    /// Serves the client on a thread of its own.
    ///
    /// # Errors
    /// Where the URL or a setting can't work. What comes of the attempts is told by the callbacks, and of the last by
    /// [`RunningClient::join`].
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
            // It has ended, and says why.
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

/// Serves many clients on this thread, until all are over. Limits and timeouts are those of the first.
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
/// As for [`Client::run`]: the error of whichever client was the last to give up.
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

/// Turns the loop until all clients are over.
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
    /// Opens a WebSocket to another server, to be served beside the connections of this one. It begins when the
    /// callback is over; then the client's own callbacks are told of it, or, where it has none, those of the handler
    /// that called this: [`on_client_open`](crate::Handler::on_client_open), `on_message` and so on, and `on_error`
    /// where it came to nothing.
    ///
    /// Its fd is one like any other: for [`push`](Server::push), [`disconnect`](Server::disconnect),
    /// [`join`](Server::join). Only a [`broadcast`](Server::broadcast) leaves it out, and the lists of
    /// [`connections`](Server::connections): those are for who came to this server.
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
    /// Where the URL can't work, or the system gives no randomness.
    pub fn connect(&mut self, client: Client) -> io::Result<ClientId> {
        let target = client.target()?;
        self.add_client(target, |id| client.callbacks.into_handler(id))
    }
}

/// A client on a thread of its own; made by [`Client::start`]. Dropping it lets the client go on.
#[derive(Debug)]
pub struct RunningClient {
    handle: Handle,
    id: ClientId,
    thread: JoinHandle<io::Result<()>>,
}

impl RunningClient {
    /// Sends a message. `Ok` means that the client will see it; where it is not connected then, it is dropped.
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

    /// Ends the client for good: its connection by close code 1000 behind what was pushed to it.
    ///
    /// # Errors
    /// As for [`RunningClient::push`].
    pub fn stop(&self) -> Result<(), PushError> {
        let id = self.id;
        self.handle.run(move |server| {
            server.stop_client(id);
        })
    }

    /// The client's name in its loop.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// The client's loop, for all else.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until the client is over.
    ///
    /// # Errors
    /// Where the last attempt to connect failed, or the system's poller did.
    pub fn join(self) -> io::Result<()> {
        join(self.thread)
    }
}

fn join(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the client's thread panicked")))
}
