//! Kernels of [`crate::kernels`], and users' own, as jobs.

use bytemuck::{Pod, Zeroable, bytes_of};
use shmpool_kernels::{Chain, ElementKernel, Plan, Sample, Step, TileKernel, passes, resolved};

use super::Call;
use super::call::{Argument, JobShape};
use crate::array::{Array, Layout, Shape, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::task::job::Policy;
use crate::task::kernel::Place;
use crate::task::strided::FillByStrided;
use crate::task::verbs::{Apply, ChainHeader, FillBy, StepHead, Tiles};

/// What [`Pool::apply`](crate::Pool::apply) can run over an array of `T`. `How` tells the kinds of kernel
/// apart, and is always inferred.
pub trait ApplyKernel<T, How> {
    /// Elements of the output.
    type Out: Pod;

    #[doc(hidden)]
    fn run<S: Source<Item = T>>(&self, call: &Call<'_>, input: &S) -> Result<Array<Self::Out>>
    where
        T: Pod;
}

/// Element kernels run element by element.
#[derive(Debug)]
pub enum ByElement {}
/// Tile kernels run tile by tile.
#[derive(Debug)]
pub enum ByTile {}
/// Chains run tile by tile, all their steps at once.
#[derive(Debug)]
pub enum Chained {}

impl<T: Pod, K: ElementKernel<T>> ApplyKernel<T, ByElement> for K {
    type Out = K::Out;

    fn run<S: Source<Item = T>>(&self, call: &Call<'_>, input: &S) -> Result<Array<K::Out>> {
        const { assert!(align_of::<K>() <= 64, "a kernel is aligned to 64 bytes at most") };
        call.fill_strided::<(S,), FillBy<Apply<K, T>>, FillByStrided<Apply<K, T>>, K::Out>(
            input.shape(),
            &[call.input("input", input)?],
            bytes_of(self),
        )
    }
}

impl<T: Sample, K: TileKernel<T>> ApplyKernel<T, ByTile> for K {
    type Out = K::Out;

    fn run<S: Source<Item = T>>(&self, call: &Call<'_>, input: &S) -> Result<Array<K::Out>> {
        ApplyKernel::<T, Chained>::run(&Chain::of(*self), call, input)
    }
}

impl<I: Sample, O: Sample> ApplyKernel<I, Chained> for Chain<I, O> {
    type Out = O;

    fn run<S: Source<Item = I>>(&self, call: &Call<'_>, input: &S) -> Result<Array<O>> {
        let (mut shape, flat) = match *input.shape() {
            [height, width] => ([height, width, 1], true),
            [height, width, channels] => ([height, width, channels], false),
            ref found => {
                let (what, wanted) = ("image, wanted [height, width, channels]", vec![0, 0, 0]);
                return Err(ErrorKind::Shape { what, found: found.to_vec(), wanted }.into());
            }
        };
        let argument = call.input("input", input)?;
        let Some(first) = Image::of(argument, &argument.layout(input.shape())?, size_of::<I>()) else {
            // Pixels in another order than an image's: columns before rows, every other one.
            // A copy that is not finished is no part of the result.
            let copy = call.map(input, |sample| sample).map_err(Error::without_report)?;
            return ApplyKernel::<I, Chained>::run(self, call, &copy);
        };
        let passes = passes(self.steps());
        let (last, earlier) = passes.split_last().expect("a chain without steps is a pass that copies");
        // What lies between two passes is as large as the image, and is bytes to us.
        let mut between: Option<Array<u8>> = None;
        let input_of = |between: Option<&Array<u8>>| match between {
            None => Ok(first),
            Some(between) => call.input("image between two passes", between).map(Image::whole),
        };
        for steps in earlier {
            let input = input_of(between.as_ref())?;
            let steps = &measured(call, steps, shape, input)?;
            let plan = plan(steps, shape)?;
            let mut out = call.pool().arena().for_output::<u8>(plan.output_bytes().into())?;
            run_pass(call, steps, &plan, shape, input, &mut out)?;
            (shape, between) = (plan.output_shape(), Some(out));
        }
        let input = input_of(between.as_ref())?;
        let last = &measured(call, last, shape, input)?;
        let plan = plan(last, shape)?;
        let [height, width, channels] = plan.output_shape();
        let out_shape =
            if flat && channels == 1 { Shape::from([height, width]) } else { plan.output_shape().into() };
        let mut out = call.pool().arena().for_output::<O>(out_shape)?;
        match run_pass(call, last, &plan, shape, input, &mut out) {
            Ok(()) => Ok(out),
            Err(error) => Err(error.with_partial(out)),
        }
    }
}

/// An image as an operand: rows of pixels, which may lie apart.
#[derive(Clone, Copy)]
struct Image {
    argument: Argument,
    /// Bytes of the operand before the first pixel.
    first_bytes: u64,
    /// Bytes between the beginnings of two rows, unless one follows the other.
    row_bytes: Option<u64>,
}

impl Image {
    fn whole(argument: Argument) -> Self {
        Image { argument, first_bytes: 0, row_bytes: None }
    }

    /// `None` if pixels, or the samples of one, lie apart, or rows are in reverse.
    fn of(argument: Argument, layout: &Layout, sample_bytes: usize) -> Option<Self> {
        let row = layout.select(0, 0).ok();
        if row.is_some_and(|row| !row.is_contiguous()) {
            return None;
        }
        let row_bytes = usize::try_from(layout.strides()[0]).ok()? * sample_bytes;
        let first_bytes = (layout.first * sample_bytes) as u64;
        Some(Image { argument, first_bytes, row_bytes: Some(row_bytes as u64) })
    }
}

fn plan(steps: &[Step], shape: [usize; 3]) -> Result<Plan> {
    Ok(Plan::new(steps, shape, None)?)
}

/// The steps of a pass; where the first one has to know its whole input, that is measured now, in parallel too.
fn measured(call: &Call<'_>, steps: &[Step], shape: [usize; 3], input: Image) -> Result<Vec<Step>> {
    let Some(measurement) = steps[0].measurement() else { return Ok(steps.to_vec()) };
    let plan = plan(&[measurement], shape)?;
    let mut found = call.pool().arena().for_output::<f32>(plan.output_shape().into())?;
    run_pass(call, &[measurement], &plan, shape, input, &mut found)?;
    Ok(resolved(steps, &found))
}

/// Runs one pass: a task for each tile.
fn run_pass<U: Pod>(
    call: &Call<'_>,
    steps: &[Step],
    plan: &Plan,
    shape: [usize; 3],
    input: Image,
    out: &mut Array<U>,
) -> Result<()> {
    let header = ChainHeader {
        shape: shape.map(|extent| extent as u64),
        tile: plan.tile_size().map(|extent| extent as u64),
        n_steps: steps.len() as u64,
        level: call.pool().level() as u64,
        input_bytes: plan.input_bytes() as u64,
        first_bytes: input.first_bytes,
        row_bytes: input.row_bytes.unwrap_or(plan.input_row_bytes() as u64),
        ..Zeroable::zeroed()
    };
    let mut params = bytes_of(&header).to_vec();
    for step in steps {
        let parameters = step.parameters();
        params.extend(bytes_of(&StepHead { table: place(step)?.0, n_bytes: parameters.len() as u64 }));
        params.extend(parameters);
        params.resize(params.len().next_multiple_of(size_of::<StepHead>()), 0);
    }
    let job = JobShape { n_elements: plan.n_tiles(), grain: 1, shape: [0; 4], flags: 0, in_order: false };
    let (job, ended) =
        call.start_with::<Tiles, _>("out", out, job, &[input.argument], &params, Policy::IDEMPOTENT)?;
    job.conclude(ended)
}

/// Where the step's table stands in the executable.
fn place(step: &Step) -> Result<Place> {
    Place::of(std::ptr::from_ref(step.table()) as usize)
}
