use crate::Sample;

/// A sample type whose samples can be put in order: every one. Part of the signatures of [`Median`](crate::Median),
/// [`Erode`](crate::Erode) and [`Dilate`](crate::Dilate), of no use elsewhere.
///
/// One vector instruction each, also for `f32`: `other` where one of the two is NaN.
pub trait Ordered: Sample {
    /// The lesser of the two.
    fn least(self, other: Self) -> Self;
    /// The greater of the two.
    fn greatest(self, other: Self) -> Self;
}

macro_rules! ordered_integer {
    ($sample:ty) => {
        impl Ordered for $sample {
            #[inline(always)]
            fn least(self, other: Self) -> Self {
                self.min(other)
            }

            #[inline(always)]
            fn greatest(self, other: Self) -> Self {
                self.max(other)
            }
        }
    };
}

ordered_integer!(u8);
ordered_integer!(u16);

impl Ordered for f32 {
    #[inline(always)]
    fn least(self, other: f32) -> f32 {
        if self < other { self } else { other }
    }

    #[inline(always)]
    fn greatest(self, other: f32) -> f32 {
        if self > other { self } else { other }
    }
}
