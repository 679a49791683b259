//! The counter-based generator Philox: a block of random words is a function of its number and of a key.
//!
//! J. Salmon, M. Moraes, R. Dror and D. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. The words are
//! those of the authors' Random123 (`kat_vectors`), and, for [`philox4x64`], of NumPy's `Philox`.

macro_rules! philox {
    ($(#[$doc:meta])* $name:ident, $word:ty, $wide:ty, $factors:expr, $steps:expr) => {
        $(#[$doc])*
        #[inline(always)]
        #[must_use]
        pub fn $name(counter: [$word; 4], key: [$word; 2]) -> [$word; 4] {
            const FACTORS: [$word; 2] = $factors;
            const STEPS: [$word; 2] = $steps;
            let ([mut a, mut b, mut c, mut d], [mut k, mut l]) = (counter, key);
            for _ in 0..10 {
                let (left, right) =
                    (<$wide>::from(FACTORS[0]) * <$wide>::from(a), <$wide>::from(FACTORS[1]) * <$wide>::from(c));
                let (high_left, high_right) = ((left >> <$word>::BITS) as $word, (right >> <$word>::BITS) as $word);
                (a, b, c, d) = (high_right ^ b ^ k, right as $word, high_left ^ d ^ l, left as $word);
                (k, l) = (k.wrapping_add(STEPS[0]), l.wrapping_add(STEPS[1]));
            }
            [a, b, c, d]
        }
    };
}

philox! {
    /// Philox4x32-10: four 32-bit words for a counter and a key.
    ///
    /// ```
    /// use shmpool_kernels::philox4x32;
    ///
    /// assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    /// ```
    philox4x32, u32, u64, [0xd251_1f53, 0xcd9e_8d57], [0x9e37_79b9, 0xbb67_ae85]
}

philox! {
    /// Philox4x64-10: four 64-bit words for a counter and a key.
    philox4x64, u64, u128, [0xd2e7_470e_e14c_6c93, 0xca5a_8263_9512_1157],
    [0x9e37_79b9_7f4a_7c15, 0xbb67_ae85_84ca_a73b]
}
