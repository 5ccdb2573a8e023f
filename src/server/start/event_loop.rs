//! A live server from outside: its loop called by the host program, or running on a thread of its own.

use crate::net::reactor::Reactor;
use crate::net::{App as _, AppPhase};
use crate::server::dispatch::Dispatch;
use crate::server::{Handle, Server};
use crate::session::route::Route;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A server whose loop is run by the host program: for programs that have a loop of their own, such as a game or a
/// GUI. Made by [`Builder::build`](crate::Builder::build).
///
/// Nothing happens between calls of [`poll`](EventLoop::poll), so call it often, or when the
/// [file descriptor](EventLoop::as_raw_fd) of the loop is readable and at the latest after its
/// [`timeout`](EventLoop::timeout).
///
/// ```no_run
/// use std::time::{Duration, Instant};
/// use swio::Server;
///
/// let mut event_loop = Server::builder()
///     .listen("127.0.0.1:9501")
///     .on_message(|server, frame| { server.push(frame.fd, frame.data).ok(); })
///     .build()?;
/// let period = Duration::from_millis(16);
/// let (mut frame, mut next) = (0, Instant::now() + period);
/// while event_loop.poll(Some(next.saturating_duration_since(Instant::now())))? {
///     if Instant::now() >= next {
///         next += period;
///         frame += 1;
///         event_loop.server().broadcast(format!("frame {frame}")).send();
///     }
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct EventLoop {
    reactor: Reactor<Dispatch>,
    addresses: Vec<SocketAddr>,
}

impl EventLoop {
    pub(crate) fn new(mut reactor: Reactor<Dispatch>, addresses: Vec<SocketAddr>) -> EventLoop {
        reactor.app.tell_started();
        EventLoop { reactor, addresses }
    }

    /// The addresses that the server listens on, with the actual ports if port 0 was asked for. Those for raw TCP come
    /// last.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Waits for something to do, at most for `timeout` (`None`: for as long as it takes), and does it. Returns false
    /// once the server has shut down; there is no use in calling it again then.
    ///
    /// It returns as soon as it has done something, often long before `timeout`; to write what you pushed since the
    /// last call is something too. Do not use it as a clock.
    ///
    /// # Errors
    /// If the system's poller fails.
    pub fn poll(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        if self.has_ended() {
            return Ok(false);
        }
        self.reactor.poll(timeout)?;
        if self.has_ended() {
            // Mail that comes from now on would wait for ever.
            self.reactor.mailbox.close();
            self.reactor.app.tell_stopped();
        }
        Ok(!self.has_ended())
    }

    /// How long the server can do without [`poll`](EventLoop::poll): until its next timer or deadline; zero if work is
    /// left over; `None` if only a socket or another thread can bring work.
    pub fn timeout(&mut self) -> Option<Duration> {
        self.reactor.next_wake_up(Instant::now())
    }

    fn has_ended(&self) -> bool {
        self.reactor.app.phase() == AppPhase::Ended
    }

    /// Runs the loop until [`Server::shutdown`].
    ///
    /// # Errors
    /// If the system's poller fails.
    pub fn run(mut self) -> io::Result<()> {
        while self.poll(None)? {}
        Ok(())
    }

    /// The server, between two polls. What is pushed is written during the next one. Timers, tasks and watches that
    /// are begun here belong to the server's own handler, as those of [`Handle::run`] do.
    pub fn server(&mut self) -> &mut Server {
        let server = &mut self.reactor.app.server;
        server.route = Route::ROOT;
        server
    }

    /// A handle to the server, for other threads.
    pub fn handle(&self) -> Handle {
        self.reactor.app.server.handle()
    }
}

/// Readable when a socket or another thread has something for [`EventLoop::poll`]: for a host program that waits with
/// poll, select or epoll. Timers do not make it readable: wait no longer than [`EventLoop::timeout`].
impl AsRawFd for EventLoop {
    fn as_raw_fd(&self) -> RawFd {
        self.reactor.poll_handle().as_raw_fd()
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// A server on a thread of its own, made by [`Builder::start`](crate::Builder::start). If this is dropped, the server
/// runs on.
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    addresses: Vec<SocketAddr>,
    thread: JoinHandle<io::Result<()>>,
}

impl Running {
    /// Makes the loop on a new thread, and runs it there.
    pub(crate) fn spawn(
        handle: Handle,
        addresses: Vec<SocketAddr>,
        make: impl FnOnce() -> io::Result<EventLoop> + Send + 'static,
    ) -> io::Result<Running> {
        let thread = thread::Builder::new().name("swio".into()).spawn(move || make()?.run())?;
        Ok(Running { handle, addresses, thread })
    }

    /// The addresses that the server listens on, with the actual ports if port 0 was asked for. Those for raw TCP come
    /// last.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A handle to the server, for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until the server has shut down.
    ///
    /// # Errors
    /// The error that ended the loop, if it did not end by a shutdown.
    pub fn join(self) -> io::Result<()> {
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the server's thread panicked")))
    }
}
