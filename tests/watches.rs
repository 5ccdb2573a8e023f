//! Which handlers hear of topics and presence, and the data of users there.

mod common;

use common::*;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use swio::{
    Callbacks, Fd, Handler, JoinError, Presence, PresenceEvent, Request, Server, TopicEvent, Watches,
};

/// Says what it hears of what it watches.
struct Watcher {
    name: &'static str,
    watches: Watches,
    told: Sender<String>,
    calls: Arc<AtomicUsize>,
}

impl Handler for Watcher {
    fn watches(&self) -> Watches {
        self.watches.clone()
    }

    fn on_topic(&mut self, _server: &mut Server, topic: &str, event: TopicEvent) {
        self.calls.fetch_add(1, Relaxed);
        tell(&self.told, format!("{} {topic} {event:?}", self.name));
    }

    fn on_presence(&mut self, _server: &mut Server, event: PresenceEvent<'_>) {
        self.calls.fetch_add(1, Relaxed);
        let PresenceEvent { topic, uid, kind, .. } = event;
        tell(&self.told, format!("{} {topic} {uid} {kind:?}", self.name));
    }
}

/// All that was told until now.
fn heard(live: &Live, told: &Receiver<String>) -> Vec<String> {
    // What a turn leaves to be told is told at its end.
    live.ask(|_| ());
    live.ask(|_| ());
    told.try_iter().collect()
}

fn only(live: &Live) -> Fd {
    live.until("it is open", |server| server.connections().next())
}

#[test]
fn each_handler_hears_of_what_it_watches_and_may_change_that() {
    let (sender, told) = mpsc::channel();
    let calls = Arc::<AtomicUsize>::default();
    let watcher = |name: &'static str, watches: Watches| {
        let (told, calls) = (sender.clone(), calls.clone());
        move || Watcher { name, watches: watches.clone(), told: told.clone(), calls: calls.clone() }
    };
    let builder = Server::builder()
        .configure(|config| config.presence_grace = Duration::ZERO)
        .handler(watcher("root", Watches::none()))
        .route("/", Callbacks::new)
        .route("/all", watcher("all", Watches::all()))
        .route("/rooms", watcher("rooms", Watches::topics_with_prefix("room/")))
        .route("/presence", watcher("presence", Watches::topics_with_prefix("room/").only_presence()));
    let live = Live::start(builder);
    let _client = live.open();
    let fd = only(&live);
    live.ask(move |server| {
        server.join(fd, "room/1").expect("room");
        server.join(fd, "lobby").expect("room");
    });
    assert_eq!(heard(&live, &told), ["all room/1 Occupied", "rooms room/1 Occupied", "all lobby Occupied"]);
    live.ask(move |server| server.bind(fd, "ada").expect("room"));
    let mut all = heard(&live, &told);
    all.sort();
    assert_eq!(
        all,
        [
            "all lobby ada Joined",
            "all room/1 ada Joined",
            "presence room/1 ada Joined",
            "rooms room/1 ada Joined"
        ]
    );
    // What another thread has run is the root's.
    live.ask(move |server| {
        server.watch(Watches::topics_with_prefix("lob").only_topics());
        server.leave(fd, "lobby");
    });
    assert_eq!(heard(&live, &told), ["all lobby ada Left", "root lobby Vacated", "all lobby Vacated"]);
    live.ask(move |server| {
        server.watch(Watches::none());
        server.leave(fd, "room/1");
    });
    assert_eq!(
        heard(&live, &told),
        [
            "all room/1 ada Left",
            "rooms room/1 ada Left",
            "presence room/1 ada Left",
            "all room/1 Vacated",
            "rooms room/1 Vacated"
        ]
    );
    assert_eq!(calls.load(Relaxed), 15);
}

#[test]
fn closures_watch_what_they_are_for() {
    let (sender, told) = mpsc::channel();
    let (topic, presence) = (sender.clone(), sender);
    let builder = Server::builder()
        .on_topic(move |_, topic_name, event| tell(&topic, format!("root {topic_name} {event:?}")))
        .route("/", move || {
            let presence = presence.clone();
            Callbacks::new().on_presence(move |_, event| tell(&presence, format!("route {}", event.uid)))
        })
        .route("/deaf", || Callbacks::new().on_message(|_, _| {}));
    let live = Live::start(builder);
    let _client = live.open();
    let fd = only(&live);
    assert_eq!(live.ask(move |server| (server.bind(fd, "ada"), server.join(fd, "a"))), (Ok(true), Ok(true)));
    assert_eq!(heard(&live, &told), ["root a Occupied", "route ada"]);
}

/// A handler that counts how often anything of it is called.
struct Counter(Arc<AtomicUsize>);

impl Handler for Counter {
    fn on_topic(&mut self, _server: &mut Server, _topic: &str, _event: TopicEvent) {
        self.0.fetch_add(1, Relaxed);
    }

    fn on_presence(&mut self, _server: &mut Server, _event: PresenceEvent<'_>) {
        self.0.fetch_add(1, Relaxed);
    }

    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        for number in 0..100 {
            server.join(request.fd, &format!("room/{number}")).expect("room");
        }
        server.bind(request.fd, "ada").expect("room");
    }
}

#[test]
fn of_thousands_of_handlers_only_the_one_that_asked_is_called() {
    let (visits, heard) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let mut builder = Server::builder();
    for number in 0..2_000 {
        let visits = visits.clone();
        builder = builder.route(format!("/app/{number}"), move || Counter(visits.clone()));
    }
    let (topic, presence) = (heard.clone(), heard.clone());
    let builder = builder.route("/hears", move || {
        let (topic, presence) = (topic.clone(), presence.clone());
        Callbacks::new()
            .on_topic(move |_, _, _| {
                topic.fetch_add(1, Relaxed);
            })
            .on_presence(move |_, _| {
                presence.fetch_add(1, Relaxed);
            })
    });
    let live = Live::start(builder);
    let mut client = live.client();
    client.send(UPGRADE.replacen("GET / ", "GET /app/1999 ", 1));
    client.expect_101();
    live.until("all are told", {
        let heard = heard.clone();
        move |_| (heard.load(Relaxed) == 200).then_some(())
    });
    assert_eq!((visits.load(Relaxed), heard.load(Relaxed)), (0, 200));
}

type Events = Arc<Mutex<Vec<(String, Option<String>, Presence)>>>;

#[test]
fn what_is_said_of_a_user_goes_along_and_is_forgotten_with_it() {
    let events = Events::default();
    let told = events.clone();
    let live = Live::start(
        Server::builder()
            .configure(|config| {
                (config.presence_grace, config.user_data_bytes_max) = (Duration::ZERO, 8);
            })
            .on_presence(move |_, event| {
                let data = event.data.map(str::to_owned);
                told.lock().expect("no panic").push((event.uid.to_owned(), data, event.kind));
            }),
    );
    let mut clients = [live.open(), live.open()];
    let fds = live.until("both are open", |server| {
        let fds: Vec<Fd> = server.connections().collect();
        <[Fd; 2]>::try_from(fds).ok()
    });
    live.ask(move |server| {
        let [first, second] = fds;
        server.join(first, "room").expect("room");
        assert_eq!(server.bind_with(first, "ada", "123456789"), Err(JoinError::DataLength));
        assert_eq!((server.uid(first), server.user_data("ada")), (None, None));
        assert_eq!(server.set_user_data("ada", Some("x")), Ok(false));
        assert_eq!(server.bind_with(first, "ada", "12345678"), Ok(true));
        server.join(second, "room").expect("room");
        assert_eq!(server.bind(second, "bob"), Ok(true));
        let mut users: Vec<_> = server.users_in_with_data("room").collect();
        users.sort();
        assert_eq!(users, [("ada", Some("12345678")), ("bob", None)]);
        assert_eq!(server.users_in_with_data("elsewhere").count(), 0);
        // The last word counts, for all of a user's connections.
        assert_eq!(server.bind_with(first, "ada", "new"), Ok(false));
        assert_eq!(server.bind(first, "ada"), Ok(false));
        assert_eq!(server.user_data("ada"), Some("new"));
        assert_eq!(server.set_user_data("ada", Some("123456789")), Err(JoinError::DataLength));
        assert_eq!(server.set_user_data("ada", Some("newer")), Ok(true));
        assert_eq!(server.set_user_data("bob", Some("b")), Ok(true));
        assert_eq!(server.set_user_data("bob", None), Ok(true));
        assert_eq!(server.user_data("bob"), None);
    });
    clients[0].close(1000, "");
    clients[0].until_close(1000);
    live.until("one is gone", |server| (server.usage().users == 1).then_some(()));
    live.ask(move |server| {
        assert_eq!(server.user_data("ada"), None);
        // Whoever has its number now has nothing of it.
        server.unbind(fds[1]);
        assert_eq!(server.usage().users, 0);
        assert_eq!(server.bind(fds[1], "eve"), Ok(true));
        assert_eq!(server.user_data("eve"), None);
    });
    live.ask(|_| ());
    let events = std::mem::take(&mut *events.lock().expect("no panic"));
    let event = |uid: &str, data: Option<&str>, kind| (uid.to_owned(), data.map(str::to_owned), kind);
    assert_eq!(
        events,
        [
            event("ada", Some("12345678"), Presence::Joined),
            event("bob", None, Presence::Joined),
            event("ada", Some("newer"), Presence::Left),
            event("bob", None, Presence::Left),
            event("eve", None, Presence::Joined),
        ]
    );
}

#[test]
fn what_is_said_of_a_user_who_is_away_is_kept_for_its_return() {
    let live =
        Live::start(Server::builder().configure(|config| config.presence_grace = Duration::from_secs(60)));
    let client = live.open();
    let fd = only(&live);
    live.ask(move |server| {
        server.join(fd, "room").expect("room");
        server.bind_with(fd, "ada", "Ada").expect("room");
    });
    client.reset();
    live.until_empty();
    live.ask(|server| {
        assert_eq!(server.users_in_with_data("room").collect::<Vec<_>>(), [("ada", Some("Ada"))]);
        assert_eq!(server.set_user_data("ada", Some("A.")), Ok(true));
        assert_eq!(server.user_data("ada"), Some("A."));
    });
}
