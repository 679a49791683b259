//! Single tasks: a function, its argument, and a [`Future`] of what it returns.

use std::any::type_name;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::collect;
use super::executor::{check_owner, is_reporting};
use super::inline;
use super::job::stateless;
use super::{Backend, Call, Core, Future, Pool};
use crate::array::{Home, Loan};
use crate::control::PAYLOAD_BYTES_MAX;
use crate::error::{ErrorKind, Result};
use crate::segment::Use;
use crate::sync::Relaxed;
use crate::task::call::{Chunked, Function, Item, LENT_MAX, Plain, WithArrays, code_of_single};
use crate::task::codec::{encode_into, encode_whole, encoded_len};
use crate::task::job::Policy;
use crate::task::single::{Bytes, Extra, Lender, LentRecord, OnWorkerDeath, Overrun, Payload, Single};

impl Call<'_> {
    /// Has a worker call `f(argument)`; the result comes from the [`Future`].
    ///
    /// `f` is a function or a closure that captures nothing; argument and result are whatever `serde` can turn into bytes and
    /// back (`postcard`; tuples for several arguments), of any size. The argument is turned into bytes before this returns.
    /// Large arrays are better [lent](Call::submit_on).
    ///
    /// If its worker dies the task fails and no other one knows of it, unless
    /// [`on_worker_death`](Call::on_worker_death) says otherwise; of the call's other options,
    /// [`retries`](Call::retries) and [`task_timeout`](Call::task_timeout) count.
    ///
    /// About a microsecond of the caller's time, and some 150 bytes until the future is dropped (`benches/RESULTS.md`).
    /// Arguments of more than 480 bytes, and results of more than 1008, take a block of the arena each.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// fn count_primes(n: u64) -> usize {
    ///     (2..n).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
    /// }
    ///
    /// let future = pool.submit(count_primes, 1000)?;
    /// assert_eq!(future.result()?, 168);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::ShutDown`], [`ErrorKind::PoolBroken`], [`ErrorKind::ForkedChild`],
    /// [`ErrorKind::ForeignFunction`]; [`ErrorKind::Os`] if the system has no thread left for the first task of a pool. What
    /// concerns the argument comes from the future.
    pub fn submit<F, A, R>(&self, f: F, argument: A) -> Result<Future<R>>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let _ = stateless(f);
        self.submit_as::<Plain<F, A, R>, A, R>(type_name::<F>(), &argument, None, true)
    }

    /// As [`submit`](Call::submit), but does not wait where the pool was built with
    /// [`pending_max`](crate::Builder::pending_max).
    ///
    /// # Errors
    /// As there, and [`ErrorKind::QueueFull`] if so many tasks are pending.
    pub fn try_submit<F, A, R>(&self, f: F, argument: A) -> Result<Future<R>>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let _ = stateless(f);
        self.submit_as::<Plain<F, A, R>, A, R>(type_name::<F>(), &argument, None, false)
    }

    /// Has a worker call `f(arrays, argument)` over arrays where they are: nothing of them is copied.
    ///
    /// The task holds its leases until it has ended, however it does; meanwhile others meet
    /// [`Busy`](ErrorKind::Busy). `f` has a [`Lent`](crate::Lent) for each array that it may read and a
    /// [`LentMut`](crate::LentMut) for each that it may write. Should it end early, what it has written stays.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// use shmpool::{Handle, Lent, LentMut};
    ///
    /// fn blend((image, mut out): (Lent<'_, f32>, LentMut<'_, f32>), gain: f32) -> f32 {
    ///     for (to, from) in out.iter_mut().zip(&*image) {
    ///         *to += gain * from;
    ///     }
    ///     out[0]
    /// }
    ///
    /// let (image, out) = (Handle::new(pool.array_from(&[1.0_f32; 4])?), Handle::new(pool.zeros::<f32>(4)?));
    /// let future = pool.submit_on((image.read()?, out.write()?), blend, 0.5)?;
    /// assert_eq!(future.result()?, 0.5);
    /// assert_eq!(out.read()?[..], [0.5; 4]);
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// What a task was lent cannot outlive it:
    /// ```compile_fail
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build().unwrap();
    /// # use shmpool::{Handle, Lent};
    /// static KEPT: std::sync::OnceLock<Lent<'static, f32>> = std::sync::OnceLock::new();
    /// fn keep(image: Lent<'_, f32>, _: ()) {
    ///     let _ = KEPT.set(image);
    /// }
    /// ```
    ///
    /// # Errors
    /// As for [`submit`](Call::submit); [`ErrorKind::ForeignArray`] for another pool's array, [`ErrorKind::ReadOnly`] for one
    /// that was opened to be read.
    pub fn submit_on<L, F, A, R>(&self, arrays: L, f: F, argument: A) -> Result<Future<R>>
    where
        L: Loan,
        F: for<'t> Fn(L::Lent<'t>, A) -> R + Copy + Send + Sync + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let _ = stateless(f);
        const { assert!(L::N <= LENT_MAX, "a task works on at most four arrays") };
        let loan = self.loan(arrays)?;
        self.submit_as::<WithArrays<L, F, A, R>, A, R>(type_name::<F>(), &argument, Some(loan), true)
    }

    /// One task of a function that was given to [`map_iter`](Call::map_iter), and so has a value.
    pub(super) fn submit_chunk<F, A, R>(&self, items: &Vec<A>) -> Result<Future<Vec<Item<R>>>>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.submit_as::<Chunked<F, A, R>, Vec<A>, Vec<Item<R>>>(type_name::<F>(), items, None, true)
    }

    /// What is to be done when a submitted task's worker dies of it.
    pub fn on_worker_death(mut self, what: OnWorkerDeath) -> Self {
        self.on_worker_death = Some(what);
        self
    }

    /// How long a submitted task may run: its worker is killed and replaced then, and the task fails with
    /// [`ErrorKind::TaskTimedOut`]. Time for which it waits for a worker, or this process is stopped (Ctrl-Z), does not count. With `workers(0)` nobody can be
    /// killed.
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.task_timeout = Some(limit);
        self
    }

    fn submit_as<K, A, R>(
        &self,
        name: &'static str,
        argument: &A,
        loan: Option<Loaned>,
        may_wait: bool,
    ) -> Result<Future<R>>
    where
        K: Function,
        A: Serialize,
    {
        let core = &self.pool.core;
        check_owner(core.owner)?;
        let code = code_of_single::<K>()?;
        let Loaned { records, shares, keep } = loan.unwrap_or_default();
        let n_lent = records.len() as u32;
        let payload = match self.payload(bytemuck::cast_slice(&records), argument) {
            Ok(payload) => payload,
            // The future's affair, so that one bad argument of many does not end the loop that submits them.
            Err(why) => {
                let single = Single::refused(name, code, why);
                return Ok(Future::new(Arc::new(single), Arc::clone(core)));
            }
        };
        let on_death = self.on_worker_death.unwrap_or(core.on_worker_death);
        let time_limit = self.task_timeout.or(core.task_timeout);
        let is_plain = n_lent == 0 && on_death == OnWorkerDeath::FailTask && time_limit.is_none();
        let extra = (!is_plain).then(|| {
            let policy = match on_death {
                OnWorkerDeath::FailTask | OnWorkerDeath::Break => Policy::ONCE,
                OnWorkerDeath::Retry => self.policy(Policy::IDEMPOTENT),
            };
            let breaks = on_death == OnWorkerDeath::Break;
            Box::new(Extra { n_lent, shares, policy, breaks, time_limit })
        });
        let single = Arc::new(Single::new(name, code, payload, keep, extra));
        core.submit(&single, may_wait)?;
        core.counters.n_tasks.fetch_add(1, Relaxed);
        Ok(Future::new(single, Arc::clone(core)))
    }

    /// The bytes that a worker is given: in the task's slot if they are few, or else in the arena.
    fn payload(&self, records: &[u8], argument: &impl Serialize) -> std::result::Result<Payload, String> {
        let mut place = [0; PAYLOAD_BYTES_MAX];
        place[..records.len()].copy_from_slice(records);
        if let Some(len) = encode_into("argument", argument, &mut place[records.len()..])? {
            return Ok(Payload::Inline(Bytes::new(&place[..records.len() + len])));
        }
        let len = records.len() + encoded_len("argument", argument)?;
        let mut block = self.pool.arena().for_output::<u8>(len.into()).map_err(|error| error.to_string())?;
        block.as_mut_slice()[..records.len()].copy_from_slice(records);
        encode_whole("argument", argument, &mut block.as_mut_slice()[records.len()..])?;
        self.pool.core.counters.bytes_copied.fetch_add(len as u64, Relaxed);
        Ok(Payload::Arena(Box::new(block), len))
    }

    fn loan<L: Loan>(&self, arrays: L) -> Result<Loaned> {
        let mut loaned = Loaned::default();
        let mut in_arena = Vec::new();
        let mut wrong = None;
        arrays.each(&mut |place, shape, writable| {
            let share = match place.home {
                Home::Arena(arena) if !arena.same(self.pool.arena()) => {
                    wrong.get_or_insert(ErrorKind::ForeignArray { what: "an array of a task" });
                    return;
                }
                Home::Arena(_) | Home::Nowhere => 0,
                Home::Share(share) => share.id(),
            };
            if writable && place.by_workers() == Use::Read {
                wrong.get_or_insert(ErrorKind::ReadOnly { what: "an array of a task" });
                return;
            }
            let mut extents = [0; 4];
            for (word, &extent) in extents.iter_mut().zip(shape) {
                *word = extent as u64;
            }
            loaned.records.push(LentRecord {
                share,
                offset: place.offset,
                bytes: place.len_bytes,
                writable: writable.into(),
                n_dims: shape.len() as u32,
                shape: extents,
            });
            if share == 0 {
                in_arena.push((place.offset, place.len_bytes));
            }
        });
        if let Some(wrong) = wrong {
            return Err(wrong.into());
        }
        loaned.shares =
            loaned.records.iter().map(|record| record.share).filter(|&share| share != 0).collect();
        loaned.keep = Some(Box::new(Kept { _arrays: arrays, in_arena, arena: self.pool.arena().clone() }));
        Ok(loaned)
    }
}

/// Arrays of a task, ready to go along.
#[derive(Default)]
struct Loaned {
    records: Vec<LentRecord>,
    shares: Vec<u64>,
    keep: Option<Box<dyn Lender>>,
}

/// Leases on the arrays of a task.
struct Kept<L> {
    _arrays: L,
    in_arena: Vec<(u64, u64)>,
    arena: crate::arena::Arena,
}

impl<L: Send> Lender for Kept<L> {
    fn overrun(&self) -> Option<Overrun> {
        self.in_arena.iter().find_map(|&(offset, len_bytes)| {
            let overrun = self.arena.overrun(offset, len_bytes)?;
            Some(Overrun { byte: overrun.byte, len_bytes })
        })
    }
}

/// How long a worker that is asked to end has for it.
const TERM_WAIT: Duration = Duration::from_secs(1);

impl Core {
    fn submit(&self, single: &Arc<Single>, may_wait: bool) -> Result<()> {
        let Backend::Processes { shared, collector, .. } = &self.backend else {
            self.check_open()?;
            inline::run_single(&self.arena, single);
            return Ok(());
        };
        let mut engine = shared.lock();
        loop {
            self.check_open()?;
            if let Some(error) = engine.refusal() {
                return Err(error);
            }
            let (n_held, n_queued) = engine.mirror.n_singles();
            match self.pending_max {
                Some(max) if n_held + n_queued >= max => {
                    if !may_wait {
                        return Err(ErrorKind::QueueFull { max }.into());
                    }
                    let some = engine.mirror.some_single();
                    drop(engine);
                    if let Some(some) = some {
                        collect::wait(shared, &some, Some(Duration::from_millis(100)), Duration::ZERO);
                    }
                    engine = shared.lock();
                }
                _ => break,
            }
        }
        if !engine.has_collector {
            let thread = collect::start(shared)?;
            *collector.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
            engine.has_collector = true;
        }
        let is_corrupt = engine.is_corrupt();
        let (mirror, control) = engine.split(shared.parent.get());
        if is_corrupt {
            mirror.queue(Arc::clone(single)); // and see when the table is a table again
        } else if let Err(corrupt) = mirror.submit(control, Arc::clone(single)) {
            shared.report_corrupt(&mut engine, corrupt);
        }
        shared.announce_singles(&mut engine);
        Ok(())
    }

    fn check_open(&self) -> Result<()> {
        // Relaxed: a task that is submitted while somebody shuts the pool down may be before or after it.
        if self.is_shut_down.load(Relaxed) { Err(ErrorKind::ShutDown.into()) } else { Ok(()) }
    }
}

impl Pool {
    /// See [`Call::submit`].
    ///
    /// # Errors
    /// As there.
    pub fn submit<F, A, R>(&self, f: F, argument: A) -> Result<Future<R>>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.call().submit(f, argument)
    }

    /// See [`Call::try_submit`].
    ///
    /// # Errors
    /// As there.
    pub fn try_submit<F, A, R>(&self, f: F, argument: A) -> Result<Future<R>>
    where
        F: Fn(A) -> R + Copy + Send + Sync + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.call().try_submit(f, argument)
    }

    /// See [`Call::submit_on`].
    ///
    /// # Errors
    /// As there.
    pub fn submit_on<L, F, A, R>(&self, arrays: L, f: F, argument: A) -> Result<Future<R>>
    where
        L: Loan,
        F: for<'t> Fn(L::Lent<'t>, A) -> R + Copy + Send + Sync + 'static,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.call().submit_on(arrays, f, argument)
    }

    /// Takes no more tasks from now on, and with `cancel_pending` cancels those that no worker has begun; with `wait`
    /// returns once none is left. Jobs over arrays are not concerned. Dropping the pool does the rest; doing so twice is no
    /// error.
    ///
    /// # Errors
    /// [`ErrorKind::ForkedChild`].
    pub fn shutdown(&self, wait: bool, cancel_pending: bool) -> Result<()> {
        self.check_owner()?;
        // Relaxed: as in `check_open`.
        self.core.is_shut_down.store(true, Relaxed);
        if let Backend::Processes { shared, .. } = &self.core.backend {
            if cancel_pending {
                collect::cancel_pending(shared);
            }
            if wait {
                collect::wait_until_idle(shared);
            }
        }
        Ok(())
    }

    /// Ends everything, jobs over arrays and in the background too: what is pending is cancelled, and a worker that runs a task
    /// gets a SIGTERM, of which it dies unless the program has said otherwise, and a SIGKILL a second later. Tasks and jobs end
    /// as cancelled. Returns once none is left (in a progress callback: but its own job); the pool takes nothing more on ([`ErrorKind::ShutDown`]).
    ///
    /// # Errors
    /// [`ErrorKind::ForkedChild`].
    pub fn terminate(&self) -> Result<()> {
        self.end_all(Some(TERM_WAIT))
    }

    /// As [`terminate`](Pool::terminate), with SIGKILL alone.
    ///
    /// # Errors
    /// [`ErrorKind::ForkedChild`].
    pub fn kill(&self) -> Result<()> {
        self.end_all(None)
    }

    fn end_all(&self, ask_for: Option<Duration>) -> Result<()> {
        self.shutdown(false, true)?;
        match &self.core.backend {
            Backend::Processes { shared, .. } => {
                shared.terminate(ask_for);
                collect::wait_until_idle(shared);
                if !is_reporting() {
                    shared.wait_for_jobs();
                }
            }
            // Relaxed: as in `check_open`. What runs, runs in somebody's thread, and cannot be killed.
            Backend::Inline => self.core.is_terminated.store(true, Relaxed),
        }
        Ok(())
    }
}
