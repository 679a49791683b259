//! The stock kernels for numbers: functions of one element or a few, random numbers, reductions and running totals.

mod arithmetic;
mod black_scholes;
mod functions;
mod mandelbrot;

mod philox;
mod random;

mod cumulative;
mod histogram;
mod logic;
mod moments;
mod reduce;
mod search;

mod dtype;
mod step;
mod stock;

pub use arithmetic::{Abs, Axpb, Axpy, Clip, Where};
pub use black_scholes::{BlackScholes, OptionKind};
pub use cumulative::CumSum;
pub use dtype::{Element, ElementType, UnknownElementType};
pub use functions::{Cos, Erf, Exp, Ln, Pow, Reciprocal, Sin, Sqrt, Tanh};
pub use histogram::{BINS_MAX, Counts, Histogram};
pub use logic::{All, Any};
pub use mandelbrot::{Mandelbrot, Viewport};
pub use moments::{Dot, Mean, Moments, Norm2, Total, Variance};
pub use philox::{philox4x32, philox4x64};
pub use random::{Normal, Uniform};
pub use reduce::{MinMax, Sum};
pub use search::{ArgMax, ArgMin, Place};
pub use step::{ElementStep, ElementTable};
pub use stock::{ELEMENT_STOCK, ElementArguments, ElementStock, parse_element_step};
