//! Runs one job from the calling thread: opens it, wakes workers, sleeps until the table says that it is
//! complete.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::Progress;
use super::cancel::Terms;
use crate::control::N_JOBS;
use crate::error::{Error, ErrorKind, Result};
use crate::park::{self, Spin};
use crate::supervisor::{Engine, Shared};
use crate::sys::clock;
use crate::task::job::JobSpec;
use crate::task::mirror::{Ended, REPLACED_MAX, Stop};

/// The first sleep of a caller, and the last: it looks at the table at least this often.
const TICK_MIN: Duration = Duration::from_millis(10);
const TICK_MAX: Duration = Duration::from_millis(100);
/// How long the tasks of a call may go on beyond its deadline before their workers are killed.
const LAST_CHANCE: Duration = Duration::from_millis(50);

/// Runs a job to its end. When this returns, no worker touches the job's arrays any more.
pub(crate) fn run(
    shared: &Arc<Shared>,
    spec: &JobSpec<'_>,
    spin: Duration,
    terms: &Terms<'_>,
) -> Result<Ended> {
    let guard = Guard(shared);
    let opened = open(shared, spec, terms);
    let (index, id) = match opened {
        Ok(Ok(opened)) => opened,
        refused => {
            std::mem::forget(guard);
            return refused.map(|why| Ended::before_it_began(spec.n_tasks, why.expect_err("not opened")));
        }
    };
    if let Some(token) = terms.token {
        token.enter(shared, id);
    }
    let mut wait = Wait::new(spin, terms);
    loop {
        let mut engine = shared.lock();
        let workers = Arc::clone(&engine.workers);
        let progress = &workers.get().jobs[index];
        let seen = park::counted(progress);
        if let Some(ended) = look(shared, &mut engine, index) {
            drop(engine);
            if let Some(token) = terms.token {
                token.leave(shared, id, ended.as_ref().ok().map(Ended::progress));
            }
            shared.changed.notify_one(); // a slot is free
            std::mem::forget(guard);
            if let Some(panic) = wait.panic {
                resume_unwind(panic);
            }
            return ended;
        }
        drop(engine);
        let changed = || (park::counted(progress) != seen).then_some(());
        if wait.spin.until(changed).is_none() {
            park::sleep_on_count(progress, seen, wait.nap());
        }
        wait.keep_time(shared, id);
        // However often it was woken: a worker could wake it all the time.
        if wait.looked.elapsed() >= wait.tick {
            wait.look_around(shared, index);
        }
        if let Some(report) = terms.report {
            wait.report(shared, index, report);
        }
    }
}

/// Dropped only by a panic: keeps a bug of ours from unwinding into the caller while workers write to its arrays, by
/// ending the pool first.
struct Guard<'a>(&'a Shared);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.end_for_bug("a thread panicked in the engine while its job ran".to_owned());
    }
}

/// Waits for a slot and offers the job's leases; its slot and number, unless the call is to end before.
fn open(
    shared: &Shared,
    spec: &JobSpec<'_>,
    terms: &Terms<'_>,
) -> Result<std::result::Result<(usize, u64), Stop>> {
    loop {
        // Before the engine's lock: who cancels holds the token's, and takes the engine's under it. A token that is cancelled
        // after this look is looked at again by `CancelToken::enter`.
        let stop = terms.stop();
        let mut engine = shared.lock();
        if let Some(error) = engine.refusal() {
            return Err(error);
        }
        if let Some(why) = stop {
            return Ok(Err(why));
        }
        if !engine.is_corrupt() {
            let (mirror, control) = engine.split(shared.parent.get());
            if let Some((index, offered)) = mirror.open(control, spec) {
                if let Err(corrupt) = offered {
                    shared.report_corrupt(&mut engine, corrupt);
                }
                shared.announce(&engine, false);
                engine.mirror.take_offered(); // that was it
                return Ok(Ok((index, engine.mirror.job(index).id)));
            }
        }
        if REPORTING.get() && !engine.is_corrupt() {
            // The job that this thread reports for keeps its slot and its entries meanwhile; were all of them kept so,
            // nobody would ever free one.
            return Err(ErrorKind::TooManyJobs { max: N_JOBS }.into());
        }
        drop(wait_for_change(shared, engine));
    }
}

thread_local! {
    /// This thread is in a progress callback.
    static REPORTING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a progress callback, whose job ends after it.
pub(crate) fn is_reporting() -> bool {
    REPORTING.get()
}

fn wait_for_change<'a>(shared: &'a Shared, engine: MutexGuard<'a, Engine>) -> MutexGuard<'a, Engine> {
    match shared.changed.wait_timeout(engine, TICK_MAX) {
        Ok((engine, _)) => engine,
        Err(poisoned) => poisoned.into_inner().0,
    }
}

/// Accounts for what has ended; the job's end if that was all.
fn look(shared: &Shared, engine: &mut Engine, index: usize) -> Option<Result<Ended>> {
    let broken = engine.broken();
    let corrupt = engine.is_corrupt();
    let (mirror, control) = engine.split(shared.parent.get());
    if let Some(error) = broken {
        // The supervisor has reaped every worker: nobody runs our leases any more.
        drop(mirror.abandon(control, index));
        return Some(Err(error));
    }
    if corrupt {
        return None; // nothing in the table is to be believed until the supervisor has replaced it
    }
    let times = mirror.job(index).n_replaced;
    if times >= REPLACED_MAX {
        mirror.cancel(control, index);
    }
    let accounted = mirror.account(control, index);
    // What a failure has left over may have been offered anew, or another job's hints have found a place.
    if mirror.take_offered() {
        shared.announce(engine, false);
    }
    let mirror = &mut engine.mirror;
    match accounted {
        Ok(false) => None,
        Ok(true) if times >= REPLACED_MAX => {
            drop(mirror.close(index));
            Some(Err(ErrorKind::ControlCorrupted { times }.into()))
        }
        Ok(true) => Some(Ok(mirror.close(index))),
        Err(reason) => {
            shared.report_corrupt(engine, reason);
            None
        }
    }
}

/// One caller's patience.
struct Wait {
    tick: Duration,
    /// When it last looked around, and what was done then.
    looked: Instant,
    n_done: u64,
    panic: Option<Box<dyn std::any::Any + Send>>,
    spin: Spin,
    /// When its time is up, in the time of [`clock::awake`]; then, when those who go on are to be killed.
    deadline: Option<Duration>,
    late: bool,
}

impl Wait {
    fn new(spin: Duration, terms: &Terms<'_>) -> Self {
        let (looked, spin, deadline) = (Instant::now(), Spin::new(spin), terms.deadline);
        Wait { tick: TICK_MIN, looked, n_done: 0, panic: None, spin, deadline, late: false }
    }

    /// How long to sleep.
    fn nap(&self) -> Duration {
        let left = self.deadline.map(|deadline| deadline.saturating_sub(clock::awake()));
        left.map_or(self.tick, |left| left.min(self.tick))
    }

    /// Ends the job when its time is up: what is not begun at once, what is a moment later.
    fn keep_time(&mut self, shared: &Shared, id: u64) {
        let Some(deadline) = self.deadline else { return };
        clock::beat();
        if clock::awake() < deadline {
            return;
        }
        shared.stop_job(id, Stop::TimedOut, self.late);
        self.deadline = (!self.late).then_some(deadline + LAST_CHANCE);
        self.late = true;
    }

    /// A tick has passed. A worker may have lied, so that nobody runs a lease. If nothing was done, a wake-up may have
    /// been lost with a worker: wake them all.
    fn look_around(&mut self, shared: &Shared, index: usize) {
        let mut engine = shared.lock();
        let (mirror, control) = engine.split(shared.parent.get());
        let n_done = mirror.n_done(control, index);
        if let Err(corrupt) = engine.check_owners(shared.parent.get()) {
            shared.report_corrupt(&mut engine, corrupt);
        }
        if n_done == self.n_done {
            shared.announce(&engine, true);
            self.tick = (self.tick * 2).min(TICK_MAX);
        } else {
            self.tick = TICK_MIN;
        }
        (self.n_done, self.looked) = (n_done, Instant::now());
    }

    /// Tells the caller's own code how far the job is. Should it panic, the job is cancelled first: its
    /// arrays are borrowed until no worker runs it.
    fn report(&mut self, shared: &Shared, index: usize, report: &dyn Fn(Progress)) {
        if self.panic.is_some() {
            return;
        }
        let progress = {
            let mut engine = shared.lock();
            let (mirror, control) = engine.split(shared.parent.get());
            mirror.progress(control, index)
        };
        let outer = REPORTING.replace(true);
        let reported = catch_unwind(AssertUnwindSafe(|| report(progress)));
        REPORTING.set(outer);
        if let Err(panic) = reported {
            self.panic = Some(panic);
            let mut engine = shared.lock();
            let (mirror, control) = engine.split(shared.parent.get());
            mirror.cancel(control, index);
        }
    }
}

/// The error of a pool that was forked along.
pub(crate) fn check_owner(owner: u32) -> Result<()> {
    let child = std::process::id();
    if child == owner { Ok(()) } else { Err(Error::from(ErrorKind::ForkedChild { owner, child })) }
}
