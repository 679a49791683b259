//! Kernels one after the other, checked by the compiler where the types are known.

use std::{borrow::Cow, marker::PhantomData};

use crate::{
    GatherKernel, GlobalKernel, Identity, KernelError, Level, Plan, Sample, Scratch, Step, TileKernel,
    passes, plan::resolved,
};

/// Image kernels one after the other, from images of `I` samples to images of `O` samples.
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

/// A kernel that a [`Chain`] takes: a [`TileKernel`], a [`GatherKernel`] or a [`GlobalKernel`]. `How` tells them apart,
/// and is always inferred.
pub trait Link<I: Sample, How> {
    /// The type of the samples it makes.
    type Out: Sample;

    /// The kernel as a step.
    fn step(self) -> Step;
}

/// [`TileKernel`]s, as links.
#[derive(Debug)]
pub enum ByTile {}
/// [`GatherKernel`]s, as links.
#[derive(Debug)]
pub enum ByGather {}
/// [`GlobalKernel`]s, as links.
#[derive(Debug)]
pub enum ByMeasure {}

impl<I: Sample, K: TileKernel<I>> Link<I, ByTile> for K {
    type Out = K::Out;

    fn step(self) -> Step {
        Step::of::<I, K>(self)
    }
}

impl<I: Sample, K: GatherKernel<I>> Link<I, ByGather> for K {
    type Out = K::Out;

    fn step(self) -> Step {
        Step::gather::<I, K>(self)
    }
}

impl<I: Sample, K: GlobalKernel<I>> Link<I, ByMeasure> for K {
    type Out = <K::Resolved as TileKernel<I>>::Out;

    fn step(self) -> Step {
        Step::global::<I, K>(self)
    }
}

impl<T: Sample> Chain<T, T> {
    /// The empty chain, which copies.
    #[must_use]
    pub fn new() -> Self {
        Chain::of(Identity)
    }
}

impl<T: Sample> Chain<T, T> {
    /// This chain `n` times over, one after the other.
    #[must_use]
    pub fn times(&self, n: usize) -> Self {
        match n {
            0 => Chain::new(),
            n => Chain { steps: self.steps.repeat(n), types: PhantomData },
        }
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
    pub fn of<K: Link<I, How, Out = O>, How>(kernel: K) -> Self {
        Chain { steps: vec![kernel.step()], types: PhantomData }
    }

    /// The chain of steps that are known to read `I` first, make `O` last, and fit together in between.
    pub(crate) fn from_steps(steps: Vec<Step>) -> Self {
        Chain { steps, types: PhantomData }
    }

    /// This chain and then `kernel`.
    #[must_use]
    pub fn then<K: Link<O, How>, How>(self, kernel: K) -> Chain<I, K::Out> {
        let mut steps = self.steps;
        if steps[..] == [Step::of::<I, Identity>(Identity)] {
            steps.clear(); // the empty chain: there is no need to copy first
        }
        steps.push(kernel.step());
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
        passes(&self.steps).into_iter().try_fold(shape, |shape, pass| {
            if let Some(measurement) = pass[0].measurement() {
                Plan::new(&[measurement], shape, None)?;
            }
            // What is measured has no say in the shape.
            Ok(Plan::new(&resolved(pass, &[]), shape, None)?.output_shape())
        })
    }

    /// Runs the chain on one thread, without an engine.
    ///
    /// * `src`: `shape` is its height, width and channels; rows contiguous, channels interleaved
    /// * `dst`: [`Chain::output_shape`], same layout
    ///
    /// Steps that need their whole input (wrapped borders, gather and global kernels) and those after a gather kernel
    /// cost a whole intermediate image each, the others a few tiles.
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
            let steps = measured_pass(pass, &image, shape, &mut scratch, (tile, level))?;
            let plan = Plan::new(&steps, shape, tile)?;
            let mut whole = vec![0u64; plan.output_bytes().div_ceil(8)]; // aligned for every sample type
            let bytes = &mut bytemuck::cast_slice_mut(&mut whole)[..plan.output_bytes()];
            plan.run_all(&image, bytes, &mut scratch, level)?;
            image = Cow::Owned(bytes.to_vec());
            shape = plan.output_shape();
        }
        let steps = measured_pass(last, &image, shape, &mut scratch, (tile, level))?;
        Plan::new(&steps, shape, tile)?.run_all(&image, bytemuck::cast_slice_mut(dst), &mut scratch, level)
    }
}

/// The steps of a pass over `image`, with what had to be measured known.
fn measured_pass(
    pass: &[Step],
    image: &[u8],
    shape: [usize; 3],
    scratch: &mut Scratch,
    (tile, level): (Option<[usize; 2]>, Level),
) -> Result<Vec<Step>, KernelError> {
    let Some(measurement) = pass[0].measurement() else { return Ok(pass.to_vec()) };
    let plan = Plan::new(&[measurement], shape, tile)?;
    let mut measured = vec![0f32; plan.output_bytes() / size_of::<f32>()];
    plan.run_all(image, bytemuck::cast_slice_mut(&mut measured), scratch, level)?;
    Ok(resolved(pass, &measured))
}
