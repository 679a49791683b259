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
//! | [`TileKernel`] | what becomes of a pixel and its neighbours | those for images, below |
//! | [`GatherKernel`] | what a pixel is made of, anywhere in the image | [`Resize`], [`Crop`], [`Pad`], [`Orient`], [`ImageHistogram`] |
//! | [`GlobalKernel`] | what to measure before pixels can be made | [`Otsu`], [`Equalize`], [`AutoLevels`] |
//! | [`Reduction`] | what becomes of all elements together | [`Sum`], [`MinMax`], [`Mean`], [`Variance`], [`Norm2`], [`ArgMin`], [`ArgMax`], [`Histogram`], [`Counts`], [`Any`], [`All`] |
//! | [`ZipReduction`] | what becomes of two arrays together | [`Dot`] |
//! | [`Scan`] | what becomes of all elements up to each | [`CumSum`] |
//!
//! Closures use the functions of [`math`] where they would call the C library.
//!
//! Images are height x width x channels, rows contiguous and channels interleaved, of `u8`, `u16` or `f32` samples.
//! In images with two or four channels the last one is alpha, which the stock kernels carry past unchanged.
//!
//! # Image kernels
//! What each agrees with, and how closely (`u8` and `u16`; their own docs say more, and what holds for `f32`), and what a
//! sample costs beside copying it (`u8` RGB, AVX2, one thread; a copy takes 0.13 ns).
//!
//! | kernel | reference | tolerance | cost |
//! |---|---|---|---|
//! | [`Identity`] | | exact | 1 |
//! | [`Gray`] | `cv2.cvtColor` | exact | 1 |
//! | [`Invert`], [`Threshold`] | NumPy, `cv2.threshold` | exact | 1 |
//! | [`Gamma`], [`Levels`], [`Brightness`], [`Contrast`], [`Lut`] | `cv2.LUT` of a table made in `f64` | exact | 3 to 4 |
//! | [`BoxBlur`] | `cv2.blur` | exact | 3 for a radius of 1, 12 for 5, 18 for 10 |
//! | [`Gaussian`] | `scipy.ndimage.gaussian_filter` | 1 level, 90 % equal | 7 for a sigma of 1, 12 for 2 |
//! | [`Median`] | `cv2.medianBlur` | exact | 1.5 for a radius of 1, 5 for 2, 300 for more |
//! | [`Erode`], [`Dilate`] | `cv2.erode`, `cv2.dilate` | exact | 1.5 for a radius of 1, 7 for 7 |
//! | [`Convolve`], [`Sharpen`] | `scipy.ndimage.correlate`, `cv2.filter2D` | exact for whole weights | 7 for 5 weights |
//! | [`Unsharp`] | `cv2.addWeighted` with a Gaussian | 2 levels | 10 for a sigma of 1 |
//! | [`Sobel`], [`Scharr`], [`Prewitt`] | `cv2.Sobel`, `cv2.Scharr`, `scipy.ndimage.prewitt` | exact | 4 |
//! | [`Laplacian`] | `cv2.Laplacian` | exact | 1.5 |
//! | [`Otsu`], [`Equalize`], [`AutoLevels`] | `cv2.threshold`, `cv2.equalizeHist`, Pillow's `autocontrast` | exact for gray | two passes |
//! | [`Blend`], [`Over`] | Pillow's `ImageChops`, `Image.alpha_composite` | 1 level | |
//!
//! An opening is [`Erode`] and then [`Dilate`], a closing the other way round. What lies beyond the edge is a [`Border`],
//! mirrored for all but [`Median`], [`Erode`] and [`Dilate`], which repeat the edge as their references do.
//!
//! # Chains
//! Tile kernels are strung together by a [`Chain`], and run fused: a tile goes through all of them while it is in the
//! cache. A chain means its steps one after the other, byte for byte, for any tiles and at any CPU [`Level`].
//!
//! Gather kernels change an image's size or fetch pixels from anywhere, so they need their whole source and run in a
//! pass of their own. Global kernels (a threshold that follows from the histogram) are two: a gather kernel that measures
//! the image, into a small image of numbers that can be made in parts, and the tile kernel that these numbers give, which
//! runs fused with what comes after. [`passes`] cuts a chain where it must be cut; between two passes there is a whole
//! image. Two images are blended by [`ZipKernel`]s ([`Blend`], [`Over`]), outside of chains, which have one source.
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
//! [`parse_chain`] makes chains of words, for any sample type, and [`image_kernels`] lists the words there are:
//! those of [`STOCK`] and those that [`register_kernel!`] has put beside them. [`parse_element_step`] and
//! [`element_kernels`] do the same for arrays of numbers. A [`Plan`] is a chain for one image,
//! tile by tile: what an engine runs.
//!
//! # Writing a kernel
//! A function of one sample or one element is a line of [`register_kernel!`]. For others, make a `#[repr(C)]` struct of its parameters, derive `Pod`, and implement one of the traits: each has an example.
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
mod geometry;
mod global;
mod image;
mod numeric;
mod stock;

pub use border::{Border, BorderCode};
pub use chain::{ByGather, ByMeasure, ByTile, Chain, Link};
pub use error::KernelError;
pub use geometry::{Crop, Filter, FilterCode, Orient, Pad, Resample, Resize};
pub use global::{AutoLevels, Binary, Binned, Equalize, ImageHistogram, Otsu, Table};
pub use image::{
    AMOUNT_MAX, Averaged, Blend, BlendMode, Blur, BoxBlur, Brightness, Contrast, Convolve, Dilate, Erode,
    FACTOR_MAX, GAMMA_MAX, Gamma, Gaussian, Gradient, Gray, Identity, Invert, Laplacian, Levels, Luma, Lut,
    Median, Ordered, Over, Prewitt, RADIUS_MAX, Ranked, SIGMA_MAX, Scharr, Sharpen, Sobel, Threshold,
    Unsharp,
};
pub use kernel::{
    ElementKernel, GatherKernel, GlobalKernel, IndexKernel, Reduction, Scan, TileKernel, ZipKernel,
    ZipReduction, has_alpha,
};
pub use level::{Level, Work};
pub use numeric::{
    Abs, All, Any, ArgMax, ArgMin, Axpb, Axpy, BINS_MAX, BlackScholes, Clip, Cos, Counts, CumSum, Dot,
    ELEMENT_STOCK, Element, ElementArguments, ElementStep, ElementStock, ElementTable, ElementType, Erf, Exp,
    Histogram, Ln, Mandelbrot, Mean, MinMax, Moments, Norm2, Normal, OptionKind, Place, Pow, Reciprocal, Sin,
    Sqrt, Sum, Tanh, Total, Uniform, UnknownElementType, Variance, Viewport, Where, parse_element_step,
    philox4x32, philox4x64,
};
pub use plan::{HALO_MAX, Plan, Rect, passes, resolved};
pub use sample::{Sample, SampleType};
pub use scratch::{Scratch, Workspace};
pub use step::{PARAMETER_BYTES_MAX, Step, StepTable};
pub use stock::{
    AnyStock, Arguments, ForEverySample, GatherForEverySample, Parameter, REGISTERED, Registered, STOCK,
    Stock, Values, element_kernels, image_kernels, parse_chain,
};
pub use view::{Tile, Window};

// For `register_kernel!`.
#[doc(hidden)]
pub use {bytemuck, linkme, stock::trimmed};
