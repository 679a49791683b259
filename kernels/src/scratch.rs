//! Memory that a worker keeps from one tile to the next.

use bytemuck::{Pod, Zeroable};

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

    /// Bytes that are held now.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let [even, odd] = &self.bands;
        [even, odd, &self.workspace.0].into_iter().map(|buffer| buffer.0.len() * LINE_BYTES).sum()
    }
}

/// Memory for a kernel to keep sums or rows in while it works on one tile.
#[derive(Default)]
pub struct Workspace(Buffer);

impl Workspace {
    /// `n` values, aligned to 64 bytes, with whatever the last tile left in them.
    pub fn values<T: Pod>(&mut self, n: usize) -> &mut [T] {
        const { assert!(align_of::<T>() <= LINE_BYTES) };
        bytemuck::cast_slice_mut(self.0.bytes(n * size_of::<T>()))
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
