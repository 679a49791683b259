//! What a kernel is, and the stock kernels.

mod border;
mod chain;
mod error;
mod image;
mod kernel;
mod level;
mod numeric;
mod plan;
mod sample;
mod scratch;
mod step;
mod stock;
mod view;

pub use border::{Border, BorderCode};
pub use chain::Chain;
pub use error::KernelError;
pub use image::{Blur, Gaussian, Gradient, Gray, Identity, Luma, SIGMA_MAX, Sobel};
pub use kernel::{ElementKernel, Reduction, TileKernel, has_alpha};
pub use level::{Level, Work};
pub use numeric::{Axpb, Mandelbrot, MinMax, Sqrt, Sum, Viewport};
pub use plan::{HALO_MAX, Plan, Rect, passes};
pub use sample::{Sample, SampleType};
pub use scratch::{Scratch, Workspace};
pub use step::{PARAMETER_BYTES_MAX, Step, StepTable};
pub use stock::{Parameter, STOCK, Stock, Values, parse_chain};
pub use view::{Tile, Window};
