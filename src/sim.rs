//! Simulated sockets: the other end of a [`Stream::Sim`](crate::net::stream::Stream) is a test or a benchmark, which
//! decides how much can be read and written, and when. Only for tests and benchmarks.

use crate::fd::Fd;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read as _};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The server's end: the number of a [`SimWire`] of this thread, so that it is as small as a real socket.
#[derive(Debug)]
pub(crate) struct SimStream(u32);

/// The state that both ends share.
#[derive(Debug, Default)]
pub(crate) struct SimWire {
    pub(crate) fd: Option<Fd>,
    /// Bytes that the server can read now.
    pub(crate) readable: VecDeque<u8>,
    /// The client ended its side. The server sees it when `readable` is empty.
    pub(crate) fin: bool,
    /// From now on each read and write fails with a connection reset.
    pub(crate) reset: bool,
    /// So many reads and writes from now on, it is reset.
    pub(crate) resets_in: Option<u32>,
    /// How many bytes the server can still write.
    pub(crate) room: usize,
    /// Bytes that the server wrote.
    pub(crate) written: Vec<u8>,
    /// The server ended its side.
    pub(crate) server_fin: bool,
    /// The server closed the socket.
    pub(crate) closed: bool,
}

impl SimWire {
    /// The server reads or writes.
    fn call(&mut self) -> io::Result<()> {
        match &mut self.resets_in {
            Some(0) => self.reset = true,
            Some(calls) => *calls -= 1,
            None => {}
        }
        match self.reset {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
}

thread_local! {
    /// The clock of simulated turns, and how far each look at it moves it on.
    static CLOCK: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
    static WIRES: RefCell<Vec<SimWire>> = const { RefCell::new(Vec::new()) };
}

/// Sets the clock that a simulated server looks at during a turn, and how far each look moves it on.
#[cfg(test)]
pub(crate) fn set_clock(now: Instant, step: Duration) {
    CLOCK.set(Some((now, step)));
}

/// Looks at that clock. It stands where it was set.
pub(crate) fn clock() -> Instant {
    let Some((now, step)) = CLOCK.get() else { return *BEGUN };
    if step.is_zero() {
        return now;
    }
    CLOCK.set(Some((now + step, step)));
    now + step
}

/// What that clock shows, without a look of the server's.
#[cfg(test)]
pub(crate) fn clock_shows() -> Instant {
    CLOCK.get().expect("set before").0
}

/// Lets time pass on that clock, as a callback may that takes long.
#[cfg(test)]
pub(crate) fn pass(time: Duration) {
    let (now, step) = CLOCK.get().expect("set before");
    CLOCK.set(Some((now + time, step)));
}

/// Where no clock is set, it stands still.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Makes a socket: the server's end, and the number of its wire.
pub(crate) fn socket() -> (SimStream, u32) {
    WIRES.with_borrow_mut(|wires| {
        wires.push(SimWire::default());
        let number = wires.len() as u32 - 1;
        (SimStream(number), number)
    })
}

/// Reads or changes a wire.
pub(crate) fn wire<T>(number: u32, look: impl FnOnce(&mut SimWire) -> T) -> T {
    WIRES.with_borrow_mut(|wires| look(&mut wires[number as usize]))
}

/// Removes all wires of this thread, before the next run. Its clock stands still from now on.
pub(crate) fn forget_all() {
    WIRES.with_borrow_mut(Vec::clear);
    CLOCK.set(Some((Instant::now(), Duration::ZERO)));
}

impl SimStream {
    pub(crate) fn opened_as(&mut self, fd: Fd) {
        wire(self.0, |wire| wire.fd = Some(fd));
    }

    /// Reads all that is there, as a kernel does: a short read means that nothing is left.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        wire(self.0, |wire| {
            wire.call()?;
            if wire.readable.is_empty() {
                return if wire.fin { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
            }
            let len = buffer.len().min(wire.readable.len());
            wire.readable.read_exact(&mut buffer[..len])?;
            Ok(len)
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        wire(self.0, |wire| {
            wire.call()?;
            assert!(!wire.server_fin, "written after the end");
            if wire.room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let before = wire.written.len();
            for slice in slices {
                let len = slice.len().min(wire.room);
                wire.written.extend_from_slice(&slice[..len]);
                wire.room -= len;
            }
            Ok(wire.written.len() - before)
        })
    }

    pub(crate) fn shutdown_write(&mut self) -> io::Result<()> {
        wire(self.0, |wire| wire.server_fin = true);
        Ok(())
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        // When a thread ends, its wires may be destroyed before its streams.
        WIRES
            .try_with(|wires| {
                if let Ok(mut wires) = wires.try_borrow_mut()
                    && let Some(wire) = wires.get_mut(self.0 as usize)
                {
                    wire.closed = true;
                }
            })
            .ok();
    }
}
