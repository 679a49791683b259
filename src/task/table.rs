//! The parent's account of the table's entries: which are free, what each holds, and where the hints at them stand.

use std::collections::VecDeque;
use std::ops::Index;

use super::mirror::{Control, Corrupt};
use crate::control::{EntryIndex, N_ENTRIES};
use crate::ring::Refused;
use crate::sync::Relaxed;

/// The mirror of one entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) seq: u32,
    pub(super) ring: u16,
    /// Where its latest hint stands in that ring; `None` while it waits in the overflow list.
    pub(super) position: Option<u64>,
}

/// Every entry of a pool, and its rings.
pub(super) struct Table {
    /// Grows up to [`N_ENTRIES`] as entries are first used.
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Free, but a hint at them stands in a ring still: whoever took the next use by that one would take it out of turn.
    resting: VecDeque<u32>,
    /// Where the head of each ring was when it was last looked at.
    heads: Vec<u64>,
    /// Hints that found their ring full.
    overflow: Vec<VecDeque<u32>>,
}

impl Index<u32> for Table {
    type Output = Entry;

    fn index(&self, entry: u32) -> &Entry {
        &self.entries[entry as usize]
    }
}

impl Table {
    pub(super) fn new(n_rings: usize) -> Self {
        Table {
            entries: Vec::new(),
            free: Vec::new(),
            resting: VecDeque::new(),
            heads: vec![0; n_rings],
            overflow: vec![VecDeque::new(); n_rings],
        }
    }

    /// One ring for each slot of a worker.
    pub(super) fn n_rings(&self) -> usize {
        self.heads.len()
    }

    /// Whether every entry is in use.
    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty() && self.resting.is_empty() && self.entries.len() == N_ENTRIES
    }

    /// A free entry.
    pub(super) fn allocate(&mut self, control: Control<'_>) -> Option<u32> {
        if let Some(entry) = self.free.pop() {
            return Some(entry);
        }
        if let Some(&entry) = self.resting.front()
            && !self.is_hinted(control, entry)
        {
            return self.resting.pop_front();
        }
        if self.entries.len() == N_ENTRIES {
            // Rather out of turn than not at all.
            let awake = self.resting.iter().position(|&entry| !self.is_hinted(control, entry));
            return self.resting.remove(awake.unwrap_or(0));
        }
        self.entries.push(Entry { start: 0, len: 0, seq: 1, ring: 0, position: None });
        Some(self.entries.len() as u32 - 1)
    }

    /// Notes what an entry is to hold; the number of this use.
    pub(super) fn fill(&mut self, entry: u32, ring: u16, start: u32, len: u32) -> u32 {
        let mirror = &mut self.entries[entry as usize];
        *mirror = Entry { start, len, ring, seq: mirror.seq, position: None };
        mirror.seq
    }

    /// The entry is accounted for; its next use has another number.
    pub(super) fn release(&mut self, control: Control<'_>, entry: u32) {
        let Entry { seq, .. } = &mut self.entries[entry as usize];
        *seq = (*seq + 1) & 0x0fff_ffff;
        control.workers.entries[entry as usize].free(*seq);
        self.free.push(entry);
    }

    /// Keeps the entry that was released last from its next use as long as there is a hint at it.
    pub(super) fn let_rest(&mut self, control: Control<'_>, entry: u32) {
        if self.is_hinted(control, entry) && self.free.last() == Some(&entry) {
            self.free.pop();
            self.resting.push_back(entry);
        }
    }

    /// Whether the latest hint at an entry has not been passed.
    fn is_hinted(&self, control: Control<'_>, entry: u32) -> bool {
        self[entry].position.is_some() && !self.is_passed(control, entry)
    }

    /// Whether the latest hint at an entry stands behind the head of its ring.
    pub(super) fn is_passed(&self, control: Control<'_>, entry: u32) -> bool {
        let Entry { ring, position, .. } = self[entry];
        position.is_some_and(|position| control.ring(usize::from(ring)).has_passed(position))
    }

    /// Whether a hint would find a place in that ring.
    pub(super) fn has_room(&self, control: Control<'_>, ring: usize) -> bool {
        self.overflow[ring].is_empty() && control.ring(ring).has_room(self.heads[ring])
    }

    /// Hints at a pending entry, in its ring or in the overflow list.
    pub(super) fn push(&mut self, control: Control<'_>, entry: u32) -> Result<(), Corrupt> {
        let ring = usize::from(self[entry].ring);
        let seen = self.heads[ring];
        match control.ring(ring).try_push(EntryIndex(entry), &mut self.heads[ring]) {
            Ok(position) => self.entries[entry as usize].position = Some(position),
            Err(Refused::Full) => {
                self.entries[entry as usize].position = None;
                self.overflow[ring].push_back(entry);
            }
            Err(Refused::Head(head)) => {
                return Err(Corrupt(format!("the head of ring {ring} went from {seen} to {head}")));
            }
        }
        Ok(())
    }

    /// Whether every hint has found a place in its ring.
    pub(super) fn is_flushed(&self) -> bool {
        self.overflow.iter().all(VecDeque::is_empty)
    }

    /// Hints again at what waits for a place in its ring, as far as there is room.
    pub(super) fn flush(&mut self, control: Control<'_>) -> Result<(), Corrupt> {
        for ring in 0..self.overflow.len() {
            for _ in 0..self.overflow[ring].len() {
                let Some(entry) = self.overflow[ring].pop_front() else { break };
                self.push(control, entry)?;
                if self[entry].position.is_none() {
                    break; // still full
                }
            }
        }
        Ok(())
    }

    /// Heads never go back.
    pub(super) fn check_heads(&self, control: Control<'_>) -> Result<(), Corrupt> {
        for (ring, &seen) in self.heads.iter().enumerate() {
            if control.ring(ring).head_is_below(seen) {
                return Err(Corrupt(format!("the head of ring {ring} went back from {seen}")));
            }
        }
        Ok(())
    }

    /// Begins with empty rings, over a fresh worker-written segment.
    pub(super) fn empty_rings(&mut self, control: Control<'_>) {
        self.heads.fill(0);
        for (ring, overflow) in control.parent.rings.iter().zip(&mut self.overflow) {
            overflow.clear();
            // Relaxed: no worker lives, and the next ones learn of it through their handshake.
            ring.tail.0.store(0, Relaxed);
        }
        self.free.extend(self.resting.drain(..));
    }
}
