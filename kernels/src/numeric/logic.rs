use bytemuck::{Pod, Zeroable};

use crate::Reduction;

/// 1 if an element is not 0, else 0. NaN is not 0. Elements: `f32`, `f64`, `i32`, `i64`, `u8`.
///
/// ```
/// use shmpool_kernels::{Any, Reduction};
///
/// assert_eq!(Any.fold(0, &[0.0, -0.0, f32::NAN]), 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Any;

/// 1 if no element is 0, else 0. NaN is not 0. Elements: `f32`, `f64`, `i32`, `i64`, `u8`.
///
/// ```
/// use shmpool_kernels::{All, Reduction};
///
/// assert_eq!(All.fold(1, &[1u8, 2, 0]), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct All;

macro_rules! logic {
    ($kernel:ident, $identity:literal, $joined:tt, $($element:ty),*) => {
        $(impl Reduction<$element> for $kernel {
            type Acc = u8;

            fn identity(&self) -> u8 {
                $identity
            }

            #[inline(always)]
            fn step(&self, acc: u8, x: $element) -> u8 {
                acc $joined u8::from(x != 0 as $element)
            }

            #[inline(always)]
            fn combine(&self, left: u8, right: u8) -> u8 {
                left $joined right
            }
        })*
    };
}
logic!(Any, 0, |, f32, f64, i32, i64, u8);
logic!(All, 1, &, f32, f64, i32, i64, u8);
