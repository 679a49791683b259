//! Memory that a worker keeps from one tile to the next.

use std::any::Any;

use bytemuck::{Pod, Zeroable};

use crate::{Level, Step};

/// One cache line, so that every buffer starts on one.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE_BYTES]);

/// Bytes of a cache line; rows of intermediate images start on one.
pub(crate) const LINE_BYTES: usize = 64;

/// A buffer that grows when more is asked for and is otherwise used again as it is.
#[derive(Default)]
pub(crate) struct Buffer(Vec<Line>);

impl Buffer {
    /// The first `n_bytes`, with whatever was left there.
    pub(crate) fn bytes(&mut self, n_bytes: usize) -> &mut [u8] {
        let n_lines = n_bytes.div_ceil(LINE_BYTES);
        if self.0.len() < n_lines {
            // A fresh vector rather than `resize`, which would copy what nobody reads.
            self.0 = Vec::new();
            self.0 = vec![Line::zeroed(); n_lines];
        }
        &mut bytemuck::cast_slice_mut(&mut self.0)[..n_bytes]
    }
}

/// The buffers of one thread that runs tiles. They grow to what the largest tile so far needed.
#[derive(Default)]
pub struct Scratch {
    /// What one step leaves for the next; two, since a step reads one and writes the other.
    pub(crate) bands: [Buffer; 2],
    pub(crate) workspace: Workspace,
    pub(crate) tables: Tables,
}

impl Scratch {
    /// No memory yet.
    #[must_use]
    pub fn new() -> Self {
        Scratch::default()
    }

    /// Gives all memory back to the allocator, for a worker that goes to sleep.
    pub fn release(&mut self) {
        *self = Scratch::default();
    }

    /// Bytes of the buffers that are held now. The table of a gather kernel comes on top: as a rule some bytes for
    /// each row and column of its result.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let [even, odd] = &self.bands;
        [even, odd, &self.workspace.buffer].into_iter().map(|buffer| buffer.0.len() * LINE_BYTES).sum()
    }
}

/// Memory for a kernel to keep sums or rows in while it works on one tile.
pub struct Workspace {
    buffer: Buffer,
    pub(crate) level: Level,
}

impl Default for Workspace {
    fn default() -> Self {
        Workspace { buffer: Buffer::default(), level: Level::Baseline }
    }
}

impl Workspace {
    /// `n` values, aligned to 64 bytes, with whatever the last tile left in them.
    pub fn values<T: Pod>(&mut self, n: usize) -> &mut [T] {
        const { assert!(align_of::<T>() <= LINE_BYTES) };
        bytemuck::cast_slice_mut(self.buffer.bytes(n * size_of::<T>()))
    }

    /// The level that the kernel is running at, for loops written by hand; the CPU has it.
    #[must_use]
    #[inline(always)]
    pub fn level(&self) -> Level {
        self.level
    }
}

/// The table that a gather kernel made for its source, kept from one tile of a plan to the next.
#[derive(Default)]
pub(crate) struct Tables(Option<Kept>);

struct Kept {
    step: Step,
    source: [usize; 3],
    table: Box<dyn Any + Send>,
}

impl Tables {
    /// The table of `step` for a source of that shape: the one from before if it is the same, or else what `make`
    /// makes. Steps are compared by code and parameters, so equal ones make equal tables.
    pub(crate) fn of<T: Send + 'static>(
        &mut self,
        step: &Step,
        source: [usize; 3],
        make: impl FnOnce([usize; 3]) -> T,
    ) -> &T {
        let kept = self.0.take().filter(|kept| kept.step == *step && kept.source == source);
        let kept = kept.unwrap_or_else(|| Kept { step: *step, source, table: Box::new(make(source)) });
        let table = &self.0.insert(kept).table;
        table.downcast_ref().expect("equal steps have tables of one type")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_until_it_is_released() {
        let mut scratch = Scratch::new();
        assert_eq!(scratch.held_bytes(), 0);
        scratch.workspace.values::<f32>(33)[32] = 1.0;
        assert_eq!(scratch.held_bytes(), 192);
        assert_eq!(scratch.workspace.values::<u8>(3).len(), 3);
        assert_eq!(scratch.held_bytes(), 192);
        assert_eq!(scratch.bands[1].bytes(1).as_ptr().align_offset(64), 0);
        scratch.release();
        assert_eq!(scratch.held_bytes(), 0);
    }
}
