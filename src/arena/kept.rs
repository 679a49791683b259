//! Since when freed bytes have been kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Disjoint ranges, each with the second in which it was freed; touching ones of the same second are one, so
/// that the many small blocks of one call make few ranges.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Start to end and second.
    by_start: BTreeMap<usize, (usize, u64)>,
    /// Second and start: the oldest comes first.
    by_age: BTreeSet<(u64, usize)>,
    bytes: usize,
}

impl Kept {
    /// All that is kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a range that overlaps none.
    pub(super) fn insert(&mut self, mut range: Range<usize>, second: u64) {
        if let Some((&start, &(end, at))) = self.by_start.range(..range.start).next_back()
            && (end, at) == (range.start, second)
        {
            self.forget(start..end, at);
            range.start = start;
        }
        if let Some(&(end, at)) = self.by_start.get(&range.end)
            && at == second
        {
            self.forget(range.end..end, at);
            range.end = end;
        }
        self.note(range, second);
    }

    /// Takes out whatever part of the range is kept.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        let before = self.by_start.range(..range.start).next_back();
        let touched: Vec<_> = before
            .into_iter()
            .chain(self.by_start.range(range.clone()))
            .map(|(&start, &(end, second))| (start..end, second))
            .filter(|(kept, _)| kept.end > range.start)
            .collect();
        for (kept, second) in touched {
            self.forget(kept.clone(), second);
            self.note(kept.start..range.start.min(kept.end), second);
            self.note(range.end.max(kept.start)..kept.end, second);
        }
    }

    /// What has been kept longest.
    pub(super) fn oldest(&self) -> Option<(Range<usize>, u64)> {
        let &(second, start) = self.by_age.first()?;
        Some((start..self.by_start[&start].0, second))
    }

    fn note(&mut self, range: Range<usize>, second: u64) {
        if !range.is_empty() {
            self.bytes += range.len();
            self.by_age.insert((second, range.start));
            self.by_start.insert(range.start, (range.end, second));
        }
    }

    fn forget(&mut self, range: Range<usize>, second: u64) {
        self.bytes -= range.len();
        self.by_age.remove(&(second, range.start));
        self.by_start.remove(&range.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_second_are_one_and_others_are_not() {
        let mut kept = Kept::default();
        kept.insert(0..10, 1);
        kept.insert(20..30, 1);
        kept.insert(10..20, 1);
        kept.insert(30..40, 2);
        assert_eq!((kept.by_start.len(), kept.bytes()), (2, 40));
        assert_eq!(kept.oldest(), Some((0..30, 1)));
    }

    #[test]
    fn removing_splits_and_counts() {
        let mut kept = Kept::default();
        kept.insert(0..30, 5);
        kept.insert(30..60, 4);
        kept.remove(10..40);
        assert_eq!((kept.oldest(), kept.bytes()), (Some((40..60, 4)), 30));
        kept.remove(40..60);
        assert_eq!((kept.oldest(), kept.bytes()), (Some((0..10, 5)), 10));
        kept.remove(10..99);
        assert_eq!(kept.bytes(), 10);
        kept.remove(0..10);
        assert_eq!((kept.oldest(), kept.bytes()), (None, 0));
    }
}
