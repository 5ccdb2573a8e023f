//! Topic and presence events to the handlers that watch them.

use crate::server::Server;
use crate::server::api::handler::Handler;
use crate::server::dispatch::Dispatch;
use crate::server::state::presence::PresenceEvent;
use crate::server::state::rooms::TopicEvent;
use crate::server::state::watches::Watched;
use crate::session::route::Route;

impl Dispatch {
    /// Asks a handler which topics it wants to hear of.
    pub(crate) fn ask_for_watches(&mut self, route: Route) {
        self.call("watches", route, None, |handler, server| server.watch(handler.watches()));
    }

    pub(super) fn topic_changed(&mut self, topic: &str, event: TopicEvent) {
        for route in self.server.rooms.watchers.of(Watched::Topics, topic) {
            let told = |handler: &mut dyn Handler, server: &mut Server| {
                handler.on_topic(server, topic, event);
            };
            self.call("on_topic", route, None, told);
        }
    }

    pub(super) fn presence_changed(&mut self, event: PresenceEvent<'_>) {
        for route in self.server.rooms.watchers.of(Watched::Presence, event.topic) {
            let told = |handler: &mut dyn Handler, server: &mut Server| {
                handler.on_presence(server, event);
            };
            self.call("on_presence", route, None, told);
        }
    }
}
