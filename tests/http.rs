//! Plain HTTP/1.1 beside WebSockets: pages, keep-alive, pipelining, bodies, and their limits.

mod common;

use common::*;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use swio::{Builder, Handshake, Response, Server, Usage};

/// Answers with what it understood of the request.
fn pages() -> Builder {
    Server::builder().on_request(|_, request| {
        let body = String::from_utf8_lossy(request.body());
        let query = request.query().unwrap_or("-");
        Response::text(200, format!("{} {} {query} {body}", request.method(), request.path()))
    })
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

fn post(lines: &str, body: &str) -> String {
    format!("POST /form HTTP/1.1\r\nHost: test\r\n{lines}\r\n{body}")
}

fn expect_text(client: &mut Client, text: &str) -> Answer {
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (200, text));
    answer
}

#[test]
fn a_page_has_its_status_length_type_and_date() {
    let live =
        Live::start(Server::builder().on_request(|_, _| Response::html("<p>hello").header("X-More", "yes")));
    let mut client = live.client();
    client.send(get("/"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (200, "<p>hello"));
    assert_eq!(answer.header("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("Content-Length"), Some("8"));
    assert_eq!(answer.header("X-More"), Some("yes"));
    assert_eq!(answer.header("Connection"), Some("keep-alive"));
    assert!(answer.header("Date").is_some_and(|date| date.ends_with(" GMT") && date.len() == 29));
}

#[test]
fn a_request_is_given_to_the_callback_as_it_was_sent() {
    let (sender, seen) = mpsc::channel();
    let live = Live::start(Server::builder().on_request(move |server, request| {
        let headers =
            request.headers().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
        let seen = (
            request.path().to_owned(),
            request.query().map(str::to_owned),
            request.header("x-two").map(str::to_owned),
            headers.collect::<Vec<_>>(),
            server.remote_addr(request.fd),
            server.is_established(request.fd) || !server.exists(request.fd),
        );
        sender.send(seen).ok();
        Response::new(204)
    }));
    let mut client = live.client();
    client.send("GET /a%20b/c?x=1&y=%2F?z HTTP/1.1\r\nHost: test\r\nX-One: 1\r\nX-Two:  two words \r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("Content-Length")), (204, None));
    let (path, query, two, headers, address, wrong) = seen.recv_timeout(DEADLINE).expect("the request");
    assert_eq!(
        (&*path, query.as_deref(), two.as_deref()),
        ("/a%20b/c", Some("x=1&y=%2F?z"), Some("two words"))
    );
    assert_eq!(headers, ["Host=test", "X-One=1", "X-Two=two words"]);
    assert_eq!(address, client.stream.local_addr().ok());
    assert!(!wrong);
}

#[test]
fn head_is_answered_as_get_but_without_a_body() {
    let live = Live::start(Server::builder().on_request(|_, _| Response::html("<p>hello")));
    let mut client = live.client();
    for _ in 0..3 {
        client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
        let answer = client.answer_head();
        assert_eq!((answer.status, answer.header("Content-Length")), (200, Some("8")));
    }
    client.send(get("/"));
    assert_eq!(client.answer().text(), "<p>hello");
}

#[test]
fn a_connection_is_kept_for_further_requests() {
    let live = Live::start(pages());
    let mut client = live.client();
    for number in 0..50 {
        client.send(get(&format!("/{number}")));
        expect_text(&mut client, &format!("GET /{number} - "));
    }
    assert_eq!(live.ask(|server| server.usage().connections), 1);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let live = Live::start(pages());
    let mut client = live.client();
    let numbers = 0..2_000;
    client.send(numbers.clone().map(|number| get(&format!("/{number}"))).collect::<String>());
    for number in numbers {
        expect_text(&mut client, &format!("GET /{number} - "));
    }
}

#[test]
fn pipelined_requests_of_every_kind_keep_their_borders() {
    let live = Live::start(pages());
    let mut client = live.client();
    let requests = [
        get("/1"),
        post("Content-Length: 5\r\n", "hello"),
        "\r\n\r\n".to_owned() + &get("/2"),
        post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        post("Content-Length: 0\r\n", ""),
        post("", ""),
        get("/3"),
    ];
    let expect_all = |client: &mut Client| {
        let texts = [
            "GET /1 - ",
            "POST /form - hello",
            "GET /2 - ",
            "POST /form - abcde",
            "POST /form - ",
            "POST /form - ",
        ];
        texts.iter().for_each(|text| drop(expect_text(client, text)));
        expect_text(client, "GET /3 - ");
    };
    client.send(requests.concat());
    expect_all(&mut client);
    client.send_in_pieces(requests.concat());
    expect_all(&mut client);
    // Cut at every place.
    for at in 1..requests.concat().len() {
        let bytes = requests.concat();
        client.send(&bytes[..at]);
        client.send(&bytes[at..]);
        expect_all(&mut client);
    }
}

#[test]
fn a_request_in_one_byte_pieces_is_understood() {
    let live = Live::start(pages());
    let mut client = live.client();
    client.send_in_pieces(get("/slow?yes"));
    expect_text(&mut client, "GET /slow yes ");
}

#[test]
fn bodies_come_by_length_and_in_chunks() {
    let live = Live::start(pages());
    let mut client = live.client();
    let long = "x".repeat(900_000);
    for body in ["hello", &long] {
        client.send(post(&format!("Content-Length: {}\r\n", body.len()), body));
        expect_text(&mut client, &format!("POST /form - {body}"));
        let chunks: String = body
            .as_bytes()
            .chunks(7_000)
            .map(|chunk| format!("{:X}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)))
            .collect();
        client.send(post("Transfer-Encoding: Chunked\r\n", &format!("{chunks}0\r\n\r\n")));
        expect_text(&mut client, &format!("POST /form - {body}"));
    }
}

#[test]
fn malformed_chunks_get_400() {
    let live = Live::start(pages());
    for body in
        ["x\r\n", "\r\n", "-1\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "0\r\nno field\r\n\r\n"]
    {
        let mut client = live.client();
        client.send(post("Transfer-Encoding: chunked\r\n", body));
        assert_eq!(client.answer().status, 400, "{body:?}");
        client.expect_fin();
    }
    still_serving(&live);
}

#[test]
fn chunk_extensions_and_trailers_are_ignored() {
    let live = Live::start(pages());
    let mut client = live.client();
    for body in [
        "3;x=y\r\nabc\r\n0\r\n\r\n".to_owned(),
        "3;\r\nabc\r\n0\r\n\r\n".to_owned(),
        "3\t; x = \"y;\\\"z\"\r\nabc\r\n0\r\n\r\n".to_owned(),
        "1;a\r\na\r\n2;b\r\nbc\r\n0;x=y\r\n\r\n".to_owned(),
        format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(1_000)),
        "3\r\nabc\r\n0\r\nX-Checksum: 7\r\nContent-Length: 9\r\n\r\n".to_owned(),
    ] {
        client.send(post("Transfer-Encoding: chunked\r\n", &body));
        expect_text(&mut client, "POST /form - abc");
    }
    let mut client = live.client();
    client.send(post("Transfer-Encoding: chunked\r\n", &format!("3;{}", "x".repeat(2_000))));
    assert_eq!(client.answer().status, 413);
    client.expect_fin();
}

/// Servers disagree about where an extension ends, some at a lone LF: what one of them took for a chunk was
/// another's next request. Whoever stands in front of this server may be any of them.
#[test]
fn chunk_extensions_hide_no_second_request() {
    let (sender, served) = mpsc::channel();
    let live = Live::start(Server::builder().on_request(move |_, request| {
        sender.send(request.path().to_owned()).ok();
        Response::text(200, "served")
    }));
    let hidden = get("/hidden");
    for body in [
        "3 \r\nabc\r\n0\r\n\r\n".to_owned(),
        "3;x\rabc\r\n0\r\n\r\n".to_owned(),
        format!("3\r\nabc\r\n0\r\nX: y\n\n{hidden}\r\n\r\n"),
        format!("3\r\nabc\r\n0\r\nX: y\r{hidden}"),
        // One chunk of "45" to who ends the line at CRLF, "xx" and then one of 0x45 bytes to who does at LF.
        format!("2;\nxx\r\n45\r\n0\r\n\r\n{hidden}"),
        format!("2;\nxx\r\n{:x}\r\n0\r\n\r\n{hidden}\r\n0\r\n\r\n", hidden.len() + 5),
        format!("2\nxx\r\n45\r\n0\r\n\r\n{hidden}"),
    ] {
        let mut client = live.client();
        client.send(post("Transfer-Encoding: chunked\r\n", &body) + &get("/behind"));
        assert_eq!(client.answer().status, 400, "{body:?}");
        client.expect_fin();
    }
    still_serving(&live);
    assert_eq!(served.try_iter().collect::<Vec<_>>(), [""; 0]);
}

/// All that was sent may be held, so it is refused before it is much more than the limit.
#[test]
fn a_body_of_tiny_chunks_is_refused_before_it_is_many_times_the_limit() {
    let most = 64 << 10;
    let live = Live::start(pages().configure(move |config| config.body_bytes_max = most));
    let chunk = "1\r\nx\r\n";
    // The payload is below the limit, and the end never comes.
    let held = 2 * most + (32 << 10);
    let count = held / chunk.len();
    assert!(count < most);
    let mut client = live.client();
    client.try_send(post("Transfer-Encoding: chunked\r\n", &chunk.repeat(count)));
    assert_eq!(client.answer().status, 413);
    client.expect_fin();
    // A few of them are fine, and so are many small ones.
    let mut client = live.client();
    for (chunk, count, payload) in [(chunk, 1_000, "x"), ("A\r\n0123456789\r\n", 6_000, "0123456789")] {
        client.send(post("Transfer-Encoding: chunked\r\n", &(chunk.repeat(count) + "0\r\n\r\n")));
        let answer = client.answer();
        assert!((answer.status, answer.text()) == (200, &format!("POST /form - {}", payload.repeat(count))));
    }
    still_serving(&live);
}

#[test]
fn a_client_that_expects_100_gets_it_before_it_sends_the_body() {
    let live = Live::start(pages());
    let mut client = live.client();
    client.send(post("Content-Length: 5\r\nExpect: 100-continue\r\n", ""));
    assert_eq!(client.answer_head().status, 100);
    client.send("hello");
    expect_text(&mut client, "POST /form - hello");
    // One that does not wait for it needs none.
    client.send(post("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"));
    expect_text(&mut client, "POST /form - hello");
}

#[test]
fn a_body_over_the_limit_gets_413_before_it_is_sent() {
    let live = Live::start(pages().configure(|config| config.body_bytes_max = 1_000));
    for (lines, body) in [
        ("Content-Length: 1001\r\n", ""),
        ("Content-Length: 1001\r\nExpect: 100-continue\r\n", ""),
        ("Content-Length: 18446744073709551615\r\n", ""),
        ("Transfer-Encoding: chunked\r\n", "3e9\r\n"),
        ("Transfer-Encoding: chunked\r\n", "FFFFFFFFFFFFFFFF\r\n"),
    ] {
        let mut client = live.client();
        client.send(post(lines, body));
        assert_eq!(client.answer().status, 413, "{lines:?}");
        client.expect_fin();
    }
    let mut client = live.client();
    client.send(post("Content-Length: 1000\r\n", &"x".repeat(1_000)));
    assert_eq!(client.answer().status, 200);
    still_serving(&live);
}

#[test]
fn a_client_that_goes_on_sending_its_too_big_body_still_reads_the_413() {
    let live = Live::start(pages());
    let mut client = live.client();
    client.send(post(&format!("Content-Length: {}\r\n", 4 << 20), ""));
    for _ in 0..64 {
        client.send(vec![b'x'; 64 << 10]);
    }
    assert_eq!(client.answer().status, 413);
    client.expect_fin();
}

#[test]
fn a_client_that_ends_its_side_behind_a_request_still_gets_the_answer() {
    let page = "x".repeat(3 << 20);
    let whole = page.clone();
    let live = Live::start(Server::builder().on_request(move |_, _| Response::text(200, page.clone())));
    let mut client = live.client();
    client.send(get("/"));
    client.finish();
    assert!(client.answer().text() == whole);
    client.expect_fin();
}

/// The server pauses while its answers are not read: what waits stays bounded, nothing is lost, and the FIN
/// that came during the pause is not forgotten.
#[test]
fn pipelining_without_reading_stays_bounded_and_loses_nothing() {
    let page = "x".repeat(10_000);
    let (sender, served) = mpsc::channel();
    let whole = page.clone();
    let live = Live::start(Server::builder().on_request(move |_, request| {
        sender.send(()).ok();
        Response::text(200, format!("{} {page}", request.path()))
    }));
    let mut client = Client::connect_narrow(live.address);
    let count = 3_000;
    client.send((0..count).map(|number| get(&format!("/{number}"))).collect::<String>());
    client.finish();
    live.until("answers wait", |server| (server.usage().queued_bytes > 0).then_some(()));
    for _ in 0..20 {
        live.after(Duration::from_millis(5)).recv_timeout(DEADLINE).expect("a timer");
        assert!(live.ask(|server| server.usage().queued_bytes) < 100 << 10);
    }
    assert!(served.try_iter().count() < count / 2, "all were answered at once");
    for number in 0..count {
        let answer = client.answer();
        assert!(answer.text() == format!("/{number} {whole}"), "{number}");
    }
    client.expect_fin();
    drop(client);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), Usage::default());
}

#[test]
fn a_pipelining_client_that_never_reads_is_cut_off() {
    let page = "x".repeat(100_000);
    let live = Live::start(
        Server::builder()
            .configure(|config| {
                config.request_timeout = Duration::from_millis(200);
                config.keep_alive_timeout = Duration::from_millis(200);
                config.close_timeout = Duration::from_millis(100);
            })
            .on_request(move |_, _| Response::text(200, page.clone())),
    );
    let mut client = Client::connect_narrow(live.address);
    client.send(get("/").repeat(1_000));
    live.until("answers wait", |server| (server.usage().queued_bytes > 0).then_some(()));
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), Usage::default());
    still_serving(&live);
}

#[test]
fn connection_close_is_obeyed() {
    let live = Live::start(pages());
    for value in ["close", "Close", "keep-alive, close"] {
        let mut client = live.client();
        client.send(format!("GET /1 HTTP/1.1\r\nHost: test\r\nConnection: {value}\r\n\r\n{}", get("/2")));
        let answer = expect_text(&mut client, "GET /1 - ");
        assert_eq!(answer.header("Connection"), Some("close"));
        client.expect_fin();
    }
}

#[test]
fn http_1_0_keeps_the_connection_only_where_asked() {
    let live = Live::start(pages());
    let mut client = live.client();
    client.send("GET /1 HTTP/1.0\r\n\r\n");
    let answer = expect_text(&mut client, "GET /1 - ");
    assert_eq!(answer.header("Connection"), Some("close"));
    client.expect_fin();
    let mut client = live.client();
    for _ in 0..2 {
        client.send("GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        let answer = expect_text(&mut client, "GET /1 - ");
        assert_eq!(answer.header("Connection"), Some("keep-alive"));
    }
    client.send("POST /2 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(client.answer().status, 400);
    client.expect_fin();
}

#[test]
fn without_on_request_the_client_is_told_that_this_is_a_websocket_server() {
    let live = Live::start(Server::builder());
    let mut client = live.client();
    client.send(get("/"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("Sec-WebSocket-Version")), (426, Some("13")));
    assert_eq!(answer.header("Upgrade"), Some("websocket"));
    assert!(answer.header("Connection").is_some_and(|value| value.to_ascii_lowercase().contains("upgrade")));
    client.expect_fin();
    let mut client = live.client();
    client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.answer_head().status, 426);
    client.expect_fin();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let mut client = live.client();
        client.send(format!("{method} / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET, HEAD")), "{method}");
        client.expect_fin();
    }
}

#[test]
fn what_a_client_sends_can_not_forge_headers_of_the_answer() {
    let live = Live::start(Server::builder().on_request(|_, request| {
        let echoed = request.header("x-name").unwrap_or_default().to_owned();
        Response::text(200, "fine").header("X-Name", echoed)
    }));
    let mut client = live.client();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nX-Name: Set-Cookie: a=b\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.header("X-Name"), answer.header("Set-Cookie")), (Some("Set-Cookie: a=b"), None));
    // Query values that a page decodes and sets are refused as well, by Response::header's panic.
    let live = Live::start(Server::builder().on_request(|_, request| {
        let decoded = request.query().unwrap_or_default().replace("%0d%0a", "\r\n");
        Response::new(302).header("Location", decoded)
    }));
    let mut client = live.client();
    client.send(get("/?/home"));
    assert_eq!(client.answer().header("Location"), Some("/home"));
    client.send(get("/?/%0d%0aSet-Cookie:a=b%0d%0a%0d%0a<script>"));
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("Set-Cookie")), (500, None));
    client.expect_fin();
}

/// "Length, date and connection headers are the server's": a second length would let two readers disagree
/// about where the answer ends.
#[test]
fn a_callback_can_not_contradict_the_servers_own_headers() {
    for name in ["Content-Length", "Transfer-Encoding", "Connection", "Date"] {
        let live = Live::start(
            Server::builder().on_request(move |_, _| Response::text(200, "hello").header(name, "3")),
        );
        let mut client = live.client();
        client.send(get("/"));
        let answer = client.answer();
        let lines = answer.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        assert_eq!(lines.count(), usize::from(name != "Transfer-Encoding"), "{answer:?}");
    }
}

#[test]
fn an_idle_connection_is_ended_after_the_keep_alive_timeout() {
    let timeout = Duration::from_millis(150);
    let live = Live::start(pages().configure(|config| config.keep_alive_timeout = timeout));
    let mut client = live.client();
    client.send(get("/"));
    expect_text(&mut client, "GET / - ");
    let begun = Instant::now();
    client.expect_fin();
    assert!(begun.elapsed() >= timeout / 2);
    drop(client);
    live.until_empty();
}

#[test]
fn each_request_begins_the_keep_alive_time_anew() {
    let live =
        Live::start(pages().configure(|config| config.keep_alive_timeout = Duration::from_millis(300)));
    let mut client = live.client();
    for _ in 0..12 {
        client.send(get("/"));
        expect_text(&mut client, "GET / - ");
        live.after(Duration::from_millis(60)).recv_timeout(DEADLINE).expect("a timer");
    }
}

#[test]
fn a_websocket_can_be_opened_behind_plain_requests() {
    let live = Live::start(pages().on_message(|server, frame| {
        server.push(frame.fd, frame.data).ok();
    }));
    let mut client = live.client();
    client.send([get("/1").as_bytes(), UPGRADE.as_bytes(), &masked(FIN | TEXT, b"hello")].concat());
    expect_text(&mut client, "GET /1 - ");
    client.expect_101();
    client.expect_text("hello");
}

#[test]
fn an_http_connection_is_no_websocket() {
    let (sender, seen) = mpsc::channel();
    let live = Live::start(Server::builder().on_request(move |server, request| {
        let pushed = server.push(request.fd, "hello");
        let broadcast = server.broadcast("hello").send();
        sender.send((pushed, broadcast.queued, server.connection_count(), server.connections().count())).ok();
        Response::text(200, "fine")
    }));
    let mut client = live.client();
    client.send(get("/"));
    assert_eq!(client.answer().text(), "fine");
    assert_eq!(seen.recv_timeout(DEADLINE), Ok((Err(swio::PushError::NotOpen), 0, 0, 0)));
}

/// "An HTTP connection after its answer."
#[test]
fn disconnect_in_on_request_lets_the_answer_go_out() {
    let live = Live::start(Server::builder().on_request(|server, request| {
        server.disconnect(request.fd, 1000, "");
        Response::text(200, "the last one")
    }));
    let mut client = live.client();
    client.send(get("/"));
    assert_eq!(client.answer().text(), "the last one");
    client.expect_fin();
}

#[test]
fn a_page_that_shuts_the_server_down_is_still_answered() {
    let mut live = Live::start(Server::builder().on_request(|server, _| {
        server.shutdown();
        Response::text(200, "good night")
    }));
    let mut client = live.client();
    client.send(get("/"));
    assert_eq!(client.answer().text(), "good night");
    client.expect_fin();
    drop(client);
    live.join();
}

#[test]
fn a_refusing_on_handshake_that_disconnects_lets_its_answer_go_out() {
    let live = Live::start(Server::builder().on_handshake(|server, request| {
        server.disconnect(request.fd, 1000, "");
        Handshake::refuse(Response::text(401, "who are you?"))
    }));
    let mut client = live.client();
    client.send(UPGRADE);
    assert_eq!(client.answer().status, 401);
    client.expect_fin();
}

/// Answers of 3 MB, where an outbox may have 10 kB: `/own` has made its body, `/static` has it in the program.
fn large(outboxes_bytes_max: usize) -> Live {
    let body: &'static [u8] = vec![b'x'; 3_000_000].leak();
    Live::start(
        Server::builder()
            .configure(move |config| {
                (config.outbox_bytes_max, config.outboxes_bytes_max) = (10_000, outboxes_bytes_max);
            })
            .on_request(move |_, request| match request.path() {
                "/static" => Response::new(200).body(body),
                "/own" => Response::new(200).body(body.to_vec()),
                _ => Response::text(200, "small"),
            }),
    )
}

#[test]
fn an_answer_that_is_over_the_outbox_limit_is_written_as_it_drains() {
    let live = large(1 << 30);
    for path in ["/own", "/static"] {
        let mut client = Client::connect_narrow(live.address);
        client.send([get(path), get("/small"), get(path)].concat());
        let held =
            live.until("it waits", |server| Some(server.usage().outboxes_bytes).filter(|held| *held > 0));
        match path {
            "/static" => assert!(held < 100_000, "{held}: what is in the program takes no memory"),
            _ => assert!((1_000_000..4_000_000).contains(&held), "{held}"),
        }
        for expected in [3_000_000, 5, 3_000_000] {
            let answer = client.answer();
            assert_eq!((answer.status, answer.body.len()), (200, expected));
            assert!(expected == 5 || answer.body.iter().all(|byte| *byte == b'x'));
        }
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
        assert_eq!(client.answer_head().header("Content-Length"), Some("3000000"));
        client.expect_fin();
    }
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), Usage::default());
}

#[test]
fn an_answer_that_no_memory_is_there_for_is_a_500_and_what_needs_none_is_sent() {
    let live = large(1 << 20);
    let mut client = Client::connect_narrow(live.address);
    client.send(get("/own"));
    assert_eq!(client.answer().status, 500);
    client.expect_fin();
    let mut client = Client::connect_narrow(live.address);
    client.send(get("/static"));
    assert_eq!(client.answer().body.len(), 3_000_000);
    drop(client);
    still_serving(&live);
    live.until_empty();
    assert_eq!(live.ask(|server| server.usage()), Usage::default());
}
