//! What the signals of the process do.

use crate::error::Fault;
use crate::net::signals::Signal;
use crate::server::dispatch::Dispatch;
use crate::server::state::stage::Stage;
use crate::session::route::Route;

impl Dispatch {
    pub(super) fn signalled(&mut self, signal: Signal) {
        match signal {
            Signal::Terminate(name) if self.server.stage == Stage::Serving => {
                log::info!("shutting down on {name}; a second signal ends at once");
                self.server.shutdown();
            }
            Signal::Terminate(_) => self.server.shutdown_at_once(),
            Signal::Hangup => {
                let file = if self.server.reread.is_some() {
                    "the settings file is read again"
                } else {
                    "no settings file"
                };
                log::info!("SIGHUP: {file}");
                if let Err(error) = self.server.reread() {
                    log::error!("the configuration stays as it is: {error}");
                    self.report(Route::ROOT, None, &Fault::Settings(error));
                }
            }
        }
    }
}
