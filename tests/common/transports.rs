//! A client for each transport, so that one scenario can run on all of them.

use super::*;
use std::collections::VecDeque;
use std::net::TcpListener;
use swio::{Cause, Config, Framing};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    WebSocket,
    EventStream,
    LongPolling,
    Tcp,
    /// A WebSocket that the server opens to the test.
    Outgoing,
}

impl Kind {
    pub(crate) const ALL: [Kind; 5] =
        [Kind::WebSocket, Kind::EventStream, Kind::LongPolling, Kind::Tcp, Kind::Outgoing];
}

/// A server that speaks by all transports, and whom its callbacks were told to be gone.
pub(crate) struct World {
    pub(crate) live: Live,
    closed: Receiver<(Fd, CloseReason)>,
    tell: Sender<(Fd, CloseReason)>,
}

/// Switches all transports on, and limits off that many clients of one address meet.
pub(crate) fn all_transports(builder: Builder, tcp: impl Into<swio::ListenOptions>) -> Builder {
    builder.listen_tcp(tcp, Framing::EndMark(b"\n".into())).configure(|config| {
        config.event_streams = true;
        config.long_polling = true;
        config.connections_per_address_max = None;
        config.handshakes_per_address_max = None;
    })
}

impl World {
    pub(crate) fn start(change: impl FnOnce(&mut Config)) -> World {
        let (tell, closed) = mpsc::channel();
        let sender = tell.clone();
        let builder = all_transports(Server::builder(), "127.0.0.1:0")
            .configure(change)
            .on_close(move |_, fd, reason| super::tell(&sender, (fd, reason.clone())));
        World { live: Live::start(builder), closed, tell }
    }

    /// A client of this kind, and the server's name for it. `is_narrow`: the kernel takes little for it.
    pub(crate) fn open(&self, kind: Kind, is_narrow: bool) -> (Fd, Reader) {
        if kind == Kind::Outgoing {
            return self.accept(is_narrow);
        }
        let before: Vec<Fd> = self.live.ask(|server| server.connections().collect());
        let reader = Reader::open(kind, self.live.address, self.live.tcp[0], is_narrow);
        let fd = self.live.until("it is there", move |server| {
            server.connections().find(|fd| !before.contains(fd) && server.is_established(*fd))
        });
        (fd, reader)
    }

    fn accept(&self, is_narrow: bool) -> (Fd, Reader) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        if is_narrow {
            SockRef::from(&listener).set_recv_buffer_size(4096).expect("a small buffer");
        }
        let url = format!("ws://{}/", listener.local_addr().expect("an address"));
        let told = self.tell.clone();
        let id = self.live.ask(move |server| {
            let (set, opened) = mpsc::channel();
            let client = swio::Client::connect(url)
                .on_open(move |link, _| super::tell(&set, link.fd().expect("it is open")))
                .on_close(move |_, reason| {
                    super::tell(&told, (opened.try_recv().expect("it was open"), reason.clone()));
                });
            server.connect(client).expect("a good address")
        });
        let reader = Reader::accept(&listener);
        let fd = self
            .live
            .until("it is open", move |server| server.client_fd(id).filter(|fd| server.is_established(*fd)));
        (fd, reader)
    }

    /// Why this one is gone, of which the callback was told.
    pub(crate) fn closed(&self, fd: Fd) -> CloseReason {
        loop {
            let (closed, reason) = self.closed.recv_timeout(DEADLINE).expect("it ends in time");
            if closed == fd {
                return reason;
            }
            assert_ne!(reason.cause, Cause::SlowConsumer, "{closed} was not slow");
        }
    }

    pub(crate) fn queued(&self, fd: Fd) -> usize {
        self.live.ask(move |server| server.client_info(fd).map_or(0, |info| info.queued_bytes))
    }
}

/// What a client's end is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    /// The end, with its code where the transport says one.
    End(Option<u16>),
}

pub(crate) struct Reader {
    pub(crate) kind: Kind,
    pub(crate) client: Client,
    token: String,
    cursor: u64,
    /// Of an answer that brought several.
    batch: VecDeque<Seen>,
    is_parked: bool,
}

impl Reader {
    pub(crate) fn open(kind: Kind, address: SocketAddr, tcp: SocketAddr, is_narrow: bool) -> Reader {
        let address = if kind == Kind::Tcp { tcp } else { address };
        let client = if is_narrow { Client::connect_narrow(address) } else { Client::connect(address) };
        let mut reader = Reader::over(kind, client);
        match kind {
            Kind::WebSocket => reader.client = reader.client.handshake(),
            Kind::EventStream => {
                reader.client.send("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
                assert_eq!(reader.client.answer_head().status, 200);
                while reader.line() != "" {}
            }
            Kind::LongPolling => {
                reader.client.send("GET /?swio=poll HTTP/1.1\r\nHost: localhost\r\n\r\n");
                let answer = reader.client.answer();
                let token =
                    answer.text().strip_prefix("{\"session\":\"").and_then(|rest| rest.split('"').next());
                reader.token = token.expect("a session").to_owned();
            }
            Kind::Tcp | Kind::Outgoing => {}
        }
        reader
    }

    /// The other end of a WebSocket that the server opens.
    pub(crate) fn accept(listener: &TcpListener) -> Reader {
        let (stream, _) = listener.accept().expect("it connects");
        let mut client = Client::over(stream);
        let request = client.head();
        let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        client.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        ));
        Reader::over(Kind::Outgoing, client)
    }

    fn over(kind: Kind, client: Client) -> Reader {
        Reader { kind, client, token: String::new(), cursor: 0, batch: VecDeque::new(), is_parked: false }
    }

    /// Asks for what there is behind the cursor, as who polls has to.
    pub(crate) fn ask(&mut self) {
        if self.kind == Kind::LongPolling && !std::mem::replace(&mut self.is_parked, true) {
            let Reader { token, cursor, .. } = self;
            let target = format!("/?swio=poll&session={token}&cursor={cursor}");
            self.client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        }
    }

    /// The next message, pings answered; texts are of letters and digits.
    pub(crate) fn next(&mut self) -> Seen {
        match self.kind {
            Kind::WebSocket | Kind::Outgoing => self.next_frame(),
            Kind::EventStream => self.next_event(),
            Kind::LongPolling => self.next_polled(),
            Kind::Tcp => match self.client.take_until(b"\n") {
                Some(line) => Seen::Text(line),
                None => Seen::End(None),
            },
        }
    }

    fn next_frame(&mut self) -> Seen {
        loop {
            let frame = if self.kind == Kind::Outgoing {
                self.client.read_masked_frame()
            } else {
                self.client.read_frame()
            };
            match frame.opcode {
                PING if self.kind == Kind::Outgoing => {
                    let head = [FIN | PONG, frame.payload.len() as u8];
                    self.client.try_send([&head[..], &frame.payload].concat());
                }
                PING => self.client.try_send(masked(FIN | PONG, &frame.payload)),
                CLOSE => return Seen::End(Some(frame.close().0)),
                _ => return Seen::Text(String::from_utf8(frame.payload).expect("a text")),
            }
        }
    }

    fn line(&mut self) -> String {
        self.client.take_until(b"\n").expect("a line")
    }

    fn next_event(&mut self) -> Seen {
        loop {
            let Some(line) = self.client.take_until(b"\n") else { return Seen::End(None) };
            let seen = match line.split_once(": ") {
                Some(("data", text)) => Seen::Text(text.to_owned()),
                Some(("event", "close")) => {
                    let line = self.line();
                    let code = line.split("\"code\":").nth(1).and_then(|rest| rest.get(..4));
                    Seen::End(Some(code.expect("a code").parse().expect("a number")))
                }
                // A comment.
                _ => {
                    assert_eq!((line.as_str(), self.line().as_str()), (":", ""));
                    continue;
                }
            };
            assert_eq!(self.line(), "");
            return seen;
        }
    }

    fn next_polled(&mut self) -> Seen {
        loop {
            if let Some(seen) = self.batch.pop_front() {
                return seen;
            }
            self.ask();
            self.take_batch();
        }
    }

    fn take_batch(&mut self) {
        let answer = self.client.answer();
        self.is_parked = false;
        let text = answer.text();
        assert_eq!(answer.status, 200, "{text}");
        let (_, cursor) = text.split_once("\"cursor\":").expect("a cursor");
        self.cursor = cursor.split(',').next().expect("a part").parse().expect("a number");
        let texts = text.split("{\"text\":\"").skip(1).map(|rest| rest.split('"').next().expect("a part"));
        self.batch.extend(texts.map(|text| Seen::Text(text.to_owned())));
        if let Some((_, end)) = text.split_once("\"closed\":{\"code\":") {
            self.batch.push_back(Seen::End(Some(end[..4].parse().expect("a code"))));
        }
    }

    /// Asks and takes the answer, but never says that it has it.
    pub(crate) fn poll_without_acknowledging(&mut self) -> Vec<Seen> {
        self.ask();
        let before = self.cursor;
        self.take_batch();
        self.cursor = before;
        self.batch.drain(..).collect()
    }
}
