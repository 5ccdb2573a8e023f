//! The server of the browser tests. A message is echoed, except if it begins with a slash: then it tells the server
//! what to do. What happens to sessions is printed, one line each, for the tests to read.

use std::io;
use std::time::Duration;
use swio::{Fd, Frame, Handshake, History, ListenOptions, Message, Origins, Request, Response, Server};

const PAGE: &str = "<!doctype html><title>swio</title><script src=\"/swio.js\"></script>";

/// As strict as pages have it.
const POLICY: &str =
    "default-src 'none'; script-src 'self'; connect-src http: ws:; require-trusted-types-for 'script'";

fn main() -> io::Result<()> {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let event_loop = Server::builder()
        .listen(address)
        // For its own pages alone.
        .listen(ListenOptions::new("127.0.0.1:0").origins(Origins::Same))
        .configure(|config| {
            (config.event_streams, config.long_polling) = (true, true);
            // Pages behind proxies and on another port are let in as well.
            config.origins = Origins::Any;
            config.ping_interval = Some(Duration::from_secs(1));
            config.poll_hold = Duration::from_secs(1);
            config.poll_grace = Duration::from_secs(10);
            config.event_stream_retry = Duration::from_millis(100);
            config.messages_per_second_max = None;
            config.handshakes_per_address_max = None;
            config.connections_per_address_max = None;
        })
        .script("/swio.js")
        .on_start(|server| {
            for (topic, messages) in [("news", 100_000), ("more", 100_000), ("short", 3)] {
                server.keep_history(topic, History { messages, ..History::default() }).expect("a short name");
            }
        })
        .on_request(serve)
        .on_subscribe(|_, request| request.topic != "secret")
        .on_handshake(|_, request| match request.query_param("refuse") {
            Some(_) => Handshake::refuse(Response::new(403)),
            None => Handshake::accept(),
        })
        .on_open(|server, request| {
            println!("open {} {}", request.fd, request.cookie("who").unwrap_or("nobody"));
            for topic in request.query_pairs().filter(|(name, _)| name == "join") {
                server.join(request.fd, &topic.1).expect("a short name");
            }
        })
        .on_message(take)
        .on_close(|_, fd, reason| println!("close {fd} {} {:?} {}", reason.code, reason.by, reason.text))
        .signals(true)
        .build()?;
    for address in event_loop.addresses() {
        println!("listening {address}");
    }
    event_loop.run()
}

/// The page, and `POST /publish?topic=T` for who publishes from outside.
fn serve(server: &mut Server, request: &Request<'_>) -> Response {
    match (request.method(), request.path(), request.query_param("topic")) {
        ("POST", "/publish", Some(topic)) => {
            server.publish(&topic, String::from_utf8_lossy(request.body()).into_owned()).send();
            Response::new(204)
        }
        ("GET", "/", _) => Response::html(PAGE).header("Content-Security-Policy", POLICY),
        _ => Response::not_found(),
    }
}

fn take(server: &mut Server, frame: Frame<'_>) {
    let Some(text) = frame.data.as_str().filter(|text| text.starts_with('/')) else {
        server.push(frame.fd, Message::from(frame.data)).ok();
        return;
    };
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    obey(server, frame.fd, verb, rest.split_once(' ').unwrap_or((rest, "")));
}

fn obey(server: &mut Server, fd: Fd, verb: &str, (first, rest): (&str, &str)) {
    match verb {
        // Heard and printed, nothing else.
        "/note" => println!("note {first}"),
        "/event" => drop(server.push(fd, Message::from(rest).event(first))),
        "/id" => drop(server.push(fd, Message::from(rest).id(first))),
        "/publish" => drop(server.publish(first, rest).send()),
        "/disconnect" => drop(server.disconnect(fd, first.parse().expect("a code"), rest)),
        _ => panic!("no such verb: {verb}"),
    }
}
