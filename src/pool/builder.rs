//! Choices before a pool is built, and the building.

use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shmpool_kernels::Level;

use super::background::Background;
use super::{Backend, Core, OnWorkerDeath, Pool};
use crate::arena::Arena;
use crate::control::N_WORKERS_MAX;
use crate::control::setup::Setup;
use crate::error::{Error, ErrorKind, Result};
use crate::supervisor::{Counters, Shared, WorkerOutput, Workers, supervise};
use crate::sync::AtomicBool;
use crate::sys::process;
use crate::task::panics::install_hook;
use crate::worker;

/// How long a worker may take from its spawn to its first word, unless the caller knows better.
const START_WAIT: Duration = Duration::from_secs(30);
/// How long an idle worker, and a waiting caller, may look again before it sleeps.
const SPIN: Duration = Duration::from_micros(50);

/// Choices before a [`Pool`] is built: `Pool::builder().workers(8).build()?`.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    workers: Option<usize>,
    capacity_bytes: Option<usize>,
    huge_pages: bool,
    redzones: Option<bool>,
    arena: Option<Arena>,
    level: Option<Level>,
    start_wait: Option<Duration>,
    on_worker_death: OnWorkerDeath,
    task_timeout: Option<Duration>,
    pending_max: Option<usize>,
    pub(super) min_workers: Option<usize>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) setup: Setup,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) output: Option<WorkerOutput>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Builder::default()
    }

    /// Worker processes: at most 256. Unless said, as many as the environment variable `SHMPOOL_WORKERS` says, or one per usable
    /// CPU (affinity and cgroup quota).
    ///
    /// With 0 every verb runs in the calling process: for debuggers and coverage. A kernel that crashes then
    /// takes the program along.
    pub fn workers(mut self, n: usize) -> Self {
        self.workers = Some(n);
        self
    }

    /// Size of the arena in bytes. It costs address space alone; memory is used as arrays are. Unless said,
    /// the machine's memory, or less where a limit says so.
    pub fn capacity_bytes(mut self, bytes: usize) -> Self {
        self.capacity_bytes = Some(bytes);
        self
    }

    /// Asks for huge pages. Whether the kernel grants them is its own affair: `pool.stats().arena.huge_pages`
    /// tells.
    pub fn huge_pages(mut self, wanted: bool) -> Self {
        self.huge_pages = wanted;
        self
    }

    /// Puts painted bytes around every array in the arena, and looks at them when a job ends: a kernel that writes past
    /// its output is an [`ErrorKind::Overrun`] that names the array. Unless said, in builds with debug assertions.
    pub fn redzones(mut self, wanted: bool) -> Self {
        self.redzones = Some(wanted);
        self
    }

    /// Uses an arena that exists, such as another pool's, so that arrays made there serve here. Overrides
    /// `capacity_bytes`, `huge_pages` and `redzones`.
    pub fn arena(mut self, arena: &Arena) -> Self {
        self.arena = Some(arena.clone());
        self
    }

    /// The instruction set that kernels run with. Unless said, the best that this CPU has; results are the
    /// same bits with each.
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// How long a worker may take to start before it is killed and tried again; 30 s unless said.
    pub fn start_timeout(mut self, wait: Duration) -> Self {
        // A moment so far away that no clock can name it is no better than a day.
        self.start_wait = Some(wait.min(Duration::from_secs(24 * 3600)));
        self
    }

    /// What is to be done when a submitted task's worker dies of it, unless its call says otherwise:
    /// [`OnWorkerDeath::FailTask`] unless said. With [`OnWorkerDeath::Break`] the death of a worker that is idle, or at a job
    /// over arrays, breaks the pool too.
    pub fn on_worker_death(mut self, what: OnWorkerDeath) -> Self {
        self.on_worker_death = what;
        self
    }

    /// How long each submitted task may run, unless its call says otherwise; see [`Call::task_timeout`](crate::Call::task_timeout).
    pub fn task_timeout(mut self, limit: Duration) -> Self {
        self.task_timeout = Some(limit);
        self
    }

    /// Submitted tasks that may be pending or running at once; [`submit`](Pool::submit) waits beyond, and
    /// [`try_submit`](Pool::try_submit) fails. From 1; unless said, as many as there is memory for.
    pub fn pending_max(mut self, n: usize) -> Self {
        self.pending_max = Some(n);
        self
    }

    /// Ends workers that had nothing to do for so long, down to [`min_workers`](Builder::min_workers) (1 unless said). They are
    /// started again when there is more work than workers, which takes a few milliseconds each.
    pub fn idle_timeout(mut self, after: Duration) -> Self {
        self.idle_timeout = Some(after);
        self
    }

    /// Workers that are always there; the others are started when there is more work than workers, and stay, unless there is
    /// an [`idle_timeout`](Builder::idle_timeout). Even with 0 the pool starts one, to see that it can be. At most
    /// [`workers`](Builder::workers), and all of them unless said.
    pub fn min_workers(mut self, n: usize) -> Self {
        self.min_workers = Some(n);
        self
    }

    /// Starts the workers, and returns once all of those that are always there are live.
    ///
    /// # Errors
    /// [`ErrorKind::NotInitialised`] if [`init`](crate::init) has not run; [`ErrorKind::Option`] for a choice that means nothing; [`ErrorKind::WorkerStart`] if a worker
    /// did not become one; [`ErrorKind::TooLarge`] or [`ErrorKind::Os`] if the arena could not be made.
    pub fn build(self) -> Result<Pool> {
        let n_workers = match self.workers {
            Some(n) => n,
            None => default_workers()?,
        };
        if n_workers > N_WORKERS_MAX {
            let why = "is more than a pool can have: at most 256";
            return Err(ErrorKind::Option { option: "workers", value: n_workers.to_string(), why }.into());
        }
        if self.pending_max == Some(0) {
            let why = "tasks pending at once: at least 1";
            return Err(ErrorKind::Option { option: "pending_max", value: "0".to_owned(), why }.into());
        }
        let level = self.level.unwrap_or_else(Level::detect);
        if level > Level::detect() {
            let why = "is not an instruction set that this CPU has";
            return Err(ErrorKind::Option { option: "level", value: level.to_string(), why }.into());
        }
        if n_workers > 0 {
            worker::require_init()?;
        }
        let workers = self.workers_of(n_workers, level, self.on_worker_death == OnWorkerDeath::Break)?;
        let arena = match self.arena {
            Some(arena) => arena,
            None => {
                let redzones = self.redzones.unwrap_or(cfg!(debug_assertions));
                let builder = Arena::builder().huge_pages(self.huge_pages).redzones(redzones);
                match self.capacity_bytes {
                    Some(bytes) => builder.capacity(bytes).create()?,
                    None => builder.create()?,
                }
            }
        };
        install_hook();
        let counters = Arc::new(Counters::default());
        let backend = match n_workers {
            0 => Backend::Inline,
            n => start(&arena, n, self.start_wait.unwrap_or(START_WAIT), workers, &counters)?,
        };
        let (owner, background) = (std::process::id(), Background::default());
        let core = Core {
            backend,
            arena,
            n_workers,
            level,
            owner,
            counters,
            background,
            on_worker_death: self.on_worker_death,
            task_timeout: self.task_timeout,
            pending_max: self.pending_max,
            is_shut_down: AtomicBool::new(false),
            is_terminated: AtomicBool::new(false),
        };
        Ok(Pool { core: Arc::new(core), is_owner: true })
    }
}

/// What `SHMPOOL_WORKERS` says, or as many as there are usable CPUs.
fn default_workers() -> Result<usize> {
    let Some(text) = std::env::var_os("SHMPOOL_WORKERS") else {
        return Ok(process::usable_cpus().min(N_WORKERS_MAX));
    };
    text.to_str().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
        let why = "is not a number of workers";
        ErrorKind::Option { option: "SHMPOOL_WORKERS", value: format!("{text:?}"), why }.into()
    })
}

/// Starts a supervisor and waits until its workers are live.
fn start(
    arena: &Arena,
    n_workers: usize,
    start_wait: Duration,
    workers: Workers,
    counters: &Arc<Counters>,
) -> Result<Backend> {
    // With more workers than CPUs somebody else always wants the core.
    let spin = if process::usable_cpus() >= n_workers { SPIN } else { Duration::ZERO };
    let shared =
        Arc::new(Shared::new(arena.clone(), n_workers, spin, start_wait, workers, Arc::clone(counters))?);
    let supervisor = std::thread::Builder::new().name("shmpool-super".into()).spawn({
        let shared = Arc::clone(&shared);
        move || supervise(&shared)
    });
    let supervisor = supervisor.map_err(|error| Error::os("starting the supervisor thread", error))?;
    match wait_until_live(&shared) {
        Ok(()) => Ok(Backend::Processes {
            shared,
            supervisor: Mutex::new(Some(supervisor)),
            collector: Mutex::default(),
            spin,
        }),
        Err(error) => {
            shared.stop();
            let _ = supervisor.join();
            Err(error)
        }
    }
}

fn wait_until_live(shared: &Shared) -> Result<()> {
    let mut engine = shared.lock();
    loop {
        if let Some((slot, reason)) = engine.start_failure.take() {
            return Err(ErrorKind::WorkerStart { slot, reason }.into());
        }
        if let Some(error) = engine.broken() {
            return Err(error);
        }
        let n_first = shared.config.n_first(shared.n_workers);
        // Whether they are live still is another question: one that nobody needs may have left by itself.
        if engine.status[..n_first].iter().all(|status| status.n_starts > 0) {
            return Ok(());
        }
        engine = shared.changed.wait(engine).unwrap_or_else(std::sync::PoisonError::into_inner);
    }
}
