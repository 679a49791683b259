//! `shmpool top`: how the pools of running programs do, seen from outside.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::io::{self, IsTerminal, stdout};
use std::thread;
use std::time::Duration;

use console::Term;
use serde::Serialize;
use shmpool::{ErrorKind, Stats, WorkerStats};

use crate::args::TopArgs;
use crate::failure::{Exit, Failure, print, to_json};

#[derive(Serialize)]
struct Listing {
    pools: Vec<PoolLine>,
}

#[derive(Serialize)]
struct PoolLine {
    pid: u32,
    /// What the process calls itself.
    program: String,
    /// How old the figures are.
    age_s: f64,
    n_workers: usize,
    n_workers_max: usize,
    n_jobs: u64,
    n_jobs_open: u64,
    n_tasks: u64,
    n_tasks_pending: u64,
    n_leases_open: u64,
    n_deaths: u64,
    n_retired: u64,
    bytes_copied: u64,
    arena_capacity_bytes: u64,
    arena_allocated_bytes: u64,
    arena_resident_bytes: u64,
    workers: Vec<WorkerLine>,
}

#[derive(Serialize)]
struct WorkerLine {
    slot: usize,
    pid: Option<u32>,
    n_starts: u64,
    n_tasks: u64,
    age_s: f64,
    busy_s: f64,
    idle_s: f64,
    cpu_s: f64,
    waited_for_cpu_s: f64,
}

impl From<&Stats> for PoolLine {
    fn from(stats: &Stats) -> Self {
        let worker = |(slot, worker): (usize, &WorkerStats)| WorkerLine {
            slot,
            pid: worker.pid,
            n_starts: worker.n_starts,
            n_tasks: worker.n_tasks,
            age_s: worker.age.as_secs_f64(),
            busy_s: worker.busy().as_secs_f64(),
            idle_s: worker.idle.as_secs_f64(),
            cpu_s: worker.cpu.as_secs_f64(),
            waited_for_cpu_s: worker.waited_for_cpu.as_secs_f64(),
        };
        PoolLine {
            pid: stats.pid,
            program: program(stats.pid),
            age_s: stats.age.as_secs_f64(),
            n_workers: stats.n_workers,
            n_workers_max: stats.workers.len(),
            n_jobs: stats.n_jobs,
            n_jobs_open: stats.n_jobs_open,
            n_tasks: stats.n_tasks,
            n_tasks_pending: stats.n_tasks_pending,
            n_leases_open: stats.n_leases_open,
            n_deaths: stats.n_deaths,
            n_retired: stats.n_retired,
            bytes_copied: stats.bytes_copied,
            arena_capacity_bytes: stats.arena.capacity_bytes,
            arena_allocated_bytes: stats.arena.allocated_bytes,
            arena_resident_bytes: stats.arena.resident_bytes,
            workers: stats.workers.iter().enumerate().map(worker).collect(),
        }
    }
}

pub(crate) fn run(args: &TopArgs) -> Result<(), Failure> {
    if args.json {
        let pools = look(args.pid)?.iter().map(PoolLine::from).collect();
        return print(to_json(&Listing { pools }));
    }
    if args.once || !stdout().is_terminal() {
        let pools = look(args.pid)?;
        if pools.is_empty() {
            eprintln!("{}", none(args.pid));
            return Ok(());
        }
        return print(table(&pools, &mut HashMap::new()));
    }
    let (screen, mut before) = (Term::stdout(), HashMap::new());
    loop {
        let pools = look(args.pid)?;
        let text = if pools.is_empty() { none(args.pid) } else { table(&pools, &mut before) };
        // Somebody who has closed the terminal wants no more.
        if screen.clear_screen().and_then(|()| screen.write_line(&text)).is_err() {
            return Ok(());
        }
        thread::sleep(args.interval);
    }
}

fn look(pid: Option<u32>) -> Result<Vec<Stats>, Failure> {
    match pid {
        Some(pid) => Stats::of_process(pid).map_err(|error| match error.kind() {
            ErrorKind::Os { error, .. } if error.kind() == io::ErrorKind::NotFound => {
                Failure::new(Exit::Input, format!("there is no process {pid}"))
            }
            _ => Failure::new(Exit::Input, error),
        }),
        None => Ok(Stats::of_all_processes()?),
    }
}

fn none(pid: Option<u32>) -> String {
    pid.map_or_else(|| "no pools".to_owned(), |pid| format!("process {pid} has no pool"))
}

fn program(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// By its process: what a worker had when it was last looked at.
type Before = HashMap<u32, WorkerStats>;

/// A paragraph for each pool. Parts of time are of the time since `before`, or of the worker's life.
fn table(pools: &[Stats], before: &mut Before) -> String {
    let mut text = String::new();
    let mut now = Before::new();
    for stats in pools {
        if !text.is_empty() {
            text += "\n\n";
        }
        text += &headline(stats);
        text += "\nSLOT      PID         TASKS   BUSY    CPU  WAITS  STARTS       AGE";
        for (slot, worker) in stats.workers.iter().enumerate() {
            let WorkerStats { n_tasks, n_starts, .. } = worker;
            let Some(pid) = worker.pid else {
                write!(
                    text,
                    "\n{slot:4}        -  {n_tasks:12}      -      -      -  {n_starts:6}         -"
                )
                .expect("a string takes everything");
                continue;
            };
            let since = before.get(&pid).copied().unwrap_or_default();
            let span = worker.age.saturating_sub(since.age);
            let part = |part: Duration| percent(part, span);
            let busy = part(worker.busy().saturating_sub(since.busy()));
            let cpu = part(worker.cpu.saturating_sub(since.cpu));
            let waits = part(worker.waited_for_cpu.saturating_sub(since.waited_for_cpu));
            let age = duration(worker.age);
            write!(
                text,
                "\n{slot:4}  {pid:7}  {n_tasks:12}  {busy:>5}  {cpu:>5}  {waits:>5}  {n_starts:6}  {age:>8}"
            )
            .expect("a string takes everything");
            now.insert(pid, *worker);
        }
    }
    *before = now;
    text
}

/// What concerns all workers of a pool.
fn headline(stats: &Stats) -> String {
    let counted = |n: u64, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let arena = &stats.arena;
    format!(
        "process {} ({}), {} of {}: {} open and {} done, {} pending of {}, {}, arena {} of {}",
        stats.pid,
        program(stats.pid),
        stats.n_workers,
        counted(stats.workers.len() as u64, "worker"),
        counted(stats.n_jobs_open, "job"),
        stats.n_jobs,
        counted(stats.n_tasks_pending, "task"),
        stats.n_tasks,
        counted(stats.n_deaths, "death"),
        bytes(arena.allocated_bytes),
        bytes(arena.capacity_bytes),
    )
}

fn percent(part: Duration, whole: Duration) -> String {
    match whole.as_secs_f64() {
        0.0 => "-".to_owned(),
        whole => format!("{:.0}%", 100.0 * part.as_secs_f64() / whole),
    }
}

fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut value = n as f64;
    while value >= 1024.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", units[unit]) }
}

fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{:.1} s", time.as_secs_f64()),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_for_people() {
        assert_eq!([0, 1023, 1024, 3 << 29].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.5 GiB"]);
        assert_eq!(
            [0, 119, 120, 7200, 200_000].map(|s| duration(Duration::from_secs(s))),
            ["0.0 s", "119.0 s", "2 min", "2 h", "2 d"]
        );
        assert_eq!(percent(Duration::from_secs(1), Duration::from_secs(3)), "33%");
        assert_eq!(percent(Duration::ZERO, Duration::ZERO), "-");
    }
}
