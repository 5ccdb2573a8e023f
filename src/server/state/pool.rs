//! Threads for slow work: started when first needed. Each reports the result of its work when it is done.

use crate::panics::message_of;
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

/// Identifies a task. The id is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(u64);

impl TaskId {
    pub(crate) fn new(number: u64) -> TaskId {
        TaskId(number)
    }
}

/// Why a task has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// As many tasks as [`Config::tasks_max`](crate::Config::tasks_max) are running or waiting. The work is not begun.
    Busy,
    /// The system gives no thread for it. The work is not begun.
    NoThread(io::ErrorKind),
    /// The server has ended, or its shutdown no longer waits. The work is not begun.
    Stopped,
    /// The work panicked with this message.
    Panicked(String),
    /// The shutdown did not wait any longer: the work is not begun, or it goes on and its result is dropped.
    Abandoned,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Busy => f.write_str("too many tasks are under way"),
            TaskError::NoThread(kind) => write!(f, "no thread for tasks: {kind}"),
            TaskError::Stopped => f.write_str("the server has ended"),
            TaskError::Panicked(message) => write!(f, "the task panicked: {message}"),
            TaskError::Abandoned => f.write_str("the server's shutdown did not wait for the task"),
        }
    }
}

impl std::error::Error for TaskError {}

/// What came of a task, whatever it is.
pub(crate) type TaskOutput = Box<dyn Any + Send>;

/// Is told what came of a task, on the thread that did it.
pub(crate) type Done = Arc<dyn Fn(TaskId, Result<TaskOutput, TaskError>) + Send + Sync>;

pub(crate) type Work = Box<dyn FnOnce() -> TaskOutput + Send>;

/// When it is dropped, each of its threads ends once its work is done.
pub(crate) struct ThreadPool(Arc<Workers>);

struct Workers {
    done: Done,
    state: Mutex<State>,
    /// There is a job, or one thread too many.
    changed: Condvar,
}

struct State {
    jobs: VecDeque<(TaskId, Work)>,
    threads: usize,
    threads_max: usize,
    /// How many of the threads wait for a job.
    idle: usize,
    is_open: bool,
}

impl ThreadPool {
    pub(crate) fn new(threads_max: usize, done: Done) -> ThreadPool {
        let state = State { jobs: VecDeque::new(), threads: 0, threads_max, idle: 0, is_open: true };
        ThreadPool(Arc::new(Workers { done, state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Queues work. If there is no thread to do it, the work is dropped and this fails.
    pub(crate) fn add(&self, id: TaskId, work: Work) -> io::Result<()> {
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
        let shared = self.0.clone();
        let started = thread::Builder::new().name("swio-task".into()).spawn(move || shared.work());
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

    /// Takes out the work that was not begun.
    pub(crate) fn take(&self) -> VecDeque<(TaskId, Work)> {
        std::mem::take(&mut self.0.lock().jobs)
    }

    /// If this is more, threads are started when they are needed; if it is less, threads end when their work is done.
    pub(crate) fn set_threads_max(&self, threads_max: usize) {
        self.0.lock().threads_max = threads_max;
        self.0.changed.notify_all();
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.0.lock().is_open = false;
        self.0.changed.notify_all();
    }
}

impl Workers {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loop of each thread.
    fn work(&self) {
        while let Some((id, work)) = self.next() {
            let result = catch_unwind(AssertUnwindSafe(work));
            (self.done)(id, result.map_err(|panic| TaskError::Panicked(message_of(panic))));
        }
    }

    /// Waits for the next job; `None` if the thread is to end.
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
