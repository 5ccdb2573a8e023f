//! Subscriptions: what follows from the answer to a client that asked to be in a topic, whether given at once or
//! later.

use crate::fd::Fd;
use crate::server::state::returning::Positions;
use crate::server::state::subscription::{SubscribeVerdict, Subscription};
use crate::server::{Server, Timer, later};
use std::rc::Rc;

/// So many missed messages, or KiB of them, count as one that the client has sent.
const MISSED_OF_MESSAGE: usize = 64;

impl Server {
    /// Answers a client that asked to be in a topic and that [`on_subscribe`](crate::Handler::on_subscribe) answered
    /// with [`Subscription::later`]. Returns true if the client waits for the answer; false if it is gone, has
    /// unsubscribed, was answered already, waited too long, or never asked. A client that is allowed gets what it has
    /// missed, as if it had been answered at once.
    ///
    /// A question is known by its connection and topic alone: if a client unsubscribes and asks again before the first
    /// answer comes, that answer is taken for the second question.
    pub fn answer_subscribe(&mut self, fd: Fd, topic: &str, answer: impl Into<Subscription>) -> bool {
        let answer = answer.into();
        if answer.0 == SubscribeVerdict::Later {
            return false;
        }
        let Some(last_id) = self.take_question(fd, topic) else { return false };
        // The callback that calls this may be for a client that itself catches up after it.
        let outer = self.returning.take();
        self.begin_return(fd, Positions::in_topic(topic, last_id.as_deref()));
        self.conclude_subscribe(fd, topic, last_id.as_deref(), answer);
        self.returning = outer;
        true
    }

    /// Carries out an answer. A client that is allowed gets what it has missed before it is told that it is in. Ends
    /// what [`Server::begin_return`] began.
    pub(crate) fn conclude_subscribe(
        &mut self,
        fd: Fd,
        topic: &str,
        last_id: Option<&str>,
        answer: Subscription,
    ) {
        let joined = match answer.0 {
            SubscribeVerdict::Allow(data) => {
                self.join(fd, topic).map(|_| data).map_err(|error| error.to_string())
            }
            SubscribeVerdict::Deny(reason) => Err(reason),
            SubscribeVerdict::Later => return self.wait_for_answer(fd, topic, last_id),
        };
        // The handler may have put the client into other topics too.
        self.missed_work = 0;
        self.bring_up_to_date(Some(topic));
        self.sessions.charge_for_missed(fd, self.missed_work / MISSED_OF_MESSAGE);
        match joined {
            Ok(data) => {
                if last_id.is_some() && self.histories.name(topic).is_none() {
                    self.sessions.tell(fd, &[("gap", topic)]);
                }
                // What the handler says to it counts as queued, so it is not kept elsewhere.
                match data.is_empty() {
                    true => self.tell_subscribed_in_order(fd, topic),
                    false => {
                        self.catch_up(fd, usize::MAX);
                        self.tell_subscribed(fd, topic, &data);
                    }
                }
            }
            Err(reason) => self.tell_denied(fd, topic, &reason),
        }
    }

    /// The answer comes later, or not in time.
    fn wait_for_answer(&mut self, fd: Fd, topic: &str, last_id: Option<&str>) {
        self.bring_up_to_date(None);
        if self.sessions.check_established(fd).is_err() {
            return;
        }
        if !self.questions.has_room(fd, topic, self.sessions.connections.inbound_room(fd)) {
            return self.tell_denied(fd, topic, "too many subscriptions wait for an answer");
        }
        let name: Rc<str> = topic.into();
        let at = later(self.sessions.connections.now(), self.sessions.config.request_timeout);
        let timer = self.timers.set(at, None, Timer::Subscription(fd, name.clone()));
        let bytes = self.questions.add(fd, name, last_id, timer);
        self.sessions.connections.inbound_changed(fd, 0, bytes);
    }

    /// A client no longer waits for the answer to a question. Returns the id that it sent, if it asked.
    pub(crate) fn take_question(&mut self, fd: Fd, topic: &str) -> Option<Option<Box<str>>> {
        let question = self.questions.take(fd, topic)?;
        self.timers.cancel(question.timer);
        self.sessions.connections.inbound_changed(fd, question.bytes(), 0);
        Some(question.last_id)
    }

    /// A connection is gone: drops its questions.
    pub(crate) fn drop_questions(&mut self, fd: Fd) {
        for topic in self.questions.topics_of(fd) {
            self.take_question(fd, &topic);
        }
    }

    /// Tells a client that it is in a topic, after what it has missed there.
    pub(crate) fn tell_subscribed_in_order(&mut self, fd: Fd, topic: &str) {
        if !self.laggards.tell_subscribed_after(fd, topic) {
            self.tell_subscribed(fd, topic, "");
        }
    }

    pub(crate) fn tell_subscribed(&mut self, fd: Fd, topic: &str, data: &str) {
        let id = self.histories.head_id(topic).unwrap_or_default();
        let labels = [("subscribed", topic), ("id", &id), ("data", data)];
        let told: Vec<_> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        self.sessions.tell(fd, &told);
    }

    fn tell_denied(&mut self, fd: Fd, topic: &str, reason: &str) {
        let reason = if reason.is_empty() { "not allowed" } else { reason };
        self.sessions.tell(fd, &[("denied", topic), ("reason", reason)]);
    }
}
