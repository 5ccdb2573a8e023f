//! Who may subscribe, what the client gets then, and where it resumes.

use super::*;

#[test]
fn pages_subscribe_to_what_the_handler_lets_them() {
    for kind in KINDS {
        let (builder, _events) = histories(10);
        let live = pages_with(builder, |config| config.topics_per_connection_max = 3);
        let mut page = Page::open(&live, kind);
        assert_eq!(page.subscribe("plain"), "");
        let id = page.subscribe("a");
        assert!(id.ends_with("-0"), "{id}");
        publish(&live, &[("plain", "1"), ("a", "2"), ("b", "3")]);
        page.expect(&message("1", &[("topic", "plain")]));
        let second = page.next();
        assert_eq!(second, message("2", &[("topic", "a"), ("id", &second.labels["id"])]));
        // Once more is no harm, and tells how far it is.
        let again = page.subscribe("a");
        assert!(again.ends_with("-1"), "{again}");
        for (topic, reason) in [
            ("secret", "not allowed"),
            (
                &*"x".repeat(300),
                "the name is empty or longer than topic_bytes_max (of a user id: uid_bytes_max)",
            ),
            (
                &*"x".repeat(1024),
                "the name is empty or longer than topic_bytes_max (of a user id: uid_bytes_max)",
            ),
        ] {
            page.command(&format!("swio=subscribe&topic={topic}"), "");
            page.expect(&told(&[("denied", topic), ("reason", reason)]));
        }
        page.subscribe("third");
        page.command("swio=subscribe&topic=fourth", "");
        let reason = "the connection is in too many topics (topics_per_connection_max)";
        page.expect(&told(&[("denied", "fourth"), ("reason", reason)]));
        // Left, whether it was in it or not.
        for topic in ["a", "a", "never"] {
            page.command(&format!("swio=unsubscribe&topic={topic}"), "");
            page.expect(&told(&[("unsubscribed", topic)]));
        }
        publish(&live, &[("a", "4"), ("plain", "5")]);
        page.expect(&message("5", &[("topic", "plain")]));
        page.expect_nothing();
    }
}

#[test]
fn nobody_subscribes_where_the_handler_does_not_say_so() {
    for kind in KINDS {
        let live = pages(Server::builder());
        let mut page = Page::open(&live, kind);
        page.command("swio=subscribe&topic=news", "");
        page.expect(&told(&[("denied", "news"), ("reason", "not allowed")]));
        assert_eq!(live.ask(|server| server.usage().topics), 0);
    }
}

#[test]
fn a_subscription_goes_on_where_it_was() {
    for kind in KINDS {
        let (builder, _events) = histories(3);
        let live = pages(builder);
        let mut page = Page::open(&live, kind);
        let start = page.subscribe("a");
        publish(&live, &[("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")]);
        let seen: Vec<String> =
            page.texts(&["1", "3", "4"]).into_iter().map(|told| told.labels["id"].clone()).collect();
        drop(page);
        let back = |last_id: &str| {
            let mut page = Page::open(&live, kind);
            page.command(&format!("swio=subscribe&topic=a&last-event-id={last_id}"), "");
            page
        };
        for (missed, last_id) in [&start, &seen[0], &seen[1], &seen[2]].into_iter().enumerate() {
            let mut page = back(last_id);
            page.texts(&["1", "3", "4"][missed..]);
            page.expect(&told(&[("subscribed", "a"), ("id", &seen[2])]));
            page.expect_nothing();
        }
        publish(&live, &[("a", "5"), ("a", "6")]);
        let last = id_of(&seen[2], 5);
        for (last_id, left) in [
            (&*seen[0], vec!["4", "5", "6"]),
            ("another-3", vec!["4", "5", "6"]),
            ("nonsense", vec![]),
            (&format!("{last}9"), vec![]),
        ] {
            let mut page = back(last_id);
            page.expect(&told(&[("gap", "a")]));
            page.texts(&left);
            page.expect(&told(&[("subscribed", "a"), ("id", &last)]));
            page.expect_nothing();
        }
        // An id for what has no history (any more).
        let mut page = Page::open(&live, kind);
        page.command(&format!("swio=subscribe&topic=plain&last-event-id={last}"), "");
        page.expect(&told(&[("gap", "plain")]));
        page.expect(&told(&[("subscribed", "plain")]));
    }
}

#[test]
fn a_subscription_begins_where_the_handler_ends() {
    for kind in KINDS {
        let (builder, events) = histories(10);
        let live = pages(builder.on_subscribe(|server, request| {
            let (fd, topic) = (request.fd, request.topic);
            // Before it is in, and so not for who begins here; then the app puts it into another topic too.
            server.publish(topic, "before").send();
            if topic == "a" {
                server.join(fd, "b").expect("open");
                let one = Reach { queued: 1, ..Reach::default() };
                assert_eq!(server.publish("b", "beside").send(), one);
                assert_eq!(server.publish("b", "not for it").except(fd).send(), Reach::default());
            }
            topic != "secret"
        }));
        let mut page = Page::open(&live, kind);
        page.command("swio=subscribe&topic=a", "");
        let beside = page.next();
        assert_eq!(beside, message("beside", &[("topic", "b"), ("id", &beside.labels["id"])]));
        assert_eq!(page.positions(&["b"])["b"], id_of(&beside.labels["id"], 2));
        let subscribed = page.next();
        let head = subscribed.labels["id"].clone();
        assert_eq!(subscribed, told(&[("subscribed", "a"), ("id", &head)]));
        assert!(head.ends_with("-1"), "{head}");
        // Who comes back gets what was published before it was in again.
        let fd = events.open();
        live.ask(move |server| server.leave(fd, "a"));
        page.command(&format!("swio=subscribe&topic=a&last-event-id={head}"), "");
        // It is in `b`, where nothing waits.
        let all = page.texts(&["beside", "before"]);
        let topics: Vec<&str> = all.iter().map(|told| &*told.labels["topic"]).collect();
        assert_eq!(topics, ["b", "a"]);
        assert_eq!(page.next().labels["subscribed"], "a");
        page.expect_nothing();
    }
}

#[test]
fn a_panic_in_on_subscribe_ends_the_session_that_asked() {
    for kind in KINDS {
        let (builder, events) = recorded();
        let live = pages(builder.on_subscribe(|_, _| -> bool { panic!("on purpose") }));
        let mut page = Page::open(&live, kind);
        page.command("swio=subscribe&topic=news", "");
        let (fd, text) = events.error();
        assert_eq!(text, "on_subscribe panicked: on purpose");
        if kind == Kind::Poll {
            page.park();
            assert_eq!(page.answer()["closed"]["code"], 1011);
        }
        drop(page);
        let (closed, reason) = events.close();
        assert_eq!((Some(closed), reason.code, reason.cause), (fd, 1011, Cause::Panic));
        assert_eq!(live.ask(|server| server.usage().topics), 0);
    }
}
