//! The user's timers, and deadlines of connections.

use crate::fd::Fd;
use crate::server::state::timers::TimerId;
use crate::server::{Server, Timer, later};
use std::time::{Duration, Instant};

impl Server {
    /// Calls `call` once, `delay` from now.
    ///
    /// ```no_run
    /// # use swio::{Fd, Server};
    /// # use std::time::Duration;
    /// fn remind(server: &mut Server, fd: Fd) {
    ///     server.after(Duration::from_secs(60), move |server| {
    ///         server.push(fd, "a minute has passed").ok();
    ///     });
    /// }
    /// ```
    pub fn after(&mut self, delay: Duration, call: impl FnOnce(&mut Server) + 'static) -> TimerId {
        self.set_timer(delay, None, Timer::Once(self.route, Box::new(call)))
    }

    /// Calls `call` again and again, `period` apart, the first time one period from now. It gets the timer's id, so
    /// that it can cancel itself. Ticks that were missed because the server was busy are skipped. A panic cancels the
    /// timer. A period under 1 ms becomes 1 ms.
    ///
    /// ```no_run
    /// # use swio::{Fd, Server};
    /// # use std::time::Duration;
    /// fn count_down(server: &mut Server, fd: Fd) {
    ///     let mut left = 10;
    ///     server.every(Duration::from_secs(1), move |server, timer| {
    ///         if left == 0 || server.push(fd, left.to_string()).is_err() {
    ///             server.cancel(timer);
    ///         }
    ///         left -= 1;
    ///     });
    /// }
    /// ```
    pub fn every(&mut self, period: Duration, call: impl FnMut(&mut Server, TimerId) + 'static) -> TimerId {
        let period = period.max(Duration::from_millis(1));
        self.set_timer(period, Some(period), Timer::Every(self.route, Box::new(call)))
    }

    /// Calls the handler's [`on_timer`](crate::Handler::on_timer) once, `delay` from now: the timer for
    /// handlers that need their own state then.
    pub fn timer(&mut self, delay: Duration) -> TimerId {
        self.set_timer(delay, None, Timer::Handler(self.route))
    }

    /// Cancels a timer, also from within its own call. Returns false if it has run or was cancelled before.
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        self.timers.cancel(timer)
    }

    /// Calls [`on_deadline`](crate::Handler::on_deadline) for this connection once, `after` from now. A connection has
    /// one deadline: a new one replaces it, and `None` removes it. It ends with the connection, and stays if an HTTP
    /// connection becomes a WebSocket. It does not change the server's own timeouts and pings. Returns false if the
    /// connection is gone.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use swio::Server;
    ///
    /// Server::builder()
    ///     .listen("127.0.0.1:9501")
    ///     .on_open(|server, request| { server.set_deadline(request.fd, Duration::from_secs(10)); })
    ///     .on_message(|server, frame| { server.set_deadline(frame.fd, None); })
    ///     .on_deadline(|server, fd| { server.disconnect(fd, 4000, "say who you are"); })
    ///     .run()
    /// # .unwrap();
    /// ```
    pub fn set_deadline(&mut self, fd: Fd, after: impl Into<Option<Duration>>) -> bool {
        self.drop_deadline(fd);
        if self.sessions.connections.get(fd).is_none() {
            return false;
        }
        if let Some(after) = after.into() {
            let timer = self.set_timer(after, None, Timer::Deadline(self.route, fd));
            self.deadlines.insert(fd, timer);
        }
        true
    }

    /// Removes a connection's deadline. After a burst the memory for deadlines is released.
    pub(crate) fn drop_deadline(&mut self, fd: Fd) {
        if self.deadlines.is_empty() {
            return;
        }
        if let Some(timer) = self.deadlines.remove(&fd) {
            self.timers.cancel(timer);
        }
        if self.deadlines.is_empty() {
            self.deadlines.shrink_to(64);
        }
    }

    fn set_timer(&mut self, delay: Duration, period: Option<Duration>, timer: Timer) -> TimerId {
        // Not the turn's own time, because the callback may have taken long.
        self.timers.set(later(Instant::now().max(self.sessions.connections.now()), delay), period, timer)
    }
}
