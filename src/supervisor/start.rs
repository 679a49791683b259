//! How a worker's process is started.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use shmpool_kernels::Level;

use super::REAP_WAIT;
use super::output::Output;
use super::shared::Shared;
use crate::control::handshake::{VARIABLE, Welcome};
use crate::sys::process::{Child, ExecutableId};
use crate::sys::socket;
use crate::task::kernel::probe;

/// What the builder has said of all workers.
pub(crate) struct Workers {
    /// [`Setup`](crate::control::setup::Setup).
    pub(crate) setup: OwnedFd,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) output: WorkerOutput,
    pub(crate) has_finalizer: bool,
    /// They end by themselves after so many tasks.
    pub(crate) retires: bool,
    /// A worker's death breaks the pool, unless it died of a submitted task that says otherwise.
    pub(crate) breaks: bool,
    /// Workers that are always there; the others come when there is work.
    pub(crate) n_min: usize,
    /// After how long without work these end again.
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) level: Level,
}

impl Workers {
    /// How many of so many are started with the pool: one at least, to see that it can be.
    pub(crate) fn n_first(&self, n_workers: usize) -> usize {
        self.n_min.clamp(1, n_workers)
    }
}

/// Where the standard output and error of workers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WorkerOutput {
    /// Where those of this process go.
    #[default]
    Inherit,
    /// To the pool, which keeps the last 16 KiB of each worker's: what a worker has said before it died is in the error.
    Capture,
    /// Nowhere.
    Null,
}

/// Starts a worker's process and sends it what it needs; it attaches while we go on.
pub(super) fn start(
    shared: &Shared,
    executable: &io::Result<ExecutableId>,
    slot: usize,
    incarnation: u16,
) -> Result<(Child, OwnedFd, Option<Output>), String> {
    let executable = *executable.as_ref().map_err(|error| format!("own executable: {error}"))?;
    let (ours, theirs) = socket::pair().map_err(|error| format!("control socket: {error}"))?;
    let workers = Arc::clone(&shared.lock().workers);
    let data_bytes = shared.arena.segment().size_bytes() as u64;
    let welcome = Welcome::new(slot as u16, incarnation, executable, probe().0, data_bytes);
    let config = &shared.config;
    let fds = [shared.parent.fd(), workers.fd(), shared.arena.segment().as_fd(), config.setup.as_fd()];
    let marker = format!("{} {slot}", std::process::id());
    let env = config.env.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()));
    let env = env.chain([(OsStr::new(VARIABLE), OsStr::new(&marker))]);
    let (output, theirs_output) = match config.output {
        WorkerOutput::Inherit => (None, None),
        WorkerOutput::Null => (None, Some((Stdio::null(), Stdio::null()))),
        WorkerOutput::Capture => {
            let (ours, theirs, again) = pipe().map_err(|error| format!("pipe for its output: {error}"))?;
            (Some(ours), Some((theirs.into(), again.into())))
        }
    };
    let child = Child::spawn(&format!("shmpool-w{slot}"), env, theirs, theirs_output)
        .map_err(|error| format!("spawning /proc/self/exe: {error}"))?;
    // After the spawn: a child that could not be watched must not have touched anything, and it cannot before this.
    if let Err(error) = socket::send(&ours, bytemuck::bytes_of(&welcome), &fds) {
        child.kill();
        while child.try_reap().is_none() {
            let _ = socket::wait_readable(child.pidfd(), REAP_WAIT);
        }
        return Err(format!("welcome: {error}"));
    }
    Ok((child, ours, output))
}

/// A pipe for a worker's output: our end, and theirs twice.
fn pipe() -> io::Result<(Output, OwnedFd, OwnedFd)> {
    let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let again = theirs.try_clone()?;
    Ok((Output::new(ours)?, theirs, again))
}
