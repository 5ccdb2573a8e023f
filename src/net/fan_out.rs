//! One pass over many connections: each gets one of several runs of bytes, or none. A run is made when the first
//! connection asks for it, and goes into the batch once. If the batch has to be written out in the middle of the
//! pass, the runs that are still asked for are put into it again.

use super::batch::Span;
use super::connection::{Connection, Flags, Life};
use super::connections::{Connections, mark_dirty};
use super::flush::FlushFrom;
use super::outbox::Bytes;
use super::quota::{Delivery, Refused};
use super::rare::SessionState;
use crate::fd::Fd;

/// What became of a pass.
#[derive(Debug, Default)]
pub(crate) struct FanOut {
    /// How many took their run.
    pub(crate) queued: usize,
    /// How many asked for a run that is empty: there was nothing to write.
    pub(crate) empty: usize,
    /// How many asked for a run that can't be made.
    pub(crate) unsendable: usize,
    /// Who could not take it.
    pub(crate) refused: Vec<(Fd, Refused)>,
}

/// What all connections get that ask for this form.
struct FormRun {
    form: u8,
    /// `None` if it can't be made.
    bytes: Option<Bytes>,
    /// Where it is in the batch, if it is.
    span: Option<Span>,
}

impl FormRun {
    fn bytes(&self) -> &[u8] {
        self.bytes.as_ref().map_or(&[], Bytes::as_slice)
    }
}

/// The runs of a pass. Most passes have one, which costs no allocation.
#[derive(Default)]
struct Runs {
    first: Option<FormRun>,
    others: Vec<FormRun>,
}

impl Runs {
    fn all_mut(&mut self) -> impl Iterator<Item = &mut FormRun> {
        self.first.iter_mut().chain(&mut self.others)
    }

    fn find(&mut self, form: u8) -> Option<usize> {
        self.all_mut().position(|run| run.form == form)
    }

    fn add(&mut self, run: FormRun) -> usize {
        if self.first.is_none() {
            self.first = Some(run);
            return 0;
        }
        self.others.push(run);
        self.others.len()
    }

    fn at(&mut self, number: usize) -> &mut FormRun {
        match number.checked_sub(1) {
            None => self.first.as_mut().expect("the number is of a run"),
            Some(number) => &mut self.others[number],
        }
    }
}

/// The run that the last connection asked for.
#[derive(Clone, Copy)]
struct Current {
    form: u16,
    /// Its place among the runs.
    number: usize,
    /// `NOT_BATCHED` if it does not go by way of the batch.
    len: usize,
    span: Span,
}

/// Queueing for so many takes as long as a message.
const QUEUED_OF_WORK: usize = 16;
const NO_FORM: u16 = 1 << 8;
/// More than a span may have, and little enough that a span's length can be added.
const NOT_BATCHED: usize = usize::MAX / 2;

impl<S: SessionState> Connections<S> {
    /// Queues a run for each open connection at one of these places in the table. `choose` gives the form of the run
    /// that a connection gets, or `None` if it gets none; `encode` makes the run of a form, and is called once for
    /// each form that was given. `encode` gives `None` if the message has no such form.
    pub(crate) fn fan_out(
        &mut self,
        delivery: Delivery,
        indices: impl Iterator<Item = u32>,
        mut choose: impl FnMut(Fd, &Connection<S>) -> Option<u8>,
        mut encode: impl FnMut(u8) -> Option<Bytes>,
    ) -> FanOut {
        let early_bytes = self.early_bytes();
        let mut runs = Runs::default();
        let mut current = Current { form: NO_FORM, number: 0, len: NOT_BATCHED, span: Span::default() };
        let mut result = FanOut::default();
        for index in indices {
            let Some((fd, mut connection)) = self.table.at_mut(index) else { continue };
            if connection.life != Life::Open {
                continue;
            }
            let Some(form) = choose(fd, connection) else { continue };
            if u16::from(form) != current.form {
                current = self.switch(&mut runs, form, delivery, &mut encode);
                // What was written out to make room may have ended it.
                let Some((_, still)) = self.table.at_mut(index) else { continue };
                if still.life != Life::Open {
                    continue;
                }
                connection = still;
            }
            // What most connections need is done here, without looking the connection up again.
            if connection.outbox.is_none()
                && !connection.flags.has(Flags::BLOCKED)
                && connection.span.len() + current.len < early_bytes
                && self.batch.extend(&mut connection.span, current.span, self.limits.batch_bytes_max)
            {
                mark_dirty(fd, connection, &mut self.dirty);
                result.queued += 1;
                continue;
            }
            if current.len < early_bytes && self.put_alone(fd, current.span) {
                result.queued += 1;
                continue;
            }
            match &mut runs.at(current.number).bytes {
                None => result.unsendable += 1,
                Some(bytes) if bytes.as_slice().is_empty() => result.empty += 1,
                Some(bytes) => match self.write_shared(fd, bytes, delivery) {
                    Ok(()) => result.queued += 1,
                    Err(refused) => result.refused.push((fd, refused)),
                },
            }
        }
        self.clock.charge(result.queued / QUEUED_OF_WORK);
        result
    }

    /// Writes what a connection has in the batch, which is too much together with this run, and then queues the run.
    /// False if it has to wait in an outbox.
    #[cold]
    fn put_alone(&mut self, fd: Fd, run: Span) -> bool {
        let takes_all = |connection: &Connection<S>| {
            connection.life == Life::Open
                && connection.outbox.is_none()
                && !connection.flags.has(Flags::BLOCKED)
        };
        let Some(connection) = self.table.get(fd).filter(|connection| takes_all(connection)) else {
            return false;
        };
        if connection.span.len() + run.len() >= self.early_bytes() {
            self.write_out(fd, FlushFrom::Queueing);
        }
        let Some(connection) = self.table.get_mut(fd).filter(|connection| takes_all(connection)) else {
            return false;
        };
        if !connection.span.is_empty() {
            return false;
        }
        connection.span = run;
        mark_dirty(fd, connection, &mut self.dirty);
        true
    }

    /// Finds the run of a form, or has it made, and sees to it that it is in the batch if it goes that way.
    #[inline(never)]
    fn switch(
        &mut self,
        runs: &mut Runs,
        form: u8,
        delivery: Delivery,
        encode: &mut impl FnMut(u8) -> Option<Bytes>,
    ) -> Current {
        let number =
            runs.find(form).unwrap_or_else(|| runs.add(FormRun { form, bytes: encode(form), span: None }));
        let len = runs.at(number).bytes().len();
        // What has a key of its own is never written together with others.
        if len == 0 || len >= self.early_bytes() || delivery.key.is_some() {
            return Current { form: form.into(), number, len: NOT_BATCHED, span: Span::default() };
        }
        let span = match runs.at(number).span {
            Some(span) => span,
            None => {
                if self.make_room(len) {
                    runs.all_mut().for_each(|run| run.span = None);
                }
                let run = runs.at(number);
                let span = self.batch.add_shared(form, run.bytes());
                run.span = Some(span);
                span
            }
        };
        Current { form: form.into(), number, len, span }
    }
}
