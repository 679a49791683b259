//! What users hold: the pool and its verbs.

mod apply;
mod background;
mod builder;
mod call;
mod cancel;
mod collect;
mod executor;
mod future;
mod inline;
mod iterate;
mod job;
mod map_iter;
mod scan;
mod setup;
mod stats;
mod submit;
mod unzip;
mod verbs;
mod zip;

pub use apply::{ApplyKernel, ByElement, ByTile, Chained};
pub use background::Job;
pub use builder::Builder;
pub use call::Call;
pub use cancel::CancelToken;
pub use future::{AsCompleted, Future, ReturnWhen, as_completed, wait};
pub use iterate::IterateKernel;
pub use map_iter::MapIter;
pub use stats::{Stats, WorkerStats};
pub use unzip::Unzip;
pub use verbs::TryMapError;
pub use zip::{ZipInputs, ZipWith};

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytemuck::{CheckedBitPattern, NoUninit, Pod};
use shmpool_kernels::{IndexKernel, Level, Reduction, Scan, ZipReduction};

use self::background::Background;
use self::cancel::Terms;
use crate::arena::Arena;
use crate::array::{Array, Contiguous, ContiguousMut, Indices, Input, Shape, Source, Target};
use crate::error::{ErrorKind, Result};
pub use crate::supervisor::WorkerOutput;
use crate::supervisor::{Counters, Shared};
use crate::sync::{AtomicBool, Relaxed};
pub use crate::task::call::Started;
use crate::task::job::JobSpec;
use crate::task::mirror::Ended;
pub use crate::task::mirror::Progress;
pub use crate::task::single::OnWorkerDeath;

/// A process pool whose workers share memory.
///
/// Its verbs run a kernel over whole [`Array`]s in worker processes, and return when all of it is done.
/// Nothing is serialised: workers read and write the arrays where they are. A worker may die at any
/// instruction: it is replaced, and what it had not finished runs again, or fails with an error that says how
/// the worker died.
///
/// The pool can be shared between threads (`&Pool`); jobs of several threads run side by side, and so do those in the
/// [background](Pool::background). Dropping it waits for these and ends the workers.
///
/// # Kernels
/// A kernel is a function, or a closure that captures nothing: workers are separate processes, and find it by
/// its place in the executable. What it needs beside its element travels as parameters
/// ([`map_with`](Pool::map_with)). Statics, thread-locals and the environment are the worker's own: what
/// `main` has set up after [`init`](crate::init) is not there. So a zero-sized value that a closure captures
/// as a witness of something that `main` has done proves nothing in a worker: do not hand one to a kernel
/// that relies on it. A kernel that ends its worker's main thread alone (the bare `exit` system call), or
/// that forks a child and then calls `exec`, leaves something behind that looks alive, and its job waits for
/// it.
///
/// ```compile_fail
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build().unwrap();
/// # let xs = pool.zeros::<f32>(10).unwrap();
/// let gain = 2.0;
/// let ys = pool.map(&xs, move |x| x * gain); // error: a kernel captures variables … pass them as parameters
/// ```
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// # let xs = pool.array_from(&[1.0_f32, 2.0])?;
/// let gain = 2.0_f32;
/// let ys = pool.map_with(&xs, gain, |gain, x| x * gain)?;
/// assert_eq!(*ys, [2.0, 4.0]);
/// # Ok::<(), shmpool::Error>(())
/// ```
///
/// # Events
/// What the pool has to say goes to the program's subscriber of `tracing`: deaths of workers, a pool that breaks. So do the events
/// of the workers themselves, those of kernels, tasks and initializers: each as one event with the target `shmpool::worker`, its own level and message, and
/// the fields `slot`, `pid`, `from` (its own target), `file`, `line`, `fields` (its own, as text) and `n_lost` (events before it that found no
/// way, since the worker said more than could be heard). Levels that the subscriber does not want for this target are not made at all, up to a
/// second after it has changed its mind. Spans stay in the worker. An [`initializer`](Builder::initializer) may choose another subscriber for its worker.
///
/// # What a call costs
/// A few microseconds. Elements are cut into tasks of at most 256 KiB of output, tasks into leases, one
/// worker's part of an array after the other; see [`Call::grain`]. Closures are compiled for the CPU's
/// instruction set as well as for the baseline, so that simple ones vectorise; one of more than about a
/// hundred operations is no longer inlined and loses that. `#[inline(always)]` before the closure keeps it,
/// `pool.map(&xs, #[inline(always)] |x| …)`, and so does the method of an
/// [`ElementKernel`](crate::kernels::ElementKernel). Functions of the C library, such as `x.exp()`, are calls and do not
/// vectorise; those of [`kernels::math`](crate::kernels::math) do.
pub struct Pool {
    core: Arc<Core>,
    /// Threads of background jobs have handles of their own, which end nothing.
    is_owner: bool,
}

struct Core {
    backend: Backend,
    arena: Arena,
    n_workers: usize,
    level: Level,
    /// The process that built the pool: a forked child must not use it.
    owner: u32,
    counters: Arc<Counters>,
    background: Background,
    /// Of submitted tasks, unless their call says otherwise.
    on_worker_death: OnWorkerDeath,
    task_timeout: Option<Duration>,
    pending_max: Option<usize>,
    is_shut_down: AtomicBool,
    /// With `workers(0)`, where no engine knows it: [`Pool::terminate`] was called.
    is_terminated: AtomicBool,
}

enum Backend {
    Processes {
        shared: Arc<Shared>,
        /// Until the pool is dropped.
        supervisor: Mutex<Option<JoinHandle<()>>>,
        /// From the first submitted task on, until the pool is dropped.
        collector: Mutex<Option<JoinHandle<()>>>,
        spin: Duration,
    },
    /// `workers(0)`: everything runs in the calling process.
    Inline,
}

impl Pool {
    /// A pool of one worker per usable CPU, with an arena as large as the machine's memory.
    ///
    /// # Errors
    /// As for [`Builder::build`].
    pub fn new() -> Result<Self> {
        Pool::builder().build()
    }

    /// Choices before the pool is built.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// One call with options of its own: `pool.call().grain(4096).map(&xs, f)`.
    pub fn call(&self) -> Call<'_> {
        Call::new(self)
    }

    /// Where this pool's arrays lie. Another pool built over it can use them too.
    pub fn arena(&self) -> &Arena {
        &self.core.arena
    }

    /// Workers that the pool was built with; 0 if it runs everything in the calling process.
    pub fn n_workers(&self) -> usize {
        self.core.n_workers
    }

    /// The processes of the live workers.
    pub fn worker_pids(&self) -> Vec<u32> {
        match &self.core.backend {
            // A forked child has none, and a thread that is not there may hold the lock.
            Backend::Processes { .. } if self.check_owner().is_err() => Vec::new(),
            Backend::Processes { shared, .. } => shared
                .lock()
                .status
                .iter()
                .filter(|status| status.ready)
                .filter_map(|status| status.pid)
                .collect(),
            Backend::Inline => Vec::new(),
        }
    }

    /// What the pool has done and holds. Some tens of microseconds for each worker, whose times the kernel is asked for.
    ///
    /// # Errors
    /// [`ErrorKind::ForkedChild`](crate::ErrorKind::ForkedChild) in a forked child.
    pub fn stats(&self) -> Result<Stats> {
        let Core { backend, arena, counters, level, .. } = &*self.core;
        match backend {
            Backend::Processes { shared, .. } => {
                self.check_owner()?;
                shared.publish(*level)?;
                let own = Stats::read(&shared.parent.get().figures, self.core.n_workers);
                // What is known better here than there.
                Ok(Stats { arena: arena.stats()?, ..own })
            }
            Backend::Inline => {
                let Counters { n_jobs, n_tasks, bytes_copied } = &**counters;
                let counts = [n_jobs, n_tasks, bytes_copied].map(|count| count.load(Relaxed));
                Ok(Stats::inline(arena.stats()?, *level, counts))
            }
        }
    }

    /// Gives the memory of dropped arrays back to the system at once; how many bytes.
    ///
    /// It is kept for a while otherwise, since the next array of that size then costs no page faults.
    pub fn trim(&self) -> u64 {
        self.core.arena.trim()
    }

    fn check_owner(&self) -> Result<()> {
        executor::check_owner(self.core.owner)
    }

    fn level(&self) -> Level {
        self.core.level
    }

    fn run(&self, spec: &JobSpec<'_>, terms: &Terms<'_>) -> Result<Ended> {
        let ended = match &self.core.backend {
            Backend::Processes { shared, spin, .. } => {
                self.check_owner()?;
                executor::run(shared, spec, *spin, terms)
            }
            // Relaxed: as for `is_shut_down`.
            Backend::Inline if self.core.is_terminated.load(Relaxed) => Err(ErrorKind::ShutDown.into()),
            Backend::Inline => Ok(inline::run(&self.core.arena, spec, terms)),
        };
        self.core.counters.n_jobs.fetch_add(1, Relaxed);
        ended
    }

    /// Counts what was copied to make `array`.
    fn copied<T: Pod>(&self, array: Array<T>) -> Array<T> {
        self.core.counters.bytes_copied.fetch_add(size_of_val(array.as_slice()) as u64, Relaxed);
        array
    }
}

/// Arrays.
impl Pool {
    /// A one-dimensional array with a copy of `elements`: the one copy that they need.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) if the memory is not there.
    pub fn array_from<T: Pod>(&self, elements: &[T]) -> Result<Array<T>> {
        Ok(self.copied(self.core.arena.array_from(elements)?))
    }

    /// An array of any shape with a copy of `elements`, in row-major order.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if their number is not the shape's; `TooLarge` if the
    /// memory is not there.
    pub fn array_from_shape<T: Pod>(&self, shape: impl Into<Shape>, elements: &[T]) -> Result<Array<T>> {
        Ok(self.copied(self.core.arena.array_from_shape(shape, elements)?))
    }

    /// An array made in this process, element by element: `f` may capture, unlike a kernel. See
    /// [`from_fn`](Pool::from_fn) for workers.
    ///
    /// # Errors
    /// `TooLarge` if the memory is not there.
    pub fn array_with<T: Pod, S: Indices>(&self, shape: S, f: impl FnMut(S::Index) -> T) -> Result<Array<T>> {
        self.core.arena.array_with(shape, f)
    }

    /// An array of zeros. Costs no time in proportion to its size, as long as its pages are new.
    ///
    /// # Errors
    /// `TooLarge` if the memory is not there.
    pub fn zeros<T: Pod>(&self, shape: impl Into<Shape>) -> Result<Array<T>> {
        self.core.arena.zeros(shape)
    }

    /// A copy of `elements` in one dimension that workers can read and not write; see [`Input`].
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) if the memory is not there.
    pub fn input_from<T: Pod>(&self, elements: &[T]) -> Result<Input<T>> {
        self.input_from_shape(elements.len(), elements)
    }

    /// A copy of `elements` in row-major order that workers can read and not write; see [`Input`].
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if their number is not the shape's; `TooLarge` if the memory is
    /// not there.
    pub fn input_from_shape<T: Pod>(&self, shape: impl Into<Shape>, elements: &[T]) -> Result<Input<T>> {
        let input = self.core.arena.input_from_shape(shape, elements)?;
        self.core.counters.bytes_copied.fetch_add(size_of_val(elements) as u64, Relaxed);
        Ok(input)
    }

    /// An array that workers can read and not write, filled in place by `fill`, which finds zeros; see [`Input`].
    ///
    /// # Errors
    /// `TooLarge` if the memory is not there.
    pub fn input_fill<T: Pod>(
        &self,
        shape: impl Into<Shape>,
        fill: impl FnOnce(&mut [T]),
    ) -> Result<Input<T>> {
        self.core.arena.input_fill(shape, fill)
    }

    /// A copy of an array or view of `ndarray`; see [`Arena::array_from_ndarray`]. Feature `ndarray`.
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "ndarray")]
    pub fn array_from_ndarray<T, S, D>(&self, from: &ndarray::ArrayBase<S, D>) -> Result<Array<T>>
    where
        T: Pod,
        S: ndarray::Data<Elem = T>,
        D: ndarray::Dimension,
    {
        Ok(self.copied(self.core.arena.array_from_ndarray(from)?))
    }

    /// An array whose bytes come straight from `reader`, without a buffer in between.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::ErrorKind::Shape) if it ends early,
    /// [`ErrorKind::Os`](crate::ErrorKind::Os) if it fails; `TooLarge` if the memory is not there.
    pub fn array_from_reader<T: Pod>(
        &self,
        shape: impl Into<Shape>,
        reader: &mut impl Read,
    ) -> Result<Array<T>> {
        Ok(self.copied(self.core.arena.array_from_reader(shape, reader)?))
    }
}

/// Verbs. Each is [`call`](Pool::call) with the options that fit most.
impl Pool {
    /// See [`Call::background`].
    pub fn background<R, F>(&self, f: F) -> Result<Job<R>>
    where
        R: Send + 'static,
        F: FnOnce(Call<'_>) -> Result<R> + Send + 'static,
    {
        self.call().background(f)
    }

    /// See [`Call::map`].
    pub fn map<S, U, F>(&self, xs: &S, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(S::Item) -> U + Copy + Send + Sync + 'static,
    {
        self.call().map(xs, f)
    }

    /// See [`Call::map_into`].
    pub fn map_into<S, O, F>(&self, xs: &S, out: &mut O, f: F) -> Result<()>
    where
        S: Source,
        O: Target,
        F: Fn(S::Item) -> O::Item + Copy + Send + Sync + 'static,
    {
        self.call().map_into(xs, out, f)
    }

    /// See [`Call::map_with`].
    pub fn map_with<P, S, U, F>(&self, xs: &S, params: P, f: F) -> Result<Array<U>>
    where
        P: Pod,
        S: Source,
        U: Pod,
        F: Fn(&P, S::Item) -> U + Copy + Send + Sync + 'static,
    {
        self.call().map_with(xs, params, f)
    }

    /// See [`Call::map_indexed`].
    pub fn map_indexed<S, U, F>(&self, xs: &S, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(usize, S::Item) -> U + Copy + Send + Sync + 'static,
    {
        self.call().map_indexed(xs, f)
    }

    /// See [`Call::try_map`].
    pub fn try_map<S, U, E, F>(&self, xs: &S, f: F) -> std::result::Result<Array<U>, TryMapError<E>>
    where
        S: Contiguous,
        U: Pod,
        E: NoUninit + CheckedBitPattern,
        F: Fn(S::Item) -> std::result::Result<U, E> + Copy + Send + Sync + 'static,
    {
        self.call().try_map(xs, f)
    }

    /// See [`Call::update`].
    pub fn update<O, F>(&self, ys: &mut O, f: F) -> Result<()>
    where
        O: Target,
        F: Fn(&mut O::Item) + Copy + Send + Sync + 'static,
    {
        self.call().update(ys, f)
    }

    /// See [`Call::zip_map`].
    pub fn zip_map<Z, U, F>(&self, inputs: Z, f: F) -> Result<Array<U>>
    where
        Z: ZipInputs<F, U>,
        U: Pod,
        F: Copy + Send + Sync + 'static,
    {
        self.call().zip_map(inputs, f)
    }

    /// See [`Call::from_fn`].
    pub fn from_fn<U, F, const N: usize>(&self, shape: [usize; N], f: F) -> Result<Array<U>>
    where
        U: Pod,
        F: Fn([usize; N]) -> U + Copy + Send + Sync + 'static,
    {
        self.call().from_fn(shape, f)
    }

    /// See [`Call::map_chunks`].
    pub fn map_chunks<S, O, F>(&self, xs: &S, out: &mut O, f: F) -> Result<()>
    where
        S: Contiguous,
        O: ContiguousMut,
        F: Fn(&[S::Item], &mut [O::Item]) + Copy + Send + Sync + 'static,
    {
        self.call().map_chunks(xs, out, f)
    }

    /// See [`Call::map_rows`].
    pub fn map_rows<S, U, F>(&self, xs: &S, width: usize, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(&[S::Item], &mut [U]) + Copy + Send + Sync + 'static,
    {
        self.call().map_rows(xs, width, f)
    }

    /// See [`Call::map_axis`].
    pub fn map_axis<S, U, F>(&self, xs: &S, axis: usize, width: usize, f: F) -> Result<Array<U>>
    where
        S: Source,
        U: Pod,
        F: Fn(&[S::Item], &mut [U]) + Copy + Send + Sync + 'static,
    {
        self.call().map_axis(xs, axis, width, f)
    }

    /// See [`Call::reduce`].
    pub fn reduce<S, A, F, G>(&self, xs: &S, identity: A, fold: F, combine: G) -> Result<A>
    where
        S: Source,
        A: Pod,
        F: Fn(A, S::Item) -> A + Copy + Send + Sync + 'static,
        G: Fn(A, A) -> A + Copy + Send + Sync + 'static,
    {
        self.call().reduce(xs, identity, fold, combine)
    }

    /// See [`Call::reduce_with`].
    pub fn reduce_with<S, K>(&self, xs: &S, kernel: &K) -> Result<K::Acc>
    where
        S: Source,
        K: Reduction<S::Item>,
    {
        self.call().reduce_with(xs, kernel)
    }

    /// See [`Call::zip_with`].
    pub fn zip_with<Z, K>(&self, inputs: Z, kernel: &K) -> Result<Array<Z::Out>>
    where
        Z: ZipWith<K>,
    {
        self.call().zip_with(inputs, kernel)
    }

    /// See [`Call::generate`].
    pub fn generate<U: Pod, K: IndexKernel<U>>(
        &self,
        shape: impl Into<Shape>,
        kernel: &K,
    ) -> Result<Array<U>> {
        self.call().generate(shape, kernel)
    }

    /// See [`Call::map_unzip`].
    pub fn map_unzip<S, O, F>(&self, xs: &S, f: F) -> Result<O::Arrays>
    where
        S: Contiguous,
        O: Unzip,
        F: Fn(S::Item) -> O + Copy + Send + Sync + 'static,
    {
        self.call().map_unzip(xs, f)
    }

    /// See [`Call::reduce_zip`].
    pub fn reduce_zip<A, B, K>(&self, a: &A, b: &B, kernel: &K) -> Result<K::Acc>
    where
        A: Contiguous,
        B: Contiguous,
        K: ZipReduction<A::Item, B::Item>,
    {
        self.call().reduce_zip(a, b, kernel)
    }

    /// See [`Call::scan`].
    pub fn scan<S, K>(&self, xs: &S, kernel: &K) -> Result<Array<K::Out>>
    where
        S: Contiguous,
        K: Scan<S::Item>,
    {
        self.call().scan(xs, kernel)
    }

    /// See [`Call::iterate`].
    pub fn iterate<T, K, How>(&self, n: usize, kernel: &K, array: Array<T>) -> Result<Array<T>>
    where
        T: Pod,
        K: IterateKernel<T, How>,
    {
        self.call().iterate(n, kernel, array)
    }

    /// See [`Call::apply`].
    pub fn apply<S, K, How>(&self, kernel: &K, input: &S) -> Result<Array<K::Out>>
    where
        S: Source,
        K: ApplyKernel<S::Item, How>,
    {
        self.call().apply(kernel, input)
    }

    /// See [`Call::apply_into`].
    ///
    /// # Errors
    /// As there.
    pub fn apply_into<S, K, O, How>(&self, kernel: &K, input: &S, out: &mut O) -> Result<()>
    where
        S: Source,
        K: ApplyKernel<S::Item, How>,
        O: ContiguousMut<Item = K::Out>,
    {
        self.call().apply_into(kernel, input, out)
    }
}

/// Waits for background jobs and submitted tasks, then ends the workers. In a background job of its own it waits for nothing:
/// the last job ends them.
impl Drop for Pool {
    fn drop(&mut self) {
        if !self.is_owner {
            return;
        }
        if self.check_owner().is_err() {
            // A forked child's copy: workers, supervisor and control segments are our parent's, and where those were
            // mapped there may be something else by now.
            std::mem::forget(Arc::clone(&self.core));
            return;
        }
        if self.core.background.join() {
            self.core.end();
        }
    }
}

impl Core {
    /// Finishes what was submitted, and ends the workers.
    fn end(&self) {
        if let Backend::Processes { shared, supervisor, collector, .. } = &self.backend {
            collect::wait_until_idle(shared);
            shared.stop();
            let supervisor = supervisor.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(supervisor) = supervisor {
                // It has ended every worker, or has said why not; its own panics it has caught.
                let _ = supervisor.join();
            }
            collect::join(shared, collector.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("n_workers", &self.core.n_workers)
            .field("level", &self.core.level)
            .finish_non_exhaustive()
    }
}
