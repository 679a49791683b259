//! Sine and cosine of huge `f64` arguments: a path of its own, in integers, so that the common one has no branch.
//!
//! M. Payne and R. Hanek, "Radian reduction for trigonometric functions", SIGNUM Newsletter 18, 1983.

use super::trig::f64::of_quadrant;

/// 64 zeros, then the first 1280 bits of `2 / pi` after the point.
const TWO_OVER_PI: [u64; 21] = [
    0,
    0xa2f9_836e_4e44_1529,
    0xfc27_57d1_f534_ddc0,
    0xdb62_9599_3c43_9041,
    0xfe51_63ab_debb_c561,
    0xb724_6e3a_424d_d2e0,
    0x0649_2eea_09d1_921c,
    0xfe1d_eb1c_b129_a73e,
    0xe882_35f5_2ebb_4484,
    0xe99c_7026_b45f_7e41,
    0x3991_d639_8353_39f4,
    0x9c84_5f8b_bdf9_283b,
    0x1ff8_97ff_de05_980f,
    0xef2f_118b_5a0a_6d1f,
    0x6d36_7ecf_27cb_09b7,
    0x4f46_3f66_9e5f_ea2d,
    0x7527_bac7_ebe5_f17b,
    0x3d07_39f7_8a52_92ea,
    0x6bfb_5fb1_1f8d_5d08,
    0x5603_3046_fc7b_6bab,
    0xf0cf_bc20_9af4_361d,
];

/// `sin x` for `|x|` from 2^20 on; NaN for infinities and NaN.
#[cold]
#[inline(never)]
pub(super) fn sin(x: f64) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    let (quadrant, r, c) = reduced(x.abs());
    let y = of_quadrant(quadrant, r, c);
    if x < 0.0 { -y } else { y }
}

/// `cos x` for `|x|` from 2^20 on; NaN for infinities and NaN.
#[cold]
#[inline(never)]
pub(super) fn cos(x: f64) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    let (quadrant, r, c) = reduced(x.abs());
    of_quadrant(quadrant.wrapping_add(1), r, c)
}

/// A finite `x`, from 2^20 on, as a number of quadrants (its low two bits) and what is left, in two parts.
fn reduced(x: f64) -> (u64, f64, f64) {
    /// `pi / 2 * 2^63`.
    const HALF_PI: u128 = 0xc90f_daa2_2168_c235;
    let mantissa = u128::from((x.to_bits() & 0x000f_ffff_ffff_ffff) | 0x0010_0000_0000_0000);
    // `x` is `mantissa * 2^exponent`, so bits of `2 / pi` above `2^(2 - exponent)` give multiples of four quadrants.
    // The window starts right after them; the zeros before the table make the smallest exponent, -32, no special case.
    let first = (x.to_bits() >> 52) as usize - (1075 - 62);
    let low = mantissa * u128::from(window(first + 128));
    let middle = mantissa * u128::from(window(first + 64)) + (low >> 64);
    let high = (mantissa as u64).wrapping_mul(window(first)).wrapping_add((middle >> 64) as u64);
    // Two bits of quadrants, then the fraction of one.
    let product = (u128::from(high) << 64) | u128::from(middle as u64);
    let fraction = ((product << 2) | u128::from(low as u64 >> 62)) as i128; // above a half: less than the next quadrant
    let quadrant = (high >> 62).wrapping_add(u64::from(fraction < 0));

    // No f64 is nearer to a multiple of pi / 2 than 2^-62 quadrants, so that 64 bits of the fraction are left.
    let magnitude = fraction.unsigned_abs();
    let zeros = magnitude.leading_zeros();
    let radians = ((magnitude << zeros) >> 64) * HALF_PI;
    let r = radians as f64;
    let c = radians.wrapping_sub(r as u128) as i128 as f64;
    let unit = f64::from_bits(u64::from(1023 - 127 - zeros) << 52);
    let unit = if fraction < 0 { -unit } else { unit };
    (quadrant, r * unit, c * unit)
}

/// 64 bits of the table from bit `first` on.
fn window(first: usize) -> u64 {
    let (word, shift) = (first / 64, first % 64);
    let pair = (u128::from(TWO_OVER_PI[word]) << 64) | u128::from(TWO_OVER_PI[word + 1]);
    (pair >> (64 - shift)) as u64
}
