//! From a control socket to a live worker.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::shares::Shares;
use super::{Worker, events, setup};
use crate::control::N_OPERANDS;
use crate::control::entry::Owner;
use crate::control::handshake::{READY, REFUSED, Welcome};
use crate::control::mapped::Mapped;
use crate::control::parent::{MAGIC, ParentControl};
use crate::control::setup::Setup;
use crate::control::worker::WorkerControl;
use crate::error::Error;
use crate::segment::{Access, Mapping, Segment};
use crate::sync::{Acquire, Relaxed};
use crate::sys::{process, socket};
use crate::task::job::JobArgs;
use crate::task::kernel::probe;

/// How long a worker waits for its parent's first word. The parent sends it right after the spawn.
const WELCOME_WAIT: Duration = Duration::from_secs(30);

impl Worker {
    /// Maps what the parent hands over, and tells it that this worker is live, or why not.
    pub(crate) fn attach(control: OwnedFd) -> Result<Self, String> {
        let (welcome, fds) = receive_welcome(&control)?;
        match Worker::from_welcome(control, welcome, fds) {
            Ok(worker) => {
                socket::send(&worker.socket, &[READY], &[]).map_err(|error| format!("answer: {error}"))?;
                Ok(worker)
            }
            Err((control, reason)) => {
                let mut answer = vec![REFUSED];
                answer.extend(reason.as_bytes());
                let _ = socket::send(&control, &answer, &[]);
                Err(reason)
            }
        }
    }

    fn from_welcome(
        control: OwnedFd,
        welcome: Welcome,
        fds: Vec<OwnedFd>,
    ) -> Result<Self, (OwnedFd, String)> {
        match segments(&control, &welcome, fds) {
            Ok((parent, workers, data, setup)) => Ok(Worker {
                me: Owner { slot: welcome.slot as u16, incarnation: welcome.incarnation as u16 },
                parent,
                workers,
                data,
                shares: Shares::default(),
                setup,
                socket: control,
            }),
            Err(reason) => Err((control, reason)),
        }
    }

    /// First bytes of the mappings that a job's operands lie in, each up to the operand's end. Earlier ones are void.
    pub(super) fn bases(&mut self, args: &JobArgs) -> Result<[*mut u8; N_OPERANDS], String> {
        self.map_data_to(args.end())?;
        let mut bases = [self.data.as_ptr(); N_OPERANDS];
        for (base, operand) in bases.iter_mut().zip(&args.operands) {
            if operand.share != 0 {
                *base = self.shares.base(&self.socket, operand)?;
            }
        }
        Ok(bases)
    }

    /// Maps the data segment at least up to `wanted` bytes. Addresses into it change.
    fn map_data_to(&mut self, wanted: u64) -> Result<(), String> {
        map_to(&mut self.data, wanted)
    }
}

/// As [`Worker::map_data_to`].
pub(super) fn map_to(data: &mut Mapping, wanted: u64) -> Result<(), String> {
    let (mapped, whole) = (data.len_bytes(), data.segment().size_bytes());
    if wanted <= mapped as u64 {
        return Ok(());
    }
    if wanted > whole as u64 {
        return Err(format!("an array ends at byte {wanted} of a data segment of {whole}"));
    }
    let wanted = wanted as usize;
    // A little more than asked for, so that a growing program does not remap at every step.
    let target = (wanted + wanted / 8).next_multiple_of(HIGH_WATER_STEP).min(whole);
    data.grow(target).map_err(text)
}

/// What the mapping of the data segment grows by, at least.
const HIGH_WATER_STEP: usize = 16 << 20;

type Segments = (Mapped<ParentControl>, Mapped<WorkerControl>, Mapping, Setup);

fn segments(control: &OwnedFd, welcome: &Welcome, fds: Vec<OwnedFd>) -> Result<Segments, String> {
    let executable = process::executable_id().map_err(|error| format!("own executable: {error}"))?;
    welcome.check(executable, probe().0)?;
    let n_fds = fds.len();
    let [parent, workers, data, setup]: [OwnedFd; 4] =
        fds.try_into().map_err(|_| format!("descriptors: found {n_fds}, wanted 4"))?;
    let parent: Mapped<ParentControl> = Mapped::attach_read_only(parent).map_err(text)?;
    // Acquire: pairs with the Release of the parent, which writes the magic last.
    let magic = parent.get().header.magic.load(Acquire);
    if magic != MAGIC {
        return Err(format!("parent-written segment: found magic {magic:#x}, wanted {MAGIC:#x}"));
    }
    let workers = Mapped::attach(workers).map_err(text)?;
    let data_bytes = welcome.data_bytes as usize;
    let data = Segment::attach("arena", data, data_bytes, Access::Shared)
        .and_then(|segment| segment.map_writable(HIGH_WATER_STEP.min(data_bytes)))
        .map_err(text)?;
    for mapping in [parent.mapping(), workers.mapping(), &data] {
        // A task's own forked child must not write on after the worker is dead, and a crash must not dump the
        // arena.
        mapping.dont_fork().and_then(|()| mapping.dont_dump()).map_err(text)?;
    }
    let setup = Setup::from_file(&setup).map_err(|error| format!("setup: {error}"))?;
    events::want(parent.get().header.events.load(Relaxed));
    let forwarding = events::forward_here(control);
    setup::prepare(&setup, welcome.slot as u16)?;
    drop(forwarding);
    events::forward(control);
    Ok((parent, workers, data, setup))
}

fn text(error: Error) -> String {
    error.to_string()
}

fn receive_welcome(control: &OwnedFd) -> Result<(Welcome, Vec<OwnedFd>), String> {
    let deadline = Instant::now() + WELCOME_WAIT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("the parent sent nothing for {} s", WELCOME_WAIT.as_secs()));
        }
        if !socket::wait_readable(control, left).map_err(|error| format!("control socket: {error}"))? {
            continue;
        }
        let mut bytes = [0; size_of::<Welcome>()];
        let received =
            socket::receive(control, &mut bytes).map_err(|error| format!("control socket: {error}"))?;
        if received.n_bytes != bytes.len() {
            return Err(format!("welcome: found {} bytes, wanted {}", received.n_bytes, bytes.len()));
        }
        return Ok((bytemuck::pod_read_unaligned(&bytes), received.fds));
    }
}
