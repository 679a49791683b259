//! How results are shown, and on what machine they were made.

use std::fmt;
use std::process::Command;

use serde::Serialize;

use crate::race::{Entry, Row, Unit, Wanted};
use crate::{Bench, Result};

/// Everything, for programs.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) rows: Vec<Row>,
}

/// Without these a figure means nothing.
#[derive(Serialize)]
pub(crate) struct Machine {
    cpu: String,
    n_cpus: usize,
    kernel: String,
    /// Processes that wanted a core over the last minute, when the run began: above 0.5 somebody else is at work.
    load: String,
    commit: String,
    command: String,
    workers: usize,
    rounds: usize,
    level: String,
    huge_pages: String,
}

impl Machine {
    pub(crate) fn look(bench: &Bench) -> Result<Machine> {
        let stats = bench.pool.stats()?;
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let loads = std::fs::read_to_string("/proc/loadavg")?;
        Ok(Machine {
            cpu: model.unwrap_or("unknown").trim_start_matches([' ', '\t', ':']).to_owned(),
            n_cpus: std::thread::available_parallelism()?.get(),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load: loads.split(' ').next().unwrap_or("unknown").to_owned(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            workers: bench.options.workers,
            rounds: bench.options.rounds,
            level: stats.level.to_string(),
            huge_pages: format!("{:?}", stats.arena.huge_pages),
        })
    }
}

/// What was built, as far as git knows.
fn commit() -> Option<String> {
    let git = ["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty"];
    let output = Command::new("git").args(git).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, n_cpus, kernel, load, commit, command, workers, rounds, level, huge_pages } = self;
        writeln!(f, "{cpu}, {n_cpus} CPUs, {level}, Linux {kernel}, huge pages {huge_pages}, load {load}")?;
        writeln!(f, "commit {commit}, arguments `{command}`, {workers} workers, {rounds} rounds")?;
        writeln!(f, "medians (minimum .. maximum); × is the rival's time by the pool's, round by round")
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        for entry in &self.entries {
            entry.show(f, self.unit)?;
        }
        if let Some(note) = &self.note {
            writeln!(f, "  {note}")?;
        }
        Ok(())
    }
}

impl Entry {
    fn show(&self, f: &mut fmt::Formatter<'_>, unit: Unit) -> fmt::Result {
        let show = |value| quantity(value, unit);
        let spread = format!("({} .. {})", show(self.spread.min), show(self.spread.max));
        write!(f, "  {:<36} {:>10}  {spread:<26}", self.name, show(self.spread.median))?;
        if let Some(ratio) = self.ratio {
            write!(f, " × {:<6.2} ({:.2} .. {:.2})", ratio.median, ratio.min, ratio.max)?;
        }
        match self.wanted {
            Some(Wanted::Ratio(wanted)) => {
                let found = self.ratio.map_or(f64::NAN, |ratio| ratio.median);
                writeln!(f, "  wanted × {wanted}: {}", verdict(found >= wanted))
            }
            Some(Wanted::AtMost(wanted)) => {
                writeln!(f, "  wanted at most {}: {}", show(wanted), verdict(self.spread.median <= wanted))
            }
            None => writeln!(f),
        }
    }
}

fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "missed" }
}

/// A number with its unit, in three digits or so.
fn quantity(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Kib => format!("{value:.0} KiB"),
        Unit::Ns if value < 1e3 => format!("{value:.1} ns"),
        Unit::Ns if value < 1e6 => format!("{:.2} µs", value / 1e3),
        Unit::Ns if value < 1e9 => format!("{:.2} ms", value / 1e6),
        Unit::Ns => format!("{:.2} s", value / 1e9),
    }
}
