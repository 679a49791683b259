//! The stock kernels for numbers: functions of one element, and reductions.

mod element;
mod mandelbrot;
mod reduce;

pub use element::{Axpb, Sqrt};
pub use mandelbrot::{Mandelbrot, Viewport};
pub use reduce::{MinMax, Sum};
