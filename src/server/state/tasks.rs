//! Slow work, done on other threads: which tasks there are, and who is told of their results.

use crate::server::state::pool::{Done, TaskError, TaskId, ThreadPool, Work};
use std::collections::HashMap;

/// All tasks without a result yet. `F` is who gets the result.
pub(crate) struct Tasks<F> {
    finishes: HashMap<TaskId, F>,
    /// `None` until there is a task.
    pool: Option<ThreadPool>,
    count: u64,
    started: u64,
    is_closed: bool,
}

impl<F> Default for Tasks<F> {
    fn default() -> Tasks<F> {
        Tasks { finishes: HashMap::new(), pool: None, count: 0, started: 0, is_closed: false }
    }
}

impl<F> Tasks<F> {
    pub(crate) fn len(&self) -> usize {
        self.finishes.len()
    }

    /// How many were started since the server was.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    pub(crate) fn set_threads_max(&self, threads_max: usize) {
        if let Some(pool) = &self.pool {
            pool.set_threads_max(threads_max);
        }
    }

    /// Starts a task, if there are fewer than `tasks_max`. `done` gets its result, on the thread that did it.
    pub(crate) fn add(
        &mut self,
        work: Work,
        finish: F,
        (tasks_max, threads): (usize, usize),
        done: impl FnOnce() -> Done,
    ) -> Result<TaskId, TaskError> {
        if self.is_closed {
            return Err(TaskError::Stopped);
        }
        if self.finishes.len() >= tasks_max {
            return Err(TaskError::Busy);
        }
        self.count += 1;
        let id = TaskId::new(self.count);
        let pool = self.pool.get_or_insert_with(|| ThreadPool::new(threads, done()));
        pool.add(id, work).map_err(|error| TaskError::NoThread(error.kind()))?;
        self.finishes.insert(id, finish);
        self.started += 1;
        Ok(id)
    }

    /// Who gets the result of a task; `None` if that was told already.
    pub(crate) fn take(&mut self, id: TaskId) -> Option<F> {
        self.finishes.remove(&id)
    }

    /// Accepts no more tasks.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Gives up all tasks. Returns their ids in order, and the work that was not begun.
    pub(crate) fn abandon(&self) -> (Vec<TaskId>, Vec<Work>) {
        let mut ids: Vec<_> = self.finishes.keys().copied().collect();
        ids.sort_unstable();
        let work = self.pool.iter().flat_map(ThreadPool::take).map(|(_, work)| work).collect();
        (ids, work)
    }
}
