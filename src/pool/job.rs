//! What all verbs are made of: one job over arrays, run to its end.

use std::ops::Range;
use std::time::Instant;

use bytemuck::{Pod, Zeroable};

use super::Progress;
use super::call::Call;
use crate::arena::Overrun;
use crate::array::{Array, Home, Layout, Shape, Source, Target, joined};
use crate::control::parent::{POPULATE, STREAM};
use crate::control::{N_OPERANDS, PARAMS_BYTES_MAX};
use crate::error::{Error, ErrorKind, JobReport, Result};
use crate::segment::Use;
use crate::task::job::{self, JobArgs, JobSpec, Operand, Policy, code_of};
use crate::task::kernel::Kernel;
use crate::task::mirror::{Ended, Failure, Stop};
use crate::task::strided::{FillStrided, FoldStrided, StridedHead};
use crate::task::verbs::{Combine, Combiner, Fill, Fold, Folder, Lanes};

/// Outputs from this size are written around the cache: they would not stay in it, and a line that is not
/// read first saves a third of the traffic. Measured: `benches/RESULTS.md`.
const STREAM_FROM_BYTES: u64 = 8 << 20;

/// Elements of one block of [`Call::reduce`]. Part of its meaning: another number gives other last bits.
pub(super) const REDUCE_BLOCK: usize = 64 << 10;
/// Accumulators that one task combines.
pub(super) const REDUCE_GROUP: usize = 1024;

impl Call<'_> {
    /// Runs lanes over any sources `V` into a new array.
    pub(super) fn fill_lanes<V: AnyStrided, L: Lanes>(
        &self,
        shape: &[usize],
        inputs: &[Argument],
        params: &[u8],
    ) -> Result<Array<L::Out>> {
        self.fill_strided::<V, Fill<L>, FillStrided<L>, L::Out>(shape, inputs, params)
    }

    /// Runs `K` into a new array, or `Apart` if elements of `V` may lie apart.
    pub(super) fn fill_strided<V: AnyStrided, K: Kernel, Apart: Kernel, U: Pod>(
        &self,
        shape: &[usize],
        inputs: &[Argument],
        params: &[u8],
    ) -> Result<Array<U>> {
        if const { !V::STRIDED } {
            return self.fill::<K, U>(shape, inputs, params);
        }
        let mut out = self.pool.arena().for_output(Shape::try_from(shape)?)?;
        let policy = Policy::IDEMPOTENT;
        let (job, ended) = self.start_strided::<Apart, _>("out", &mut out, inputs, params, policy)?;
        job.conclude_with(out, ended)
    }

    /// Runs `K` into an array that exists, or `Apart` if elements of `V` may lie apart.
    pub(super) fn write_strided<V: AnyStrided, K: Kernel, Apart: Kernel, O: Target>(
        &self,
        what: &'static str,
        out: &mut O,
        inputs: &[Argument],
        params: &[u8],
        policy: Policy,
    ) -> Result<()> {
        if const { !V::STRIDED } {
            return self.write::<K, O>(what, out, inputs, params, policy);
        }
        let (job, ended) = self.start_strided::<Apart, O>(what, out, inputs, params, policy)?;
        job.conclude(ended)
    }

    /// Runs `K` over a job whose elements are those of `out`, and lie where the layouts say.
    pub(super) fn start_strided<K: Kernel, O: Target>(
        &self,
        what: &'static str,
        out: &mut O,
        inputs: &[Argument],
        params: &[u8],
        policy: Policy,
    ) -> Result<(Finished, Ended)> {
        let shape = Shape::try_from(out.shape())?;
        let to = self.input(what, out)?.layout(&shape)?;
        let mut layouts = [None; N_OPERANDS];
        for (layout, input) in layouts.iter_mut().zip(inputs) {
            *layout = Some(input.layout(&shape)?);
        }
        layouts[N_OPERANDS - 1] = Some(to);
        let head = strided_head(shape, layouts);
        let out_bytes = (to.len() * size_of::<O::Item>()) as u64;
        let job = JobShape {
            n_elements: to.len() as u64,
            grain: self.grain_for(to.len() as u64, size_of::<O::Item>())?,
            shape: [0; 4],
            flags: if to.is_contiguous() && out_bytes >= STREAM_FROM_BYTES { STREAM } else { 0 },
            in_order: to.is_contiguous(),
        };
        let params = [bytemuck::bytes_of(&head), params].concat();
        self.start_with::<K, O>(what, out, job, inputs, &params, policy)
    }

    /// Runs `K` into a new array.
    pub(super) fn fill<K: Kernel, U: Pod>(
        &self,
        shape: &[usize],
        inputs: &[Argument],
        params: &[u8],
    ) -> Result<Array<U>> {
        let mut out = self.pool.arena().for_output(Shape::try_from(shape)?)?;
        let (job, ended) = self.start::<K, _>("out", &mut out, inputs, params, Policy::IDEMPOTENT)?;
        job.conclude_with(out, ended)
    }

    /// Runs `K` into an array that exists.
    pub(super) fn write<K: Kernel, O: Target>(
        &self,
        what: &'static str,
        out: &mut O,
        inputs: &[Argument],
        params: &[u8],
        policy: Policy,
    ) -> Result<()> {
        let (job, ended) = self.start::<K, O>(what, out, inputs, params, policy)?;
        job.conclude(ended)
    }

    /// Runs `K` over a job whose elements are those of `out`.
    pub(super) fn start<K: Kernel, O: Target>(
        &self,
        what: &'static str,
        out: &mut O,
        inputs: &[Argument],
        params: &[u8],
        policy: Policy,
    ) -> Result<(Finished, Ended)> {
        let out_bytes = out.place().len_bytes;
        let n_elements = out_bytes / size_of::<O::Item>() as u64;
        let grain = self.grain_for(n_elements, size_of::<O::Item>())?;
        let mut shape = [1; 4];
        for (word, &extent) in shape.iter_mut().zip(out.shape()) {
            *word = extent as u64;
        }
        let flags = if out_bytes >= STREAM_FROM_BYTES { STREAM } else { 0 };
        self.start_with::<K, O>(
            what,
            out,
            JobShape { n_elements, grain, shape, flags, in_order: true },
            inputs,
            params,
            policy,
        )
    }

    /// Folds blocks of `xs` (not empty), then combines what comes of them.
    pub(super) fn reduce_by<R: Folder, S: Source>(&self, xs: &S, params: &[u8]) -> Result<R::Accumulator> {
        let n_elements = xs.shape().iter().product();
        let blocks = self.fold_blocks::<R, S>(xs, n_elements, params)?;
        self.combine_all::<R>(blocks, params)
    }

    /// Combines groups of accumulators until one is left.
    pub(super) fn combine_all<R: Combiner>(
        &self,
        mut left: Array<R::Accumulator>,
        params: &[u8],
    ) -> Result<R::Accumulator> {
        while left.len() > 1 {
            let input = self.input("partial results", &left)?;
            left = self.fold_groups::<Combine<R>, _>(&[input], left.len(), REDUCE_GROUP, params)?;
        }
        Ok(left[0])
    }

    /// Runs the first half of a reduction.
    pub(super) fn fold_blocks<R: Folder, S: Source>(
        &self,
        xs: &S,
        n: usize,
        params: &[u8],
    ) -> Result<Array<R::Accumulator>> {
        let input = self.input("xs", xs)?;
        if const { !S::STRIDED } {
            return self.fold_groups::<Fold<R>, _>(&[input], n, REDUCE_BLOCK, params);
        }
        let layout = input.layout(xs.shape())?;
        let head = strided_head(layout.shape, [Some(layout), None, None, None, None]);
        let params = [bytemuck::bytes_of(&head), params].concat();
        self.fold_groups::<FoldStrided<R>, _>(&[input], n, REDUCE_BLOCK, &params)
    }

    /// Runs one half of a reduction: a task, and an accumulator, for each `group` of the input's `n`.
    pub(super) fn fold_groups<K: Kernel, A: Pod>(
        &self,
        inputs: &[Argument],
        n: usize,
        group: usize,
        params: &[u8],
    ) -> Result<Array<A>> {
        let mut out = self.pool.arena().for_output::<A>(n.div_ceil(group).into())?;
        let shape = [n as u64, group as u64, 1, 1];
        let job = JobShape { n_elements: out.len() as u64, grain: 1, shape, flags: 0, in_order: true };
        let (job, ended) =
            self.start_with::<K, _>("out", &mut out, job, inputs, params, Policy::IDEMPOTENT)?;
        job.conclude(ended)?;
        Ok(out)
    }

    /// Runs `K` over a job of any geometry.
    pub(super) fn start_with<K: Kernel, O: Target>(
        &self,
        what: &'static str,
        out: &mut O,
        job: JobShape,
        inputs: &[Argument],
        params: &[u8],
        policy: Policy,
    ) -> Result<(Finished, Ended)> {
        if params.len() > PARAMS_BYTES_MAX {
            return Err(
                ErrorKind::ParamsTooLarge { found_bytes: params.len(), max_bytes: PARAMS_BYTES_MAX }.into()
            );
        }
        let mut arguments = [Argument::default(); N_OPERANDS];
        arguments[..inputs.len()].copy_from_slice(inputs);
        arguments[N_OPERANDS - 1] = self.output(what, out)?;
        let operands = arguments.map(|argument| argument.operand);
        let JobShape { n_elements, grain, shape, flags, in_order } = job;
        let flags = if in_order && !out.is_warm() { flags | POPULATE } else { flags };
        let spec = JobSpec {
            code: code_of::<K>(self.pool.level())?,
            args: JobArgs { n_elements, grain, shape, operands, flags },
            n_tasks: job::n_tasks(n_elements, grain)?,
            params,
            policy: self.policy(policy),
            names: arguments.map(|argument| argument.what),
        };
        let started = Instant::now();
        let ended = self.pool.run(&spec, &self.terms);
        // Whatever became of the job: or else the next one over these arrays would be blamed.
        let overrun = arguments.iter().find_map(|argument| self.overrun(argument));
        let ended = ended?;
        if ended.n_failed == 0 && ended.stopped.is_none() {
            out.mark_written();
        }
        Ok((Finished { started, n_elements, grain, overrun }, ended))
    }

    /// Whether somebody wrote outside of an array of the arena.
    fn overrun(&self, argument: &Argument) -> Option<(Argument, Overrun)> {
        let Operand { share, offset, bytes } = argument.operand;
        let overrun = if share == 0 { self.pool.arena().overrun(offset, bytes) } else { None };
        overrun.map(|overrun| (*argument, overrun))
    }

    pub(super) fn grain_for(&self, n_elements: u64, element_bytes: usize) -> Result<u64> {
        match self.grain {
            Some(0) => {
                let why = "elements in a task: at least 1";
                Err(ErrorKind::Option { option: "grain", value: "0".to_owned(), why }.into())
            }
            Some(grain) => Ok(grain),
            None => Ok(job::grain(n_elements, element_bytes, self.pool.n_workers())),
        }
    }

    pub(super) fn policy(&self, policy: Policy) -> Policy {
        match self.retries {
            None => policy,
            Some(0) => Policy { faults_max: 1, kills_max: 1, ..policy },
            Some(n) => {
                Policy { faults_max: n.saturating_add(1), kills_max: Policy::IDEMPOTENT.kills_max, ..policy }
            }
        }
    }

    /// An array that workers are to read: in this pool's arena, or beside any.
    pub(super) fn input(&self, what: &'static str, array: &impl Source) -> Result<Argument> {
        let place = array.place();
        let share = match place.home {
            Home::Arena(arena) if !arena.same(self.pool.arena()) => {
                return Err(ErrorKind::ForeignArray { what }.into());
            }
            Home::Arena(_) | Home::Nowhere => 0,
            Home::Share(share) => share.id(),
        };
        let operand = Operand { share, offset: place.offset, bytes: place.len_bytes };
        Ok(Argument { what, operand, layout: place.layout })
    }

    /// An array that workers are to write.
    pub(super) fn output(&self, what: &'static str, array: &impl Target) -> Result<Argument> {
        if array.place().by_workers() == Use::Read {
            return Err(ErrorKind::ReadOnly { what }.into());
        }
        self.input(what, array)
    }
}

/// An array as an operand of a job, and what the verb calls it.
#[derive(Clone, Copy, Default)]
pub(super) struct Argument {
    what: &'static str,
    operand: Operand,
    /// Which of its elements are meant, if not all of them in order.
    layout: Option<Layout>,
}

impl Argument {
    /// Where its elements lie; `shape` is its own.
    pub(super) fn layout(&self, shape: &[usize]) -> Result<Layout> {
        Ok(self.layout.unwrap_or(Layout::whole(Shape::try_from(shape)?)).in_bounds())
    }
}

/// What tells workers where the elements of each operand lie.
pub(super) fn strided_head(shape: Shape, layouts: [Option<Layout>; N_OPERANDS]) -> StridedHead {
    let mut head = StridedHead::zeroed();
    // An operand that is not there goes along with one that is.
    let some = layouts.into_iter().flatten().next().expect("a job over views has one");
    let layouts = layouts.map(|layout| layout.unwrap_or(some));
    let (lens, strides) = joined(shape, layouts.each_ref());
    head.lens = lens.map(|len| len as u64);
    head.strides = strides.map(|strides| strides.map(|stride| stride as i64));
    head.first = layouts.map(|layout| layout.first as u64);
    head
}

/// Sources of one call, of which some may be views.
pub(super) trait AnyStrided {
    const STRIDED: bool;
}

macro_rules! any_strided {
    ($($source:ident)+) => {
        impl<$($source: Source),+> AnyStrided for ($($source,)+) {
            const STRIDED: bool = $($source::STRIDED)||+;
        }
    };
}

any_strided!(A);
any_strided!(A B);
any_strided!(A B C);
any_strided!(A B C D);

/// The geometry of a job.
pub(super) struct JobShape {
    pub(super) n_elements: u64,
    pub(super) grain: u64,
    pub(super) shape: [u64; 4],
    pub(super) flags: u32,
    /// A task's output is one range of bytes, in the order of the tasks.
    pub(super) in_order: bool,
}

/// What is needed to speak about a job that has ended.
pub(super) struct Finished {
    started: Instant,
    n_elements: u64,
    grain: u64,
    /// What was found around its arrays.
    overrun: Option<(Argument, Overrun)>,
}

impl Finished {
    /// The elements that a task stands for.
    pub(super) fn elements(&self, task: u32) -> Range<u64> {
        self.range(task.into(), u64::from(task) + 1)
    }

    fn range(&self, start: u64, end: u64) -> Range<u64> {
        start * self.grain..end.saturating_mul(self.grain).min(self.n_elements)
    }

    /// The job's result: nothing, or the error of its first failed task, with a report.
    pub(super) fn conclude(&self, ended: Ended) -> Result<()> {
        let Progress { n_done, n_tasks } = ended.progress();
        let stopped = ended.stopped.map(|why| match why {
            Stop::Cancelled => ErrorKind::Cancelled { n_done, n_tasks },
            Stop::TimedOut => ErrorKind::TimedOut { n_done, n_tasks },
        });
        let overrun = self.overrun.map(|(Argument { what: array, operand, .. }, Overrun { byte })| {
            ErrorKind::Overrun { array, byte, len_bytes: operand.bytes }
        });
        if ended.failures.is_empty() && stopped.is_none() {
            let whole = if ended.n_tasks == 0 { vec![] } else { vec![(0, u64::from(ended.n_tasks))] };
            assert_eq!(ended.done, whole, "a job without failures has done all of its tasks");
            return overrun.map_or(Ok(()), |overrun| Err(overrun.into()));
        }
        let describe = |(task, failure): (u32, Failure)| {
            let elements = self.elements(task);
            match failure {
                Failure::Panicked { message, location } => {
                    ErrorKind::KernelPanicked { task, elements, message, location }
                }
                Failure::Died(deaths) => ErrorKind::WorkerDied { task, elements, deaths },
                // Only `try_map` has kernels that return errors, and it comes here when a task before the
                // first of them failed otherwise: then they are tasks that were given up.
                Failure::Interrupted | Failure::Returned(_) => ErrorKind::Interrupted { task, elements },
            }
        };
        let mut failures = stopped.into_iter().chain(ended.failures.into_iter().map(describe));
        let first = failures.next().expect("one or the other");
        let report = JobReport {
            n_tasks: ended.n_tasks,
            failures: failures.chain(overrun).collect(),
            n_failed: ended.n_failed,
            done: ended.done.into_iter().map(|(start, end)| self.range(start, end)).collect(),
            elapsed: self.started.elapsed(),
        };
        Err(Error::from(first).with_report(report))
    }

    /// The job's result: its output, or an error that carries what there is of it.
    pub(super) fn conclude_with<U: Pod>(&self, out: Array<U>, ended: Ended) -> Result<Array<U>> {
        match self.conclude(ended) {
            Ok(()) => Ok(out),
            Err(error) => Err(error.with_partial(out)),
        }
    }
}

/// Refuses closures that capture: worker processes could not see what they hold.
pub(super) const fn stateless<F: Copy>(f: F) -> F {
    const {
        assert!(
            size_of::<F>() == 0,
            "a kernel captures variables, which worker processes cannot see: \
             pass them as parameters, `pool.map_with(&xs, params, |params, x| …)`; \
             a function pointer is refused for the same reason, pass the function itself"
        );
    }
    f
}

pub(super) fn same_shape(what: &'static str, found: &[usize], wanted: &[usize]) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(ErrorKind::Shape { what, found: found.to_vec(), wanted: wanted.to_vec() }.into())
}
