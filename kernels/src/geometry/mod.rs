//! The stock kernels that move pixels: `u8`, `u16` and `f32` samples, 1 to 4 channels interleaved.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod axis;
mod filter;
mod orient;
mod region;
mod resample;
mod resize;

pub use filter::{Filter, FilterCode};
pub use orient::Orient;
pub use region::{Crop, Pad};
pub use resample::Resample;
pub use resize::Resize;

use crate::KernelError;

/// Refuses images with no channel or more than four.
fn check_channels(kernel: &'static str, found: usize) -> Result<(), KernelError> {
    if (1..=4).contains(&found) {
        return Ok(());
    }
    Err(KernelError::Channels { kernel, found, wanted: "1 to 4" })
}
