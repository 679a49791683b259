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
use crate::error::{Death, Deaths};
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
    Arena(Box<Array<u8>>, usize),
}

/// Arrays that are lent to a task. Dropped when it has ended.
pub(crate) trait Lender: Send {
    /// The task is through, and nobody uses them any more: what somebody wrote outside of one.
    fn overrun(&self) -> Option<Overrun>;
}

/// Bytes that were written outside of an array.
pub(crate) struct Overrun {
    /// The first of them: below 0, or from the size on.
    pub(crate) byte: i64,
    pub(crate) len_bytes: u64,
}

/// How a task ended.
pub(crate) enum Outcome {
    Returned(Bytes),
    /// In the first so many bytes of this block.
    InRoom(Arc<Array<u8>>, usize),
    Failed(Box<Failed>),
}

impl Outcome {
    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(self, Outcome::Failed(failed) if matches!(**failed, Failed::Cancelled))
    }
}

impl From<Failed> for Outcome {
    fn from(failed: Failed) -> Self {
        Outcome::Failed(Box::new(failed))
    }
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
    /// The worker-written segment was replaced so often while it was in the table.
    Corrupted(u32),
    Cancelled,
    TimedOut(Duration),
    Overrun {
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
    /// The pool is broken, and every task and job that has not ended fails: what `ProcessPoolExecutor` does.
    Break,
}

/// What may be said of a task beside its function and its argument. Most tasks have none of it, and there may be a million
/// of them.
pub(crate) struct Extra {
    pub(crate) n_lent: u32,
    /// Numbers of the shares that its arrays lie in.
    pub(crate) shares: Vec<u64>,
    pub(crate) policy: Policy,
    /// Its worker's death breaks the pool.
    pub(crate) breaks: bool,
    pub(crate) time_limit: Option<Duration>,
}

/// What is said of most tasks.
static PLAIN: Extra =
    Extra { n_lent: 0, shares: Vec::new(), policy: Policy::ONCE, breaks: false, time_limit: None };

/// A submitted task.
pub(crate) struct Single {
    /// Of its function, for messages.
    pub(crate) name: &'static str,
    pub(crate) code: Place,
    extra: Option<Box<Extra>>,
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
    Open { payload: Payload, n_waiting: u32, rest: Option<Box<Rest>> },
    Ended(Outcome),
}

/// Who wants to hear of a task's end, beside those who wait.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) wakers: Vec<Waker>,
    /// Each with the number of who may no longer want it; 0: nobody.
    pub(crate) callbacks: Vec<(usize, Callback)>,
}

/// What few tasks have while they are open.
#[derive(Default)]
struct Rest {
    /// Leases on its arrays.
    keep: Option<Box<dyn Lender>>,
    heard: Heard,
    /// Of workers that have run it.
    deaths: Vec<Death>,
    /// How often the worker-written segment was replaced under it.
    n_replaced: u32,
}

impl Single {
    pub(crate) fn new(
        name: &'static str,
        code: Place,
        payload: Payload,
        keep: Option<Box<dyn Lender>>,
        extra: Option<Box<Extra>>,
    ) -> Self {
        let rest = keep.map(|keep| Box::new(Rest { keep: Some(keep), ..Rest::default() }));
        Single {
            name,
            code,
            extra,
            place: AtomicU32::new(QUEUED),
            doomed: AtomicU32::new(0),
            state: Mutex::new(State::Open { payload, n_waiting: 0, rest }),
            ended: Condvar::new(),
        }
    }

    /// One whose argument could not be made into bytes: it has ended before the mirror has heard of it.
    pub(crate) fn refused(name: &'static str, code: Place, why: String) -> Self {
        let single = Single::new(name, code, Payload::Inline(Bytes::new(&[])), None, None);
        // Relaxed: nobody else has it yet. Were it called queued, cancelling it would take it for one of the queue.
        single.place.store(ENDED, Relaxed);
        single.end(Failed::Refused(why).into());
        single
    }

    pub(crate) fn extra(&self) -> &Extra {
        self.extra.as_deref().unwrap_or(&PLAIN)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be given to its worker; nothing once it has ended.
    pub(crate) fn with_payload<R>(&self, give: impl FnOnce(&Payload) -> R) -> Option<R> {
        match &*self.lock() {
            State::Open { payload, .. } => Some(give(payload)),
            State::Ended(_) => None,
        }
    }

    /// How it ended, if it has.
    pub(crate) fn with_outcome<R>(&self, see: impl FnOnce(&Outcome) -> R) -> Option<R> {
        match &*self.lock() {
            State::Open { .. } => None,
            State::Ended(outcome) => Some(see(outcome)),
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(*self.lock(), State::Ended(_))
    }

    /// Says how it ended, gives back what it needed, and wakes whoever waits. Who else is to hear of it is for the caller to
    /// call. Without the engine's lock: the end of a lease is other people's code.
    pub(crate) fn end(&self, outcome: Outcome) -> Heard {
        let (payload, keep) = match &mut *self.lock() {
            State::Open { payload, rest, .. } => (
                std::mem::replace(payload, Payload::Inline(Bytes::new(&[]))),
                rest.as_mut().and_then(|rest| rest.keep.take()),
            ),
            State::Ended(_) => return Heard::default(),
        };
        let overrun = keep.as_ref().and_then(|keep| keep.overrun());
        // First, so that whoever hears of the end finds the arrays free.
        drop((payload, keep));
        let outcome =
            overrun.map_or(outcome, |Overrun { byte, len_bytes }| Failed::Overrun { byte, len_bytes }.into());
        let before = std::mem::replace(&mut *self.lock(), State::Ended(outcome));
        let State::Open { n_waiting, rest, .. } = before else { return Heard::default() };
        if n_waiting > 0 {
            self.ended.notify_all();
        }
        rest.map_or_else(Heard::default, |rest| rest.heard)
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
                let wakers = &mut rest.get_or_insert_default().heard.wakers;
                if !wakers.iter().any(|other| other.will_wake(waker)) {
                    wakers.push(waker.clone());
                }
                true
            }
        }
    }

    /// Has `callback` called when it has ended, unless `who` is [forgotten](Single::forget) before; gives it back if it has
    /// ended already.
    pub(crate) fn call_later(&self, who: usize, callback: Callback) -> Option<Callback> {
        match &mut *self.lock() {
            State::Ended(_) => Some(callback),
            State::Open { rest, .. } => {
                rest.get_or_insert_default().heard.callbacks.push((who, callback));
                None
            }
        }
    }

    /// Drops the callbacks of `who`.
    pub(crate) fn forget(&self, who: usize) {
        if let State::Open { rest: Some(rest), .. } = &mut *self.lock() {
            rest.heard.callbacks.retain(|&(whose, _)| whose != who);
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

    /// Notes that the worker-written segment was replaced under it; how often that was.
    pub(crate) fn replaced(&self) -> u32 {
        match &mut *self.lock() {
            State::Ended(_) => 0,
            State::Open { rest, .. } => {
                let n_replaced = &mut rest.get_or_insert_default().n_replaced;
                *n_replaced += 1;
                *n_replaced
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
