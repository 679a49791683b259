//! Kernels of [`crate::kernels`], and users' own, as jobs.

use bytemuck::{Pod, bytes_of};
use shmpool_kernels::{Chain, ElementKernel, Plan, Sample, Step, TileKernel, passes, resolved};

use super::Call;
use super::call::{Argument, JobShape};
use crate::array::{Array, Shape, Source};
use crate::error::{ErrorKind, Result};
use crate::task::job::Policy;
use crate::task::kernel::Place;
use crate::task::verbs::{Apply, ChainHeader, FillBy, StepHead, Tiles};

/// What [`Pool::apply`](crate::Pool::apply) can run over an array of `T`. `How` tells the kinds of kernel
/// apart, and is always inferred.
pub trait ApplyKernel<T, How> {
    /// Elements of the output.
    type Out: Pod;

    #[doc(hidden)]
    fn run(&self, call: &Call<'_>, input: &impl Source<Item = T>) -> Result<Array<Self::Out>>
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

    fn run(&self, call: &Call<'_>, input: &impl Source<Item = T>) -> Result<Array<K::Out>> {
        const { assert!(align_of::<K>() <= 64, "a kernel is aligned to 64 bytes at most") };
        call.fill::<FillBy<Apply<K, T>>, K::Out>(
            input.shape(),
            &[call.input("input", input)?],
            bytes_of(self),
        )
    }
}

impl<T: Sample, K: TileKernel<T>> ApplyKernel<T, ByTile> for K {
    type Out = K::Out;

    fn run(&self, call: &Call<'_>, input: &impl Source<Item = T>) -> Result<Array<K::Out>> {
        ApplyKernel::<T, Chained>::run(&Chain::of(*self), call, input)
    }
}

impl<I: Sample, O: Sample> ApplyKernel<I, Chained> for Chain<I, O> {
    type Out = O;

    fn run(&self, call: &Call<'_>, input: &impl Source<Item = I>) -> Result<Array<O>> {
        let first = call.input("input", input)?;
        let (mut shape, flat) = match *input.shape() {
            [height, width] => ([height, width, 1], true),
            [height, width, channels] => ([height, width, channels], false),
            ref found => {
                let (what, wanted) = ("image, wanted [height, width, channels]", vec![0, 0, 0]);
                return Err(ErrorKind::Shape { what, found: found.to_vec(), wanted }.into());
            }
        };
        let passes = passes(self.steps());
        let (last, earlier) = passes.split_last().expect("a chain without steps is a pass that copies");
        // What lies between two passes is as large as the image, and is bytes to us.
        let mut between: Option<Array<u8>> = None;
        let input_of = |between: Option<&Array<u8>>| {
            between.map_or(Ok(first), |between| call.input("image between two passes", between))
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

fn plan(steps: &[Step], shape: [usize; 3]) -> Result<Plan> {
    Ok(Plan::new(steps, shape, None)?)
}

/// The steps of a pass; where the first one has to know its whole input, that is measured now, in parallel too.
fn measured(call: &Call<'_>, steps: &[Step], shape: [usize; 3], input: Argument) -> Result<Vec<Step>> {
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
    input: Argument,
    out: &mut Array<U>,
) -> Result<()> {
    let header = ChainHeader {
        shape: shape.map(|extent| extent as u64),
        tile: plan.tile_size().map(|extent| extent as u64),
        n_steps: steps.len() as u64,
        level: call.pool().level() as u64,
        input_bytes: plan.input_bytes() as u64,
    };
    let mut params = bytes_of(&header).to_vec();
    for step in steps {
        let parameters = step.parameters();
        params.extend(bytes_of(&StepHead { table: place(step)?.0, n_bytes: parameters.len() as u64 }));
        params.extend(parameters);
        params.resize(params.len().next_multiple_of(size_of::<StepHead>()), 0);
    }
    let job = JobShape { n_elements: plan.n_tiles(), grain: 1, shape: [0; 4], flags: 0, in_order: false };
    let (job, ended) = call.start_with::<Tiles, _>("out", out, job, &[input], &params, Policy::IDEMPOTENT)?;
    job.conclude(ended)
}

/// Where the step's table stands in the executable.
fn place(step: &Step) -> Result<Place> {
    Place::of(std::ptr::from_ref(step.table()) as usize)
}
