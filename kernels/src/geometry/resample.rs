//! The arithmetic of a resize for each sample type: along the rows, then down the columns.

use std::ops::Range;

use super::axis::Axis;
use crate::{Level, Sample, kernel::has_alpha};

/// Rows that go along together, so that a weight is loaded once for all of them.
pub(super) const ROWS: usize = 4;

/// A sample type that [`Resize`](super::Resize) has arithmetic for: every one. Part of its signature, of no use
/// elsewhere.
pub trait Resample: Sample {
    /// What lies between the two passes, and before them where alpha is multiplied in.
    type Middle: Sample;
    /// A weight as the sums take it.
    type Weight: Copy + Default + Send + 'static;

    /// Fraction bits of weights of which the largest, in absolute value, is this one.
    fn fraction_bits(largest: f64) -> u32;

    /// Rounds the weights of one pixel.
    fn store_weights(exact: &[f64], fraction_bits: u32, to: &mut [Self::Weight]);

    /// Converts a row, and multiplies colour by alpha.
    fn prepare(row: &[Self], channels: usize, premultiply: bool, to: &mut [Self::Middle]);

    /// Sums along rows of `N` channels.
    fn across<const N: usize>(job: Across<'_, Self>);

    /// Sums down a column: one sample of every row for each of `to`, which has whole blocks of 32.
    fn down(job: Down<'_, Self>, to: &mut [Self::Middle]);

    /// Converts a row of the result, and divides colour by alpha.
    fn finish(row: &[Self::Middle], channels: usize, premultiplied: bool, to: &mut [Self]);
}

/// What is summed along rows: `ROWS` of them into as many.
pub struct Across<'r, T: Resample> {
    pub(super) axis: &'r Axis<T::Weight>,
    /// Positions of the result.
    pub(super) columns: Range<usize>,
    /// The rows, from the pixel at `first` on.
    pub(super) rows: [&'r [T::Middle]; ROWS],
    pub(super) first: usize,
    /// As many rows of `stride` samples, of which the last ones are there to be written over.
    pub(super) to: &'r mut [T::Middle],
    pub(super) stride: usize,
    pub(super) level: Level,
}

/// What is summed down columns: `n_rows` rows that lie `stride` samples apart, and a weight for each, with zeros behind.
pub struct Down<'r, T: Resample> {
    pub(super) rows: &'r [T::Middle],
    pub(super) stride: usize,
    pub(super) n_rows: usize,
    pub(super) weights: &'r [T::Weight],
    pub(super) fraction_bits: u32,
    pub(super) level: Level,
}

/// Samples that are summed down at once: their sums stay in registers.
pub(super) const LANES: usize = 32;

macro_rules! impl_by_f32 {
    ($type:ty, $one:expr) => {
        impl Resample for $type {
            type Middle = f32;
            type Weight = f32;

            fn fraction_bits(_: f64) -> u32 {
                0
            }

            fn store_weights(exact: &[f64], _: u32, to: &mut [f32]) {
                for (weight, exact) in to.iter_mut().zip(exact) {
                    *weight = *exact as f32;
                }
            }

            #[inline(always)]
            fn prepare(row: &[$type], channels: usize, premultiply: bool, to: &mut [f32]) {
                for (middle, sample) in to.iter_mut().zip(row) {
                    *middle = sample.to_f32();
                }
                if premultiply {
                    for pixel in to.chunks_exact_mut(channels) {
                        let alpha = pixel[channels - 1] / $one;
                        for colour in &mut pixel[..channels - 1] {
                            *colour *= alpha;
                        }
                    }
                }
            }

            #[inline(always)]
            fn across<const N: usize>(job: Across<'_, $type>) {
                let Across { axis, columns, rows, first, to, stride, .. } = job;
                for (row, to) in rows.into_iter().zip(to.chunks_exact_mut(stride)) {
                    for (column, pixel) in columns.clone().zip(to.as_chunks_mut::<N>().0) {
                        let run = axis.run(column);
                        let (from, _) = row[(run.first - first) * N..][..run.n * N].as_chunks::<N>();
                        let mut sums = [0f32; N];
                        for (from, weight) in from.iter().zip(axis.weights(column)) {
                            for channel in 0..N {
                                sums[channel] += from[channel] * weight;
                            }
                        }
                        *pixel = sums;
                    }
                }
            }

            #[inline(always)]
            fn down(job: Down<'_, $type>, to: &mut [f32]) {
                let Down { rows, stride, n_rows, weights, .. } = job;
                let weights = &weights[..n_rows];
                for (index, block) in to.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                    let mut sums = [0f32; LANES];
                    for (row, &weight) in rows.chunks_exact(stride).zip(weights) {
                        let from = &row[index * LANES..][..LANES];
                        for lane in 0..LANES {
                            sums[lane] += from[lane] * weight;
                        }
                    }
                    *block = sums;
                }
            }

            #[inline(always)]
            fn finish(row: &[f32], channels: usize, premultiplied: bool, to: &mut [$type]) {
                for (sample, &middle) in to.iter_mut().zip(row) {
                    *sample = <$type>::from_f32(middle);
                }
                if !premultiplied {
                    return;
                }
                for (pixel, middle) in to.chunks_exact_mut(channels).zip(row.chunks_exact(channels)) {
                    let alpha = middle[channels - 1] / $one;
                    // Of what no alpha is left, the colour is as good as any.
                    let factor = if alpha > 0.0 { 1.0 / alpha } else { 1.0 };
                    for channel in 0..channels - 1 {
                        pixel[channel] = <$type>::from_f32(middle[channel] * factor);
                    }
                }
            }
        }
    };
}

impl_by_f32!(u16, 65_535.0);
impl_by_f32!(f32, 1.0);

/// What the largest weight may be before it takes the rounding errors of the others: at most half for each, and where
/// there are more than some thousand others, weights are far smaller.
const WEIGHT_MAX: f64 = 30_000.0;

/// Sums of 255 times weights whose absolute values add up to less than 2 stay in 32 bits.
const FRACTION_BITS_MAX: u32 = 22;

impl Resample for u8 {
    type Middle = u8;
    type Weight = i16;

    fn fraction_bits(largest: f64) -> u32 {
        let fits = |&bits: &u32| (largest * f64::from(1 << bits)).round() <= WEIGHT_MAX;
        (0..=FRACTION_BITS_MAX).rev().find(fits).unwrap_or(0)
    }

    /// The rounded weights add up to 1 exactly, so that a flat area stays as it is: the largest one takes the rest.
    fn store_weights(exact: &[f64], fraction_bits: u32, to: &mut [i16]) {
        let one = 1i32 << fraction_bits;
        let mut rest = one;
        let mut largest = 0;
        for (index, weight) in exact.iter().enumerate() {
            to[index] = (weight * f64::from(one)).round() as i16;
            rest -= i32::from(to[index]);
            if to[index] > to[largest] {
                largest = index;
            }
        }
        if let Some(weight) = to.get_mut(largest) {
            *weight = (i32::from(*weight) + rest) as i16;
        }
    }

    /// Pillow's rounding of `colour * alpha / 255` (`MULDIV255`).
    #[inline(always)]
    fn prepare(row: &[u8], channels: usize, premultiply: bool, to: &mut [u8]) {
        to.copy_from_slice(row);
        if !premultiply {
            return;
        }
        for pixel in to.chunks_exact_mut(channels) {
            let alpha = u32::from(pixel[channels - 1]);
            for colour in &mut pixel[..channels - 1] {
                let product = u32::from(*colour) * alpha + 128;
                *colour = (((product >> 8) + product) >> 8) as u8;
            }
        }
    }

    #[inline(always)]
    fn across<const N: usize>(mut job: Across<'_, u8>) {
        #[cfg(target_arch = "x86_64")]
        let done = super::avx2::across::<N>(&mut job);
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        let Across { axis, columns, rows, first, to, stride, .. } = job;
        for (row, to) in rows.into_iter().zip(to.chunks_exact_mut(stride)) {
            let columns = columns.clone().skip(done);
            for (column, pixel) in columns.zip(to.as_chunks_mut::<N>().0.iter_mut().skip(done)) {
                let run = axis.run(column);
                let (from, _) = row[(run.first - first) * N..][..run.n * N].as_chunks::<N>();
                let mut sums = [half(axis.fraction_bits); N];
                for (from, &weight) in from.iter().zip(axis.weights(column)) {
                    for channel in 0..N {
                        sums[channel] += i32::from(from[channel]) * i32::from(weight);
                    }
                }
                for channel in 0..N {
                    pixel[channel] = cut(sums[channel] >> axis.fraction_bits);
                }
            }
        }
    }

    #[inline(always)]
    fn down(job: Down<'_, u8>, to: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if super::avx2::down(&job, to) {
            return;
        }
        let Down { rows, stride, n_rows, weights, fraction_bits, .. } = job;
        let weights = &weights[..n_rows];
        for (index, block) in to.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut sums = [half(fraction_bits); LANES];
            for (row, &weight) in rows.chunks_exact(stride).zip(weights) {
                let from = &row[index * LANES..][..LANES];
                for lane in 0..LANES {
                    sums[lane] += i32::from(from[lane]) * i32::from(weight);
                }
            }
            for lane in 0..LANES {
                block[lane] = cut(sums[lane] >> fraction_bits);
            }
        }
    }

    /// As Pillow does: what has no alpha or all of it stays, the rest is `255 * colour / alpha`, cut.
    #[inline(always)]
    fn finish(row: &[u8], channels: usize, premultiplied: bool, to: &mut [u8]) {
        to.copy_from_slice(row);
        if !premultiplied {
            return;
        }
        for pixel in to.chunks_exact_mut(channels) {
            let alpha = u32::from(pixel[channels - 1]);
            if alpha != 0 && alpha != 255 {
                for colour in &mut pixel[..channels - 1] {
                    *colour = (255 * u32::from(*colour) / alpha).min(255) as u8;
                }
            }
        }
    }
}

#[inline(always)]
fn half(fraction_bits: u32) -> i32 {
    (1 << fraction_bits) >> 1
}

#[inline(always)]
fn cut(sum: i32) -> u8 {
    sum.clamp(0, 255) as u8
}

/// Whether a resize multiplies colour by alpha first.
#[inline(always)]
pub(super) fn premultiplies(channels: usize, straight: bool) -> bool {
    has_alpha(channels) && !straight
}
