//! The results of tasks, to whoever waits for them.

use crate::server::api::handler::Handler;
use crate::server::dispatch::Dispatch;
use crate::server::state::pool::{TaskError, TaskId, TaskOutput};
use crate::server::{Finish, Server};
use crate::session::route::Route;

impl Dispatch {
    /// Tells what became of a task. Of one that was abandoned its handler has heard already: the result is dropped.
    pub(crate) fn task_finished(&mut self, id: TaskId, result: Result<TaskOutput, TaskError>) {
        match self.server.tasks.take(id) {
            Some(Finish::Call(route, call)) => {
                self.call("a task's finish", route, None, |_, server| call(server, result));
            }
            Some(Finish::Handler(route)) => {
                let told = |handler: &mut dyn Handler, server: &mut Server| {
                    handler.on_finish(server, id, result);
                };
                self.call("on_finish", route, None, told);
            }
            None => drop(self.call("a task's result", Route::ROOT, None, |_, _| drop(result))),
        }
    }

    pub(crate) fn tasks_abandoned(&mut self) {
        let (ids, unbegun) = self.server.tasks.abandon();
        log::warn!("{} tasks are abandoned", ids.len());
        for work in unbegun {
            self.call("a task's end", Route::ROOT, None, |_, _| drop(work));
        }
        for id in ids {
            self.task_finished(id, Err(TaskError::Abandoned));
        }
    }
}
