use bytemuck::{Pod, Zeroable};

use crate::ElementKernel;

/// How many steps of `z = z * z + c`, from `z = 0`, a point `c` of the plane takes to leave the circle of radius 2.
///
/// The element is `[real, imaginary]`, `f32` or `f64`; the result counts the `z` with `|z|^2 <= 4`, starting with 0,
/// and stops at `iterations`, which means that the point may well be in the set. No product and sum is fused, so
/// that counts are the same on every machine.
///
/// ```
/// use shmpool_kernels::{ElementKernel, Mandelbrot};
///
/// let kernel = Mandelbrot { iterations: 256 };
/// assert_eq!(kernel.apply([0.0f64, 0.0]), 256);
/// assert_eq!(kernel.apply([1.0f64, 0.0]), 3); // 0, 1, 2, then 5
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Mandelbrot {
    /// The largest count.
    pub iterations: u32,
}

macro_rules! mandelbrot {
    ($float:ty) => {
        impl ElementKernel<[$float; 2]> for Mandelbrot {
            type Out = u32;

            #[inline(always)]
            fn apply(&self, [re, im]: [$float; 2]) -> u32 {
                let (mut x, mut y): ($float, $float) = (0.0, 0.0);
                let mut count = 0;
                while count < self.iterations && x * x + y * y <= 4.0 {
                    (x, y) = (x * x - y * y + re, 2.0 * x * y + im);
                    count += 1;
                }
                count
            }
        }
    };
}
mandelbrot!(f32);
mandelbrot!(f64);

/// Which point of the plane a pixel stands for: the pixels in the corners are the corners of the rectangle.
///
/// ```
/// use shmpool_kernels::Viewport;
///
/// let view = Viewport { re: [-2.0, 0.5], im: [-1.25, 1.25], height: 3, width: 6 };
/// assert_eq!(view.point(0, 0), [-2.0, -1.25]);
/// assert_eq!(view.point(1, 5), [0.5, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Viewport {
    /// The real parts of the first and the last column.
    pub re: [f64; 2],
    /// The imaginary parts of the first and the last row.
    pub im: [f64; 2],
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

impl Viewport {
    /// The point of a pixel, `[real, imaginary]`; a row or column beyond the last goes on beyond the rectangle.
    #[inline(always)]
    #[must_use]
    pub fn point(&self, row: usize, column: usize) -> [f64; 2] {
        [at(self.re, column, self.width), at(self.im, row, self.height)]
    }
}

/// Place `index` of `n` from the first to the last of `ends`: NumPy's `linspace`, to the bit.
#[inline(always)]
fn at([first, last]: [f64; 2], index: usize, n: u32) -> f64 {
    if n < 2 {
        return first;
    }
    if index == n as usize - 1 {
        return last;
    }
    index as f64 * ((last - first) / f64::from(n - 1)) + first
}
