//! Kernels of [`crate::kernels`], and users' own, as jobs.

use bytemuck::{Pod, Zeroable, bytes_of};
use shmpool_kernels::{Chain, ElementKernel, Plan, Sample, Step, TileKernel, passes, resolved};

use super::Call;
use super::job::{Argument, JobShape, same_shape};
use crate::array::{Array, ContiguousMut, Layout, Shape, Source, Target};
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

    #[doc(hidden)]
    fn run_into<S, O>(&self, call: &Call<'_>, input: &S, out: &mut O) -> Result<()>
    where
        T: Pod,
        S: Source<Item = T>,
        O: ContiguousMut<Item = Self::Out>;
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

    fn run_into<S, O>(&self, call: &Call<'_>, input: &S, out: &mut O) -> Result<()>
    where
        S: Source<Item = T>,
        O: ContiguousMut<Item = K::Out>,
    {
        const { assert!(align_of::<K>() <= 64, "a kernel is aligned to 64 bytes at most") };
        same_shape("out", out.shape(), input.shape())?;
        call.write_strided::<(S,), FillBy<Apply<K, T>>, FillByStrided<Apply<K, T>>, O>(
            "out",
            out,
            &[call.input("input", input)?],
            bytes_of(self),
            Policy::IDEMPOTENT,
        )
    }
}

impl<T: Sample, K: TileKernel<T>> ApplyKernel<T, ByTile> for K {
    type Out = K::Out;

    fn run<S: Source<Item = T>>(&self, call: &Call<'_>, input: &S) -> Result<Array<K::Out>> {
        ApplyKernel::<T, Chained>::run(&Chain::of(*self), call, input)
    }

    fn run_into<S, O>(&self, call: &Call<'_>, input: &S, out: &mut O) -> Result<()>
    where
        S: Source<Item = T>,
        O: ContiguousMut<Item = K::Out>,
    {
        ApplyKernel::<T, Chained>::run_into(&Chain::of(*self), call, input, out)
    }
}

impl<I: Sample, O: Sample> ApplyKernel<I, Chained> for Chain<I, O> {
    type Out = O;

    fn run<S: Source<Item = I>>(&self, call: &Call<'_>, input: &S) -> Result<Array<O>> {
        let last = up_to_the_last(call, self.steps(), input)?;
        let mut out = call.pool().arena().for_output::<O>(last.out_shape)?;
        match last.pass.run(call, &mut out) {
            Ok(()) => Ok(out),
            Err(error) => Err(error.with_partial(out)),
        }
    }

    fn run_into<S, U>(&self, call: &Call<'_>, input: &S, out: &mut U) -> Result<()>
    where
        S: Source<Item = I>,
        U: ContiguousMut<Item = O>,
    {
        let last = up_to_the_last(call, self.steps(), input)?;
        same_shape("out", out.shape(), &last.out_shape)?;
        last.pass.run(call, out)
    }
}

/// The last pass of a chain, and what it reads.
struct LastPass<T: Pod> {
    pass: Pass,
    out_shape: Shape,
    /// What the pass before has made.
    _between: Option<Array<u8>>,
    /// The input, if its pixels lay in another order than an image's.
    _gathered: Option<Array<T>>,
}

/// Runs every pass but the last.
fn up_to_the_last<S>(call: &Call<'_>, steps: &[Step], input: &S) -> Result<LastPass<S::Item>>
where
    S: Source,
    S::Item: Sample,
{
    let (mut shape, flat) = match *input.shape() {
        [height, width] => ([height, width, 1], true),
        [height, width, channels] => ([height, width, channels], false),
        ref found => {
            let (what, wanted) = ("image, wanted [height, width, channels]", vec![0, 0, 0]);
            return Err(ErrorKind::Shape { what, found: found.to_vec(), wanted }.into());
        }
    };
    let argument = call.input("input", input)?;
    let mut gathered = None;
    let mut image = match Image::of(argument, &argument.layout(input.shape())?, size_of::<S::Item>()) {
        Some(image) => image,
        // Columns before rows, every other one. A copy that is not finished is no part of the result.
        None => {
            let copy = call.map(input, |sample| sample).map_err(Error::without_report)?;
            Image::whole(call.input("input", gathered.insert(copy))?)
        }
    };
    let passes = passes(steps);
    let (last, earlier) = passes.split_last().expect("a chain without steps is a pass that copies");
    // What lies between two passes is as large as the image, and is bytes to us.
    let mut between: Option<Array<u8>> = None;
    for steps in earlier {
        let pass = Pass::new(call, steps, shape, image)?;
        let mut out = call.pool().arena().for_output::<u8>(pass.plan.output_bytes().into())?;
        pass.run(call, &mut out)?;
        shape = pass.plan.output_shape();
        image = Image::whole(call.input("image between two passes", between.insert(out))?);
    }
    let pass = Pass::new(call, last, shape, image)?;
    let [height, width, channels] = pass.plan.output_shape();
    let out_shape =
        if flat && channels == 1 { Shape::from([height, width]) } else { pass.plan.output_shape().into() };
    Ok(LastPass { pass, out_shape, _between: between, _gathered: gathered })
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

/// Steps that run tile by tile, all at once: a task for each tile.
struct Pass {
    steps: Vec<Step>,
    plan: Plan,
    /// Of its input.
    shape: [usize; 3],
    input: Image,
}

impl Pass {
    /// Where the first step has to know its whole input, that is measured now, in parallel too.
    fn new(call: &Call<'_>, steps: &[Step], shape: [usize; 3], input: Image) -> Result<Self> {
        let steps = match steps[0].measurement() {
            None => steps.to_vec(),
            Some(measurement) => {
                let pass = Pass::of(vec![measurement], shape, input)?;
                let mut found = call.pool().arena().for_output::<f32>(pass.plan.output_shape().into())?;
                pass.run(call, &mut found)?;
                resolved(steps, &found)
            }
        };
        Pass::of(steps, shape, input)
    }

    fn of(steps: Vec<Step>, shape: [usize; 3], input: Image) -> Result<Self> {
        let plan = Plan::new(&steps, shape, None)?;
        Ok(Pass { steps, plan, shape, input })
    }

    fn run<O: Target>(&self, call: &Call<'_>, out: &mut O) -> Result<()> {
        let Pass { steps, plan, shape, input } = self;
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
}

/// Where the step's table stands in the executable.
fn place(step: &Step) -> Result<Place> {
    Place::of(std::ptr::from_ref(step.table()) as usize)
}
