//! What the callers of a pool and its supervisor share.

use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use shmpool_kernels::Level;

use super::start::Workers;
use super::talk::tell;
use crate::arena::{Arena, HugePages};
use crate::control::mapped::Owned;
use crate::control::parent::{COLLECTOR, LAYOUT, MAGIC, ParentControl};
use crate::control::worker::WorkerControl;
use crate::error::{Error, ErrorKind, Result};
use crate::park::{self, Backend};
use crate::sync::{AcqRel, AtomicU64, Relaxed, Release};
use crate::sys::clock;
use crate::task::mirror::{Control, Corrupt, Mirror, Progress, Stop};
use crate::task::single::{Callback, Outcome, Single};

/// Where a pool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Running,
    Stopping,
    Broken,
}

/// Everything of a pool but its workers' processes, which belong to the supervisor.
pub(crate) struct Shared {
    pub(crate) arena: Arena,
    pub(crate) n_workers: usize,
    pub(crate) parent: Owned<ParentControl>,
    pub(crate) engine: Mutex<Engine>,
    /// A job slot is free, a worker went live, or the pool broke.
    pub(crate) changed: Condvar,
    /// Interrupts the supervisor's wait.
    pub(super) wakeup: OwnedFd,
    /// How long a worker may take from its spawn to its first word.
    pub(crate) start_wait: Duration,
    pub(crate) config: Workers,
    pub(crate) counters: Arc<Counters>,
}

/// What callers count.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) n_jobs: AtomicU64,
    pub(crate) n_tasks: AtomicU64,
    pub(crate) bytes_copied: AtomicU64,
}

/// What the lock protects.
pub(crate) struct Engine {
    pub(crate) mirror: Mirror,
    /// Replaced when a worker has corrupted it; a caller that sleeps on the old one keeps it mapped.
    pub(crate) workers: Arc<Owned<WorkerControl>>,
    pub(crate) status: Vec<Status>,
    stage: Stage,
    broken: Option<String>,
    corrupt: Option<Corrupt>,
    /// A caller's part of the engine has panicked.
    bug: Option<String>,
    /// Why a worker did not start, when the pool was built.
    pub(crate) start_failure: Option<(usize, String)>,
    /// Until when workers that are to end are asked to before they are killed.
    asked_until: Option<Instant>,
    /// Everything was ended, and nothing is taken on.
    is_terminated: bool,
    pub(crate) n_deaths: u64,
    /// Workers that have run as many tasks as they may.
    pub(crate) n_retired: u64,
    /// A caller waits for the result of a submitted task, and looks for all that end.
    pub(crate) caller_listens: bool,
    /// There is a thread that collects the results of submitted tasks.
    pub(crate) has_collector: bool,
    /// Submitted tasks that have been taken for telling of their end, and whose futures do not say so yet.
    pub(crate) n_untold: usize,
    /// Slots that are empty until there is work for them.
    pub(super) n_away: usize,
    /// Of tasks that have ended, for the collector to run.
    pub(crate) callbacks: Vec<Callback>,
}

/// How often to look whether jobs have ended, should nobody say so.
const JOBS_LOOK: Duration = Duration::from_millis(10);

/// Why a pool that was dropped is broken.
const DROPPED: &str = "it was dropped";

/// What callers may know of a worker.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Status {
    /// It has a process, or is about to.
    pub(crate) is_filled: bool,
    /// Its process, while it has one.
    pub(crate) pid: Option<u32>,
    pub(crate) ready: bool,
    /// When it went live (`sys::clock`).
    pub(crate) live_since: Duration,
    /// Workers that have gone live in this slot.
    pub(crate) n_starts: u32,
}

impl Status {
    /// It has no process any more.
    pub(super) fn clear(&mut self) {
        *self = Status { n_starts: self.n_starts, ..Status::default() };
    }

    /// Its worker is live.
    pub(super) fn go_live(&mut self) {
        (self.ready, self.live_since) = (true, clock::monotonic());
        self.n_starts += 1;
    }
}

impl Shared {
    pub(crate) fn new(
        arena: Arena,
        n_workers: usize,
        spin: Duration,
        start_wait: Duration,
        config: Workers,
        counters: Arc<Counters>,
    ) -> Result<Self> {
        let parent: Owned<ParentControl> = Owned::create_read_only_for_others("parent")?;
        let header = &parent.get().header;
        header.n_workers.store(n_workers as u32, Relaxed);
        header.spin_ns.store(spin.as_nanos() as u64, Relaxed);
        header.layout.store(LAYOUT, Relaxed);
        // Release: last, so that whoever reads the magic finds the rest; pairs with the Acquire in the
        // worker's attach.
        header.magic.store(MAGIC, Release);
        let wakeup = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| Error::os("eventfd for the supervisor", error))?;
        let engine = Engine {
            mirror: Mirror::new(n_workers),
            workers: Arc::new(create_workers_segment()?),
            status: vec![Status::default(); n_workers],
            stage: Stage::Running,
            broken: None,
            corrupt: None,
            bug: None,
            start_failure: None,
            asked_until: None,
            is_terminated: false,
            n_deaths: 0,
            n_retired: 0,
            caller_listens: false,
            has_collector: false,
            n_untold: 0,
            n_away: n_workers - config.n_first(n_workers),
            callbacks: Vec::new(),
        };
        let (engine, changed) = (Mutex::new(engine), Condvar::new());
        Ok(Shared { arena, n_workers, parent, engine, changed, wakeup, start_wait, config, counters })
    }

    /// The lock, poisoned or not: callers must get their arrays back. A job that a panic left half accounted
    /// for does not pass for done (`Finished::conclude`).
    pub(crate) fn lock(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the workers that sleep; all of them if one may have been lost.
    pub(crate) fn announce(&self, engine: &Engine, nudge: bool) {
        self.ask_for_workers(engine);
        let wake = &self.parent.get().wake;
        let slots = &engine.workers.get().slots;
        let bits = park::announce(wake, slots[..self.n_workers].iter().enumerate());
        if let Some(bits) = if nudge { Some(park::ANY) } else { bits } {
            park::wake_workers(wake, bits, slots[..self.n_workers].iter().enumerate());
        }
    }

    /// Has the supervisor start workers if there are fewer than leases, and there may be more.
    fn ask_for_workers(&self, engine: &Engine) {
        if engine.n_wanted() > 0 {
            self.wake_supervisor();
        }
    }

    /// Writes down what the pool has done and holds, for whoever looks at it.
    pub(crate) fn publish(&self, level: Level) -> Result<()> {
        let arena = self.arena.stats()?;
        let engine = self.lock();
        let figures = &self.parent.get().figures;
        let (n_jobs_open, n_leases_open) = engine.mirror.n_open();
        let (n_held, n_queued) = engine.mirror.n_singles();
        let Counters { n_jobs, n_tasks, bytes_copied } = &*self.counters;
        // Relaxed throughout: each word is right by itself.
        for (word, value) in [
            (&figures.written_ns, clock::monotonic().as_nanos() as u64),
            (&figures.n_jobs, n_jobs.load(Relaxed)),
            (&figures.n_jobs_open, n_jobs_open as u64),
            (&figures.n_tasks, n_tasks.load(Relaxed)),
            (&figures.n_tasks_pending, (n_held + n_queued) as u64),
            (&figures.n_leases_open, n_leases_open as u64),
            (&figures.n_deaths, engine.n_deaths),
            (&figures.n_retired, engine.n_retired),
            (&figures.bytes_copied, bytes_copied.load(Relaxed)),
            (&figures.capacity_bytes, arena.capacity_bytes),
            (&figures.allocated_bytes, arena.allocated_bytes),
            (&figures.kept_bytes, arena.kept_bytes),
            (&figures.resident_bytes, arena.resident_bytes),
        ] {
            word.store(value, Relaxed);
        }
        let huge_pages = match arena.huge_pages {
            HugePages::NotRequested => 0,
            HugePages::Enabled => 1,
            HugePages::Unavailable(_) => 2,
        };
        figures.huge_pages.store(huge_pages, Relaxed);
        figures.level.store(level as u32, Relaxed);
        let slots = &engine.workers.get().slots;
        let workers = figures.workers.iter().zip(&engine.status).zip(slots).zip(engine.mirror.n_tasks_of());
        for (((worker, status), slot), &n_tasks) in workers {
            let live_pid = status.pid.filter(|_| status.ready);
            worker.pid.store(live_pid.unwrap_or(0), Relaxed);
            worker.n_starts.store(status.n_starts, Relaxed);
            worker.n_tasks.store(n_tasks, Relaxed);
            worker.live_since_ns.store(status.live_since.as_nanos() as u64, Relaxed);
            worker.idle_ns.store(slot.idle_ns.load(Relaxed), Relaxed);
            worker.idle_since_ns.store(slot.idle_since_ns.load(Relaxed), Relaxed);
        }
        figures.pid.store(std::process::id(), Relaxed);
        Ok(())
    }

    /// Wakes the workers that submitted tasks were offered to since the last call.
    pub(crate) fn announce_singles(&self, engine: &mut Engine) {
        if engine.mirror.take_look_earlier() {
            self.wake_supervisor();
        }
        let meant = engine.mirror.take_wake();
        if engine.mirror.take_offered() {
            return self.announce(engine, false);
        }
        let Some(meant) = meant else { return };
        self.ask_for_workers(engine);
        let wake = &self.parent.get().wake;
        let slots = &engine.workers.get().slots[..self.n_workers];
        let Some(asleep) = park::announce(wake, slots.iter().enumerate()) else { return };
        // Those that were asleep when they were given a task, if they still are; if one has woken it may have taken
        // something else, and all must look.
        let bits = NonZeroU32::new(meant).filter(|meant| meant.get() & asleep.get() == meant.get());
        park::wake_workers(wake, bits.unwrap_or(asleep), slots.iter().enumerate());
    }

    /// Makes who listens for submitted tasks look.
    pub(crate) fn wake_listener(&self, engine: &Engine, who: usize) {
        let word = &engine.workers.get().listeners[who];
        // AcqRel: as when a worker counts a task; one too many is a look too many.
        word.completed.fetch_add(1, AcqRel);
        park::wake_caller(word);
    }

    /// Makes the collector look if there is something to look for: a worker may have lied to it.
    pub(super) fn remind_collector(&self) {
        let engine = self.lock();
        if engine.mirror.n_singles() != (0, 0) || engine.mirror.n_ended() > 0 || !engine.callbacks.is_empty()
        {
            self.wake_listener(&engine, COLLECTOR);
        }
    }

    /// [`Mirror::doom_late`].
    pub(super) fn doom_late(&self) -> Option<Duration> {
        let mut engine = self.lock();
        let (mirror, control) = engine.split(self.parent.get());
        mirror.doom_late(control)
    }

    /// Whether a worker may still run.
    pub(crate) fn has_workers(&self, engine: &Engine) -> bool {
        engine.status.iter().any(|status| status.is_filled)
    }

    /// How far the job of this number is, while it is open.
    pub(crate) fn progress(&self, id: u64) -> Option<Progress> {
        let mut engine = self.lock();
        let index = engine.mirror.find(id)?;
        let (mirror, control) = engine.split(self.parent.get());
        Some(mirror.progress(control, index))
    }

    /// Ends the job of this number early, unless it has ended: what is not begun will not be; with `kill`, workers that
    /// go on with a task of it are killed.
    pub(crate) fn stop_job(&self, id: u64, why: Stop, kill: bool) {
        let mut engine = self.lock();
        let Some(index) = engine.mirror.find(id) else { return };
        let (mirror, control) = engine.split(self.parent.get());
        mirror.stop(control, index, why, kill);
        let job = &control.workers.jobs[index];
        // AcqRel: as when a worker counts a lease; one too many is a look too many.
        job.completed.fetch_add(1, AcqRel);
        park::wake_caller(job);
        drop(engine);
        if kill {
            self.wake_supervisor();
        }
    }

    /// Interrupts the supervisor's wait.
    pub(crate) fn wake_supervisor(&self) {
        // Fails only when the counter is full, and then the descriptor is readable all the same.
        let _ = rustix::io::write(&self.wakeup, &1_u64.to_ne_bytes());
    }

    pub(super) fn drain_wakeups(&self) {
        let _ = rustix::io::read(&self.wakeup, &mut [0; 8]);
    }

    pub(crate) fn stage(&self) -> Stage {
        self.lock().stage
    }

    /// Asks the supervisor to end the workers and itself.
    pub(crate) fn stop(&self) {
        let mut engine = self.lock();
        engine.stage = Stage::Stopping;
        // Relaxed: a worker that sees it looks at nothing else; the wake comes behind it.
        self.parent.get().header.stop.store(1, Relaxed);
        self.announce(&engine, true);
        drop(engine);
        self.wake_supervisor();
    }

    /// Hands a corrupt worker-written segment to the supervisor.
    pub(crate) fn report_corrupt(&self, engine: &mut Engine, corrupt: Corrupt) {
        engine.corrupt.get_or_insert(corrupt);
        self.wake_supervisor();
    }

    /// What is to be replaced; it stays so, and nobody believes the table, until [`Engine::end_corruption`].
    pub(super) fn corrupt(&self) -> Option<Corrupt> {
        self.lock().corrupt.clone()
    }

    /// Ends the pool after a panic in a caller's part of the engine, and returns when no worker is left.
    pub(crate) fn end_for_bug(&self, bug: String) {
        let mut engine = self.lock();
        engine.bug.get_or_insert(bug);
        self.wake_supervisor();
        while engine.broken.is_none() {
            engine = self.changed.wait(engine).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends every job and every submitted task, and takes on no more: workers that run one are killed, or asked to end first and
    /// have so long for it.
    pub(crate) fn terminate(&self, ask_for: Option<Duration>) {
        let mut engine = self.lock();
        engine.is_terminated = true;
        engine.asked_until = ask_for.and_then(|wait| Instant::now().checked_add(wait));
        let not_believed = engine.is_corrupt();
        let (mirror, control) = engine.split(self.parent.get());
        mirror.stop_all(control, not_believed);
        self.wake_callers(&engine);
        drop(engine);
        self.wake_supervisor();
    }

    /// Waits until no job is open.
    pub(crate) fn wait_for_jobs(&self) {
        let mut engine = self.lock();
        while engine.mirror.has_jobs() {
            // With a limit, since others wait for the same, and one is told.
            engine = match self.changed.wait_timeout(engine, JOBS_LOOK) {
                Ok((engine, _)) => engine,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    pub(super) fn bug(&self) -> Option<String> {
        self.lock().bug.clone()
    }

    /// No worker is left, and none will come: everybody gets an error from now on.
    pub(crate) fn break_down(&self, reason: String) {
        let mut engine = self.lock();
        if engine.stage == Stage::Running {
            engine.stage = Stage::Broken;
        }
        engine.broken.get_or_insert_with(|| reason.clone());
        self.wake_callers(&engine);
        drop(engine);
        // Last: the subscriber is the program's.
        tell(|| tracing::error!(%reason, "the pool is broken"));
    }

    /// The pool has ended and no worker is left: whoever has a handle still, such as a job that owned the pool, is told so.
    pub(super) fn end(&self) {
        let mut engine = self.lock();
        engine.broken.get_or_insert_with(|| DROPPED.to_owned());
        self.wake_callers(&engine);
    }

    /// Makes every caller look at the table again.
    pub(crate) fn wake_callers(&self, engine: &Engine) {
        let WorkerControl { jobs, listeners, .. } = engine.workers.get();
        for job in jobs.iter().chain(listeners) {
            // AcqRel: as when a worker counts a lease; one too many is a look too many.
            job.completed.fetch_add(1, AcqRel);
            park::wake_caller(job);
        }
        self.changed.notify_all();
    }
}

impl Engine {
    /// [`Mirror::check_owners`].
    pub(crate) fn check_owners(&self, parent: &ParentControl) -> std::result::Result<(), Corrupt> {
        let control = Control { parent, workers: self.workers.get() };
        self.mirror.check_owners(control, |slot| self.status.get(slot).is_some_and(|status| status.is_filled))
    }

    /// [`Mirror::doomed`]; nobody while the table is not to be believed.
    pub(super) fn doomed(&self, parent: &ParentControl) -> Vec<usize> {
        if self.is_corrupt() {
            return Vec::new();
        }
        self.mirror.doomed(Control { parent, workers: self.workers.get() })
    }

    /// Submitted tasks that have ended, for the caller to tell of.
    pub(crate) fn take_ended(&mut self) -> Vec<(Arc<Single>, Outcome)> {
        let ended = self.mirror.take_ended();
        self.n_untold += ended.len();
        ended
    }

    /// Both control segments and the mirror, apart.
    pub(crate) fn split<'a>(&'a mut self, parent: &'a ParentControl) -> (&'a mut Mirror, Control<'a>) {
        (&mut self.mirror, Control { parent, workers: self.workers.get() })
    }

    pub(crate) fn stage(&self) -> Stage {
        self.stage
    }

    /// The error of a pool that takes nothing more on, though its workers may still live.
    pub(crate) fn refusal(&self) -> Option<Error> {
        let is_ending = self.stage == Stage::Stopping;
        self.broken()
            .or_else(|| is_ending.then(|| ErrorKind::PoolBroken { reason: DROPPED.to_owned() }.into()))
            .or_else(|| self.is_terminated.then(|| ErrorKind::ShutDown.into()))
    }

    /// How many workers more than there are now have something to do.
    pub(super) fn n_wanted(&self) -> usize {
        if self.n_away == 0 {
            return 0;
        }
        let n_filled = self.status.len() - self.n_away;
        self.mirror.n_open().1.saturating_sub(n_filled).min(self.n_away)
    }

    /// Whether workers that are to end are asked first.
    pub(super) fn asks(&self) -> bool {
        self.asked_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether jobs or submitted tasks wait for workers, or run.
    pub(super) fn has_work(&self) -> bool {
        self.mirror.has_jobs() || self.mirror.n_singles() != (0, 0)
    }

    /// Why the pool can run nothing any more, if that is so.
    pub(crate) fn broken_reason(&self) -> Option<String> {
        self.broken.clone()
    }

    /// The error of a pool that can run nothing any more. Callers give their arrays back then, so no worker may be left.
    pub(crate) fn broken(&self) -> Option<Error> {
        self.broken.clone().map(|reason| ErrorKind::PoolBroken { reason }.into())
    }

    pub(crate) fn is_corrupt(&self) -> bool {
        self.corrupt.is_some()
    }

    /// Makes the slot of a worker that is reaped what its successor is to find.
    pub(super) fn clear_slot(&mut self, slot: usize) {
        let slot = &self.workers.get().slots[slot];
        // Relaxed: nobody sleeps under this name any more, and its successor's first claim must not look like a lie
        // (P1); that one learns of everything through its handshake.
        slot.parked.store(0, Relaxed);
        slot.idle_ns.store(0, Relaxed);
        slot.idle_since_ns.store(0, Relaxed);
        if let Err(error) = park::renew_bed(slot) {
            self.bug.get_or_insert(error.to_string());
        }
    }

    /// A fresh segment stands.
    pub(super) fn end_corruption(&mut self) {
        self.corrupt = None;
    }
}

pub(super) fn create_workers_segment() -> Result<Owned<WorkerControl>> {
    let workers: Owned<WorkerControl> = Owned::create("workers")?;
    let WorkerControl { slots, jobs, listeners, .. } = workers.get();
    let progress = jobs.iter().chain(listeners);
    let mut beds = slots.iter().map(|slot| &slot.bed).chain(progress.map(|progress| &progress.bed));
    beds.try_for_each(park::Active::make)?;
    Ok(workers)
}
