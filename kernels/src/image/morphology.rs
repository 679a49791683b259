use bytemuck::{Pod, Zeroable};

use super::{carry_alpha, order::Ordered, sliding};
use crate::{Border, BorderCode, KernelError, Tile, TileKernel, Window, Workspace};

/// A kernel that gives the least or the greatest sample of a square window.
macro_rules! extreme_kernel {
    ($(#[$doc:meta])* $kernel:ident, $name:literal, $join:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Pod, Zeroable)]
        #[repr(C)]
        pub struct $kernel {
            /// Half the side of the window, in pixels.
            pub radius: u32,
            /// What lies beyond the edge; [`Border::Replicate`] by default.
            pub border: BorderCode,
        }

        impl $kernel {
            /// The filter with a window of `2 * radius + 1` pixels squared and [`Border::Replicate`].
            #[must_use]
            pub fn new(radius: u32) -> Self {
                $kernel { radius, border: Border::Replicate.into() }
            }

            /// The same filter with this border.
            #[must_use]
            pub fn border(self, border: Border) -> Self {
                $kernel { border: border.into(), ..self }
            }
        }

        impl<T: Ordered> TileKernel<T> for $kernel {
            type Out = T;

            fn name(&self) -> &'static str {
                $name
            }

            fn halo(&self) -> usize {
                sliding::halo(self.radius)
            }

            fn border(&self) -> Border {
                self.border.into()
            }

            fn validate(&self) -> Result<(), KernelError> {
                sliding::validate_radius($name, self.radius)
            }

            #[inline(always)]
            fn run(&self, src: &Window<'_, T>, dst: &mut Tile<'_, T>, workspace: &mut Workspace) {
                sliding::slide_tile::<T, T, $join>($join, src, dst, workspace);
                carry_alpha(src, dst);
            }
        }
    };
}

extreme_kernel! {
    /// The least sample of the square window around each one, for each channel: dark parts grow.
    ///
    /// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
    /// * result: the same shape
    /// * `radius`: 0 to [`RADIUS_MAX`](crate::RADIUS_MAX); the window is `2 * radius + 1` pixels squared
    ///
    /// Exactly OpenCV's `erode` and SciPy's `grey_erosion` with the same border (`kernels/tests/everyday.rs`). The border
    /// is [`Border::Replicate`] unless another is named: with a square window that is the same as OpenCV's default, where
    /// pixels beyond the edge do not count. An `f32` window with NaN gives NaN or its least number, one of the two.
    ///
    /// Cost: at most two operations for each bit of the window's side, in each direction. [`Dilate`] after it is the
    /// morphological opening, which removes small bright parts; it before is the closing.
    ///
    /// # Errors
    /// [`KernelError::Parameter`] if `radius` is out of its range.
    Erode, "erode", Least
}

extreme_kernel! {
    /// The greatest sample of the square window around each one, for each channel: bright parts grow.
    ///
    /// * source: any number of channels; alpha (see [`has_alpha`](crate::has_alpha)) is carried past
    /// * result: the same shape
    /// * `radius`: 0 to [`RADIUS_MAX`](crate::RADIUS_MAX); the window is `2 * radius + 1` pixels squared
    ///
    /// Exactly OpenCV's `dilate` and SciPy's `grey_dilation` with the same border (`kernels/tests/everyday.rs`). Border,
    /// NaN and cost are as for [`Erode`].
    ///
    /// # Errors
    /// [`KernelError::Parameter`] if `radius` is out of its range.
    Dilate, "dilate", Greatest
}

#[derive(Clone, Copy)]
struct Least;

#[derive(Clone, Copy)]
struct Greatest;

impl<T: Ordered> sliding::Join<T, T> for Least {
    #[inline(always)]
    fn of(sample: T) -> T {
        sample
    }

    #[inline(always)]
    fn join(before: T, after: T) -> T {
        before.least(after)
    }

    #[inline(always)]
    fn sample(self, joined: T) -> T {
        joined
    }
}

impl<T: Ordered> sliding::Join<T, T> for Greatest {
    #[inline(always)]
    fn of(sample: T) -> T {
        sample
    }

    #[inline(always)]
    fn join(before: T, after: T) -> T {
        before.greatest(after)
    }

    #[inline(always)]
    fn sample(self, joined: T) -> T {
        joined
    }
}
