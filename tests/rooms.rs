//! Topics, users and presence over real sockets: who gets to know what, once each, and that nothing is left over.

mod common;

use common::{Client, DEADLINE, Live, TEXT, still_serving, tell};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use swio::{Builder, Callbacks, Fd, JoinError, Presence, PushError, Reach, Server, TopicEvent};

/// What a recorded server's callbacks were told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Open(Fd),
    Topic(String, TopicEvent),
    Presence(String, String, Presence),
    /// With the uid and the topics, sorted, that the connection had, and how many connections the user has left.
    Close(Fd, Option<String>, Vec<String>, usize),
}

fn occupied(topic: &str) -> Told {
    Told::Topic(topic.into(), TopicEvent::Occupied)
}

fn vacated(topic: &str) -> Told {
    Told::Topic(topic.into(), TopicEvent::Vacated)
}

fn joined(topic: &str, uid: &str) -> Told {
    Told::Presence(topic.into(), uid.into(), Presence::Joined)
}

fn left(topic: &str, uid: &str) -> Told {
    Told::Presence(topic.into(), uid.into(), Presence::Left)
}

struct Rooms {
    live: Live,
    told: Receiver<Told>,
}

impl Rooms {
    fn start(grace: Duration) -> Rooms {
        Rooms::configured(Server::builder().configure(|config| config.presence_grace = grace))
    }

    fn configured(builder: Builder) -> Rooms {
        let (sender, told) = mpsc::channel();
        let (open, topic, presence, close) = (sender.clone(), sender.clone(), sender.clone(), sender);
        let builder = builder
            .on_open(move |_, request| tell(&open, Told::Open(request.fd)))
            .on_topic(move |_, name, event| tell(&topic, Told::Topic(name.into(), event)))
            .on_presence(move |_, event| {
                tell(&presence, Told::Presence(event.topic.into(), event.uid.into(), event.kind));
            })
            .on_close(move |server, fd, _| {
                let uid = server.uid(fd).map(str::to_owned);
                let left = uid.as_ref().map_or(0, |uid| server.connections_of(uid).count());
                let mut topics: Vec<String> = server.topics_of(fd).map(str::to_owned).collect();
                topics.sort();
                tell(&close, Told::Close(fd, uid, topics, left));
            });
        Rooms { live: Live::start(builder), told }
    }

    fn next(&self) -> Told {
        self.told.recv_timeout(DEADLINE).expect("something is told")
    }

    fn open(&self) -> (Client, Fd) {
        let client = self.live.open();
        match self.next() {
            Told::Open(fd) => (client, fd),
            other => panic!("{other:?} instead of an open"),
        }
    }

    /// An open connection of this user, in these topics.
    fn enter(&self, uid: &'static str, topics: &'static [&'static str]) -> (Client, Fd) {
        let (client, fd) = self.open();
        self.live.ask(move |server| {
            assert_eq!(server.bind(fd, uid), Ok(true));
            topics.iter().for_each(|topic| assert_eq!(server.join(fd, topic), Ok(true)));
        });
        (client, fd)
    }

    /// Nothing was told but this.
    fn expect(&self, expected: impl IntoIterator<Item = Told>) {
        for expected in expected {
            assert_eq!(self.next(), expected);
        }
        assert_eq!(self.live.ask(|_| ()), ());
        assert_eq!(self.told.try_recv().ok(), None);
    }

    /// Nothing is left of topics and users.
    fn until_forgotten(&self) {
        self.live.until("all is forgotten", |server| {
            let usage = server.usage();
            let all = [usage.topics, usage.memberships, usage.users, usage.attendances];
            (all == [0; 4] && usage.connections == 0).then_some(())
        });
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names
}

fn close(mut client: Client) {
    client.close(1000, "");
    client.until_close(1000);
}

#[test]
fn members_and_nobody_else_get_what_is_published() {
    let rooms = Rooms::start(Duration::ZERO);
    let ((mut ada, a), (mut bob, b), (mut eve, e)) = (rooms.open(), rooms.open(), rooms.open());
    let reach = rooms.live.ask(move |server| {
        assert_eq!(
            (server.join(a, "tea"), server.join(b, "tea"), server.join(e, "coffee")),
            (Ok(true), Ok(true), Ok(true))
        );
        assert_eq!(server.join(a, "tea"), Ok(false));
        assert_eq!((server.member_count("tea"), server.member_count("none")), (2, 0));
        assert!(server.is_member(a, "tea") && !server.is_member(e, "tea") && !server.is_member(a, "none"));
        let mut members: Vec<Fd> = server.members("tea").collect();
        members.sort();
        assert_eq!(members, [a, b]);
        let mut topics: Vec<(String, usize)> =
            server.topics().map(|(name, count)| (name.to_owned(), count)).collect();
        topics.sort();
        assert_eq!(topics, [("coffee".to_owned(), 1), ("tea".to_owned(), 2)]);
        assert_eq!(server.publish("none", "nobody hears this").send(), Reach::default());
        let all = server.publish("tea", "for all").send();
        let others = server.publish("tea", "for others").except(a).send();
        server.publish("tea", "nobody").except(a).except(b).send();
        server.push(e, "end").expect("it is open");
        (all, others)
    });
    assert_eq!(((reach.0.queued, reach.0.refused), (reach.1.queued, reach.1.refused)), ((2, 0), (1, 0)));
    rooms.expect([occupied("tea"), occupied("coffee")]);
    let reached = |client: &mut Client, expected: &[&str]| {
        for text in expected {
            let frame = client.read_frame();
            assert_eq!((frame.opcode, &*frame.payload), (TEXT, text.as_bytes()));
        }
    };
    reached(&mut ada, &["for all"]);
    reached(&mut bob, &["for all", "for others"]);
    reached(&mut eve, &["end"]);

    // From another thread, and after leaving.
    assert!(rooms.live.ask(move |server| server.leave(a, "tea") && !server.leave(a, "tea")));
    rooms.live.handle.publish("tea", "from outside").expect("there is room");
    rooms.live.handle.publish("none", "to nobody").expect("there is room");
    rooms.live.handle.push(a, "end").expect("there is room");
    reached(&mut bob, &["from outside"]);
    reached(&mut ada, &["end"]);
    close(bob);
    rooms.expect([Told::Close(b, None, vec!["tea".into()], 0), vacated("tea")]);
    drop((ada, eve));
    rooms.until_forgotten();
}

#[test]
fn a_large_message_reaches_all_members_and_no_other() {
    let rooms = Rooms::start(Duration::ZERO);
    let mut clients: Vec<(Client, Fd)> = (0..5).map(|_| rooms.open()).collect();
    let fds: Vec<Fd> = clients.iter().map(|(_, fd)| *fd).collect();
    let message = "large ".repeat(100_000);
    let sent = message.clone();
    let reach = rooms.live.ask(move |server| {
        fds[..4].iter().for_each(|fd| assert_eq!(server.join(*fd, "tea"), Ok(true)));
        let reach = server.publish("tea", &sent).except(fds[0]).send();
        fds.iter().for_each(|fd| server.push(*fd, "end").expect("there is room"));
        reach
    });
    assert_eq!((reach.queued, reach.refused), (3, 0));
    for (number, (client, _)) in clients.iter_mut().enumerate() {
        if (1..4).contains(&number) {
            assert!(client.read_frame().payload == message.as_bytes(), "client {number}");
        }
        assert_eq!(client.read_frame().payload, b"end", "client {number}");
    }
}

#[test]
fn a_user_of_several_tabs_is_one_and_gets_each_push_in_all() {
    let rooms = Rooms::start(Duration::ZERO);
    let (mut first, one) = rooms.enter("ada", &["tea"]);
    rooms.expect([occupied("tea"), joined("tea", "ada")]);
    let (mut second, two) = rooms.enter("ada", &["tea", "coffee"]);
    rooms.expect([occupied("coffee"), joined("coffee", "ada")]);
    let (mut other, three) = rooms.enter("bob", &["tea"]);
    rooms.expect([joined("tea", "bob")]);
    let reach = rooms.live.ask(move |server| {
        assert_eq!(sorted(server.users_in("tea")), ["ada", "bob"]);
        assert_eq!(sorted(server.users_in("coffee")), ["ada"]);
        assert_eq!(server.users_in("none").count(), 0);
        let mut of_ada: Vec<Fd> = server.connections_of("ada").collect();
        of_ada.sort();
        assert_eq!(of_ada, [one, two]);
        assert_eq!((server.uid(one), server.uid(three)), (Some("ada"), Some("bob")));
        assert_eq!(server.client_info(two).and_then(|info| info.uid).as_deref(), Some("ada"));
        assert_eq!(server.push_to_user("nobody", "?"), Reach::default());
        let reach = server.push_to_user("ada", "in both tabs");
        assert_eq!(server.for_user("ada", "in the second").except(one).send().queued, 1);
        server.push(three, "end").expect("it is open");
        reach
    });
    assert_eq!((reach.queued, reach.refused), (2, 0));
    rooms.live.handle.push_to_user("ada", "from outside").expect("there is room");
    for tab in [&mut first, &mut second] {
        assert_eq!(tab.read_frame().payload, b"in both tabs");
    }
    assert_eq!(second.read_frame().payload, b"in the second");
    for tab in [&mut first, &mut second] {
        assert_eq!(tab.read_frame().payload, b"from outside");
    }
    assert_eq!(other.read_frame().payload, b"end");

    close(first);
    rooms.expect([Told::Close(one, Some("ada".into()), vec!["tea".into()], 1)]);
    close(second);
    let topics = vec!["coffee".into(), "tea".into()];
    rooms.expect([Told::Close(two, Some("ada".into()), topics, 0)].into_iter().chain([
        left("tea", "ada"),
        left("coffee", "ada"),
        vacated("coffee"),
    ]));
    assert_eq!(rooms.live.ask(|server| sorted(server.users_in("tea"))), ["bob"]);
    close(other);
    rooms.until_forgotten();
}

#[test]
fn bind_and_join_work_in_either_order_and_a_connection_may_change_hands() {
    let rooms = Rooms::start(Duration::ZERO);
    let (client, fd) = rooms.open();
    rooms.live.ask(move |server| {
        assert!(server.uid(fd).is_none() && !server.unbind(fd));
        assert_eq!((server.join(fd, "tea"), server.join(fd, "coffee")), (Ok(true), Ok(true)));
        assert_eq!(server.users_in("tea").count(), 0);
        assert_eq!((server.bind(fd, "ada"), server.bind(fd, "ada")), (Ok(true), Ok(false)));
    });
    rooms.expect([occupied("tea"), occupied("coffee"), joined("tea", "ada"), joined("coffee", "ada")]);
    rooms.live.ask(move |server| assert_eq!(server.bind(fd, "bob"), Ok(true)));
    let moved = ["tea", "coffee"].map(|topic| left(topic, "ada"));
    rooms.expect(moved.into_iter().chain(["tea", "coffee"].map(|topic| joined(topic, "bob"))));
    rooms.live.ask(move |server| {
        assert_eq!((server.connections_of("ada").count(), server.connections_of("bob").count()), (0, 1));
        assert!(server.leave(fd, "tea"));
    });
    rooms.expect([left("tea", "bob"), vacated("tea")]);
    rooms.live.ask(move |server| assert!(server.unbind(fd) && server.uid(fd).is_none()));
    rooms.expect([left("coffee", "bob")]);
    assert_eq!(rooms.live.ask(|server| (server.usage().users, server.usage().attendances)), (0, 0));
    drop(client);
    rooms.expect([Told::Close(fd, None, vec!["coffee".into()], 0), vacated("coffee")]);
    rooms.until_forgotten();
}

#[test]
fn a_page_that_is_loaded_again_within_the_grace_has_not_left() {
    // So long that only a shutdown ends it.
    let rooms = Rooms::start(Duration::from_secs(3_600));
    let (first, one) = rooms.enter("ada", &["tea"]);
    rooms.expect([occupied("tea"), joined("tea", "ada")]);
    // Whoever goes by intent is not waited for.
    rooms.live.ask(move |server| assert!(server.leave(one, "tea") && server.join(one, "tea") == Ok(true)));
    rooms.expect([left("tea", "ada"), vacated("tea"), occupied("tea"), joined("tea", "ada")]);
    first.reset();
    rooms.expect([Told::Close(one, Some("ada".into()), vec!["tea".into()], 0), vacated("tea")]);
    rooms.live.ask(|server| {
        assert_eq!((sorted(server.users_in("tea")), server.member_count("tea")), (vec!["ada".to_owned()], 0));
        assert_eq!((server.topics().count(), server.topics_page(0, 9).0.len()), (0, 0));
        assert_eq!(server.publish("tea", "to nobody").send(), Reach::default());
        assert_eq!(server.push_to_user("ada", "to nobody"), Reach::default());
    });
    let (second, two) = rooms.enter("ada", &["tea"]);
    rooms.expect([occupied("tea")]);
    assert_eq!(rooms.live.ask(|server| server.usage().attendances), 1);
    // Absent again, when the server stops: nobody comes back to it.
    close(second);
    rooms.expect([Told::Close(two, Some("ada".into()), vec!["tea".into()], 0), vacated("tea")]);
    let Rooms { live, told } = rooms;
    live.stop();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [left("tea", "ada")]);
}

#[test]
fn whoever_stays_away_for_the_grace_has_left() {
    const GRACE: Duration = Duration::from_millis(300);
    let rooms = Rooms::start(GRACE);
    let (first, one) = rooms.enter("ada", &["tea"]);
    rooms.expect([occupied("tea"), joined("tea", "ada")]);
    let (second, two) = rooms.enter("ada", &["tea"]);
    close(first);
    let closed = |fd, left| Told::Close(fd, Some("ada".into()), vec!["tea".into()], left);
    rooms.expect([closed(one, 1)]);
    let before = Instant::now();
    close(second);
    rooms.expect([closed(two, 0), vacated("tea")]);
    assert_eq!(rooms.next(), left("tea", "ada"));
    assert!(before.elapsed() >= GRACE, "{:?}", before.elapsed());
    rooms.until_forgotten();
}

#[test]
fn a_shutdown_tells_of_everybody_who_leaves_by_it() {
    let rooms = Rooms::configured(Server::builder().configure(|config| {
        config.presence_grace = Duration::from_secs(3_600);
        // The client does not answer.
        config.close_timeout = Duration::from_millis(20);
    }));
    let (first, one) = rooms.enter("ada", &["tea"]);
    rooms.expect([occupied("tea"), joined("tea", "ada")]);
    let (second, two) = rooms.enter("bob", &["tea"]);
    rooms.expect([joined("tea", "bob")]);
    // One has gone before, the other is there when the server goes.
    close(first);
    rooms.expect([Told::Close(one, Some("ada".into()), vec!["tea".into()], 0)]);
    let Rooms { live, told } = rooms;
    live.stop();
    drop(second);
    let closed = Told::Close(two, Some("bob".into()), vec!["tea".into()], 0);
    let expected = [left("tea", "ada"), closed, left("tea", "bob"), vacated("tea")];
    assert_eq!(told.try_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn of_too_many_absences_the_longest_ends() {
    let rooms = Rooms::configured(Server::builder().configure(|config| {
        config.presence_grace = Duration::from_secs(3_600);
        config.presence_absences_max = 1;
    }));
    let (first, one) = rooms.enter("ada", &["tea"]);
    rooms.expect([occupied("tea"), joined("tea", "ada")]);
    let (second, two) = rooms.enter("bob", &["tea"]);
    rooms.expect([joined("tea", "bob")]);
    let closed = |fd, uid: &str| Told::Close(fd, Some(uid.into()), vec!["tea".into()], 0);
    close(first);
    rooms.expect([closed(one, "ada")]);
    close(second);
    rooms.expect([closed(two, "bob"), left("tea", "ada"), vacated("tea")]);
    assert_eq!(rooms.live.ask(|server| sorted(server.users_in("tea"))), ["bob"]);
}

#[test]
fn what_may_not_join_is_told_why_and_nothing_has_changed() {
    let rooms = Rooms::configured(Server::builder().configure(|config| {
        (config.topics_per_connection_max, config.topics_max) = (2, 3);
        (config.topic_bytes_max, config.uid_bytes_max) = (8, 4);
    }));
    let plain = rooms.live.client();
    let ((client, a), (_other, b)) = (rooms.open(), rooms.open());
    rooms.live.ask(move |server| {
        let names = ["", "123456789", "ééééé"];
        assert_eq!(names.map(|name| server.join(a, name)), [Err(JoinError::NameLength); 3]);
        assert_eq!(["", "12345", "ééé"].map(|uid| server.bind(a, uid)), [Err(JoinError::NameLength); 3]);
        assert_eq!((server.usage().topics, server.usage().users), (0, 0));

        assert_eq!((server.join(a, "12345678"), server.join(a, "two")), (Ok(true), Ok(true)));
        assert_eq!(server.join(a, "three"), Err(JoinError::ConnectionFull));
        // One of its own is no new one.
        assert_eq!(server.join(a, "two"), Ok(false));
        assert_eq!((server.join(b, "three"), server.join(b, "four")), (Ok(true), Err(JoinError::TopicsFull)));
        assert_eq!(server.join(b, "two"), Ok(true));
        assert!(server.leave(b, "three"));
        assert_eq!(server.join(b, "four"), Ok(true));
        assert_eq!((server.usage().topics, server.usage().memberships), (3, 4));

        // HTTP so far, and an fd that never was.
        let http = (1..20).filter_map(Fd::from_u64).find(|fd| server.exists(*fd) && ![a, b].contains(fd));
        let http = http.expect("the plain connection");
        assert_eq!(server.join(http, "two"), Err(JoinError::NotOpen));
        assert_eq!(server.bind(http, "ada"), Err(JoinError::NotOpen));
        let none = Fd::from_u64(99).expect("a number for an fd");
        assert_eq!(
            (server.join(none, "two"), server.bind(none, "ada")),
            (Err(JoinError::Gone), Err(JoinError::Gone))
        );
        assert!(!server.leave(none, "two") && !server.unbind(none) && server.uid(none).is_none());
        assert_eq!(server.topics_of(none).count(), 0);

        assert_eq!(server.bind(b, "adaé"), Err(JoinError::NameLength));
        assert_eq!((server.bind(b, "adaa"), server.uid(b)), (Ok(true), Some("adaa")));
        server.disconnect(b, 1000, "");
        assert_eq!(
            (server.join(b, "late"), server.bind(b, "late")),
            (Err(JoinError::Closing), Err(JoinError::Closing))
        );
        // Nothing is published to whoever is closing; it may still leave.
        assert_eq!(server.publish("four", "too late").send(), Reach::default());
        assert!(server.leave(b, "four"));
    });
    still_serving(&rooms.live);
    drop((plain, client));
}

#[test]
fn topics_come_in_pages_whatever_goes_meanwhile() {
    let rooms = Rooms::start(Duration::ZERO);
    let (_client, fd) = rooms.open();
    rooms.live.ask(move |server| {
        assert_eq!(server.topics_page(0, 10), (Vec::new(), None));
        for number in 0..10 {
            server.join(fd, &number.to_string()).expect("there is room");
        }
        let (page, next) = server.topics_page(0, 4);
        let mut seen = sorted(page.iter().map(|(name, _)| *name));
        assert_eq!(seen.len(), 4);
        for gone in ["0", "9"] {
            assert!(server.leave(fd, gone));
        }
        let mut cursor = next;
        while let Some(start) = cursor {
            let (page, next) = server.topics_page(start, 4);
            assert!((1..=4).contains(&page.len()) && page.iter().all(|(_, count)| *count == 1));
            seen.extend(page.iter().map(|(name, _)| (*name).to_owned()));
            cursor = next;
        }
        seen.sort();
        seen.dedup();
        seen.retain(|name| !["0", "9"].contains(&&**name));
        assert_eq!(seen, ["1", "2", "3", "4", "5", "6", "7", "8"]);
        assert_eq!(server.topics_page(u32::MAX, 4), (Vec::new(), None));
    });
}

#[test]
fn every_handler_that_watches_is_told_and_what_they_do_then_counts() {
    let (sender, told) = mpsc::channel();
    let (root, routed) = (sender.clone(), sender);
    let builder = Server::builder()
        .configure(|config| config.presence_grace = Duration::ZERO)
        .on_topic(move |server, topic, event| {
            // Whoever is in "a" is in "b" as well, made from within the callback.
            let members: Vec<Fd> = server.members("a").collect();
            members.into_iter().for_each(|fd| {
                server.join(fd, "b").ok();
            });
            tell(&root, format!("root {topic} {event:?}"));
        })
        .route("/", move || {
            let (topic, presence) = (routed.clone(), routed.clone());
            Callbacks::new()
                .on_open(|server, request| {
                    server.join(request.fd, "a").expect("there is room");
                    server.bind(request.fd, "ada").expect("there is room");
                })
                .on_topic(move |_, name, event| tell(&topic, format!("route {name} {event:?}")))
                .on_presence(move |_, event| {
                    tell(&presence, format!("route {} {} {:?}", event.topic, event.uid, event.kind));
                })
        });
    let live = Live::start(builder);
    let mut client = live.open();
    let expect = |expected: &[&str]| {
        for expected in expected {
            assert_eq!(told.recv_timeout(DEADLINE).as_deref(), Ok(*expected));
        }
    };
    expect(&["root a Occupied", "route a Occupied", "route a ada Joined"]);
    expect(&["root b Occupied", "route b Occupied", "route b ada Joined"]);
    client.close(1000, "");
    client.until_close(1000);
    let mut rest: Vec<String> = (0..6).map(|_| told.recv_timeout(DEADLINE).expect("it is told")).collect();
    rest.sort();
    assert_eq!(
        rest,
        [
            "root a Vacated",
            "root b Vacated",
            "route a Vacated",
            "route a ada Left",
            "route b Vacated",
            "route b ada Left"
        ]
    );
    live.until_empty();
}

#[test]
fn a_panic_in_on_close_leaves_nobody_in_a_topic() {
    let builder = Server::builder()
        .configure(|config| config.presence_grace = Duration::ZERO)
        .on_open(|server, request| {
            server.bind(request.fd, "ada").expect("there is room");
            server.join(request.fd, "tea").expect("there is room");
        })
        .on_close(|_, _, _| panic!("on purpose"))
        .on_presence(|_, _| panic!("on purpose"));
    let live = Live::start(builder);
    for _ in 0..3 {
        live.open().reset();
    }
    live.until("all is forgotten", |server| {
        let usage = server.usage();
        let all = [usage.connections, usage.topics, usage.memberships, usage.users, usage.attendances];
        (all == [0; 5]).then_some(())
    });
    still_serving(&live);
}

#[test]
fn what_goes_to_a_topic_or_user_from_outside_counts_against_the_mailbox() {
    let live = Live::start(Server::builder().configure(|config| config.mailbox_bytes_max = 1_000));
    let held = live.hold();
    let name = "n".repeat(600);
    assert_eq!(live.handle.publish(&name, "x".repeat(300)), Ok(()));
    assert_eq!(live.handle.publish(&name, "x"), Err(PushError::Busy));
    assert_eq!(live.handle.push_to_user(&name, "x"), Err(PushError::Busy));
    assert_eq!(live.handle.push_to_user("n", "x"), Ok(()));
    drop(held);
    let handle = live.handle.clone();
    live.stop();
    assert_eq!(handle.publish("n", "x"), Err(PushError::Stopped));
    assert_eq!(handle.push_to_user("n", "x"), Err(PushError::Stopped));
}
