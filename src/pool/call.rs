//! One call of a verb: its options.

use std::time::Duration;

use super::cancel::{CancelToken, Terms};
use super::{OnWorkerDeath, Pool, Progress};
use crate::sys::clock;

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
    /// verbs too, but not wait for one of the pool's 64 job slots ([`TooManyJobs`](crate::ErrorKind::TooManyJobs)).
    pub fn progress(mut self, report: &'a dyn Fn(Progress)) -> Self {
        self.terms.report = Some(report);
        self
    }

    /// Lets somebody else end the call early, by the token.
    pub fn cancel_token(mut self, token: &'a CancelToken) -> Self {
        self.terms.token = Some(token);
        self
    }

    /// The time that the call has, from now on: [`TimedOut`](crate::ErrorKind::TimedOut) beyond it. Tasks that are not begun by then will
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

    /// The pool that the call is to.
    pub fn pool(&self) -> &'a Pool {
        self.pool
    }
}
