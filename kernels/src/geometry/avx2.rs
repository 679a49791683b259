//! Sums of bytes with AVX2, written by hand: shuffles that bring samples side by side, for multiplications of pairs, are
//! nothing that the compiler finds. The sums are integers, so they are the same as those of the plain loops.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::resample::{Across, Down, LANES, ROWS};
use crate::Level;

/// Does as many columns of the job as there are until a load would reach beyond a row, and says how many.
#[inline(always)]
pub(super) fn across<const N: usize>(job: &mut Across<'_, u8>) -> usize {
    if job.level < Level::Avx2 {
        return 0;
    }
    let room = job.rows.iter().map(|row| row.len()).min().unwrap_or(0);
    let mut n = job.columns.len();
    // Runs never start left of those before them, so from the end it is enough to find one that fits.
    while n > 0 && reach::<N>(job, job.columns.start + n - 1) > room {
        n -= 1;
    }
    // One pixel of three bytes is written as four.
    assert!(job.stride > n * N && job.to.len() >= ROWS * job.stride, "found no room for a row and a byte");
    // SAFETY: a level of `Avx2` or above is that of a CPU which has it. Loads end at `reach`, inside of the rows;
    // stores at `n * N + 1`, inside of the rows of `to`, by the assertion.
    unsafe { across_avx2::<N>(job, n) };
    n
}

/// Pixels that one load takes.
const fn pixels<const N: usize>() -> usize {
    if N == 1 { 8 } else { 4 }
}

/// Bytes of a row that no load for this column goes beyond: whole groups of weights, and what a load of three
/// channels takes too much.
#[inline(always)]
fn reach<const N: usize>(job: &Across<'_, u8>, column: usize) -> usize {
    (job.axis.run(column).first - job.first + job.axis.stride()) * N + 4
}

/// # Safety
/// 1. The CPU has AVX2.
/// 2. `reach` of the first `n` columns is inside of every row, and `to` has room for `n * N + 1` bytes in each.
#[target_feature(enable = "avx2")]
unsafe fn across_avx2<const N: usize>(job: &mut Across<'_, u8>, n: usize) {
    let bits = _mm_cvtsi32_si128(job.axis.fraction_bits.cast_signed());
    let half = _mm256_set1_epi32((1 << job.axis.fraction_bits) >> 1);
    // Two masks of 16 bytes for pixels of three and four channels, one for the others.
    let (low, high) = masks::<N>();
    for (index, column) in job.columns.clone().take(n).enumerate() {
        let run = job.axis.run(column);
        let weights = job.axis.weights(column).as_ptr();
        let place = (run.first - job.first) * N;
        let mut sums = [_mm256_setzero_si256(); 2];
        for group in 0..run.n.div_ceil(pixels::<N>()) {
            let from = place + group * pixels::<N>() * N;
            // SAFETY: (2); weights come in whole groups of eight, with zeros behind the last.
            unsafe {
                let weights = weights.add(group * pixels::<N>());
                for (pair, sum) in sums.iter_mut().enumerate() {
                    let rows =
                        [job.rows[2 * pair].as_ptr().add(from), job.rows[2 * pair + 1].as_ptr().add(from)];
                    let samples = load::<N>(rows);
                    let products = match N {
                        1 => {
                            let weights = _mm256_broadcastsi128_si256(_mm_loadu_si128(weights.cast()));
                            _mm256_madd_epi16(_mm256_shuffle_epi8(samples, low), weights)
                        }
                        2 => {
                            let weights = _mm256_set1_epi64x(weights.cast::<i64>().read_unaligned());
                            let weights = _mm256_shuffle_epi32::<0b01_01_00_00>(weights);
                            _mm256_madd_epi16(_mm256_shuffle_epi8(samples, low), weights)
                        }
                        _ => {
                            let first = _mm256_set1_epi32(weights.cast::<i32>().read_unaligned());
                            let second = _mm256_set1_epi32(weights.add(2).cast::<i32>().read_unaligned());
                            _mm256_add_epi32(
                                _mm256_madd_epi16(_mm256_shuffle_epi8(samples, low), first),
                                _mm256_madd_epi16(_mm256_shuffle_epi8(samples, high), second),
                            )
                        }
                    };
                    *sum = _mm256_add_epi32(*sum, products);
                }
            }
        }
        for sum in &mut sums {
            if N <= 2 {
                *sum = _mm256_add_epi32(*sum, _mm256_shuffle_epi32::<0b01_00_11_10>(*sum));
            }
            if N == 1 {
                *sum = _mm256_add_epi32(*sum, _mm256_shuffle_epi32::<0b10_11_00_01>(*sum));
            }
            *sum = _mm256_sra_epi32(_mm256_add_epi32(*sum, half), bits);
        }
        // Per half: four bytes of row 0 (or 1), four of row 2 (or 3).
        let words = _mm256_packs_epi32(sums[0], sums[1]);
        let bytes = _mm256_packus_epi16(words, words);
        let even = _mm_cvtsi128_si64(_mm256_castsi256_si128(bytes)).to_le_bytes();
        let odd = _mm_cvtsi128_si64(_mm256_extracti128_si256::<1>(bytes)).to_le_bytes();
        for (row, pixel) in [&even[..4], &odd[..4], &even[4..], &odd[4..]].into_iter().enumerate() {
            let n_bytes = if N == 3 { 4 } else { N };
            // SAFETY: (2).
            unsafe {
                let to = job.to.as_mut_ptr().add(row * job.stride + index * N);
                std::ptr::copy_nonoverlapping(pixel.as_ptr(), to, n_bytes);
            }
        }
    }
}

/// Does the job, if its level has AVX2.
#[inline(always)]
pub(super) fn down(job: &Down<'_, u8>, to: &mut [u8]) -> bool {
    if job.level < Level::Avx2 {
        return false;
    }
    let n_rows = job.n_rows;
    assert!(job.stride >= to.len() && job.rows.len() >= n_rows * job.stride, "found too few samples");
    assert!(job.weights.len() >= n_rows.next_multiple_of(2), "found no weight for each row");
    // SAFETY: a level of `Avx2` or above is that of a CPU which has it; the rows and weights are there, as was just
    // asserted.
    unsafe { down_avx2(job, to) };
    true
}

/// # Safety
/// 1. The CPU has AVX2.
/// 2. `rows` has `n_rows` rows of `to.len()` samples and `weights` one for each of them and a 0
///    behind an odd one.
#[target_feature(enable = "avx2")]
unsafe fn down_avx2(job: &Down<'_, u8>, to: &mut [u8]) {
    let bits = _mm_cvtsi32_si128(job.fraction_bits.cast_signed());
    let half = _mm256_set1_epi32((1 << job.fraction_bits) >> 1);
    let zero = _mm256_setzero_si256();
    for (block, to) in to.chunks_exact_mut(LANES).enumerate() {
        let mut sums = [half; 4];
        for row in (0..job.n_rows).step_by(2) {
            // Behind an odd last row, that row again, with a weight of 0.
            let next = (row + 1).min(job.n_rows - 1);
            // SAFETY: (2).
            let (upper, lower, weights) = unsafe {
                let from = job.rows.as_ptr().add(block * LANES);
                (
                    _mm256_loadu_si256(from.add(row * job.stride).cast()),
                    _mm256_loadu_si256(from.add(next * job.stride).cast()),
                    _mm256_set1_epi32(job.weights.as_ptr().add(row).cast::<i32>().read_unaligned()),
                )
            };
            let (low, high) = (_mm256_unpacklo_epi8(upper, lower), _mm256_unpackhi_epi8(upper, lower));
            let pairs = [
                _mm256_unpacklo_epi8(low, zero),
                _mm256_unpackhi_epi8(low, zero),
                _mm256_unpacklo_epi8(high, zero),
                _mm256_unpackhi_epi8(high, zero),
            ];
            for (sum, pairs) in sums.iter_mut().zip(pairs) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, weights));
            }
        }
        for sum in &mut sums {
            *sum = _mm256_sra_epi32(*sum, bits);
        }
        // Packing goes by halves as unpacking did, so the samples are in order again.
        let low = _mm256_packs_epi32(sums[0], sums[1]);
        let high = _mm256_packs_epi32(sums[2], sums[3]);
        // SAFETY: `to` has 32 bytes.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm256_packus_epi16(low, high)) };
    }
}

/// Which bytes of a load go side by side; 0x80 for zero.
#[target_feature(enable = "avx2")]
fn masks<const N: usize>() -> (__m256i, __m256i) {
    let (low, high): ([u8; 16], [u8; 16]) = match N {
        1 => (pairs([0, 1, 2, 3, 4, 5, 6, 7]), [0; 16]),
        2 => (pairs([0, 2, 1, 3, 4, 6, 5, 7]), [0; 16]),
        3 => (pairs([0, 3, 1, 4, 2, 5, 2, 5]), pairs([6, 9, 7, 10, 8, 11, 8, 11])),
        _ => (pairs([0, 4, 1, 5, 2, 6, 3, 7]), pairs([8, 12, 9, 13, 10, 14, 11, 15])),
    };
    // SAFETY: 16 bytes each.
    let both =
        |mask: &[u8; 16]| unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(mask.as_ptr().cast())) };
    (both(&low), both(&high))
}

/// A mask that widens these bytes to 16 bits.
const fn pairs(bytes: [u8; 8]) -> [u8; 16] {
    let mut mask = [0x80; 16];
    let mut index = 0;
    while index < 8 {
        mask[2 * index] = bytes[index];
        index += 1;
    }
    mask
}

/// The pixels of one row in the low half, those of the other in the high half.
///
/// # Safety
/// From each, 8 bytes may be read, or 16 where pixels have more than two.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn load<const N: usize>([low, high]: [*const u8; 2]) -> __m256i {
    // SAFETY: the caller's.
    unsafe {
        if N < 3 {
            _mm256_set_m128i(_mm_loadl_epi64(high.cast()), _mm_loadl_epi64(low.cast()))
        } else {
            _mm256_set_m128i(_mm_loadu_si128(high.cast()), _mm_loadu_si128(low.cast()))
        }
    }
}
