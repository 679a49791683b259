use std::f64::consts::TAU;

use bytemuck::{Pod, Zeroable};

use super::philox::{philox4x32, philox4x64};
use crate::{
    IndexKernel,
    math::{self, trig},
};

/// Uniform random numbers, at least 0 and below 1: `f64` of 53 bits or `f32` of 24.
///
/// Number `i` depends on `seed` and `i` alone. The numbers are those of NumPy, bit for bit:
/// `numpy.random.Generator(numpy.random.Philox(key=seed)).random(n)`, with `dtype=numpy.float32` for `f32`.
///
/// A quarter of the points of the unit square that lie in the unit circle make pi:
///
/// ```
/// use shmpool_kernels::{IndexKernel, Uniform};
///
/// let mut points = vec![[0.0f64; 2]; 100_000];
/// Uniform { seed: 42 }.fill(0, points.as_flattened_mut());
/// let inside = points.iter().filter(|[x, y]| x * x + y * y < 1.0).count();
/// let pi = 4.0 * inside as f64 / 100_000.0;
/// assert!((pi - std::f64::consts::PI).abs() < 4.0 * 0.0052); // four standard deviations
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Uniform {
    /// Another one gives other numbers, independent of these.
    pub seed: u64,
}

/// Normally distributed random numbers, `f64` or `f32` (rounded from `f64`).
///
/// Number `i` depends on the parameters and `i` alone: one of the two of Box and Muller's method, from the 104 highest
/// bits of two halves of the Philox4x32-10 block with counter `i`. So the greatest magnitude is 8.5 standard deviations.
///
/// The price of an option is the mean of what it pays, discounted, over the spots that the market may come to:
///
/// ```
/// use shmpool_kernels::{IndexKernel, Mean, Normal, Reduction, math};
///
/// let (spot, strike, time, rate, volatility) = (100.0, 100.0, 1.0f64, 0.05, 0.2);
/// let mut pays = vec![0.0; 100_000];
/// Normal { seed: 7, mean: 0.0, deviation: 1.0 }.fill(0, &mut pays);
/// for x in &mut pays {
///     let growth = (rate - 0.5 * volatility * volatility) * time + volatility * time.sqrt() * *x;
///     *x = math::exp(-rate * time) * f64::max(spot * math::exp(growth) - strike, 0.0);
/// }
/// let price = Mean.fold(Reduction::<f64>::identity(&Mean), &pays).mean();
/// assert!((price - 10.450583572185565).abs() < 4.0 * 0.047); // four standard deviations
/// ```
///
/// # Source
/// G. Box and M. Muller, "A Note on the Generation of Random Normal Deviates", Annals of Mathematical Statistics 29,
/// 1958.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Normal {
    /// Another one gives other numbers, independent of these.
    pub seed: u64,
    /// What they scatter around.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
}

impl Uniform {
    /// Words `4 block..4 block + 4` of the stream. NumPy counts before it draws.
    #[inline(always)]
    fn block(&self, block: u64) -> [u64; 4] {
        philox4x64([block.wrapping_add(1), 0, 0, 0], [self.seed, 0])
    }
}

/// The highest 53 bits as a fraction.
#[inline(always)]
fn fraction(word: u64) -> f64 {
    (word >> 11) as f64 * (0.5 * f64::EPSILON)
}

/// The highest 24 bits of one half as a fraction; the low half comes first.
#[inline(always)]
fn half_fraction(word: u64, half: u64) -> f32 {
    ((word >> (32 * half)) as u32 >> 8) as f32 * (0.5 * f32::EPSILON)
}

impl IndexKernel<f64> for Uniform {
    #[inline(always)]
    fn at(&self, index: u64) -> f64 {
        fraction(self.block(index / 4)[(index % 4) as usize])
    }

    #[inline(always)]
    fn fill(&self, first: u64, out: &mut [f64]) {
        let (head, rest) = out.split_at_mut(to_edge(first, 4).min(out.len()));
        for (i, out) in (first..).zip(head.iter_mut()) {
            *out = self.at(i);
        }
        let start = first + head.len() as u64;
        for (block, out) in (start / 4..).zip(rest.chunks_mut(4)) {
            for (out, word) in out.iter_mut().zip(self.block(block)) {
                *out = fraction(word);
            }
        }
    }
}

impl IndexKernel<f32> for Uniform {
    #[inline(always)]
    fn at(&self, index: u64) -> f32 {
        half_fraction(self.block(index / 8)[(index / 2 % 4) as usize], index % 2)
    }

    #[inline(always)]
    fn fill(&self, first: u64, out: &mut [f32]) {
        let (head, rest) = out.split_at_mut(to_edge(first, 8).min(out.len()));
        for (i, out) in (first..).zip(head.iter_mut()) {
            *out = self.at(i);
        }
        let start = first + head.len() as u64;
        for (block, out) in (start / 8..).zip(rest.chunks_mut(8)) {
            for (out, word) in out.chunks_mut(2).zip(self.block(block)) {
                for (half, out) in (0..).zip(out) {
                    *out = half_fraction(word, half);
                }
            }
        }
    }
}

/// Elements from `first` to where the next block of `n` begins.
#[inline(always)]
fn to_edge(first: u64, n: u64) -> usize {
    (first.next_multiple_of(n) - first) as usize
}

impl IndexKernel<f64> for Normal {
    #[inline(always)]
    fn at(&self, index: u64) -> f64 {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let [a, b, c, d] = philox4x32([index as u32, (index >> 32) as u32, 0, 0], key);
        let radius = (-2.0 * math::ln(1.0 - unit(a, b))).sqrt();
        // An angle below 2 pi needs no look at its size.
        self.mean + self.deviation * (radius * trig::f64::cos_common(TAU * unit(c, d)))
    }
}

impl IndexKernel<f32> for Normal {
    #[inline(always)]
    fn at(&self, index: u64) -> f32 {
        IndexKernel::<f64>::at(self, index) as f32
    }
}

/// The highest 52 bits of two words as a fraction: put below the point of a number from 1 to 2, which takes no
/// conversion that AVX2 lacks.
#[inline(always)]
fn unit(low: u32, high: u32) -> f64 {
    let bits = (u64::from(high) << 20) | (u64::from(low) >> 12);
    f64::from_bits(bits | 1.0f64.to_bits()) - 1.0
}
