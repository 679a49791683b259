#![doc = include_str!("README.md")]

#[cfg(all(test, loom))]
mod model;

use crate::control::entry::{Claim, Owner};
use crate::control::parent::RingCells;
use crate::control::worker::{EntryWords, RingHead};
use crate::control::{EntryIndex, N_CELLS};
use crate::sync::{AcqRel, Acquire, Relaxed, Release};

/// Why a hint could not be pushed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// As many hints wait as the ring holds; the caller keeps this one for later.
    Full,
    /// The head has gone back, or beyond the tail: no honest worker wrote that.
    Head(u64),
}

/// Both halves of one ring.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    pub(crate) parent: &'a RingCells,
    pub(crate) workers: &'a RingHead,
}

impl Ring<'_> {
    /// Parent, under its lock: pushes a hint for an entry that is pending already; where it stands. `seen` is where
    /// the head was at the last push, and is brought up to date.
    pub(crate) fn try_push(self, hint: EntryIndex, seen: &mut u64) -> Result<u64, Refused> {
        // Relaxed: only the parent writes the tail, and its lock orders its threads.
        let tail = self.parent.tail.0.load(Relaxed);
        // Acquire [A2]: pairs with R5 in `take`; the cells below the head have been passed for good.
        let head = self.workers.head.load(Acquire);
        if !(*seen..=tail).contains(&head) {
            return Err(Refused::Head(head));
        }
        *seen = head;
        if tail - head >= N_CELLS {
            return Err(Refused::Full);
        }
        // Relaxed: published by the tail.
        self.parent.cells[(tail % N_CELLS) as usize].store(hint.0, Relaxed);
        // Release [R1]: publishes the cell and the entry's pending state; pairs with A1 in `take`.
        self.parent.tail.0.store(tail + 1, Release);
        Ok(tail)
    }

    /// Parent: true if the head has passed `position`. Who moved it there had seen the entry of that hint claimed.
    pub(crate) fn has_passed(self, position: u64) -> bool {
        // Acquire [A7]: pairs with R5 in `take`; the entry's state, read after this, is no older than what the passer
        // saw.
        self.workers.head.load(Acquire) > position
    }

    /// Parent: true if the head is below where it was seen before.
    pub(crate) fn head_is_below(self, seen: u64) -> bool {
        // Relaxed: compared with what this side has read under its lock, and nothing hangs on it.
        self.workers.head.load(Relaxed) < seen
    }

    /// Parent, under its lock: true if the next push will find a place. `seen` as for [`try_push`](Ring::try_push).
    pub(crate) fn has_room(self, seen: u64) -> bool {
        // Relaxed: the push looks again, and a head that is further by then leaves more room.
        let head = self.workers.head.load(Relaxed).max(seen);
        self.parent.tail.0.load(Relaxed).saturating_sub(head) < N_CELLS
    }

    /// Worker, before it sleeps: true if a hint waits, stale or not.
    pub(crate) fn has_hints(self) -> bool {
        // Relaxed: the fence in `park` orders both loads, and a look that finds nothing costs no more than itself.
        self.workers.head.load(Relaxed) < self.parent.tail.0.load(Relaxed)
    }

    /// Worker: takes the first pending entry that the ring hints at, if there is one.
    pub(crate) fn take(self, entries: &[EntryWords], me: Owner) -> Option<Claim> {
        loop {
            // Acquire: a head that another consumer moved (R5) comes with the claim it saw.
            let head = self.workers.head.load(Acquire);
            // Acquire [A1]: pairs with R1 in `try_push`.
            if head >= self.parent.tail.0.load(Acquire) {
                return None;
            }
            // Relaxed: published by the tail; overwritten only after the head has passed it, and then the CAS
            // below fails.
            let index = self.parent.cells[(head % N_CELLS) as usize].load(Relaxed);
            // The parent writes no index beyond the table; a mapping gone wrong must still not take us out of
            // it.
            let claim = match entries.get(index as usize).map(|entry| entry.try_claim(index, me)) {
                Some(Ok(claim)) => Some(claim),
                Some(Err(true)) => continue, // somebody else claimed it: they, or we on the next round, pass it
                Some(Err(false)) | None => None,
            };
            // Release [R5]: whoever sees the new head sees that the entry was not pending. The result does
            // not matter: if it fails, somebody has helped.
            let _ = self.workers.head.compare_exchange(head, head + 1, AcqRel, Relaxed);
            if claim.is_some() {
                return claim;
            }
        }
    }

    /// Hints that wait, as far as the head can be believed.
    #[cfg(all(test, loom))]
    pub(crate) fn waiting(self) -> u64 {
        self.parent.tail.0.load(Relaxed).saturating_sub(self.workers.head.load(Relaxed))
    }
}
