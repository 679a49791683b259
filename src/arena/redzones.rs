//! Painted bytes on both sides of an array: a kernel that writes past its output leaves a mark there.
#![allow(unsafe_code)] // bytes between arrays, by their address

use std::ops::Range;

use super::Arena;
use crate::sync::{AtomicU8, Relaxed};

/// Bytes of a zone, one on each side: a cache line.
pub(super) const ZONE_BYTES: usize = 64;
const PAINT: u8 = 0xd5;

/// A write outside an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overrun {
    /// The byte that was found changed, counted from the array's first: below 0, or beyond its last.
    pub(crate) byte: i64,
}

impl Arena {
    /// Paints the zones of an array of `len_bytes` bytes at `offset`.
    pub(super) fn paint(&self, offset: usize, len_bytes: usize) {
        for zone in zones(offset, len_bytes) {
            for byte in self.zone(&zone) {
                // Relaxed: two jobs over one array may look at the same time.
                byte.store(PAINT, Relaxed);
            }
        }
    }

    /// Looks for writes outside an array that lies at `offset`, and paints over them; `None` if there are none, or if
    /// this arena's arrays have no zones.
    pub(crate) fn overrun(&self, offset: u64, len_bytes: u64) -> Option<Overrun> {
        if self.inner.zone_bytes == 0 || len_bytes == 0 {
            return None;
        }
        let (offset, len_bytes) = (offset as usize, len_bytes as usize);
        let changed = zones(offset, len_bytes).into_iter().flatten().find(|&byte| {
            // Relaxed: the job has ended.
            self.zone(&(byte..byte + 1))[0].load(Relaxed) != PAINT
        })?;
        self.paint(offset, len_bytes);
        Some(Overrun { byte: changed as i64 - offset as i64 })
    }

    fn zone(&self, zone: &Range<usize>) -> &[AtomicU8] {
        let place = self.inner.mapping.at(zone.start as u64, zone.len());
        let first = place.expect("zones lie in the arena, as their array does").as_ptr();
        // SAFETY: inside the mapping, as `at` has seen, which lives as long as `self`; `allocate` has reserved the zones
        // with the array, so that nobody has a reference to these bytes but through here [B1]. Who writes there without
        // one is what we look for.
        unsafe { std::slice::from_raw_parts(first.cast(), zone.len()) }
    }
}

fn zones(offset: usize, len_bytes: usize) -> [Range<usize>; 2] {
    let end = offset + len_bytes;
    [offset - ZONE_BYTES..offset, end..end.next_multiple_of(ZONE_BYTES) + ZONE_BYTES]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_on_either_side_is_found_once() {
        let arena = Arena::builder().capacity(1 << 20).redzones(true).create().unwrap();
        let arrays = [1_usize, 64, 100].map(|n| arena.array_with(n, |i| i as u8).unwrap());
        for array in &arrays {
            let (offset, len) = (array.block().offset(), array.len() as u64);
            assert_eq!(offset % 64, 0);
            assert_eq!(arena.overrun(offset, len), None);
            for byte in [-64, -1, len as i64, (len.next_multiple_of(64) + 63) as i64] {
                let place = (offset as i64 + byte) as u64;
                // SAFETY: a byte of the array's own zones.
                unsafe { arena.inner.mapping.at(place, 1).unwrap().write(0) };
                assert_eq!(arena.overrun(offset, len), Some(Overrun { byte }));
                assert_eq!(arena.overrun(offset, len), None);
            }
        }
        assert!(arrays.iter().all(|array| array.iter().enumerate().all(|(i, &x)| x == i as u8)));
    }

    #[test]
    fn arrays_without_zones_are_not_looked_at() {
        let arena = Arena::builder().capacity(1 << 20).create().unwrap();
        let array = arena.array_from(&[1_u8; 64]).unwrap();
        assert_eq!(arena.overrun(array.block().offset(), 64), None);
    }

    #[test]
    fn kept_pages_are_cleared_behind_a_zone_too() {
        let arena = Arena::builder().capacity(1 << 20).redzones(true).create().unwrap();
        for n in [1000, 999, 500, 3000] {
            let mut array = arena.zeros::<u8>(n).unwrap();
            assert!(array.iter().all(|&x| x == 0), "{n}");
            array.fill(7);
        }
    }
}
