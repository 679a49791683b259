//! Kernels one after the other, checked by the compiler where the types are known.

use std::{borrow::Cow, marker::PhantomData};

use crate::{Identity, KernelError, Level, Plan, Sample, Scratch, Step, TileKernel, passes};

/// Tile kernels one after the other, from images of `I` samples to images of `O` samples.
///
/// A chain means its steps one by one, byte for byte: each rounds to its own sample type, and each border rule
/// applies to its own input. How the steps are fused is not seen in the result.
///
/// ```
/// use shmpool_kernels::{Chain, Gaussian, Gray, KernelError, Sobel};
///
/// let chain = Chain::<u8, u8>::of(Gray).then(Gaussian::new(2.0)).then(Sobel::default());
/// let image = vec![128; 6 * 4 * 3]; // 6 rows of 4 pixels, red, green and blue
/// assert_eq!(chain.output_shape([6, 4, 3])?, [6, 4, 1]);
/// let mut edges = vec![0xff; 6 * 4];
/// chain.run(&image, [6, 4, 3], &mut edges)?;
/// assert_eq!(edges, [0; 6 * 4]); // no edges in a flat image
/// # Ok::<(), KernelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Chain<I, O> {
    steps: Vec<Step>,
    types: PhantomData<fn(I) -> O>,
}

impl<T: Sample> Chain<T, T> {
    /// The empty chain, which copies.
    #[must_use]
    pub fn new() -> Self {
        Chain::of(Identity)
    }
}

impl<T: Sample> Default for Chain<T, T> {
    fn default() -> Self {
        Chain::new()
    }
}

impl<I: Sample, O: Sample> Chain<I, O> {
    /// The chain of one kernel.
    #[must_use]
    pub fn of<K: TileKernel<I, Out = O>>(kernel: K) -> Self {
        Chain { steps: vec![Step::of::<I, K>(kernel)], types: PhantomData }
    }

    /// The chain of steps that are known to read `I` first, make `O` last, and fit together in between.
    pub(crate) fn from_steps(steps: Vec<Step>) -> Self {
        Chain { steps, types: PhantomData }
    }

    /// This chain and then `kernel`.
    #[must_use]
    pub fn then<K: TileKernel<O>>(self, kernel: K) -> Chain<I, K::Out> {
        let mut steps = self.steps;
        if steps[..] == [Step::of::<I, Identity>(Identity)] {
            steps.clear(); // the empty chain: there is no need to copy first
        }
        steps.push(Step::of::<O, K>(kernel));
        Chain { steps, types: PhantomData }
    }

    /// The steps, at least one: the empty chain has one that copies.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Height, width and channels of what the chain makes of such an image.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn output_shape(&self, shape: [usize; 3]) -> Result<[usize; 3], KernelError> {
        passes(&self.steps)
            .into_iter()
            .try_fold(shape, |shape, pass| Ok(Plan::new(pass, shape, None)?.output_shape()))
    }

    /// Runs the chain on one thread, without an engine.
    ///
    /// * `src`: `shape` is its height, width and channels; rows contiguous, channels interleaved
    /// * `dst`: [`Chain::output_shape`], same layout
    ///
    /// Steps with a wrapped border cost a whole intermediate image each, the others a few tiles.
    ///
    /// # Errors
    /// As [`Plan::new`]; [`KernelError::Samples`] if a slice does not fit its shape.
    pub fn run(&self, src: &[I], shape: [usize; 3], dst: &mut [O]) -> Result<(), KernelError> {
        self.run_tiled(src, shape, dst, None, Level::detect())
    }

    /// [`Chain::run`] with tiles of a given height and width, at a given level. Neither changes the result.
    ///
    /// # Errors
    /// As [`Chain::run`].
    pub fn run_tiled(
        &self,
        src: &[I],
        shape: [usize; 3],
        dst: &mut [O],
        tile: Option<[usize; 2]>,
        level: Level,
    ) -> Result<(), KernelError> {
        let mut scratch = Scratch::new();
        let mut image = Cow::Borrowed(bytemuck::cast_slice(src));
        let mut shape = shape;
        let passes = passes(&self.steps);
        let (last, first_ones) = passes.split_last().ok_or(KernelError::NoSteps)?;
        for pass in first_ones {
            let plan = Plan::new(pass, shape, tile)?;
            let mut whole = vec![0u64; plan.output_bytes().div_ceil(8)]; // aligned for every sample type
            let bytes = &mut bytemuck::cast_slice_mut(&mut whole)[..plan.output_bytes()];
            plan.run_all(&image, bytes, &mut scratch, level)?;
            image = Cow::Owned(bytes.to_vec());
            shape = plan.output_shape();
        }
        Plan::new(last, shape, tile)?.run_all(&image, bytemuck::cast_slice_mut(dst), &mut scratch, level)
    }
}
