//! Those who come as pages do: by an event stream or a WebSocket with labels, which they open again when it broke, or
//! by long polling over whatever connection there is. They lose answers, ask twice, post messages, and vanish.

use super::written::Item;
use super::*;

mod sittings;
mod told;

/// Somebody outside, over all its connections.
pub(super) struct Visitor {
    is_polling: bool,
    /// By a WebSocket with labels.
    is_socket: bool,
    /// The topics with histories that it is always in.
    topics: Vec<u8>,
    /// By which it posts and polls.
    token: Option<String>,
    /// Its session, or its last event stream.
    pub(super) fd: Option<Fd>,
    /// Nothing more comes from it.
    is_over: bool,
    is_opening: bool,
    /// Of event streams: those of polls always have labels.
    is_labelled: bool,
    /// The number of its next post, where it has numbers, and the one that is not answered.
    next_number: Option<u32>,
    unanswered: Option<usize>,
    /// What it asked to be in, in this session.
    subscribing: BTreeSet<String>,
    /// Where it is in each topic, where it has labels: the id, its stamp, by which session; and topics with a gap.
    places: BTreeMap<u8, (String, usize, Fd)>,
    gaps: BTreeSet<u8>,
    /// Where it only believes to be.
    claimed: Option<(u8, String)>,
    /// The last one.
    opening: usize,
    /// Of long polling: the number of the last message that it has got.
    cursor: usize,
    /// Where it has none: the last id that it was told, its stamp, and by which session.
    last_id: String,
    last: Option<(usize, Fd)>,
    /// It lost its place, or was told that there is a gap: what comes next begins anew.
    has_gap: bool,
}

/// A session of long polling, for as long as the simulation runs.
pub(super) struct Sitting {
    /// As a client has it where there is a connection.
    pub(super) model: Model,
    /// The greatest cursor that was ever asked with.
    greatest: usize,
    /// All messages in answers that were written, whether they came to the visitor or not.
    numbered: Vec<Item>,
    /// When the server at the earliest took the last request that it answered.
    pub(super) heard: Instant,
}

/// A request to open a session, and what came of it.
pub(super) struct Opening {
    pub(super) fd: Option<Fd>,
}

/// A request on its way.
pub(super) struct Ask {
    what: Asked,
    /// Where its last byte is in the script, plus one.
    end: usize,
    at: Instant,
    /// When its last byte was read, at the earliest.
    pub(super) taken: Option<Instant>,
    /// Another was under way with it.
    has_rival: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// With the number of the opening.
    Open(usize),
    /// With session and cursor.
    Poll(Fd, usize),
    Post(usize),
}

/// What a visitor says by POST.
pub(super) struct Post {
    fd: Fd,
    carrier: Fd,
    content: Content,
    /// The whole request.
    bytes: Vec<u8>,
    is_repeated: bool,
    is_delivered: bool,
}

#[derive(PartialEq, Eq)]
enum Content {
    Message(Opcode, Vec<u8>),
    /// It asks to be in this topic.
    Topic(String),
    Leave,
}

impl Ask {
    pub(super) fn note_read(&mut self, consumed: usize, now: Instant) {
        if self.end <= consumed {
            self.taken.get_or_insert(now);
        }
    }
}

impl Visitor {
    fn new(random: &mut Random) -> Visitor {
        let way = random.below(10);
        Visitor {
            is_polling: way < 5,
            is_socket: way >= 8,
            topics: [&[0, 1][..], &[0], &[1]][random.below(3) as usize].into(),
            token: None,
            fd: None,
            is_over: false,
            is_opening: false,
            is_labelled: random.chance(50),
            next_number: random.chance(50).then_some(1),
            unanswered: None,
            subscribing: BTreeSet::new(),
            places: BTreeMap::new(),
            gaps: BTreeSet::new(),
            claimed: None,
            opening: 0,
            cursor: 0,
            last_id: String::new(),
            last: None,
            has_gap: true,
        }
    }

    /// Whether it has one position for all topics, and not one for each.
    fn has_one_position(&self) -> bool {
        !(self.is_polling || self.is_socket || self.is_labelled)
    }

    /// The numbers of the topics that it is always in, or goes on in when it asks for them again.
    fn resumed(&self) -> impl Iterator<Item = u8> {
        self.topics.iter().copied().chain(annals::SUBSCRIBED)
    }

    fn begin_session(&mut self) {
        self.subscribing.clear();
        self.unanswered = None;
        self.next_number = self.next_number.map(|_| 1);
    }

    /// It forgets where it was, or believes to be where this id says.
    fn lose_place(&mut self, any: String, random: &mut Random) {
        if self.has_one_position() {
            (self.last_id, self.has_gap, self.last) = (any, true, None);
            return;
        }
        let drawn = self.topics[random.below(self.topics.len() as u64) as usize];
        self.places.remove(&drawn);
        self.claimed = random.chance(50).then_some((drawn, any));
    }

    /// What it says of its places when it opens a session.
    fn query(&mut self) -> String {
        if self.has_one_position() {
            return match &*self.last_id {
                "" => String::new(),
                last_id => format!("&last-event-id={last_id}"),
            };
        }
        let places = self.places.iter().map(|(topic, (id, ..))| (*topic, id.clone()));
        let position =
            |(number, id): (u8, String)| format!("&last-event-id={id}+{}", topic(number).replace(' ', "+"));
        places.chain(self.claimed.take()).map(position).collect()
    }
}

impl Simulation {
    pub(super) fn live_visitors(&mut self) {
        if self.is_welcoming() && self.visitors.len() < self.visitors_max && self.random.chance(15) {
            let visitor = Visitor::new(&mut self.random);
            self.visitors.push(visitor);
        }
        for number in 0..self.visitors.len() {
            if self.visitors[number].is_over || self.random.chance(40) {
                continue;
            }
            if self.random.below(300) == 0 {
                self.visitors[number].is_over = true;
            } else if self.is_welcoming() && self.visitors[number].is_polling {
                self.poll(number);
            } else if self.is_welcoming() {
                self.stream(number);
            }
        }
    }

    /// A client of the visitor's that still seems to be connected.
    fn clients_of(&self, number: usize, kind: Kind) -> Vec<usize> {
        let is_usable = |client: &Client| {
            client.visitor == Some(number)
                && client.script.kind == kind
                && !client.is_silent
                && !client.is_last
                && wire(client.wire, |wire| !(wire.fin || wire.reset || wire.server_fin || wire.closed))
        };
        (0..self.clients.len()).filter(|index| is_usable(&self.clients[*index])).collect()
    }

    fn stream(&mut self, number: usize) {
        let is_socket = self.visitors[number].is_socket;
        let kind = if is_socket { Kind::WebSocket } else { Kind::EventStream };
        let Some(&index) = self.clients_of(number, kind).first() else {
            return if is_socket { self.open_socket(number) } else { self.open_stream(number) };
        };
        match self.random.below(100) {
            0 => self.reset(index),
            1 => self.finish(index),
            2..50 if is_socket => self.say(number, index),
            2..50 if self.visitors[number].token.is_some() => self.post(number),
            _ => {}
        }
    }

    fn open_stream(&mut self, number: usize) {
        let swio = match (self.visitors[number].is_labelled, self.random.chance(70)) {
            (true, _) => "swio=stream&protocol=swio.1",
            (false, true) => "swio=stream",
            (false, false) => "swio=",
        };
        let head = self.opening(number, swio, "Accept: text/event-stream\r\n");
        let mut script = Script::empty(Kind::EventStream);
        script.bytes.extend_from_slice(head.as_bytes());
        let index = self.admit(script, Some(number));
        let visitor = &mut self.visitors[number];
        visitor.fd = Some(self.clients[index].fd);
        visitor.begin_session();
    }

    fn open_socket(&mut self, number: usize) {
        let headers = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: swio.1\r\n";
        let head = self.opening(number, "protocol=swio.1", headers);
        let mut script = Script::empty(Kind::WebSocket);
        script.bytes.extend_from_slice(head.as_bytes());
        self.totals.labelled_sockets += 1;
        let index = self.admit(script, Some(number));
        let visitor = &mut self.visitors[number];
        visitor.fd = Some(self.clients[index].fd);
        visitor.begin_session();
    }

    /// A frame of a WebSocket with labels: a message, or a subscription.
    fn say(&mut self, number: usize, index: usize) {
        let is_subscription = self.random.chance(20);
        let script = &mut self.clients[index].script;
        if !is_subscription {
            let (opcode, mut data) = script::message(&mut self.random);
            if matches!(data[0], b'l' | b'R') {
                data[0] = b'e';
            }
            let query = if self.random.chance(50) { "swio=send" } else { "" };
            script.labelled(&mut self.random, query, Some((opcode, data)));
        } else if let Some((name, query)) = self.subscription(number) {
            let client = &mut self.clients[index];
            client.script.labelled(&mut self.random, &query, None);
            let (fd, content) = (client.fd, Content::Topic(name));
            let bytes = Vec::new();
            self.posts.push(Post {
                fd,
                carrier: fd,
                content,
                bytes,
                is_repeated: false,
                is_delivered: false,
            });
        }
        self.send(index);
    }

    /// The request that opens a session, with the last ids that its client was told.
    fn opening(&mut self, number: usize, query: &str, headers: &str) -> String {
        let visitor = &mut self.visitors[number];
        (visitor.token, visitor.fd, visitor.has_gap) = (None, None, visitor.last.is_none());
        if self.random.chance(5) {
            let any = self.annals.borrow().any_id(self.random.below(1_000) as usize);
            visitor.lose_place(any, &mut self.random);
        }
        let last_id = visitor.query();
        self.totals.returns += u64::from(!last_id.is_empty());
        let join: String = visitor.topics.iter().map(u8::to_string).collect();
        let opening = self.openings.len();
        visitor.opening = opening;
        self.openings.push(Opening { fd: None });
        format!("GET /?opening={opening}&join={join}&{query}{last_id} HTTP/1.1\r\nHost: sim\r\n{headers}\r\n")
    }

    fn poll(&mut self, number: usize) {
        let polls = |client: &Client| client.asked.iter().any(|ask| !matches!(ask.what, Asked::Post(_)));
        let carriers = self.clients_of(number, Kind::Carrier);
        let is_asking = carriers.iter().any(|index| polls(&self.clients[*index]));
        let visitor = &mut self.visitors[number];
        if visitor.token.is_none() {
            if !visitor.is_opening {
                visitor.is_opening = true;
                let head = self.opening(number, "swio=poll", "");
                self.ask(number, Asked::Open(self.visitors[number].opening), head.as_bytes());
            } else if !is_asking {
                // The answer with the token is lost.
                visitor.is_opening = false;
            }
        } else if !is_asking || self.random.chance(5) {
            self.ask_for_messages(number);
        } else if self.random.chance(40) {
            self.post(number);
        }
    }

    fn ask_for_messages(&mut self, number: usize) {
        let visitor = &self.visitors[number];
        let (cursor, token) = (visitor.cursor, visitor.token.as_deref().expect("a session"));
        let fd = visitor.fd.expect("a session");
        let sitting = self.sessions.get_mut(&fd).expect("a session");
        sitting.greatest = sitting.greatest.max(cursor);
        let head = format!("GET /?swio=poll&session={token}&cursor={cursor} HTTP/1.1\r\nHost: sim\r\n\r\n");
        self.ask(number, Asked::Poll(fd, cursor), head.as_bytes());
        self.totals.polls += 1;
    }

    fn post(&mut self, number: usize) {
        let visitor = &self.visitors[number];
        if let Some(post) = visitor.unanswered {
            return self.repeat(number, post);
        }
        if self.random.chance(2) {
            return self.leave(number);
        }
        if (visitor.is_polling || visitor.is_labelled) && self.random.chance(20) {
            return self.subscribe(number);
        }
        let (opcode, mut data) = script::message(&mut self.random);
        data.extend_from_slice(format!("~{}", self.posts.len()).as_bytes());
        if matches!(data[0], b'l' | b'R') {
            // It stays in its topics, and comes back by itself.
            data[0] = b'e';
        }
        let kind = if opcode == Opcode::Text { "text/plain" } else { "application/octet-stream" };
        self.send_post(number, "swio=send", kind, Content::Message(opcode, data));
    }

    /// Sends a numbered message again, where its answer can't come any more.
    fn repeat(&mut self, number: usize, post: usize) {
        let is_it = |ask: &Ask| ask.what == Asked::Post(post);
        let carriers = self.clients_of(number, Kind::Carrier);
        if carriers.iter().any(|index| self.clients[*index].asked.iter().any(is_it)) {
            return;
        }
        self.totals.repeated_posts += 1;
        self.posts[post].is_repeated = true;
        let bytes = self.posts[post].bytes.clone();
        self.posts[post].carrier = self.ask(number, Asked::Post(post), &bytes);
    }

    fn send_post(&mut self, number: usize, query: &str, kind: &str, content: Content) {
        let visitor = &mut self.visitors[number];
        let (token, fd) = (visitor.token.as_deref().expect("a session"), visitor.fd.expect("a session"));
        let body = if let Content::Message(_, data) = &content { &**data } else { &[] };
        let is_numbered = visitor.next_number.is_some() && !matches!(content, Content::Leave);
        let own = visitor.next_number.filter(|_| is_numbered);
        let own = own.map_or_else(String::new, |next| format!("&number={next}"));
        let head = format!(
            "POST /?{query}&session={token}{own} HTTP/1.1\r\nHost: sim\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let bytes = [head.as_bytes(), body].concat();
        let post = self.posts.len();
        visitor.unanswered = is_numbered.then_some(post);
        let carrier = self.ask(number, Asked::Post(post), &bytes);
        self.posts.push(Post { fd, carrier, content, bytes, is_repeated: false, is_delivered: false });
    }

    fn subscribe(&mut self, number: usize) {
        if let Some((name, query)) = self.subscription(number) {
            self.send_post(number, &query, "text/plain", Content::Topic(name));
        }
    }

    /// A topic that it did not ask for in this session, and the command that does.
    fn subscription(&mut self, number: usize) -> Option<(String, String)> {
        let mut topics = annals::SUBSCRIBED.map(topic).into_iter().chain(["secret".to_owned()]);
        let drawn = self.random.below(3) as usize;
        let visitor = &mut self.visitors[number];
        let name = topics.nth(drawn).filter(|name| visitor.subscribing.insert(name.clone()))?;
        let last_id = annals::SUBSCRIBED.get(drawn).and_then(|topic| visitor.places.get(topic));
        let last_id = last_id.map(|(id, ..)| id.clone());
        let fd = visitor.fd.expect("a session");
        let position = last_id.as_deref().map_or_else(String::new, |id| format!("&last-event-id={id}"));
        let query = format!("swio=subscribe&topic={}{position}", name.replace(' ', "+"));
        self.subscribing.borrow_mut().insert((fd, name.clone()), last_id);
        Some((name, query))
    }

    /// Says that it goes; half of those come back.
    fn leave(&mut self, number: usize) {
        let code = 4000 + self.random.below(100) as u16;
        self.send_post(number, &format!("swio=close&code={code}&reason=bye"), "text/plain", Content::Leave);
        let fd = self.visitors[number].fd.expect("a session");
        self.model(fd).left = Some(code);
        let visitor = &mut self.visitors[number];
        (visitor.token, visitor.is_opening) = (None, false);
        visitor.is_over = self.random.chance(50);
        self.totals.leaves += 1;
    }

    /// A subscription was asked for.
    pub(super) fn subscribed(&mut self, fd: Fd, topic: &str) {
        let is_it = |post: &&mut Post| post.fd == fd && post.content == Content::Topic(topic.to_owned());
        let post = self.posts.iter_mut().rev().find(is_it).expect("somebody asked for it");
        assert!(!std::mem::replace(&mut post.is_delivered, true), "{fd}: {topic} twice");
    }

    /// Sends a request on a connection that there is, or a new one.
    fn ask(&mut self, number: usize, what: Asked, bytes: &[u8]) -> Fd {
        let carriers = self.clients_of(number, Kind::Carrier);
        let is_new = carriers.is_empty() || carriers.len() < 3 && self.random.chance(15);
        let index = match is_new {
            true => self.admit(Script::empty(Kind::Carrier), Some(number)),
            false => carriers[self.random.below(carriers.len() as u64) as usize],
        };
        let mut has_rival = false;
        if let Asked::Poll(session, _) = what {
            let is_poll = |ask: &&mut Ask| matches!(ask.what, Asked::Poll(other, _) if other == session);
            let others = self.clients.iter_mut().filter(|client| client.visitor == Some(number));
            for other in others.flat_map(|client| client.asked.iter_mut()).filter(is_poll) {
                (other.has_rival, has_rival) = (true, true);
            }
        }
        let client = &mut self.clients[index];
        client.script.bytes.extend_from_slice(bytes);
        let end = client.script.bytes.len();
        client.asked.push_back(Ask { what, end, at: self.now, taken: None, has_rival });
        let fd = client.fd;
        self.send(index);
        fd
    }

    /// A message by POST is delivered: to whom its token belongs, once, and in the order of its connection.
    pub(super) fn delivered(&mut self, fd: Fd, opcode: Opcode, data: &[u8]) {
        let number = data
            .iter()
            .rposition(|byte| *byte == b'~')
            .and_then(|at| std::str::from_utf8(&data[at + 1..]).ok()?.parse::<usize>().ok());
        let number = number.expect("the number of a post");
        let post = &mut self.posts[number];
        assert!(post.fd == fd && post.content == Content::Message(opcode, data.to_vec()), "post {number}");
        assert!(!std::mem::replace(&mut post.is_delivered, true), "post {number} came twice");
        let carrier = post.carrier;
        let is_repeated = post.is_repeated;
        // Which of its carriers brought one that was sent again is not known.
        let overtook = self.posts[number + 1..]
            .iter()
            .filter(|other| other.carrier == carrier && other.is_delivered && !other.is_repeated)
            .count();
        assert!(is_repeated || overtook == 0, "post {number} was overtaken");
        self.totals.posts += 1;
    }
}
