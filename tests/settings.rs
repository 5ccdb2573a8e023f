//! Settings from a file, and changing the configuration of a running server.

mod common;

use common::*;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;
use swio::{Builder, Command, Config, Outcome, Server, SlowConsumer};

#[test]
fn a_reload_is_in_force_for_connections_that_exist() {
    let (builder, events) = recorded();
    let (reloaded, is_reloaded) = mpsc::channel();
    let live = Live::start(builder.on_reload(move |server| tell(&reloaded, server.config().fragments_max)));
    let mut client = live.open();
    let fd = events.open();
    client.text(&"x".repeat(2_000));
    assert_eq!(events.message().len(), 2_000);
    let changed = live.ask(|server| {
        server.reload(|config| {
            config.message_bytes_max = 1_000;
            config.outbox_bytes_max = 4_096;
            config.slow_consumer = SlowConsumer::DropNewest;
            config.fragments_max = 77;
        })
    });
    assert_eq!(changed, Ok(()));
    assert_eq!(is_reloaded.recv_timeout(DEADLINE), Ok(77));
    assert!(live.ask(move |server| server.push(fd, "x".repeat(5_000))).is_err(), "the outbox is smaller");
    assert_eq!(live.ask(move |server| server.push(fd, "x".repeat(4_000))), Ok(()));
    client.expect_text(&"x".repeat(4_000));
    client.text(&"x".repeat(1_001));
    client.until_close(1009);
}

#[test]
fn a_reload_is_in_force_for_those_who_come() {
    let live = Live::start(echo().configure(|config| config.connections_max = Some(4)));
    let kept = [(); 3].map(|()| live.open());
    live.ask(|server| server.reload(|config| config.connections_max = Some(3))).expect("it can work");
    let mut fourth = live.client();
    assert_eq!(fourth.answer().status, 503);
    // More than the table had room for at first.
    live.ask(|server| server.reload(|config| config.connections_max = Some(1_000))).expect("it can work");
    let more: Vec<_> = (0..200).map(|_| live.open()).collect();
    drop((kept, more));
    live.until_empty();
    let one_each = |config: &mut Config| {
        config.connections_per_address_max = Some(1);
        config.trusted_proxies.clear();
    };
    live.ask(move |server| server.reload(one_each)).expect("it can work");
    let _first = live.open();
    assert_eq!(live.client().answer().status, 429);
    live.ask(|server| server.reload(|config| config.connections_per_address_max = None))
        .expect("it can work");
    still_serving(&live);
}

#[test]
fn heartbeats_can_be_switched_on_and_off() {
    let live = Live::start(echo().configure(|config| config.ping_interval = None));
    let mut client = live.open();
    client.text("open");
    client.expect_text("open");
    live.ask(|server| server.reload(|config| config.ping_interval = Some(Duration::from_millis(100))))
        .expect("it can work");
    assert_eq!(client.read_frame().opcode, PING);
    // The ping is not answered any more once it does not have to be.
    live.ask(|server| {
        server.reload(|config| {
            config.ping_interval = None;
            config.pong_timeout = Duration::from_millis(1);
        })
    })
    .expect("it can work");
    live.after(Duration::from_millis(300)).recv_timeout(DEADLINE).expect("time passes");
    client.text("still here");
    client.expect_text("still here");
}

#[test]
fn a_reload_that_can_not_be_changes_nothing() {
    let (told, is_told) = mpsc::channel();
    let live = Live::start(echo().on_reload(move |_| tell(&told, ())));
    let before = live.ask(|server| server.config().clone());
    let wrong = live.ask(|server| {
        server.reload(|config| {
            config.message_bytes_max = 1;
            config.fragments_max = 0;
        })
    });
    assert_eq!(wrong.expect_err("no message").to_string(), "fragments_max must be at least 1");
    let fixed = live.ask(|server| {
        server.reload(|config| {
            config.message_bytes_max = 1;
            config.backlog = 7;
        })
    });
    let fixed = fixed.expect_err("they listen already");
    assert_eq!(fixed.key(), "backlog");
    assert_eq!(fixed.to_string(), "backlog can't be changed while the server runs");
    assert_eq!(live.ask(|server| server.config().clone()), before);
    still_serving(&live);
    assert_eq!(is_told.try_recv(), Err(mpsc::TryRecvError::Empty));
}

/// A file of settings of one test.
struct File(PathBuf);

impl File {
    fn new(test: &str, text: &str) -> File {
        let file = File(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.toml")));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).expect("a file in the target directory");
    }

    fn error(&self) -> String {
        let error =
            Server::builder().listen("127.0.0.1:0").settings(&self.0).build().expect_err("wrong settings");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        error.to_string()
    }
}

#[test]
fn a_file_has_the_last_word_and_is_read_again() {
    let file = File::new("last_word", "message_bytes_max = '1 KiB'\npong_timeout = 7\n");
    let builder = Server::builder().settings(&file.0).configure(|config| {
        config.message_bytes_max = 5;
        config.body_bytes_max = 6;
    });
    let live = Live::start(builder);
    let sizes = |server: &mut Server| (server.config().message_bytes_max, server.config().body_bytes_max);
    assert_eq!(live.ask(sizes), (1_024, 6));
    // What is in the file no more has the program's own value again, and changes made meanwhile are gone.
    live.ask(|server| server.reload(|config| config.fragments_max = 3)).expect("it can work");
    file.write("body_bytes_max = 9");
    let outcome = live.ask(|server| server.execute(Command::ReloadSettings));
    assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
    assert_eq!(live.ask(sizes), (5, 9));
    assert_eq!(live.ask(|server| server.config().fragments_max), 4_096);
    // A wrong file changes nothing.
    file.write("body_bytes_max = 10\n\nmesage_bytes_max = 1");
    let error = live.ask(|server| server.reload_settings()).expect_err("a wrong key");
    assert_eq!((error.key(), error.line()), ("mesage_bytes_max", Some(3)));
    let told = error.to_string();
    assert!(
        told.ends_with("last_word.toml:3: mesage_bytes_max is not known: is it message_bytes_max?"),
        "{told}"
    );
    file.write("mailbox_items_max = 10");
    let error = live.ask(|server| server.reload_settings()).expect_err("it is fixed");
    assert_eq!(error.key(), "mailbox_items_max");
    std::fs::remove_file(&file.0).expect("it was there");
    let error = live.ask(|server| server.reload_settings()).expect_err("no file");
    assert!(error.to_string().starts_with("can't read the settings in "), "{error}");
    assert_eq!(live.ask(sizes), (5, 9));
}

#[test]
fn a_file_that_is_wrong_is_told_at_start() {
    let file = File::new("wrong", "# a comment\nreactor_num = 4");
    assert!(file.error().contains("wrong.toml:2: reactor_num is a setting of Swoole"), "{}", file.error());
    file.write("this is no TOML");
    assert!(file.error().contains("wrong.toml:1: no TOML: "), "{}", file.error());
    file.write(&"# far too long\n".repeat(100_000));
    assert!(file.error().ends_with("it has more than 1 MiB"), "{}", file.error());
    std::fs::write(&file.0, [0xff, 0xfe]).expect("a file in the target directory");
    assert!(file.error().contains("can't read the settings in "), "{}", file.error());
    std::fs::remove_file(&file.0).expect("it was there");
    assert!(file.error().contains("wrong.toml: "), "{}", file.error());
}

#[test]
fn without_a_file_there_is_none_to_read_again() {
    let live = Live::start(Builder::default());
    let error = live.ask(|server| server.reload_settings()).expect_err("no file");
    assert_eq!(error.to_string(), "no settings file was given");
}

// ------------------------------------------------------------------------------------------------- sockets

#[test]
fn an_address_is_shared_only_where_both_want_it() {
    let shared = |reuse_port| echo().configure(move |config| config.reuse_port = reuse_port);
    let first = Live::start(shared(true));
    let again = |reuse_port| shared(reuse_port).listen(first.address).start();
    let error = again(false).expect_err("it is in use");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
    let second = again(true).expect("both want it");
    still_serving(&first);
    second.handle().shutdown().expect("the server takes mail");
    second.join().expect("it ends well");
    still_serving(&first);
    let alone = Live::start(shared(false));
    let error = shared(true).listen(alone.address).start().expect_err("it is in use");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
}

#[test]
fn long_polling_is_refused_on_a_shared_port_at_start_and_later() {
    let both = |config: &mut swio::Config| (config.reuse_port, config.long_polling) = (true, true);
    let error = echo().listen("127.0.0.1:0").configure(both).start().expect_err("polls may go anywhere");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().starts_with("long_polling can't be on together with reuse_port"), "{error}");
    let route = swio::RouteOptions::new("/polls").long_polling(true);
    let shared = echo().listen("127.0.0.1:0").configure(|config| config.reuse_port = true);
    let route = shared.route(route, swio::Callbacks::new);
    let error = route.start().expect_err("polls of a route go anywhere too");
    let wanted = "route \"/polls\": long_polling can't be on together with reuse_port";
    assert!(error.to_string().starts_with(wanted), "{error}");
    let live = Live::start(echo().configure(|config| config.reuse_port = true));
    let error = live.ask(|server| server.reload(|config| config.long_polling = true)).expect_err("nor later");
    assert_eq!(error.key(), "long_polling");
    still_serving(&live);
}

/// What the kernel does not hold is in the outbox, where it counts.
#[test]
fn a_small_send_buffer_leaves_the_rest_to_the_outbox() {
    const BYTES: usize = 1 << 20;
    let (builder, events) = recorded();
    let live = Live::start(builder.configure(|config| config.socket_send_buffer_bytes = Some(16 << 10)));
    let mut client = Client::connect_narrow(live.address).handshake();
    let fd = events.open();
    assert_eq!(live.ask(move |server| server.push(fd, vec![7; BYTES])), Ok(()));
    let queued = live.until("it is written as far as it goes", move |server| {
        let queued = server.client_info(fd)?.queued_bytes;
        (queued < BYTES).then_some(queued)
    });
    assert!(queued > BYTES * 3 / 4, "{queued}");
    client.expect(BINARY, vec![7; BYTES]);
}
