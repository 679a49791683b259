//! The same kernel over and over: stencils that march in time.

use bytemuck::Pod;
use shmpool_kernels::{Chain, ElementKernel, Sample, TileKernel};

use super::{ApplyKernel, ByElement, ByTile, Call, Chained};
use crate::array::Array;
use crate::error::{ErrorKind, Result};

/// Steps that run fused, at most: what lies between them stays in the cache.
const FUSED_MAX: usize = 8;
/// Pixels that a tile may grow by on each side for it; beyond, too much would be computed twice.
const HALO_MAX: usize = 16;
/// Kernels that fit into the parameters of a job, whatever their size.
const STEPS_MAX: usize = 12;

/// What [`Pool::iterate`](crate::Pool::iterate) can run again and again over an array of `T`.
pub trait IterateKernel<T: Pod, How>: ApplyKernel<T, How, Out = T> + Sized {
    /// Runs it `n` times.
    #[doc(hidden)]
    fn run_times(&self, n: usize, call: &Call<'_>, array: Array<T>) -> Result<Array<T>> {
        // The buffer of the step before last is the arena's to give to the next one.
        (0..n).try_fold(array, |array, _| call.apply(self, &array))
    }
}

impl<T: Pod, K: ElementKernel<T, Out = T>> IterateKernel<T, ByElement> for K {}

impl<T: Sample, K: TileKernel<T, Out = T>> IterateKernel<T, ByTile> for K {
    fn run_times(&self, n: usize, call: &Call<'_>, array: Array<T>) -> Result<Array<T>> {
        Chain::<T, T>::of(*self).run_times(n, call, array)
    }
}

impl<T: Sample> IterateKernel<T, Chained> for Chain<T, T> {
    fn run_times(&self, n: usize, call: &Call<'_>, mut array: Array<T>) -> Result<Array<T>> {
        let at_once = fused(self);
        let several = self.times(at_once);
        for _ in 0..n / at_once {
            array = call.apply(&several, &array)?;
        }
        (0..n % at_once).try_fold(array, |array, _| call.apply(self, &array))
    }
}

/// How many rounds of a chain to run as one pass.
fn fused<T: Sample>(chain: &Chain<T, T>) -> usize {
    let halo: usize = chain.steps().iter().map(|step| step.halo()).sum();
    let by_halo = HALO_MAX.checked_div(halo).unwrap_or(FUSED_MAX);
    by_halo.min(STEPS_MAX / chain.steps().len()).clamp(1, FUSED_MAX)
}

impl Call<'_> {
    /// Applies a kernel to an image or array `n` times, each time to what came of the time before: diffusion, relaxation,
    /// cellular automata. The same as calling [`apply`](Call::apply) that often, bit for bit.
    ///
    /// Two buffers take turns. Stencils run up to eight steps at a time, tile by tile, so that most of them never leave the
    /// cache.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::BoxBlur;
    ///
    /// let spike = pool.array_from_shape([1, 5], &[0.0_f32, 0.0, 9.0, 0.0, 0.0])?;
    /// let spread = pool.iterate(2, &BoxBlur::new(1), spike)?;
    /// assert_eq!(spread[..], [2.0, 2.0, 3.0, 2.0, 2.0]); // mirrored at the edges
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`apply`](Call::apply); [`ErrorKind::Shape`] if the kernel makes another shape. What the failed step made of
    /// its output comes with the error ([`Error::take_partial`](crate::Error::take_partial)); its input is lost.
    pub fn iterate<T, K, How>(&self, n: usize, kernel: &K, array: Array<T>) -> Result<Array<T>>
    where
        T: Pod,
        K: IterateKernel<T, How>,
    {
        let wanted = array.shape().to_vec();
        let array = kernel.run_times(n, self, array)?;
        if array.shape() != wanted {
            let what = "output of an iterated kernel";
            return Err(ErrorKind::Shape { what, found: array.shape().to_vec(), wanted }.into());
        }
        Ok(array)
    }
}
