//! From the bytes of raw TCP to the handler, as whole packages.

use crate::fd::Fd;
use crate::net::Admission;
use crate::server::dispatch::Dispatch;
use crate::session::route::Route;
use crate::session::tcp::TcpRead;

impl Dispatch {
    pub(super) fn tcp_accepted(&mut self, fd: Fd, framing: u8, admission: Admission) {
        if self.server.sessions.accept_tcp(fd, framing, admission) {
            self.call("on_connect", Route::tcp(framing), Some(fd), |handler, server| {
                handler.on_connect(server, fd)
            });
        }
    }

    pub(super) fn tcp_bytes(&mut self, fd: Fd, mut bytes: &[u8]) {
        let session = self.server.sessions.connections.session_mut(fd);
        let Some(route) = session.and_then(|session| session.route()) else { return };
        while !bytes.is_empty() {
            let used = match self.server.sessions.tcp_read(fd, bytes) {
                TcpRead::More(used) => used,
                TcpRead::Package(used, data) => {
                    self.receive(route, fd, &bytes[data]);
                    used
                }
                TcpRead::Held(used, held, data) => {
                    self.receive(route, fd, &held.partial.bytes()[data]);
                    used
                }
                TcpRead::Stop => return,
                TcpRead::Broken(error) => {
                    return self.broken(route, fd, error.close_code(), error.what());
                }
            };
            bytes = &bytes[used..];
            if !bytes.is_empty() && self.server.sessions.connections.puts_back(fd, bytes) {
                return;
            }
        }
    }

    fn receive(&mut self, route: Route, fd: Fd, data: &[u8]) {
        if !self.server.sessions.count_package(fd) {
            return self.rate_limited(route, fd, "too many messages a second");
        }
        self.call("on_receive", route, Some(fd), |handler, server| {
            handler.on_receive(server, fd, data);
        });
    }
}
