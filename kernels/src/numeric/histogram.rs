use bytemuck::{Pod, Zeroable};

use crate::{KernelError, Reduction};

/// Bins of a [`Histogram`], at most.
pub const BINS_MAX: u32 = 256;

/// How many elements fall into each of up to 256 bins of equal width: `numpy.histogram`, count for count.
///
/// Bin `i` holds `edge(i) <= x < edge(i + 1)`, the last one its upper end too. What lies outside `low..=high` is not
/// counted, nor is NaN. Elements: `f32`, `f64`, `u8`. As in NumPy, edges are rounded to the elements' type.
///
/// ```
/// use shmpool_kernels::{Histogram, Reduction};
///
/// let histogram = Histogram::new(0.0, 1.0, 4)?;
/// let counts = histogram.fold([0; 256], &[0.0f32, 0.25, 0.3, 0.99, 1.0, 1.01, f32::NAN]);
/// assert_eq!(counts[..4], [1, 2, 0, 2]);
/// # Ok::<(), shmpool_kernels::KernelError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Histogram {
    low: f64,
    high: f64,
    bins: u64,
}

impl Histogram {
    /// `bins` bins, 1 to 256, from `low` to `high`, which are finite and in this order.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] if they are not.
    pub fn new(low: f64, high: f64, bins: u32) -> Result<Self, KernelError> {
        let refused = |parameter, found: String, wanted: String| {
            Err(KernelError::Parameter { kernel: "histogram", parameter, found, wanted })
        };
        if !low.is_finite() {
            return refused("low", low.to_string(), "a finite number".to_owned());
        }
        if !(high > low && (high - low).is_finite()) {
            return refused("high", high.to_string(), format!("a finite number above {low}"));
        }
        if !(1..=BINS_MAX).contains(&bins) {
            return refused("bins", bins.to_string(), format!("1 to {BINS_MAX}"));
        }
        Ok(Histogram { low, high, bins: bins.into() })
    }

    /// Where bin `i` begins; `edge(bins)` is where the last one ends.
    #[must_use]
    #[inline(always)]
    pub fn edge(&self, i: u64) -> f64 {
        if i >= self.bins {
            self.high
        } else {
            i as f64 * ((self.high - self.low) / self.bins as f64) + self.low
        }
    }
}

/// How often each value occurs among `u8` elements: 256 counts.
///
/// ```
/// use shmpool_kernels::{Counts, Reduction};
///
/// let counts = Counts.fold([0; 256], &[7u8, 7, 255]);
/// assert_eq!((counts[7], counts[255]), (2, 1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Counts;

/// Counts of two runs of elements together.
#[inline(always)]
fn joined(mut left: [u64; 256], right: [u64; 256]) -> [u64; 256] {
    for (left, right) in left.iter_mut().zip(right) {
        *left += right;
    }
    left
}

impl Reduction<u8> for Counts {
    type Acc = [u64; 256];

    fn identity(&self) -> [u64; 256] {
        [0; 256]
    }

    #[inline(always)]
    fn step(&self, mut acc: [u64; 256], x: u8) -> [u64; 256] {
        acc[usize::from(x)] += 1;
        acc
    }

    #[inline(always)]
    fn combine(&self, left: [u64; 256], right: [u64; 256]) -> [u64; 256] {
        joined(left, right)
    }

    /// In four tables in turn: neighbours are often equal, and one count would wait for the one before it.
    #[inline(always)]
    fn fold(&self, acc: [u64; 256], xs: &[u8]) -> [u64; 256] {
        let mut tables = [acc, [0; 256], [0; 256], [0; 256]];
        let (groups, rest) = xs.as_chunks::<4>();
        for group in groups {
            for (table, &x) in tables.iter_mut().zip(group) {
                table[usize::from(x)] += 1;
            }
        }
        for &x in rest {
            tables[0][usize::from(x)] += 1;
        }
        let [a, b, c, d] = tables;
        joined(joined(a, b), joined(c, d))
    }
}

macro_rules! histogram {
    ($($element:ty),*) => {
        $(impl Reduction<$element> for Histogram {
            type Acc = [u64; 256];

            fn identity(&self) -> [u64; 256] {
                [0; 256]
            }

            #[inline(always)]
            fn step(&self, acc: [u64; 256], x: $element) -> [u64; 256] {
                self.fold(acc, &[x])
            }

            #[inline(always)]
            fn combine(&self, left: [u64; 256], right: [u64; 256]) -> [u64; 256] {
                joined(left, right)
            }

            /// A guess by one product, off by one at most, and put right by the edges themselves.
            #[inline(always)]
            fn fold(&self, mut acc: [u64; 256], xs: &[$element]) -> [u64; 256] {
                let bins = self.bins.clamp(1, u64::from(BINS_MAX)); // the bytes may come from another process
                let scale = bins as f64 / (self.high - self.low);
                let mut edges = [self.high as $element; 257];
                for (i, edge) in (0..bins).zip(&mut edges) {
                    *edge = self.edge(i) as $element;
                }
                let last = bins as usize - 1;
                for &x in xs {
                    if x >= edges[0] && x <= edges[last + 1] {
                        let guess = (((f64::from(x) - self.low) * scale) as usize).min(last);
                        let too_far = usize::from(x < edges[guess]);
                        let too_short = usize::from(x >= edges[guess + 1] && guess < last);
                        acc[guess.wrapping_sub(too_far).wrapping_add(too_short).min(last)] += 1;
                    }
                }
                acc
            }
        })*
    };
}
histogram!(f32, f64);

impl Reduction<u8> for Histogram {
    type Acc = [u64; 256];

    fn identity(&self) -> [u64; 256] {
        [0; 256]
    }

    #[inline(always)]
    fn step(&self, acc: [u64; 256], x: u8) -> [u64; 256] {
        self.fold(acc, &[f64::from(x)])
    }

    #[inline(always)]
    fn combine(&self, left: [u64; 256], right: [u64; 256]) -> [u64; 256] {
        joined(left, right)
    }

    /// The counts of the 256 values, each put into its bin.
    #[inline(always)]
    fn fold(&self, mut acc: [u64; 256], xs: &[u8]) -> [u64; 256] {
        for (value, count) in (0u8..=255).zip(Counts.fold([0; 256], xs)) {
            let bin = self.fold([0; 256], &[f64::from(value)]);
            for (acc, bin) in acc.iter_mut().zip(bin) {
                *acc += bin * count;
            }
        }
        acc
    }
}
