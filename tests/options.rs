//! Options of routes and listeners: limits, origins, subprotocols, transports, handlers of raw TCP.

mod common;

use common::*;
use std::sync::mpsc;
use swio::{
    Builder, Callbacks, Client as Outgoing, Framing, ListenOptions, Origins, Response, RouteOptions, Server,
};

/// Says what it gets.
fn echo() -> Callbacks {
    Callbacks::new()
        .on_message(|server, frame| {
            server.push(frame.fd, frame.data).expect("the peer reads");
        })
        .on_request(|_, request| Response::text(200, format!("{} bytes", request.body().len())))
}

/// Sends an upgrade for a path with these header lines.
fn ask(address: std::net::SocketAddr, path: &str, lines: &str) -> Client {
    let mut client = Client::connect(address);
    client.send(upgrade_with(lines).replacen("GET / ", &format!("GET {path} "), 1));
    client
}

fn open(address: std::net::SocketAddr, path: &str) -> Client {
    let mut client = ask(address, path, "");
    client.expect_101();
    client
}

fn post(address: std::net::SocketAddr, path: &str, len: usize) -> Answer {
    let mut client = Client::connect(address);
    let body = "x".repeat(len);
    client.send(format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len}\r\n\r\n{body}"));
    client.answer()
}

/// A route with limits, one without, by a listener with limits (the first address) and one without (the second).
fn limited() -> Builder {
    Server::builder()
        .listen(ListenOptions::new("127.0.0.1:0").message_bytes_max(200).body_bytes_max(20))
        .route(RouteOptions::new("/small/{name}").message_bytes_max(10).body_bytes_max(5), echo)
        .route("/other", echo)
        .configure(|config| (config.message_bytes_max, config.body_bytes_max) = (1_000, 100))
}

#[test]
fn what_a_route_says_goes_before_its_listener_and_that_before_the_configuration() {
    let live = Live::start(limited());
    let (with_options, plain) = (live.address, live.tcp[0]);
    for (address, path, message, body) in [
        (plain, "/small/a", 10, 5),
        (plain, "/other", 1_000, 100),
        (with_options, "/small/b", 10, 5),
        (with_options, "/other", 200, 20),
    ] {
        let mut client = open(address, path);
        client.text(&"x".repeat(message));
        client.expect_text(&"x".repeat(message));
        client.text(&"x".repeat(message + 1));
        client.expect_close(1009);
        assert_eq!(post(address, path, body).text(), format!("{body} bytes"), "{path}");
        assert_eq!(post(address, path, body + 1).status, 413, "{path}");
    }
    // A path without a route has its listener's limits.
    assert_eq!((post(with_options, "/none", 21).status, post(plain, "/none", 21).status), (413, 404));
}

#[test]
fn a_reload_leaves_what_routes_and_listeners_say() {
    let live = Live::start(limited());
    let (with_options, plain) = (live.address, live.tcp[0]);
    let mut before = open(plain, "/other");
    let reloaded = live
        .ask(|server| server.reload(|config| (config.message_bytes_max, config.body_bytes_max) = (300, 30)));
    assert_eq!(reloaded, Ok(()));
    before.text(&"x".repeat(301));
    before.expect_close(1009);
    for (address, path, message, body) in
        [(plain, "/small/a", 10, 5), (plain, "/other", 300, 30), (with_options, "/other", 200, 20)]
    {
        let mut client = open(address, path);
        client.text(&"x".repeat(message));
        client.expect_text(&"x".repeat(message));
        client.text(&"x".repeat(message + 1));
        client.expect_close(1009);
        assert_eq!(post(address, path, body).status, 200, "{path}");
        assert_eq!(post(address, path, body + 1).status, 413, "{path}");
    }
    // What fits Config alone, and not a route.
    let live = Live::start(Server::builder().route(RouteOptions::new("/up").body_bytes_max(4 << 20), echo));
    let error = live.ask(|server| server.reload(|config| config.inbound_bytes_max = 3 << 20));
    assert_eq!(
        error.expect_err("less than a body").to_string(),
        "route \"/up\": inbound_bytes_max must be at least 4195328, 1 KiB more than the largest of \
         message_bytes_max, body_bytes_max and head_bytes_max"
    );
    assert_eq!(live.ask(|server| server.config().inbound_bytes_max), 256 << 20);
}

#[test]
fn each_route_has_its_origins_and_subprotocols() {
    let list = Origins::List(vec!["https://a.example".into()]);
    let live = Live::start(
        Server::builder()
            .route(RouteOptions::new("/any").origins(Origins::Any).subprotocols(["v2", "v1"]), echo)
            .route(RouteOptions::new("/listed").origins(list), echo)
            .route("/same", echo)
            .configure(|config| config.subprotocols = vec!["common".into()]),
    );
    let status =
        |path: &str, origin: &str| ask(live.address, path, &format!("Origin: {origin}\r\n")).answer().status;
    assert_eq!(status("/any", "https://b.example"), 101);
    assert_eq!((status("/listed", "https://a.example"), status("/listed", "https://b.example")), (101, 403));
    assert_eq!((status("/same", "http://localhost"), status("/same", "https://a.example")), (101, 403));
    let chosen = |path: &str, offered: &str| {
        let answer = ask(live.address, path, &format!("Sec-WebSocket-Protocol: {offered}\r\n")).answer();
        (answer.status, answer.header("sec-websocket-protocol").map(str::to_owned))
    };
    assert_eq!(chosen("/any", "v1, v2"), (101, Some("v2".into())));
    assert_eq!(chosen("/any", "common"), (400, None));
    assert_eq!(chosen("/same", "v1, common"), (101, Some("common".into())));
}

#[test]
fn each_route_has_its_rates() {
    let live = Live::start(
        Server::builder()
            .listen(ListenOptions::new("127.0.0.1:0").unlimited_rates())
            .route(RouteOptions::new("/slow").messages_per_second_max(5), echo)
            .route(RouteOptions::new("/narrow").bytes_per_second_max(1_000), echo)
            .route("/other", echo)
            .configure(|config| config.messages_per_second_max = Some(50)),
    );
    let (unlimited, plain) = (live.address, live.tcp[0]);
    let echoed = |address, path: &str, count: usize| {
        let mut client = open(address, path);
        client.send(masked(FIN | TEXT, b"x").repeat(count));
        for _ in 0..count {
            client.expect_text("x");
        }
        client
    };
    for address in [plain, unlimited] {
        let mut client = echoed(address, "/slow", 10);
        client.text("x");
        assert_eq!(client.expect_close(1008), "too many messages a second");
        let mut client = open(address, "/narrow");
        client.text(&"x".repeat(4_000));
        assert_eq!(client.expect_close(1008), "too many bytes a second");
    }
    let mut client = echoed(plain, "/other", 100);
    client.send(masked(FIN | TEXT, b"x").repeat(20));
    assert_eq!(client.expect_close(1008), "too many messages a second");
    echoed(unlimited, "/other", 3_000).text("x");
    let refusals = live.ask(|server| server.stats().refusals);
    assert_eq!((refusals.message_rate, refusals.byte_rate), (3, 2));
}

#[test]
fn transports_are_served_where_a_route_says_so_and_a_session_keeps_its_own_limits() {
    let page = |options: RouteOptions| options.event_streams(true).long_polling(true);
    let live = Live::start(
        Server::builder()
            .route(page(RouteOptions::new("/strict")).message_bytes_max(10), echo)
            .route(page(RouteOptions::new("/open")).origins(Origins::Any), echo)
            .route("/plain", echo),
    );
    let get = |path: &str, lines: &str| {
        let mut client = live.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
        client
    };
    for path in ["/strict", "/open"] {
        assert!(get(path, "Accept: text/event-stream\r\n").head().starts_with("HTTP/1.1 200 "), "{path}");
    }
    assert_eq!(get("/plain", "Accept: text/event-stream\r\n").answer().text(), "0 bytes");
    assert_eq!(get("/plain?swio=poll", "").answer().text(), "0 bytes");
    let answer = get("/strict?swio=poll", "").answer();
    let token = answer.text().split("\"session\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let token = token.expect("a session").to_owned();
    let send = |path: &str, lines: &str, body: &str| {
        let mut client = live.client();
        client.send(format!(
            "POST {path}?swio=send&session={token} HTTP/1.1\r\nHost: test\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        client.answer().status
    };
    assert_eq!((send("/strict", "", "0123456789"), send("/strict", "", "0123456789a")), (204, 413));
    // Another path has a larger limit, and lets other pages in: neither is for this session.
    assert_eq!((send("/open", "", "0123456789a"), send("/open", "", "0123456789")), (413, 204));
    let foreign = "Origin: https://elsewhere.example\r\n";
    assert_eq!((send("/strict", foreign, "x"), send("/open", foreign, "x")), (403, 404));
    assert_eq!(get(&format!("/open?swio=poll&session={token}&cursor=0"), foreign).answer().status, 404);
    // Where no posts are taken it is a request like any other.
    assert_eq!(send("/plain", "", "x"), 200);
}

#[test]
fn each_tcp_listener_may_have_its_handler_and_limits() {
    let (sender, told) = mpsc::channel();
    let lines = || Framing::EndMark(b"\n".into());
    let says = |name: &'static str, sender: &mpsc::Sender<String>| {
        let [connect, receive, close, timer] = [0; 4].map(|_| sender.clone());
        Callbacks::new()
            .on_connect(move |server, fd| {
                let timer = timer.clone();
                server.defer(move |_| tell(&timer, format!("{name} deferred")));
                tell(&connect, format!("{name} connect {}", server.is_established(fd)));
            })
            .on_receive(move |server, fd, data| {
                server.push(fd, data).expect("the peer reads");
                tell(&receive, format!("{name} {}", String::from_utf8_lossy(data)));
            })
            .on_close(move |_, _, reason| tell(&close, format!("{name} close {}", reason.code)))
    };
    let (a, b) = (sender.clone(), sender.clone());
    let live = Live::start(
        Server::builder()
            .listen_tcp("127.0.0.1:0", lines())
            .listen_tcp_with(ListenOptions::new("127.0.0.1:0").message_bytes_max(3), lines(), move || {
                says("first", &a)
            })
            .listen_tcp_with("127.0.0.1:0", lines(), move || says("second", &b))
            .route("/", echo)
            .handler(move || says("root", &sender)),
    );
    let next = || told.recv_timeout(DEADLINE).expect("it is told");
    for (number, name) in ["root", "first", "second"].into_iter().enumerate() {
        let mut client = Client::connect(live.tcp[number]);
        assert_eq!(next(), format!("{name} connect true"));
        assert_eq!(next(), format!("{name} deferred"));
        client.send("abc\n");
        assert_eq!(client.take(4), b"abc\n");
        assert_eq!(next(), format!("{name} abc"));
        client.send("abcd\n");
        match name {
            "first" => assert_eq!(next(), "first close 1009"),
            _ => {
                assert_eq!(next(), format!("{name} abcd"));
                client.finish();
                assert_eq!(next(), format!("{name} close 1005"));
            }
        }
    }
    // A package in the middle, and one that the server ends.
    let mut client = Client::connect(live.tcp[2]);
    assert_eq!((next(), next()), ("second connect true".into(), "second deferred".into()));
    client.send("half");
    live.until("it is held", |server| (server.usage().inbound_bytes > 0).then_some(()));
    live.ask(|server| {
        let fd = server.connections().next().expect("one");
        server.disconnect(fd, 4000, "")
    });
    assert_eq!(next(), "second close 4000");
}

#[test]
fn options_that_cannot_work_are_told_with_the_route_or_listener() {
    let wrong = |builder: Builder| builder.build().expect_err("it can't work").to_string();
    let listening = || Server::builder().listen("127.0.0.1:0");
    assert_eq!(
        wrong(listening().route(RouteOptions::new("/a").message_bytes_max(0), echo)),
        "route \"/a\": message_bytes_max must be at least 1"
    );
    let origins = Origins::List(vec!["https://x.example/".into()]);
    assert_eq!(
        wrong(listening().listen(ListenOptions::new("127.0.0.1:0").origins(origins))),
        "listener \"127.0.0.1:0\": origins has \"https://x.example/\", which is no origin: write \
         scheme://host[:port], no path, names in punycode, IPv6 addresses in brackets"
    );
    // Each by itself could.
    let small = ListenOptions::new("127.0.0.1:0").body_bytes_max(1);
    let large = RouteOptions::new("/a").message_bytes_max(1 << 30);
    assert!(
        wrong(Server::builder().listen(small).route(large, echo))
            .starts_with("route \"/a\": inbound_bytes_max")
    );
    let tcp = ListenOptions::new("127.0.0.1:0").origins(Origins::Any);
    assert_eq!(
        wrong(Server::builder().listen_tcp(tcp, Framing::None)),
        "listener \"127.0.0.1:0\": origins has no meaning for raw TCP"
    );
    let late = RouteOptions::new("/a").subprotocols(["a b"]);
    assert!(wrong(listening().route(late, echo)).starts_with("route \"/a\": subprotocols has \"a b\""));
}

#[test]
fn a_listener_may_read_nothing_before_it_is_confirmed() {
    let (sender, connected) = mpsc::channel();
    let live = Live::start(
        Server::builder()
            .listen(ListenOptions::new("127.0.0.1:0").delay_receive(true))
            .on_connect(move |_, fd| tell(&sender, fd))
            .route("/", echo),
    );
    let mut waiting = live.client();
    waiting.send(UPGRADE);
    let fd = connected.recv_timeout(DEADLINE).expect("it is connected");
    // The other listener reads at once.
    let _other = Client::open(live.tcp[0]);
    assert_eq!(live.ask(move |server| (server.connection_count(), server.confirm(fd))), (1, true));
    waiting.expect_101();
}

/// Limits of a route are for those who come by it, not for those that its handler connects to.
#[test]
fn a_client_of_a_handler_with_limits_has_those_of_the_configuration() {
    let (sender, told) = mpsc::channel();
    let peer = Live::start(Server::builder().on_open(|server, request| {
        server.push(request.fd, "x".repeat(500)).expect("open");
    }));
    let url = format!("ws://{}/", peer.address);
    let live =
        Live::start(Server::builder().route(RouteOptions::new("/a").message_bytes_max(10), move || {
            let (url, sender) = (url.clone(), sender.clone());
            Callbacks::new()
                .on_open(move |server, _| {
                    server.connect(Outgoing::connect(url.clone())).expect("a URL");
                })
                .on_message(move |_, frame| tell(&sender, frame.data.as_bytes().len()))
        }));
    let mut client = open(live.address, "/a");
    assert_eq!(told.recv_timeout(DEADLINE), Ok(500));
    client.text(&"x".repeat(11));
    client.expect_close(1009);
}
