//! What a kernel is, and the stock numeric and image kernels of shmpool.
//!
//! A kernel is a small plain value (`Pod`) that says what to do with one element, one tile of an image, or a run of
//! elements. It knows nothing of processes: the engine sends its bytes to workers, and tests and programs without an
//! engine call it directly.
//!
//! | trait | says | stock kernels |
//! |---|---|---|
//! | [`ElementKernel`] | what becomes of an element | [`Exp`], [`Ln`], [`Sin`], [`Cos`], [`Tanh`], [`Erf`], [`Pow`], [`Sqrt`], [`Reciprocal`], [`Abs`], [`Clip`], [`Axpb`], [`Mandelbrot`] |
//! | [`ZipKernel`] | what becomes of the elements at one index of several arrays | [`Axpy`], [`Where`], [`BlackScholes`] |
//! | [`IndexKernel`] | what an index becomes | [`Uniform`], [`Normal`] |
//! | [`TileKernel`] | what becomes of a pixel and its neighbours | [`Gray`], [`Gaussian`], [`Sobel`], [`Identity`] |
//! | [`Reduction`] | what becomes of all elements together | [`Sum`], [`MinMax`], [`Mean`], [`Variance`], [`Norm2`], [`ArgMin`], [`ArgMax`], [`Histogram`], [`Counts`], [`Any`], [`All`] |
//! | [`ZipReduction`] | what becomes of two arrays together | [`Dot`] |
//! | [`Scan`] | what becomes of all elements up to each | [`CumSum`] |
//!
//! Closures use the functions of [`math`] where they would call the C library.
//!
//! Images are height x width x channels, rows contiguous and channels interleaved, of `u8`, `u16` or `f32` samples.
//! In images with two or four channels the last one is alpha, which the stock kernels carry past unchanged.
//!
//! # Chains
//! Tile kernels are strung together by a [`Chain`], and run fused: a tile goes through all of them while it is in the
//! cache. A chain means its steps one after the other, byte for byte, for any tiles and at any CPU [`Level`].
//!
//! ```
//! use shmpool_kernels::{Border, Chain, Gaussian, Gray, KernelError, Sobel};
//!
//! let edges = Chain::<u8, u8>::of(Gray)
//!     .then(Gaussian::new(1.0).border(Border::Replicate))
//!     .then(Sobel::default());
//! let (height, width) = (20, 30);
//! let red_then_blue = |i: usize| if i / 3 % width < 15 { [200, 0, 0][i % 3] } else { [0, 0, 200][i % 3] };
//! let image: Vec<u8> = (0..height * width * 3).map(red_then_blue).collect();
//! let mut found = vec![0; height * width];
//! edges.run(&image, [height, width, 3], &mut found)?;
//! assert_eq!(found[..16], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 44, 96, 96]); // red ends in column 14
//!
//! let error = edges.run(&image, [height, width, 4], &mut found).unwrap_err();
//! assert_eq!(error.to_string(), "source: found 1800 samples, wanted 2400");
//! # Ok::<(), KernelError>(())
//! ```
//!
//! [`parse_chain`] makes chains of words, and [`STOCK`] lists the words there are. A [`Plan`] is a chain for one image,
//! tile by tile: what an engine runs.
//!
//! # Writing a kernel
//! Make a `#[repr(C)]` struct of its parameters, derive `Pod`, and implement one of the traits: each has an example.
//! - **`#[inline(always)]`** on `apply`, `step`, `fold` and `run`, and on every function that their loops call. They
//!   are compiled once for each [`Level`], and what is not inlined stays compiled for the baseline; so do closures
//!   inside of them, sooner or later.
//! - **Plain loops over slices**, which the compiler turns into vector instructions. No branch on what a pixel holds.
//! - **The same bits everywhere**: `a * b + c` is rounded twice at every level, `mul_add` once. Use one on purpose.
//! - **Every value of the parameters is legal bytes**: they may come from another process. What makes no sense is
//!   refused by [`TileKernel::validate`], and never memory-unsafe.

// What kernels are made of.
mod border;
mod error;
mod level;
mod sample;
mod scratch;
mod view;

// What kernels of numbers call.
pub mod math;

// What a kernel is.
mod kernel;

// Kernels one after the other.
mod chain;
mod plan;
mod step;

// The stock.
mod image;
mod numeric;
mod stock;

pub use border::{Border, BorderCode};
pub use chain::Chain;
pub use error::KernelError;
pub use image::{Blur, Gaussian, Gradient, Gray, Identity, Luma, SIGMA_MAX, Sobel};
pub use kernel::{
    ElementKernel, IndexKernel, Reduction, Scan, TileKernel, ZipKernel, ZipReduction, has_alpha,
};
pub use level::{Level, Work};
pub use numeric::{
    Abs, All, Any, ArgMax, ArgMin, Axpb, Axpy, BINS_MAX, BlackScholes, Clip, Cos, Counts, CumSum, Dot,
    ELEMENT_STOCK, Element, ElementParameter, ElementStep, ElementStock, ElementTable, ElementType, Erf, Exp,
    Histogram, Ln, Mandelbrot, Mean, MinMax, Moments, Norm2, Normal, OptionKind, Place, Pow, Reciprocal, Sin,
    Sqrt, Sum, Tanh, Total, Uniform, UnknownElementType, Variance, Viewport, Where, parse_element_step,
    philox4x32, philox4x64,
};
pub use plan::{HALO_MAX, Plan, Rect, passes};
pub use sample::{Sample, SampleType};
pub use scratch::{Scratch, Workspace};
pub use step::{PARAMETER_BYTES_MAX, Step, StepTable};
pub use stock::{Parameter, STOCK, Stock, Values, parse_chain};
pub use view::{Tile, Window};
