//! Loom: a hint that is pushed while a worker goes to sleep is found, or wakes it.

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::{announce, park, prepare, woke};
use crate::control::parent::WakeWord;
use crate::control::worker::WorkerSlot;
use crate::sync::{Acquire, AtomicU32, Relaxed, Release};

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
    loom::model(|| {
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
