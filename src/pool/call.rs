//! The verbs: each turns its arguments into a job, runs it, and turns what became of it into a result.

use std::ops::Range;
use std::time::{Duration, Instant};

use bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};
use shmpool_kernels::{Element, ElementStep, IndexKernel, Reduction, ZipKernel};

use super::cancel::{CancelToken, Terms};
use super::{ApplyKernel, OnWorkerDeath, Pool, Progress};
use crate::arena::Overrun;
use crate::array::{Array, Contiguous, ContiguousMut, Home, Layout, Shape, Source, Target, joined};
use crate::control::parent::{POPULATE, STREAM};
use crate::control::{MESSAGE_BYTES_MAX, N_OPERANDS, PARAMS_BYTES_MAX};
use crate::error::{Error, ErrorKind, JobReport, Result};
use crate::segment::Use;
use crate::sys::clock;
use crate::task::job::{self, JobArgs, JobSpec, Operand, Policy, code_of};
use crate::task::kernel::{Kernel, Place};
use crate::task::mirror::{Ended, Failure, Stop};
use crate::task::strided::{FillStrided, FoldStrided, MapLanes, StridedHead, UpdateStrided};
use crate::task::verbs::{
    ApplyStep, ByClosures, ByKernel, Combine, Combiner, ElementHead, Fill, FillBy, Fold, Folder, FromFn,
    Generate, Lanes, Map, MapChunks, MapIndexed, MapRows, MapWith, TryMap, Update, Zip2, Zip3, Zip4,
    ZipApply2, ZipApply3,
};

/// Outputs from this size are written around the cache: they would not stay in it, and a line that is not
/// read first saves a third of the traffic. Measured: `benches/RESULTS.md`.
const STREAM_FROM_BYTES: u64 = 8 << 20;

/// Elements of one block of [`Call::reduce`]. Part of its meaning: another number gives other last bits.
pub(super) const REDUCE_BLOCK: usize = 64 << 10;
/// Accumulators that one task combines.
const REDUCE_GROUP: usize = 1024;

/// One call with options of its own, made by [`Pool::call`].
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// let xs = pool.array_from(&[1.0_f32, 4.0, 9.0])?;
/// let ys = pool.call().grain(1).retries(5).map(&xs, |x| x.sqrt())?;
/// assert_eq!(*ys, [1.0, 2.0, 3.0]);
/// # Ok::<(), shmpool::Error>(())
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct Call<'a> {
    pub(super) pool: &'a Pool,
    pub(super) grain: Option<u64>,
    pub(super) retries: Option<u32>,
    pub(super) terms: Terms<'a>,
    pub(super) on_worker_death: Option<OnWorkerDeath>,
    pub(super) task_timeout: Option<Duration>,
}

/// A failed [`Call::try_map`].
#[derive(Debug, thiserror::Error)]
pub enum TryMapError<E> {
    /// The kernel returned an error: the one of the lowest index of all that there are.
    #[error("element {index}: {error:?}")]
    Element {
        /// Index of the element, in row-major order.
        index: usize,
        /// What the kernel returned.
        error: E,
    },
    /// The job failed otherwise.
    #[error(transparent)]
    Pool(#[from] Error),
}

impl<'a> Call<'a> {
    pub(super) fn new(pool: &'a Pool) -> Self {
        let terms = Terms::default();
        Call { pool, grain: None, retries: None, terms, on_worker_death: None, task_timeout: None }
    }

    /// Elements of one task: what a death costs at most, what [`map_chunks`](Call::map_chunks) sees at once,
    /// and how finely work is shared out. From 1. Unless said, up to 256 KiB of output, less for short
    /// arrays.
    pub fn grain(mut self, elements: u64) -> Self {
        self.grain = Some(elements);
        self
    }

    /// How often a task that kills its worker is run again: 2 unless said, 0 for verbs whose kernel can read
    /// its output ([`update`](Call::update), [`map_chunks`](Call::map_chunks)). A number above 0 for those
    /// says that running a task twice, the first time perhaps halfway, does no harm. Kills from outside
    /// (SIGKILL, SIGTERM, SIGINT, SIGHUP) have a budget of 16 of their own.
    pub fn retries(mut self, n: u32) -> Self {
        self.retries = Some(n);
        self
    }

    /// Calls `report` in the calling thread now and then, some ten times a second, while the job runs. It may call
    /// verbs too, but not wait for one of the pool's 64 job slots ([`ErrorKind::TooManyJobs`]).
    pub fn progress(mut self, report: &'a dyn Fn(Progress)) -> Self {
        self.terms.report = Some(report);
        self
    }

    /// Lets somebody else end the call early, by the token.
    pub fn cancel_token(mut self, token: &'a CancelToken) -> Self {
        self.terms.token = Some(token);
        self
    }

    /// The time that the call has, from now on: [`ErrorKind::TimedOut`] beyond it. Tasks that are not begun by then will
    /// not be; those that are have another 50 ms, then their workers are killed and replaced. Time for which this
    /// process is stopped does not count. With `workers(0)` nobody can be killed.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use std::time::Duration;
    ///
    /// let xs = pool.zeros::<u8>(10)?;
    /// let call = pool.call().grain(1).timeout(Duration::from_millis(20));
    /// let error = call.map(&xs, |x| { std::thread::sleep(Duration::from_millis(10)); x }).unwrap_err();
    /// assert!(matches!(error.kind(), shmpool::ErrorKind::TimedOut { n_tasks: 10, .. }), "{error}");
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    pub fn timeout(mut self, time: Duration) -> Self {
        let deadline = clock::awake().saturating_add(time);
        self.terms.deadline = Some(self.terms.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
        self
    }

    /// `f(x)` for every element, into a new array of the same shape.
    ///
    /// # Errors
    /// [`ErrorKind::KernelPanicked`] or [`ErrorKind::WorkerDied`], with a [`JobReport`] and the unfinished
    /// array ([`Error::take_partial`]), if a task failed; all others are run to their end first.
    /// [`ErrorKind::TooLarge`] if there is no memory for the output. [`ErrorKind::ForeignArray`] if `xs` is
    /// another pool's.
    pub fn map<S, U, F>(&self, xs: &S, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(S::Item) -> U + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        self.fill_lanes::<(S,), Map<F, S::Item, U>>(xs.shape(), &[self.input("xs", xs)?], &[])
    }

    /// `f(x)` for every element, into an array that exists.
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::Shape`] if `out` has another shape than `xs`. What of
    /// `out` is done stands in the error's [`JobReport`].
    pub fn map_into<S, O, F>(&self, xs: &S, out: &mut O, f: F) -> Result<()>
    where
        S: Source,
        O: Target,
        F: Fn(S::Item) -> O::Item + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        same_shape("out", out.shape(), xs.shape())?;
        let inputs = [self.input("xs", xs)?];
        self.write_strided::<(S, O), Fill<Map<F, S::Item, O::Item>>, FillStrided<Map<F, S::Item, O::Item>>, O>(
            "out",
            out,
            &inputs,
            &[],
            Policy::IDEMPOTENT,
        )
    }

    /// `f(&params, x)` for every element, into a new array: for kernels that need more than their element.
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::ParamsTooLarge`] beyond 4096 bytes of parameters, of which a view takes 256.
    pub fn map_with<P, S, U, F>(&self, xs: &S, params: P, f: F) -> Result<Array<U>>
    where
        P: Pod,
        S: Source,
        U: Pod,
        F: Fn(&P, S::Item) -> U + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        const { assert!(align_of::<P>() <= 64, "parameters are aligned to 64 bytes at most") };
        self.fill_lanes::<(S,), MapWith<F, P, S::Item, U>>(
            xs.shape(),
            &[self.input("xs", xs)?],
            bytemuck::bytes_of(&params),
        )
    }

    /// `f(i, x)` for every element and its index in row-major order, into a new array.
    ///
    /// # Errors
    /// As for [`map`](Call::map).
    pub fn map_indexed<S, U, F>(&self, xs: &S, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(usize, S::Item) -> U + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        self.fill_lanes::<(S,), MapIndexed<F, S::Item, U>>(xs.shape(), &[self.input("xs", xs)?], &[])
    }

    /// `f(x)?` for every element, into a new array; or the first error by index, whatever order the tasks ran
    /// in.
    ///
    /// An error is plain bytes, up to 1000 of them: a number, or a `repr` enum with `bytemuck`'s `NoUninit`
    /// and `CheckedBitPattern`. Tasks behind a known error are not begun.
    ///
    /// # Errors
    /// [`TryMapError::Element`] with the kernel's own error; [`TryMapError::Pool`] as for [`map`](Call::map).
    pub fn try_map<S, U, E, F>(&self, xs: &S, f: F) -> std::result::Result<Array<U>, TryMapError<E>>
    where
        S: Contiguous,
        U: Pod,
        E: NoUninit + CheckedBitPattern,
        F: Fn(S::Item) -> std::result::Result<U, E> + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        const { assert!(size_of::<E>() + 8 <= MESSAGE_BYTES_MAX, "an error of a kernel has at most 1000 bytes") };
        let mut out = self.pool.arena().for_output(Shape::try_from(xs.shape())?)?;
        let policy = Policy { first_error_wins: true, ..Policy::IDEMPOTENT };
        let (job, ended) = self.start::<TryMap<F, S::Item, U, E>, Array<U>>(
            "out",
            &mut out,
            &[self.input("xs", xs)?],
            &[],
            policy,
        )?;
        match ended.failures.first_key_value() {
            Some((&task, Failure::Returned(bytes))) if ended.stopped.is_none() => {
                let (index, error) = bytes.split_at_checked(8).unwrap_or_default();
                let index = <[u8; 8]>::try_from(index).map_or(u64::MAX, u64::from_ne_bytes);
                match bytemuck::checked::try_pod_read_unaligned(error) {
                    Ok(error) if job.elements(task).contains(&index) => {
                        Err(TryMapError::Element { index: index as usize, error })
                    }
                    // No honest worker says such things.
                    _ => Err(Error::from(ErrorKind::ControlCorrupted { times: 1 }).into()),
                }
            }
            _ => Ok(job.conclude_with(out, ended)?),
        }
    }

    /// `f(&mut y)` for every element, in place.
    ///
    /// A task whose worker dies is not run again unless [`retries`](Call::retries) allows it: nobody knows
    /// how far it had come.
    ///
    /// # Errors
    /// As for [`map`](Call::map); the [`JobReport`] lists the ranges that are done.
    pub fn update<O, F>(&self, ys: &mut O, f: F) -> Result<()>
    where
        O: Target,
        F: Fn(&mut O::Item) + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        self.write_strided::<(O,), Update<F, O::Item>, UpdateStrided<F, O::Item>, O>(
            "ys",
            ys,
            &[],
            &[],
            Policy::ONCE,
        )
    }

    /// `f(a, b)` for elements of the same index, into a new array: two to four inputs of one shape.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let (xs, ys) = (pool.array_from(&[1, 2, 3])?, pool.array_from(&[10, 20, 30])?);
    /// let sums = pool.zip_map((&xs, &ys), |x, y| x + y)?;
    /// assert_eq!(*sums, [11, 22, 33]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::Shape`] if the inputs differ in shape.
    pub fn zip_map<Z, U, F>(&self, inputs: Z, f: F) -> Result<Array<U>>
    where
        Z: ZipInputs<F, U>,
        U: Pod,
        F: Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        inputs.run(self)
    }

    /// `f([i, j, …])` for every index of a new array.
    ///
    /// # Errors
    /// As for [`map`](Call::map).
    pub fn from_fn<U, F, const N: usize>(&self, shape: [usize; N], f: F) -> Result<Array<U>>
    where
        U: Pod,
        F: Fn([usize; N]) -> U + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        self.fill::<FromFn<F, U, N>, U>(&shape, &[], &[])
    }

    /// `f(&xs[chunk], &mut out[chunk])` for chunks of [`grain`](Call::grain) elements, the last one shorter.
    ///
    /// The chunk that `f` writes holds whatever was there before. A task whose worker dies is not run again
    /// unless [`retries`](Call::retries) allows it.
    ///
    /// # Errors
    /// As for [`map_into`](Call::map_into); the [`JobReport`] lists the ranges that are done.
    pub fn map_chunks<S, O, F>(&self, xs: &S, out: &mut O, f: F) -> Result<()>
    where
        S: Contiguous,
        O: ContiguousMut,
        F: Fn(&[S::Item], &mut [O::Item]) + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        same_shape("out", out.shape(), xs.shape())?;
        self.write::<MapChunks<F, S::Item, O::Item>, O>(
            "out",
            out,
            &[self.input("xs", xs)?],
            &[],
            Policy::ONCE,
        )
    }

    /// `f(row, out)` for every row of `xs`, which is its last dimension, into rows of `width` elements of a new array.
    ///
    /// All other dimensions stay: `[height, width, 3]` and a `width` of 1 make `[height, width, 1]`. Each row of the output
    /// starts as zeros. A task is some rows ([`grain`](Call::grain) counts them), and so are the elements of errors.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let table = pool.array_with([2, 4], |[y, x]| (10 * y + x) as f32)?;
    /// let least_and_greatest = pool.map_rows(&table, 2, |row: &[f32], out: &mut [f32]| {
    ///     out[0] = row.iter().copied().fold(f32::INFINITY, f32::min);
    ///     out[1] = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    /// })?;
    /// assert_eq!((least_and_greatest.shape(), &least_and_greatest[..]), (&[2, 2][..], &[0.0, 3.0, 10.0, 13.0][..]));
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map).
    pub fn map_rows<S, U, F>(&self, xs: &S, width: usize, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(&[S::Item], &mut [U]) + Copy + Send + Sync + 'static,
    {
        if const { S::STRIDED } {
            return self.map_axis(xs, xs.shape().len() - 1, width, f);
        }
        let _ = stateless(f);
        let mut shape = xs.shape().to_vec();
        let from = std::mem::replace(shape.last_mut().expect("a shape has dimensions"), width);
        let input = self.input("xs", xs)?;
        let mut out = self.pool.arena().for_output(Shape::try_from(&shape[..])?)?;
        let n_rows = out.len().checked_div(width).unwrap_or(0);
        let job = JobShape {
            n_elements: n_rows as u64,
            grain: self.grain_for(n_rows as u64, width.max(from).saturating_mul(size_of::<U>()))?,
            shape: [from as u64, width as u64, 0, 0],
            flags: 0,
            in_order: true,
        };
        let policy = Policy::IDEMPOTENT;
        let (job, ended) =
            self.start_with::<MapRows<F, S::Item, U>, _>("out", &mut out, job, &[input], &[], policy)?;
        job.conclude_with(out, ended)
    }

    /// `f(lane, out)` for every lane along a dimension (`axis`, from 0), into lanes of `width` elements of a new array: columns
    /// of a table, say, or the samples of each pixel in a stack of images.
    ///
    /// All other dimensions stay. What `f` sees is a copy of the lane in one piece, and each lane of the output starts as
    /// zeros. A task is some lanes ([`grain`](Call::grain) counts them), and so are the elements of errors.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let table = pool.array_from_shape([3, 2], &[5, 1, 9, 2, 7, 3])?;
    /// let medians = pool.map_axis(&table, 0, 1, |column: &[i32], out: &mut [i32]| {
    ///     let mut sorted = [column[0], column[1], column[2]];
    ///     sorted.sort_unstable();
    ///     out[0] = sorted[1];
    /// })?;
    /// assert_eq!((medians.shape(), &medians[..]), (&[1, 2][..], &[7, 2][..]));
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::Option`] if there is no such dimension.
    pub fn map_axis<S, U, F>(&self, xs: &S, axis: usize, width: usize, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(&[S::Item], &mut [U]) + Copy + Send + Sync + 'static,
    {
        let _ = stateless(f);
        let input = self.input("xs", xs)?;
        let from = input.layout(xs.shape())?.with_last(axis)?;
        let mut out = self.pool.arena().for_output(from.shape_before(axis, width)?)?;
        let to = Layout::whole(Shape::try_from(out.shape())?).with_last(axis)?;
        let ((from, along_from, len), (to, along_to, _)) = (from.split_last(), to.split_last());
        let n_lanes = if width == 0 { 0 } else { from.len() as u64 };
        let job = JobShape {
            n_elements: n_lanes,
            grain: self.grain_for(n_lanes, width.max(len).saturating_mul(size_of::<U>()))?,
            shape: [len as u64, width as u64, 0, 0],
            flags: 0,
            in_order: false,
        };
        let mut head = strided_head(from.shape, [Some(from), None, None, None, Some(to)]);
        head.along = [along_from as i64, along_to as i64];
        let params = bytemuck::bytes_of(&head);
        let policy = Policy::IDEMPOTENT;
        let (job, ended) =
            self.start_with::<MapLanes<F, S::Item, U>, _>("out", &mut out, job, &[input], params, policy)?;
        job.conclude_with(out, ended)
    }

    /// Folds all elements into one value: the same bits for any number of workers.
    ///
    /// Blocks of 64 Ki elements are folded by themselves, each in eight runs of neighbours that start at
    /// `identity`; runs, then blocks, are combined in a fixed tree. So `identity` must change nothing (0 for
    /// a sum), and `combine` must be associative, up to rounding. [`grain`](Call::grain) has no say here.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let xs = pool.array_from(&[1.5_f32, 2.5, 3.0])?;
    /// let sum = pool.reduce(&xs, 0.0_f64, |sum, x| sum + f64::from(x), |a, b| a + b)?;
    /// assert_eq!(sum, 7.0);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::ParamsTooLarge`] if an accumulator has more than 4096
    /// bytes.
    pub fn reduce<S, A, F, G>(&self, xs: &S, identity: A, fold: F, combine: G) -> Result<A>
    where
        S: Source,
        A: Pod,
        F: Fn(A, S::Item) -> A + Copy + Send + Sync + 'static,
        G: Fn(A, A) -> A + Copy + Send + Sync + 'static,
    {
        let _ = (stateless(fold), stateless(combine));
        const { assert!(align_of::<A>() <= 64, "an accumulator is aligned to 64 bytes at most") };
        if xs.shape().contains(&0) {
            return Ok(identity);
        }
        self.reduce_by::<ByClosures<F, G, S::Item, A>, S>(xs, bytemuck::bytes_of(&identity))
    }

    /// Folds all elements into one value by a kernel: the same bits for any number of workers.
    ///
    /// Blocks of 64 Ki elements are folded by [`Reduction::fold`], then combined in a fixed tree.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::MinMax;
    ///
    /// let xs = pool.array_from(&[1.5_f32, -2.5, 3.0])?;
    /// assert_eq!(pool.reduce_with(&xs, &MinMax)?, [-2.5, 3.0]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`reduce`](Call::reduce), where the kernel has the accumulator's part.
    pub fn reduce_with<S, K>(&self, xs: &S, kernel: &K) -> Result<K::Acc>
    where
        S: Source,
        K: Reduction<S::Item>,
    {
        const { assert!(align_of::<K>() <= 64, "a kernel is aligned to 64 bytes at most") };
        if xs.shape().contains(&0) {
            return Ok(kernel.identity());
        }
        self.reduce_by::<ByKernel<K, S::Item>, S>(xs, bytemuck::bytes_of(kernel))
    }

    /// `kernel.apply((a, b))` for elements of the same index, into a new array: two or three inputs of one shape.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::Axpy;
    ///
    /// let (xs, ys) = (pool.array_from(&[1.0_f32, 2.0])?, pool.array_from(&[10.0_f32, 20.0])?);
    /// assert_eq!(*pool.zip_with((&xs, &ys), &Axpy { a: 3.0 })?, [13.0, 26.0]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`zip_map`](Call::zip_map).
    pub fn zip_with<Z, K>(&self, inputs: Z, kernel: &K) -> Result<Array<Z::Out>>
    where
        Z: ZipWith<K>,
    {
        inputs.run(self, kernel)
    }

    /// `kernel.at(i)` for every index in row-major order, into a new array of `shape`: random numbers, for example, that
    /// are the same for any number of workers.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::Uniform;
    ///
    /// let noise = pool.generate::<f64, _>([2, 3], &Uniform { seed: 7 })?;
    /// assert!(noise.iter().all(|x| (0.0..1.0).contains(x)));
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`map`](Call::map).
    pub fn generate<U: Pod, K: IndexKernel<U>>(
        &self,
        shape: impl Into<Shape>,
        kernel: &K,
    ) -> Result<Array<U>> {
        const { assert!(align_of::<K>() <= 64, "a kernel is aligned to 64 bytes at most") };
        self.fill::<FillBy<Generate<K, U>>, U>(&shape.into(), &[], bytemuck::bytes_of(kernel))
    }

    /// An element kernel that is known at run time alone, such as one that
    /// [`parse_element_step`](crate::kernels::parse_element_step) has made of a word, into an array that exists.
    ///
    /// # Errors
    /// As for [`map_into`](Call::map_into), and [`ErrorKind::Kernel`] if the step is for other types of elements.
    pub fn apply_step<S, O>(&self, step: &ElementStep, xs: &S, out: &mut O) -> Result<()>
    where
        S: Contiguous,
        O: ContiguousMut,
        S::Item: Element,
        O::Item: Element,
    {
        same_shape("out", out.shape(), xs.shape())?;
        step.check::<S::Item, O::Item>()?;
        let parameters = step.parameters();
        let head = ElementHead {
            table: Place::of(std::ptr::from_ref(step.table()) as usize)?.0,
            n_bytes: parameters.len() as u32,
            level: self.pool.level() as u32,
        };
        let params = [bytemuck::bytes_of(&head), parameters].concat();
        self.write::<ApplyStep, O>("out", out, &[self.input("xs", xs)?], &params, Policy::IDEMPOTENT)
    }

    /// Any kernel of [`crate::kernels`], or your own: an element kernel over an array, an image kernel or a
    /// chain over an image.
    ///
    /// An image has the shape `[height, width]` or `[height, width, channels]`. A chain means its steps one
    /// after the other, byte for byte, but runs them tile by tile: nothing in between is ever as large as the
    /// image.
    ///
    /// # Errors
    /// As for [`map`](Call::map), and [`ErrorKind::Kernel`] if the kernel refuses the image or its own
    /// parameters.
    pub fn apply<S, K, How>(&self, kernel: &K, input: &S) -> Result<Array<K::Out>>
    where
        S: Source,
        K: ApplyKernel<S::Item, How>,
    {
        kernel.run(self, input)
    }

    /// As [`apply`](Call::apply), into an array that exists: one that is used again and again, or a
    /// [`FileArray`](crate::FileArray) that is larger than memory. It has the shape that `apply` would make.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::kernels::BoxBlur;
    ///
    /// let image = pool.array_from_shape([1, 5], &[0.0_f32, 0.0, 9.0, 0.0, 0.0])?;
    /// let mut out = pool.zeros::<f32>([1, 5])?;
    /// pool.apply_into(&BoxBlur::new(1), &image, &mut out)?;
    /// assert_eq!(out[..], [0.0, 3.0, 3.0, 3.0, 0.0]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`apply`](Call::apply), and [`ErrorKind::Shape`] if `out` has another one. A job that failed leaves in it what
    /// it had done.
    pub fn apply_into<S, K, O, How>(&self, kernel: &K, input: &S, out: &mut O) -> Result<()>
    where
        S: Source,
        K: ApplyKernel<S::Item, How>,
        O: ContiguousMut<Item = K::Out>,
    {
        kernel.run_into(self, input, out)
    }

    /// Runs lanes over any sources `V` into a new array.
    fn fill_lanes<V: AnyStrided, L: Lanes>(
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
    fn start_strided<K: Kernel, O: Target>(
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
    fn write<K: Kernel, O: Target>(
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
    fn reduce_by<R: Folder, S: Source>(&self, xs: &S, params: &[u8]) -> Result<R::Accumulator> {
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
    fn fold_blocks<R: Folder, S: Source>(
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

    fn grain_for(&self, n_elements: u64, element_bytes: usize) -> Result<u64> {
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

    /// The pool that the call is to.
    pub fn pool(&self) -> &'a Pool {
        self.pool
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
fn strided_head(shape: Shape, layouts: [Option<Layout>; N_OPERANDS]) -> StridedHead {
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
    fn elements(&self, task: u32) -> Range<u64> {
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

/// Two to four arrays that [`Call::zip_map`] can run `F` over.
pub trait ZipInputs<F, U: Pod>: sealed::Sealed {
    #[doc(hidden)]
    fn run(self, call: &Call<'_>) -> Result<Array<U>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! zip_inputs {
    ($kernel:ident, $first:ident $(, $rest:ident)*) => {
        impl<$first: Source $(, $rest: Source)*> sealed::Sealed for (&$first, $(&$rest),*) {}

        impl<Func, Out, $first, $($rest),*> ZipInputs<Func, Out> for (&$first, $(&$rest),*)
        where
            Func: Fn($first::Item, $($rest::Item),*) -> Out + Copy + Send + Sync + 'static,
            Out: Pod,
            $first: Source,
            $($rest: Source,)*
        {
            #[allow(non_snake_case)]
            fn run(self, call: &Call<'_>) -> Result<Array<Out>> {
                let ($first, $($rest),*) = self;
                $(same_shape("input of zip_map", $rest.shape(), $first.shape())?;)*
                let shape = $first.shape();
                let inputs = [call.input("input", $first)?, $(call.input("input", $rest)?),*];
                call.fill_lanes::<($first, $($rest),*), $kernel<Func, $first::Item, $($rest::Item,)* Out>>(
                    shape, &inputs, &[],
                )
            }
        }
    };
}

zip_inputs!(Zip2, A, B);
zip_inputs!(Zip3, A, B, C);
zip_inputs!(Zip4, A, B, C, D);

/// Two or three arrays that [`Call::zip_with`] can run a kernel over.
pub trait ZipWith<K>: sealed::Sealed {
    /// What the kernel makes.
    type Out: Pod;

    #[doc(hidden)]
    fn run(self, call: &Call<'_>, kernel: &K) -> Result<Array<Self::Out>>;
}

macro_rules! zip_with {
    ($lanes:ident, $first:ident $(, $rest:ident)*) => {
        impl<K, $first: Source, $($rest: Source),*> ZipWith<K> for (&$first, $(&$rest),*)
        where
            K: ZipKernel<($first::Item, $($rest::Item),*)>,
        {
            type Out = K::Out;

            #[allow(non_snake_case)]
            fn run(self, call: &Call<'_>, kernel: &K) -> Result<Array<K::Out>> {
                const { assert!(align_of::<K>() <= 64, "a kernel is aligned to 64 bytes at most") };
                let ($first, $($rest),*) = self;
                $(same_shape("input of zip_with", $rest.shape(), $first.shape())?;)*
                let shape = $first.shape();
                let inputs = [call.input("input", $first)?, $(call.input("input", $rest)?),*];
                let params = bytemuck::bytes_of(kernel);
                call.fill_lanes::<($first, $($rest),*), $lanes<K, $first::Item, $($rest::Item),*>>(
                    shape, &inputs, params,
                )
            }
        }
    };
}

zip_with!(ZipApply2, A, B);
zip_with!(ZipApply3, A, B, C);

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
