//! Signals of the operating system as readiness events. While no server listens they have their default effect, for
//! example when a server has ended and its program goes on.

use mio::{Interest, Registry, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What an operator asks for by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// By the signal of this name.
    Terminate(&'static str),
    /// SIGHUP.
    Hangup,
}

/// The state that the signal handlers of the process look at. They are installed once and stay.
struct Process {
    /// No server listens to signals.
    is_unheard: Arc<AtomicBool>,
    /// A signal to end has arrived that no server has taken yet.
    is_untaken: Arc<AtomicBool>,
    listeners: usize,
}

static PROCESS: Mutex<Option<Process>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Process>> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes SIGTERM, SIGINT and SIGHUP while it lives.
pub(crate) struct Signals(signal_hook_mio::v1_0::Signals);

impl Signals {
    pub(crate) fn new() -> io::Result<Signals> {
        let mut process = lock();
        let process = match &mut *process {
            Some(process) => process,
            none => none.insert(install()?),
        };
        let signals = signal_hook_mio::v1_0::Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        process.listeners += 1;
        process.is_untaken.store(false, Ordering::SeqCst);
        process.is_unheard.store(false, Ordering::SeqCst);
        Ok(Signals(signals))
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.0, token, Interest::READABLE)
    }

    /// The signals that arrived since the last call.
    pub(crate) fn take(&mut self) -> Vec<Signal> {
        // Before they are read: one that arrives in between is seen the next time.
        if let Some(process) = &*lock() {
            process.is_untaken.store(false, Ordering::SeqCst);
        }
        let signal = |number| match number {
            SIGHUP => Signal::Hangup,
            SIGINT => Signal::Terminate("SIGINT"),
            _ => Signal::Terminate("SIGTERM"),
        };
        self.0.pending().map(signal).collect()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if let Some(process) = &mut *lock() {
            process.listeners -= 1;
            process.is_unheard.store(process.listeners == 0, Ordering::SeqCst);
        }
    }
}

/// A second signal to end while the first is still waiting, because a callback hangs, has its default effect: it ends
/// the process. Actions run in the order in which they are registered.
fn install() -> io::Result<Process> {
    let (is_unheard, is_untaken) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        flag::register_conditional_default(signal, is_unheard.clone())?;
    }
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_default(signal, is_untaken.clone())?;
        flag::register(signal, is_untaken.clone())?;
    }
    Ok(Process { is_unheard, is_untaken, listeners: 0 })
}
