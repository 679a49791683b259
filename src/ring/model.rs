//! Loom: two workers at one ring, one of which dies at each of its atomic operations in turn, while the
//! parent pushes, recovers and pushes again. Every lease is run, by one worker at a time, and none is lost or
//! left pending.
#![allow(unsafe_code)] // loom's cells

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::Ring;
use crate::control::entry::{Claim, Owner, Tag};
use crate::control::parent::RingCells;
use crate::control::worker::{EntryWords, RingHead};
use crate::control::{EntryIndex, N_CELLS};
use crate::sync::mortal::{explore, live_for};
use crate::sync::{AtomicU32, AtomicU64};

/// Entries in play, and the tasks of each one's lease.
const N: usize = 2;
const TASKS: u64 = 2;

struct Pool {
    cells: RingCells,
    head: RingHead,
    entries: Vec<EntryWords>,
    /// How often each task was run; a race on it would mean that two workers had its lease at once.
    runs: Vec<UnsafeCell<u32>>,
}

impl Pool {
    fn new() -> Self {
        let word = |_| AtomicU32::new(0);
        Pool {
            cells: RingCells {
                tail: crate::control::parent::Tail(AtomicU64::new(0)),
                cells: std::array::from_fn::<_, { N_CELLS as usize }, _>(word),
            },
            head: RingHead { head: AtomicU64::new(0) },
            entries: (0..N)
                .map(|_| EntryWords {
                    state: AtomicU64::new(0),
                    cursor: AtomicU64::new(0),
                    began_ns: AtomicU64::new(0),
                })
                .collect(),
            runs: (0..N * TASKS as usize).map(|_| UnsafeCell::new(0)).collect(),
        }
    }

    fn ring(&self) -> Ring<'_> {
        Ring { parent: &self.cells, workers: &self.head }
    }

    fn offer(&self, entry: usize, start: u32, seq: u32) {
        self.entries[entry].offer(start, seq);
        self.ring().try_push(EntryIndex(entry as u32), &mut 0).unwrap();
    }

    /// A worker's life: take and run whatever is there.
    fn work(&self, me: Owner) {
        while let Some(claim) = self.ring().take(&self.entries, me) {
            self.run(&claim);
        }
    }

    fn run(&self, claim: &Claim) {
        let words = &self.entries[claim.entry as usize];
        for task in words.cursor().next..TASKS {
            words.begin(task);
            self.runs[claim.entry as usize * TASKS as usize + task as usize].with_mut(|runs| {
                // SAFETY: loom checks that nobody else is in here.
                unsafe { *runs += 1 };
            });
            words.end(task);
        }
        assert!(words.finish(claim, Tag::Done));
    }

    /// What the parent does once the kernel has reported the death: as `Mirror::recover`, with the whole rest
    /// in one lease.
    fn recover(&self, dead: Owner, seq: u32) {
        for (entry, words) in self.entries.iter().enumerate() {
            let state = words.state();
            if state.tag() == Some(Tag::Running) && state.owner() == dead {
                self.offer(entry, words.cursor().next as u32, seq);
            }
        }
    }
}

/// A worker's two leases take some 25 operations; beyond, it lives.
#[test]
fn a_death_at_any_step_loses_no_lease() {
    for n in 0..30 {
        explore(move || {
            let pool = Arc::new(Pool::new());
            let (mortal, survivor) = (Owner { slot: 0, incarnation: 1 }, Owner { slot: 1, incarnation: 1 });
            pool.offer(0, 0, 1);
            let dying = thread::spawn({
                let pool = Arc::clone(&pool);
                move || live_for(n, || pool.work(mortal)).is_none()
            });
            let living = thread::spawn({
                let pool = Arc::clone(&pool);
                move || pool.work(survivor)
            });
            pool.offer(1, 0, 1);
            let died = dying.join().unwrap();
            pool.recover(mortal, 2);
            living.join().unwrap();
            // Somebody always comes and looks again: the parent wakes a worker after each push and each
            // death.
            pool.work(Owner { slot: 1, incarnation: 2 });

            assert_eq!(pool.ring().waiting(), 0, "a hint is left over");
            let mut n_again = 0;
            for (task, runs) in pool.runs.iter().enumerate() {
                // SAFETY: all workers have ended.
                let runs = runs.with(|runs| unsafe { *runs });
                assert!(runs >= 1, "task {task} was lost");
                n_again += runs - 1;
            }
            assert!(n_again <= u32::from(died), "{n_again} tasks ran twice");
            for entry in &pool.entries {
                assert_eq!(entry.state().tag(), Some(Tag::Done));
            }
        });
    }
}

#[test]
fn a_withdrawn_lease_is_run_or_cancelled_but_never_both() {
    explore(|| {
        let pool = Arc::new(Pool::new());
        pool.offer(0, 0, 1);
        let worker = thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.work(Owner { slot: 0, incarnation: 1 })
        });
        let cancelled = pool.entries[0].try_cancel(1);
        worker.join().unwrap();
        // SAFETY: the worker has ended.
        let runs = pool.runs[0].with(|runs| unsafe { *runs });
        assert_eq!(runs, u32::from(!cancelled));
    });
}

#[test]
fn a_full_ring_says_so_and_takes_more_once_it_is_passed() {
    explore(|| {
        let pool = Pool::new();
        for _ in 0..N_CELLS {
            pool.offer(0, 0, 1);
        }
        assert_eq!(pool.ring().try_push(EntryIndex(1), &mut 0), Err(super::Refused::Full));
        pool.work(Owner { slot: 0, incarnation: 1 });
        assert_eq!(pool.ring().try_push(EntryIndex(1), &mut 0), Ok(N_CELLS));
    });
}
