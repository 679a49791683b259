//! Powers.
// Constants as published, or minimax fits (Remez).
#![allow(clippy::excessive_precision)]

use super::{ROUND, clamp, exp::scaled, ln::split};

/// `x^y` of `f32`, by way of `f64`.
#[inline(always)]
pub(super) fn f32(x: f32, y: f32) -> f32 {
    let (x, y) = (f64::from(x), f64::from(y));
    let (m, k) = split(x.abs());
    // log2 m = 2 / ln 2 * atanh s
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut p = 3.407_489_932_639_661_7e-1;
    p = p * z + 4.116_717_453_247_166_1e-1;
    p = p * z + 5.770_836_003_322_960_7e-1;
    p = p * z + 9.617_966_732_663_348_7e-1;
    p = p * z + 2.885_390_081_790_141_8;
    let exponent = clamp(y * (p * s + k), -1000.0, 1000.0);

    let t = exponent + ROUND;
    let r = exponent - (t - ROUND);
    let mut p = 1.534_576_541_455_228_3e-4;
    p = p * r + 1.339_995_851_771_123_2e-3;
    p = p * r + 9.618_489_355_892_848_6e-3;
    p = p * r + 5.550_328_708_581_706_4e-2;
    p = p * r + 2.402_264_688_451_485_8e-1;
    p = p * r + 6.931_472_057_701_088_3e-1;
    p = p * r + 1.0;
    let magnitude = p * f64::from_bits(t.to_bits().wrapping_sub(ROUND.to_bits() - 1023) << 52);
    special(x, y, magnitude) as f32
}

/// `x^y` of `f64`: FDLIBM's `e_pow.c` with selections in the place of branches.
#[inline(always)]
pub(super) fn f64(x: f64, y: f64) -> f64 {
    // Beyond, every result but that of 1 is 0 or infinity, or x is -1 and y is even.
    let cut = clamp(y, -1e25, 1e25);
    let (log, log_low) = log2(x.abs());
    // y log2 x in two parts; the first product is exact.
    let y_high = head(cut);
    let low = (cut - y_high) * log + cut * log_low;
    let high = y_high * log;
    let sum = low + high;
    let high = clamp(high, -1080.0, 1030.0);
    let low = if clamp(sum, -1080.0, 1030.0) == sum { low } else { 0.0 };
    let magnitude = exp2(high, low);
    special(x, y, magnitude)
}

/// `log2 x` for finite `x` above 0, in two parts, the first of 21 bits.
#[inline(always)]
fn log2(x: f64) -> (f64, f64) {
    // 2 / (3 ln 2), whole and in two parts.
    const CP: f64 = 9.617_966_939_259_755_543_29e-1;
    const CP_HIGH: f64 = 9.617_967_009_544_372_558_59e-1;
    const CP_LOW: f64 = -7.028_461_650_952_758_265_16e-9;
    // m in sqrt(3)/2..sqrt(3), then as a multiple of 1 or 3/2.
    let (m, k) = split(x);
    let below = m < 0.866_025_403_784_438_6;
    let (m, k) = if below { (m + m, k - 1.0) } else { (m, k) };
    let upper = m >= 1.224_744_871_391_589;
    let base = if upper { 1.5 } else { 1.0 };
    let log_base = if upper { 5.849_624_872_207_641_601_56e-1 } else { 0.0 };
    let log_base_low = if upper { 1.350_039_202_129_748_971_28e-8 } else { 0.0 };

    // s = (m - base) / (m + base), in two parts.
    let u = m - base;
    let v = 1.0 / (m + base);
    let s = u * v;
    let s_high = head(s);
    let t_high = head(m + base);
    let t_low = m - (t_high - base);
    let s_low = v * ((u - s_high * t_high) - s_high * t_low);

    // ln (m / base) = 2 s + 2/3 s^3 + …
    let z = s * s;
    let mut r = 2.069_750_178_003_384_177_84e-1;
    r = r * z + 2.306_607_457_755_617_540_67e-1;
    r = r * z + 2.727_281_238_085_340_064_89e-1;
    r = r * z + 3.333_333_298_183_774_329_18e-1;
    r = r * z + 4.285_714_285_785_501_842_52e-1;
    r = r * z + 5.999_999_999_999_946_487_25e-1;
    let r = z * z * r + s_low * (s_high + s);
    let z = s_high * s_high;
    let t_high = head(3.0 + z + r);
    let t_low = r - ((t_high - 3.0) - z);
    let u = s_high * t_high;
    let v = s_low * t_high + t_low * s;
    let p_high = head(u + v);
    let p_low = v - (p_high - u);
    let high = CP_HIGH * p_high;
    let low = CP_LOW * p_high + p_low * CP + log_base_low;
    let log = head(((high + low) + log_base) + k);
    (log, low - (((log - k) - log_base) - high))
}

/// `2^(high + low)` for `high` in `-1080..=1030`.
#[inline(always)]
fn exp2(high: f64, low: f64) -> f64 {
    let n = (high + low) + ROUND;
    let high = high - (n - ROUND);
    let t = head(low + high);
    let u = t * 6.931_471_824_645_996_093_75e-1;
    let v = (low - (t - high)) * std::f64::consts::LN_2 + t * -1.904_654_299_957_768_045_25e-9;
    let z = u + v;
    let w = v - (z - u);
    let t = z * z;
    let mut p = 4.138_136_797_057_238_460_39e-8;
    p = p * t - 1.653_390_220_546_525_153_90e-6;
    p = p * t + 6.613_756_321_437_934_361_17e-5;
    p = p * t - 2.777_777_777_701_559_338_42e-3;
    p = p * t + 1.666_666_666_666_660_190_37e-1;
    let t1 = z - t * p;
    let r = (z * t1) / (t1 - 2.0) - (w + z * w);
    scaled(1.0 - (r - z), n)
}

/// The power, given `|x|^y` for the `x` and `y` that have a plain one.
#[inline(always)]
fn special(x: f64, y: f64, magnitude: f64) -> f64 {
    const TWO_52: f64 = 4_503_599_627_370_496.0;
    let (ax, ay) = (x.abs(), y.abs());
    let magnitude = if ax == 0.0 || ax == f64::INFINITY {
        if (ax == 0.0) == (y > 0.0) { 0.0 } else { f64::INFINITY }
    } else {
        magnitude
    };
    let magnitude = if ax == 1.0 { 1.0 } else { magnitude };
    let whole = ay >= TWO_52 || (ay + TWO_52) - TWO_52 == ay;
    let half = 0.5 * ay;
    let odd = whole && ay < 2.0 * TWO_52 && (half + TWO_52) - TWO_52 != half;
    let sign = if odd { x.to_bits() & (1 << 63) } else { 0 };
    let power = f64::from_bits(magnitude.to_bits() | sign);
    let power = if x < 0.0 && ax < f64::INFINITY && !whole { f64::NAN } else { power };
    let power = if x.is_nan() || y.is_nan() { f64::NAN } else { power };
    if y == 0.0 || x == 1.0 { 1.0 } else { power }
}

/// The first 21 bits of `x`.
#[inline(always)]
fn head(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & 0xffff_ffff_0000_0000)
}
