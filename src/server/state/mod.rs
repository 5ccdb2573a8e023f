//! What a server keeps of many connections. Knows neither the server nor its handlers.

pub(crate) mod command;
pub(crate) mod groups;
pub(crate) mod history;
pub(crate) mod laggards;
pub(crate) mod outcome;
pub(crate) mod outgoing;
pub(crate) mod pool;
pub(crate) mod presence;
pub(crate) mod report;
pub(crate) mod returning;
pub(crate) mod rooms;
pub(crate) mod stage;
pub(crate) mod subscription;
pub(crate) mod tasks;
pub(crate) mod timers;
pub(crate) mod watches;
