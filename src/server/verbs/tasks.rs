//! Slow work, done outside the reactor, with its result as an event: Swoole's task and finish.

use crate::server::state::pool::{Done, TaskError, TaskId, TaskOutput};
use crate::server::{Deferred, Finish, Server, TaskCall};
use std::sync::Arc;

impl Server {
    /// Does work on another thread, and calls `finish` with its result on this one, exactly once: for work that would
    /// hold up every other connection, such as a query or hashing a password.
    ///
    /// Only `work` must be `Send`. [`Config::task_threads`](crate::Config::task_threads) threads take the tasks in
    /// order. A [shutdown](Server::shutdown) waits for tasks as it does for connections; those that take longer are
    /// [`TaskError::Abandoned`].
    ///
    /// # Errors
    /// [`TaskError::Busy`], [`TaskError::NoThread`] and [`TaskError::Stopped`]: then neither closure is called.
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
        let call: TaskCall = Box::new(move |server, output| {
            let result = output.map(|output| *output.downcast::<R>().expect("what its own work gave"));
            finish(server, result);
        });
        self.add_task(work, Finish::Call(self.route, call))
    }

    /// Does work on another thread, and gives its result to the handler's [`on_finish`](crate::Handler::on_finish):
    /// the [`task`](Server::task) for handlers that need their own state then.
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
        let limits = (self.sessions.config.tasks_max, self.sessions.config.task_threads);
        let handle = &self.handle;
        let done = || -> Done {
            let handle = handle.clone();
            Arc::new(move |id, result| handle.finished(id, result))
        };
        self.tasks.add(Box::new(move || Box::new(work()) as TaskOutput), finish, limits, done)
    }

    /// The shutdown no longer waits for tasks.
    pub(crate) fn abandon_tasks(&mut self) {
        self.tasks.close();
        if self.tasks.len() > 0 {
            self.deferred.push(Deferred::TasksAbandoned);
        }
    }
}
