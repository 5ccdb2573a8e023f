//! Limits for clients of one address together, whether they connect directly or by a reverse proxy.

mod common;

use common::*;
use std::time::Duration;
use swio::{Builder, ForwardedHeader, Handshake, Network, Refusals, Response, Server, Usage};

/// The proxy is this machine, or nobody is.
fn with_proxies(builder: Builder, proxies: &[&str]) -> Builder {
    let proxies: Vec<Network> = proxies.iter().map(|text| text.parse().expect("a network")).collect();
    builder.configure(|config| config.trusted_proxies = proxies)
}

/// Tells on a page, in the handshake's answer and in a first message whom it takes the client for.
fn telling() -> Builder {
    let told = |server: &Server, fd| server.remote_addr(fd).expect("connected").to_string();
    Server::builder()
        .on_request(move |server, request| Response::text(200, told(server, request.fd)))
        .on_handshake(move |server, request| Handshake::accept().header("X-You", told(server, request.fd)))
        .on_open(move |server, request| {
            let info = server.client_info(request.fd).expect("connected");
            assert_eq!(info.remote_addr, server.remote_addr(request.fd));
            server.push(request.fd, told(server, request.fd)).expect("open");
        })
}

fn page(client: &mut Client, lines: &str) -> String {
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    client.answer().text().to_owned()
}

#[test]
fn a_trusted_proxy_tells_whose_request_it_is_each_time_anew() {
    let live = Live::start(with_proxies(telling(), &["127.0.0.1", "10.0.0.0/8"]));
    let mut client = live.client();
    let own = client.stream.local_addr().expect("connected").to_string();
    assert_eq!(page(&mut client, ""), own);
    assert_eq!(page(&mut client, "X-Forwarded-For: 192.0.2.1\r\n"), "192.0.2.1:0");
    assert_eq!(page(&mut client, "X-Forwarded-For: 6.6.6.6, 192.0.2.2:70, 10.0.0.3\r\n"), "192.0.2.2:70");
    assert_eq!(page(&mut client, "X-Forwarded-For: 6.6.6.6, unknown\r\n"), own);
    assert_eq!(page(&mut client, "Forwarded: for=192.0.2.1\r\n"), own);
    client.send(upgrade_with("X-Forwarded-For: 2001:db8::1\r\n"));
    let answer = client.expect_101();
    assert_eq!(answer.header("X-You"), Some("[2001:db8::1]:0"));
    client.expect_text("[2001:db8::1]:0");
    drop(client);
    live.until("nothing is left", |server| (server.usage() == Usage::default()).then_some(()));
    assert_eq!(live.ask(|server| server.stats().refusals), Refusals::default());
}

#[test]
fn the_header_of_choice_is_the_one_that_counts() {
    let live = Live::start(
        with_proxies(telling(), &["127.0.0.0/8"])
            .configure(|config| config.forwarded_header = ForwardedHeader::Forwarded),
    );
    let lines =
        "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6, for=\"[2001:db8::1]:80\";proto=https\r\n";
    assert_eq!(page(&mut live.client(), lines), "[2001:db8::1]:80");
}

#[test]
fn whoever_is_no_trusted_proxy_is_not_believed() {
    let live = Live::start(
        with_proxies(telling(), &["10.0.0.0/8"])
            .configure(|config| config.connections_per_address_max = Some(2)),
    );
    let mut clients = Vec::new();
    for number in 1..3 {
        let mut client = live.client();
        let own = client.stream.local_addr().expect("connected").to_string();
        client.send(upgrade_with(&format!("X-Forwarded-For: 192.0.2.{number}\r\n")));
        assert_eq!(client.expect_101().header("X-You"), Some(&*own));
        clients.push(client);
    }
    // All are one address, whatever they say.
    assert_eq!(live.client().answer().status, 429);
}

fn open_for(live: &Live, address: &str) -> Result<Client, u16> {
    let mut client = live.client();
    client.send(upgrade_with(&format!("X-Forwarded-For: {address}\r\n")));
    let answer = client.answer_head();
    if answer.status == 101 {
        return Ok(client);
    }
    assert!(
        answer.header("Retry-After").is_some() && answer.header("Connection") == Some("close"),
        "{answer:?}"
    );
    Err(answer.status)
}

#[test]
fn clients_behind_a_proxy_are_counted_each_under_its_own_address() {
    let live = Live::start(echo().configure(|config| {
        config.connections_per_address_max = Some(2);
        config.handshakes_per_address_max = None;
    }));
    // The proxy itself keeps many connections open.
    let idle: Vec<Client> = (0..5).map(|_| live.client()).collect();
    let first = open_for(&live, "192.0.2.1").expect("there is room");
    let _second = open_for(&live, "192.0.2.1, 127.0.0.1").expect("there is room");
    assert_eq!(open_for(&live, "192.0.2.1").err(), Some(429));
    assert_eq!(open_for(&live, "::ffff:192.0.2.1").err(), Some(429));
    let _other = open_for(&live, "192.0.2.2").expect("another address");
    // One /64 is one client.
    let _third = open_for(&live, "2001:db8::1").expect("there is room");
    let _fourth = open_for(&live, "2001:db8::2").expect("there is room");
    assert_eq!(open_for(&live, "2001:db8::3").err(), Some(429));
    let _fifth = open_for(&live, "2001:db8:0:1::1").expect("another network");
    // Who comes straight from a trusted address is not counted at all.
    let _straight: Vec<Client> = (0..5).map(|_| live.open()).collect();
    live.until("the refused are gone", |server| (server.stats().closed == 3).then_some(()));
    assert_eq!(live.ask(|server| (server.usage().addresses, server.stats().refusals.address_full)), (4, 3));
    drop((first, idle));
    live.until("one is gone", |server| (server.usage().websockets == 10).then_some(()));
    let _again = open_for(&live, "192.0.2.1").expect("there is room again");
}

#[test]
fn too_many_handshakes_from_one_address_are_refused_for_a_while() {
    let few = |builder: Builder| builder.configure(|config| config.handshakes_per_address_max = Some(5));
    let live = Live::start(few(echo()));
    let mut opened = 0;
    let refused = (0..1_000).find_map(|_| {
        let answer = open_for(&live, "192.0.2.1").err();
        opened += u32::from(answer.is_none());
        answer
    });
    // Ten seconds' worth, and what the time that they took is worth.
    assert!((50..60).contains(&opened), "{opened}");
    assert_eq!(refused, Some(429));
    open_for(&live, "192.0.2.2").expect("another address");
    live.until("some time has passed", {
        let begun = live.ask(|_| std::time::Instant::now());
        move |_| (begun.elapsed() > Duration::from_millis(500)).then_some(())
    });
    open_for(&live, "192.0.2.1").expect("some time has passed");
    assert_eq!(live.ask(|server| server.stats().refusals.handshake_rate), 1);
    // The same straight, where there is no proxy.
    let live = Live::start(few(with_proxies(echo(), &[])));
    let answers = (0..80).map(|_| {
        let mut client = live.client();
        client.send(UPGRADE);
        client.answer_head().status
    });
    let refused = answers.filter(|status| *status == 429).count();
    assert!((10..=30).contains(&refused), "{refused}");
}

#[test]
fn addresses_without_connections_are_forgotten_in_time() {
    let live = Live::start(echo().configure(|config| config.handshakes_per_address_max = Some(10)));
    for number in 0..200 {
        drop(open_for(&live, &format!("192.0.2.{number}")).expect("each its first"));
    }
    live.until("nothing is left", |server| (server.usage() == Usage::default()).then_some(()));
}

#[test]
fn an_ipv4_client_has_one_address_whichever_family_is_listened_on() {
    let Ok(running) = telling().listen("[::]:0").start() else { return };
    let port = running.addresses()[0].port();
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    let own = client.stream.local_addr().expect("connected").to_string();
    assert_eq!(page(&mut client, ""), own);
    assert_eq!(page(&mut client, "X-Forwarded-For: ::ffff:192.0.2.1\r\n"), "192.0.2.1:0");
    client.send(UPGRADE);
    assert_eq!(client.expect_101().header("X-You"), Some(&*own));
    let (sender, told) = std::sync::mpsc::channel();
    let look = move |server: &mut Server| {
        let fd = server.connections().next().expect("it is open");
        sender.send(server.client_info(fd).expect("it is open").local_addr).ok();
    };
    running.handle().run(look).expect("it runs");
    let expected = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(told.recv_timeout(DEADLINE), Ok(Some(expected)));
    running.handle().shutdown().expect("it runs");
    running.join().expect("a good end");
}
