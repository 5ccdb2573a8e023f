//! Names to addresses. The system's resolver blocks, for seconds if a name server is away, so it is asked on a few
//! threads of their own.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Names that are asked for at once; those beyond wait for their turn.
const THREADS_MAX: usize = 4;
/// How many addresses of a name are used. A name with more spreads its load over them; the first few are enough.
const ADDRESSES_MAX: usize = 16;

/// A question, and whom to tell the answer.
type Job = Box<dyn FnOnce() + Send>;
type Jobs = Arc<Mutex<Receiver<Job>>>;

/// Threads are begun when they are needed, and end when this is dropped.
#[derive(Default)]
pub(crate) struct Resolver {
    jobs: Option<(Sender<Job>, Jobs)>,
    threads: usize,
}

impl Resolver {
    /// Finds out what `host` stands for, and calls `tell` on another thread.
    pub(crate) fn resolve(
        &mut self,
        host: String,
        port: u16,
        tell: impl FnOnce(io::Result<Vec<SocketAddr>>) + Send + 'static,
    ) -> io::Result<()> {
        let (sender, receiver) = self.jobs.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel();
            (sender, Arc::new(Mutex::new(receiver)))
        });
        if self.threads < THREADS_MAX {
            let receiver = receiver.clone();
            thread::Builder::new().name("swio-resolver".into()).spawn(move || work(&receiver))?;
            self.threads += 1;
        }
        let job: Job = Box::new(move || tell(look_up(&host, port)));
        sender.send(job).map_err(|_| io::Error::other("the resolver has ended"))
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        // Nothing that can panic runs under the lock; the thread that has it waits for the next job.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

/// Blocks until the system's resolver has an answer.
pub(crate) fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.take(ADDRESSES_MAX).collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_question_is_answered() {
        let (sender, receiver) = mpsc::channel();
        let mut resolver = Resolver::default();
        // Longer than a name may be: no name server is asked.
        let none = format!("{}.invalid", "x".repeat(64));
        let names = ["127.0.0.1", "::1", "localhost", &none, "127.0.0.1", "127.0.0.1"];
        for (number, host) in names.iter().enumerate() {
            let sender = sender.clone();
            let tell = move |found| sender.send((number, found)).expect("the test waits");
            resolver.resolve((*host).to_owned(), 80, tell).expect("a thread");
        }
        for _ in 0..names.len() {
            let (number, found) = receiver.recv_timeout(Duration::from_secs(30)).expect("an answer");
            let is_found = found.is_ok_and(|addresses| addresses.iter().all(|address| address.port() == 80));
            assert_eq!(is_found, !names[number].ends_with("invalid"), "{}", names[number]);
        }
        assert_eq!(resolver.threads, THREADS_MAX);
    }
}
