//! The parent's private account of every job and entry. What stands in shared memory is a claim; what stands
//! here is true.
//!
//! Pure bookkeeping over the two control segments: no process, no system call, no clock. Everything read from
//! the worker-written segment is checked, and used as it was read; what no honest worker writes is [`Corrupt`].

use std::collections::{BTreeMap, VecDeque};

use super::job::{JobSpec, Lease, Policy, cut};
use super::message::{read_fault, read_message};
use super::singles::Singles;
use super::table::{Entry, Table};
use crate::control::entry::{State, Tag};
use crate::control::parent::{JobSlot, ParentControl};
use crate::control::worker::WorkerControl;
use crate::control::{N_JOBS, N_OPERANDS};
use crate::error::{Death, Deaths, Fault};
use crate::park;
use crate::ring::Ring;
use crate::sync::Relaxed;

/// The worker-written segment holds what no honest worker writes; says what.
#[derive(Debug, Clone)]
pub(crate) struct Corrupt(pub(crate) String);

/// Both control segments, as the parent sees them.
#[derive(Clone, Copy)]
pub(crate) struct Control<'a> {
    pub(crate) parent: &'a ParentControl,
    pub(crate) workers: &'a WorkerControl,
}

impl<'a> Control<'a> {
    pub(super) fn ring(self, ring: usize) -> Ring<'a> {
        Ring { parent: &self.parent.rings[ring], workers: &self.workers.heads[ring] }
    }
}

/// Tasks that failed are kept with their errors up to here; beyond, the job is cancelled.
pub(crate) const FAILURES_MAX: usize = 256;

/// How often the worker-written segment may be replaced under one job, or one submitted task that is run again.
pub(crate) const REPLACED_MAX: u32 = 3;

/// Why a task failed.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    Panicked {
        message: String,
        location: String,
    },
    Returned(Vec<u8>),
    Died(Deaths),
    /// It was running, or may have been, when the control segment had to be thrown away, and must not run
    /// twice.
    Interrupted,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tasks that are done.
    pub n_done: u64,
    /// Tasks in all.
    pub n_tasks: u64,
}

/// Why a job ended before all of its tasks had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Cancelled,
    TimedOut,
}

/// What a worker was at when it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Nothing, or between tasks.
    Nobody,
    /// A task of a job.
    Job,
    /// A submitted task.
    Single,
}

/// A job under way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    n_tasks: u32,
    policy: Policy,
    /// What the caller knows its operands as.
    names: [&'static str; N_OPERANDS],
    /// Leases without an entry yet.
    backlog: VecDeque<Lease>,
    /// Entries that are not accounted for.
    outstanding: Vec<u32>,
    /// Ranges of tasks that are done, in no order.
    done: Vec<(u32, u32)>,
    n_done: u64,
    failures: BTreeMap<u32, Failure>,
    n_failed: u32,
    /// Deaths of workers at each task that has seen any.
    deaths: BTreeMap<u32, Vec<Death>>,
    cancelled: bool,
    /// Who holds the job or its deadline wants it to end.
    stopped: Option<Stop>,
    /// Workers that go on with it all the same are to be killed.
    doomed: bool,
    /// Leases offered so far, less those that ended without their owner counting them.
    n_counted: u32,
    /// How often the worker-written segment was replaced under it.
    pub(crate) n_replaced: u32,
}

/// What became of a job.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) n_tasks: u32,
    /// Ranges of done tasks as `(start, end)`, ordered and merged.
    pub(crate) done: Vec<(u64, u64)>,
    pub(crate) failures: BTreeMap<u32, Failure>,
    pub(crate) n_failed: u32,
    /// Why some tasks have neither been done nor failed, if somebody wanted it so.
    pub(crate) stopped: Option<Stop>,
}

impl Ended {
    /// Of a job that was stopped before it began.
    pub(crate) fn before_it_began(n_tasks: u32, why: Stop) -> Self {
        let (done, failures) = (Vec::new(), BTreeMap::new());
        Ended { n_tasks, done, failures, n_failed: 0, stopped: Some(why) }
    }

    /// How far it came.
    pub(crate) fn progress(&self) -> Progress {
        let n_done = self.done.iter().map(|(start, end)| end - start).sum();
        Progress { n_done, n_tasks: self.n_tasks.into() }
    }
}

/// Every job and entry of a pool.
pub(crate) struct Mirror {
    jobs: Vec<Option<Job>>,
    pub(super) singles: Singles,
    pub(super) table: Table,
    next_job_id: u64,
    /// Leases that ended by themselves, of all jobs.
    pub(super) n_finished: u64,
    /// Tasks done by the workers of each slot.
    pub(super) n_tasks_of: Vec<u64>,
    /// Something was offered since [`take_offered`](Mirror::take_offered) was last asked.
    offered: bool,
}

impl Mirror {
    pub(crate) fn new(n_workers: usize) -> Self {
        Mirror {
            jobs: (0..N_JOBS).map(|_| None).collect(),
            singles: Singles::new(n_workers),
            table: Table::new(n_workers),
            next_job_id: 1,
            n_finished: 0,
            n_tasks_of: vec![0; n_workers],
            offered: false,
        }
    }

    /// Opens a job in a free slot and offers its leases; `None` while every slot, or every entry, is taken.
    pub(crate) fn open(
        &mut self,
        control: Control<'_>,
        spec: &JobSpec<'_>,
    ) -> Option<(usize, Result<(), Corrupt>)> {
        let index = self.jobs.iter().position(Option::is_none)?;
        if spec.n_tasks > 0 && self.table.is_full() {
            // One entry is enough for a job to go on with its own; with none it would wait for others to end, who may be
            // waiting for it.
            return None;
        }
        let backlog: VecDeque<Lease> = cut(spec.n_tasks, self.table.n_rings()).into();
        let job = Job {
            id: self.next_job_id,
            n_tasks: spec.n_tasks,
            policy: spec.policy,
            names: spec.names,
            backlog,
            outstanding: Vec::new(),
            done: Vec::new(),
            n_done: 0,
            failures: BTreeMap::new(),
            n_failed: 0,
            deaths: BTreeMap::new(),
            cancelled: false,
            stopped: None,
            doomed: false,
            n_counted: 0,
            n_replaced: 0,
        };
        self.next_job_id += 1;
        // Relaxed: nobody waits on it yet; a late worker of the slot's last job may still add to it, which
        // only wakes early.
        control.workers.jobs[index].completed.store(0, Relaxed);
        write_slot(&control.parent.jobs[index], spec, job.id);
        self.jobs[index] = Some(job);
        Some((index, self.offer_backlog(control, index)))
    }

    /// Whether any job is open.
    pub(crate) fn has_jobs(&self) -> bool {
        self.jobs.iter().any(Option::is_some)
    }

    /// The job in a slot.
    pub(crate) fn job(&self, index: usize) -> &Job {
        self.jobs[index].as_ref().expect("the slot is open until its caller closes it")
    }

    /// Looks at every outstanding entry of a job and accounts for what has ended; true if the job is
    /// complete.
    pub(crate) fn account(&mut self, control: Control<'_>, index: usize) -> Result<bool, Corrupt> {
        self.flush_overflow(control)?;
        let Mirror { jobs, table, n_finished, n_tasks_of, .. } = self;
        let job = jobs[index].as_mut().expect("open");
        let mut outstanding = std::mem::take(&mut job.outstanding);
        let mut failed = Vec::new();
        let mut checked = Ok(());
        outstanding.retain(|&entry| {
            if checked.is_err() {
                return true; // nothing of this table is believed any more
            }
            let mirror = table[entry];
            match look(control, entry, mirror, job, n_tasks_of) {
                Ok(Look::Open) => return true,
                Ok(Look::Ended) => {}
                Ok(Look::Failed { task }) => {
                    let failure = read_message(&control.workers.messages[entry as usize]);
                    failed.push((task, mirror.start + mirror.len, mirror.ring, failure));
                }
                Err(corrupt) => {
                    checked = Err(corrupt);
                    return true;
                }
            }
            table.release(control, entry);
            *n_finished += 1;
            false
        });
        job.outstanding = outstanding;
        for (task, end, ring, failure) in failed {
            self.settle_failure(control, index, task, end, ring, failure);
        }
        checked?;
        self.offer_backlog(control, index)?;
        let job = self.job(index);
        Ok(job.outstanding.is_empty() && job.backlog.is_empty())
    }

    /// Closes a complete job and frees its slot.
    pub(crate) fn close(&mut self, index: usize) -> Ended {
        let mut job = self.jobs[index].take().expect("closed once");
        job.done.sort_unstable();
        let mut done: Vec<(u64, u64)> = Vec::new();
        for (start, len) in job.done {
            let (start, end) = (u64::from(start), u64::from(start) + u64::from(len));
            match done.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => done.push((start, end)),
            }
        }
        let Job { n_tasks, failures, n_failed, .. } = job;
        let stopped = job.stopped.filter(|_| job.n_done + u64::from(n_failed) < n_tasks.into());
        Ended { n_tasks, done, failures, n_failed, stopped }
    }

    /// Gives up a job of a pool that has no worker left.
    pub(crate) fn abandon(&mut self, control: Control<'_>, index: usize) -> Ended {
        let job = self.jobs[index].as_mut().expect("open");
        job.backlog.clear();
        for entry in std::mem::take(&mut job.outstanding) {
            self.table.release(control, entry);
        }
        self.close(index)
    }

    /// Takes back what a dead worker held. To be called once the kernel has reported its death, and before
    /// its slot is filled again. What it died of.
    pub(crate) fn recover(
        &mut self,
        control: Control<'_>,
        slot: u16,
        death: &Death,
    ) -> Result<Blame, Corrupt> {
        let jobs = self.jobs.iter().enumerate().filter_map(|(index, job)| Some((index, job.as_ref()?)));
        let entries =
            jobs.flat_map(|(index, job)| job.outstanding.iter().map(move |&entry| (Some(index), entry)));
        let entries = entries.chain(self.single_entries().map(|entry| (None, entry)));
        let states =
            entries.map(|(index, entry)| (index, entry, control.workers.entries[entry as usize].state()));
        let mut held =
            states.filter(|(_, _, state)| state.tag() == Some(Tag::Running) && state.owner().slot == slot);
        let Some((index, entry, state)) = held.next() else { return Ok(Blame::Nobody) };
        if let Some((_, other, _)) = held.next() {
            return Err(Corrupt(format!("entries {entry} and {other} are both running in slot {slot}")));
        }
        drop(held);
        let Some(index) = index else { return self.recover_single(control, entry, state, death) };
        let suspect = self.recover_entry(control, index, entry, state, death)?;
        self.offer_backlog(control, index)?;
        Ok(suspect.map_or(Blame::Nobody, |_| Blame::Job))
    }

    /// Starts over with a fresh worker-written segment, after every worker has been reaped: what is not
    /// accounted for is offered again, or fails if it must not run twice.
    pub(crate) fn replace_workers_segment(&mut self, control: Control<'_>) -> Result<(), Corrupt> {
        self.table.empty_rings(control);
        for index in 0..self.jobs.len() {
            let Some(job) = self.jobs[index].as_mut() else { continue };
            job.n_replaced += 1;
            // The fresh segment counts from zero.
            job.n_counted = job.outstanding.len() as u32;
            let outstanding = std::mem::take(&mut job.outstanding);
            for entry in outstanding {
                let Entry { start, len, ring, .. } = self.table[entry];
                self.table.release(control, entry);
                let job = self.jobs[index].as_mut().expect("open");
                job.n_counted -= 1;
                if job.cancelled {
                    continue;
                }
                if job.policy.faults_max > 1 {
                    job.backlog.push_back(Lease { ring, start, len });
                } else {
                    job.fail(start, Failure::Interrupted);
                    job.n_failed += len - 1;
                }
            }
            self.offer_backlog(control, index)?;
        }
        self.replace_under_singles(control)
    }

    /// Ends a job early: pending leases are withdrawn, running ones stop before their next task.
    pub(crate) fn cancel(&mut self, control: Control<'_>, index: usize) {
        let job = self.jobs[index].as_mut().expect("open");
        if job.cancelled {
            return;
        }
        job.cancelled = true;
        job.backlog.clear();
        // Relaxed: nothing travels with it but the word itself; workers poll it between tasks.
        control.parent.jobs[index].cancel.store(1, Relaxed);
        self.withdraw(control, index, |_| true);
    }

    /// Ends a job early because somebody wants it so. With `kill`, workers that go on with a task of it are
    /// [`doomed`](Mirror::doomed) too.
    pub(crate) fn stop(&mut self, control: Control<'_>, index: usize, why: Stop, kill: bool) {
        let job = self.jobs[index].as_mut().expect("open");
        job.stopped.get_or_insert(why);
        job.doomed |= kill;
        self.cancel(control, index);
    }

    /// Ends every job and every submitted task early.
    pub(crate) fn stop_all(&mut self, control: Control<'_>, not_believed: bool) {
        for index in 0..self.jobs.len() {
            if self.jobs[index].is_some() {
                self.stop(control, index, Stop::Cancelled, true);
            }
        }
        self.withdraw_all_singles(control, not_believed);
        self.doom_all_singles();
    }

    /// The slot of the job with this number, while it is open.
    pub(crate) fn find(&self, id: u64) -> Option<usize> {
        self.jobs.iter().position(|job| job.as_ref().is_some_and(|job| job.id == id))
    }

    /// Slots of the workers that run a task of a job which must end now.
    pub(crate) fn doomed(&self, control: Control<'_>) -> Vec<usize> {
        let doomed = self.jobs.iter().flatten().filter(|job| job.doomed);
        let states = doomed
            .flat_map(|job| &job.outstanding)
            .map(|&entry| control.workers.entries[entry as usize].state());
        let running = states.filter(|state| state.tag() == Some(Tag::Running));
        running.map(|state| usize::from(state.owner().slot)).chain(self.doomed_singles(control)).collect()
    }

    /// Looks for leases that would never end, since nobody runs them: a worker lied about the head of a ring, or
    /// took them in the name of another one. Honest workers never make a pool look like this, not for an instant.
    ///
    /// `has_process` tells the slots that have one, or are about to.
    pub(crate) fn check_owners(
        &self,
        control: Control<'_>,
        has_process: impl Fn(usize) -> bool,
    ) -> Result<(), Corrupt> {
        self.table.check_heads(control)?;
        let state_of = |entry: u32| control.workers.entries[entry as usize].state();
        let mut leases: Vec<Option<(u32, State)>> = vec![None; self.table.n_rings()];
        let of_jobs = self.jobs.iter().flatten().flat_map(|job| job.outstanding.iter().copied());
        for entry in of_jobs.chain(self.single_entries()) {
            let passed = self.table.is_passed(control, entry);
            // Behind the head: who passed the hint had seen the entry claimed (I1).
            let state = state_of(entry);
            if passed && state.tag() == Some(Tag::Pending) {
                return Err(Corrupt(format!("entry {entry} is {state:?}, and its hint was passed by")));
            }
            if state.tag() != Some(Tag::Running) {
                continue;
            }
            let owner = usize::from(state.owner().slot);
            let Some(slot) = control.workers.slots.get(owner) else { continue };
            if !has_process(owner) {
                return Err(Corrupt(format!("entry {entry} is {state:?}, and there is no such process")));
            }
            // A worker ends its lease before it sleeps (P1), so the second look at the state sees the end.
            if park::sleeps(slot) && state_of(entry) == state {
                return Err(Corrupt(format!("entry {entry} is {state:?}, whose owner sleeps")));
            }
            // And before it takes the next one.
            let Some(lease) = leases.get_mut(owner) else { continue };
            if let Some((earlier, seen)) = lease.replace((entry, state))
                && state_of(earlier) == seen
            {
                return Err(Corrupt(format!(
                    "entry {earlier} is {seen:?}, and so is entry {entry} ({state:?})"
                )));
            }
        }
        Ok(())
    }

    /// True if leases were offered since the last call: somebody has to be woken for them.
    pub(crate) fn take_offered(&mut self) -> bool {
        std::mem::take(&mut self.offered)
    }

    /// Tasks that the workers of each slot have done.
    pub(crate) fn n_tasks_of(&self) -> &[u64] {
        &self.n_tasks_of
    }

    /// Jobs that have not ended, and leases and submitted tasks that run or wait for a worker.
    pub(crate) fn n_open(&self) -> (usize, usize) {
        let jobs = || self.jobs.iter().flatten();
        let (n_held, n_queued) = self.n_singles();
        let n_leases = jobs().map(|job| job.outstanding.len() + job.backlog.len()).sum::<usize>();
        (jobs().count(), n_leases + n_held + n_queued)
    }

    /// Leases that ended by themselves so far: a sign that the pool gets somewhere.
    pub(crate) fn n_finished(&self) -> u64 {
        self.n_finished
    }

    /// Tasks of a job that are done, with those of leases under way as far as their cursors can be believed.
    pub(crate) fn n_done(&self, control: Control<'_>, index: usize) -> u64 {
        let job = self.job(index);
        let under_way = job.outstanding.iter().map(|&entry| {
            let Entry { start, len, .. } = self.table[entry];
            let words = &control.workers.entries[entry as usize];
            let next = words.cursor().next.saturating_sub(start.into()).min(len.into());
            if words.state().tag() == Some(Tag::Pending) { 0 } else { next }
        });
        job.n_done + under_way.sum::<u64>()
    }

    /// [`n_done`](Mirror::n_done), and of how many.
    pub(crate) fn progress(&self, control: Control<'_>, index: usize) -> Progress {
        Progress { n_done: self.n_done(control, index), n_tasks: self.job(index).n_tasks.into() }
    }

    /// The task `next` of a lease that ends at `end` failed by itself: keeps its error, and offers the rest.
    fn settle_failure(
        &mut self,
        control: Control<'_>,
        index: usize,
        next: u32,
        end: u32,
        ring: u16,
        failure: Failure,
    ) {
        let job = self.jobs[index].as_mut().expect("open");
        let first_wins = job.policy.first_error_wins && matches!(failure, Failure::Returned(_));
        job.fail(next, failure);
        if first_wins {
            // Tasks before it may still fail and would win; those behind it need not run.
            job.backlog.retain(|lease| lease.start < next);
            self.withdraw(control, index, |start| start > next);
        } else if job.n_failed as usize >= FAILURES_MAX {
            self.cancel(control, index);
        } else if !job.cancelled && next + 1 < end {
            job.backlog.push_front(Lease { ring, start: next + 1, len: end - next - 1 });
        }
    }

    /// Splits a dead worker's lease: done, suspect, rest. Returns the suspect.
    fn recover_entry(
        &mut self,
        control: Control<'_>,
        index: usize,
        entry: u32,
        state: State,
        death: &Death,
    ) -> Result<Option<u32>, Corrupt> {
        let Entry { start, len, ring, seq, .. } = self.table[entry];
        let words = &control.workers.entries[entry as usize];
        let (cursor, end) = (words.cursor(), start + len);
        let in_range = (u64::from(start)..=u64::from(end)).contains(&cursor.next);
        let fault = read_fault(&control.workers.messages[entry as usize], state);
        if state.seq() != seq || !in_range || cursor.started && cursor.next == u64::from(end) {
            return Err(Corrupt(format!("entry {entry} died at task {} of {start}..{end}", cursor.next)));
        }
        let next = cursor.next as u32;
        self.table.release(control, entry);
        self.table.let_rest(control, entry);
        let job = self.jobs[index].as_mut().expect("open");
        job.outstanding.retain(|&other| other != entry);
        job.n_counted -= 1;
        job.finish(start, next - start);
        self.n_tasks_of[usize::from(state.owner().slot)] += u64::from(next - start);
        let rest = if cursor.started { next + 1 } else { next };
        if !job.cancelled && rest < end {
            job.backlog.push_back(Lease { ring, start: rest, len: end - rest });
        }
        if !cursor.started {
            return Ok(None);
        }
        if job.stopped.is_some() && death.reason.is_from_outside() {
            return Ok(Some(next)); // we did that
        }
        let deaths = job.deaths.entry(next).or_default();
        let fault = fault.and_then(|(operand, byte)| Some(Fault { array: job.names.get(operand)?, byte }));
        deaths.push(Death { fault, ..death.clone() });
        if job.policy.forgives(deaths) {
            if !job.cancelled {
                // Alone, so that it takes nobody along.
                job.backlog.push_back(Lease { ring, start: next, len: 1 });
            }
        } else {
            let deaths = Deaths(job.deaths.remove(&next).expect("just pushed"));
            job.fail(next, Failure::Died(deaths));
            if job.n_failed as usize >= FAILURES_MAX {
                self.cancel(control, index);
            }
        }
        Ok(Some(next))
    }

    /// Withdraws the pending entries of a job whose first task `matches`.
    fn withdraw(&mut self, control: Control<'_>, index: usize, matches: impl Fn(u32) -> bool) {
        let job = self.jobs[index].as_mut().expect("open");
        for entry in std::mem::take(&mut job.outstanding) {
            let Entry { start, seq, .. } = self.table[entry];
            let withdrawn = matches(start) && control.workers.entries[entry as usize].try_cancel(seq);
            if withdrawn {
                self.table.release(control, entry);
                self.table.let_rest(control, entry);
            }
            let job = self.jobs[index].as_mut().expect("open");
            if withdrawn {
                job.n_counted -= 1;
            } else {
                job.outstanding.push(entry);
            }
        }
        self.set_wake_at(control, index);
    }

    /// Gives entries to as many leases of the backlog as there are entries, and hints at them.
    fn offer_backlog(&mut self, control: Control<'_>, index: usize) -> Result<(), Corrupt> {
        let job = self.job(index);
        // Relaxed: published by the states below. As if each lease found a place; what did not is seen to at the end.
        control.parent.jobs[index].wake_at.store(job.n_counted + job.backlog.len() as u32, Relaxed);
        while let Some(&lease) = self.job(index).backlog.front() {
            let Some(entry) = self.table.allocate(control) else { break };
            self.offered = true;
            let job = self.jobs[index].as_mut().expect("open");
            job.backlog.pop_front();
            job.outstanding.push(entry);
            job.n_counted += 1;
            let seq = self.table.fill(entry, lease.ring, lease.start, lease.len);
            // Relaxed: published by the state.
            let descriptor = &control.parent.entries[entry as usize];
            descriptor.job_id.store(job.id, Relaxed);
            descriptor.job.store(index as u32, Relaxed);
            descriptor.start.store(lease.start, Relaxed);
            descriptor.len.store(lease.len, Relaxed);
            control.workers.entries[entry as usize].offer(lease.start, seq);
            self.table.push(control, entry)?;
        }
        self.set_wake_at(control, index);
        Ok(())
    }

    /// Whoever ends the last lease that is out wakes the waiter; or everybody does, while leases wait for an entry or
    /// hints for a place.
    fn set_wake_at(&self, control: Control<'_>, index: usize) {
        let job = self.job(index);
        let all_out = job.backlog.is_empty() && self.table.is_flushed();
        // Relaxed: a hint. Too late or too early is one look too many at the table, or one sleep, which is timed.
        control.parent.jobs[index].wake_at.store(if all_out { job.n_counted } else { 1 }, Relaxed);
    }

    /// Hints again at what has found its ring full.
    pub(super) fn flush_overflow(&mut self, control: Control<'_>) -> Result<(), Corrupt> {
        self.offered |= !self.table.is_flushed();
        self.table.flush(control)
    }
}

impl Job {
    fn finish(&mut self, start: u32, len: u32) {
        if len > 0 {
            self.done.push((start, len));
            self.n_done += u64::from(len);
        }
    }

    fn fail(&mut self, task: u32, failure: Failure) {
        self.n_failed += 1;
        self.failures.insert(task, failure);
        if self.failures.len() > FAILURES_MAX {
            // The first ones by index are kept.
            self.failures.pop_last();
        }
    }
}

impl Policy {
    /// May a task with this history run again?
    pub(super) fn forgives(&self, deaths: &[Death]) -> bool {
        let kills = deaths.iter().filter(|death| death.reason.is_from_outside()).count() as u32;
        kills < self.kills_max && deaths.len() as u32 - kills < self.faults_max
    }
}

/// What one look at an entry has shown.
enum Look {
    Open,
    Ended,
    Failed { task: u32 },
}

/// Looks at one entry, and adds what it has done to its job if it has ended.
fn look(
    control: Control<'_>,
    index: u32,
    entry: Entry,
    job: &mut Job,
    n_tasks_of: &mut [u64],
) -> Result<Look, Corrupt> {
    let words = &control.workers.entries[index as usize];
    let state = words.state();
    if state.seq() != entry.seq {
        return Err(Corrupt(format!("entry {index} is {state:?}, its use is {}", entry.seq)));
    }
    let (start, end) = (u64::from(entry.start), u64::from(entry.start) + u64::from(entry.len));
    match state.tag() {
        Some(Tag::Pending) => return Ok(Look::Open),
        Some(Tag::Running) if usize::from(state.owner().slot) < n_tasks_of.len() => return Ok(Look::Open),
        _ => {}
    }
    let cursor = words.cursor();
    let legal = match state.tag() {
        Some(Tag::Done) => cursor.next == end && !cursor.started,
        Some(Tag::Failed) => (start..end).contains(&cursor.next) && cursor.started,
        Some(Tag::Cancelled) => (start..=end).contains(&cursor.next) && !cursor.started && job.cancelled,
        Some(Tag::Free | Tag::Pending | Tag::Running) | None => false,
    };
    if !legal {
        return Err(Corrupt(format!("entry {index} is {state:?} at {cursor:?} of {start}..{end}")));
    }
    let next = cursor.next as u32;
    job.finish(entry.start, next - entry.start);
    // A lease that nobody has claimed has slot 0 for an owner, and nothing done.
    if let Some(n_tasks) = n_tasks_of.get_mut(usize::from(state.owner().slot)) {
        *n_tasks += u64::from(next - entry.start);
    }
    Ok(if state.tag() == Some(Tag::Failed) { Look::Failed { task: next } } else { Look::Ended })
}

/// Relaxed throughout: published by the state of the job's first entry.
fn write_slot(slot: &JobSlot, spec: &JobSpec<'_>, id: u64) {
    slot.id.store(id, Relaxed);
    slot.code.store(spec.code.0, Relaxed);
    spec.args.write(slot);
    slot.cancel.store(0, Relaxed);
    slot.params_bytes.store(spec.params.len() as u32, Relaxed);
    for (word, bytes) in slot.params.iter().zip(spec.params.chunks(8)) {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_ne_bytes(padded), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::control::N_ENTRIES;
    use crate::control::entry::{Claim, Owner};
    use crate::control::mapped::Owned;
    use crate::control::parent::ParentControl;
    use crate::error::ExitReason;
    use crate::task::job::{JobArgs, Operand};
    use crate::task::kernel::probe;
    use crate::task::message::write_message;
    use crate::task::single::{Bytes, Extra, Failed, Outcome, Payload, Single};

    fn death(reason: ExitReason) -> Death {
        Death { pid: 1, reason, fault: None, out_of_memory: false, last_words: String::new() }
    }

    /// Two control segments and their mirror, without any process.
    struct Bench {
        parent: Owned<ParentControl>,
        workers: Owned<WorkerControl>,
        mirror: Mirror,
        n_workers: usize,
    }

    impl Bench {
        fn new(n_workers: usize) -> Self {
            let parent = Owned::create("parent").unwrap();
            let workers = Owned::create("workers").unwrap();
            Bench { parent, workers, mirror: Mirror::new(n_workers), n_workers }
        }

        fn split(&mut self) -> (&mut Mirror, Control<'_>) {
            (&mut self.mirror, Control { parent: self.parent.get(), workers: self.workers.get() })
        }

        fn open(&mut self, n_tasks: u32, policy: Policy) -> usize {
            let args = JobArgs {
                n_elements: n_tasks.into(),
                grain: 1,
                shape: [0; 4],
                operands: [Operand::default(); N_OPERANDS],
                flags: 0,
            };
            let spec = JobSpec { code: probe(), args, n_tasks, params: &[], policy, names: [""; N_OPERANDS] };
            let (mirror, control) = self.split();
            let (job, offered) = mirror.open(control, &spec).unwrap();
            offered.unwrap();
            job
        }

        /// What a worker's `take` does.
        fn take(&self, slot: u16) -> Option<Claim> {
            let (parent, workers) = (self.parent.get(), self.workers.get());
            (0..self.n_workers).find_map(|ring| {
                let ring = Ring { parent: &parent.rings[ring], workers: &workers.heads[ring] };
                ring.take(&workers.entries, Owner { slot, incarnation: 1 })
            })
        }

        /// The lease's tasks, as `(start, end)`.
        fn tasks(&self, claim: &Claim) -> (u64, u64) {
            let descriptor = &self.parent.get().entries[claim.entry as usize];
            let start = u64::from(descriptor.start.load(Relaxed));
            (start, start + u64::from(descriptor.len.load(Relaxed)))
        }

        /// Runs whatever can be taken, without looking at each task.
        fn run_all(&self, slot: u16) {
            while let Some(claim) = self.take(slot) {
                let words = &self.workers.get().entries[claim.entry as usize];
                words.end(self.tasks(&claim).1 - 1);
                assert!(words.finish(&claim, Tag::Done));
            }
        }

        fn die(&mut self, slot: u16, signal: i32) -> bool {
            let death = death(ExitReason::Signal(signal));
            let (mirror, control) = self.split();
            mirror.recover(control, slot, &death).unwrap() != Blame::Nobody
        }

        fn account(&mut self, job: usize) -> bool {
            let (mirror, control) = self.split();
            mirror.account(control, job).unwrap()
        }
    }

    #[test]
    fn the_largest_job_there_can_be_is_counted_to_the_last_task() {
        let mut bench = Bench::new(3);
        let job = bench.open(u32::MAX, Policy::IDEMPOTENT);
        bench.run_all(0);
        assert!(bench.account(job));
        let ended = bench.mirror.close(job);
        assert_eq!((ended.done, ended.n_failed), (vec![(0, u32::MAX.into())], 0));
    }

    #[test]
    fn a_death_keeps_what_was_done_and_blames_one_task() {
        let mut bench = Bench::new(1);
        let job = bench.open(800, Policy::IDEMPOTENT);
        for attempt in 1..=3 {
            // Only the suspect is blamed again and again: it comes back alone.
            let (claim, task) = loop {
                let claim = bench.take(0).unwrap();
                let (start, end) = bench.tasks(&claim);
                if (start..end).contains(&40) {
                    break (claim, 40);
                }
                let words = &bench.workers.get().entries[claim.entry as usize];
                words.end(end - 1);
                words.finish(&claim, Tag::Done);
            };
            if attempt > 1 {
                assert_eq!(bench.tasks(&claim), (40, 41));
            }
            bench.workers.get().entries[claim.entry as usize].begin(task);
            assert!(bench.die(0, libc::SIGSEGV));
        }
        bench.run_all(0);
        assert!(bench.account(job));
        let ended = bench.mirror.close(job);
        assert_eq!(ended.done, [(0, 40), (41, 800)]);
        assert!(matches!(&ended.failures[&40], Failure::Died(deaths) if deaths.0.len() == 3));
    }

    #[test]
    fn kills_from_outside_have_a_budget_of_their_own() {
        let mut bench = Bench::new(1);
        let job = bench.open(1, Policy::IDEMPOTENT);
        for _ in 0..15 {
            let claim = bench.take(0).unwrap();
            bench.workers.get().entries[claim.entry as usize].begin(0);
            bench.die(0, libc::SIGKILL);
        }
        bench.run_all(0);
        assert!(bench.account(job));
        assert_eq!(bench.mirror.close(job).n_failed, 0);
    }

    #[test]
    fn a_death_between_tasks_blames_nobody() {
        let mut bench = Bench::new(1);
        let job = bench.open(100, Policy::ONCE);
        let claim = bench.take(0).unwrap();
        bench.workers.get().entries[claim.entry as usize].end(3);
        assert!(!bench.die(0, libc::SIGSEGV));
        bench.run_all(0);
        assert!(bench.account(job));
        assert_eq!(bench.mirror.close(job).done, [(0, 100)]);
    }

    #[test]
    fn a_failed_task_leaves_the_rest_of_its_lease_to_others() {
        let mut bench = Bench::new(1);
        let job = bench.open(100, Policy::ONCE);
        let claim = bench.take(0).unwrap();
        let words = &bench.workers.get().entries[claim.entry as usize];
        words.begin(5);
        let message = &bench.workers.get().messages[claim.entry as usize];
        write_message(message, crate::control::worker::PANIC, 4, b"herewhy");
        words.finish(&claim, Tag::Failed);
        assert!(!bench.account(job));
        bench.run_all(0);
        assert!(bench.account(job));
        let ended = bench.mirror.close(job);
        assert_eq!(ended.done, [(0, 5), (6, 100)]);
        assert!(matches!(
            &ended.failures[&5],
            Failure::Panicked { message, location } if message == "why" && location == "here"
        ));
    }

    #[test]
    fn after_the_first_error_only_earlier_tasks_run() {
        let mut bench = Bench::new(2);
        let policy = Policy { first_error_wins: true, ..Policy::IDEMPOTENT };
        let job = bench.open(200, policy);
        // A worker of the second ring fails in the second half.
        let parent = bench.parent.get();
        let ring = Ring { parent: &parent.rings[1], workers: &bench.workers.get().heads[1] };
        let claim = ring.take(&bench.workers.get().entries, Owner { slot: 1, incarnation: 1 }).unwrap();
        let words = &bench.workers.get().entries[claim.entry as usize];
        words.begin(105);
        write_message(
            &bench.workers.get().messages[claim.entry as usize],
            crate::control::worker::ERROR,
            0,
            b"e",
        );
        words.finish(&claim, Tag::Failed);
        assert!(!bench.account(job));
        bench.run_all(0);
        assert!(bench.account(job));
        let ended = bench.mirror.close(job);
        assert_eq!(ended.done, [(0, 105)]);
        assert!(matches!(&ended.failures[&105], Failure::Returned(bytes) if bytes == b"e"));
    }

    #[test]
    fn a_task_that_has_ended_is_found_behind_those_that_others_wait_for() {
        let mut bench = Bench::new(4);
        let submit = |bench: &mut Bench| {
            let payload = Payload::Inline(Bytes::new(&[]));
            let single = Arc::new(Single::new("t", probe(), payload, None, None));
            let (mirror, control) = bench.split();
            mirror.submit(control, Arc::clone(&single)).unwrap();
            single
        };
        let _first: Vec<_> = (0..4).map(|_| submit(&mut bench)).collect();
        let cancelled = submit(&mut bench);
        let _other = submit(&mut bench);
        let (mirror, control) = bench.split();
        assert!(mirror.withdraw_single(control, &cancelled));
        let last = submit(&mut bench);
        bench.mirror.take_ended();
        // One worker runs two tasks; those of the others begin late.
        for _ in 0..2 {
            let claim = bench.take(0).unwrap();
            let (words, message) = (
                &bench.workers.get().entries[claim.entry as usize],
                &bench.workers.get().messages[claim.entry as usize],
            );
            words.begin(0);
            write_message(message, crate::control::worker::RESULT, 0, b"x");
            words.end(0);
            assert!(words.finish(&claim, Tag::Done));
        }
        let (mirror, control) = bench.split();
        mirror.collect(control).unwrap();
        assert_eq!(mirror.take_ended().len(), 2, "one has ended and is not found");
        assert!(last.entry().is_some(), "it was not its turn");
    }

    #[test]
    fn a_task_whose_worker_dies_behind_its_result_is_done_and_counted() {
        let mut bench = Bench::new(1);
        let single = Arc::new(Single::new("t", probe(), Payload::Inline(Bytes::new(&[])), None, None));
        let (mirror, control) = bench.split();
        mirror.submit(control, single).unwrap();
        let entry = bench.take(0).unwrap().entry as usize;
        let (words, message) = (&bench.workers.get().entries[entry], &bench.workers.get().messages[entry]);
        words.begin(0);
        write_message(message, crate::control::worker::RESULT, 0, b"x");
        words.end(0);
        assert!(!bench.die(0, libc::SIGSEGV));
        assert!(
            matches!(&bench.mirror.take_ended()[..], [(_, Outcome::Returned(bytes))] if bytes.as_slice() == b"x")
        );
        assert_eq!((bench.mirror.n_tasks_of(), bench.mirror.n_finished()), (&[1][..], 1));
    }

    #[test]
    fn an_entry_whose_hint_is_passed_is_used_again() {
        let mut bench = Bench::new(1);
        for _ in 0..3 * N_ENTRIES {
            let (job, claim) = (bench.open(3, Policy::IDEMPOTENT), bench.take(0));
            assert!(claim.as_ref().is_some_and(|claim| claim.entry < 100));
            let (mirror, control) = bench.split();
            mirror.cancel(control, job);
            let words = &bench.workers.get().entries[claim.as_ref().unwrap().entry as usize];
            assert!(words.finish(&claim.unwrap(), Tag::Cancelled));
            bench.run_all(0);
            assert!(bench.account(job));
            bench.mirror.close(job);
        }
    }

    #[test]
    fn more_hints_than_a_ring_holds_wait_in_the_parent() {
        let mut bench = Bench::new(1);
        let jobs: Vec<usize> = (0..N_JOBS).map(|_| bench.open(u32::MAX, Policy::IDEMPOTENT)).collect();
        assert!(!bench.mirror.table.is_flushed());
        for round in 0.. {
            bench.run_all(0);
            if jobs.iter().all(|&job| bench.account(job)) {
                break;
            }
            assert!(round < 100, "hints are lost");
        }
    }

    #[test]
    fn hints_that_cancelled_jobs_left_behind_keep_no_task_out() {
        let mut bench = Bench::new(1);
        let jobs: Vec<usize> = (0..N_JOBS).map(|_| bench.open(u32::MAX, Policy::IDEMPOTENT)).collect();
        assert!(!bench.mirror.table.is_flushed());
        for job in jobs {
            let (mirror, control) = bench.split();
            mirror.cancel(control, job);
            assert!(bench.account(job));
            bench.mirror.close(job);
        }
        let single = Single::new("", probe(), Payload::Inline(Bytes::new(&[])), None, None);
        let (mirror, control) = bench.split();
        mirror.submit(control, Arc::new(single)).unwrap();
        let claimed = (0..10).any(|_| {
            let claim = bench.take(0);
            let (mirror, control) = bench.split();
            mirror.collect(control).unwrap();
            claim.is_some()
        });
        assert!(claimed);
    }

    #[test]
    fn a_lease_that_nobody_runs_is_found_at_once() {
        type Lie = fn(&Bench, &Claim);
        let lies: [(&str, Lie); 5] = [
            ("went back", |bench, _| bench.workers.get().heads[0].head.store(0, Relaxed)),
            ("no such process", |bench, claim| {
                let words = &bench.workers.get().entries;
                let other = (claim.entry as usize + 1) % words.len();
                let owned = words[other].state().owned(Tag::Running, Owner { slot: 5, incarnation: 1 });
                words[other].state.store(owned.0, Relaxed);
            }),
            ("passed by", |bench, _| {
                let tail = bench.parent.get().rings[0].tail.0.load(Relaxed);
                bench.workers.get().heads[0].head.store(tail, Relaxed);
            }),
            ("sleeps", |bench, _| park::park(&bench.workers.get().slots[0])),
            ("and so is", |bench, claim| {
                let words = &bench.workers.get().entries;
                let other = (claim.entry as usize + 1) % words.len();
                let owned = words[other].state().owned(Tag::Running, Owner { slot: 0, incarnation: 1 });
                words[other].state.store(owned.0, Relaxed);
            }),
        ];
        for (told, lie) in lies {
            let mut bench = Bench::new(1);
            bench.open(100, Policy::IDEMPOTENT);
            let claim = bench.take(0).unwrap();
            // Another job's hint: the head has been seen beyond its start.
            bench.open(1, Policy::IDEMPOTENT);
            let (mirror, control) = bench.split();
            mirror.check_owners(control, |slot| slot == 0).unwrap();
            lie(&bench, &claim);
            let (mirror, control) = bench.split();
            let Corrupt(reason) = mirror.check_owners(control, |slot| slot == 0).unwrap_err();
            assert!(reason.contains(told), "{told}: {reason}");
        }
    }

    #[test]
    fn a_dead_worker_with_two_leases_was_none_of_ours() {
        let mut bench = Bench::new(1);
        bench.open(100, Policy::IDEMPOTENT);
        let claim = bench.take(0).unwrap();
        let words = &bench.workers.get().entries;
        let other = (claim.entry as usize + 1) % words.len();
        let owned = words[other].state().owned(Tag::Running, Owner { slot: 0, incarnation: 1 });
        words[other].state.store(owned.0, Relaxed);
        let death = death(ExitReason::Code(1));
        let (mirror, control) = bench.split();
        mirror.recover(control, 0, &death).unwrap_err();
    }

    #[test]
    fn a_job_that_could_not_have_a_single_entry_is_not_opened() {
        let mut bench = Bench::new(1);
        let (mirror, control) = bench.split();
        assert_eq!((0..).take_while(|_| mirror.table.allocate(control).is_some()).count(), N_ENTRIES);
        let args = JobArgs {
            n_elements: 1,
            grain: 1,
            shape: [0; 4],
            operands: [Operand::default(); N_OPERANDS],
            flags: 0,
        };
        let policy = Policy::IDEMPOTENT;
        let spec = JobSpec { code: probe(), args, n_tasks: 1, params: &[], policy, names: [""; N_OPERANDS] };
        let (mirror, control) = bench.split();
        assert!(mirror.open(control, &spec).is_none());
        let nothing = JobSpec { n_tasks: 0, ..spec };
        assert!(mirror.open(control, &nothing).is_some());
    }

    #[test]
    fn what_nobody_has_claimed_is_not_done() {
        let mut bench = Bench::new(1);
        let job = bench.open(100, Policy::IDEMPOTENT);
        for words in &bench.workers.get().entries {
            words.cursor.store(u64::MAX, Relaxed);
        }
        let (mirror, control) = bench.split();
        assert_eq!(mirror.n_done(control, job), 0);
    }

    #[test]
    fn a_fresh_segment_offers_again_what_is_not_accounted_for() {
        let mut bench = Bench::new(2);
        let (again, once) = (bench.open(100, Policy::IDEMPOTENT), bench.open(100, Policy::ONCE));
        bench.take(0).unwrap();
        bench.workers = Owned::create("workers").unwrap();
        let (mirror, control) = bench.split();
        mirror.replace_workers_segment(control).unwrap();
        bench.run_all(0);
        assert!(bench.account(again) && bench.account(once));
        assert_eq!(bench.mirror.close(again).done, [(0, 100)]);
        assert_eq!(bench.mirror.close(once).n_failed, 100);
    }

    #[test]
    fn a_fresh_segment_ends_submitted_tasks_as_they_were_to_end() {
        let mut bench = Bench::new(2);
        let [late, cancelled, plain, again] = [0, 1, 2, 3].map(|i| {
            let extra = Extra {
                n_lent: 0,
                shares: Vec::new(),
                policy: if i == 3 { Policy::IDEMPOTENT } else { Policy::ONCE },
                breaks: false,
                time_limit: (i == 0).then_some(Duration::ZERO),
            };
            let payload = Payload::Inline(Bytes::new(&[]));
            Arc::new(Single::new("task", probe(), payload, None, Some(Box::new(extra))))
        });
        let (mirror, control) = bench.split();
        for single in [&late, &cancelled, &plain, &again] {
            mirror.submit(control, Arc::clone(single)).unwrap();
        }
        assert_eq!(mirror.doom_late(control), None, "its time is up");
        cancelled.doom();
        bench.workers = Owned::create("workers").unwrap();
        let (mirror, control) = bench.split();
        mirror.replace_workers_segment(control).unwrap();
        let ended = mirror.take_ended();
        let outcome = |single: &Arc<Single>| ended.iter().find(|(other, _)| Arc::ptr_eq(single, other));
        let failed = |single| match outcome(single) {
            Some((_, Outcome::Failed(failed))) => Some(&**failed),
            _ => None,
        };
        assert!(matches!(failed(&late), Some(Failed::TimedOut(Duration::ZERO))));
        assert!(matches!(failed(&cancelled), Some(Failed::Cancelled)));
        assert!(matches!(failed(&plain), Some(Failed::Interrupted)));
        assert!(outcome(&again).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever stands in the worker-written words, the parent neither panics nor loops, and its own
        /// account stays within the job.
        #[test]
        fn no_words_of_workers_hurt_the_parent(
            words in prop::collection::vec((0_u64..6, 0_u64..4, any::<u32>(), 0_u64..300, any::<bool>()), 1..60),
            heads in prop::collection::vec(prop_oneof![Just(u64::MAX), 0_u64..50, any::<u64>()], 2),
        ) {
            let mut bench = Bench::new(2);
            let job = bench.open(100, Policy::IDEMPOTENT);
            bench.take(0).unwrap();
            for (entry, (tag, owner, seq, next, started)) in words.into_iter().enumerate() {
                let words = &bench.workers.get().entries[entry];
                let seq = if seq % 4 == 0 { u64::from(seq & 0x0fff_ffff) } else { 1 };
                words.state.store((tag << 60) | (owner << 44) | seq, Relaxed);
                words.cursor.store((next << 1) | u64::from(started), Relaxed);
                bench.workers.get().messages[entry].bytes.store(next << 40, Relaxed);
            }
            for (ring, head) in heads.into_iter().enumerate() {
                bench.workers.get().heads[ring].head.store(head, Relaxed);
            }
            let (mirror, control) = bench.split();
            for slot in 0..2 {
                let _ = mirror.account(control, job);
                let _ = mirror.recover(control, slot, &death(ExitReason::Code(1)));
                let _ = mirror.check_owners(control, |slot| slot < 2);
                prop_assert!(mirror.n_done(control, job) <= 100);
            }
            let ended = mirror.abandon(control, job);
            prop_assert!(ended.done.iter().all(|&(start, end)| start < end && end <= 100));
            prop_assert!(ended.done.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{:?}", ended.done);
        }

        /// The same of submitted tasks, each of which ends once.
        #[test]
        fn no_words_of_workers_hurt_submitted_tasks(
            rounds in prop::collection::vec(
                (
                    prop::collection::vec((0_u64..6, 0_u64..4, 0_u32..4, 0_u64..5, any::<u64>(), 0_u32..7, any::<bool>()), 12),
                    prop::collection::vec(prop_oneof![Just(u64::MAX), 0_u64..50], 2),
                    0_usize..12,
                    any::<bool>(),
                ),
                1..6,
            ),
        ) {
            let mut bench = Bench::new(2);
            let mut n_ended = std::collections::HashMap::new();
            let mut singles = Vec::new();
            for (words, heads, which, honest) in rounds {
                for i in 0..5 {
                    let policy = if i % 2 == 0 { Policy::IDEMPOTENT } else { Policy::ONCE };
                    let time_limit = (i == 1).then_some(std::time::Duration::from_nanos(1));
                    let extra = Extra { n_lent: 0, shares: Vec::new(), policy, breaks: i == 2, time_limit };
                    let payload = Payload::Inline(Bytes::new(&[]));
                    let single = Arc::new(Single::new("t", probe(), payload, None, Some(Box::new(extra))));
                    let (mirror, control) = bench.split();
                    let _ = mirror.submit(control, Arc::clone(&single));
                    singles.push(single);
                }
                bench.take(0);
                let workers = bench.workers.get();
                for (entry, (tag, owner, seq, next, began, kind, raw)) in words.into_iter().enumerate() {
                    if honest && entry % 3 != 0 {
                        continue;
                    }
                    let words = &workers.entries[entry];
                    let seq = if seq == 0 { u64::from(words.state().seq()) } else { seq.into() };
                    words.state.store((tag << 60) | (owner << 44) | seq, Relaxed);
                    words.cursor.store(next, Relaxed);
                    words.began_ns.store(began, Relaxed);
                    workers.messages[entry].kind.store(kind, Relaxed);
                    workers.messages[entry].place.store(began as u32, Relaxed);
                    workers.messages[entry].bytes.store(if raw { began } else { next }, Relaxed);
                }
                if !honest {
                    for (ring, head) in heads.into_iter().enumerate() {
                        workers.heads[ring].head.store(head, Relaxed);
                    }
                }
                let mut corrupt = false;
                for slot in 0..2 {
                    let (mirror, control) = bench.split();
                    corrupt |= mirror.collect(control).is_err();
                    mirror.doom_late(control);
                    let _ = mirror.doomed(control);
                    corrupt |= mirror.check_owners(control, |slot| slot < 2).is_err();
                    let _ = mirror.may_have_room(control, slot, which as u32);
                    mirror.withdraw_single(control, &singles[which % singles.len()]);
                    corrupt |= mirror.recover(control, slot, &death(ExitReason::Signal(11))).is_err();
                }
                if corrupt {
                    bench.workers = Owned::create("workers").unwrap();
                    let (mirror, control) = bench.split();
                    prop_assert!(mirror.replace_workers_segment(control).is_ok());
                }
                for (single, outcome) in bench.mirror.take_ended() {
                    *n_ended.entry(Arc::as_ptr(&single)).or_insert(0) += 1;
                    single.end(outcome);
                }
            }
            let (mirror, control) = bench.split();
            mirror.abandon_singles(control, "over", false);
            for (single, outcome) in mirror.take_ended() {
                *n_ended.entry(Arc::as_ptr(&single)).or_insert(0) += 1;
                single.end(outcome);
            }
            prop_assert_eq!(mirror.n_singles(), (0, 0));
            prop_assert!(singles.iter().all(|single| n_ended.get(&Arc::as_ptr(single)) == Some(&1)));
        }
    }
}
