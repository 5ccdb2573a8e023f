//! Threads for work that takes long: started when first needed, and what comes out of it is mailed to the reactor.
//! Knows nothing of the server but its handle.

use crate::server::api::handle::Handle;
use crate::server::dispatch::message_of;
use crate::server::verbs::tasks::{Output, TaskError, TaskId};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

pub(crate) type Work = Box<dyn FnOnce() -> Output + Send>;

/// Dropping it lets its threads end, each when its work is done.
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is a job, or one thread too many.
    changed: Condvar,
}

struct State {
    jobs: VecDeque<(TaskId, Work)>,
    threads: usize,
    threads_max: usize,
    /// Those of the threads that wait for a job.
    idle: usize,
    is_open: bool,
}

impl Pool {
    pub(crate) fn new(threads_max: usize) -> Pool {
        let state = State { jobs: VecDeque::new(), threads: 0, threads_max, idle: 0, is_open: true };
        Pool(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Queues work. On an error, which is that there is no thread to do it, it is dropped.
    pub(crate) fn add(&self, id: TaskId, work: Work, done: &Handle) -> io::Result<()> {
        let needs_thread = {
            let mut state = self.0.lock();
            state.jobs.push_back((id, work));
            let needs_thread = state.idle < state.jobs.len() && state.threads < state.threads_max;
            state.threads += usize::from(needs_thread);
            needs_thread
        };
        self.0.changed.notify_one();
        if !needs_thread {
            return Ok(());
        }
        let (shared, done) = (self.0.clone(), done.clone());
        let started = thread::Builder::new().name("swio-task".into()).spawn(move || shared.work(&done));
        let Err(error) = started else { return Ok(()) };
        log::error!("a thread for tasks can't be started: {error}");
        let mut state = self.0.lock();
        state.threads -= 1;
        if state.threads > 0 {
            return Ok(());
        }
        let at = state.jobs.iter().position(|(other, _)| *other == id);
        let job = at.and_then(|at| state.jobs.remove(at));
        drop(state);
        drop(job);
        Err(error)
    }

    /// Takes out what nobody has begun.
    pub(crate) fn take(&self) -> VecDeque<(TaskId, Work)> {
        std::mem::take(&mut self.0.lock().jobs)
    }

    /// More threads are started when they are needed; fewer are as soon as they have done what they do.
    pub(crate) fn set_threads_max(&self, threads_max: usize) {
        self.0.lock().threads_max = threads_max;
        self.0.changed.notify_all();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.lock().is_open = false;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread does.
    fn work(&self, done: &Handle) {
        while let Some((id, work)) = self.next() {
            let result = catch_unwind(AssertUnwindSafe(work));
            done.finished(id, result.map_err(|panic| TaskError::Panicked(message_of(panic))));
        }
    }

    /// The next job, waited for; `None` where the thread is to end.
    fn next(&self) -> Option<(TaskId, Work)> {
        let mut state = self.lock();
        loop {
            if !state.is_open || state.threads > state.threads_max {
                state.threads -= 1;
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}
