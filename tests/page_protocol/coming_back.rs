//! Clients that reconnect: what they have missed, and gaps.

use super::*;

/// A server that puts all pages into the topics `a` and `b` itself.
fn both(messages: usize) -> (Live, Events) {
    let (builder, events) = histories(messages);
    let live = pages(builder.on_open(|server, request| {
        server.join(request.fd, "a").expect("open");
        server.join(request.fd, "b").expect("open");
    }));
    (live, events)
}

#[test]
fn a_cut_anywhere_in_what_was_missed_of_two_topics_loses_nothing_and_doubles_nothing() {
    for kind in KINDS {
        let (live, _events) = both(10);
        let mut page = Page::open(&live, kind);
        let mut positions = page.positions(&["a", "b"]);
        drop(page);
        publish(&live, &[("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"), ("b", "5"), ("b", "6")]);
        let mut seen = Vec::new();
        // Each time it is cut after one message more, or where nothing was missed.
        for number in 0..4 {
            let mut page = Page::come_back(&live, kind, &positions);
            for _ in 0..number {
                let told = page.next();
                positions.insert(told.labels["topic"].clone(), told.labels["id"].clone());
                seen.extend(told.text);
            }
        }
        assert_eq!(seen, ["1", "2", "3", "4", "5", "6"]);
        assert!(positions["a"].ends_with("-3") && positions["b"].ends_with("-3"), "{positions:?}");
        let mut page = Page::come_back(&live, kind, &positions);
        assert_eq!(page.positions(&["a", "b"]), positions);
        page.expect_nothing();
    }
}

#[test]
fn a_gap_is_told_of_each_topic_and_before_what_is_left() {
    for kind in KINDS {
        let (live, _events) = both(2);
        let mut page = Page::open(&live, kind);
        let first = page.positions(&["a", "b"]);
        publish(&live, &[("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")]);
        page.texts(&["1", "2", "3", "4"]);
        let last: Positions =
            [("a", 3), ("b", 1)].map(|(topic, seq)| (topic.to_owned(), id_of(&first[topic], seq))).into();
        let of = |a: &str, b: &str| {
            Positions::from([("a", a), ("b", b)].map(|(topic, id)| (topic.into(), id.into())))
        };
        let (gap_of_a, gap_of_b) = (told(&[("gap", "a")]), told(&[("gap", "b")]));
        for (positions, gaps, left) in [
            (first.clone(), vec![&gap_of_a], vec!["2", "3", "4"]),
            (of("another-9", "another-9"), vec![&gap_of_a, &gap_of_b], vec!["2", "3", "4"]),
            (of("nonsense", ""), vec![&gap_of_a, &gap_of_b], vec![]),
            // An id means something in its own topic alone.
            (of(&last["b"], &last["b"]), vec![&gap_of_a], vec!["3", "4"]),
            (last.clone(), vec![], vec![]),
        ] {
            let mut page = Page::come_back(&live, kind, &positions);
            gaps.iter().for_each(|gap| page.expect(gap));
            page.texts(&left);
            assert_eq!(page.positions(&["a", "b"]), last);
            page.expect_nothing();
        }
    }
}

/// Which of two the client never was in, or has forgotten, the server can't know.
#[test]
fn a_client_that_comes_back_without_one_of_its_positions_is_told_a_gap() {
    for kind in KINDS {
        let (live, _events) = both(10);
        let mut page = Page::open(&live, kind);
        let mut positions = page.positions(&["a", "b"]);
        publish(&live, &[("a", "1"), ("b", "2"), ("a", "3")]);
        page.texts(&["1", "2", "3"]);
        positions.remove("b");
        let mut page = Page::come_back(&live, kind, &positions);
        page.expect(&told(&[("gap", "b")]));
        page.texts(&["1", "2", "3"]);
        page.positions(&["a", "b"]);
        page.expect_nothing();
        // One that gives none that is of a topic has been here too.
        let mut page = Page::ask(&live, kind, "&last-event-id=-");
        page.expect(&told(&[("gap", "a")]));
        page.expect(&told(&[("gap", "b")]));
        page.texts(&["1", "2", "3"]);
        page.positions(&["a", "b"]);
        // And one that is new begins now; of several positions in one topic the first counts.
        Page::ask(&live, kind, "&last-event-id=").positions(&["a", "b"]);
        let [start, head] = [0, 2].map(|seq| format!("&last-event-id={}+a", id_of(&positions["a"], seq)));
        let mut page = Page::ask(&live, kind, &format!("{head}{start}"));
        page.expect(&told(&[("gap", "b")]));
        page.texts(&["2"]);
    }
}

#[test]
fn topics_that_get_a_history_tell_their_members_where_they_are() {
    for kind in KINDS {
        let builder = Server::builder().on_open(|server, request| {
            server.join(request.fd, "late & new").expect("open");
        });
        let live = pages(builder);
        let mut page = Page::open(&live, kind);
        live.ask(|server| server.keep_history("late & new", History::default()).expect("a short name"));
        let positions = page.positions(&["late & new"]);
        // Before it has seen a message.
        publish(&live, &[("late & new", "1")]);
        let mut page = Page::come_back(&live, kind, &positions);
        page.texts(&["1"]);
        let head = page.positions(&["late & new"]);
        assert_eq!(head["late & new"], id_of(&positions["late & new"], 1));
        // A history that was forgotten, and the one after it, are two.
        live.ask(|server| {
            server.keep_history("late & new", None).expect("a short name");
            server.keep_history("late & new", History::default()).expect("a short name");
        });
        assert_ne!(page.positions(&["late & new"])["late & new"], positions["late & new"]);
        publish(&live, &[("late & new", "2")]);
        let mut page = Page::come_back(&live, kind, &head);
        page.expect(&told(&[("gap", "late & new")]));
        page.texts(&["2"]);
    }
}

/// What it had missed of the first one is lost then, though its numbers were higher.
#[test]
fn a_history_that_begins_anew_while_on_open_runs_is_a_gap() {
    for kind in KINDS {
        let (builder, _events) = histories(10);
        let live = pages(builder.on_open(|server, request| {
            server.join(request.fd, "a").expect("open");
            if request.query_param("again").is_some() {
                server.publish("a", "of the first").send();
                server.keep_history("a", None).expect("a short name");
                server.keep_history("a", History::default()).expect("a short name");
                server.publish("a", "of the second").send();
            }
        }));
        publish(&live, &[("a", "1"), ("a", "2"), ("a", "3")]);
        let mut page = Page::ask(&live, kind, "&again=1");
        page.expect(&told(&[("gap", "a")]));
        page.texts(&["of the second"]);
        let positions = page.positions(&["a"]);
        assert!(positions["a"].ends_with("-1"), "{positions:?}");
        page.expect_nothing();
    }
}

#[test]
fn what_is_published_while_on_open_runs_arrives_once_and_in_order() {
    for kind in KINDS {
        let (builder, _events) = histories(10);
        let live = pages(builder.on_open(|server, request| {
            let fd = request.fd;
            server.publish("a", "before").send();
            server.join(fd, "b").expect("open");
            let one = Reach { queued: 1, ..Reach::default() };
            assert_eq!(server.publish("b", "one has come").send(), one);
            server.join(fd, "a").expect("open");
            assert_eq!(server.publish("a", "to others").except(fd).send(), Reach::default());
            assert_eq!(server.publish("a", "to all").send(), one);
            server.publish("plain", "to nobody").send();
            server.push(fd, "welcome").expect("open");
            server.join(fd, "left").expect("open");
            server.leave(fd, "left");
            server.leave(fd, "b");
            server.join(fd, "b").expect("open");
        }));
        let mut page = Page::open(&live, kind);
        // What was published to `b` before it left that again is not its any more.
        page.texts(&["welcome", "to all"]);
        let head = page.positions(&["a", "b"]);
        assert!(head["a"].ends_with("-3") && head["b"].ends_with("-1"), "{head:?}");
        page.expect_nothing();
        live.ask(|server| server.connections().for_each(|fd| assert!(server.is_member(fd, "b"))));
        live.ask(|server| {
            let all: Vec<Fd> = server.connections().collect();
            all.into_iter().for_each(|fd| assert!(server.reset(fd)));
        });
        let mut page = Page::come_back(&live, kind, &head);
        page.texts(&["welcome", "before", "one has come", "to all"]);
    }
}

#[test]
fn one_that_does_not_fit_is_a_gap_where_the_session_lives_on() {
    for kind in KINDS {
        let (builder, events) = histories(10);
        let live = pages_with(builder, |config| {
            config.slow_consumer = SlowConsumer::DropNewest;
            config.outbox_bytes_max = 64 << 10;
            config.message_bytes_max = 32 << 10;
            config.body_bytes_max = 32 << 10;
        });
        let mut page = Page::open(&live, kind);
        let start = page.subscribe("a");
        drop(page);
        live.ask(|server| {
            server.publish("a", "1").send();
            server.publish("a", "x".repeat(100_000)).send();
            server.publish("a", "3").send();
        });
        let mut page = Page::open(&live, kind);
        page.command(&format!("swio=subscribe&topic=a&last-event-id={start}"), "");
        page.texts(&["1"]);
        page.expect(&told(&[("gap", "a")]));
        assert_eq!(page.next().labels["subscribed"], "a");
        page.expect_nothing();
        drop(events);
    }
}

/// Under either policy, and however little fits: plain event streams too, whose gap is an event like any other.
#[test]
fn nothing_of_what_was_missed_makes_room_for_the_rest_without_a_gap() {
    for policy in [SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
        let (builder, events) = histories(1_000);
        let builder = builder.on_open(|server, request| {
            server.join(request.fd, "a").expect("open");
        });
        let live = pages_with(builder, move |config| {
            config.slow_consumer = policy;
            config.outbox_bytes_max = 64 << 10;
            config.message_bytes_max = 32 << 10;
            config.body_bytes_max = 32 << 10;
            config.socket_send_buffer_bytes = Some(4_096);
        });
        let mut page = Page::open(&live, Kind::Poll);
        let positions = page.positions(&["a"]);
        let start = &positions["a"];
        drop(page);
        live.ask(|server| {
            (0..600).for_each(|_| {
                server.publish("a", "x".repeat(1_000)).send();
            });
        });
        let mut client = Client::connect_narrow(live.address);
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\nLast-Event-ID: {start}\r\n\r\n"
        ));
        live.until("the stream is there", |server| (server.stats().event_streams == 1).then_some(()));
        client.answer_head();
        let mut seen = Vec::new();
        while seen.last().is_none_or(|(_, data): &(u64, String)| data != "position") {
            let event = client.take_until(b"\n\n").expect("an event");
            seen.extend(match event.split_once('\n') {
                Some(("event: gap", data)) => Some((0, data.to_owned())),
                Some((id, _)) => Some((number(id), "message".to_owned())),
                None => event.strip_prefix("id: ").map(|id| (number(id), "position".to_owned())),
            });
        }
        let count = seen.len() as u64 - 2;
        let expected = (1..=count).map(|seq| (seq, "message".to_owned()));
        let expected = expected.chain([(0, "data: a".to_owned()), (600, "position".to_owned())]);
        assert_eq!(seen, expected.collect::<Vec<_>>(), "{policy:?}");
        assert!((1..600).contains(&count), "{count}");
        for kind in KINDS {
            let mut page = Page::come_back(&live, kind, &positions);
            let told = std::iter::from_fn(|| Some(page.next()))
                .take_while(|told| !told.labels.contains_key("position"));
            let told: Vec<Told> = told.collect();
            let ids = told.iter().filter_map(|told| told.labels.get("id")).map(|id| number(id));
            let ids: Vec<u64> = ids.collect();
            assert!(ids.iter().copied().eq(1..=ids.len() as u64), "{kind:?}, {policy:?}: {ids:?}");
            let is_told = told.last().is_some_and(|told| told.labels.contains_key("gap"));
            assert!(is_told || ids.len() == 600, "{kind:?}, {policy:?}: {}", ids.len());
        }
        drop(events);
    }
}

fn number(id: &str) -> u64 {
    id.rsplit_once('-').expect("an id of the server's").1.parse().expect("a number")
}

/// A client's position is the id of the last message that it saw: one that overtook another would make it skip that.
#[test]
fn the_latest_of_a_key_does_not_overtake_what_is_kept() {
    let (builder, events) = histories(10);
    let live = pages(builder);
    let mut page = Page::open(&live, Kind::Poll);
    page.subscribe("a");
    live.ask(|server| {
        for (text, key) in [("1", 7), ("2", 8), ("3", 7)] {
            assert_eq!(server.publish("a", Message::from(text).latest(key)).send().queued, 1);
        }
    });
    page.texts(&["1", "2", "3"]);
    drop(events);
}
