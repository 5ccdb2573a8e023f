//! From raw TCP's bytes to the handler: whole packages.

use crate::fd::Fd;
use crate::net::Admission;
use crate::server::dispatch::Dispatch;
use crate::session::route::Route;
use crate::session::tcp::TcpRead;

impl Dispatch {
    pub(super) fn tcp_accepted(&mut self, fd: Fd, framing: u8, admission: Admission) {
        if self.server.sessions.accept_tcp(fd, framing, admission) {
            self.call("on_connect", Route::ROOT, Some(fd), |handler, server| handler.on_connect(server, fd));
        }
    }

    pub(super) fn tcp_bytes(&mut self, fd: Fd, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let used = match self.server.sessions.tcp_read(fd, bytes) {
                TcpRead::More(used) => used,
                TcpRead::Package(used, data) => {
                    self.receive(fd, &bytes[data]);
                    used
                }
                TcpRead::Held(used, held, data) => {
                    self.receive(fd, &held.partial.bytes()[data]);
                    used
                }
                TcpRead::Stop => return,
                TcpRead::Broken(error) => {
                    return self.broken(Route::ROOT, fd, error.close_code(), error.what());
                }
            };
            bytes = &bytes[used..];
        }
    }

    fn receive(&mut self, fd: Fd, data: &[u8]) {
        if !self.server.sessions.count_package(fd) {
            return self.rate_limited(Route::ROOT, fd, "too many messages a second");
        }
        self.call("on_receive", Route::ROOT, Some(fd), |handler, server| {
            handler.on_receive(server, fd, data);
        });
    }
}
