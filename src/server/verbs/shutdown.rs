//! The end of a server: when connections are told, and how long the server waits for them. Many are told in steps,
//! because clients that all lose their connection at once all come back at once.

use crate::error::{Cause, CloseReason, Side};
use crate::server::state::stage::{Drain, Stage};
use crate::server::{Deferred, Server, later};
use std::time::{Duration, Instant};

/// At least so many connections are told at a time, even if the window would allow fewer: so few cause no storm.
const STEP_CONNECTIONS_MIN: usize = 16;
const STEP: Duration = Duration::from_millis(20);

impl Server {
    /// Ends the server: it accepts no more connections, every WebSocket gets [`Config::shutdown_code`] after
    /// everything that was pushed to it, and `run` returns when all connections are gone, or after
    /// [`Config::shutdown_timeout`]. More than 16 connections are told in steps, over at most
    /// [`Config::drain_window`]; those that were not told yet are served as before.
    ///
    /// [`Config::shutdown_code`]: crate::Config::shutdown_code
    /// [`Config::shutdown_timeout`]: crate::Config::shutdown_timeout
    /// [`Config::drain_window`]: crate::Config::drain_window
    pub fn shutdown(&mut self) {
        if self.stage != Stage::Serving {
            return;
        }
        let (now, len) = (self.sessions.connections.now(), self.sessions.connections.len());
        let window =
            if len > STEP_CONNECTIONS_MIN { self.sessions.config.drain_window } else { Duration::ZERO };
        let steps = usize::try_from(window.as_millis() / STEP.as_millis()).unwrap_or(usize::MAX).max(1);
        self.stage = Stage::Draining(Drain {
            next: 1,
            share: len.div_ceil(steps).max(STEP_CONNECTIONS_MIN),
            step_at: None,
            cut_off_at: later(now, window.saturating_add(self.sessions.config.shutdown_timeout)),
        });
        self.deferred.push(Deferred::BeforeShutdown);
    }

    /// Tells the next connections that the server ends. First called once the handlers have been told.
    pub(crate) fn drain(&mut self) {
        let Stage::Draining(mut drain) = self.stage else { return };
        if drain.step_at.is_none() {
            self.settle_absences();
            log::info!("shutting down with {} connections", self.sessions.connections.len());
        }
        let code = self.sessions.config.shutdown_code;
        let mut share = drain.share;
        while let Some(index) = self.sessions.connections.next_live(drain.next)
            && share > 0
        {
            drain.next = index + 1;
            if let Some((fd, _)) = self.sessions.connections.at(index) {
                let reason = CloseReason::new(Side::Local, code, "server shutdown", Cause::Shutdown);
                self.sessions.close(fd, reason);
                share -= 1;
            }
        }
        drain.step_at = Some(later(self.sessions.connections.now(), STEP));
        self.stage = match self.sessions.connections.next_live(drain.next) {
            Some(_) => Stage::Draining(drain),
            None => Stage::Stopping(drain.cut_off_at),
        };
    }

    /// Waits for nothing any more: what is left is killed in this turn.
    pub(crate) fn shutdown_at_once(&mut self) {
        log::warn!("ending at once with {} connections", self.sessions.connections.len());
        self.stage = Stage::Stopping(self.sessions.connections.now());
    }

    /// When the shutdown has its next step.
    pub(crate) fn next_step(&self) -> Option<Instant> {
        match self.stage {
            Stage::Serving => None,
            Stage::Draining(drain) => drain.step_at,
            Stage::Stopping(at) => Some(at),
        }
    }

    /// Carries out the steps of the shutdown that are due.
    pub(crate) fn run_shutdown(&mut self, now: Instant) {
        match self.stage {
            Stage::Draining(Drain { step_at: Some(at), .. }) if at <= now => self.drain(),
            Stage::Stopping(at) if at <= now => self.kill_all(),
            _ => {}
        }
    }

    /// The time for the shutdown is over.
    fn kill_all(&mut self) {
        self.abandon_tasks();
        for index in self.sessions.connections.live().iter(1) {
            let Some((fd, _)) = self.sessions.connections.at(index) else { continue };
            let reason = CloseReason::without_frame(Side::Local, Cause::Shutdown);
            self.sessions.connections.kill(fd, reason);
        }
    }
}
