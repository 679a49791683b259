//! What comes of submitted tasks: futures, and waiting for many of them.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::Core;
use super::executor::check_owner;
use super::{Backend, collect};
use crate::error::{Error, ErrorKind, Result};
use crate::supervisor::tell;
use crate::task::codec::{decode, decode_shared};
use crate::task::single::{Bytes, Callback, Failed, Outcome, Single};

/// The result to come of a submitted task ([`Pool::submit`](crate::Pool::submit)).
///
/// Clones are the same task. The result stays bytes until somebody asks for it, so each call of [`result`](Future::result)
/// makes a value of its own; dropping all futures of a task lets it go on, and drops what comes of it.
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// let future = pool.submit(|n: u64| (1..=n).product::<u64>(), 20)?;
/// assert_eq!(future.result()?, 2_432_902_008_176_640_000);
/// # Ok::<(), shmpool::Error>(())
/// ```
#[must_use = "the task's result, or its error, comes from `result`"]
pub struct Future<R> {
    single: Arc<Single>,
    core: Arc<Core>,
    result: PhantomData<fn() -> R>,
}

impl<R> Future<R> {
    pub(super) fn new(single: Arc<Single>, core: Arc<Core>) -> Self {
        Future { single, core, result: PhantomData }
    }

    /// Whether it has ended: with a result, with an error, or cancelled.
    pub fn is_done(&self) -> bool {
        self.single.is_ended() || {
            self.look();
            self.single.is_ended()
        }
    }

    /// Whether a worker has begun it and has not ended it.
    pub fn is_running(&self) -> bool {
        if self.single.is_ended() {
            return false;
        }
        let Backend::Processes { shared, .. } = &self.core.backend else { return false };
        if check_owner(self.core.owner).is_err() {
            return false;
        }
        let mut engine = shared.lock();
        let (mirror, control) = engine.split(shared.parent.get());
        mirror.is_running(control, &self.single)
    }

    /// Whether it was cancelled before it ended.
    pub fn is_cancelled(&self) -> bool {
        self.single.with_outcome(|outcome| outcome.is_cancelled()).unwrap_or(false)
    }

    /// Cancels the task, unless a worker has begun it; true if it is cancelled, now or before.
    pub fn cancel(&self) -> bool {
        if check_owner(self.core.owner).is_err() {
            return false;
        }
        if let Backend::Processes { shared, .. } = &self.core.backend {
            let mut engine = shared.lock();
            if !engine.is_corrupt() {
                let (mirror, control) = engine.split(shared.parent.get());
                mirror.withdraw_single(control, &self.single);
            }
            let ended = engine.take_ended();
            drop(engine);
            collect::deliver(shared, ended, None);
        }
        self.is_cancelled()
    }

    /// As [`cancel`](Future::cancel), but a worker that runs the task is killed and replaced: the task ends as cancelled a
    /// moment later, unless it is faster. True unless it had ended before. With `workers(0)` nobody can be killed.
    pub fn cancel_running(&self) -> bool {
        if self.cancel() {
            return true;
        }
        let Backend::Processes { shared, .. } = &self.core.backend else { return false };
        if self.single.is_ended() || check_owner(self.core.owner).is_err() {
            return false;
        }
        // Under the lock that the supervisor reads it under.
        let mut engine = shared.lock();
        self.single.doom();
        if !engine.is_corrupt() {
            // Its worker may have died meanwhile, and the task be about to run again.
            let (mirror, control) = engine.split(shared.parent.get());
            mirror.withdraw_single(control, &self.single);
        }
        let ended = engine.take_ended();
        drop(engine);
        collect::deliver(shared, ended, None);
        shared.wake_supervisor();
        true
    }

    /// Waits until it has ended, at most so long; whether it has.
    ///
    /// # Errors
    /// [`ErrorKind::ForkedChild`] in a forked child, which does not have the task.
    pub fn wait(&self, time: Duration) -> Result<bool> {
        self.wait_for(Some(time))
    }

    /// Calls `f` once it has ended, on the pool's collecting thread; at once, on this one, if it has already. Callbacks
    /// run one after the other, so a slow one delays others; one that panics is nobody's concern. It may submit tasks and ask
    /// for results that are there, but must not wait for any: that thread may be the one to collect them.
    pub fn on_done(&self, f: impl FnOnce(Future<R>) + Send + 'static)
    where
        R: 'static,
    {
        let future = self.clone();
        if let Some(now) = self.call_later(0, Box::new(move || f(future))) {
            tell(now);
        }
    }

    /// [`Single::call_later`]; in a forked child, where nobody would call it, gives the callback back.
    fn call_later(&self, who: usize, callback: Callback) -> Option<Callback> {
        if check_owner(self.core.owner).is_err() {
            Some(callback)
        } else {
            self.single.call_later(who, callback)
        }
    }

    fn wait_for(&self, time: Option<Duration>) -> Result<bool> {
        if self.single.is_ended() {
            return Ok(true);
        }
        check_owner(self.core.owner)?;
        Ok(match &self.core.backend {
            Backend::Processes { shared, spin, .. } => collect::wait(shared, &self.single, time, *spin),
            Backend::Inline => true,
        })
    }

    /// Accounts for what has ended, so that an answer is no older than the question.
    fn look(&self) {
        if check_owner(self.core.owner).is_ok()
            && let Backend::Processes { shared, .. } = &self.core.backend
        {
            collect::look_once(shared);
        }
    }
}

impl<R: DeserializeOwned> Future<R> {
    /// What the task returned, once it has ended.
    ///
    /// # Errors
    /// [`ErrorKind::TaskPanicked`], [`ErrorKind::TaskDied`], [`ErrorKind::TaskRefused`] if its argument or result could not
    /// be turned into bytes or back, [`ErrorKind::TaskTimedOut`], [`ErrorKind::Cancelled`], [`ErrorKind::PoolBroken`];
    /// [`ErrorKind::TaskInterrupted`] or, if it would have been run again, [`ErrorKind::ControlCorrupted`] where workers
    /// corrupt the pool's control memory;
    /// [`ErrorKind::ForkedChild`] in a forked child, which does not have the task.
    pub fn result(&self) -> Result<R> {
        self.wait_for(None)?;
        self.value()
    }

    /// As [`result`](Future::result), waiting at most so long.
    ///
    /// # Errors
    /// As there, and [`ErrorKind::NotDone`] if it has not ended by then; it goes on.
    pub fn result_timeout(&self, time: Duration) -> Result<R> {
        if self.wait_for(Some(time))? {
            return self.value();
        }
        Err(ErrorKind::NotDone { name: self.single.name, waited: time }.into())
    }

    /// Why the task has no result; `None` if it has one. Waits until it has ended.
    pub fn error(&self) -> Option<Error> {
        match self.wait_for(None) {
            Ok(_) => self.failure(),
            Err(error) => Some(error),
        }
    }

    fn value(&self) -> Result<R> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        // The value's own code runs under no lock.
        let bytes = self.single.with_outcome(|outcome| match outcome {
            Outcome::Returned(bytes) => (bytes.clone(), None),
            Outcome::InRoom(room, bytes) => (Bytes::new(&[]), Some((Arc::clone(room), *bytes))),
            Outcome::Failed(_) => unreachable!("seen above"),
        });
        let decoded = match bytes.expect("it has ended") {
            (_, Some((room, bytes))) => decode_shared("result", &room[..bytes]),
            (bytes, None) => decode("result", bytes.as_slice()),
        };
        decoded.map_err(|why| ErrorKind::TaskRefused { name: self.single.name, why }.into())
    }
}

impl<R> Future<R> {
    /// Of a task that has ended.
    fn failure(&self) -> Option<Error> {
        let failed = self.single.with_outcome(|outcome| match outcome {
            Outcome::Failed(failed) => Some(failed.clone()),
            _ => None,
        })??;
        let name = self.single.name;
        Some(Error::from(match *failed {
            Failed::Panicked { message, location } => ErrorKind::TaskPanicked { name, message, location },
            Failed::Died(deaths) => ErrorKind::TaskDied { name, deaths },
            Failed::Refused(why) => ErrorKind::TaskRefused { name, why },
            Failed::Interrupted => ErrorKind::TaskInterrupted { name },
            Failed::Corrupted(times) => ErrorKind::ControlCorrupted { times },
            Failed::Cancelled => ErrorKind::Cancelled { n_done: 0, n_tasks: 1 },
            Failed::TimedOut(limit) => ErrorKind::TaskTimedOut { name, limit },
            Failed::Overrun { byte, len_bytes } => {
                ErrorKind::Overrun { array: "an array of a task", byte, len_bytes }
            }
            Failed::PoolBroken(reason) => ErrorKind::PoolBroken { reason },
        }))
    }
}

impl<R> Clone for Future<R> {
    fn clone(&self) -> Self {
        Future::new(Arc::clone(&self.single), Arc::clone(&self.core))
    }
}

impl<R> fmt::Debug for Future<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.single.with_outcome(|outcome| match outcome {
            outcome if outcome.is_cancelled() => "cancelled",
            Outcome::Failed(_) => "failed",
            Outcome::Returned(_) | Outcome::InRoom(..) => "done",
        });
        let state = ended.unwrap_or("pending");
        write!(f, "Future of {} ({state})", self.single.name)
    }
}

impl<R: DeserializeOwned> std::future::Future for Future<R> {
    type Output = Result<R>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<R>> {
        check_owner(self.core.owner)?;
        if self.single.wake_later(context.waker()) { Poll::Pending } else { Poll::Ready(self.value()) }
    }
}

/// When [`wait`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnWhen {
    /// One has ended.
    First,
    /// One has ended with an error, or all have ended.
    FirstError,
    /// All have ended.
    All,
}

/// Waits for futures, of any pools, at most so long if a time is given; the indices of those that have ended, in order.
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// use shmpool::{ReturnWhen, wait};
///
/// let futures = [3_u32, 1, 2].map(|n| pool.submit(|n: u32| n * n, n)).into_iter().collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(wait(&futures, ReturnWhen::All, None), [0, 1, 2]);
/// # Ok::<(), shmpool::Error>(())
/// ```
pub fn wait<R: 'static>(futures: &[Future<R>], until: ReturnWhen, time: Option<Duration>) -> Vec<usize> {
    let deadline = time.and_then(|time| Instant::now().checked_add(time));
    let mut watched = Watched::new(futures);
    let mut done: Vec<usize> = Vec::new();
    let is_enough = |done: &[usize]| match until {
        _ if done.len() == futures.len() => true,
        ReturnWhen::First => !done.is_empty(),
        ReturnWhen::FirstError => done.iter().any(|&i| futures[i].failure().is_some()),
        ReturnWhen::All => false,
    };
    while !is_enough(&done) {
        match watched.next(deadline) {
            Some(i) => done.push(i),
            None => break,
        }
    }
    watched.forget(futures);
    done.sort_unstable();
    done
}

/// Futures, of any pools, in the order in which they end, each once; those of one task come once for each.
///
/// ```
/// # shmpool::init();
/// # let pool = shmpool::Pool::builder().workers(0).build()?;
/// let futures = (0..4).map(|n: u32| pool.submit(|n: u32| n * n, n)).collect::<Result<Vec<_>, _>>()?;
/// let sum: u32 = shmpool::as_completed(futures).map(|future| future.result().unwrap()).sum();
/// assert_eq!(sum, 14);
/// # Ok::<(), shmpool::Error>(())
/// ```
pub fn as_completed<R: 'static>(futures: impl IntoIterator<Item = Future<R>>) -> AsCompleted<R> {
    let futures: Vec<Option<Future<R>>> = futures.into_iter().map(Some).collect();
    let watched = Watched::new(futures.iter().flatten());
    AsCompleted { futures, watched, deadline: None }
}

/// What [`as_completed`] returns.
pub struct AsCompleted<R> {
    futures: Vec<Option<Future<R>>>,
    watched: Watched,
    deadline: Option<Instant>,
}

impl<R> AsCompleted<R> {
    /// Ends the iteration at this time from now on, though not all futures have ended: [`rest`](AsCompleted::rest) has those.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.deadline = Instant::now().checked_add(time);
        self
    }

    /// The futures that have not come yet.
    pub fn rest(mut self) -> Vec<Future<R>> {
        self.watched.forget(self.futures.iter().flatten());
        std::mem::take(&mut self.futures).into_iter().flatten().collect()
    }
}

impl<R> Drop for AsCompleted<R> {
    fn drop(&mut self) {
        self.watched.forget(self.futures.iter().flatten());
    }
}

impl<R> Iterator for AsCompleted<R> {
    type Item = Future<R>;

    fn next(&mut self) -> Option<Future<R>> {
        let i = self.watched.next(self.deadline)?;
        self.futures[i].take()
    }
}

/// Tells which of many futures have ended, in that order.
struct Watched {
    ended: Arc<Ended>,
    n_left: usize,
}

#[derive(Default)]
struct Ended {
    indices: Mutex<VecDeque<usize>>,
    more: Condvar,
}

impl Watched {
    fn new<'a, R: 'a>(futures: impl IntoIterator<Item = &'a Future<R>>) -> Self {
        let ended = Arc::new(Ended::default());
        let mut n_left = 0;
        for (i, future) in futures.into_iter().enumerate() {
            let note = {
                let ended = Arc::clone(&ended);
                move || {
                    ended.indices.lock().unwrap_or_else(PoisonError::into_inner).push_back(i);
                    ended.more.notify_all();
                }
            };
            if let Some(now) = future.call_later(Arc::as_ptr(&ended).addr(), Box::new(note)) {
                now();
            }
            n_left += 1;
        }
        Watched { ended, n_left }
    }

    /// Takes back what those that have not ended were told: whoever looks at them again and again would fill the memory.
    fn forget<'a, R: 'a>(&self, futures: impl IntoIterator<Item = &'a Future<R>>) {
        if self.n_left > 0 {
            let who = Arc::as_ptr(&self.ended).addr();
            futures.into_iter().for_each(|future| future.single.forget(who));
        }
    }

    /// The next one, once it has ended; none after the last, or when the time is up.
    fn next(&mut self, deadline: Option<Instant>) -> Option<usize> {
        if self.n_left == 0 {
            return None;
        }
        let mut indices = self.ended.indices.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(i) = indices.pop_front() {
                self.n_left -= 1;
                return Some(i);
            }
            indices = match deadline {
                None => self.ended.more.wait(indices).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    let waited = self.ended.more.wait_timeout(indices, left);
                    waited.map_or_else(|poisoned| poisoned.into_inner().0, |(indices, _)| indices)
                }
            };
        }
    }
}
