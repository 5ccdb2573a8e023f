//! Several applications on one port: which path reaches which, and what a request tells about itself.

mod common;

use common::{Answer, Client, Live, UPGRADE, upgrade_with};
use std::thread;
use swio::{Builder, Callbacks, Handshake, Response, Server};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

fn upgrade(path: &str) -> String {
    UPGRADE.replace("GET / ", &format!("GET {path} "))
}

fn ask(client: &mut Client, path: &str) -> Answer {
    client.send(get(path));
    client.answer()
}

/// An application that says which one it is, and what its parameters are.
fn says(name: &'static str, params: &'static [&'static str]) -> impl Fn() -> Callbacks + Send + 'static {
    move || {
        let describe = move |param: &dyn Fn(&str) -> Option<String>| {
            let params: Vec<_> = params.iter().map(|name| format!("{name}={:?}", param(name))).collect();
            [&[name.to_owned()], &*params].concat().join(" ")
        };
        Callbacks::new()
            .on_request(move |_, request| {
                Response::text(200, describe(&|name| request.param(name).map(|value| value.into_owned())))
            })
            .on_open(move |server, request| {
                let text = describe(&|name| request.param(name).map(|value| value.into_owned()));
                server.push(request.fd, text).expect("open");
            })
            .on_message(move |server, frame| {
                server.push(frame.fd, format!("{name} got {}", frame.data)).expect("open");
            })
    }
}

fn apps() -> Builder {
    Server::builder()
        .route("/", says("home", &[]))
        .route("/chat/{room}", says("chat", &["room", "other"]))
        .route("/chat/lobby", says("lobby", &["room"]))
        .route("/files/{*path}", says("files", &["path"]))
        .route("/users/{user}/posts/{post}", says("posts", &["user", "post"]))
}

#[test]
fn each_path_reaches_its_application_with_its_parameters() {
    let live = Live::start(apps());
    let mut client = live.client();
    for (path, expected) in [
        ("/", "home"),
        ("/chat/42", r#"chat room=Some("42") other=None"#),
        // What is written out goes before what is a parameter.
        ("/chat/lobby", "lobby room=None"),
        ("/chat/lobby?x=/chat/42", "lobby room=None"),
        ("/files/a/b%20c/d", r#"files path=Some("a/b c/d")"#),
        ("/users/ann/posts/7?page=2", r#"posts user=Some("ann") post=Some("7")"#),
        // The whole URL, as a proxy may send it.
        ("http://test/chat/42", r#"chat room=Some("42") other=None"#),
    ] {
        assert_eq!(ask(&mut client, path).text(), expected, "{path}");
        if !path.starts_with("http:") {
            let mut socket = live.client();
            socket.send(upgrade(path));
            socket.expect_101();
            socket.expect_text(expected);
            socket.text("hi");
            socket.expect_text(&format!("{} got hi", expected.split(' ').next().expect("a name")));
        }
    }
}

#[test]
fn parameters_are_percent_decoded_once_and_never_split_a_path() {
    let live = Live::start(apps());
    let mut client = live.client();
    for (path, room) in [
        ("/chat/caf%C3%A9", r#"Some("café")"#),
        ("/chat/a%2Fb", r#"Some("a/b")"#),
        ("/chat/..%2F..%2Fetc", r#"Some("../../etc")"#),
        ("/chat/%252F", r#"Some("%2F")"#),
        ("/chat/a+b", r#"Some("a+b")"#),
        ("/chat/%", r#"Some("%")"#),
        ("/chat/%zz", r#"Some("%zz")"#),
        ("/chat/%00", r#"Some("\0")"#),
        // No UTF-8.
        ("/chat/%ff", "None"),
        // It is a parameter's value, not the path that is written out.
        ("/chat/%6Cobby", r#"Some("lobby")"#),
    ] {
        assert_eq!(ask(&mut client, path).text(), format!("chat room={room} other=None"), "{path}");
    }
}

#[test]
fn a_path_without_a_route_gets_404_and_the_connection_lives_on() {
    let live = Live::start(apps());
    let mut client = live.client();
    for path in
        ["/nowhere", "/chat", "/chat/", "/chat/a/b", "//", "/chat//", "/CHAT/42", "/files", "/users/ann"]
    {
        let answer = ask(&mut client, path);
        assert_eq!((answer.status, answer.header("Connection")), (404, Some("keep-alive")), "{path}");
    }
    // A HEAD is answered without the body, and what follows it in the same write is read as a request.
    client.send([get("/nowhere").replace("GET", "HEAD"), get("/")].concat());
    let head = client.answer_head();
    assert_eq!(head.status, 404);
    assert_ne!(head.header("Content-Length"), Some("0"));
    assert_eq!(client.answer().text(), "home");
    // A body is read over.
    client.send("POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello");
    client.send(get("/"));
    assert_eq!(client.answer().status, 404);
    assert_eq!(client.answer().text(), "home");
}

#[test]
fn a_handshake_without_a_route_is_refused_before_the_upgrade() {
    let live = Live::start(apps());
    for path in ["/nowhere", "/chat"] {
        let mut client = live.client();
        client.send(upgrade(path));
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("Upgrade")), (404, None), "{path}");
        client.expect_fin();
    }
    assert_eq!(live.ask(|server| server.usage().websockets), 0);
}

/// With routes, the handler of the server as a whole serves no path.
#[test]
fn the_root_handler_serves_a_path_only_where_there_are_no_routes() {
    let root = || Server::builder().on_request(|_, _| Response::text(200, "root"));
    let live = Live::start(root());
    assert_eq!(ask(&mut live.client(), "/anything").text(), "root");
    let live = Live::start(root().route("/app", says("app", &[])));
    let mut client = live.client();
    assert_eq!(ask(&mut client, "/app").text(), "app");
    assert_eq!(ask(&mut client, "/anything").status, 404);
}

#[test]
fn patterns_that_cannot_be_told_apart_are_an_error_at_start() {
    let wrong = |patterns: &[&str]| {
        let builder = patterns
            .iter()
            .fold(Server::builder(), |builder, pattern| builder.route(*pattern, says("app", &[])));
        builder.listen("127.0.0.1:0").start().expect_err("wrong patterns").to_string()
    };
    assert_eq!(wrong(&["/a", "/a"]), r#"route "/a" conflicts with "/a""#);
    assert_eq!(wrong(&["/{a}", "/{b}"]), r#"route "/{b}" conflicts with "/{a}""#);
    assert_eq!(wrong(&["a"]), r#"route "a": a path begins with /"#);
    assert_eq!(wrong(&[""]), r#"route "": a path begins with /"#);
    assert!(wrong(&["/{*all}/more"]).starts_with(r#"route "/{*all}/more": "#));
    assert!(wrong(&["/{}"]).starts_with(r#"route "/{}": "#));
}

#[test]
fn a_panic_in_one_route_is_nothing_to_the_others() {
    let live = Live::start(apps().route("/broken", || {
        Callbacks::new()
            .on_request(|_, _| -> Response { panic!("as the test wants") })
            .on_message(|_, _| panic!("as the test wants"))
    }));
    let mut chat = live.client();
    chat.send(upgrade("/chat/1"));
    chat.expect_101();
    chat.expect_text(r#"chat room=Some("1") other=None"#);
    let mut client = live.client();
    assert_eq!(ask(&mut client, "/broken").status, 500);
    client.expect_fin();
    let mut broken = live.client();
    broken.send(upgrade("/broken"));
    broken.expect_101();
    broken.text("break");
    broken.expect_close(1011);
    chat.text("still here?");
    chat.expect_text("chat got still here?");
    assert_eq!(ask(&mut live.client(), "/").text(), "home");
}

#[test]
fn each_application_has_its_own_state_and_pushes_to_anybody() {
    let counter = || {
        let mut count = 0;
        Callbacks::new().on_message(move |server, _| {
            count += 1;
            server.broadcast(count.to_string()).send();
        })
    };
    let live = Live::start(Server::builder().route("/a", counter).route("/b", counter));
    let open = |path: &str| {
        let mut client = live.client();
        client.send(upgrade(path));
        client.expect_101();
        client
    };
    let (mut a, mut b) = (open("/a"), open("/b"));
    for expected in ["1", "2"] {
        a.text("count");
        a.expect_text(expected);
        b.expect_text(expected);
    }
    b.text("count");
    a.expect_text("1");
    b.expect_text("1");
}

/// Many at once, each from a thread of its own.
#[test]
fn many_clients_on_many_routes_do_not_get_mixed_up() {
    let live = Live::start(apps());
    let address = live.address;
    let clients: Vec<_> = (0..8)
        .map(|number| {
            thread::spawn(move || {
                for round in 0..20 {
                    let mut client = Client::connect(address);
                    client.send(upgrade(&format!("/chat/{number}-{round}")));
                    client.expect_101();
                    client.expect_text(&format!(r#"chat room=Some("{number}-{round}") other=None"#));
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("each got its own");
    }
}

// ------------------------------------------------------------------------------------------ what a request says

/// Answers with what `look` finds in the request.
fn looking<F>(look: F) -> Live
where
    F: Fn(&swio::Request<'_>) -> String + Clone + Send + 'static,
{
    let handshake = look.clone();
    Live::start(
        Server::builder()
            .on_request(move |_, request| Response::text(200, look(request)))
            .on_handshake(move |_, request| Handshake::refuse(Response::text(403, handshake(request)))),
    )
}

#[test]
fn a_query_is_decoded_as_browsers_write_it() {
    let live = looking(|request| {
        let pairs: Vec<_> = request.query_pairs().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{:?} {}", request.query_param("q"), pairs.join("|"))
    });
    let mut client = live.client();
    for (query, expected) in [
        ("", "None "),
        ("?", "None "),
        ("?q=a", r#"Some("a") q=a"#),
        ("?q=a+b%2Bc%20d", r#"Some("a b+c d") q=a b+c d"#),
        ("?x=1&q=first&q=second", r#"Some("first") x=1|q=first|q=second"#),
        ("?q", r#"Some("") q="#),
        ("?q=", r#"Some("") q="#),
        ("?=q", "None =q"),
        ("?&&q=a&", r#"Some("a") q=a"#),
        ("?q=a=b?c", r#"Some("a=b?c") q=a=b?c"#),
        ("?%71=caf%C3%A9", r#"Some("café") q=café"#),
        ("?q=%", r#"Some("%") q=%"#),
        ("?q=%ff", "Some(\"\u{fffd}\") q=\u{fffd}"),
    ] {
        assert_eq!(ask(&mut client, &format!("/search{query}")).text(), expected, "{query}");
    }
}

#[test]
fn cookies_are_given_as_they_were_sent() {
    let live = looking(|request| {
        let all: Vec<_> = request.cookies().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{:?} {}", request.cookie("id"), all.join("|"))
    });
    for (header, expected) in [
        ("", "None "),
        ("Cookie: id=1\r\n", r#"Some("1") id=1"#),
        ("cookie: a=b; id=1;id=2 ;  c=d\r\n", r#"Some("1") a=b|id=1|id=2|c=d"#),
        ("Cookie: a=b\r\nCookie: id=1\r\n", r#"Some("1") a=b|id=1"#),
        ("Cookie: id=\"quoted\"; e=\"\r\n", r#"Some("quoted") id=quoted|e=""#),
        ("Cookie: id=a%20b+c==\r\n", r#"Some("a%20b+c==") id=a%20b+c=="#),
        ("Cookie: ID=1\r\n", "None ID=1"),
        ("Cookie: id; =x; ;\r\n", "None =x"),
        ("Cookie: id=\r\n", r#"Some("") id="#),
        ("Cookie: id=\u{e9}\r\n", "Some(\"\u{e9}\") id=\u{e9}"),
    ] {
        let mut client = live.client();
        client.send(upgrade_with(header));
        assert_eq!(client.answer().text(), expected, "{header:?}");
    }
    // One that is no text is left out, and takes none of the others with it.
    let mut client = live.client();
    client.send(b"GET / HTTP/1.1\r\nHost: test\r\nCookie: lang=fran\xe7ais; id=1; \xff=x\r\n\r\n");
    assert_eq!(client.answer().text(), r#"Some("1") id=1"#);
}

#[test]
fn a_posted_form_is_read_where_it_says_that_it_is_one() {
    let live = looking(|request| {
        request.form_pairs().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("|")
    });
    let mut client = live.client();
    let body = "user=ann&text=a+b%26c";
    for (kind, expected) in [
        ("application/x-www-form-urlencoded", "user=ann|text=a b&c"),
        ("Application/X-WWW-Form-URLencoded; charset=UTF-8", "user=ann|text=a b&c"),
        ("text/plain", ""),
        ("application/json", ""),
    ] {
        let len = body.len();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\r\n{body}"
        ));
        assert_eq!(client.answer().text(), expected, "{kind}");
    }
    assert_eq!(ask(&mut client, "/?a=b").text(), "");
}
