//! A set of byte ranges, found by place and by length.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Disjoint ranges; touching ones are one.
#[derive(Debug, Default, Clone)]
pub(super) struct RangeSet {
    /// Start to end.
    by_start: BTreeMap<usize, usize>,
    /// Length and start: the smallest that fits is the first that fits, and among equals the lowest.
    by_len: BTreeSet<(usize, usize)>,
}

impl RangeSet {
    /// Adds a range that touches nothing in the set but at its edges.
    pub(super) fn insert(&mut self, mut range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        debug_assert!(self.overlaps(range.clone()).is_empty(), "{range:?} is there already");
        if let Some((&start, &end)) = self.by_start.range(..range.start).next_back()
            && end == range.start
        {
            self.forget(start..end);
            range.start = start;
        }
        if let Some(&end) = self.by_start.get(&range.end) {
            self.forget(range.end..end);
            range.end = end;
        }
        self.note(range);
    }

    /// Takes out whatever part of the range is in the set.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        for part in self.overlaps(range) {
            let (&start, &end) =
                self.by_start.range(..=part.start).next_back().expect("an overlap lies in a range");
            self.forget(start..end);
            self.note(start..part.start);
            self.note(part.end..end);
        }
    }

    /// The parts of the range that are in the set, in order.
    pub(super) fn overlaps(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let before = self.by_start.range(..range.start).next_back();
        before
            .into_iter()
            .chain(self.by_start.range(range.clone()))
            .map(|(&start, &end)| start.max(range.start)..end.min(range.end))
            .filter(|part| !part.is_empty())
            .collect()
    }

    /// Whether all of the range is in the set. An empty one is.
    pub(super) fn contains(&self, range: Range<usize>) -> bool {
        range.is_empty()
            || self.by_start.range(..=range.start).next_back().is_some_and(|(_, &end)| range.end <= end)
    }

    /// A place for `len` bytes within the window: in the smallest range that has one, the lowest among
    /// equals. Looks at no more than `n_tries` ranges.
    pub(super) fn best_fit(
        &self,
        len: usize,
        align: usize,
        window: &Range<usize>,
        n_tries: usize,
    ) -> Option<Range<usize>> {
        self.by_len.range((len, 0)..).take(n_tries).find_map(|&(range_len, start)| {
            let first = start.max(window.start).checked_next_multiple_of(align)?;
            let end = first.checked_add(len)?;
            (end <= window.end.min(start + range_len)).then_some(first..end)
        })
    }

    /// The length of the longest range.
    pub(super) fn longest(&self) -> usize {
        self.by_len.last().map_or(0, |&(len, _)| len)
    }

    fn note(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.by_start.insert(range.start, range.end);
            self.by_len.insert((range.len(), range.start));
        }
    }

    fn forget(&mut self, range: Range<usize>) {
        self.by_start.remove(&range.start);
        self.by_len.remove(&(range.len(), range.start));
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // lists of one range
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(set: &RangeSet) -> Vec<Range<usize>> {
        set.overlaps(0..usize::MAX)
    }

    #[test]
    fn touching_ranges_become_one() {
        let mut set = RangeSet::default();
        set.insert(10..20);
        set.insert(30..40);
        set.insert(20..30);
        assert_eq!(ranges(&set), [10..40]);
        set.remove(15..18);
        assert_eq!(ranges(&set), [10..15, 18..40]);
    }

    #[test]
    fn the_smallest_that_fits_is_taken_and_the_lowest_of_equals() {
        let mut set = RangeSet::default();
        set.insert(0..100);
        set.insert(300..310);
        set.insert(200..210);
        assert_eq!(set.best_fit(8, 1, &(0..1000), usize::MAX), Some(200..208));
        assert_eq!(set.best_fit(8, 64, &(0..1000), usize::MAX), Some(0..8));
        assert_eq!(set.best_fit(8, 1, &(250..1000), usize::MAX), Some(300..308));
        assert_eq!(set.best_fit(101, 1, &(0..1000), usize::MAX), None);
        assert_eq!(set.best_fit(10, 1, &(0..209), usize::MAX), Some(0..10));
    }

    proptest! {
        /// Against one bit a byte.
        #[test]
        fn behaves_like_a_bitmap(steps in prop::collection::vec((any::<bool>(), 0..64usize, 1..20usize), 1..80)) {
            let (mut set, mut bits) = (RangeSet::default(), [false; 96]);
            for (insert, start, len) in steps {
                let range = start..start + len;
                let free = !bits[range.clone()].contains(&true);
                if insert && free {
                    set.insert(range.clone());
                    bits[range].fill(true);
                } else if !insert {
                    set.remove(range.clone());
                    bits[range].fill(false);
                }
            }
            let mut found = [false; 96];
            for range in ranges(&set) {
                prop_assert!(set.contains(range.clone()));
                prop_assert!(!set.contains(range.start..range.end + 1));
                found[range].fill(true);
            }
            prop_assert_eq!(found, bits);
            prop_assert_eq!(set.by_len.iter().map(|&(len, start)| (start, start + len)).collect::<BTreeMap<_, _>>(), set.by_start);
        }
    }
}
