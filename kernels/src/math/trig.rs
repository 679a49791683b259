//! Sine and cosine, each in several forms: for any argument, and faster ones with the same bits for those that are not
//! large (`is_large`), or, of `f32`, not huge (`is_huge`).

pub(crate) mod f32 {
    // Coefficients: minimax fit (Lawson) of `(sin(r) / r - 1) / r^2 + 1 / 8` on `|r| <= 1.0002 pi / 2`.
    #![allow(clippy::excessive_precision)]

    use crate::math::{ROUND, ROUND_F32};

    /// `sin x` of an `f32`.
    #[inline(always)]
    pub(in crate::math) fn sin(x: f32) -> f32 {
        any::<false>(x, pieces(x))
    }

    /// `cos x` of an `f32`: the sine of `pi / 2` more.
    #[inline(always)]
    pub(in crate::math) fn cos(x: f32) -> f32 {
        any::<true>(x, pieces(x))
    }

    /// Whether `x` is too large for `reduced`. NaN is not.
    #[inline(always)]
    pub(crate) fn is_large(x: f32) -> bool {
        x.abs() > 8192.0
    }

    /// `sin x`, unless `is_large(x)`.
    #[inline(always)]
    pub(crate) fn sin_common(x: f32) -> f32 {
        of_remainder(reduced::<false>(x))
    }

    /// `cos x`, unless `is_large(x)`.
    #[inline(always)]
    pub(crate) fn cos_common(x: f32) -> f32 {
        of_remainder(reduced::<true>(x))
    }

    /// Whether the first pieces of `1 / pi` will not do. NaN is not.
    #[inline(always)]
    pub(crate) fn is_huge(x: f32) -> bool {
        x.abs() >= TWO_53
    }

    /// `sin x`, unless `is_huge(x)`.
    #[inline(always)]
    pub(crate) fn sin_moderate(x: f32) -> f32 {
        any::<false>(x, FIRST)
    }

    /// `cos x`, unless `is_huge(x)`.
    #[inline(always)]
    pub(crate) fn cos_moderate(x: f32) -> f32 {
        any::<true>(x, FIRST)
    }

    /// Both reductions, given the pieces of `1 / pi` that matter, then a choice: a loop over this has no branch.
    #[inline(always)]
    fn any<const FURTHER: bool>(x: f32, pieces: (f64, f64, f64)) -> f32 {
        let (near, far) = (reduced::<FURTHER>(x), reduced_far::<FURTHER>(x, pieces));
        let large = is_large(x);
        of_remainder((if large { far.0 } else { near.0 }, if large { far.1 } else { near.1 }))
    }

    /// The sine of `r` and as many half turns as the lowest bit of `turns` says, for `|r|` up to `pi / 2`.
    #[inline(always)]
    fn of_remainder((r, turns): (f32, u32)) -> f32 {
        const SIGN: u32 = 1 << 31;
        let z = r * r;
        let a = 2.606_096e-6 * z - 1.980_977_7e-4;
        let b = 8.333_069e-3 * z - 4.166_659_7e-2;
        let p = a * (z * z) + b;
        // An eighth of the cube is exact: with a sixth in `p`, the rounding of `p` would count four times.
        let cube = r * z;
        let y = (cube * p - cube * 0.125) + r;
        // The sum has lost the sign of a zero. Half a turn changes it.
        f32::from_bits((y.to_bits() | (r.to_bits() & SIGN)) ^ (turns << 31))
    }

    /// `x`, or half a `pi` more, as a number of half turns (its lowest bit) and what is left, unless `is_large(x)`: the
    /// number and its half take 13 bits then.
    #[inline(always)]
    fn reduced<const FURTHER: bool>(x: f32) -> (f32, u32) {
        let t = x * std::f32::consts::FRAC_1_PI;
        let t = if FURTHER { t + 0.5 } else { t } + ROUND_F32;
        let n = t - ROUND_F32;
        let n = if FURTHER { n - 0.5 } else { n };
        // Four parts of pi. The first three have 11 bits at most and `n`, with its half, 13: their products are exact. So
        // are the differences wherever little is left of them, and what the third one rounds off goes to the last part.
        let high = x - n * 3.140_625 - n * 9.675_025_939_941_406_25e-4;
        let third = n * 1.509_906_724_095_344_543_5e-7;
        let r = high - third;
        // Taken off and not added, for -0 less 0 is -0.
        let low = n * 5.126_688_136_514_179_206e-12 - ((high - r) - third);
        (r - low, t.to_bits())
    }

    /// The same for any `x`, in `f64`.
    #[inline(always)]
    fn reduced_far<const FURTHER: bool>(x: f32, (a, b, c): (f64, f64, f64)) -> (f32, u32) {
        /// Rounds to a multiple of 8 as `ROUND` rounds to one of 1.
        const ROUND_TO_8: f64 = 8.0 * ROUND;
        let x = f64::from(x);
        // The first two products are exact. Multiples of 2 are whole turns: they are taken off and forgotten.
        let coarse = x * a;
        let coarse = coarse - ((coarse + ROUND_TO_8) - ROUND_TO_8);
        let coarse = if FURTHER { coarse + 0.5 } else { coarse };
        let fine = x * b;
        let finest = x * c;
        let t = (coarse + (fine + finest)) + ROUND;
        // In this order nothing of a small difference is lost.
        let f = ((coarse - (t - ROUND)) + fine) + finest;
        ((f * std::f64::consts::PI) as f32, t.to_bits() as u32)
    }

    /// Pieces of `1 / pi` of 29 bits each.
    const SHORT: [f64; 5] = [
        f64::from_bits(0x3fd4_5f30_6c00_0000),
        f64::from_bits(0x3e1c_9c88_2a00_0000),
        f64::from_bits(0x3c34_fe13_aa00_0000),
        f64::from_bits(0x3a7e_8fa9_a600_0000),
        f64::from_bits(0x38ad_c0db_6200_0000),
    ];
    /// The pieces from the third on with all that follows, to 53 bits.
    const LONG: [f64; 4] = [
        f64::from_bits(0x3c34_fe13_abe8_fa9a),
        f64::from_bits(0x3a7e_8fa9_a6ee_06db),
        f64::from_bits(0x38ad_c0db_6295_993c),
        f64::from_bits(0x36d2_b327_8872_0840),
    ];
    const FIRST: (f64, f64, f64) = (SHORT[0], SHORT[1], LONG[0]);
    const TWO_53: f32 = 9_007_199_254_740_992.0;

    /// Neighbouring pieces of `1 / pi`, from the first one on whose product with `x` is not a number of whole turns.
    ///
    /// An `f32` of exponent `e` is a multiple of `2^(e - 23)`, and piece `j` one of `2^-(29 j + 29)`: from
    /// `e = 29 j + 53` on, their product is a multiple of 2.
    #[inline(always)]
    fn pieces(x: f32) -> (f64, f64, f64) {
        const TWO_82: f32 = TWO_53 * 536_870_912.0;
        const TWO_111: f32 = TWO_82 * 536_870_912.0;
        let magnitude = x.abs();
        let chosen = if magnitude < TWO_53 { FIRST } else { (SHORT[1], SHORT[2], LONG[1]) };
        let chosen = if magnitude < TWO_82 { chosen } else { (SHORT[2], SHORT[3], LONG[2]) };
        if magnitude < TWO_111 { chosen } else { (SHORT[3], SHORT[4], LONG[3]) }
    }
}

pub(crate) mod f64 {
    // Constants as published.
    #![allow(clippy::excessive_precision)]

    use crate::math::{ROUND, large};

    /// `sin x` of an `f64`.
    #[inline(always)]
    pub(in crate::math) fn sin(x: f64) -> f64 {
        if is_large(x) { large::sin(x) } else { sin_common(x) }
    }

    /// `cos x` of an `f64`.
    #[inline(always)]
    pub(in crate::math) fn cos(x: f64) -> f64 {
        if is_large(x) { large::cos(x) } else { cos_common(x) }
    }

    /// Whether the number of quadrants has more than 20 bits. NaN is not.
    #[inline(always)]
    pub(crate) fn is_large(x: f64) -> bool {
        x.abs() > 1_048_576.0
    }

    /// `sin x`, unless `is_large(x)`.
    #[inline(always)]
    pub(crate) fn sin_common(x: f64) -> f64 {
        let (quadrant, r, c) = reduced(x);
        of_quadrant(quadrant, r, c)
    }

    /// `cos x`, unless `is_large(x)`.
    #[inline(always)]
    pub(crate) fn cos_common(x: f64) -> f64 {
        let (quadrant, r, c) = reduced(x);
        of_quadrant(quadrant.wrapping_add(1), r, c)
    }

    /// The sine of `quadrant * pi / 2 + r + c`, where `|r| <= pi / 4` and `c` is what `r` lacks.
    #[inline(always)]
    pub(in crate::math) fn of_quadrant(quadrant: u64, r: f64, c: f64) -> f64 {
        let y = if quadrant & 1 == 0 { near_sin(r, c) } else { near_cos(r, c) };
        f64::from_bits(y.to_bits() ^ (quadrant & 2) << 62)
    }

    /// `x` as a number of quadrants (its low bits) and what is left, in two parts.
    #[inline(always)]
    fn reduced(x: f64) -> (u64, f64, f64) {
        let t = x * std::f64::consts::FRAC_2_PI + ROUND;
        let n = t - ROUND;
        // Three parts of pi / 2 of 33 bits each, whose products with `n`, of 20 bits, are exact.
        let high = x - n * 1.570_796_326_734_125_614_17;
        let (high, low) = difference(high, n * 6.077_100_506_303_965_976_60e-11);
        let (high, lower) = difference(high, n * 2.022_266_248_711_166_455_80e-21);
        let low = (low + lower) - n * 8.478_427_660_368_899_569_97e-32;
        let r = high + low;
        (t.to_bits(), r, (high - r) + low)
    }

    /// `a - b` and what was rounded off (Knuth's two-sum).
    #[inline(always)]
    fn difference(a: f64, b: f64) -> (f64, f64) {
        let d = a - b;
        let of_b = a - d;
        let of_a = d + of_b;
        (d, (a - of_a) - (b - of_b))
    }

    #[inline(always)]
    fn near_sin(r: f64, c: f64) -> f64 {
        let z = r * r;
        let mut p = 1.589_690_995_211_550_102_21e-10;
        p = p * z - 2.505_076_025_340_686_341_95e-8;
        p = p * z + 2.755_731_370_707_006_767_89e-6;
        p = p * z - 1.984_126_982_985_794_931_34e-4;
        p = p * z + 8.333_333_333_322_489_461_24e-3;
        let cube = z * r;
        r - ((z * (0.5 * c - cube * p) - c) - cube * -1.666_666_666_666_663_243_48e-1)
    }

    #[inline(always)]
    fn near_cos(r: f64, c: f64) -> f64 {
        let z = r * r;
        let mut p = -1.135_964_755_778_819_482_65e-11;
        p = p * z + 2.087_572_321_298_174_827_90e-9;
        p = p * z - 2.755_731_435_139_066_330_35e-7;
        p = p * z + 2.480_158_728_947_672_941_78e-5;
        p = p * z - 1.388_888_888_887_410_957_49e-3;
        p = p * z + 4.166_666_666_666_660_190_37e-2;
        let half = 0.5 * z;
        let w = 1.0 - half;
        w + (((1.0 - w) - half) + (z * z * p - r * c))
    }
}
