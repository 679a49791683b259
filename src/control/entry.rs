//! The two words of an entry: who has the lease, and the task its owner is at.

use super::worker::EntryWords;
use crate::sync::{AcqRel, Acquire, Relaxed, Release, SeqCst, compiler_fence};

/// Where a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    Free = 0,
    Pending = 1,
    Running = 2,
    Done = 3,
    Failed = 4,
    Cancelled = 5,
}

/// Who runs a lease: the worker's slot, and which of the processes that have filled it (for messages alone: a
/// slot is filled again only after its leases were taken back).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) slot: u16,
    pub(crate) incarnation: u16,
}

/// The state word: `tag` in bits 60..64, `owner` (slot, incarnation) in 28..60, `seq` in 0..28.
///
/// `seq` counts the uses of the entry, so that a stale word normally fails; nothing depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct State(pub(crate) u64);

const SEQ_BITS: u32 = 28;
const SEQ_MASK: u64 = (1 << SEQ_BITS) - 1;

impl State {
    pub(crate) fn new(tag: Tag, seq: u32) -> Self {
        State(((tag as u64) << 60) | (u64::from(seq) & SEQ_MASK))
    }

    pub(crate) fn owned(self, tag: Tag, owner: Owner) -> Self {
        let owner = (u64::from(owner.slot) << 16) | u64::from(owner.incarnation);
        State(((tag as u64) << 60) | (owner << SEQ_BITS) | (self.0 & SEQ_MASK))
    }

    /// `None` for a tag that nobody writes.
    pub(crate) fn tag(self) -> Option<Tag> {
        Some(match self.0 >> 60 {
            0 => Tag::Free,
            1 => Tag::Pending,
            2 => Tag::Running,
            3 => Tag::Done,
            4 => Tag::Failed,
            5 => Tag::Cancelled,
            _ => return None,
        })
    }

    pub(crate) fn owner(self) -> Owner {
        let owner = (self.0 >> SEQ_BITS) as u32;
        Owner { slot: (owner >> 16) as u16, incarnation: owner as u16 }
    }

    pub(crate) fn seq(self) -> u32 {
        (self.0 & SEQ_MASK) as u32
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} by {:?}, use {}", self.tag(), self.owner(), self.seq())
    }
}

/// The cursor word: the next task, and whether its owner has begun it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) next: u64,
    pub(crate) started: bool,
}

impl Cursor {
    fn pack(self) -> u64 {
        (self.next << 1) | u64::from(self.started)
    }
}

/// A lease that is ours: `RUNNING` with our name stands in the table.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) entry: u32,
    pub(crate) state: State,
}

impl EntryWords {
    /// Parent: offers the lease. The descriptor is written, and a hint follows.
    pub(crate) fn offer(&self, start: u32, seq: u32) {
        // Relaxed: nobody reads the cursor before it has seen the state below.
        self.cursor.store(Cursor { next: start.into(), started: false }.pack(), Relaxed);
        // Release [R2]: publishes cursor, descriptor and job slot; pairs with A3 in `try_claim`.
        self.state.store(State::new(Tag::Pending, seq).0, Release);
    }

    /// Parent: withdraws a lease that nobody has claimed; false if somebody has.
    pub(crate) fn try_cancel(&self, seq: u32) -> bool {
        let (pending, cancelled) = (State::new(Tag::Pending, seq), State::new(Tag::Cancelled, seq));
        // AcqRel: one more competitor of `try_claim` for the same word, with nothing of its own to publish.
        self.state.compare_exchange(pending.0, cancelled.0, AcqRel, Acquire).is_ok()
    }

    /// Parent: the lease is accounted for and its entry waits for its next use.
    pub(crate) fn free(&self, seq: u32) {
        // Release: what the parent read of the entry stays before; the next owner gets it through `offer`
        // anyway.
        self.state.store(State::new(Tag::Free, seq).0, Release);
    }

    /// The state now. Acquire [A4]: pairs with R3 in `finish`, the outputs of a finished lease are visible.
    pub(crate) fn state(&self) -> State {
        State(self.state.load(Acquire))
    }

    /// The cursor now. Acquire [A5]: pairs with R4, the outputs of the tasks before it are visible.
    pub(crate) fn cursor(&self) -> Cursor {
        let word = self.cursor.load(Acquire);
        Cursor { next: word >> 1, started: word & 1 == 1 }
    }

    /// Worker: takes the lease if it is pending. `Err(true)` if somebody else was faster just now.
    pub(crate) fn try_claim(&self, entry: u32, me: Owner) -> Result<Claim, bool> {
        // Acquire [A3]: pairs with R2; what the lease covers is visible once we see it pending.
        let seen = State(self.state.load(Acquire));
        if seen.tag() != Some(Tag::Pending) {
            return Err(false);
        }
        let mine = seen.owned(Tag::Running, me);
        // AcqRel: Acquire again for the value that is replaced; Release so that whoever loads `RUNNING` after
        // us and passes the hint by has seen it claimed (invariant I1).
        match self.state.compare_exchange(seen.0, mine.0, AcqRel, Acquire) {
            Ok(_) => Ok(Claim { entry, state: mine }),
            Err(_) => Err(true),
        }
    }

    /// Worker: about to run `task`.
    pub(crate) fn begin(&self, task: u64) {
        // The fences keep the compiler from moving the task's stores before this word or past the next: a
        // Release store lets later ones rise above it, and an in-place task could be seen half done under the
        // cursor before it.
        compiler_fence(SeqCst);
        self.cursor.store(Cursor { next: task, started: true }.pack(), Release);
        compiler_fence(SeqCst);
    }

    /// Worker: `task` is done, its outputs are written.
    pub(crate) fn end(&self, task: u64) {
        compiler_fence(SeqCst);
        // Release [R4]: publishes the outputs of the task; pairs with A5.
        self.cursor.store(Cursor { next: task + 1, started: false }.pack(), Release);
        compiler_fence(SeqCst);
    }

    /// Worker: the lease ends as `tag`; false if the parent has taken it from us, which a live worker never
    /// sees.
    pub(crate) fn finish(&self, claim: &Claim, tag: Tag) -> bool {
        let ended = claim.state.owned(tag, claim.state.owner());
        // Release [R3]: publishes the outputs and the message; pairs with A4.
        self.state.compare_exchange(claim.state.0, ended.0, Release, Relaxed).is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_state_keeps_its_parts_apart() {
        let owner = Owner { slot: 0xfedc, incarnation: 0x1234 };
        let state = State::new(Tag::Pending, 0x0fff_ffff).owned(Tag::Running, owner);
        assert_eq!(state.tag(), Some(Tag::Running));
        assert_eq!(state.owner(), owner);
        assert_eq!(state.seq(), 0x0fff_ffff);
        assert_eq!(State(u64::MAX).tag(), None);
        assert_eq!(State(0).tag(), Some(Tag::Free));
    }
}
