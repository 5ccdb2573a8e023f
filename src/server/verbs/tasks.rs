//! Work that takes long, done beside the reactor, and its result as an event: Swoole's task and finish.

use crate::server::Server;
use crate::server::api::routes::Route;
use crate::server::deferred::Deferred;
use crate::server::dispatch::Dispatch;
use crate::server::verbs::pool::Pool;
use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::io;

/// Names a task. Never names a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(u64);

/// Why there is no result of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// As many tasks as [`Config::tasks_max`](crate::Config::tasks_max) are under way. The work is not begun.
    Busy,
    /// The system gives no thread to do it. The work is not begun.
    NoThread(io::ErrorKind),
    /// The server has ended, or its shutdown waits no longer. The work is not begun.
    Stopped,
    /// The work panicked, and this is what it said.
    Panicked(String),
    /// The shutdown did not wait any longer: the work is not begun, or goes on and its result is dropped.
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
pub(crate) type Output = Box<dyn Any + Send>;

type Call = Box<dyn FnOnce(&mut Server, Result<Output, TaskError>)>;

/// Whom the result is for.
pub(crate) enum Finish {
    Call(Route, Call),
    /// The handler's `on_finish`.
    Handler(Route),
}

#[derive(Default)]
pub(crate) struct Tasks {
    /// Of each that has no result yet.
    finishes: HashMap<TaskId, Finish>,
    /// `None` until there is a task.
    pool: Option<Pool>,
    count: u64,
    is_closed: bool,
}

impl Tasks {
    pub(crate) fn len(&self) -> usize {
        self.finishes.len()
    }

    pub(crate) fn set_threads_max(&self, threads_max: usize) {
        if let Some(pool) = &self.pool {
            pool.set_threads_max(threads_max);
        }
    }

    /// No more of them.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }
}

impl Server {
    /// Does work on another thread and calls `finish` with its result on this one, exactly once: for what would hold
    /// everybody else up, such as a query or a password's hash.
    ///
    /// Only `work` has to be `Send`. [`Config::task_threads`](crate::Config::task_threads) threads take the tasks in
    /// their order. A [shutdown](Server::shutdown) waits for them as it does for connections; those that take longer
    /// are [`TaskError::Abandoned`].
    ///
    /// # Errors
    /// [`TaskError::Busy`], [`TaskError::NoThread`] and [`TaskError::Stopped`]: then neither is called.
    ///
    /// ```no_run
    /// # use swio::{Frame, Server};
    /// # fn hash(password: &str) -> String { password.to_owned() }
    /// fn log_in(server: &mut Server, frame: Frame<'_>) {
    ///     let (fd, password) = (frame.fd, frame.data.as_str().unwrap_or_default().to_owned());
    ///     let begun = server.task(move || hash(&password), move |server, hash| match hash {
    ///         Ok(hash) => drop(server.push(fd, hash)),
    ///         Err(error) => drop(server.push(fd, error.to_string())),
    ///     });
    ///     if begun.is_err() {
    ///         server.push(fd, "too busy, try again").ok();
    ///     }
    /// }
    /// ```
    pub fn task<R: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> R + Send + 'static,
        finish: impl FnOnce(&mut Server, Result<R, TaskError>) + 'static,
    ) -> Result<TaskId, TaskError> {
        let call: Call = Box::new(move |server, output| {
            let result = output.map(|output| *output.downcast::<R>().expect("what its own work gave"));
            finish(server, result);
        });
        self.add_task(work, Finish::Call(self.route, call))
    }

    /// Does work on another thread and gives its result to the handler's [`on_finish`](crate::Handler::on_finish): the
    /// [`task`](Server::task) for handlers that need their own state then.
    ///
    /// # Errors
    /// As for [`task`](Server::task).
    pub fn offload<R: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<TaskId, TaskError> {
        self.add_task(work, Finish::Handler(self.route))
    }

    fn add_task<R: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> R + Send + 'static,
        finish: Finish,
    ) -> Result<TaskId, TaskError> {
        let tasks = &mut self.tasks;
        if tasks.is_closed {
            return Err(TaskError::Stopped);
        }
        if tasks.finishes.len() >= self.config.tasks_max {
            return Err(TaskError::Busy);
        }
        tasks.count += 1;
        let id = TaskId(tasks.count);
        let pool = tasks.pool.get_or_insert_with(|| Pool::new(self.config.task_threads));
        let work = Box::new(move || Box::new(work()) as Output);
        pool.add(id, work, &self.handle).map_err(|error| TaskError::NoThread(error.kind()))?;
        tasks.finishes.insert(id, finish);
        self.stats.tasks += 1;
        Ok(id)
    }

    /// The shutdown waits no longer.
    pub(crate) fn abandon_tasks(&mut self) {
        self.tasks.close();
        if self.tasks.len() > 0 {
            self.deferred.push(Deferred::TasksAbandoned);
        }
    }
}

impl Dispatch {
    /// Tells what became of a task; of one that was abandoned that is told already.
    pub(crate) fn task_finished(&mut self, id: TaskId, result: Result<Output, TaskError>) {
        match self.server.tasks.finishes.remove(&id) {
            Some(Finish::Call(route, call)) => {
                self.call("a task's finish", route, None, |_, server| call(server, result));
            }
            Some(Finish::Handler(route)) => {
                let told = |handler: &mut dyn crate::server::api::handler::Handler, server: &mut Server| {
                    handler.on_finish(server, id, result);
                };
                self.call("on_finish", route, None, told);
            }
            None => drop(self.call("a task's result", Route::ROOT, None, |_, _| drop(result))),
        }
    }

    pub(crate) fn tasks_abandoned(&mut self) {
        let tasks = &self.server.tasks;
        let mut ids: Vec<_> = tasks.finishes.keys().copied().collect();
        ids.sort_unstable();
        log::warn!("{} tasks are abandoned", ids.len());
        for (_, work) in tasks.pool.iter().flat_map(Pool::take).collect::<Vec<_>>() {
            self.call("a task's end", Route::ROOT, None, |_, _| drop(work));
        }
        for id in ids {
            self.task_finished(id, Err(TaskError::Abandoned));
        }
    }
}
