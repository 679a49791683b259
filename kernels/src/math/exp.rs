//! The exponential.
// Coefficients: minimax fits (Remez) on `|r| <= ln 2 / 2`.
#![allow(clippy::excessive_precision)]

use super::{ROUND, ROUND_F32, clamp};

/// `e^x` of an `f32`.
#[inline(always)]
pub(super) fn f32(x: f32) -> f32 {
    // Beyond these the result is 0 or infinity, and `2^k` would not have two factors. NaN passes.
    let x = if x < -104.0 { -104.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let t = x * std::f32::consts::LOG2_E + ROUND_F32;
    let y = of_remainder(x, t - ROUND_F32);
    // `n` is `k + 254`: each half has the bias of an exponent already.
    let n = t.to_bits().wrapping_sub(ROUND_F32.to_bits() - 254);
    let half = n >> 1;
    y * f32::from_bits(half << 23) * f32::from_bits(n.wrapping_sub(half) << 23)
}

/// `e^x` for `0.0..=88.0` or NaN: one factor is enough.
#[inline(always)]
pub(super) fn f32_in_range(x: f32) -> f32 {
    let t = x * std::f32::consts::LOG2_E + ROUND_F32;
    let y = of_remainder(x, t - ROUND_F32);
    y * f32::from_bits(t.to_bits().wrapping_sub(ROUND_F32.to_bits() - 127) << 23)
}

/// `e^(x - k ln 2)`.
#[inline(always)]
fn of_remainder(x: f32, k: f32) -> f32 {
    // The first part of ln 2 has 10 bits, so that its product with `k` is exact.
    let r = x - k * 0.693_359_375 - k * -2.121_944_4e-4;
    let mut p = 1.991_831_3e-4;
    p = p * r + 1.394_607_5e-3;
    p = p * r + 8.333_264_5e-3;
    p = p * r + 4.166_627e-2;
    p = p * r + 1.666_666_7e-1;
    p = p * r + 0.5;
    p * (r * r) + r + 1.0
}

/// `e^x` of an `f64`.
#[inline(always)]
pub(super) fn f64(x: f64) -> f64 {
    f64_of_sum(x, 0.0)
}

/// `e^(x + low)`, for a `low` that is small beside 1.
#[inline(always)]
pub(super) fn f64_of_sum(x: f64, low: f64) -> f64 {
    let x = clamp(x, -746.0, 710.0);
    let t = x * std::f64::consts::LOG2_E + ROUND;
    let k = t - ROUND;
    // The first part of ln 2 has 33 bits, so that its product with `k` is exact.
    let high = x - k * 6.931_471_803_691_238_164_90e-1;
    let low = k * 1.908_214_929_270_587_700_02e-10 - low;
    let r = high - low;
    scaled(of_parts(r, (high - r) - low), t)
}

/// `e^(r + c)`, where `c` is less than a unit in the last place of `r`.
#[inline(always)]
fn of_parts(r: f64, c: f64) -> f64 {
    let mut p = 2.092_682_520_327_614_577e-9;
    p = p * r + 2.511_224_020_762_646_921e-8;
    p = p * r + 2.755_723_378_193_244_029e-7;
    p = p * r + 2.755_723_423_581_003_981e-6;
    p = p * r + 2.480_158_737_318_202_072e-5;
    p = p * r + 1.984_126_989_705_984_484e-4;
    p = p * r + 1.388_888_888_885_877_480e-3;
    p = p * r + 8.333_333_333_316_738_289e-3;
    p = p * r + 4.166_666_666_666_672_366e-2;
    p = p * r + 1.666_666_666_666_668_385e-1;
    p = p * r + 0.5;
    1.0 + (r + (p * (r * r) + c))
}

/// `y * 2^k`, for `t` that is `k + ROUND` and `k` in `-1080..=1030`.
#[inline(always)]
pub(super) fn scaled(y: f64, t: f64) -> f64 {
    // As above, `k + 2046` in two halves.
    let n = t.to_bits().wrapping_sub(ROUND.to_bits() - 2046);
    let half = n >> 1;
    y * f64::from_bits(half << 52) * f64::from_bits(n.wrapping_sub(half) << 52)
}
