//! Changing the configuration of a running server: checked as at start, and applied as a whole or not at all.

use crate::config::{Config, ConfigError};
use crate::server::Deferred;
use crate::server::Server;

impl Server {
    /// Changes limits and timeouts of the running server. What connections have begun with stays as it was: a running
    /// timeout goes on, and no connection that was accepted is closed. `on_reload` is called at the end of the turn.
    ///
    /// # Errors
    /// If a value can't work, or differs in what is used only at start (`backlog`, `read_buffer_bytes`, the mailbox's
    /// limits). Nothing is changed then.
    ///
    /// ```no_run
    /// # use swio::{ConfigError, Server};
    /// fn rush_hour(server: &mut Server) -> Result<(), ConfigError> {
    ///     server.reload(|config| {
    ///         config.connections_per_address_max = Some(20);
    ///         config.message_bytes_max = 16 << 10;
    ///     })
    /// }
    /// ```
    pub fn reload(&mut self, change: impl FnOnce(&mut Config)) -> Result<(), ConfigError> {
        let mut new = self.sessions.config.clone();
        change(&mut new);
        new.check()?;
        self.replace_config(new)
    }

    /// With the feature `toml`: reads the file that [`Builder::settings`](crate::Builder::settings) was given again.
    /// This undoes changes by [`reload`](Server::reload). The file is read on this thread.
    ///
    /// # Errors
    /// As for [`reload`](Server::reload); also if the file can't be read, or there is none.
    pub fn reload_settings(&mut self) -> Result<(), ConfigError> {
        match self.reread {
            Some(_) => self.reread(),
            None => Err(ConfigError::new("", "no settings file was given")),
        }
    }

    /// What SIGHUP asks for. Without a file handlers are told all the same: they may have something of their own to
    /// read.
    pub(crate) fn reread(&mut self) -> Result<(), ConfigError> {
        let new = match &self.reread {
            Some(reread) => reread()?,
            None => self.sessions.config.clone(),
        };
        self.replace_config(new)
    }

    fn replace_config(&mut self, new: Config) -> Result<(), ConfigError> {
        let changes = self.sessions.config.changes(&new);
        if let Some((key, _)) = changes.iter().find(|(_, is_live)| !is_live) {
            return Err(ConfigError::new(*key, "can't be changed while the server runs"));
        }
        for warning in new.warnings() {
            log::warn!("{warning}");
        }
        let must_watch_again = (new.ping_interval, new.idle_timeout)
            != (self.sessions.config.ping_interval, self.sessions.config.idle_timeout);
        let task_threads = new.task_threads;
        self.sessions.reload(new)?;
        self.tasks.set_threads_max(task_threads);
        match &*changes {
            [] => log::info!("the configuration is the same"),
            _ => {
                let keys: Vec<_> = changes.iter().map(|(key, _)| *key).collect();
                log::info!("changed: {}; memory: at most {}", keys.join(", "), self.memory_bound());
            }
        }
        if must_watch_again {
            self.sessions.watch_all();
        }
        self.deferred.push(Deferred::Reloaded);
        Ok(())
    }
}
