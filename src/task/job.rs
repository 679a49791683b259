//! One call: what it runs over, how it is cut into leases, and what may be done about its failures.

use shmpool_kernels::Level;

use super::kernel::{Kernel, Place, trampoline};
use crate::control::N_OPERANDS;
use crate::control::parent::JobSlot;
use crate::error::{ErrorKind, Result};
use crate::sync::Relaxed;

/// The most tasks that one job can have.
pub(crate) const TASKS_MAX: u64 = u32::MAX as u64;

/// A range of bytes in the arena, or beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Operand {
    /// Number of the share that it lies in; 0: the arena.
    pub(crate) share: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl Operand {
    /// One past its last byte.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes)
    }
}

/// What a kernel runs over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobArgs {
    pub(crate) n_elements: u64,
    pub(crate) grain: u64,
    pub(crate) shape: [u64; 4],
    /// Inputs from 0, the output last.
    pub(crate) operands: [Operand; N_OPERANDS],
    pub(crate) flags: u32,
}

/// A job before it has a slot.
pub(crate) struct JobSpec<'a> {
    pub(crate) code: Place,
    pub(crate) args: JobArgs,
    pub(crate) n_tasks: u32,
    pub(crate) params: &'a [u8],
    pub(crate) policy: Policy,
    /// What the caller knows its operands as.
    pub(crate) names: [&'static str; N_OPERANDS],
}

impl JobArgs {
    /// One past the last byte of the arena that the job touches.
    pub(crate) fn end(&self) -> u64 {
        let in_arena = self.operands.iter().filter(|operand| operand.share == 0);
        in_arena.map(Operand::end).max().unwrap_or(0)
    }

    /// Parent: into the job's slot. Relaxed throughout: published by the state of the job's first entry (R2).
    pub(crate) fn write(&self, slot: &JobSlot) {
        slot.n_elements.store(self.n_elements, Relaxed);
        slot.grain.store(self.grain, Relaxed);
        for (word, extent) in slot.shape.iter().zip(self.shape) {
            word.store(extent, Relaxed);
        }
        for (word, operand) in slot.operands.iter().zip(self.operands) {
            word.share.store(operand.share, Relaxed);
            word.offset.store(operand.offset, Relaxed);
            word.bytes.store(operand.bytes, Relaxed);
        }
        slot.flags.store(self.flags, Relaxed);
    }

    /// Worker: out of the job's slot, behind the state that it has claimed (A3).
    pub(crate) fn read(slot: &JobSlot) -> Self {
        let mut args = JobArgs {
            n_elements: slot.n_elements.load(Relaxed),
            grain: slot.grain.load(Relaxed).max(1),
            shape: [0; 4],
            operands: [Operand::default(); N_OPERANDS],
            flags: slot.flags.load(Relaxed),
        };
        for (extent, word) in args.shape.iter_mut().zip(&slot.shape) {
            *extent = word.load(Relaxed);
        }
        for (operand, word) in args.operands.iter_mut().zip(&slot.operands) {
            let (share, offset) = (word.share.load(Relaxed), word.offset.load(Relaxed));
            *operand = Operand { share, offset, bytes: word.bytes.load(Relaxed) };
        }
        args
    }
}

/// What may be done about a task that failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// How many deaths of its own making a task may cause before it is given up; 1: it is never run again.
    pub(crate) faults_max: u32,
    /// How many kills from outside it may meet.
    pub(crate) kills_max: u32,
    /// The kernel's own error ends the job: the one with the lowest index is wanted, later tasks need not
    /// run.
    pub(crate) first_error_wins: bool,
}

impl Policy {
    /// For kernels that read inputs and write a separate output: a task may run again.
    pub(crate) const IDEMPOTENT: Policy = Policy { faults_max: 3, kills_max: 16, first_error_wins: false };
    /// For kernels that can read their output: nobody knows what a second run would see.
    pub(crate) const ONCE: Policy = Policy { faults_max: 1, kills_max: 1, first_error_wins: false };
}

/// The place of `K`'s trampoline for `level`.
pub(crate) fn code_of<K: Kernel>(level: Level) -> Result<Place> {
    Place::of(trampoline::<K>(level) as *const () as usize)
}

/// Tasks of `grain` elements that cover `n_elements`.
///
/// # Errors
/// [`ErrorKind::TooManyTasks`] beyond [`TASKS_MAX`].
pub(crate) fn n_tasks(n_elements: u64, grain: u64) -> Result<u32> {
    let found = n_elements.div_ceil(grain);
    u32::try_from(found).map_err(|_| ErrorKind::TooManyTasks { found, max: TASKS_MAX }.into())
}

/// Elements of a task, where the caller leaves it to us.
///
/// Two things bound it. Small enough that every worker gets some 64 tasks, since we do not know what an
/// element costs and a task costs some ten nanoseconds. And no more than [`TASK_BYTES`] of output, beyond
/// which nothing is gained. From half a cache line upwards it is whole lines, so that no two workers write to
/// one, and outputs can be streamed.
pub(crate) fn grain(n_elements: u64, element_bytes: usize, n_workers: usize) -> u64 {
    let element_bytes = element_bytes.max(1) as u64;
    let fair = n_elements.div_ceil(n_workers.max(1) as u64 * 64).max(1);
    let grain = fair.min((TASK_BYTES / element_bytes).max(1)).max(n_elements.div_ceil(TASKS_MAX));
    let line = 64 / gcd(64, element_bytes);
    if grain >= line / 2 { grain.next_multiple_of(line) } else { grain }
}

/// Output of one task, at most, in bytes.
const TASK_BYTES: u64 = 256 * 1024;

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A lease before it has an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) ring: u16,
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// Cuts `n_tasks` into leases: a contiguous slice for each worker, always the same for the same numbers (the
/// same pages, the same caches), each cut into four leases of an eighth of it, four of a sixteenth, and so on
/// down to single tasks.
///
/// Large leases first cost little; small ones last let the workers finish together.
pub(crate) fn cut(n_tasks: u32, n_workers: usize) -> Vec<Lease> {
    let (n, w) = (u64::from(n_tasks), n_workers.max(1) as u64);
    let mut leases = Vec::new();
    for ring in 0..w {
        let (mut start, end) = (n * ring / w, n * (ring + 1) / w);
        while start < end {
            // Four at a time take half of what is left.
            let len = ((end - start) / 8).max(1);
            for _ in 0..4.min((end - start).div_ceil(len)) {
                leases.push(Lease { ring: ring as u16, start: start as u32, len: len as u32 });
                start += len;
            }
        }
    }
    leases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_cover_every_task_once_and_shrink() {
        for n_tasks in [0, 1, 2, 3, 7, 8, 9, 100, 1024, 65_537, u32::MAX] {
            for n_workers in [1, 2, 3, 7, 64, 256] {
                let leases = cut(n_tasks, n_workers);
                let mut next = 0_u64;
                for pair in leases.windows(2) {
                    assert!(
                        pair[0].ring < pair[1].ring || pair[0].len >= pair[1].len,
                        "leases grow: {pair:?}"
                    );
                }
                for lease in &leases {
                    assert_eq!(u64::from(lease.start), next, "a gap or an overlap at {lease:?}");
                    assert!(lease.len > 0);
                    next += u64::from(lease.len);
                }
                assert_eq!(next, u64::from(n_tasks));
                assert!(leases.len() <= 150 * n_workers, "{} leases for {n_workers} workers", leases.len());
            }
        }
    }

    #[test]
    fn a_grain_is_whole_lines_and_bounded() {
        assert_eq!(grain(64 << 20, 4, 2), 64 << 10);
        assert_eq!(grain(1000, 4, 2), 16);
        assert_eq!(grain(2, 4, 2), 1);
        assert_eq!(grain(0, 4, 2), 1);
        assert_eq!(grain(1 << 40, 1, 2) % 64, 0);
        for element_bytes in [1, 2, 3, 4, 8, 12, 16, 100, 4096] {
            let grain = grain(1 << 30, element_bytes, 2);
            assert!(
                (grain * element_bytes as u64).is_multiple_of(64),
                "{element_bytes}-byte elements: {grain}"
            );
        }
    }

    #[test]
    fn one_task_too_many_is_an_error() {
        assert_eq!(n_tasks(TASKS_MAX, 1).unwrap(), u32::MAX);
        let error = n_tasks(TASKS_MAX + 1, 1).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooManyTasks { found: 0x1_0000_0000, .. }), "{error}");
        assert_eq!(n_tasks(TASKS_MAX + 1, 2).unwrap(), 1 << 31);
    }
}
