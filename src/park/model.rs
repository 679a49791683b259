//! Loom: a hint that is pushed while a worker goes to sleep is found, or wakes it; a lease that ends while
//! its caller goes to sleep is seen, or wakes it.

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::{announce, count, counted, park, prepare, woke};
use crate::control::entry::{Owner, Tag};
use crate::control::parent::WakeWord;
use crate::control::worker::{EntryWords, JobProgress, WorkerSlot};
use crate::sync::mortal::explore;
use crate::sync::{Acquire, AtomicU32, AtomicU64, Relaxed, Release};

/// A futex: compares and sleeps in one step, as the kernel does under its own lock.
struct Futex {
    lock: Mutex<()>,
    sleepers: Condvar,
}

impl Futex {
    fn wait(&self, word: &AtomicU32, value: u32) {
        let guard = self.lock.lock().unwrap();
        if word.load(Relaxed) == value {
            drop(self.sleepers.wait(guard).unwrap());
        }
    }

    fn wake(&self) {
        let _guard = self.lock.lock().unwrap();
        self.sleepers.notify_all();
    }
}

#[test]
fn no_hint_is_slept_through() {
    explore(|| {
        struct Shared {
            wake: WakeWord,
            slot: WorkerSlot,
            hint: AtomicU32,
            futex: Futex,
        }
        let shared = Arc::new(Shared {
            wake: WakeWord { epoch: AtomicU32::new(0) },
            slot: WorkerSlot { parked: AtomicU32::new(0) },
            hint: AtomicU32::new(0),
            futex: Futex { lock: Mutex::new(()), sleepers: Condvar::new() },
        });
        let worker = thread::spawn({
            let shared = Arc::clone(&shared);
            // As `Worker::run`; a lost wake-up would leave it asleep for ever, which loom reports as a
            // deadlock.
            move || loop {
                let epoch = prepare(&shared.wake);
                if shared.hint.load(Acquire) == 1 {
                    return;
                }
                park(&shared.slot);
                if shared.hint.load(Acquire) == 1 {
                    return woke(&shared.slot);
                }
                shared.futex.wait(&shared.wake.epoch, epoch);
                woke(&shared.slot);
            }
        });
        shared.hint.store(1, Release);
        if announce(&shared.wake, [(0, &shared.slot)].into_iter()).is_some() {
            shared.futex.wake();
        }
        worker.join().unwrap();
    });
}

#[test]
fn no_completion_is_slept_through() {
    explore(|| {
        struct Shared {
            entries: [EntryWords; 2],
            progress: JobProgress,
            wake_at: AtomicU32,
            futex: Futex,
        }
        let entry = || EntryWords { state: AtomicU64::new(0), cursor: AtomicU64::new(0) };
        let shared = Arc::new(Shared {
            entries: [entry(), entry()],
            progress: JobProgress { completed: AtomicU32::new(0) },
            wake_at: AtomicU32::new(2),
            futex: Futex { lock: Mutex::new(()), sleepers: Condvar::new() },
        });
        for entry in &shared.entries {
            entry.offer(0, 1);
        }
        let workers = [0, 1].map(|slot| {
            let shared = Arc::clone(&shared);
            // As the end of `Runner::run`.
            thread::spawn(move || {
                let words = &shared.entries[usize::from(slot)];
                let claim = words.try_claim(slot.into(), Owner { slot, incarnation: 1 }).unwrap();
                words.begin(0);
                words.end(0);
                words.finish(&claim, Tag::Done);
                if count(&shared.progress, &shared.wake_at) {
                    shared.futex.wake();
                }
            })
        });
        // As the loop of `executor::run`, without its timed sleep: loom would report one that is never woken.
        loop {
            let seen = counted(&shared.progress);
            if shared.entries.iter().all(|entry| entry.state().tag() == Some(Tag::Done)) {
                break;
            }
            shared.futex.wait(&shared.progress.completed, seen);
        }
        for worker in workers {
            worker.join().unwrap();
        }
    });
}
