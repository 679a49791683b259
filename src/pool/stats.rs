//! What a pool has done and holds, as its own process and others see it.

use std::time::Duration;

use shmpool_kernels::Level;

use crate::arena::{ArenaStats, HugePages};
use crate::control::figures::{Figures, WorkerFigures};
use crate::control::mapped::Mapped;
use crate::control::parent::{LAYOUT, MAGIC, ParentControl};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Acquire, Relaxed};
use crate::sys::{clock, observe};

/// What a pool has done and holds. Each figure is right by itself; they are not all of one instant.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stats {
    /// The process whose pool it is.
    pub pid: u32,
    /// How old the figures are: those of another process's pool are up to a second or two.
    pub age: Duration,
    /// Workers that are live now.
    pub n_workers: usize,
    /// Jobs over arrays that have ended, failed ones too.
    pub n_jobs: u64,
    /// Jobs over arrays that have not.
    pub n_jobs_open: u64,
    /// Tasks that were submitted.
    pub n_tasks: u64,
    /// Of those, how many have not ended.
    pub n_tasks_pending: u64,
    /// Parts of jobs, and submitted tasks, that run or wait for a worker: how deep the queue is.
    pub n_leases_open: u64,
    /// Workers that have died, of whatever cause.
    pub n_deaths: u64,
    /// Workers that have ended because they have run as many tasks as they may, or had nothing to do, and may be replaced.
    pub n_retired: u64,
    /// Bytes copied into the arena by `array_from` and its like, and arguments of submitted tasks that were too large to go
    /// beside them. Jobs copy none, nor do tasks of what they are lent.
    pub bytes_copied: u64,
    /// The arena.
    pub arena: ArenaStats,
    /// The instruction set that kernels run with.
    pub level: Level,
    /// One for each worker that the pool may have.
    pub workers: Vec<WorkerStats>,
}

/// What the workers of one slot have done: one process, and after its end its successor. Workers tell the beginning and end of
/// idle times, when they go to sleep and wake anyway; their tasks cost nothing more for it.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The live worker's process, if there is one now. The times below are its own.
    pub pid: Option<u32>,
    /// Workers that were live in this slot so far.
    pub n_starts: u64,
    /// Tasks that they have done: of jobs over arrays, and submitted ones.
    pub n_tasks: u64,
    /// Since when this worker is live.
    pub age: Duration,
    /// Of that, for how long it had no task.
    pub idle: Duration,
    /// CPU time that its threads have had, its start included; what it has of threads that have ended is not counted.
    pub cpu: Duration,
    /// How long its threads could have run and had no CPU.
    pub waited_for_cpu: Duration,
}

impl WorkerStats {
    /// For how long it has had tasks, asleep in one or not.
    pub fn busy(&self) -> Duration {
        self.age.saturating_sub(self.idle)
    }
}

impl Stats {
    /// Of a pool that runs everything in this process.
    pub(super) fn inline(arena: ArenaStats, level: Level, counts: [u64; 3]) -> Self {
        let [n_jobs, n_tasks, bytes_copied] = counts;
        Stats {
            pid: std::process::id(),
            age: Duration::ZERO,
            n_workers: 0,
            n_jobs,
            n_jobs_open: 0,
            n_tasks,
            n_tasks_pending: 0,
            n_leases_open: 0,
            n_deaths: 0,
            n_retired: 0,
            bytes_copied,
            arena,
            level,
            workers: Vec::new(),
        }
    }

    /// What a pool shows.
    pub(super) fn read(figures: &Figures, n_workers: usize) -> Self {
        // Relaxed throughout: each word is right by itself.
        let written = Duration::from_nanos(figures.written_ns.load(Relaxed));
        let workers: Vec<WorkerStats> =
            figures.workers.iter().take(n_workers).map(|worker| WorkerStats::read(worker, written)).collect();
        Stats {
            pid: figures.pid.load(Relaxed),
            age: clock::monotonic().saturating_sub(written),
            n_workers: workers.iter().filter(|worker| worker.pid.is_some()).count(),
            n_jobs: figures.n_jobs.load(Relaxed),
            n_jobs_open: figures.n_jobs_open.load(Relaxed),
            n_tasks: figures.n_tasks.load(Relaxed),
            n_tasks_pending: figures.n_tasks_pending.load(Relaxed),
            n_leases_open: figures.n_leases_open.load(Relaxed),
            n_deaths: figures.n_deaths.load(Relaxed),
            n_retired: figures.n_retired.load(Relaxed),
            bytes_copied: figures.bytes_copied.load(Relaxed),
            arena: ArenaStats {
                capacity_bytes: figures.capacity_bytes.load(Relaxed),
                allocated_bytes: figures.allocated_bytes.load(Relaxed),
                kept_bytes: figures.kept_bytes.load(Relaxed),
                resident_bytes: figures.resident_bytes.load(Relaxed),
                huge_pages: match figures.huge_pages.load(Relaxed) {
                    0 => HugePages::NotRequested,
                    1 => HugePages::Enabled,
                    _ => HugePages::Unavailable("the pool's own process knows why".to_owned()),
                },
            },
            level: Level::from_number(figures.level.load(Relaxed)).unwrap_or(Level::Baseline),
            workers,
        }
    }
}

impl WorkerStats {
    fn read(figures: &WorkerFigures, written: Duration) -> Self {
        let counts = WorkerStats {
            n_starts: figures.n_starts.load(Relaxed).into(),
            n_tasks: figures.n_tasks.load(Relaxed),
            ..WorkerStats::default()
        };
        let pid = figures.pid.load(Relaxed);
        if pid == 0 {
            return counts;
        }
        let since = |ns: u64| written.saturating_sub(Duration::from_nanos(ns));
        let age = since(figures.live_since_ns.load(Relaxed));
        let now_idle = match figures.idle_since_ns.load(Relaxed) {
            0 => Duration::ZERO,
            ns => since(ns),
        };
        let idle = Duration::from_nanos(figures.idle_ns.load(Relaxed)).saturating_add(now_idle);
        let (cpu, waited_for_cpu) = observe::cpu_times(pid);
        // A worker that lies about its times deceives nobody but the reader.
        WorkerStats { pid: Some(pid), age, idle: idle.min(age), cpu, waited_for_cpu, ..counts }
    }
}

impl Stats {
    /// The pools of another process, or of this one: how they do, without asking that process anything. The command's
    /// `shmpool top` shows the same.
    ///
    /// This process must run as the same user, in the same process namespace, and have the same version of this crate. Pools
    /// with `workers(0)` show nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if the process is not there or not ours to look at; [`ErrorKind::OtherVersion`].
    pub fn of_process(pid: u32) -> Result<Vec<Self>> {
        let files = observe::memory_files(pid, "shmpool-parent")
            .map_err(|error| Error::os(format!("look for pools of process {pid}"), error))?;
        let mut pools = Vec::new();
        for file in files {
            // Of another size, of another version.
            let control = Mapped::<ParentControl>::attach_read_only(file);
            let control = control.map_err(|_| Error::from(ErrorKind::OtherVersion { pid }))?;
            let ParentControl { header, figures, .. } = control.get();
            // Acquire: pairs with the Release of the parent, which writes the magic last.
            if header.magic.load(Acquire) != MAGIC || header.layout.load(Relaxed) != LAYOUT {
                return Err(ErrorKind::OtherVersion { pid }.into());
            }
            let stats = Stats::read(figures, header.n_workers.load(Relaxed) as usize);
            // A forked child has its parent's descriptors, and workers do.
            if stats.pid == pid {
                pools.push(stats);
            }
        }
        Ok(pools)
    }

    /// The pools of every process that this one may look at; see [`of_process`](Stats::of_process). Processes that end
    /// meanwhile, or have pools of another version, are left out.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] if there is no `/proc`.
    pub fn of_all_processes() -> Result<Vec<Self>> {
        let mut processes = observe::processes().map_err(|error| Error::os("look for pools", error))?;
        processes.sort_unstable();
        Ok(processes.into_iter().filter_map(|pid| Stats::of_process(pid).ok()).flatten().collect())
    }
}
