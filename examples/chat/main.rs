//! A chat with rooms, in one process and one page. Run `cargo run --release --example chat` and open the printed URL in
//! two browsers. Append `-- --listen 0.0.0.0:9501` to let the local network in.
//!
//! `main.rs` has the library's callbacks, `room.rs` the rooms and their recent messages, `wire.rs` the JSON between
//! page and server, and `index.html` is the page. Rooms are topics and people are users, so the library reports who
//! comes and goes. The page uses the library's script, which connects by WebSocket or, if the network lets none
//! through, by event stream or long polling; the code here is the same for all three. Nothing is stored: a restart
//! forgets everything.

mod room;
mod wire;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use swio::{
    Fd, Frame, Handler, JoinError, Presence, PresenceEvent, Reply, Request, Response, Server, TimerId,
    TopicEvent, Watches,
};

use room::Rooms;
use wire::{FromPage, Message, Person, Refusal, ToPage};

/// Everybody gets the list of rooms when it has changed. Changes are collected for this long, so that a hundred people
/// who arrive together cost everybody one list and not a hundred.
const ROOM_LIST_DELAY: Duration = Duration::from_millis(200);
/// The longest text that is allowed, with each character as two escapes of six bytes, and some JSON around it.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// A page that is reloaded is back within this time, and nobody else notices.
const PRESENCE_GRACE: Duration = Duration::from_secs(2);

fn main() -> io::Result<()> {
    env_logger::init();
    let event_loop = Server::builder()
        .configure(|config| {
            config.message_bytes_max = MESSAGE_BYTES_MAX;
            config.presence_grace = PRESENCE_GRACE;
            config.event_streams = true;
            config.long_polling = true;
        })
        .listen(listen_address())
        .script("/swio.js")
        .handler(Chat::new)
        .signals(true)
        .build()?;
    for address in event_loop.addresses() {
        println!("chat: open http://{address}/");
    }
    event_loop.run()
}

fn listen_address() -> String {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, None, None) => "127.0.0.1:9501".into(),
        (Some("--listen"), Some(address), None) => address,
        _ => {
            eprintln!("usage: chat [--listen ADDRESS:PORT]");
            std::process::exit(2);
        }
    }
}

/// The whole chat. One thread runs all callbacks, so there is nothing to lock. A connection that has joined is in one
/// topic, its room, and bound to one user, whose uid is [`Person::who`] in decimal.
struct Chat {
    rooms: Rooms,
    /// Everybody who is in some room, by [`Person::who`].
    visitors: HashMap<u64, Visitor>,
    secret: RandomState,
    last_id: u64,
    room_list_due: bool,
}

struct Visitor {
    name: String,
    /// In which the others were told of this one.
    rooms: usize,
}

impl Handler for Chat {
    fn on_request(&mut self, _server: &mut Server, request: &Request<'_>) -> Reply {
        match (request.method(), request.path()) {
            ("GET" | "HEAD", "/") => page().into(),
            _ => Response::not_found().into(),
        }
    }

    /// The page shows the rooms while it asks for a name.
    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        send(server, request.fd, &ToPage::Rooms { rooms: self.rooms.list(server) });
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        let fd = frame.fd;
        let done = match wire::parse(&frame.data) {
            Ok(FromPage::Join { room, nick, key }) => self.join(server, fd, &room, &nick, key.as_deref()),
            Ok(FromPage::Nick { nick }) => self.rename(server, fd, &nick),
            Ok(FromPage::Say { text, tag }) => self.say(server, fd, &text, tag),
            Ok(FromPage::Typing) => self.typing(server, fd),
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = done {
            send(server, fd, &ToPage::Error(refusal));
        }
    }

    fn watches(&self) -> Watches {
        Watches::all()
    }

    fn on_topic(&mut self, _server: &mut Server, topic: &str, event: TopicEvent) {
        if event == TopicEvent::Vacated {
            self.rooms.emptied(topic);
        }
    }

    fn on_presence(&mut self, server: &mut Server, event: PresenceEvent<'_>) {
        let PresenceEvent { topic, uid, kind, .. } = event;
        let Some(who) = uid.parse().ok() else { return };
        let Some(visitor) = self.visitors.get_mut(&who) else { return };
        let person = Person { who, name: &visitor.name };
        if kind == Presence::Joined {
            visitor.rooms += 1;
            // The page that joined got the list of everybody already.
            let own: Vec<Fd> = server.connections_of(uid).collect();
            let event = wire::encode(&ToPage::Arrived(person));
            own.into_iter().fold(server.publish(topic, event), |publish, fd| publish.except(fd)).send();
        } else {
            visitor.rooms -= 1;
            server.publish(topic, wire::encode(&ToPage::Left(person))).send();
            if visitor.rooms == 0 && server.connections_of(uid).next().is_none() {
                self.visitors.remove(&who);
            }
        }
        self.room_list_changed(server);
    }

    fn on_timer(&mut self, server: &mut Server, _timer: TimerId) {
        self.room_list_due = false;
        self.rooms.forget_old(server);
        server.broadcast(wire::encode(&ToPage::Rooms { rooms: self.rooms.list(server) })).send();
    }
}

/// What people can do. Everything that may be refused is checked before anything is changed.
impl Chat {
    fn join(
        &mut self,
        server: &mut Server,
        fd: Fd,
        room: &str,
        nick: &str,
        key: Option<&str>,
    ) -> Result<(), Refusal> {
        let (room, name) = (wire::room_name(room)?, wire::nickname(nick)?);
        let who = self.identify(fd, key);
        self.check_free(&name, who)?;
        self.rooms.open(server, &room)?;

        if let Some(before) = room_of(server, fd) {
            server.leave(fd, &before);
        }
        let not_now = |error: JoinError| Refusal::new("not-now", error.to_string());
        server.bind(fd, &who.to_string()).map_err(not_now)?;
        server.join(fd, &room).map_err(not_now)?;
        self.set_name(server, who, &name);
        self.visitors.entry(who).or_insert_with(|| Visitor { name: name.clone(), rooms: 0 });
        let people = server.users_in(&room).filter_map(|uid| self.person(uid)).collect();
        let (you, history) = (Person { who, name: &name }, self.rooms.history(&room));
        let joined = wire::encode(&ToPage::Joined { room: &room, you, people, history });
        server.push(fd, joined).ok();
        Ok(())
    }

    fn rename(&mut self, server: &mut Server, fd: Fd, nick: &str) -> Result<(), Refusal> {
        let (you, _) = self.seated(server, fd)?;
        let (who, name) = (you.who, wire::nickname(nick)?);
        self.check_free(&name, who)?;
        self.set_name(server, who, &name);
        Ok(())
    }

    fn say(&mut self, server: &mut Server, fd: Fd, text: &str, tag: Option<String>) -> Result<(), Refusal> {
        let tag = tag.filter(|tag| tag.len() <= wire::TAG_BYTES_MAX);
        let (you, room) = self.seated(server, fd)?;
        let text = wire::text(text).map_err(|refusal| refusal.about(tag.clone()))?;
        let id = self.last_id + 1;
        let message = Message { id, at: now_ms(), who: you.who, name: you.name.to_owned(), text, tag };
        server.publish(&room, wire::encode(&ToPage::Message(&message))).send();
        self.rooms.remember(&room, message);
        self.last_id = id;
        Ok(())
    }

    /// Passed on and not stored: the page removes the sign after a while.
    fn typing(&self, server: &mut Server, fd: Fd) -> Result<(), Refusal> {
        let (you, room) = self.seated(server, fd)?;
        server.publish(&room, wire::encode(&ToPage::Typing(you))).except(fd).send();
        Ok(())
    }
}

impl Chat {
    fn new() -> Self {
        Self {
            rooms: Rooms::new(),
            visitors: HashMap::new(),
            secret: RandomState::new(),
            // Ids count up from the time of the start, so none is used twice, not even after a restart: a page that
            // reconnects can find by id what it has missed.
            last_id: now_ms(),
            room_list_due: false,
        }
    }

    /// A browser keeps a random key and sends it when it joins, so that after a reconnect, or in a second tab, it is
    /// still the same person, even if the server has not noticed yet that the old connection is dead. Others only see
    /// this hash of the key: 53 bits, which is what a number in JavaScript holds.
    fn identify(&self, fd: Fd, key: Option<&str>) -> u64 {
        let hash = key.map_or_else(|| self.secret.hash_one(fd), |key| self.secret.hash_one(key));
        hash >> 11
    }

    /// Searches everybody instead of keeping an index: it is done once per visit, and an index would have to be
    /// updated.
    fn check_free(&self, name: &str, who: u64) -> Result<(), Refusal> {
        let wanted = name.to_lowercase();
        if self.visitors.iter().any(|(other, visitor)| *other != who && visitor.name.to_lowercase() == wanted)
        {
            let problem = format!("Somebody called {name} is here already. Please choose another name.");
            return Err(Refusal::new("nick-taken", problem));
        }
        Ok(())
    }

    /// A new name applies in all tabs and rooms of that person, so everybody is told. Pages that do not show the person
    /// ignore it.
    fn set_name(&mut self, server: &mut Server, who: u64, name: &str) {
        let Some(visitor) = self.visitors.get_mut(&who).filter(|visitor| visitor.name != name) else {
            return;
        };
        let from = std::mem::replace(&mut visitor.name, name.to_owned());
        server.broadcast(wire::encode(&ToPage::Renamed { who, from: &from, name })).send();
    }

    fn person(&self, uid: &str) -> Option<Person<'_>> {
        let who = uid.parse().ok()?;
        Some(Person { who, name: &self.visitors.get(&who)?.name })
    }

    /// The person of this connection, and the room.
    fn seated(&self, server: &Server, fd: Fd) -> Result<(Person<'_>, String), Refusal> {
        let seat = || Some((self.person(server.uid(fd)?)?, room_of(server, fd)?));
        seat().ok_or_else(|| Refusal::new("not-joined", "Join a room first."))
    }

    fn room_list_changed(&mut self, server: &mut Server) {
        if !self.room_list_due {
            self.room_list_due = true;
            server.timer(ROOM_LIST_DELAY);
        }
    }
}

fn room_of(server: &Server, fd: Fd) -> Option<String> {
    server.topics_of(fd).next().map(str::to_owned)
}

fn send(server: &mut Server, fd: Fd, event: &ToPage<'_>) {
    server.push(fd, wire::encode(event)).ok();
}

/// Browsers run only the script and the style with this response's nonce, and let no string become markup: even with a
/// mistake in the page, one visitor's text can't act in another's browser.
fn page() -> Response {
    let random = || RandomState::new().hash_one(());
    let nonce = format!("{:016x}{:016x}", random(), random());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    Response::html(include_str!("index.html").replace("{{nonce}}", &nonce))
        .header("content-security-policy", policy)
        .header("cache-control", "no-store")
        .header("referrer-policy", "no-referrer")
        .header("x-content-type-options", "nosniff")
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}
