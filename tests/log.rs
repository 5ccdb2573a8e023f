//! What operators read in the log: where the server listens, what is hardly meant, which origins are refused.

mod common;

use common::*;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::sync::Mutex;
use swio::{Origins, RouteOptions, Server};

/// All that was logged at `info` and above.
struct Lines(Mutex<Vec<(Level, String)>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().expect("nobody panics here").push((record.level(), record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// The log is the whole process's, so all of it is one test.
#[test]
fn operators_read_what_matters_and_no_flood() {
    log::set_logger(&LINES).expect("the only one");
    log::set_max_level(LevelFilter::Info);
    let logged = |level: Level, part: &str| {
        let lines = LINES.0.lock().expect("nobody panics here");
        lines.iter().filter(|(of, line)| *of == level && line.contains(part)).count()
    };

    let list = vec!["http://localhost:8080".to_owned(), "null".to_owned()];
    let live = Live::start(
        Server::builder().script("/swio.js").configure(|config| config.origins = Origins::List(list)),
    );
    // The server's thread has begun.
    live.ask(|_| ());
    assert_eq!(logged(Level::Info, &format!("listening on {}", live.address)), 1);
    assert_eq!(logged(Level::Warn, "pages have no fallback"), 1);

    for _ in 0..20 {
        let mut client = live.client();
        client.send(upgrade_with("Origin: http://evil.example\r\n"));
        assert_eq!(client.answer().status, 403);
    }
    let line = "origin \"http://evil.example\" is not allowed (Config::origins) at \"localhost\"";
    assert_eq!(logged(Level::Warn, line), 1, "one line for many refusals in a short time");

    let poll = RouteOptions::new("/poll").long_polling(true);
    drop(Live::start(Server::builder().script("/swio.js").route(poll, swio::Callbacks::new)));
    assert_eq!(logged(Level::Warn, "pages have no fallback"), 1, "one route is enough");
}
