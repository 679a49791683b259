//! The workers' processes: handshake, death, replacement.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::output::Output;
use super::shared::{Shared, Stage, create_workers_segment};
use super::start::start;
use super::talk::{Served, hear, hear_out, serve, tell};
use super::{LIMITS_TICK, REAP_WAIT, Ready};
use crate::control::events::EVENT_BYTES_MAX;
use crate::control::handshake::{EXIT_RETIRED, READY};
use crate::error::{Death, ExitReason};
use crate::sync::Relaxed;
use crate::sys::process::{self, Child, ExecutableId};
use crate::sys::{clock, limits, socket};
use crate::task::mirror::{Blame, Corrupt};

/// Deaths in a row, beyond one a worker, that nothing came of before the pool gives up.
const IN_VAIN_MAX: u32 = 10;
/// How long to wait where there is no hurry to replace: after a SIGTERM the whole group is probably ending,
/// and what cannot be spawned lacks something that does not come back at once.
const NO_HURRY: Duration = Duration::from_millis(200);

/// How long a worker that has closed its socket may take to be gone by itself: ending closes descriptors
/// first.
const HANG_UP_WAIT: Duration = Duration::from_millis(100);

/// How often the output of workers is read that are ending.
const OUTPUT_LOOK: Duration = Duration::from_millis(10);

/// Messages of one worker that are heard before the others'.
const MESSAGES_AT_ONCE: usize = 32;

/// How long a worker may take to stop, and how often it is looked at meanwhile.
const FREEZE_WAIT: Duration = Duration::from_millis(5);
const FREEZE_LOOKS: u32 = 50;

/// One slot.
pub(super) struct Member {
    incarnation: u16,
    state: State,
    /// What its worker writes, if that is captured.
    output: Option<Output>,
    /// We have asked its worker to end.
    asked: bool,
    /// We have killed its worker, or asked it to end: its death breaks no pool.
    wanted: bool,
    /// Its worker was told to end when it had nothing to do.
    was_dismissed: bool,
}

enum State {
    /// No process, until there is work.
    Away,
    /// No process; the next one at this time.
    Down {
        next: Instant,
    },
    Starting {
        child: Child,
        socket: OwnedFd,
        deadline: Instant,
    },
    Live {
        child: Child,
        socket: OwnedFd,
    },
    /// Killed by us, or about to be gone: nothing is expected of it but its end. `disconnected`: killed for
    /// closing its socket.
    Ending {
        child: Child,
        was_live: bool,
        disconnected: bool,
    },
}

impl Member {
    /// The control socket, while anything may come from it, and the pidfd.
    pub(super) fn descriptors(&self) -> Option<(Option<BorrowedFd<'_>>, BorrowedFd<'_>)> {
        match &self.state {
            State::Away | State::Down { .. } => None,
            State::Starting { child, socket, .. } => Some((Some(socket.as_fd()), child.pidfd())),
            State::Live { child, socket } => Some((Some(socket.as_fd()), child.pidfd())),
            State::Ending { child, .. } => Some((None, child.pidfd())),
        }
    }

    /// The worker's output, while there may be more.
    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().and_then(Output::pipe)
    }

    /// Kills a worker that will never be one; its death is handled like any other.
    fn end(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Down { next: Instant::now() }) {
            State::Starting { child, .. } => {
                child.kill();
                State::Ending { child, was_live: false, disconnected: false }
            }
            other => other,
        };
    }

    fn child(&self) -> Option<&Child> {
        self.state.child()
    }
}

impl State {
    fn child(&self) -> Option<&Child> {
        match self {
            State::Away | State::Down { .. } => None,
            State::Starting { child, .. } | State::Live { child, .. } | State::Ending { child, .. } => {
                Some(child)
            }
        }
    }
}

/// All slots of a pool.
pub(super) struct Members {
    shared: Arc<Shared>,
    members: Vec<Member>,
    executable: io::Result<ExecutableId>,
    /// Deaths since a task was last finished or blamed.
    n_in_vain: u32,
    n_finished: u64,
    /// When to try again to make a control segment in place of a corrupt one, if that has failed.
    next_segment: Option<Instant>,
    n_segments_failed: u32,
    /// Workers that were killed for a corrupt control segment which is not replaced yet.
    n_killed: u64,
    /// Processes that the kernel has killed for want of memory, when last looked at.
    n_oom_kills: u64,
    /// When a worker may have had nothing to do for so long that it is to end.
    next_dismissal: Option<Instant>,
}

impl Members {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        let now = Instant::now();
        let n_first = shared.config.n_first(shared.n_workers);
        let member = |slot| Member {
            incarnation: 0,
            state: if slot < n_first { State::Down { next: now } } else { State::Away },
            output: None,
            asked: false,
            wanted: false,
            was_dismissed: false,
        };
        Members {
            shared: Arc::clone(shared),
            members: (0..shared.n_workers).map(member).collect(),
            executable: process::executable_id(),
            n_in_vain: 0,
            n_finished: 0,
            next_segment: None,
            n_segments_failed: 0,
            n_killed: 0,
            n_oom_kills: limits::oom_kills(),
            next_dismissal: None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    /// When something is to be done even if nothing happens.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadline = |member: &Member| match &member.state {
            State::Down { next } => Some(*next),
            State::Starting { deadline, .. } => Some(*deadline),
            State::Away | State::Live { .. } | State::Ending { .. } => None,
        };
        if self.next_segment.is_some() {
            return self.next_segment; // and nobody is spawned before
        }
        self.members.iter().filter_map(deadline).chain(self.next_dismissal).min()
    }

    /// Starts a process in every slot whose time has come.
    pub(super) fn spawn_due(&mut self, now: Instant) {
        for slot in 0..self.members.len() {
            match &self.members[slot].state {
                State::Down { next } if *next <= now => self.spawn(slot),
                State::Starting { deadline, .. } if *deadline <= now => {
                    self.note_start_failure(slot, "it did not answer in time".to_owned());
                    self.members[slot].end();
                }
                _ => {}
            }
        }
    }

    /// Has workers end that had nothing to do for too long. Each decides by itself, since it may have found something.
    pub(super) fn dismiss_idle(&mut self, now: Instant) {
        let Some(timeout) = self.shared.config.idle_timeout else { return };
        let engine = self.shared.lock();
        let live = |member: &Member| matches!(member.state, State::Live { .. });
        let n_live = self.members.iter().filter(|member| live(member)).count();
        let mut n_spare = n_live.saturating_sub(self.shared.config.n_min);
        let (slots, dismissed) = (&engine.workers.get().slots, &self.shared.parent.get().dismissed);
        let mut wakes = false;
        self.next_dismissal = None;
        for (slot, member) in self.members.iter_mut().enumerate().rev().filter(|(_, member)| live(member)) {
            // Relaxed, both: a worker's word about itself, and one for it alone, which it looks at after every wake.
            let idle_for = match slots[slot].idle_since_ns.load(Relaxed) {
                0 => Duration::ZERO,
                ns => clock::monotonic().saturating_sub(Duration::from_nanos(ns)),
            };
            let is_dismissed = n_spare > 0 && idle_for >= timeout;
            member.was_dismissed |= is_dismissed;
            if is_dismissed {
                n_spare -= 1;
            } else if n_spare > 0 {
                let next = now.checked_add(timeout.saturating_sub(idle_for).max(LIMITS_TICK));
                self.next_dismissal = self.next_dismissal.into_iter().chain(next).min();
            }
            let before = dismissed[slot].swap(is_dismissed.into(), Relaxed);
            wakes |= is_dismissed && before == 0;
        }
        if wakes {
            self.shared.announce(&engine, true);
        }
    }

    /// Fills slots that are empty for want of work, as far as there is work.
    pub(super) fn call_for_work(&mut self, now: Instant) {
        let mut engine = self.shared.lock();
        let n_wanted = engine.n_wanted();
        let away = self.members.iter_mut().filter(|member| matches!(member.state, State::Away));
        for member in away.take(n_wanted) {
            member.state = State::Down { next: now };
            engine.n_away -= 1;
        }
    }

    /// Deals with what the wait has shown.
    pub(super) fn handle(&mut self, ready: &[Ready]) {
        for (slot, ready) in ready.iter().enumerate() {
            if ready.output
                && let Some(output) = &mut self.members[slot].output
            {
                output.read();
            }
            if ready.socket {
                self.answer(slot);
            }
            if ready.ended {
                self.reap(slot);
            }
        }
    }

    /// Kills the workers that run a task of a job which must end now; true if there were any.
    ///
    /// By the time of the signal such a worker could be at an innocent task. So it is stopped, looked at again, and
    /// killed or let go on.
    pub(super) fn kill_doomed(&mut self) -> bool {
        let Members { shared, members, .. } = self;
        let doomed = |slot: &usize| shared.lock().doomed(shared.parent.get()).contains(slot);
        let (slots, asks) = {
            let engine = shared.lock();
            (engine.doomed(shared.parent.get()), engine.asks())
        };
        for slot in &slots {
            let Some(Member { state: State::Live { child, .. }, asked, wanted, .. }) = members.get_mut(*slot)
            else {
                continue;
            };
            if asks && *asked {
                continue; // it has heard
            }
            let was_stopped = child.is_stopped();
            let is_doomed = freeze(child) && doomed(slot);
            if is_doomed {
                *wanted = true;
                if asks {
                    *asked = true;
                    child.terminate();
                } else {
                    child.kill();
                }
            }
            if !was_stopped || is_doomed && asks {
                child.go_on();
            }
        }
        !slots.is_empty()
    }

    pub(super) fn kill_all(&self) {
        for child in self.members.iter().filter_map(Member::child) {
            child.kill();
        }
    }

    /// Waits until every process is gone; false if one is not within `wait`.
    pub(super) fn reap_all(&mut self, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut all = true;
        for (slot, member) in self.members.iter_mut().enumerate() {
            let Some(child) = member.state.child() else { continue };
            let mut gone = child.try_reap().is_some();
            while !gone && Instant::now() < deadline {
                clock::beat();
                let mut left = deadline.saturating_duration_since(Instant::now()).min(clock::BEAT_MAX);
                if let Some(output) = &mut member.output {
                    // A finalizer that has much to say must not wait for a reader.
                    output.read();
                    left = left.min(OUTPUT_LOOK);
                }
                let _ = socket::wait_readable(child.pidfd(), left);
                gone = child.try_reap().is_some();
            }
            if gone {
                member.state = State::Down { next: Instant::now() };
                self.shared.lock().status[slot].clear();
            }
            all &= gone;
        }
        all
    }

    /// Kills every worker, and returns when none is left: whoever does not die may still write. A task that
    /// is stuck in the kernel delays this; only the end of a pool that has no work does not wait for it.
    pub(super) fn kill_and_reap_all(&mut self) {
        self.kill_all();
        // Without any work under way nobody's arrays are at stake, and the end of the pool need not wait.
        while !self.reap_all(REAP_WAIT) && self.is_waited_for() {
            tell(|| tracing::error!("a killed worker does not end: it is stuck in the kernel"));
        }
    }

    fn is_waited_for(&self) -> bool {
        let engine = self.shared.lock();
        engine.stage() != Stage::Stopping || engine.has_work()
    }

    /// Ends the pool: nobody is left, and nobody will come.
    pub(super) fn give_up(&mut self, reason: String) {
        self.kill_and_reap_all();
        self.shared.break_down(reason);
    }

    /// Lets the workers end by themselves, then sees to it.
    pub(super) fn end(&mut self, grace: Duration) {
        for slot in 0..self.members.len() {
            // One that is ready may have run tasks, though nobody has heard of it yet.
            let has_answered =
                |socket: &OwnedFd| matches!(socket::wait_readable(socket, Duration::ZERO), Ok(true));
            if matches!(&self.members[slot].state, State::Starting { socket, .. } if has_answered(socket)) {
                self.answer(slot);
            }
            if let State::Starting { child, .. } = &self.members[slot].state {
                child.kill();
            }
        }
        let mut sockets = Vec::new();
        for (slot, member) in self.members.iter().enumerate() {
            if let State::Live { socket, child } = &member.state
                && let Ok(socket) = socket.try_clone()
            {
                sockets.push((slot, child.pid, socket));
            }
        }
        if !self.reap_all(grace) {
            self.kill_and_reap_all();
        }
        for (slot, pid, socket) in sockets {
            hear_out(slot, pid, &socket);
        }
    }

    /// A worker wrote what none may write. Which one cannot be known: all are replaced, with a fresh segment.
    pub(super) fn start_over(&mut self, now: Instant, corrupt: &Corrupt) {
        if self.next_segment.is_none() {
            tracing::warn!(reason = %corrupt.0, "worker-written control segment is corrupt: replacing all workers");
            self.n_killed = self.members.iter().filter(|member| member.child().is_some()).count() as u64;
            self.kill_and_reap_all();
        } else if self.next_segment > Some(now) {
            return;
        }
        let fresh = match create_workers_segment() {
            Ok(fresh) => Arc::new(fresh),
            Err(error) => {
                // Descriptors or memory may be scarce for a while.
                self.n_segments_failed += 1;
                self.next_segment = Some(now + NO_HURRY);
                if self.n_segments_failed > IN_VAIN_MAX {
                    self.give_up(format!("no fresh control segment: {error}"));
                }
                return;
            }
        };
        (self.next_segment, self.n_segments_failed) = (None, 0);
        let n_killed = std::mem::take(&mut self.n_killed);
        let mut engine = self.shared.lock();
        self.shared.wake_callers(&engine); // off the old segment's words
        engine.workers = fresh;
        let (mirror, control) = engine.split(self.shared.parent.get());
        if let Err(corrupt) = mirror.replace_workers_segment(control) {
            // Impossible with no worker alive.
            drop(engine);
            return self.shared.break_down(corrupt.0);
        }
        engine.end_corruption();
        engine.n_deaths += n_killed;
    }

    fn spawn(&mut self, slot: usize) {
        let member = &mut self.members[slot];
        member.incarnation = member.incarnation.wrapping_add(1);
        (member.asked, member.wanted, member.was_dismissed) = (false, false, false);
        // Relaxed: it is not there yet.
        self.shared.parent.get().dismissed[slot].store(0, Relaxed);
        // Before it can claim anything.
        self.shared.lock().status[slot].is_filled = true;
        match start(&self.shared, &self.executable, slot, member.incarnation) {
            Ok((child, socket, output)) => {
                member.output = output;
                let deadline = Instant::now() + self.shared.start_wait;
                self.shared.lock().status[slot].pid = Some(child.pid);
                member.state = State::Starting { child, socket, deadline };
            }
            Err(reason) => {
                tracing::warn!(slot, %reason, "worker could not be spawned");
                self.failed_to_start(slot, reason);
            }
        }
    }

    /// Reads what a worker says: whether it starts, and then which shares it needs, until it is gone.
    fn answer(&mut self, slot: usize) {
        let member = &mut self.members[slot];
        if let State::Live { socket, child } = &member.state {
            let mut served = (0..MESSAGES_AT_ONCE).map(|_| serve(&self.shared, slot, child.pid, socket));
            if served.find(|served| *served != Served::More) != Some(Served::Gone) {
                return; // and comes back for the rest
            }
        }
        match std::mem::replace(&mut member.state, State::Down { next: Instant::now() }) {
            State::Starting { child, socket, deadline } => {
                let mut answer = [0; EVENT_BYTES_MAX];
                let received = socket::receive(&socket, &mut answer);
                let text: &[u8] = match &received {
                    Ok(received) => &answer[..received.n_bytes],
                    Err(_) => &[],
                };
                let sender = received.as_ref().ok().and_then(|received| received.sender);
                if hear(slot, child.pid, text) {
                    member.state = State::Starting { child, socket, deadline };
                    return; // its answer is still to come
                }
                match text.split_first() {
                    // The number that we hold must be the process that speaks: a host that reaps everybody's
                    // children may have let it be reused before we could open it.
                    Some((&READY, _)) if sender == Some(child.pid) => {
                        member.state = State::Live { child, socket };
                        self.shared.lock().status[slot].go_live();
                        self.shared.changed.notify_all();
                    }
                    Some((_, reason)) if !reason.is_empty() => {
                        let reason = String::from_utf8_lossy(reason).into_owned();
                        member.state = State::Starting { child, socket, deadline };
                        member.end();
                        self.note_start_failure(slot, reason);
                    }
                    Some((&READY, _)) => {
                        member.state = State::Starting { child, socket, deadline };
                        member.end();
                        let sender = sender.map_or("nobody known".to_owned(), |pid| format!("process {pid}"));
                        self.note_start_failure(slot, format!("{sender} answered for it"));
                    }
                    // Gone before it said anything: its death will tell more.
                    _ => {
                        member.state = State::Starting { child, socket, deadline };
                        member.end();
                    }
                }
            }
            State::Live { child, socket } => {
                // A worker that has closed its socket (the task called exec, or closed every descriptor) is
                // no worker any more. One that is about to be gone has closed it too, and is left to end as
                // it does.
                drop(socket);
                let disconnected = !matches!(socket::wait_readable(child.pidfd(), HANG_UP_WAIT), Ok(true));
                if disconnected {
                    child.kill();
                }
                member.state = State::Ending { child, was_live: true, disconnected };
            }
            other @ (State::Away | State::Down { .. } | State::Ending { .. }) => member.state = other,
        }
    }

    /// The kernel says that a worker has ended: takes back what it held, and plans its replacement.
    fn reap(&mut self, slot: usize) {
        let member = &mut self.members[slot];
        let Some(child) = member.child() else { return };
        let Some(reason) = child.try_reap() else { return };
        let (was_live, disconnected) = match member.state {
            State::Away | State::Down { .. } | State::Starting { .. } => (false, false),
            State::Live { .. } => (true, false),
            State::Ending { was_live, disconnected, .. } => (was_live, disconnected),
        };
        let reason = match reason {
            ExitReason::Signal(libc::SIGKILL) if disconnected => ExitReason::Disconnected,
            reason => reason,
        };
        let pid = child.pid;
        if let State::Starting { socket, .. } | State::Live { socket, .. } = &member.state {
            hear_out(slot, pid, socket);
        }
        let last_words = member.output.take().map(Output::into_tail).unwrap_or_default();
        // The table may know more.
        let death = Death { pid, reason, fault: None, out_of_memory: false, last_words };
        let death = Death { out_of_memory: self.was_out_of_memory(&death), ..death };
        // Whatever it told us: the table knows whether it held anything.
        let blamed = self.recover(slot, &death, was_live);
        if was_live && self.is_retirement(slot, &death) && !blamed {
            // Relaxed: ours alone to write.
            if self.shared.parent.get().dismissed[slot].swap(0, Relaxed) != 0 {
                tracing::debug!(slot, pid = death.pid, "worker had nothing to do, and has ended");
                self.members[slot].state = State::Away;
                self.shared.lock().n_away += 1;
                return;
            }
            tracing::debug!(slot, pid = death.pid, "worker has ended as it was to");
            return self.plan(slot, false, false);
        }
        tracing::warn!(slot, pid = death.pid, reason = %death.reason, "worker ended");
        if !was_live {
            let hint = "is shmpool::init() the first line of `main`?";
            return self
                .failed_to_start(slot, format!("it ended with {} before it attached; {hint}", death.reason));
        }
        let in_vain = !death.reason.is_from_outside() && !blamed;
        self.plan(slot, in_vain, death.reason == ExitReason::Signal(libc::SIGTERM));
    }

    /// Whether a death looks like that of a process without memory: the machine's or the cgroup's killer has been at work
    /// since the last look, or the worker has said so.
    fn was_out_of_memory(&mut self, death: &Death) -> bool {
        let n_kills = limits::oom_kills();
        let before = std::mem::replace(&mut self.n_oom_kills, n_kills);
        match death.reason {
            ExitReason::Signal(libc::SIGKILL) => n_kills > before,
            ExitReason::Signal(libc::SIGABRT) => death.last_words.contains("memory allocation of "),
            _ => false,
        }
    }

    /// Gives the dead worker's lease back; true if a task is to blame.
    fn recover(&mut self, slot: usize, death: &Death, was_live: bool) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut engine = shared.lock();
        engine.status[slot].clear();
        engine.clear_slot(slot);
        // A table that is known to be corrupt is not believed; what it held is offered again with the fresh one.
        let blame = if engine.is_corrupt() {
            Blame::Nobody
        } else {
            let (mirror, control) = engine.split(shared.parent.get());
            mirror.recover(control, slot as u16, death).unwrap_or_else(|corrupt| {
                shared.report_corrupt(&mut engine, corrupt);
                Blame::Nobody
            })
        };
        let blamed = blame != Blame::Nobody;
        let is_retirement = self.is_retirement(slot, death) && !blamed;
        if is_retirement {
            engine.n_retired += 1;
        } else {
            engine.n_deaths += 1;
        }
        let breaks =
            engine.mirror.take_break().map(|name| format!("task `{name}` killed its worker")).or_else(|| {
                let is_ours = self.members[slot].wanted || is_retirement || blame == Blame::Single;
                // One that did not start is tried again, and what that comes to is for `plan` to say.
                let was_one = was_live || blamed;
                (shared.config.breaks && was_one && !is_ours).then(|| "a worker died".to_owned())
            });
        // It may have been woken for a hint that it never took: another one has to look.
        shared.announce(&engine, true);
        shared.wake_callers(&engine);
        drop(engine);
        if let Some(why) = breaks {
            self.give_up(format!("{why}: pid {} {}", death.pid, death.reason));
        }
        blamed
    }

    /// Whether a worker that was at no task has ended because it has run as many as it may, or had nothing to do.
    fn is_retirement(&self, slot: usize, death: &Death) -> bool {
        let may_end = self.shared.config.retires || self.members[slot].was_dismissed;
        may_end && death.reason == ExitReason::Code(EXIT_RETIRED)
    }

    /// Memory, processes or descriptors may be scarce for a while: no reason to give up as long as others work. While
    /// nobody does, a kill from outside counts too: the out-of-memory killer can go on for ever, and callers wait.
    fn failed_to_start(&mut self, slot: usize, reason: String) {
        self.note_start_failure(slot, reason);
        self.shared.lock().status[slot].clear();
        let others_live = self.members.iter().any(|member| matches!(member.state, State::Live { .. }));
        self.plan(slot, !others_live, others_live);
    }

    fn note_start_failure(&mut self, slot: usize, reason: String) {
        let mut engine = self.shared.lock();
        engine.start_failure.get_or_insert((slot, reason));
        self.shared.changed.notify_all();
    }

    /// When to fill a slot again: at once, or later and later while nothing comes of it, and in the end not
    /// at all.
    fn plan(&mut self, slot: usize, in_vain: bool, no_hurry: bool) {
        let n_finished = self.shared.lock().mirror.n_finished();
        if n_finished != self.n_finished {
            (self.n_finished, self.n_in_vain) = (n_finished, 0);
        }
        if in_vain {
            self.n_in_vain += 1;
        }
        let mut wait = match self.n_in_vain {
            0 => Duration::ZERO,
            n => Duration::from_millis(1 << n.min(9)),
        };
        if no_hurry {
            wait = wait.max(NO_HURRY);
        }
        self.members[slot].state = State::Down { next: Instant::now() + wait };
        if self.n_in_vain > IN_VAIN_MAX + self.members.len() as u32 {
            self.give_up(format!("{} workers in a row ended without finishing a task", self.n_in_vain));
        }
    }
}

/// Stops a worker; false if it does not within a moment, such as one that has ended. One that sleeps in the kernel and hears
/// nothing but SIGKILL counts as stopped: it does not come back to its task before it has heard the signal.
fn freeze(child: &Child) -> bool {
    child.stop();
    (0..FREEZE_LOOKS).any(|_| {
        let stopped = child.is_stopped() || child.is_deaf();
        if !stopped {
            std::thread::sleep(FREEZE_WAIT / FREEZE_LOOKS);
        }
        stopped
    })
}
