//! Which elements of an array a view shows, and in which order: a first element, lengths, and strides.

use std::ops::Range;

use super::shape::Shape;
use crate::error::{ErrorKind, Result};

/// Element `[i, j, …]` of a view is element `first + i * strides[0] + j * strides[1] + …` of its array.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) first: usize,
    pub(crate) shape: Shape,
    strides: [isize; 4],
}

impl Layout {
    /// All elements of an array of this shape, in row-major order.
    pub(crate) fn whole(shape: Shape) -> Self {
        let mut strides = [0; 4];
        let mut stride = 1_usize;
        for (axis, &len) in shape.iter().enumerate().rev() {
            // Wraps only where a length is 0, and then there is no element to find.
            (strides[axis], stride) = (stride.cast_signed(), stride.wrapping_mul(len));
        }
        Layout { first: 0, shape, strides }
    }

    pub(crate) fn strides(&self) -> &[isize] {
        &self.strides[..self.shape.len()]
    }

    /// The number of its elements, which is at most that of its array.
    pub(crate) fn len(&self) -> usize {
        if self.shape.contains(&0) { 0 } else { self.shape.iter().product() }
    }

    /// The same, and if it has no elements, nowhere else than at the beginning of its array.
    pub(crate) fn in_bounds(self) -> Self {
        if self.shape.contains(&0) { Layout { first: 0, strides: [0; 4], ..self } } else { self }
    }

    /// Whether its elements lie one behind the other.
    pub(crate) fn is_contiguous(&self) -> bool {
        let whole = Layout::whole(self.shape);
        let differs = |axis: usize| self.shape[axis] > 1 && self.strides[axis] != whole.strides[axis];
        self.len() == 0 || !(0..self.shape.len()).any(differs)
    }

    /// Where an element of the view lies in its array.
    pub(crate) fn position(&self, index: &[usize]) -> Option<usize> {
        let inside =
            index.len() == self.shape.len() && index.iter().zip(&*self.shape).all(|(i, len)| i < len);
        let offsets = index.iter().zip(self.strides()).map(|(&i, stride)| i.cast_signed() * stride);
        inside.then(|| self.first.wrapping_add_signed(offsets.sum()))
    }

    /// The places of all of its elements in its array, in the view's row-major order.
    pub(crate) fn positions(self) -> impl Iterator<Item = usize> {
        (0..self.len()).map(move |mut i| {
            let mut at = self.first;
            for axis in (0..self.shape.len()).rev() {
                let len = self.shape[axis];
                at = at.wrapping_add_signed((i % len).cast_signed() * self.strides[axis]);
                i /= len;
            }
            at
        })
    }

    pub(crate) fn range(mut self, axis: usize, range: Range<usize>) -> Result<Self> {
        let len = self.len_of(axis)?;
        if range.start > range.end || range.end > len {
            return Err(ErrorKind::OutOfRange { axis, range, len }.into());
        }
        if !range.is_empty() {
            self.first =
                self.first.wrapping_add_signed(range.start.cast_signed().wrapping_mul(self.strides[axis]));
        }
        Ok(self.with_len(axis, range.len()))
    }

    pub(crate) fn step(mut self, axis: usize, step: usize) -> Result<Self> {
        let len = self.len_of(axis)?;
        if step == 0 || step > isize::MAX as usize {
            let why = "elements: at least 1";
            return Err(ErrorKind::Option { option: "step", value: step.to_string(), why }.into());
        }
        if len > step {
            self.strides[axis] = self.strides[axis].wrapping_mul(step.cast_signed());
        }
        Ok(self.with_len(axis, len.div_ceil(step)))
    }

    pub(crate) fn reversed(mut self, axis: usize) -> Result<Self> {
        let last = self.len_of(axis)?.saturating_sub(1).cast_signed();
        self.first = self.first.wrapping_add_signed(last.wrapping_mul(self.strides[axis]));
        self.strides[axis] = self.strides[axis].wrapping_neg(); // wraps only where no second element is
        Ok(self)
    }

    pub(crate) fn swapped(mut self, a: usize, b: usize) -> Result<Self> {
        let (len_a, len_b) = (self.len_of(a)?, self.len_of(b)?);
        self.strides.swap(a, b);
        Ok(self.with_len(a, len_b).with_len(b, len_a))
    }

    /// `axis` last, the others as they are.
    pub(crate) fn with_last(mut self, axis: usize) -> Result<Self> {
        self.len_of(axis)?;
        let ndim = self.shape.len();
        let mut lens = self.shape.to_vec();
        lens[axis..].rotate_left(1);
        self.strides[axis..ndim].rotate_left(1);
        Ok(Layout { shape: Shape::try_from(&lens[..])?, ..self })
    }

    /// The shape that had `axis`, which is the last one here, in its old place, with another length.
    pub(crate) fn shape_before(&self, axis: usize, len: usize) -> Result<Shape> {
        let mut lens = self.shape.to_vec();
        lens[axis..].rotate_right(1);
        lens[axis] = len;
        Shape::try_from(&lens[..])
    }

    /// Without the last dimension; the stride and the length of that.
    pub(crate) fn split_last(self) -> (Self, isize, usize) {
        let last = self.shape.len() - 1;
        let lens = if last == 0 { &[1][..] } else { &self.shape[..last] };
        let shape = Shape::try_from(lens).expect("one to three");
        let (stride, len) = (self.strides[last], self.shape[last]);
        let mut strides = self.strides;
        strides[last..].fill(0);
        (Layout { shape, strides, ..self }, stride, len)
    }

    pub(crate) fn select(self, axis: usize, index: usize) -> Result<Self> {
        let mut one = self.range(axis, index..index.saturating_add(1))?;
        if one.shape.len() == 1 {
            return Ok(one); // a single element is an array of one dimension
        }
        let mut lens = one.shape.to_vec();
        lens.remove(axis);
        one.strides.copy_within(axis + 1.., axis);
        one.strides[3] = 0;
        Ok(Layout { shape: Shape::try_from(&lens[..])?, ..one })
    }

    fn len_of(&self, axis: usize) -> Result<usize> {
        self.shape.get(axis).copied().ok_or_else(|| {
            let why = "is not a dimension of the array: they count from 0";
            ErrorKind::Option { option: "axis", value: axis.to_string(), why }.into()
        })
    }

    fn with_len(self, axis: usize, len: usize) -> Self {
        Layout { shape: self.shape.with_len(axis, len), ..self }
    }
}

/// As few dimensions as will do for several layouts of one shape: neighbours are joined where the elements of every
/// layout allow it. The lengths, four of them with ones in front, and the strides of each layout to match.
pub(crate) fn joined<const N: usize>(shape: Shape, layouts: [&Layout; N]) -> ([usize; 4], [[isize; 4]; N]) {
    let (mut lens, mut strides) = ([1_usize; 4], [[0_isize; 4]; N]);
    let mut at = 4; // the place that was filled last
    for axis in (0..shape.len()).rev().filter(|&axis| shape[axis] != 1) {
        let follows =
            |of: usize| layouts[of].strides[axis] == strides[of][at].wrapping_mul(lens[at] as isize);
        if at < 4 && (0..N).all(follows) {
            lens[at] = lens[at].wrapping_mul(shape[axis]);
            continue;
        }
        at -= 1;
        lens[at] = shape[axis];
        for (of, layout) in layouts.iter().enumerate() {
            strides[of][at] = layout.strides[axis];
        }
    }
    (lens, strides)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(lens: &[usize]) -> Layout {
        Layout::whole(Shape::try_from(lens).unwrap())
    }

    fn all(layout: Layout) -> Vec<usize> {
        layout.positions().collect()
    }

    #[test]
    fn parts_are_where_they_should_be() {
        let table = whole(&[3, 4]);
        assert_eq!(all(table.range(0, 1..3).unwrap().range(1, 2..4).unwrap()), [6, 7, 10, 11]);
        assert_eq!(all(table.step(1, 3).unwrap()), [0, 3, 4, 7, 8, 11]);
        assert_eq!(all(table.select(1, 2).unwrap()), [2, 6, 10]);
        assert_eq!(all(table.select(0, 2).unwrap().reversed(0).unwrap()), [11, 10, 9, 8]);
        assert_eq!(all(table.swapped(0, 1).unwrap()), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(*whole(&[2, 3, 4]).with_last(0).unwrap().shape, [3, 4, 2]);
        assert_eq!(whole(&[2, 3, 4]).with_last(0).unwrap().strides(), [4, 1, 12]);
        assert_eq!(table.position(&[2, 1]), Some(9));
        assert_eq!((table.position(&[3, 0]), table.position(&[0])), (None, None));
    }

    #[test]
    fn what_is_not_there_says_so() {
        let table = whole(&[3, 4]);
        let text = |layout: Result<Layout>| layout.unwrap_err().to_string();
        assert_eq!(text(table.range(1, 2..5)), "axis 1: range 2..5 of 4 elements");
        assert_eq!(text(table.select(0, 3)), "axis 0: range 3..4 of 3 elements");
        assert_eq!(text(table.step(0, 0)), "step: 0 elements: at least 1");
        assert_eq!(text(table.reversed(2)), "axis: 2 is not a dimension of the array: they count from 0");
        assert!(all(table.range(0, 3..3).unwrap()).is_empty());
        assert!(all(whole(&[0, 4]).reversed(0).unwrap()).is_empty());
    }

    #[test]
    fn dimensions_are_joined_where_all_layouts_allow_it() {
        let image = whole(&[10, 20, 3]);
        let (lens, [strides]) = joined(image.shape, [&image]);
        assert_eq!((lens, strides), ([1, 1, 1, 600], [0, 0, 0, 1]));
        let region = image.range(1, 5..15).unwrap();
        let out = whole(&[10, 10, 3]);
        let (lens, strides) = joined(region.shape, [&region, &out]);
        assert_eq!((lens, strides), ([1, 1, 10, 30], [[0, 0, 60, 1], [0, 0, 30, 1]]));
    }

    proptest! {
        #[test]
        fn joining_keeps_every_element(
            lens in prop::collection::vec(1..5usize, 1..5),
            steps in prop::collection::vec((0..2usize, 1..3usize, prop::bool::ANY), 4),
            swap in (0..4usize, 0..4usize),
        ) {
            let mut view = whole(&lens);
            for (axis, &(start, step, reversed)) in steps.iter().enumerate().take(lens.len()) {
                let len = view.shape[axis];
                view = view.range(axis, start.min(len - 1)..len).unwrap().step(axis, step).unwrap();
                if reversed {
                    view = view.reversed(axis).unwrap();
                }
            }
            view = view.swapped(swap.0 % lens.len(), swap.1 % lens.len()).unwrap();
            let (joined_lens, [strides]) = joined(view.shape, [&view]);
            let joined = Layout { shape: Shape::from(joined_lens), strides, ..view };
            prop_assert!(view.positions().eq(joined.positions()));
            let mut seen: Vec<usize> = view.positions().collect();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), view.len());
            prop_assert!(seen.iter().all(|&at| at < lens.iter().product()));
            let in_order: Vec<usize> = (0..view.len()).map(|i| view.first + i).collect();
            prop_assert_eq!(view.is_contiguous(), view.positions().eq(in_order));
        }
    }
}
