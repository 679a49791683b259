//! Finding out which submitted tasks have ended, and telling whoever wants to know.
//!
//! Anybody can look at the table, under the engine's lock, and a look accounts for all that has ended. So the caller who
//! waits for a result looks himself: nobody has to be woken on his behalf. One thread of the pool, the collector, listens
//! while no caller does, and runs callbacks. Workers count ended tasks on the word of the one who listens, and wake him.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::control::parent::{CALLER, COLLECTOR};
use crate::error::{Error, Result};
use crate::park::{self, Spin};
use crate::supervisor::{Engine, Shared, Stage, tell};
use crate::sync::Relaxed;
use crate::task::single::{Outcome, Single};

/// The first sleep of a listener, and the last: he looks around at least this often.
const TICK_MIN: Duration = Duration::from_millis(10);
const TICK_MAX: Duration = Duration::from_millis(100);

/// Starts the collector.
pub(super) fn start(shared: &Arc<Shared>) -> Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name("shmpool-collect".into()).spawn({
        let shared = Arc::clone(shared);
        move || collect_until_the_end(&shared)
    });
    thread.map_err(|error| Error::os("starting the thread that collects results", error))
}

/// The collector's life: until the pool stops, and no task is left.
fn collect_until_the_end(shared: &Arc<Shared>) {
    let mut patience = Patience::new();
    loop {
        let mut engine = shared.lock();
        let workers = Arc::clone(&engine.workers);
        let word = &workers.get().listeners[COLLECTOR];
        let seen = park::counted(word);
        let ended = look(shared, &mut engine);
        let callbacks = std::mem::take(&mut engine.callbacks);
        let (n_held, n_queued) = engine.mirror.n_singles();
        let is_over = shared.is_over(&engine);
        if ended.is_empty() && callbacks.is_empty() {
            if n_held + n_queued == 0 && is_over {
                engine.has_collector = false;
                return;
            }
            // Nobody else would look around; a caller who listens does.
            let listens = n_held + n_queued > 0 && !engine.caller_listens;
            park::wake_me(&shared.parent.get().listener, COLLECTOR, seen);
            drop(engine);
            park::sleep_on_count(word, seen, if listens { patience.tick } else { IDLE });
            if listens {
                patience.look_around(shared);
            }
            continue;
        }
        drop(engine);
        patience.got_somewhere();
        deliver(shared, ended, Some(COLLECTOR));
        for callback in callbacks {
            // The program's own code, on our thread.
            tell(callback);
        }
    }
}

/// How soon to look again whether another thread has told of what it has found.
const UNTOLD_LOOK: Duration = Duration::from_micros(100);

/// How long the collector sleeps when there is nothing to listen for; whoever has something for it wakes it before, but
/// workers can write the word that it sleeps on.
const IDLE: Duration = Duration::from_secs(2);

/// Accounts for what has ended, and wakes workers for what takes its place.
fn look(shared: &Shared, engine: &mut Engine) -> Vec<(Arc<Single>, Outcome)> {
    if let Some(reason) = engine.broken_reason().filter(|_| !shared.has_workers(engine)) {
        let not_believed = engine.is_corrupt();
        let (mirror, control) = engine.split(shared.parent.get());
        mirror.abandon_singles(control, &reason, not_believed);
    } else if !engine.is_corrupt() {
        let (mirror, control) = engine.split(shared.parent.get());
        if let Err(corrupt) = mirror.collect(control) {
            shared.report_corrupt(engine, corrupt);
        }
        shared.announce_singles(engine);
    }
    engine.take_ended()
}

/// Tells everybody what `me`, if it is a listener, has found; callbacks go to the collector.
pub(super) fn deliver(shared: &Shared, ended: Vec<(Arc<Single>, Outcome)>, me: Option<usize>) {
    if ended.is_empty() {
        return;
    }
    let (n_ended, mut wakers, mut callbacks) = (ended.len(), Vec::new(), Vec::new());
    for (single, outcome) in ended {
        // The end of a lease is other people's code, and so is a waker.
        tell(|| {
            let heard = single.end(outcome);
            wakers.extend(heard.wakers);
            callbacks.extend(heard.callbacks.into_iter().map(|(_, callback)| callback));
        });
    }
    shared.lock().n_untold -= n_ended;
    wakers.into_iter().for_each(|waker| tell(|| waker.wake()));
    // Relaxed: a hint; a caller who has just begun to listen sees the ends above in the tasks themselves, or looks again
    // after a tick.
    let caller_listens = shared.parent.get().listener.who.load(Relaxed) as usize == CALLER;
    let not_by_caller = caller_listens && me != Some(CALLER);
    if callbacks.is_empty() && !not_by_caller {
        return;
    }
    let mut engine = shared.lock();
    if not_by_caller {
        // He may sleep on the word, waiting for one of these.
        shared.wake_listener(&engine, CALLER);
    }
    if callbacks.is_empty() {
        return;
    }
    if engine.has_collector {
        engine.callbacks.extend(callbacks);
        shared.wake_listener(&engine, COLLECTOR);
    } else {
        drop(engine);
        callbacks.into_iter().for_each(tell);
    }
}

/// Waits until a task has ended, or for so long; true if it has.
pub(super) fn wait(shared: &Arc<Shared>, single: &Single, wait: Option<Duration>, spin: Duration) -> bool {
    let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
    let left = |tick: Duration| {
        deadline.map_or(tick, |deadline| deadline.saturating_duration_since(Instant::now()).min(tick))
    };
    loop {
        if single.is_ended() {
            return true;
        }
        if left(TICK_MAX).is_zero() {
            return false;
        }
        let mut engine = shared.lock();
        if engine.caller_listens {
            drop(engine);
            // Another caller looks, and then the collector: they will tell.
            single.wait(left(TICK_MAX));
            continue;
        }
        engine.caller_listens = true;
        park::listen(&shared.parent.get().listener, CALLER);
        drop(engine);
        let listening = Listening { shared };
        let mut spin = Spin::new(spin);
        let mut patience = Patience::new();
        while !single.is_ended() && !left(TICK_MAX).is_zero() {
            let mut engine = shared.lock();
            let workers = Arc::clone(&engine.workers);
            let word = &workers.get().listeners[CALLER];
            let seen = park::counted(word);
            let ended = look(shared, &mut engine);
            if ended.is_empty() {
                park::wake_me(&shared.parent.get().listener, CALLER, seen);
            }
            drop(engine);
            if !ended.is_empty() {
                patience.got_somewhere();
                spin.found();
                deliver(shared, ended, Some(CALLER));
                continue;
            }
            if single.is_ended() {
                break; // somebody has told who had looked before us
            }
            let changed = || (park::counted(word) != seen).then_some(());
            if spin.until(changed).is_none() {
                park::sleep_on_count(word, seen, left(patience.tick));
            }
            patience.look_around(shared);
        }
        drop(listening);
    }
}

/// A caller listens, until this is dropped.
struct Listening<'a> {
    shared: &'a Arc<Shared>,
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        let shared = self.shared;
        let mut engine = shared.lock();
        engine.caller_listens = false;
        park::listen(&shared.parent.get().listener, COLLECTOR);
        // What was told to us since our last look, nobody would look for.
        let ended = look(shared, &mut engine);
        if engine.mirror.n_singles() != (0, 0) {
            shared.wake_listener(&engine, COLLECTOR); // it listens from now on, and looks around
        }
        drop(engine);
        deliver(shared, ended, None);
    }
}

/// When a listener looks whether everything is as it should be.
struct Patience {
    tick: Duration,
    looked: Instant,
}

impl Patience {
    fn new() -> Self {
        Patience { tick: TICK_MIN, looked: Instant::now() }
    }

    fn got_somewhere(&mut self) {
        (self.tick, self.looked) = (TICK_MIN, Instant::now());
    }

    /// Once a tick has passed in which nothing came: a worker may have lied, so that nobody runs a task, or a wake-up was
    /// lost with one.
    fn look_around(&mut self, shared: &Shared) {
        if self.looked.elapsed() < self.tick {
            return;
        }
        let mut engine = shared.lock();
        if let Err(corrupt) = engine.check_owners(shared.parent.get()) {
            shared.report_corrupt(&mut engine, corrupt);
        }
        shared.announce(&engine, true);
        (self.tick, self.looked) = ((self.tick * 2).min(TICK_MAX), Instant::now());
    }
}

/// Accounts for what has ended, if the account is not as it should be.
pub(super) fn look_once(shared: &Shared) {
    let ended = look(shared, &mut shared.lock());
    deliver(shared, ended, None);
}

/// Cancels every task that no worker has begun.
pub(super) fn cancel_pending(shared: &Shared) {
    let mut engine = shared.lock();
    let not_believed = engine.is_corrupt();
    let (mirror, control) = engine.split(shared.parent.get());
    mirror.withdraw_all_singles(control, not_believed);
    let ended = engine.take_ended();
    drop(engine);
    deliver(shared, ended, None);
}

/// Waits until no task is left.
pub(super) fn wait_until_idle(shared: &Arc<Shared>) {
    loop {
        let some = {
            let engine = shared.lock();
            if engine.mirror.n_singles() == (0, 0) && engine.mirror.n_ended() + engine.n_untold == 0 {
                return;
            }
            engine.mirror.some_single()
        };
        match some {
            Some(some) => drop(wait(shared, &some, None, Duration::ZERO)),
            None => {
                // The supervisor has accounted for the last ones, and nobody has taken them for telling; or another thread
                // is about to tell.
                look_once(shared);
                std::thread::sleep(UNTOLD_LOOK);
            }
        }
    }
}

/// Joins the collector; unless it is the one that ends the pool, in a callback.
pub(super) fn join(shared: &Shared, collector: Option<JoinHandle<()>>) {
    if let Some(collector) = collector.filter(|thread| thread.thread().id() != std::thread::current().id()) {
        shared.wake_listener(&shared.lock(), COLLECTOR);
        let _ = collector.join();
    }
}

impl Shared {
    /// The pool takes nothing more on.
    fn is_over(&self, engine: &Engine) -> bool {
        engine.stage() != Stage::Running
    }
}
