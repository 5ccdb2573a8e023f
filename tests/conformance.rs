//! What RFC 6455 requires of a server, as a table: section, requirement, what a client sends, what must follow. The
//! rows run over real sockets; all that fail are printed.

#[path = "conformance/closing.rs"]
mod closing;
#[path = "conformance/frames.rs"]
mod frames;
#[path = "conformance/handshake.rs"]
mod handshake;
mod wire;

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;
use swio::{CloseReason, Fd, Frame, Handler, Handshake, Opcode, Origins, Request, Response, Server, Side};
use wire::Step::{Alive, Close, Delivered, End, Gets, Open, Reported, Send, Vanish};
use wire::{Report, Script, Step};

const MESSAGE_BYTES_MAX: usize = 70_000;
const FRAGMENTS_MAX: u32 = 6;

struct Row {
    section: &'static str,
    requirement: String,
    steps: Vec<Step>,
}

pub(crate) fn row(section: &'static str, requirement: impl Into<String>, steps: impl Into<Vec<Step>>) -> Row {
    Row { section, requirement: requirement.into(), steps: steps.into() }
}

/// The server fails the connection: a close frame with this code, then the end of TCP, and the application is
/// given nothing of it.
pub(crate) fn fails(section: &'static str, requirement: impl Into<String>, wire: Vec<u8>, code: u16) -> Row {
    let steps = [Open("/"), Send(wire), Close(Some(code)), End, Reported(code, Side::Local), Delivered(0)];
    row(section, requirement, steps)
}

/// One message of this kind comes back.
pub(crate) fn echoes(
    section: &'static str,
    requirement: impl Into<String>,
    wire: Vec<u8>,
    first: u8,
    payload: impl AsRef<[u8]>,
) -> Row {
    let payload = payload.as_ref().to_vec();
    row(section, requirement, [Open("/"), Send(wire), Gets(first, payload), Alive, Vanish, Delivered(1)])
}

/// Echoes, and at `/do` carries out what it is sent.
struct Subject {
    visitors: HashMap<Fd, Visitor>,
    reports: Sender<Report>,
}

struct Visitor {
    row: usize,
    commands: bool,
    messages: usize,
}

impl Handler for Subject {
    fn on_handshake(&mut self, _server: &mut Server, request: &Request<'_>) -> Handshake {
        match request.path() {
            "/nowhere" => Response::not_found().into(),
            _ => Handshake::accept(),
        }
    }

    fn on_open(&mut self, server: &mut Server, request: &Request<'_>) {
        let row = request.query().and_then(|query| query.strip_prefix("row=")?.parse().ok());
        let commands = request.path() == "/do";
        self.visitors.insert(request.fd, Visitor { row: row.unwrap_or(usize::MAX), commands, messages: 0 });
        if request.path() == "/greet" {
            server.push(request.fd, "hello").expect("just opened");
        }
    }

    fn on_message(&mut self, server: &mut Server, frame: Frame<'_>) {
        let visitor = self.visitors.get_mut(&frame.fd).expect("opened before");
        visitor.messages += 1;
        match frame.data.as_str() {
            Some(command) if visitor.commands => carry_out(server, frame.fd, command),
            _ => server.push(frame.fd, frame.data).expect("the outbox has room"),
        }
    }

    fn on_close(&mut self, _server: &mut Server, fd: Fd, reason: &CloseReason) {
        let Visitor { row, messages, .. } = self.visitors.remove(&fd).expect("opened before");
        // Nobody listens any more once the table is through.
        self.reports.send(Report { row, code: reason.code, by: reason.by, messages }).ok();
    }
}

fn carry_out(server: &mut Server, fd: Fd, command: &str) {
    match command.split(' ').collect::<Vec<_>>()[..] {
        ["ping", payload] => server.push_as(fd, Opcode::Ping, payload.as_bytes()).expect("open"),
        ["disconnect", code, ref reason @ ..] => {
            server.push(fd, "before").expect("open");
            server.disconnect(fd, code.parse().expect("a code"), reason.first().unwrap_or(&""));
            server.push(fd, "behind").expect_err("nothing follows a close");
        }
        // A panic without its message on the terminal.
        ["panic"] => resume_unwind(Box::new("as told")),
        _ => panic!("no command: {command:?}"),
    }
}

#[test]
fn the_server_does_what_rfc_6455_asks_of_it() {
    let (sender, reports) = mpsc::channel();
    let running = Server::builder()
        .listen("127.0.0.1:0")
        .configure(|config| {
            config.message_bytes_max = MESSAGE_BYTES_MAX;
            config.fragments_max = FRAGMENTS_MAX;
            config.close_timeout = Duration::from_millis(500);
            config.origins = Origins::List(vec!["http://good.example".into()]);
            config.subprotocols = vec!["superchat".into(), "chat".into()];
        })
        .handler(move || Subject { visitors: HashMap::new(), reports: sender.clone() })
        .start()
        .expect("a free port");
    let sections = [
        handshake::requests_refused(),
        handshake::requests_accepted(),
        handshake::responses(),
        handshake::negotiation(),
        frames::framing(),
        frames::fragmentation(),
        frames::control_frames_between_fragments(),
        frames::pings(),
        frames::messages(),
        frames::texts(),
        closing::close_frames(),
        closing::order_around_a_close(),
        closing::ends_of_tcp(),
        closing::codes_reported(),
        closing::failures(),
        closing::codes(),
        closing::limits(),
    ];
    let mut failures = Vec::new();
    let mut count = 0;
    for (number, row) in sections.iter().flatten().enumerate() {
        count += 1;
        let mut script = Script::new(number, running.addresses()[0], &reports);
        for (step, taken) in row.steps.iter().map(|step| script.take(step)).enumerate() {
            if let Err(error) = taken {
                let (section, requirement) = (row.section, &row.requirement);
                failures.push(format!("§{section}: {requirement}\n    step {}: {error}", step + 1));
                break;
            }
        }
    }
    running.handle().shutdown().expect("it runs");
    running.join().expect("an orderly end");
    assert!(failures.is_empty(), "{} of {count} rows:\n{}", failures.len(), failures.join("\n"));
}
