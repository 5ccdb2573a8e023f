//! The server that is attacked.

use swio::{History, Server};

pub(crate) fn serve() {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).ok();
    let running = Server::builder()
        .listen("127.0.0.1:0")
        .configure(|config| {
            config.trusted_proxies.clear();
            (config.event_streams, config.long_polling) = (true, true);
        })
        .script("/swio.js")
        .on_start(|server| {
            server.keep_history("news", History::default()).expect("a short name");
            for _ in 0..100 {
                server.publish("news", "x".repeat(10_000)).send();
            }
        })
        .on_open(|server, request| match request.path() {
            "/room" => drop(server.join(request.fd, "room")),
            "/news" => drop(server.join(request.fd, "news")),
            "/60k" => drop(server.push(request.fd, "x".repeat(60_000))),
            _ => {}
        })
        .on_message(|server, frame| match server.is_member(frame.fd, "room") {
            true => drop(server.publish("room", frame.data).send()),
            false => drop(server.push(frame.fd, frame.data)),
        })
        .on_subscribe(|_, _| true)
        .on_request(|server, request| match request.path() {
            "/usage" => {
                let usage = server.usage();
                swio::Response::text(200, format!("{} {}", usage.outboxes_bytes, usage.inbound_bytes))
            }
            "/8m" => swio::Response::new(200).body(vec![b'x'; 8 << 20]),
            _ => swio::Response::text(200, "hello"),
        })
        .start()
        .expect("a free port");
    println!("{}", running.addresses()[0]);
    running.join().expect("it ends with its parent");
}
