use bytemuck::{Pod, Zeroable};

use crate::Reduction;

/// The sum. Floats add up in `f64`, unsigned integers in `u64` (which `u8`, `u16` and `u32` cannot overflow before
/// 2^32 elements).
///
/// A slice is added up in sixteen lanes, then the lanes in pairs. The error for `n` floats is below
/// `(n / 16 + 5) * 2^-53` of the sum of their magnitudes.
///
/// ```
/// use shmpool_kernels::{Reduction, Sum};
///
/// assert_eq!(Sum.fold(0.0, &[1.0e8f32, 1.0]), 100_000_001.0); // an f32 could not hold it
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Sum;

/// The least and the greatest element, as `[least, greatest]`. NaN is passed over.
///
/// For no elements it is `[greatest, least]` of the type: infinities for floats.
///
/// ```
/// use shmpool_kernels::{MinMax, Reduction};
///
/// let none = Reduction::<f32>::identity(&MinMax);
/// assert_eq!(MinMax.fold(none, &[3.0f32, f32::NAN, -1.0]), [-1.0, 3.0]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct MinMax;

/// Values that are kept apart while a slice is folded, so that the additions need not wait for each other.
const LANES: usize = 16;

macro_rules! sum {
    ($element:ty, $acc:ty) => {
        impl Reduction<$element> for Sum {
            type Acc = $acc;

            fn identity(&self) -> $acc {
                0 as $acc
            }

            #[inline(always)]
            fn step(&self, acc: $acc, x: $element) -> $acc {
                acc + <$acc>::from(x)
            }

            #[inline(always)]
            fn combine(&self, left: $acc, right: $acc) -> $acc {
                left + right
            }

            #[inline(always)]
            fn fold(&self, acc: $acc, xs: &[$element]) -> $acc {
                let mut lanes = [0 as $acc; LANES];
                let (groups, rest) = xs.as_chunks::<LANES>();
                for group in groups {
                    for lane in 0..LANES {
                        lanes[lane] += <$acc>::from(group[lane]);
                    }
                }
                let mut half = LANES / 2;
                while half > 0 {
                    for lane in 0..half {
                        lanes[lane] += lanes[lane + half];
                    }
                    half /= 2;
                }
                let mut sum = acc + lanes[0];
                for &x in rest {
                    sum += <$acc>::from(x);
                }
                sum
            }
        }
    };
}
sum!(f32, f64);
sum!(f64, f64);
sum!(u8, u64);
sum!(u16, u64);
sum!(u32, u64);

macro_rules! min_max {
    ($element:ty, $greatest:expr, $least:expr) => {
        impl Reduction<$element> for MinMax {
            type Acc = [$element; 2];

            fn identity(&self) -> [$element; 2] {
                [$greatest, $least]
            }

            #[inline(always)]
            fn step(&self, [min, max]: [$element; 2], x: $element) -> [$element; 2] {
                [lesser(min, x), greater(max, x)]
            }

            #[inline(always)]
            fn combine(&self, left: [$element; 2], right: [$element; 2]) -> [$element; 2] {
                [lesser(left[0], right[0]), greater(left[1], right[1])]
            }

            #[inline(always)]
            fn fold(&self, [mut min, mut max]: [$element; 2], xs: &[$element]) -> [$element; 2] {
                let (mut least, mut greatest) = ([$greatest; LANES], [$least; LANES]);
                let (groups, rest) = xs.as_chunks::<LANES>();
                for group in groups {
                    for lane in 0..LANES {
                        least[lane] = lesser(least[lane], group[lane]);
                        greatest[lane] = greater(greatest[lane], group[lane]);
                    }
                }
                for lane in 0..LANES {
                    min = lesser(min, least[lane]);
                    max = greater(max, greatest[lane]);
                }
                for &x in rest {
                    min = lesser(min, x);
                    max = greater(max, x);
                }
                [min, max]
            }
        }
    };
}
min_max!(f32, f32::INFINITY, f32::NEG_INFINITY);
min_max!(f64, f64::INFINITY, f64::NEG_INFINITY);
min_max!(u8, u8::MAX, u8::MIN);
min_max!(u16, u16::MAX, u16::MIN);
min_max!(u32, u32::MAX, u32::MIN);
min_max!(i32, i32::MAX, i32::MIN);
min_max!(i64, i64::MAX, i64::MIN);

/// `x` if it is less, so that NaN is not taken.
#[inline(always)]
fn lesser<T: PartialOrd>(so_far: T, x: T) -> T {
    if x < so_far { x } else { so_far }
}

/// `x` if it is greater, so that NaN is not taken.
#[inline(always)]
fn greater<T: PartialOrd>(so_far: T, x: T) -> T {
    if x > so_far { x } else { so_far }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_a_slice_agrees_with_one_step_at_a_time() {
        for n in [0, 1, 15, 16, 17, 100] {
            let xs: Vec<f32> = (0..n).map(|i| (i * 37 % 101) as f32 - 50.0).collect();
            let steps = xs.iter().fold(0.0, |acc, &x| Sum.step(acc, x));
            assert_eq!(Sum.fold(0.0, &xs), steps, "{n}");
            let none = Reduction::<f32>::identity(&MinMax);
            assert_eq!(MinMax.fold(none, &xs), xs.iter().fold(none, |acc, &x| MinMax.step(acc, x)), "{n}");
        }
    }

    #[test]
    fn the_identity_changes_nothing() {
        let extent = [-1.0f32, 2.0];
        let none = Reduction::<f32>::identity(&MinMax);
        assert_eq!(Reduction::<f32>::combine(&MinMax, none, extent), extent);
        assert_eq!(Reduction::<f32>::combine(&MinMax, extent, none), extent);
        assert_eq!(Sum.fold(Reduction::<u8>::identity(&Sum), &[255u8; 300]), 76_500);
    }

    #[test]
    fn long_float_sums_do_not_stall() {
        let xs = vec![1.0f32; (1 << 24) + 3];
        assert_eq!(Sum.fold(0.0, &xs), f64::from((1 << 24) + 3));
    }
}
