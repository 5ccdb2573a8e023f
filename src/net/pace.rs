//! How fast peers take what is on its way to them: waiting in an outbox or with the kernel, until it is acknowledged.
//! It tells who reads slowly from who only seems to. A peer is watched from when its socket takes no more, or when
//! something is awaited that it can send only after it has read; its deadlines ask for the verdict.

use super::connection::{Flags, Life};
use super::connections::Connections;
use super::rare::SessionState;
use super::stream::Stream;
use super::watch::Watch;
use crate::fd::Fd;
use std::time::Duration;

/// A verdict on a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It is not watched: what was sent to it is no excuse for anything.
    Unwatched,
    /// What was on its way has arrived since the last verdict. It is not watched any more.
    Arrived,
    /// Fast enough so far. The next verdict is due after this time.
    Steady(Duration),
    TooSlow,
}

impl<S: SessionState> Connections<S> {
    /// The socket takes no more for now.
    #[cold]
    #[inline(never)]
    pub(super) fn blocked(&mut self, fd: Fd) {
        let Some(connection) = self.table.get_mut(fd) else { return };
        connection.flags.set(Flags::BLOCKED);
        // Who has no socket takes what waits by other means.
        if !connection.flags.has(Flags::PACED) && !matches!(connection.stream, Stream::Socketless) {
            let is_early = connection.life == Life::Open && connection.session.may_expire_early();
            self.watch_pace(fd);
            if is_early {
                self.expire_by(fd, self.limits.pace_timeout);
            }
        }
    }

    /// Watches a peer from now on, if anything is on its way to it; if not, no more.
    pub(crate) fn watch_pace(&mut self, fd: Fd) {
        let Some(connection) = self.table.get(fd) else { return };
        let watch = Watch::begin(connection, self.tick_now());
        match watch.left {
            0 => self.end_pace(fd),
            _ => self.set_watch(fd, watch),
        }
    }

    fn set_watch(&mut self, fd: Fd, watch: Watch) {
        if let Some(rare) = self.rare_or_default(fd) {
            rare.watch = Some(watch);
        }
        if let Some(connection) = self.table.get_mut(fd) {
            connection.flags.set(Flags::PACED);
        }
    }

    pub(super) fn end_pace(&mut self, fd: Fd) {
        let connection = self.table.get_mut(fd);
        if connection.is_some_and(|connection| connection.flags.take(Flags::PACED)) {
            if let Some(rare) = self.rare_mut(fd) {
                rare.watch = None;
            }
            self.tidy_note(fd);
        }
    }

    /// The socket of a peer that is watched took `len` bytes.
    #[cold]
    #[inline(never)]
    pub(super) fn count_written(&mut self, fd: Fd, len: usize) {
        if let Some(watch) = self.rare_mut(fd).and_then(|rare| rare.watch.as_mut()) {
            watch.written += len;
        }
    }

    /// Judges a peer that is watched, by what it has taken in `window` or more. It is fast enough if it took as much as
    /// the least rate allows, or all that was there before.
    pub(crate) fn pace(&mut self, fd: Fd, window: Duration) -> Pace {
        let Some(connection) = self.table.get(fd).filter(|connection| connection.flags.has(Flags::PACED))
        else {
            return Pace::Unwatched;
        };
        let Some(watch) = self.rare(fd).and_then(|rare| rare.watch) else { return Pace::Unwatched };
        let next = Watch::begin(connection, self.tick_now());
        let taken = watch.acknowledged(next.unacknowledged);
        if next.left == 0 || taken >= watch.left && !connection.flags.has(Flags::BLOCKED) {
            self.end_pace(fd);
            return Pace::Arrived;
        }
        let time = self.now().saturating_duration_since(self.instant(watch.since));
        if time < window {
            return Pace::Steady(window - time);
        }
        // Not of all the time: where a long turn was in between, nothing was written.
        let least = window.as_secs_f64() * f64::from(self.limits.bytes_per_second_min);
        if taken < watch.left && (taken as f64) < least {
            return Pace::TooSlow;
        }
        self.set_watch(fd, next);
        Pace::Steady(window)
    }

    /// Gives an ending connection more time, but not beyond that by which it has to be gone: to go on reading, or, once
    /// everything has arrived, `answer_timeout` to answer it. False if its time is up.
    pub(crate) fn extend_end(&mut self, fd: Fd, answer_timeout: Duration) -> bool {
        let Some(connection) = self.table.get(fd) else { return false };
        let is_answer = connection.session.ends_by_close();
        let window = if is_answer { self.limits.answer_timeout } else { self.limits.ending_timeout };
        let next = match self.pace(fd, window) {
            Pace::Unwatched | Pace::TooSlow => return false,
            Pace::Arrived => answer_timeout,
            Pace::Steady(next) => next,
        };
        let ends_by = self.rare(fd).map_or(u32::MAX, |rare| rare.ends_by);
        if ends_by <= self.tick_now() {
            return false;
        }
        let left = self.instant(ends_by).saturating_duration_since(self.now());
        self.expire_in(fd, next.min(left));
        true
    }

    /// The time for `len` bytes at the least rate.
    pub(super) fn longest_time(&self, len: usize) -> Duration {
        Duration::from_millis(len as u64 * 1_000 / u64::from(self.limits.bytes_per_second_min.max(1)))
    }
}
