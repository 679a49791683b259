//! The parent's account of submitted tasks: those in the table, and those that wait for a place in it.
//!
//! The table holds as many as keep the workers busy for a moment, the rest waits here: so a task can be cancelled until a
//! worker takes it, costs no more than its own bytes meanwhile, and a job over arrays that comes after a million tasks
//! does not wait for all of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::message::{read_fault, read_message};
use super::mirror::{Blame, Control, Corrupt, Failure, Mirror, REPLACED_MAX};
use super::single::{Bytes, CANCELLED, ENDED, Failed, LATE, Outcome, Payload, QUEUED, Single};
use crate::array::Array;
use crate::control::entry::{Cursor, State, Tag};
use crate::control::parent::{INLINE, SINGLE, SingleSlot, TIMED};
use crate::control::worker::{IN_ROOM, Message, RESULT};
use crate::control::{MESSAGE_BYTES_MAX, N_ENTRIES};
use crate::error::{Death, Deaths, Fault};
use crate::park;
use crate::sync::Relaxed;
use crate::sys::clock;

/// Tasks in the table at once, for each worker: at first, and when they are short.
const WINDOW_MIN: usize = 2;
const WINDOW_MAX: usize = 1024;
/// The table is to hold what the workers do in this time.
const WINDOW_TIME: Duration = Duration::from_millis(4);

/// Those whose time may be up are looked for at least this often: a time limit may be any number of years.
const LATE_LOOK_MAX: Duration = Duration::from_secs(3600);

/// How often a look does not end at the first pending task.
const LOOK_AT_ALL: Duration = Duration::from_millis(10);

/// Books of one pool.
pub(crate) struct Singles {
    /// By entry.
    pub(super) held: Vec<Option<Held>>,
    pub(super) n_held: usize,
    /// For each ring, entries and their uses in the order of their hints; some are withdrawn.
    pub(super) order: Vec<VecDeque<(u32, u32)>>,
    queue: VecDeque<Arc<Single>>,
    /// Of `queue`, those that were cancelled there.
    n_stale: usize,
    /// Tasks that have ended, until somebody takes them.
    ended: Vec<(Arc<Single>, Outcome)>,
    window: usize,
    /// When tasks were last collected that had waited for a place in the table.
    collected: Instant,
    /// When every task in the table was last looked at.
    looked_at_all: Instant,
    /// Workers to wake for what was offered since they were last asked for; none of them in particular: any.
    wake: Option<u32>,
    /// Tasks in the table that have a time limit.
    n_timed: usize,
    /// When somebody will look for those whose time is up; whether he has to be told to look earlier.
    next_look: Option<Duration>,
    look_earlier: bool,
    /// The name of a task whose worker has died, which is to break the pool.
    broke: Option<&'static str>,
}

/// A task in the table.
pub(super) struct Held {
    pub(super) single: Arc<Single>,
    /// Where its result is to be, if it has asked.
    room: Option<Array<u8>>,
    /// Of a task with a time limit: when it was offered, and when it began, once it has been seen running ([`clock::awake`]).
    offered: Duration,
    began: Option<Duration>,
    /// How long this process had been stopped in all ([`clock::stopped`]) when it was last seen not to have begun.
    stopped: Duration,
}

impl Singles {
    pub(super) fn new(n_workers: usize) -> Self {
        Singles {
            held: Vec::new(),
            n_held: 0,
            order: vec![VecDeque::new(); n_workers],
            queue: VecDeque::new(),
            n_stale: 0,
            ended: Vec::new(),
            window: WINDOW_MIN * n_workers,
            collected: Instant::now(),
            looked_at_all: Instant::now(),
            wake: None,
            n_timed: 0,
            next_look: None,
            look_earlier: false,
            broke: None,
        }
    }
}

/// What one look at a task in the table has shown.
enum Look {
    Pending,
    Running,
    Ended(Outcome),
}

impl Mirror {
    /// Takes a task on.
    pub(crate) fn submit(&mut self, control: Control<'_>, single: Arc<Single>) -> Result<(), Corrupt> {
        self.queue(single);
        self.fill_table(control)
    }

    /// Takes a task on, for later.
    pub(crate) fn queue(&mut self, single: Arc<Single>) {
        self.singles.queue.push_back(single);
    }

    /// Whether a worker runs the task now.
    pub(crate) fn is_running(&self, control: Control<'_>, single: &Single) -> bool {
        let state = single.entry().map(|entry| control.workers.entries[entry as usize].state());
        state.is_some_and(|state| state.tag() == Some(Tag::Running))
    }

    /// Tasks that have not ended: in the table, and those that wait for a place in it.
    pub(crate) fn n_singles(&self) -> (usize, usize) {
        (self.singles.n_held, self.singles.queue.len() - self.singles.n_stale)
    }

    /// One of the tasks that have not ended, if there are any.
    pub(crate) fn some_single(&self) -> Option<Arc<Single>> {
        let held = self.singles.held.iter().flatten().map(|held| &held.single).next();
        // Relaxed: under the engine's lock.
        let queued = || self.singles.queue.iter().find(|single| single.place.load(Relaxed) != ENDED);
        held.or_else(queued).cloned()
    }

    /// The name of a task whose worker's death is to break the pool, once.
    pub(crate) fn take_break(&mut self) -> Option<&'static str> {
        self.singles.broke.take()
    }

    /// Tasks that have ended since [`take_ended`](Mirror::take_ended) was last called.
    pub(crate) fn n_ended(&self) -> usize {
        self.singles.ended.len()
    }

    /// Tasks that have ended since the last call.
    pub(crate) fn take_ended(&mut self) -> Vec<(Arc<Single>, Outcome)> {
        std::mem::take(&mut self.singles.ended)
    }

    /// The workers that are to be woken for tasks offered since the last call: bits of those that the tasks are meant for,
    /// or none of these for any.
    pub(crate) fn take_wake(&mut self) -> Option<u32> {
        self.singles.wake.take()
    }

    /// Accounts for the tasks in the table that have ended, and fills their places.
    ///
    /// Hints are taken in their order, so that nobody has those behind a pending one: a look ends there. Except where a full
    /// table has made an entry [rest](super::table::Table::let_rest) too short a time, and its next task is taken in the place of an older
    /// hint: it may end while those before it wait for long. So every now and then all are looked at.
    pub(crate) fn collect(&mut self, control: Control<'_>) -> Result<(), Corrupt> {
        let now = Instant::now();
        let all = now.duration_since(self.singles.looked_at_all) >= LOOK_AT_ALL;
        if all {
            self.singles.looked_at_all = now;
        }
        let (mut running, mut pending) = (Vec::new(), Vec::new());
        let mut starved = false;
        for ring in 0..self.singles.order.len() {
            let checked = loop {
                let Some((entry, seq)) = self.singles.order[ring].pop_front() else {
                    starved |= pending.is_empty();
                    break Ok(());
                };
                if self.table[entry].seq != seq {
                    continue; // it was withdrawn
                }
                match self.look_at_single(control, entry) {
                    Ok(Look::Pending) if all => pending.push((entry, seq)),
                    Ok(Look::Pending) => {
                        self.singles.order[ring].push_front((entry, seq));
                        break Ok(());
                    }
                    Ok(Look::Running) => running.push((entry, seq)),
                    Ok(Look::Ended(outcome)) => {
                        self.count_task(control, entry);
                        let held = self.let_go(control, entry);
                        self.singles.ended.push((held.single, outcome));
                        self.n_finished += 1;
                    }
                    Err(corrupt) => {
                        self.singles.order[ring].push_front((entry, seq));
                        break Err(corrupt);
                    }
                }
            };
            // Those that run first, whatever order they were offered in: so the next look finds their ends.
            for lease in running.drain(..).chain(pending.drain(..)).rev() {
                self.singles.order[ring].push_front(lease);
            }
            checked?;
        }
        self.adapt_window(now, starved);
        self.fill_table(control)
    }

    /// One more for who has ended the task in `entry`.
    fn count_task(&mut self, control: Control<'_>, entry: u32) {
        let owner = control.workers.entries[entry as usize].state().owner();
        if let Some(n_tasks) = self.n_tasks_of.get_mut(usize::from(owner.slot)) {
            *n_tasks += 1;
        }
    }

    /// Lets more tasks into the table when workers had none left, and fewer when those there last long.
    fn adapt_window(&mut self, now: Instant, starved: bool) {
        let singles = &mut self.singles;
        if singles.queue.is_empty() {
            return;
        }
        let n_workers = singles.order.len();
        let elapsed = now.duration_since(singles.collected);
        singles.collected = now;
        if elapsed > WINDOW_TIME {
            singles.window = (singles.window / 2).max(WINDOW_MIN * n_workers);
        } else if starved {
            singles.window = (singles.window * 2).min(WINDOW_MAX * n_workers).min(N_ENTRIES / 2);
        }
    }

    /// Gives places in the table to tasks that wait for one.
    fn fill_table(&mut self, control: Control<'_>) -> Result<(), Corrupt> {
        // A ring gets no task while hints of jobs wait for it; the job may have been cancelled, and nobody else may look.
        self.flush_overflow(control)?;
        while self.singles.n_held < self.singles.window {
            let Some(single) = self.singles.queue.pop_front() else { break };
            // Relaxed: written under the engine's lock, as are all of these.
            if single.place.load(Relaxed) == ENDED {
                self.singles.n_stale -= 1;
                continue;
            }
            if single.doomed.load(Relaxed) == CANCELLED {
                single.place.store(ENDED, Relaxed);
                self.singles.ended.push((single, Failed::Cancelled.into()));
                continue;
            }
            let ring = self.choose_ring(control);
            let Some((ring, entry)) = ring.and_then(|ring| Some((ring, self.table.allocate(control)?)))
            else {
                self.singles.queue.push_front(single);
                break;
            };
            let seq = self.table.fill(entry, ring as u16, 0, 1);
            // Relaxed throughout: published by the state.
            let descriptor = &control.parent.entries[entry as usize];
            descriptor.job.store(SINGLE, Relaxed);
            descriptor.start.store(0, Relaxed);
            descriptor.len.store(1, Relaxed);
            if single
                .with_payload(|payload| write_slot(&control.parent.singles[entry as usize], &single, payload))
                .is_none()
            {
                debug_assert!(false, "a task that is queued has not ended");
            }
            single.place.store(entry, Relaxed);
            let (mut offered, mut stopped) = (Duration::ZERO, Duration::ZERO);
            if let Some(limit) = single.extra().time_limit {
                (offered, stopped) = (clock::awake(), clock::stopped());
                self.singles.n_timed += 1;
                let earliest = offered.saturating_add(limit);
                self.singles.look_earlier |= self.singles.next_look.is_none_or(|look| look > earliest);
            }
            if self.singles.held.len() <= entry as usize {
                self.singles.held.resize_with(entry as usize + 1, || None);
            }
            self.singles.held[entry as usize] =
                Some(Held { single, room: None, offered, began: None, stopped });
            self.singles.n_held += 1;
            self.singles.order[ring].push_back((entry, seq));
            control.workers.entries[entry as usize].began_ns.store(0, Relaxed);
            control.workers.entries[entry as usize].offer(0, seq);
            self.table.push(control, entry)?;
            if self.table[entry].position.is_none() {
                // And nobody would push it later.
                return Err(Corrupt(format!("ring {ring} had room for entry {entry}, and then had none")));
            }
        }
        Ok(())
    }

    /// The ring of a worker that sleeps and has nothing to do, who is then to be woken; or else the shortest.
    fn choose_ring(&mut self, control: Control<'_>) -> Option<usize> {
        let Mirror { singles, table, .. } = self;
        let n_workers = singles.order.len();
        let has_room = |ring: usize| table.has_room(control, ring);
        let slots = &control.workers.slots;
        let idle = (0..n_workers).find(|&ring| singles.order[ring].is_empty() && park::sleeps(&slots[ring]));
        if let Some(ring) = idle.filter(|&ring| has_room(ring)) {
            let before = singles.wake.unwrap_or(park::bit(ring).get());
            singles.wake = Some(if before == 0 { 0 } else { before | park::bit(ring).get() });
            return Some(ring);
        }
        let shortest =
            (0..n_workers).filter(|&ring| has_room(ring)).min_by_key(|&ring| singles.order[ring].len())?;
        singles.wake = Some(0);
        Some(shortest)
    }

    fn look_at_single(&mut self, control: Control<'_>, entry: u32) -> Result<Look, Corrupt> {
        let words = &control.workers.entries[entry as usize];
        let (state, seq) = (words.state(), self.table[entry].seq);
        if state.seq() != seq {
            return Err(Corrupt(format!("entry {entry} is {state:?}, its use is {seq}")));
        }
        match state.tag() {
            Some(Tag::Pending) => return Ok(Look::Pending),
            Some(Tag::Running) if usize::from(state.owner().slot) < self.table.n_rings() => {
                return Ok(Look::Running);
            }
            _ => {}
        }
        let cursor = words.cursor();
        let message = &control.workers.messages[entry as usize];
        let outcome = match state.tag() {
            Some(Tag::Done) if cursor == DONE => self.returned(entry, message),
            Some(Tag::Failed) if cursor == BEGUN => Some(Outcome::from(match read_message(message) {
                Failure::Panicked { message, location } => Failed::Panicked { message, location },
                Failure::Returned(text) => Failed::Refused(String::from_utf8_lossy(&text).into_owned()),
                Failure::Died(_) | Failure::Interrupted => unreachable!("no message says so"),
            })),
            _ => None,
        };
        let corrupt = || Corrupt(format!("entry {entry} is {state:?} at {cursor:?} of a submitted task"));
        outcome.map(Look::Ended).ok_or_else(corrupt)
    }

    /// What a task that is done has returned; nothing if its worker has not said.
    fn returned(&mut self, entry: u32, message: &Message) -> Option<Outcome> {
        // Relaxed: published by the entry's state (A4).
        let (kind, bytes) = (message.kind.load(Relaxed), message.bytes.load(Relaxed));
        match kind {
            RESULT if bytes <= MESSAGE_BYTES_MAX as u64 => {
                let mut text = [0; MESSAGE_BYTES_MAX];
                let words = &message.text[..(bytes as usize).div_ceil(8)];
                for (place, word) in text.chunks_exact_mut(8).zip(words) {
                    place.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
                }
                Some(Outcome::Returned(Bytes::new(&text[..bytes as usize])))
            }
            IN_ROOM => {
                let room = self.singles.held[entry as usize].as_mut()?.room.take()?;
                (bytes <= room.len() as u64).then_some(Outcome::InRoom(Arc::new(room), bytes as usize))
            }
            _ => None,
        }
    }

    /// Takes a task out of the table.
    fn let_go(&mut self, control: Control<'_>, entry: u32) -> Held {
        let held = self.singles.held[entry as usize].take().expect("in the table");
        // Relaxed: under the engine's lock.
        held.single.place.store(ENDED, Relaxed);
        self.singles.n_held -= 1;
        self.singles.n_timed -= usize::from(held.single.extra().time_limit.is_some());
        self.table.release(control, entry);
        held
    }

    fn queue_again(&mut self, single: Arc<Single>) {
        // Relaxed: under the engine's lock.
        single.place.store(QUEUED, Relaxed);
        self.singles.queue.push_front(single);
    }

    /// Ends a task that no worker has claimed; false if one has, or it has ended.
    pub(crate) fn withdraw_single(&mut self, control: Control<'_>, single: &Arc<Single>) -> bool {
        // Relaxed: under the engine's lock.
        match single.place.load(Relaxed) {
            ENDED => return false,
            QUEUED => {
                single.place.store(ENDED, Relaxed);
                self.singles.n_stale += 1;
                if self.singles.n_stale > 64 && self.singles.n_stale > self.singles.queue.len() / 2 {
                    self.singles.queue.retain(|single| single.place.load(Relaxed) != ENDED);
                    self.singles.n_stale = 0;
                }
            }
            entry => {
                let seq = self.table[entry].seq;
                if !control.workers.entries[entry as usize].try_cancel(seq) {
                    return false;
                }
                self.let_go(control, entry);
                self.table.let_rest(control, entry);
            }
        }
        self.singles.ended.push((Arc::clone(single), Failed::Cancelled.into()));
        true
    }

    /// Ends every task that no worker has claimed; only those that wait for a place in the table if that is `not_believed`.
    pub(crate) fn withdraw_all_singles(&mut self, control: Control<'_>, not_believed: bool) {
        let held =
            self.singles.held.iter().flatten().filter(|_| !not_believed).map(|held| Arc::clone(&held.single));
        let all: Vec<Arc<Single>> = held.chain(self.singles.queue.iter().cloned()).collect();
        for single in all {
            self.withdraw_single(control, &single);
        }
    }

    /// Has the workers killed that run a task; what is pending stays.
    pub(super) fn doom_all_singles(&mut self) {
        for held in self.singles.held.iter().flatten() {
            // Relaxed: under the engine's lock.
            held.single.doomed.store(CANCELLED, Relaxed);
        }
    }

    /// Ends every task of a pool that has no worker left. Those that have ended by themselves did so, unless the table is
    /// `not_believed`.
    pub(crate) fn abandon_singles(&mut self, control: Control<'_>, reason: &str, not_believed: bool) {
        for entry in self.single_entries().collect::<Vec<u32>>() {
            let ended = match self.look_at_single(control, entry) {
                Ok(Look::Ended(outcome)) if !not_believed => Some(outcome),
                _ => None,
            };
            if ended.is_some() {
                self.count_task(control, entry);
            }
            let single = self.let_go(control, entry).single;
            match ended {
                Some(outcome) => self.singles.ended.push((single, outcome)),
                None => self.queue_again(single),
            }
        }
        for single in std::mem::take(&mut self.singles.queue) {
            // Relaxed: under the engine's lock.
            if single.place.swap(ENDED, Relaxed) != ENDED {
                self.singles.ended.push((single, Failed::PoolBroken(reason.to_owned()).into()));
            }
        }
        self.singles.n_stale = 0;
        self.singles.order.iter_mut().for_each(VecDeque::clear);
    }

    /// Entries of submitted tasks in the table.
    pub(super) fn single_entries(&self) -> impl Iterator<Item = u32> {
        let held = self.singles.held.iter().enumerate().filter(|(_, held)| held.is_some());
        held.map(|(entry, _)| entry as u32)
    }

    /// Slots of the workers that run a task which must end now.
    pub(super) fn doomed_singles(&self, control: Control<'_>) -> impl Iterator<Item = usize> {
        let doomed = |entry: &u32| {
            let held = self.singles.held[*entry as usize].as_ref();
            // Relaxed: under the engine's lock.
            held.is_some_and(|held| held.single.doomed.load(Relaxed) != 0)
        };
        let states = self
            .single_entries()
            .filter(doomed)
            .map(move |entry| control.workers.entries[entry as usize].state());
        states.filter(|state| state.tag() == Some(Tag::Running)).map(|state| usize::from(state.owner().slot))
    }

    /// True if [`doom_late`](Mirror::doom_late) is to be called earlier than it has asked for.
    pub(crate) fn take_look_earlier(&mut self) -> bool {
        std::mem::take(&mut self.singles.look_earlier)
    }

    /// Dooms tasks whose time is up; how long until the next one's may be.
    pub(crate) fn doom_late(&mut self, control: Control<'_>) -> Option<Duration> {
        (self.singles.next_look, self.singles.look_earlier) = (None, false);
        if self.singles.n_timed == 0 {
            return None;
        }
        let (now, stopped, worker_now) = (clock::awake(), clock::stopped(), clock::monotonic());
        let held = self.singles.held.iter_mut().enumerate();
        let mut next: Option<Duration> = None;
        for (entry, held) in held.filter_map(|(entry, held)| Some((entry, held.as_mut()?))) {
            let Held { single, offered, began, stopped: before, .. } = held;
            let Some(limit) = single.extra().time_limit else { continue };
            let words = &control.workers.entries[entry];
            if words.state().tag() != Some(Tag::Running) {
                *before = stopped;
            } else if began.is_none() {
                // Relaxed: its worker's own word, which is believed between the offer and now, and only once. A worker that was
                // stopped before it could say anything has begun as well. For as long as we were stopped, so were the workers,
                // or nobody could have ended them.
                let said = Duration::from_nanos(words.began_ns.load(Relaxed));
                let ago = if said.is_zero() { Duration::ZERO } else { worker_now.saturating_sub(said) };
                let ago = ago.saturating_sub(stopped.saturating_sub(*before));
                *began = Some(now.saturating_sub(ago).clamp(*offered, now.max(*offered)));
            }
            let elapsed = began.map_or(Duration::ZERO, |began| now.saturating_sub(began));
            if elapsed >= limit {
                // Relaxed: under the engine's lock.
                let _ = single.doomed.compare_exchange(0, LATE, Relaxed, Relaxed);
            } else {
                let left = (limit - elapsed).min(LATE_LOOK_MAX);
                next = Some(next.map_or(left, |next| next.min(left)));
            }
        }
        self.singles.next_look = next.map(|next| now + next);
        next
    }

    /// What is to become of the task that a dead worker held.
    pub(super) fn recover_single(
        &mut self,
        control: Control<'_>,
        entry: u32,
        state: State,
        death: &Death,
    ) -> Result<Blame, Corrupt> {
        let words = &control.workers.entries[entry as usize];
        let (cursor, seq) = (words.cursor(), self.table[entry].seq);
        let fault = read_fault(&control.workers.messages[entry as usize], state);
        let at = [NOT_BEGUN, BEGUN, DONE].into_iter().position(|at| at == cursor);
        let (Some(at), true) = (at, state.seq() == seq) else {
            return Err(Corrupt(format!("entry {entry} died at {cursor:?} of a submitted task")));
        };
        if at == 2 {
            // It had said all that there is to say.
            let returned = self.returned(entry, &control.workers.messages[entry as usize]);
            let outcome =
                returned.ok_or_else(|| Corrupt(format!("entry {entry} is done and has returned nothing")))?;
            self.count_task(control, entry);
            self.n_finished += 1;
            let single = self.let_go(control, entry).single;
            self.singles.ended.push((single, outcome));
            return Ok(Blame::Nobody);
        }
        let single = self.let_go(control, entry).single;
        self.table.let_rest(control, entry); // its worker may have died before it moved the head
        // Relaxed: under the engine's lock.
        let outcome = match single.doomed.load(Relaxed) {
            CANCELLED => Failed::Cancelled,
            LATE => Failed::TimedOut(single.extra().time_limit.unwrap_or_default()),
            _ if at == 0 => {
                self.queue_again(single);
                self.fill_table(control)?;
                return Ok(Blame::Nobody);
            }
            _ => {
                let fault =
                    fault.map(|(operand, byte)| Fault { array: LENT[operand.min(LENT.len() - 1)], byte });
                let deaths = single.died(Death { fault, ..death.clone() });
                if single.extra().breaks {
                    self.singles.broke = Some(single.name);
                }
                if single.extra().policy.forgives(&deaths) {
                    self.queue_again(single);
                    self.fill_table(control)?;
                    return Ok(Blame::Single);
                }
                Failed::Died(Deaths(deaths))
            }
        };
        self.singles.ended.push((single, outcome.into()));
        Ok(if at == 1 { Blame::Single } else { Blame::Nobody })
    }

    /// Starts over with a fresh worker-written segment: who was at which task cannot be known.
    pub(super) fn replace_under_singles(&mut self, control: Control<'_>) -> Result<(), Corrupt> {
        for entry in self.single_entries().collect::<Vec<u32>>().into_iter().rev() {
            let single = self.let_go(control, entry).single;
            // Relaxed: under the engine's lock.
            let why = match single.doomed.load(Relaxed) {
                CANCELLED => Failed::Cancelled,
                LATE => Failed::TimedOut(single.extra().time_limit.unwrap_or_default()),
                _ if single.extra().policy.faults_max <= 1 => Failed::Interrupted,
                _ => match single.replaced() {
                    // It may be the one that does it.
                    times @ REPLACED_MAX.. => Failed::Corrupted(times),
                    _ => {
                        self.queue_again(single);
                        continue;
                    }
                },
            };
            self.singles.ended.push((single, why.into()));
        }
        self.singles.order.iter_mut().for_each(VecDeque::clear);
        self.fill_table(control)
    }

    /// Whether a task in the table works on the share of that number.
    pub(crate) fn lends(&self, share: u64) -> bool {
        self.singles.held.iter().flatten().any(|held| held.single.extra().shares.contains(&share))
    }

    /// Whether the worker in `slot` runs the task in `entry`, which then may have room for its result: once, since what it
    /// has may be written to.
    pub(crate) fn may_have_room(&self, control: Control<'_>, slot: u16, entry: u32) -> bool {
        let held = self.singles.held.get(entry as usize).and_then(Option::as_ref);
        held.is_some_and(|held| held.room.is_none()) && {
            let state = control.workers.entries[entry as usize].state();
            state.tag() == Some(Tag::Running) && state.owner().slot == slot
        }
    }

    /// The room that the task in `entry` has asked for; false, and it stays where it is, if the task may not have it.
    pub(crate) fn give_room(
        &mut self,
        control: Control<'_>,
        slot: u16,
        entry: u32,
        room: &mut Option<Array<u8>>,
    ) -> bool {
        let may = self.may_have_room(control, slot, entry);
        if may && let Some(held) = self.singles.held[entry as usize].as_mut() {
            held.room = room.take();
        }
        may
    }
}

const NOT_BEGUN: Cursor = Cursor { next: 0, started: false };
const BEGUN: Cursor = Cursor { next: 0, started: true };
const DONE: Cursor = Cursor { next: 1, started: false };

/// What messages call the arrays that a task works on.
const LENT: [&str; 5] = ["arrays.0", "arrays.1", "arrays.2", "arrays.3", "arrays.4"];

/// Relaxed throughout: published by the state of the entry.
fn write_slot(slot: &SingleSlot, single: &Single, payload: &Payload) {
    slot.code.store(single.code.0, Relaxed);
    slot.n_lent.store(single.extra().n_lent, Relaxed);
    slot.flags.store(if single.extra().time_limit.is_some() { TIMED } else { 0 }, Relaxed);
    let (bytes, offset) = match payload {
        Payload::Inline(bytes) => {
            let bytes = bytes.as_slice();
            for (word, bytes) in slot.payload.iter().zip(bytes.chunks(8)) {
                let mut padded = [0; 8];
                padded[..bytes.len()].copy_from_slice(bytes);
                word.store(u64::from_ne_bytes(padded), Relaxed);
            }
            (bytes.len(), INLINE)
        }
        Payload::Arena(block, bytes) => (*bytes, block.block().offset()),
    };
    slot.bytes.store(bytes as u64, Relaxed);
    slot.offset.store(offset, Relaxed);
}
