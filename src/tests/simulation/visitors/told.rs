//! What visitors are told, by events, frames and answers, and whether that is right.

use super::*;
use crate::tests::simulation::written::{Answer, polled};

impl Simulation {
    /// What event streams and answers told visitors since the last turn.
    pub(crate) fn read_visitors(&mut self) {
        for index in 0..self.clients.len() {
            let Some(number) = self.clients[index].visitor else { continue };
            for item in std::mem::take(&mut self.clients[index].seen) {
                self.read_event(number, index, item);
            }
            while let Some(answer) = self.clients[index].answers.pop_front() {
                let client = &mut self.clients[index];
                let ask = client.asked.pop_front().expect("a question for the answer");
                client.is_last |= answer.is_last;
                // One that is lost is judged all the same, but its client knows nothing of it.
                if !client.is_deaf && self.random.chance(8) {
                    self.clients[index].is_deaf = true;
                    self.reset(index);
                    self.totals.lost_answers += 1;
                }
                self.judge_answer(number, index, &ask, &answer);
            }
        }
    }

    fn read_event(&mut self, number: usize, index: usize, item: Item) {
        let fd = self.clients[index].fd;
        if self.visitors[number].fd == Some(fd) {
            self.read_item(number, fd, &item);
        }
    }

    fn read_item(&mut self, number: usize, fd: Fd, item: &Item) {
        self.totals.gaps += u64::from(item.gap.is_some());
        self.totals.subscriptions += u64::from(item.subscribed.is_some());
        self.visitors[number].read(fd, item, &self.annals.borrow());
    }

    fn judge_answer(&mut self, number: usize, index: usize, ask: &Ask, answer: &Answer) {
        let is_deaf = self.clients[index].is_deaf;
        let visitor = &mut self.visitors[number];
        let what = (ask.what, answer.status);
        match what {
            (Asked::Open(opening), 200) => {
                let fd = self.openings[opening].fd.expect("it was opened");
                let is_old = visitor.opening != opening;
                self.judge_messages(number, fd, ask, answer, is_deaf || is_old);
            }
            (Asked::Poll(fd, _), 200) => self.judge_messages(number, fd, ask, answer, is_deaf),
            // The request, or what `on_handshake` had to say to it, took too long.
            (Asked::Open(opening), 408 | 503) => visitor.is_opening &= visitor.opening != opening,
            (_, 408) => {}
            (Asked::Poll(fd, _), 404) => {
                assert!(self.sessions[&fd].model.closed.is_some(), "{what:?} of a session that is there");
                if visitor.fd == Some(fd) && !is_deaf {
                    (visitor.token, visitor.is_opening) = (None, false);
                }
            }
            (Asked::Poll(fd, cursor), 400) => {
                assert!(cursor < self.sessions[&fd].greatest, "{what:?} is not old");
                self.totals.bad_cursors += 1;
            }
            (Asked::Post(post), status) => {
                if !is_deaf && visitor.unanswered == Some(post) && !matches!(status, 408 | 503) {
                    visitor.unanswered = None;
                    visitor.next_number = visitor.next_number.map(|number| number + 1);
                }
                self.judge_post(number, post, status);
            }
            _ => panic!("{what:?}"),
        }
    }

    fn judge_post(&mut self, number: usize, post: usize, status: u16) {
        let Post { fd, content, is_repeated, is_delivered, .. } = &self.posts[post];
        if *content == Content::Leave {
            assert!(status == 204 || status == 404 && !self.is_open(*fd), "{status}: post {post}");
            return assert!(!self.reactor.app.server.is_established(*fd), "post {post}: it stays");
        }
        let is_taken = matches!(status, 204 | 500);
        // Of one that was sent again the other may have been taken.
        assert!(*is_delivered == is_taken || *is_delivered && *is_repeated, "{status}: post {post}");
        match (status, content) {
            (204, _) => {}
            (500, Content::Message(_, data)) => assert_eq!(data[0], b'x'),
            // Paused.
            (503, _) => {
                self.totals.refused_posts += 1;
                let visitor = &mut self.visitors[number];
                if let Content::Topic(topic) = content
                    && visitor.fd == Some(*fd)
                    && visitor.next_number.is_none()
                {
                    visitor.subscribing.remove(topic);
                }
            }
            (404, _) => assert!(!self.is_open(*fd), "{status}: post {post}"),
            _ => panic!("{status}: post {post}"),
        }
    }

    /// Whether nothing has happened that could have ended a session.
    fn is_open(&self, fd: Fd) -> bool {
        if let Some(Sitting { model, .. }) = self.sessions.get(&fd) {
            let is_ending = model.is_closing || model.is_doubtful || model.is_shut || model.left.is_some();
            return !is_ending && model.closed.is_none();
        }
        let client = self.by_fd.get(&fd).map(|index| &self.clients[*index]);
        client.is_some_and(|client| client.is_healthy() && self.reactor.app.server.is_established(fd))
    }

    fn judge_messages(&mut self, number: usize, fd: Fd, ask: &Ask, answer: &Answer, is_deaf: bool) {
        let polled = polled(&answer.body);
        let sitting = self.sessions.get_mut(&fd).expect("a session");
        sitting.heard = sitting.heard.max(ask.taken.unwrap_or(ask.at));
        let len = polled.items.len();
        let from = polled.cursor.checked_sub(len).expect("a cursor behind its messages");
        let (asked, is_opening) =
            if let Asked::Poll(_, cursor) = ask.what { (cursor, false) } else { (0, true) };
        if len > 0 {
            assert_eq!(from, asked, "what follows a cursor begins there");
        }
        for (at, message) in polled.items.iter().enumerate() {
            match sitting.numbered.get(from + at) {
                Some(known) => {
                    assert_eq!(known, message, "message {} was another", from + at);
                    self.totals.sent_again += 1;
                }
                None => {
                    assert_eq!(sitting.numbered.len(), from + at, "messages are missing");
                    sitting.numbered.push(message.clone());
                }
            }
        }
        assert!(polled.cursor <= sitting.numbered.len(), "a cursor of messages that were never sent");
        if len == 0 && !is_opening && !ask.has_rival && polled.closed.is_none() {
            let hold = self.reactor.app.server.config().poll_hold;
            assert!(self.now + TICK - ask.at >= hold, "answered with nothing after {:?}", self.now - ask.at);
            self.totals.held += 1;
        }
        sitting.check_arrivals(polled.closed);
        let visitor = &mut self.visitors[number];
        if is_opening && !is_deaf {
            (visitor.token, visitor.fd, visitor.cursor) = (polled.session, Some(fd), 0);
            visitor.begin_session();
        }
        if is_deaf || visitor.fd != Some(fd) {
            return;
        }
        let known = visitor.cursor.saturating_sub(from).min(len);
        visitor.cursor = visitor.cursor.max(polled.cursor);
        if polled.closed.is_some() {
            (visitor.token, visitor.is_opening) = (None, false);
        }
        for item in polled.items.iter().skip(known) {
            self.read_item(number, fd, item);
        }
    }
}

impl Visitor {
    fn read(&mut self, fd: Fd, item: &Item, annals: &Annals) {
        if item.session.is_some() {
            self.token = item.session.clone();
        }
        let data = (!item.is_notice).then_some(&*item.message.1);
        if self.has_one_position() {
            self.has_gap |= item.gap.is_some();
            if let Some(id) = &item.id {
                self.told(fd, id.clone(), data, annals);
            }
            return;
        }
        let number = |name: &Option<String>| {
            annals::TOPICS.into_iter().find(|number| name.as_ref() == Some(&topic(*number)))
        };
        self.gaps.extend(number(&item.gap));
        let topic = number(&item.topic).or(number(&item.subscribed)).or(number(&item.position));
        if let (Some(topic), Some(id)) = (topic, &item.id) {
            self.told_of(topic, fd, id, data, annals);
        }
    }

    /// It was told an id of a topic: none of its messages is missing up to there, and none comes twice.
    fn told_of(&mut self, topic: u8, fd: Fd, id: &str, data: Option<&[u8]>, annals: &Annals) {
        let now = match data {
            Some(data) => annals.saw(Some(topic), id, data),
            None => annals.stamp(Some(topic), id),
        };
        // Others put it there, and it may not be there the next time.
        if !self.resumed().any(|resumed| resumed == topic) {
            return;
        }
        // Told its place again, it stays where it is; it has all up to there.
        let end = if data.is_some() { now } else { now + 1 };
        if let Some((_, before, was)) = self.places.get(&topic) {
            assert!(end > *before, "{fd}: {now} after {before}");
            if !self.gaps.contains(&topic) {
                annals.check_not_missed(&[topic], before + 1..end, *was);
            }
        }
        if data.is_none() {
            self.gaps.remove(&topic);
        }
        self.places.insert(topic, (id.to_owned(), now, fd));
    }

    /// The same of one that stands for all topics.
    fn told(&mut self, fd: Fd, id: String, data: Option<&[u8]>, annals: &Annals) {
        let now = match data {
            Some(data) => annals.saw(None, &id, data),
            None => annals.stamp(None, &id),
        };
        self.last_id = id;
        if let Some((before, was)) = self.last {
            let end = if data.is_some() { now } else { now + 1 };
            assert!(end > before, "{fd}: {now} after {before}");
            if !self.has_gap {
                annals.check_not_missed(&self.topics, before + 1..end, was);
            }
        }
        self.last = Some((now, fd));
        // What comes of several topics is in order, but the gap may be of one.
        self.has_gap &= data.is_some();
    }
}
