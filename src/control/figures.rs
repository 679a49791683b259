//! What a pool shows of itself, to its own process and to others: the supervisor writes it about once a second, and whoever
//! asks within the process has it written anew.
//!
//! Each word is right by itself; they are not all of one instant.

use super::N_WORKERS_MAX;
use crate::sync::{AtomicU32, AtomicU64};

/// A part of the parent-written segment.
///
/// | field              | meaning                                                              |
/// |--------------------|----------------------------------------------------------------------|
/// | `pid`              | the pool's process; 0: nothing is written yet                        |
/// | `written_ns`       | when (`sys::clock`)                                                  |
/// | `n_jobs` …         | the fields of that name of `pool::Stats`                             |
/// | `level`            | `kernels::Level`, by its number                                      |
/// | `huge_pages`       | 0: not requested, 1: enabled, 2: unavailable                         |
/// | `workers`          | one for each slot                                                    |
#[repr(C, align(128))]
pub(crate) struct Figures {
    pub(crate) pid: AtomicU32,
    pub(crate) level: AtomicU32,
    pub(crate) huge_pages: AtomicU32,
    pub(crate) written_ns: AtomicU64,
    pub(crate) n_jobs: AtomicU64,
    pub(crate) n_jobs_open: AtomicU64,
    pub(crate) n_tasks: AtomicU64,
    pub(crate) n_tasks_pending: AtomicU64,
    pub(crate) n_leases_open: AtomicU64,
    pub(crate) n_deaths: AtomicU64,
    pub(crate) n_retired: AtomicU64,
    pub(crate) bytes_copied: AtomicU64,
    pub(crate) capacity_bytes: AtomicU64,
    pub(crate) allocated_bytes: AtomicU64,
    pub(crate) kept_bytes: AtomicU64,
    pub(crate) resident_bytes: AtomicU64,
    pub(crate) workers: [WorkerFigures; N_WORKERS_MAX],
}

/// Of one slot.
///
/// | field           | meaning                                                              |
/// |-----------------|----------------------------------------------------------------------|
/// | `pid`           | its live worker; 0: none                                             |
/// | `n_starts`      | workers that have gone live in this slot                             |
/// | `n_tasks`       | tasks that they have done                                            |
/// | `live_since_ns` | when this one went live                                              |
/// | `idle_ns`       | how long it had no task since, but for the present while             |
/// | `idle_since_ns` | since when it has none; 0: it has one                                |
#[repr(C)]
pub(crate) struct WorkerFigures {
    pub(crate) pid: AtomicU32,
    pub(crate) n_starts: AtomicU32,
    pub(crate) n_tasks: AtomicU64,
    pub(crate) live_since_ns: AtomicU64,
    pub(crate) idle_ns: AtomicU64,
    pub(crate) idle_since_ns: AtomicU64,
}
