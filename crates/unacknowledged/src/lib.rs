//! How many bytes that were written to a socket its peer has not acknowledged. A crate of its own for the one call in
//! swio that no crate offers without `unsafe`.

use std::os::fd::BorrowedFd;

/// The bytes in a stream socket's send queue: not sent yet, or sent and not acknowledged (`SIOCOUTQ`). `None` where the
/// system can't tell.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn unacknowledged(socket: BorrowedFd<'_>) -> Option<usize> {
    use std::os::fd::AsRawFd as _;
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as it is borrowed. Of any file this request writes at most an int to
    // the address, which is that of an int that outlives the call.
    #[expect(unsafe_code, reason = "the one call that this crate is for")]
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    usize::try_from(bytes).ok().filter(|_| status == 0)
}

/// The bytes in a stream socket's send queue: not sent yet, or sent and not acknowledged. `None` where the system can't
/// tell, as here.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn unacknowledged(_socket: BorrowedFd<'_>) -> Option<usize> {
    None
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    #[test]
    fn what_the_peer_has_no_room_for_is_not_acknowledged_until_it_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut ours = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let (mut theirs, _) = listener.accept().expect("it connected");
        assert_eq!(unacknowledged(ours.as_fd()), Some(0));
        ours.set_nonblocking(true).expect("a socket");
        let mut written = 0;
        while let Ok(len) = ours.write(&[7; 64 << 10]) {
            written += len;
        }
        let waiting = unacknowledged(ours.as_fd()).expect("a socket");
        assert!((1..written).contains(&waiting), "{waiting} of {written}");
        theirs.read_exact(&mut vec![0; written]).expect("all of it");
        while unacknowledged(ours.as_fd()) != Some(0) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_is_no_socket_has_no_answer() {
        let file = std::fs::File::open("/dev/null").expect("it is there");
        assert_eq!(unacknowledged(file.as_fd()), None);
    }
}
