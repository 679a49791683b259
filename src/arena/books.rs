//! Who has which bytes of the arena: plain bookkeeping in private memory, with no mapping and no system call.
//!
//! Workers never see it, so a dying one cannot corrupt it.

use std::ops::Range;

use super::kept::Kept;
use super::ranges::RangeSet;

/// Every block starts on a cache line of its own, and so no two leases share one.
const LINE: usize = 64;
/// From here on blocks have pages of their own, so that all of a freed one can be given back.
const PAGED_BYTES: usize = 64 << 10;
/// Size of a huge page; blocks from this size on start on one.
pub(super) const HUGE_PAGE: usize = 2 << 20;
/// Smaller blocks live at the bottom, this many bytes of it at most: one among the large ones would take a
/// bite out of the range that the next large one wants back whole.
const NURSERY_BYTES: usize = 64 << 20;
/// Ranges to look at for a place that is only preferred: there may be a hundred thousand, all of them
/// elsewhere.
const HOME_TRIES: usize = 8;

/// The books of one arena.
///
/// A byte is allocated, free, or on its way back to the system. A free byte may be *stale*: its page is
/// resident still, and holds what was written there; all others read as zeros. Stale bytes are *kept* until
/// they are given back, but for those that share a page with a living block: these wait for its end.
#[derive(Debug)]
pub(super) struct Books {
    capacity: usize,
    page: usize,
    free: RangeSet,
    /// A subset of `free`.
    stale: RangeSet,
    /// A subset of `stale`.
    kept: Kept,
    allocated: usize,
}

/// A place for a block: all of it is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The bytes, rounded up to what the block is to have for itself.
    pub(super) range: Range<usize>,
    /// The parts that are resident, and hold old bytes. The rest reads as zeros.
    pub(super) stale: Vec<Range<usize>>,
}

impl Place {
    /// Bytes that have no page yet.
    pub(super) fn fresh_bytes(&self) -> usize {
        self.range.len() - self.stale.iter().map(ExactSizeIterator::len).sum::<usize>()
    }
}

impl Books {
    /// An empty arena; `capacity` is a multiple of the page size.
    pub(super) fn new(capacity: usize, page: usize) -> Books {
        let mut free = RangeSet::default();
        free.insert(0..capacity);
        Books { capacity, page, free, stale: RangeSet::default(), kept: Kept::default(), allocated: 0 }
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        self.allocated
    }

    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.bytes()
    }

    /// The largest block that there is room for, give or take its alignment.
    pub(super) fn longest_free(&self) -> usize {
        self.free.longest()
    }

    /// Finds a place for `len` bytes (above 0), and changes nothing.
    ///
    /// Resident bytes come first: a call that makes the same arrays as the last one gets the same warm pages.
    /// Then the tightest fit, at the lowest address.
    pub(super) fn plan(&self, len: usize) -> Option<Place> {
        if len > self.capacity {
            return None;
        }
        let (unit, align) = match len {
            ..PAGED_BYTES => (LINE, LINE),
            PAGED_BYTES..HUGE_PAGE => (self.page, self.page),
            HUGE_PAGE.. => (self.page, HUGE_PAGE),
        };
        let len = len.next_multiple_of(unit);
        let split = (self.capacity / 16).min(NURSERY_BYTES) / HUGE_PAGE * HUGE_PAGE;
        let home = if align == HUGE_PAGE { split..self.capacity } else { 0..split };
        let everywhere = 0..self.capacity;
        let range = [
            (&self.stale, &home, HOME_TRIES),
            (&self.free, &home, HOME_TRIES),
            (&self.stale, &everywhere, HOME_TRIES),
            (&self.free, &everywhere, usize::MAX),
        ]
        .into_iter()
        .find_map(|(set, window, n_tries)| set.best_fit(len, align, window, n_tries))?;
        Some(Place { stale: self.stale.overlaps(range.clone()), range })
    }

    /// Allocates a place that was planned on these books as they are.
    pub(super) fn take(&mut self, place: &Place) {
        self.withdraw(place.range.clone());
        self.allocated += place.range.len();
    }

    /// Takes a block back. Its pages are kept from this second on.
    pub(super) fn free(&mut self, range: Range<usize>, second: u64) {
        self.allocated -= range.len();
        self.keep(range, second);
    }

    /// Withdraws what was freed at `second` or before, and the oldest of what is beyond `bytes_max`, but no more than
    /// `at_most` bytes: the caller punches these whole pages, and returns them by [`put_back`](Books::put_back) or
    /// [`keep`](Books::keep).
    pub(super) fn take_overdue(
        &mut self,
        second: Option<u64>,
        bytes_max: usize,
        mut at_most: usize,
    ) -> Vec<Range<usize>> {
        let mut overdue = Vec::new();
        while let Some((mut range, freed)) = self.kept.oldest() {
            if at_most < self.page {
                break;
            }
            if second.is_none_or(|second| freed > second) {
                let excess = self.kept.bytes().saturating_sub(bytes_max);
                if excess == 0 {
                    break;
                }
                // From its end, so that the rest stays where the next block of this size begins.
                range.start = range.start.max(range.end.saturating_sub(excess) / self.page * self.page);
            }
            range.start = range.start.max(range.end.saturating_sub(at_most).next_multiple_of(self.page));
            at_most -= range.len();
            // What cannot be given back shares a page with a living block. It stays stale and goes with that
            // one.
            self.kept.remove(range.clone());
            if let Some(pages) = self.whole_pages(range) {
                self.withdraw(pages.clone());
                overdue.push(pages);
            }
        }
        overdue
    }

    /// Returns a range that was withdrawn and has been given back to the system.
    pub(super) fn put_back(&mut self, range: Range<usize>) {
        self.free.insert(range);
    }

    /// Returns a range with its pages, freed at `second`.
    pub(super) fn keep(&mut self, range: Range<usize>, second: u64) {
        self.free.insert(range.clone());
        self.stale.insert(range.clone());
        self.kept.insert(range, second);
    }

    fn withdraw(&mut self, range: Range<usize>) {
        self.free.remove(range.clone());
        self.stale.remove(range.clone());
        self.kept.remove(range);
    }

    /// The pages that the range lies in, without those at its edges that somebody uses.
    fn whole_pages(&self, range: Range<usize>) -> Option<Range<usize>> {
        let below = range.start / self.page * self.page;
        let above = range.end.next_multiple_of(self.page);
        let start = if self.free.contains(below..range.start) { below } else { below + self.page };
        let end = if self.free.contains(range.end..above) { above } else { above - self.page };
        (start < end).then_some(start..end)
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // lists of one range
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: usize = 4096;
    const MIB: usize = 1 << 20;

    fn allocate(books: &mut Books, len: usize) -> Place {
        let place = books.plan(len).unwrap();
        books.take(&place);
        place
    }

    #[test]
    fn blocks_are_aligned_by_their_size() {
        let mut books = Books::new(1 << 30, PAGE);
        for (len, align, rounded) in [
            (1, 64, 64),
            (65, 64, 128),
            ((64 << 10) - 1, 64, 64 << 10),
            (64 << 10, PAGE, 64 << 10),
            ((64 << 10) + 1, PAGE, (64 << 10) + PAGE),
            (2 * MIB, 2 * MIB, 2 * MIB),
            (3 * MIB + 1, 2 * MIB, 3 * MIB + PAGE),
        ] {
            let Place { range, stale } = allocate(&mut books, len);
            assert_eq!((range.start % align, range.len(), stale), (0, rounded, vec![]), "{len}");
        }
    }

    #[test]
    fn the_same_sizes_get_the_same_warm_bytes_again() {
        let mut books = Books::new(1 << 30, PAGE);
        let first = [40 * MIB, 100, 3 * MIB, 40 * MIB].map(|len| allocate(&mut books, len));
        for place in &first {
            books.free(place.range.clone(), 0);
        }
        let second = [40 * MIB, 40 * MIB, 100, 3 * MIB].map(|len| allocate(&mut books, len));
        for place in second {
            assert_eq!(place.fresh_bytes(), 0);
        }
        assert_eq!(books.kept_bytes(), 0);
    }

    #[test]
    fn a_small_block_takes_no_bite_out_of_a_large_kept_range() {
        let mut books = Books::new(1 << 30, PAGE);
        let large = allocate(&mut books, 100 * MIB);
        books.free(large.range.clone(), 0);
        allocate(&mut books, 100);
        allocate(&mut books, MIB);
        assert_eq!(allocate(&mut books, 100 * MIB).range, large.range);
    }

    #[test]
    fn one_block_can_have_the_whole_capacity() {
        let mut books = Books::new(64 * MIB, PAGE);
        let all = allocate(&mut books, 64 * MIB);
        assert_eq!((all.range.clone(), books.plan(1), books.longest_free()), (0..64 * MIB, None, 0));
        books.free(all.range, 0);
        assert_eq!(books.plan(64 * MIB + 1), None);
        assert_eq!(books.plan(usize::MAX), None);
    }

    #[test]
    fn old_ranges_are_overdue_and_young_ones_stay() {
        let mut books = Books::new(64 * MIB, PAGE);
        let [old, young] = [4 * MIB, 6 * MIB].map(|len| allocate(&mut books, len).range);
        books.free(old.clone(), 3);
        books.free(young.clone(), 4);
        assert!(books.take_overdue(Some(2), usize::MAX, usize::MAX).is_empty());
        assert_eq!(books.take_overdue(Some(3), usize::MAX, usize::MAX), std::slice::from_ref(&old));
        assert!(!books.free.contains(old.clone()), "on its way back, so nobody else may have it");
        books.put_back(old.clone());
        assert_eq!((books.kept_bytes(), books.plan(4 * MIB).unwrap().range.start), (6 * MIB, young.start));
        assert!(books.free.contains(old) && books.stale.contains(young));
    }

    #[test]
    fn above_the_cap_the_oldest_goes_first_and_only_the_excess() {
        let mut books = Books::new(64 * MIB, PAGE);
        let [old, young] = [4 * MIB, 6 * MIB].map(|len| allocate(&mut books, len).range);
        books.free(young.clone(), 2);
        books.free(old.clone(), 1);
        assert!(books.take_overdue(None, 10 * MIB, usize::MAX).is_empty());
        assert_eq!(books.take_overdue(None, 9 * MIB - 1, usize::MAX), [old.end - MIB - PAGE..old.end]);
        let rest = old.end - MIB - PAGE;
        assert_eq!(books.take_overdue(None, 0, MIB + 1), [rest - MIB..rest]);
        assert_eq!(books.take_overdue(None, 0, usize::MAX), [old.start..rest - MIB, young]);
    }

    #[test]
    fn a_page_with_a_living_byte_stays_until_that_is_freed() {
        let mut books = Books::new(64 * MIB, PAGE);
        let [a, b] = [3000, 8000].map(|len| allocate(&mut books, len).range);
        assert_eq!((a.clone(), b.clone()), (0..3008, 3008..11008));
        books.free(b, 1);
        assert_eq!(books.take_overdue(Some(1), 0, usize::MAX), [PAGE..3 * PAGE]);
        books.put_back(PAGE..3 * PAGE);
        assert_eq!(books.plan(3000).unwrap().stale, [3008..PAGE]);
        books.free(a, 5);
        assert_eq!(books.take_overdue(Some(5), 0, usize::MAX), [0..PAGE]);
    }

    proptest! {
        /// Against a model with one entry a line: owner, and whether bytes may be dirty.
        #[test]
        fn no_byte_has_two_owners_and_no_stale_byte_is_forgotten(
            steps in prop::collection::vec((0..6u8, 1..9000usize, 0..64usize), 1..120)
        ) {
            const CAPACITY: usize = 16 * PAGE;
            let mut books = Books::new(CAPACITY, PAGE);
            let (mut owned, mut dirty) = ([false; CAPACITY / LINE], [false; CAPACITY / LINE]);
            let mut blocks: Vec<Range<usize>> = Vec::new();
            for (second, (step, len, which)) in (0..).zip(steps) {
                match step {
                    0..3 => if let Some(place) = books.plan(len) {
                        books.take(&place);
                        prop_assert!(place.range.len() >= len && place.range.end <= CAPACITY);
                        for line in place.range.start / LINE..place.range.end / LINE {
                            prop_assert!(!owned[line]);
                            let stale = place.stale.iter().any(|part| part.contains(&(line * LINE)));
                            prop_assert_eq!(stale, dirty[line]);
                            (owned[line], dirty[line]) = (true, true);
                        }
                        blocks.push(place.range);
                    },
                    3 | 4 => if !blocks.is_empty() {
                        let range = blocks.swap_remove(which % blocks.len());
                        owned[range.start / LINE..range.end / LINE].fill(false);
                        books.free(range, second);
                    },
                    _ => for range in books.take_overdue(Some(second.saturating_sub(which as u64)), len * 4, which * PAGE / 8) {
                        prop_assert_eq!((range.start % PAGE, range.end % PAGE), (0, 0));
                        let lines = range.start / LINE..range.end / LINE;
                        prop_assert!(!owned[lines.clone()].contains(&true));
                        dirty[lines].fill(false);
                        books.put_back(range);
                    },
                }
                prop_assert_eq!(books.allocated_bytes(), owned.iter().filter(|&&owned| owned).count() * LINE);
            }
            for range in blocks.drain(..) {
                books.free(range, u64::MAX);
            }
            for range in books.take_overdue(Some(u64::MAX), 0, usize::MAX) {
                dirty[range.start / LINE..range.end / LINE].fill(false);
                books.put_back(range);
            }
            prop_assert!(!dirty.contains(&true), "a trim of an empty arena leaves no page");
            prop_assert!(books.free.contains(0..CAPACITY));
        }
    }
}
