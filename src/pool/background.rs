//! Calls that go on while their caller does something else.
//!
//! A background job is a closure that owns what it works on, in a thread of its own which sleeps while workers do the
//! work. So the borrow checker sees to it that nobody touches its arrays meanwhile, any verb will do, and several of them
//! one after the other make one job.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::cancel::Terms;
use super::executor::check_owner;
use super::{Call, CancelToken, Core, Pool, Progress};
use crate::error::{Error, Result};
use crate::task::panics::swallow;

/// Threads of one pool; further jobs wait for one of them. Half of the jobs that a pool can run, so that blocking calls
/// find a place.
const THREADS_MAX: usize = 32;

/// A call in the background, made by [`Call::background`].
///
/// Wait for it, ask it now and then, or `.await` it in any runtime. Dropping it lets the job go on, and drops what comes
/// of it. Dropping the [`Pool`] waits for all of its jobs; if one of them does so, the last one ends the pool.
#[must_use = "the job's result, or its error, comes from `wait`"]
pub struct Job<R> {
    slot: Arc<Slot<R>>,
    token: CancelToken,
    /// The process that has the job's thread.
    owner: u32,
}

struct Slot<R> {
    state: Mutex<State<R>>,
    ended: Condvar,
}

enum State<R> {
    Running(Option<Waker>),
    Ended(thread::Result<Result<R>>),
    Taken,
}

/// Nobody has asked for what came of it, and a panic whose payload's own drop panics is nobody's either.
impl<R> Drop for Slot<R> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let State::Ended(Err(panic)) = std::mem::replace(state, State::Taken) {
            swallow(Err(panic));
        }
    }
}

impl<R> Job<R> {
    /// How far the verb is that it runs now, or ran last.
    pub fn progress(&self) -> Progress {
        self.token.progress()
    }

    /// Whether [`wait`](Job::wait) would return at once.
    pub fn is_done(&self) -> bool {
        !matches!(*self.slot.lock(), State::Running(_))
    }

    /// See [`CancelToken::cancel`]; verbs that its closure has yet to call fail too.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// See [`CancelToken::cancel_running`].
    pub fn cancel_running(&self) {
        self.token.cancel_running();
    }

    /// What the closure returned. If it panicked, so does this.
    ///
    /// # Errors
    /// The closure's; [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled),
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut);
    /// [`ErrorKind::ForkedChild`](crate::ErrorKind::ForkedChild) in a forked child, which does not have the job.
    pub fn wait(self) -> Result<R> {
        check_owner(self.owner)?;
        let mut state = self.slot.lock();
        loop {
            if let Some(result) = state.take() {
                drop(state);
                return result.unwrap_or_else(|panic| resume_unwind(panic));
            }
            state = self.slot.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`wait`](Job::wait), but gives the job back if it is not done in time.
    ///
    /// # Errors
    /// The job, which goes on.
    pub fn wait_timeout(self, time: Duration) -> std::result::Result<Result<R>, Self> {
        if check_owner(self.owner).is_ok() {
            let deadline = Instant::now().checked_add(time);
            let mut state = self.slot.lock();
            while matches!(*state, State::Running(_)) {
                let left =
                    deadline.map_or(time, |deadline| deadline.saturating_duration_since(Instant::now()));
                if left.is_zero() {
                    drop(state);
                    return Err(self);
                }
                let waited = self.slot.ended.wait_timeout(state, left);
                state = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
            }
        }
        Ok(self.wait())
    }
}

impl<R> Future for Job<R> {
    type Output = Result<R>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<R>> {
        check_owner(self.owner)?;
        let mut state = self.slot.lock();
        match state.take() {
            Some(result) => {
                drop(state);
                Poll::Ready(result.unwrap_or_else(|panic| resume_unwind(panic)))
            }
            None => {
                *state = State::Running(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl<R> Slot<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, result: thread::Result<Result<R>>) {
        let before = std::mem::replace(&mut *self.lock(), State::Ended(result));
        self.ended.notify_all();
        if let State::Running(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<R> State<R> {
    /// What came of it, once.
    fn take(&mut self) -> Option<thread::Result<Result<R>>> {
        match std::mem::replace(self, State::Taken) {
            State::Ended(result) => Some(result),
            State::Taken => panic!("a job was polled after it had given its result"),
            running @ State::Running(_) => {
                *self = running;
                None
            }
        }
    }
}

impl<R> std::fmt::Debug for Job<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("progress", &self.progress()).field("is_done", &self.is_done()).finish()
    }
}

type Work = Box<dyn FnOnce(&Pool) + Send>;

/// The threads of a pool's background jobs.
#[derive(Default)]
pub(super) struct Background {
    state: Mutex<Threads>,
    /// One thread fewer.
    ended: Condvar,
}

#[derive(Default)]
struct Threads {
    n: usize,
    waiting: VecDeque<Work>,
    /// A job has dropped the pool, which ends with the last of them.
    ending: bool,
}

thread_local! {
    /// Whose background jobs this thread runs.
    static CURRENT: Cell<*const Background> = const { Cell::new(std::ptr::null()) };
}

impl Background {
    fn lock(&self) -> MutexGuard<'_, Threads> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this thread runs one of these jobs.
    fn is_current(&self) -> bool {
        std::ptr::eq(CURRENT.get(), self)
    }

    /// Gives `work` to a new thread, or to the first of many that is free. A job of a job gets a new one in any case: the
    /// other may wait for it.
    fn start(core: &Arc<Core>, work: Work) -> Result<()> {
        let mut threads = core.background.lock();
        if threads.n >= THREADS_MAX && !core.background.is_current() {
            threads.waiting.push_back(work);
            return Ok(());
        }
        threads.n += 1;
        drop(threads); // what `work` owns is the program's, and may be dropped below
        let pool = Pool { core: Arc::clone(core), is_owner: false };
        let spawned = thread::Builder::new().name("shmpool-job".into()).spawn(move || {
            let background = &pool.core.background;
            CURRENT.set(background);
            let mut next = Some(work);
            while let Some(work) = next {
                // Its own panic is caught within; that of a waker, or of a result that nobody wants, is nobody's.
                swallow(catch_unwind(AssertUnwindSafe(|| work(&pool))));
                next = background.next();
            }
            if background.is_over() {
                pool.core.end();
            }
        });
        spawned.map(drop).map_err(|error| {
            core.background.gone();
            Error::os("starting a thread for a background job", error)
        })
    }

    /// What a thread that is through with its work is to do; nothing: it ends. So does one beyond the bound.
    fn next(&self) -> Option<Work> {
        let mut threads = self.lock();
        let next = if threads.n <= THREADS_MAX { threads.waiting.pop_front() } else { None };
        if next.is_none() {
            // Under the same lock: a job that counts on this thread must not come between.
            threads.n -= 1;
            self.ended.notify_all();
        }
        next
    }

    /// One thread fewer.
    fn gone(&self) {
        self.lock().n -= 1;
        self.ended.notify_all();
    }

    fn is_over(&self) -> bool {
        let threads = self.lock();
        threads.ending && threads.n == 0
    }

    /// Waits until no job is left; true. In one of them that would be for ever: then false, and the last one's thread ends the
    /// pool.
    pub(super) fn join(&self) -> bool {
        let mut threads = self.lock();
        if self.is_current() {
            threads.ending = true;
            return false;
        }
        while threads.n > 0 {
            threads = self.ended.wait(threads).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}

impl Call<'_> {
    /// Runs `f` in the background, with a call of the same options: any verbs, one after the other, over arrays that the
    /// closure owns or shares (`Arc<Array<T>>`), and gives back.
    ///
    /// The job's [`timeout`](Call::timeout) is that of all its verbs together. [`progress`](Call::progress) callbacks stay
    /// behind: ask [`Job::progress`]. 32 jobs of a pool run at once, others wait.
    ///
    /// ```
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build()?;
    /// let xs = pool.array_from(&[1.0_f32, 4.0, 9.0])?;
    /// let job = pool.background(move |call| {
    ///     let roots = call.map(&xs, |x| x.sqrt())?;
    ///     Ok((xs, roots))
    /// })?;
    /// let (xs, roots) = job.wait()?;
    /// assert_eq!((xs[2], roots[2]), (9.0, 3.0));
    /// # Ok::<(), shmpool::Error>(())
    /// ```
    ///
    /// An array that is only borrowed could be freed, or changed, while workers use it:
    /// ```compile_fail,E0597
    /// # shmpool::init();
    /// # let pool = shmpool::Pool::builder().workers(0).build().unwrap();
    /// let xs = pool.array_from(&[1.0_f32, 4.0, 9.0]).unwrap();
    /// let borrowed = &xs;
    /// let job = pool.background(move |call| call.map(borrowed, |x| x.sqrt())).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Os`](crate::ErrorKind::Os) if the system has no thread left;
    /// [`ErrorKind::ForkedChild`](crate::ErrorKind::ForkedChild). What goes wrong later comes from [`Job::wait`].
    pub fn background<R, F>(&self, f: F) -> Result<Job<R>>
    where
        R: Send + 'static,
        F: FnOnce(Call<'_>) -> Result<R> + Send + 'static,
    {
        let owner = self.pool.core.owner;
        check_owner(owner)?;
        let token = self.terms.token.map_or_else(CancelToken::new, CancelToken::child);
        let slot = Arc::new(Slot { state: Mutex::new(State::Running(None)), ended: Condvar::new() });
        let work = {
            let (slot, token) = (Arc::clone(&slot), token.clone());
            let (grain, retries, deadline) = (self.grain, self.retries, self.terms.deadline);
            move |pool: &Pool| {
                let terms = Terms { report: None, token: Some(&token), deadline };
                let call = Call { terms, grain, retries, ..Call::new(pool) };
                slot.end(catch_unwind(AssertUnwindSafe(|| f(call))));
            }
        };
        Background::start(&self.pool.core, Box::new(work))?;
        Ok(Job { slot, token, owner })
    }
}
