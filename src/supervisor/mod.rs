//! The parent's care for its children: one thread that spawns, watches, recovers and replaces.
//!
//! It is the only one to spawn, and lives as long as the pool: the parent-death signal of a worker fires when
//! the *thread* that spawned it ends. It believes nothing but the kernel about life and death. It runs no
//! user code but the program's subscriber of `tracing` events, which must not use the pool.

mod members;
mod output;
mod shared;
mod start;
mod talk;

pub(crate) use shared::{Counters, Engine, Shared, Stage};
pub use start::WorkerOutput;
pub(crate) use start::Workers;
pub(crate) use talk::tell;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use members::Members;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::control::events;
use crate::control::setup::FINALIZER_GRACE;
use crate::sync::Relaxed;
use crate::sys::{clock, process};

/// How often the supervisor looks around when nothing happens: the arena gives old pages back.
const TICK: Duration = clock::BEAT_MAX;
/// How soon it looks again for workers that are to be killed for the task that they run.
const DOOMED_TICK: Duration = Duration::from_millis(5);
/// How soon it looks again for workers that are idle, or tasks that run, for too long: their limits may be shorter than a look
/// takes.
const LIMITS_TICK: Duration = Duration::from_millis(1);
/// How often descriptors are looked at one by one, where the kernel will not wait for all.
const ONE_BY_ONE: Duration = Duration::from_millis(10);
/// How long an idle worker without a finalizer has to end by itself when the pool ends.
const GRACE: Duration = Duration::from_millis(250);
/// How long a killed worker may take to be gone. Only a task stuck in the kernel takes longer; it is left to
/// the kernel then.
const REAP_WAIT: Duration = Duration::from_secs(5);

/// The supervisor thread's life.
pub(crate) fn supervise(shared: &Arc<Shared>) {
    let _beating = clock::Beating::new();
    process::block_interrupts();
    let mut members = Members::new(shared);
    let watched = catch_unwind(AssertUnwindSafe(|| {
        watch(shared, &mut members);
    }));
    if watched.is_err() {
        // A bug of ours, or of the program's own event subscriber. No worker may outlive it, and no caller
        // may wait for ever.
        members.give_up("its supervisor panicked".to_owned());
        return;
    }
    members.end(if shared.config.has_finalizer { FINALIZER_GRACE } else { GRACE });
    shared.end();
}

/// Until the pool stops.
fn watch(shared: &Arc<Shared>, members: &mut Members) {
    let mut next_tick = Instant::now();
    loop {
        let now = Instant::now();
        clock::beat();
        if now >= next_tick {
            let more = shared.arena.tick(now);
            shared.remind_collector();
            // Relaxed: workers look at it between leases.
            tell(|| shared.parent.get().header.events.store(events::wanted(), Relaxed));
            // Should the arena have nothing to say: the next time.
            let _ = shared.publish(shared.config.level);
            next_tick = if more { now } else { now + TICK };
        }
        let late = shared.doom_late().map(|late| late.max(LIMITS_TICK));
        let next_kill = members.kill_doomed().then(|| now + DOOMED_TICK);
        match shared.stage() {
            Stage::Stopping => return,
            Stage::Running => {
                if let Some(bug) = shared.bug() {
                    members.give_up(bug);
                } else if let Some(corrupt) = shared.corrupt() {
                    members.start_over(now, &corrupt);
                } else {
                    members.dismiss_idle(now);
                    members.call_for_work(now);
                    members.spawn_due(now);
                }
            }
            Stage::Broken => {}
        }
        let until = match shared.stage() {
            Stage::Running => members.next_deadline().map_or(next_tick, |deadline| deadline.min(next_tick)),
            Stage::Stopping => continue,
            Stage::Broken => next_tick, // nobody is spawned any more
        };
        let until = next_kill.map_or(until, |next| next.min(until));
        let until = late.map_or(until, |late| (now + late).min(until));
        let ready = wait(shared, members, until.saturating_duration_since(Instant::now()));
        shared.drain_wakeups();
        members.handle(&ready);
    }
}

/// What [`wait`] saw of one member.
#[derive(Clone, Copy, Default)]
struct Ready {
    socket: bool,
    ended: bool,
    output: bool,
}

fn wait(shared: &Shared, members: &Members, wait: Duration) -> Vec<Ready> {
    let mut fds = vec![PollFd::new(&shared.wakeup, PollFlags::IN)];
    for member in members.iter() {
        if let Some((socket, child)) = member.descriptors() {
            fds.push(PollFd::from_borrowed_fd(child, PollFlags::IN));
            let others = socket.into_iter().chain(member.output());
            fds.extend(others.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
    }
    // An interrupted wait is one more look around.
    if poll(&mut fds, Some(&clock::timespec(wait))) == Err(Errno::INVAL) {
        // More descriptors than RLIMIT_NOFILE now allows to wait for at once: they were opened before it was lowered.
        for fd in &mut fds {
            let _ = poll(std::slice::from_mut(fd), Some(&clock::timespec(Duration::ZERO)));
        }
        if fds.iter().all(|fd| fd.revents().is_empty()) {
            std::thread::sleep(wait.min(ONE_BY_ONE));
        }
    }
    let mut events = fds[1..].iter().map(|fd| !fd.revents().is_empty());
    let mut next = || events.next().unwrap_or(false);
    members
        .iter()
        .map(|member| match member.descriptors() {
            Some((socket, _)) => Ready {
                ended: next(),
                socket: socket.is_some() && next(),
                output: member.output().is_some() && next(),
            },
            None => Ready::default(),
        })
        .collect()
}
