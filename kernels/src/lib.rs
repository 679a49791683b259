//! What a kernel is, and the stock kernels.

/// A kernel refused its arguments.
#[derive(Debug, thiserror::Error)]
#[error("kernel")]
pub struct KernelError;
