//! Subscriptions with more than the topic's name, and those that are answered later.

use super::*;
use std::sync::mpsc;
use swio::{Fd, Subscription};

/// Tells of each question about a topic whose name begins with `later`, and leaves it open; others are let in.
fn asking() -> (Builder, mpsc::Receiver<(Fd, String, String)>) {
    let (sender, asked) = mpsc::channel();
    let (builder, _events) = histories(10);
    let builder = builder.on_subscribe(move |_, request| {
        if !request.topic.starts_with("later") && request.topic != "a" {
            return Subscription::allow();
        }
        tell(&sender, (request.fd, request.topic.to_owned(), request.data.to_owned()));
        Subscription::later()
    });
    (builder, asked)
}

fn next(asked: &mpsc::Receiver<(Fd, String, String)>) -> Fd {
    asked.recv_timeout(DEADLINE).expect("a question").0
}

fn answer(
    live: &Live,
    fd: Fd,
    topic: &'static str,
    answer: impl Into<Subscription> + Send + 'static,
) -> bool {
    live.ask(move |server| server.answer_subscribe(fd, topic, answer))
}

/// Nothing is kept of questions.
fn nothing_waits(live: &Live) {
    let usage = live.ask(|server| server.usage());
    assert_eq!((usage.timers, usage.inbound_bytes), (0, 0));
}

#[test]
fn data_goes_along_both_ways() {
    for kind in KINDS {
        let (builder, _events) = histories(10);
        let live = pages(builder.on_subscribe(|_, request| match request.data {
            "" => Subscription::deny("").data("nothing of it"),
            "who am I?" => Subscription::deny("a stranger"),
            data => Subscription::allow().data(format!("{} & {data}\n", request.topic)),
        }));
        let mut page = Page::open(&live, kind);
        page.command("swio=subscribe&topic=plain", "");
        page.expect(&told(&[("denied", "plain"), ("reason", "not allowed")]));
        page.command("swio=subscribe&topic=plain&data=who+am+I%3F", "");
        page.expect(&told(&[("denied", "plain"), ("reason", "a stranger")]));
        page.command("swio=subscribe&topic=plain&data=%7B%22token%22:%22%C3%BC%22%7D", "");
        let data = "plain & {\"token\":\"\u{fc}\"}\n";
        page.expect(&told(&[("subscribed", "plain"), ("data", data)]));
        // It is in already, and nobody is asked.
        page.command("swio=subscribe&topic=plain&data=again", "");
        page.expect(&told(&[("subscribed", "plain")]));
        let long = "x".repeat(4096);
        page.command(&format!("swio=subscribe&topic=a&data={long}"), "");
        let mut answer = page.next();
        assert!(answer.labels.remove("id").expect("it has a history").ends_with("-0"));
        assert_eq!(answer, told(&[("subscribed", "a"), ("data", &format!("a & {long}\n"))]));
        if kind != Kind::Socket {
            let (status, what) = page.post(&format!("swio=subscribe&topic=b&data={long}x"), "");
            assert_eq!((status, &*what), (400, "data of a subscription that is too long"));
        }
    }
}

#[test]
fn an_answer_that_comes_later_does_what_one_at_once_would() {
    for kind in KINDS {
        let (builder, asked) = asking();
        let live = pages(builder);
        publish(&live, &[("a", "1"), ("a", "2")]);
        let mut page = Page::open(&live, kind);
        // To know an id of it.
        page.command("swio=subscribe&topic=a", "");
        assert!(answer(&live, next(&asked), "a", true));
        let head = page.next().labels.remove("id").expect("it has a history");
        page.command("swio=unsubscribe&topic=a", "");
        page.expect(&told(&[("unsubscribed", "a")]));
        publish(&live, &[("a", "3")]);
        page.command(&format!("swio=subscribe&topic=a&last-event-id={head}&data=token"), "");
        let (fd, topic, data) = asked.recv_timeout(DEADLINE).expect("a question");
        assert_eq!((&*topic, &*data), ("a", "token"));
        publish(&live, &[("a", "4")]);
        // All else goes on meanwhile.
        assert_eq!(page.subscribe("plain"), "");
        page.expect_nothing();
        live.handle.answer_subscribe(fd, "a", Subscription::allow().data("welcome")).expect("taken");
        let missed = page.texts(&["3", "4"]);
        let newest = &missed[1].labels["id"];
        page.expect(&told(&[("subscribed", "a"), ("id", newest), ("data", "welcome")]));
        publish(&live, &[("a", "5")]);
        page.texts(&["5"]);
        // A place that nobody knows.
        page.command("swio=unsubscribe&topic=a", "");
        page.expect(&told(&[("unsubscribed", "a")]));
        for last_id in ["nonsense".to_owned(), "x".repeat(300)] {
            page.command(&format!("swio=subscribe&topic=later&last-event-id={last_id}"), "");
            assert!(answer(&live, next(&asked), "later", Subscription::allow()));
            page.expect(&told(&[("gap", "later")]));
            page.expect(&told(&[("subscribed", "later")]));
            page.command("swio=unsubscribe&topic=later", "");
            page.expect(&told(&[("unsubscribed", "later")]));
        }
        page.command("swio=subscribe&topic=later", "");
        assert!(answer(&live, next(&asked), "later", Subscription::deny("members only")));
        page.expect(&told(&[("denied", "later"), ("reason", "members only")]));
        assert!(!answer(&live, fd, "later", true), "it was answered");
        page.expect_nothing();
        nothing_waits(&live);
    }
}

#[test]
fn a_question_is_asked_once_and_its_client_may_think_better_of_it() {
    for kind in KINDS {
        let (builder, asked) = asking();
        let live = pages(builder);
        let mut page = Page::open(&live, kind);
        page.command("swio=subscribe&topic=later", "");
        let fd = next(&asked);
        page.command("swio=subscribe&topic=later", "");
        page.expect_nothing();
        assert!(asked.try_recv().is_err(), "asked already");
        assert!(!answer(&live, fd, "later", Subscription::later()), "no answer");
        assert!(!answer(&live, fd, "another", true), "nobody asked");
        assert!(answer(&live, fd, "later", false));
        page.expect(&told(&[("denied", "later"), ("reason", "not allowed")]));
        page.command("swio=subscribe&topic=later", "");
        next(&asked);
        page.command("swio=unsubscribe&topic=later", "");
        page.expect(&told(&[("unsubscribed", "later")]));
        assert!(!answer(&live, fd, "later", true), "it was taken back");
        nothing_waits(&live);
        // The application may put it there while it waits.
        page.command("swio=subscribe&topic=later", "");
        next(&asked);
        live.ask(move |server| server.join(fd, "later")).expect("open");
        assert!(answer(&live, fd, "later", true));
        page.expect(&told(&[("subscribed", "later")]));
        page.expect_nothing();
        // It goes with the connection.
        page.command("swio=subscribe&topic=later2", "");
        next(&asked);
        live.ask(move |server| {
            assert_eq!(server.usage().timers, 1);
            assert!(server.reset(fd));
        });
        drop(page);
        live.until("it is gone", move |server| (!server.exists(fd)).then_some(()));
        assert!(!answer(&live, fd, "later2", true));
        nothing_waits(&live);
    }
}

#[test]
fn questions_wait_so_long_and_so_many_at_a_time() {
    for kind in KINDS {
        let (builder, asked) = asking();
        let live = pages_with(builder, |config| config.messages_per_second_max = None);
        let mut page = Page::open(&live, kind);
        for number in 0..64 {
            page.command(&format!("swio=subscribe&topic=later{number}"), "");
            next(&asked);
        }
        page.command("swio=subscribe&topic=later64", "");
        let fd = next(&asked);
        page.expect(&told(&[("denied", "later64"), ("reason", "too many subscriptions wait for an answer")]));
        assert!(!answer(&live, fd, "later64", true));
        assert_eq!(live.ask(|server| server.usage().timers), 64);
        assert!(answer(&live, fd, "later7", true));
        page.expect(&told(&[("subscribed", "later7")]));
        page.command("swio=subscribe&topic=later64", "");
        next(&asked);
        assert!(answer(&live, fd, "later64", true));
        page.expect(&told(&[("subscribed", "later64")]));

        let (builder, asked) = asking();
        let live = pages_with(builder, |config| config.request_timeout = Duration::from_millis(100));
        let mut page = Page::open(&live, kind);
        page.command("swio=subscribe&topic=later", "");
        let fd = next(&asked);
        page.expect(&told(&[("denied", "later"), ("reason", "the answer took too long")]));
        assert!(!answer(&live, fd, "later", true));
        nothing_waits(&live);
    }
}

/// The answer for one client may be given while another is being brought up to date, and does not disturb that.
#[test]
fn an_answer_may_be_given_in_the_callback_of_another_client() {
    for kind in KINDS {
        let (sender, asked) = mpsc::channel();
        let (builder, _events) = histories(10);
        let mut first = None;
        let live = pages(builder.on_subscribe(move |server, request| {
            let Some(first) = first else {
                first = Some(request.fd);
                tell(&sender, ());
                return Subscription::later();
            };
            server.join(request.fd, "b").expect("open");
            server.publish("b", "beside").send();
            assert!(server.answer_subscribe(first, "a", true));
            server.publish("a", "to the first").send();
            Subscription::allow()
        }));
        publish(&live, &[("a", "1")]);
        let (mut one, mut other) = (Page::open(&live, kind), Page::open(&live, kind));
        one.command("swio=subscribe&topic=a", "");
        asked.recv_timeout(DEADLINE).expect("asked");
        other.command("swio=subscribe&topic=a", "");
        other.texts(&["beside"]);
        assert!(other.next().labels.contains_key("position"));
        assert_eq!(other.next().labels["subscribed"], "a");
        other.expect_nothing();
        assert_eq!(one.next().labels["subscribed"], "a");
        one.texts(&["to the first"]);
        one.expect_nothing();
    }
}
