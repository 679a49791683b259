//! The shares that this worker has mapped: asked of the parent when a job first needs them.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::control::handshake::share_request;
use crate::segment::{Ticket, View};
use crate::sys::socket;
use crate::task::job::Operand;

/// Mapped at once, at most: more than one job can name.
const VIEWS_MAX: usize = 16;
/// How long the parent may take to answer. Its supervisor is never busy for as long as this.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// The shares, those used last at the end.
#[derive(Default)]
pub(super) struct Shares {
    views: Vec<View>,
}

impl Shares {
    /// First byte of the share that an operand lies in, which reaches to the operand's end.
    pub(super) fn base(&mut self, socket: &OwnedFd, operand: &Operand) -> Result<*mut u8, String> {
        let view = match self.views.iter().position(|view| view.ticket.id == operand.share) {
            Some(known) => self.views.remove(known),
            None => {
                if self.views.len() == VIEWS_MAX {
                    self.views.remove(0);
                }
                ask(socket, operand.share)?
            }
        };
        let (base, ticket) = (view.as_ptr(), view.ticket);
        self.views.push(view);
        if operand.end() > ticket.len_bytes {
            let (end, len_bytes) = (operand.end(), ticket.len_bytes);
            return Err(format!("an array ends at byte {end} of share {} of {len_bytes}", ticket.id));
        }
        Ok(base)
    }

    /// Lets go of files on disk: somebody may want to unmount, and their page tables are large.
    pub(super) fn release_files(&mut self) {
        self.views.retain(|view| view.ticket.on_disk == 0);
    }
}

fn ask(control: &OwnedFd, id: u64) -> Result<View, String> {
    let failed = |what: &str, why: &dyn std::fmt::Display| format!("share {id}: {what}: {why}");
    socket::send(control, &share_request(id), &[]).map_err(|error| failed("ask the parent", &error))?;
    let deadline = Instant::now() + ANSWER_WAIT;
    while !socket::wait_readable(control, deadline.saturating_duration_since(Instant::now()))
        .map_err(|error| failed("wait for the parent", &error))?
    {
        if Instant::now() >= deadline {
            return Err(failed("ask the parent", &"no answer"));
        }
    }
    let mut bytes = [0; size_of::<Ticket>()];
    let received = socket::receive(control, &mut bytes).map_err(|error| failed("hear the parent", &error))?;
    let ticket: Ticket = bytemuck::pod_read_unaligned(&bytes);
    match &received.fds[..] {
        [fd] if received.n_bytes == bytes.len() && ticket.id == id => {
            View::map(ticket, fd).map_err(|error| error.to_string())
        }
        _ => Err(failed("ask the parent", &"it has no such share")),
    }
}
