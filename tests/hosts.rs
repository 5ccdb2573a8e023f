//! Which hosts a server answers for, and which pages it lets in: targets with hosts of their own, what proxies were
//! asked for, and names that a name server made up.

mod common;

use common::*;
use swio::{Builder, Config, ForwardedHeader, Hosts, Origins, Response, Server};

fn telling() -> Builder {
    echo().on_request(|_, request| {
        let host = request.host().unwrap_or("none");
        Response::text(200, format!("{host} {} {:?}", request.path(), request.query()))
    })
}

/// As it is by default, and changed.
fn strict(change: fn(&mut Config)) -> Live {
    Live::start_strict(telling().configure(change))
}

/// The status of a `GET` with these lines, and of a handshake with them.
fn statuses(live: &Live, lines: &str) -> (u16, u16) {
    let status = |request: String| {
        let mut client = live.client();
        client.send(request.replacen("Host: localhost\r\n", lines, 1));
        client.answer_head().status
    };
    (status("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".into()), status(UPGRADE.into()))
}

const SERVED: (u16, u16) = (200, 101);
const MISDIRECTED: (u16, u16) = (421, 421);

#[test]
fn on_a_loopback_address_foreign_names_are_refused() {
    let live = strict(|_| {});
    let port = live.address.port();
    for host in
        ["localhost", "LOCALHOST", "localhost.", "chat.localhost", "127.0.0.1", "127.1.2.3", "[::1]", ""]
    {
        assert_eq!(statuses(&live, &format!("Host: {host}\r\n")), SERVED, "{host}");
        assert_eq!(statuses(&live, &format!("Host: {host}:{port}\r\n")), SERVED, "{host}");
    }
    // The page is of the same origin, says the browser.
    let rebound = format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n");
    for lines in [
        &*rebound,
        "Host: evil.example\r\n",
        "Host: localhost.evil.example\r\n",
        "Host: 127.0.0.1.evil.example\r\n",
        "Host: 192.0.2.7\r\n",
        // What a page can add to its requests.
        &format!("{rebound}X-Forwarded-For: 192.0.2.1\r\n"),
        &format!("{rebound}X-Forwarded-Host: localhost\r\n"),
        &format!("{rebound}X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: localhost\r\n"),
    ] {
        assert_eq!(statuses(&live, lines), MISDIRECTED, "{lines}");
    }
    // The target's own host counts, whatever `Host` says.
    let mut client = live.client();
    client.send("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.answer().status, 421);
    client.expect_fin();
    let mut client = live.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(live.ask(|server| server.stats().refusals.host), 17);
    still_serving_localhost(&live);
}

fn still_serving_localhost(live: &Live) {
    assert_eq!(statuses(live, "Host: localhost\r\n"), SERVED);
}

#[test]
fn a_proxy_on_this_machine_passes_on_any_name() {
    let live = strict(|_| {});
    for lines in [
        "Host: chat.example\r\nX-Forwarded-For: 192.0.2.1\r\nOrigin: https://chat.example\r\n",
        "Host: chat.example:8443\r\nX-Forwarded-For: 192.0.2.1\r\nOrigin: https://chat.example:8443\r\n",
        "Host: backend\r\nX-Forwarded-Host: chat.example\r\nOrigin: https://chat.example\r\n",
        "Host: localhost\r\nX-Forwarded-Host: chat.example\r\nOrigin: https://chat.example\r\n",
    ] {
        assert_eq!(statuses(&live, lines), SERVED, "{lines}");
    }
    // Whoever is not trusted passes on nothing.
    let live = strict(|config| config.trusted_proxies.clear());
    let lines = "Host: chat.example\r\nX-Forwarded-For: 192.0.2.1\r\n";
    assert_eq!(statuses(&live, lines), MISDIRECTED);
}

#[test]
fn a_list_of_hosts_takes_the_place_of_the_default() {
    let live = strict(|config| config.hosts = Hosts::List(vec!["chat.example".into(), "*.a.example".into()]));
    let port = live.address.port();
    for lines in [
        "Host: chat.example\r\n",
        &format!("Host: CHAT.example:{port}\r\n"),
        "Host: x.y.a.example:80\r\n",
        "Host: backend\r\nX-Forwarded-Host: chat.example\r\n",
        "Host: localhost\r\nX-Forwarded-Host: chat.example\r\n",
    ] {
        assert_eq!(statuses(&live, lines), SERVED, "{lines}");
    }
    for lines in [
        "Host: localhost\r\n",
        "Host: a.example\r\n",
        "Host: backend\r\n",
        "Host: chat.example\r\nX-Forwarded-Host: evil.example\r\n",
        &format!("Host: evil.example:{port}\r\nX-Forwarded-Host: chat.example\r\n"),
    ] {
        assert_eq!(statuses(&live, lines), MISDIRECTED, "{lines}");
    }
    let any = strict(|config| config.hosts = Hosts::Any);
    assert_eq!(statuses(&any, "Host: evil.example\r\n"), SERVED);
}

#[test]
fn a_list_of_hosts_can_be_changed_while_the_server_runs() {
    let live = strict(|_| {});
    assert_eq!(statuses(&live, "Host: chat.example\r\n"), MISDIRECTED);
    live.ask(|server| {
        let hosts = Hosts::List(vec!["chat.example".into()]);
        server.reload(|config| config.hosts = hosts).expect("valid");
    });
    assert_eq!(statuses(&live, "Host: chat.example\r\n"), SERVED);
}

#[test]
fn an_address_of_this_machine_is_not_all_addresses() {
    let running = telling().listen("0.0.0.0:0").start().expect("a free port");
    let port = running.addresses()[0].port();
    let mut client = Client::connect(([127, 0, 0, 1], port).into());
    client.send(format!("GET / HTTP/1.1\r\nHost: chat.example:{port}\r\n\r\n"));
    assert_eq!(client.answer().text(), format!("chat.example:{port} / None"));
    running.handle().shutdown().expect("it runs");
    running.join().expect("a good end");
}

#[test]
fn the_proxys_word_about_the_host_counts_for_the_same_origin() {
    let origin = "Origin: https://chat.example\r\n";
    let live = Live::start(telling());
    for (lines, status) in [
        ("Host: backend\r\n", 403),
        ("Host: backend\r\nX-Forwarded-Host: chat.example\r\n", 101),
        ("Host: backend\r\nX-Forwarded-Host: chat.example:443\r\n", 101),
        ("Host: backend\r\nX-Forwarded-Host: forged.example, chat.example\r\n", 101),
        ("Host: backend\r\nX-Forwarded-Host: chat.example, other.example\r\n", 403),
        ("Host: chat.example\r\nX-Forwarded-Host: other.example\r\n", 403),
        ("Host: backend\r\nForwarded: for=192.0.2.1;host=chat.example\r\n", 403),
    ] {
        assert_eq!(statuses(&live, &format!("{lines}{origin}")).1, status, "{lines}");
    }
    let live =
        Live::start(telling().configure(|config| config.forwarded_header = ForwardedHeader::Forwarded));
    let lines = "Host: backend\r\nX-Forwarded-Host: other.example\r\n";
    let forwarded =
        "Forwarded: for=6.6.6.6;host=x, for=192.0.2.1;host=chat.example, for=127.0.0.1;host=y\r\n";
    assert_eq!(statuses(&live, &format!("{lines}{forwarded}{origin}")).1, 101);
    let live = Live::start(telling().configure(|config| config.trusted_proxies.clear()));
    let lines = "Host: backend\r\nX-Forwarded-Host: chat.example\r\n";
    assert_eq!(statuses(&live, &format!("{lines}{origin}")).1, 403);
}

#[test]
fn a_targets_own_host_counts_and_a_host_is_a_host() {
    let live = Live::start(telling());
    let mut client = live.client();
    for (target, expected) in [
        ("/x?y", "localhost /x Some(\"y\")"),
        ("http://a.example:81/x?y", "a.example:81 /x Some(\"y\")"),
        ("http://a.example?y", "a.example / Some(\"y\")"),
        ("HTTP://a.example", "a.example / None"),
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(client.answer().text(), expected, "{target}");
    }
    let upgrade = UPGRADE.replacen("GET /", "GET http://a.example/", 1);
    for (origin, status) in [("http://a.example", 101), ("http://localhost", 403)] {
        let mut client = live.client();
        client.send(upgrade.replacen("\r\n\r\n", &format!("\r\nOrigin: {origin}\r\n\r\n"), 1));
        assert_eq!(client.answer_head().status, status, "{origin}");
    }
    let both = |target: &str, host: &str| {
        let lines = format!("Host: {host}\r\n");
        let changed = |request: &str| {
            let mut client = live.client();
            client.send(request.replacen("GET /", &format!("GET {target}"), 1).replacen(
                "Host: localhost\r\n",
                &lines,
                1,
            ));
            client.answer_head().status
        };
        (changed("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), changed(UPGRADE))
    };
    for host in ["a b", "a/b", "user@a", "http://a", "[::1", "a:x", "a:99999", "\u{fc}", "a\\b"] {
        assert_eq!(both("/", host), (400, 400), "{host}");
    }
    for target in
        ["*", "x", "?x", "http://", "http:///x", "http://user@a/", "ftp://a/", "/#top", "http://:80/"]
    {
        assert_eq!(both(target, "localhost"), (400, 400), "{target}");
    }
    let mut client = live.client();
    client.send("CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n");
    assert_eq!(client.answer().status, 501);
    let mut client = live.client();
    client.send("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.answer().text(), "localhost * None");
}

#[test]
fn origins_of_a_list_may_have_wildcards_and_default_ports() {
    let list = ["https://a.example:443", "https://*.b.example", "http://[0:0::1]:8080"];
    let live = Live::start(echo().configure(move |config| {
        config.origins = Origins::List(list.map(str::to_owned).into());
    }));
    for (origin, status) in [
        ("https://a.example", 101),
        ("https://x.b.example", 101),
        ("https://x.y.b.example", 101),
        ("http://[::1]:8080", 101),
        ("http://a.example", 403),
        ("https://b.example", 403),
        ("https://xb.example", 403),
        ("https://x.b.example.evil", 403),
        ("http://x.b.example", 403),
        ("null", 403),
    ] {
        let mut client = live.client();
        client.send(upgrade_with(&format!("Origin: {origin}\r\n")));
        assert_eq!(client.answer_head().status, status, "{origin}");
    }
    for (entry, what) in [
        ("https://*", "*.example.com"),
        ("https://a.example/", "no path"),
        ("wss://a.example", "http:// or https://"),
        ("*", "any page"),
    ] {
        let entries = vec![entry.to_owned()];
        let builder = Server::builder().configure(|config| config.origins = Origins::List(entries));
        let error = builder.listen("127.0.0.1:0").start().expect_err("no origin").to_string();
        assert!(error.starts_with("origins has ") && error.contains(what), "{error}");
    }
}
