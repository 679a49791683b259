//! A submitted task: one call of a function that returns a value, and what has become of it.
//!
//! Its argument travels as bytes (`postcard`), in the task's slot if it is short, in the data segment if not; arrays that it
//! works on travel as places. Its result comes back as bytes too, in its entry's message or in room that its worker has asked
//! for. Both stay bytes here: only who submitted the task, and who runs it, know their types.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use bytemuck::{Pod, Zeroable};

use super::job::Policy;
use super::kernel::Place;
use crate::array::Array;
use crate::error::{Death, Deaths, ErrorKind};
use crate::sync::{AtomicU32, Relaxed};

/// An array that a task works on, as its worker is told of it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub(crate) struct LentRecord {
    /// Number of the share that it lies in; 0: the data segment.
    pub(crate) share: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) writable: u32,
    pub(crate) n_dims: u32,
    pub(crate) shape: [u64; 4],
}

/// Bytes of which most are few.
#[derive(Clone)]
pub(crate) enum Bytes {
    Few(u8, [u8; Bytes::FEW_MAX]),
    Many(Box<[u8]>),
}

impl Bytes {
    const FEW_MAX: usize = 22;

    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut few = [0; Bytes::FEW_MAX];
        match few.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Bytes::Few(bytes.len() as u8, few)
            }
            None => Bytes::Many(bytes.into()),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Few(len, bytes) => &bytes[..usize::from(*len)],
            Bytes::Many(bytes) => bytes,
        }
    }
}

/// What a worker is given: records of arrays, then the argument.
pub(crate) enum Payload {
    Inline(Bytes),
    /// In the data segment, in the first so many bytes of this block.
    Arena(Array<u8>, usize),
}

/// Keeps what the task works on: leases on arrays.
pub(crate) type Keep = Box<dyn Lender>;

/// Arrays that are lent to a task. Dropped when it has ended.
pub(crate) trait Lender: Send {
    /// The task is through, and nobody uses them any more: what somebody wrote outside of one.
    fn overrun(&self) -> Option<ErrorKind>;
}

/// How a task ended.
pub(crate) enum Outcome {
    Returned(Bytes),
    /// In the first so many bytes of this block.
    InRoom(Array<u8>, usize),
    Failed(Failed),
}

/// Why a task has no result.
#[derive(Debug, Clone)]
pub(crate) enum Failed {
    Panicked {
        message: String,
        location: String,
    },
    Died(Deaths),
    /// Its argument or result could not be turned into bytes or back, or found no room.
    Refused(String),
    Interrupted,
    Cancelled,
    TimedOut(Duration),
    Overrun {
        array: &'static str,
        byte: i64,
        len_bytes: u64,
    },
    PoolBroken(String),
}

/// What is to be done when a worker dies of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnWorkerDeath {
    /// The task fails; the worker is replaced, and no other task knows of it.
    #[default]
    FailTask,
    /// The task is run again, as often as [`retries`](crate::Call::retries) says, 2 times unless it does; kills from outside
    /// do not count until there are 16.
    Retry,
    /// The pool is broken, and every task that has not ended fails: what `ProcessPoolExecutor` does.
    Break,
}

/// What a task is, before it is submitted.
pub(crate) struct SingleSpec {
    /// Of its function, for messages.
    pub(crate) name: &'static str,
    pub(crate) code: Place,
    pub(crate) payload: Payload,
    pub(crate) n_lent: u32,
    /// Numbers of the shares that its arrays lie in.
    pub(crate) shares: Box<[u64]>,
    pub(crate) keep: Option<Keep>,
    pub(crate) policy: Policy,
    pub(crate) breaks: bool,
    pub(crate) time_limit: Option<Duration>,
}

/// A submitted task.
pub(crate) struct Single {
    pub(crate) name: &'static str,
    pub(crate) code: Place,
    pub(crate) n_lent: u32,
    pub(crate) shares: Box<[u64]>,
    pub(crate) policy: Policy,
    /// Its worker's death breaks the pool.
    pub(crate) breaks: bool,
    pub(crate) time_limit: Option<Duration>,
    /// Where it is: [`QUEUED`], [`ENDED`], or its entry. Written under the engine's lock.
    pub(crate) place: AtomicU32,
    /// Why its worker is to be killed, if it is: [`CANCELLED`], [`LATE`]. Written under the engine's lock.
    pub(crate) doomed: AtomicU32,
    state: Mutex<State>,
    ended: Condvar,
}

/// It waits for an entry.
pub(crate) const QUEUED: u32 = u32::MAX;
/// Its outcome is known, or will be in a moment.
pub(crate) const ENDED: u32 = u32::MAX - 1;

/// Its worker is to be killed since somebody wants it to end.
pub(crate) const CANCELLED: u32 = 1;
/// Its worker is to be killed since its time is up.
pub(crate) const LATE: u32 = 2;

/// Called once the task has ended.
pub(crate) type Callback = Box<dyn FnOnce() + Send>;

enum State {
    Open { load: Load, n_waiting: u32, rest: Option<Box<Rest>> },
    Ended(Arc<Outcome>),
}

/// What the task needs until it has ended.
struct Load {
    payload: Payload,
    /// Dropped after the payload is of no use any more.
    keep: Option<Keep>,
}

/// What few tasks have.
#[derive(Default)]
struct Rest {
    /// Who wants to hear of its end, beside those who wait.
    wakers: Vec<Waker>,
    callbacks: Vec<Callback>,
    /// Of workers that have run it.
    deaths: Vec<Death>,
}

impl Single {
    pub(crate) fn new(spec: SingleSpec) -> Self {
        let SingleSpec { name, code, payload, n_lent, shares, keep, policy, breaks, time_limit } = spec;
        let state = State::Open { load: Load { payload, keep }, n_waiting: 0, rest: None };
        Single {
            name,
            code,
            n_lent,
            shares,
            policy,
            breaks,
            time_limit,
            place: AtomicU32::new(QUEUED),
            doomed: AtomicU32::new(0),
            state: Mutex::new(state),
            ended: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be given to its worker; nothing once it has ended.
    pub(crate) fn with_payload<R>(&self, give: impl FnOnce(&Payload) -> R) -> Option<R> {
        match &*self.lock() {
            State::Open { load, .. } => Some(give(&load.payload)),
            State::Ended(_) => None,
        }
    }

    /// How it ended, if it has.
    pub(crate) fn outcome(&self) -> Option<Arc<Outcome>> {
        match &*self.lock() {
            State::Open { .. } => None,
            State::Ended(outcome) => Some(Arc::clone(outcome)),
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(*self.lock(), State::Ended(_))
    }

    /// Says how it ended, gives back what it needed, and wakes whoever waits. The callbacks are for the caller to run.
    /// Without the engine's lock: the end of a lease, and a waker, are other people's code.
    pub(crate) fn end(&self, outcome: Outcome) -> Vec<Callback> {
        let mut state = self.lock();
        let State::Open { load, .. } = &*state else { return Vec::new() };
        let outcome = match load.keep.as_ref().and_then(|keep| keep.overrun()) {
            Some(ErrorKind::Overrun { array, byte, len_bytes }) => {
                Outcome::Failed(Failed::Overrun { array, byte, len_bytes })
            }
            _ => outcome,
        };
        let before = std::mem::replace(&mut *state, State::Ended(Arc::new(outcome)));
        drop(state);
        let State::Open { load, n_waiting, rest } = before else { unreachable!("just seen") };
        // Whoever hears of the end finds the arrays free.
        drop(load);
        if n_waiting > 0 {
            self.ended.notify_all();
        }
        let Rest { wakers, callbacks, .. } = rest.map_or_else(Rest::default, |rest| *rest);
        wakers.into_iter().for_each(Waker::wake);
        callbacks
    }

    /// Waits until somebody else has found out that it has ended, at most so long; true if it has.
    pub(crate) fn wait(&self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut state = self.lock();
        loop {
            match &mut *state {
                State::Ended(_) => return true,
                State::Open { n_waiting, .. } => *n_waiting += 1,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            state = match self.ended.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
            if let State::Open { n_waiting, .. } = &mut *state {
                *n_waiting -= 1;
            }
            if left.is_zero() {
                return matches!(*state, State::Ended(_));
            }
        }
    }

    /// Has `waker` woken when it has ended; false if it has already.
    pub(crate) fn wake_later(&self, waker: &Waker) -> bool {
        match &mut *self.lock() {
            State::Ended(_) => false,
            State::Open { rest, .. } => {
                let wakers = &mut rest.get_or_insert_default().wakers;
                if !wakers.iter().any(|other| other.will_wake(waker)) {
                    wakers.push(waker.clone());
                }
                true
            }
        }
    }

    /// Has `callback` called when it has ended; gives it back if it has already.
    pub(crate) fn call_later(&self, callback: Callback) -> Option<Callback> {
        match &mut *self.lock() {
            State::Ended(_) => Some(callback),
            State::Open { rest, .. } => {
                rest.get_or_insert_default().callbacks.push(callback);
                None
            }
        }
    }

    /// Notes that a worker has died of it; all such deaths.
    pub(crate) fn died(&self, death: Death) -> Vec<Death> {
        match &mut *self.lock() {
            State::Ended(_) => vec![death],
            State::Open { rest, .. } => {
                let deaths = &mut rest.get_or_insert_default().deaths;
                deaths.push(death);
                deaths.clone()
            }
        }
    }

    /// Wants its worker killed. Under the engine's lock.
    pub(crate) fn doom(&self) {
        // Relaxed: the lock orders it.
        self.doomed.store(CANCELLED, Relaxed);
    }

    /// Its place in the table, if it has one.
    pub(crate) fn entry(&self) -> Option<u32> {
        // Relaxed: written under the engine's lock.
        Some(self.place.load(Relaxed)).filter(|&place| place < ENDED)
    }
}

impl fmt::Debug for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Single").field("name", &self.name).finish_non_exhaustive()
    }
}
