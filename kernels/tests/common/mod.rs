//! What the test files share.
#![allow(dead_code, reason = "each test file is a crate of its own and uses a part")]

pub(crate) mod cases;

use bytemuck::Pod;

/// `n` samples of every bit pattern that the type's bytes can have, the same ones each time (SplitMix64).
pub(crate) fn noise<T: Pod>(n: usize) -> Vec<T> {
    let mut words = vec![0u64; (n * size_of::<T>()).div_ceil(8)];
    for (index, word) in words.iter_mut().enumerate() {
        let mut z = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *word = z ^ (z >> 31);
    }
    bytemuck::cast_slice(&words)[..n].to_vec()
}
