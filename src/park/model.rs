//! Loom: a hint that is pushed while a worker goes to sleep is found, or wakes it; a lease that ends while
//! its caller goes to sleep is seen, or wakes it.

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::{announce, count, count_single, counted, leave, listen, park, prepare, sleeps, wake_me, woke};
use crate::control::entry::{Owner, Tag};
use crate::control::parent::{CALLER, COLLECTOR, Listener, WakeWord};
use crate::control::worker::{EntryWords, JobProgress, WorkerSlot};
use crate::sync::mortal::explore;
use crate::sync::{AcqRel, Acquire, AtomicU32, AtomicU64, Relaxed, Release};

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

fn worker_slot() -> WorkerSlot {
    WorkerSlot {
        parked: AtomicU32::new(0),
        idle_ns: AtomicU64::new(0),
        idle_since_ns: AtomicU64::new(0),
        bed: (),
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
            slot: worker_slot(),
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
                // Relaxed, as `Ring::has_hints`: the fence orders it.
                if shared.hint.load(Relaxed) == 1 {
                    woke(&shared.slot);
                    continue;
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
fn nobody_counts_on_waking_one_that_leaves() {
    explore(|| {
        struct Shared {
            wake: WakeWord,
            slot: WorkerSlot,
            hint: AtomicU32,
        }
        let shared = Arc::new(Shared {
            wake: WakeWord { epoch: AtomicU32::new(0) },
            slot: worker_slot(),
            hint: AtomicU32::new(0),
        });
        let worker = thread::spawn({
            let shared = Arc::clone(&shared);
            // As `Worker::run` of one that is dismissed; whether it has seen the hint.
            move || {
                park(&shared.slot);
                if shared.hint.load(Relaxed) == 1 {
                    return true;
                }
                leave(&shared.slot);
                shared.hint.load(Relaxed) == 1
            }
        });
        shared.hint.store(1, Release);
        let is_asleep = announce(&shared.wake, [(0, &shared.slot)].into_iter()).is_some();
        let has_seen = worker.join().unwrap();
        assert!(has_seen || !is_asleep, "it was woken, and has left");
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
        let entry = || EntryWords {
            state: AtomicU64::new(0),
            cursor: AtomicU64::new(0),
            began_ns: AtomicU64::new(0),
        };
        let shared = Arc::new(Shared {
            entries: [entry(), entry()],
            progress: JobProgress { completed: AtomicU32::new(0), bed: () },
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

#[test]
fn whoever_says_that_it_sleeps_holds_no_lease() {
    explore(|| {
        let entry = || EntryWords {
            state: AtomicU64::new(0),
            cursor: AtomicU64::new(0),
            began_ns: AtomicU64::new(0),
        };
        let shared = Arc::new(([entry(), entry()], worker_slot()));
        for entry in &shared.0 {
            entry.offer(0, 1);
        }
        let worker = thread::spawn({
            let shared = Arc::clone(&shared);
            // As `Worker::run`: asleep, woken for a lease, asleep again.
            move || {
                for (index, words) in (0..).zip(&shared.0) {
                    park(&shared.1);
                    woke(&shared.1);
                    let claim = words.try_claim(index, Owner { slot: 0, incarnation: 1 }).unwrap();
                    words.end(0);
                    words.finish(&claim, Tag::Done);
                }
                park(&shared.1);
            }
        });
        // As `Mirror::check_owners`.
        let state = shared.0.each_ref().map(|words| words.state());
        let running = |entry: usize| {
            state[entry].tag() == Some(Tag::Running) && shared.0[entry].state() == state[entry]
        };
        for entry in [0, 1] {
            assert!(!(sleeps(&shared.1) && running(entry)), "{:?} although it sleeps", state[entry]);
        }
        assert!(!(running(0) && running(1)), "two at once");
        worker.join().unwrap();
    });
}

#[test]
fn whoever_listens_hears_of_every_submitted_task() {
    explore(|| {
        struct Shared {
            entries: [EntryWords; 2],
            listener: Listener,
            words: [JobProgress; 2],
            futexes: [Futex; 2],
        }
        let entry = || EntryWords {
            state: AtomicU64::new(0),
            cursor: AtomicU64::new(0),
            began_ns: AtomicU64::new(0),
        };
        let word = || JobProgress { completed: AtomicU32::new(0), bed: () };
        let futex = || Futex { lock: Mutex::new(()), sleepers: Condvar::new() };
        let shared = Arc::new(Shared {
            entries: [entry(), entry()],
            listener: Listener { who: AtomicU32::new(0), wake_at: [AtomicU32::new(0), AtomicU32::new(0)] },
            words: [word(), word()],
            futexes: [futex(), futex()],
        });
        for entry in &shared.entries {
            entry.offer(0, 1);
        }
        let is_done = |shared: &Shared, entry: usize| shared.entries[entry].state().tag() == Some(Tag::Done);
        // As the loops of `pool::collect`, without their timed sleeps.
        let sleep_until_done = move |shared: &Shared, who: usize, entry: usize| loop {
            let seen = counted(&shared.words[who]);
            if is_done(shared, entry) {
                return;
            }
            wake_me(&shared.listener, who, seen);
            shared.futexes[who].wait(&shared.words[who].completed, seen);
        };
        let worker = thread::spawn({
            let shared = Arc::clone(&shared);
            // As the end of `worker::single::run`, of two tasks.
            move || {
                for (index, words) in (0..).zip(&shared.entries) {
                    let claim = words.try_claim(index, Owner { slot: 0, incarnation: 1 }).unwrap();
                    words.end(0);
                    words.finish(&claim, Tag::Done);
                    if let Some(word) = count_single(&shared.listener, &shared.words) {
                        let who = usize::from(!std::ptr::eq(word, &shared.words[COLLECTOR]));
                        shared.futexes[who].wake();
                    }
                }
            }
        });
        let collector = thread::spawn({
            let shared = Arc::clone(&shared);
            move || sleep_until_done(&shared, COLLECTOR, 1)
        });
        // A caller who wants the first one's result, and leaves.
        listen(&shared.listener, CALLER);
        sleep_until_done(&shared, CALLER, 0);
        listen(&shared.listener, COLLECTOR);
        // The collector listens from now on, and looks around.
        shared.words[COLLECTOR].completed.fetch_add(1, AcqRel);
        shared.futexes[COLLECTOR].wake();
        collector.join().unwrap();
        worker.join().unwrap();
    });
}
