//! Dropping what waits in an outbox: messages to make room for newer ones, or everything that was not begun.

use super::{Bytes, Kind, Outbox, Run, Terms};

impl Outbox {
    /// Drops the oldest messages that may be dropped, except the one with the key `kept`, until the cost is `excess`
    /// less. Returns how many; `None`, and nothing is dropped, if that would not be enough.
    pub(crate) fn drop_oldest(&mut self, excess: usize, kept: Option<u64>) -> Option<u64> {
        let is_kept = |terms: Terms| !terms.may_drop || kept.is_some() && terms.key == kept;
        let mut droppable = self.droppable;
        let kept_run = kept.and_then(|key| self.find(key)).map(|at| &self.runs[at]);
        let begun_run = self.runs.front().filter(|_| self.written > 0);
        for run in kept_run.into_iter().chain(begun_run) {
            droppable -= if run.terms().is_some_and(|terms| terms.may_drop) { run.cost() } else { 0 };
        }
        if droppable < excess {
            return None;
        }
        let (mut at, mut freed, mut count) = (self.begun(), 0, 0);
        while freed < excess {
            if self.runs[at].terms().is_none_or(is_kept) {
                at += 1;
                continue;
            }
            let run = self.runs.remove(at).expect("just looked at");
            self.bytes -= run.bytes().len();
            self.uncount(&run);
            self.pinned -= usize::from(at < self.pinned);
            freed += run.cost();
            count += 1;
        }
        self.shrink();
        Some(count)
    }

    /// Drops everything of which nothing was written. What stays ends with a whole run. Where the runs in a tail end is
    /// not known, so a tail that was begun stays as a whole; so does what is pinned, because its beginning may have
    /// been written directly.
    pub(crate) fn discard_unbegun(&mut self) {
        let mut kept = self.pinned.max(self.begun());
        if self.runs.front().is_some_and(Run::is_joined) {
            kept = kept.max(1);
        }
        while self.runs.get(kept).is_some_and(Run::is_joined) && !self.cut_head_off(kept) {
            kept += 1;
        }
        while self.runs.len() > kept {
            let run = self.runs.pop_back().expect("more than are kept");
            self.bytes -= run.bytes().len();
            self.uncount(&run);
        }
        // A tail may have become empty.
        self.advance(0);
        self.spare = Vec::new();
    }

    /// Cuts the head of the joined run at `at` off the tail before it, if nothing of it is written.
    fn cut_head_off(&mut self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return false };
        let written = if before == 0 { self.written } else { 0 };
        let Kind::Joined { head } = self.runs[at].kind else { return false };
        let Run { bytes: Bytes::Own(tail), kind: Kind::Tail, .. } = &mut self.runs[before] else {
            return false;
        };
        match tail.len().checked_sub(head).filter(|rest| *rest >= written) {
            Some(rest) => {
                tail.truncate(rest);
                self.bytes -= head;
                true
            }
            None => false,
        }
    }
}
