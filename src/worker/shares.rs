//! The shares that this worker has mapped: asked of the parent when a job first needs them.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::control::handshake::share_request;
use crate::segment::{Ticket, View};
use crate::sys::{process, socket};
use crate::task::job::Operand;

/// Mapped at once, at most: more than one job can name.
const VIEWS_MAX: usize = 16;
/// One wait for an answer, of any number.
pub(super) const LONG: Duration = Duration::from_secs(3600);
/// When to ask again for what cannot be handed over now: the system is short of something.
const SOON: Duration = Duration::from_millis(10);
/// Exit code of a worker whose parent has hung up.
const EXIT_HUNG_UP: i32 = 123;

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

/// Asks until there is an answer: a parent that is stopped answers when it goes on, and one that is gone has hung up.
fn ask(control: &OwnedFd, id: u64) -> Result<View, String> {
    let failed = |what: &str, why: &dyn std::fmt::Display| format!("share {id}: {what}: {why}");
    loop {
        socket::send_when_possible(control, &share_request(id), LONG)
            .map_err(|error| failed("ask the parent", &error))?;
        let (ticket, fds) = answer(control, id).map_err(|error| failed("hear the parent", &error))?;
        match &fds[..] {
            [fd] => return View::map(ticket, fd).map_err(|error| error.to_string()),
            // The kernel drops what we have no room for.
            _ if ![0, Ticket::LATER].contains(&ticket.len_bytes) => {
                return Err(failed("take what the parent sent", &"this worker has no descriptor left"));
            }
            _ if ticket.len_bytes == Ticket::LATER => std::thread::sleep(SOON),
            _ => return Err(failed("ask the parent", &"it has no such share")),
        }
    }
}

fn answer(control: &OwnedFd, id: u64) -> io::Result<(Ticket, Vec<OwnedFd>)> {
    hear::<{ size_of::<Ticket>() }, _>(control, |message, fds| {
        let whole = message.len() == size_of::<Ticket>();
        let ticket: Ticket = whole.then(|| bytemuck::pod_read_unaligned(message))?;
        (ticket.id == id).then(|| (ticket, std::mem::take(fds)))
    })
}

/// Waits for a message of the parent's, of at most `N` bytes, that `read` makes something of.
pub(super) fn hear<const N: usize, M>(
    control: &OwnedFd,
    read: impl Fn(&[u8], &mut Vec<OwnedFd>) -> Option<M>,
) -> io::Result<M> {
    loop {
        while !socket::wait_readable(control, LONG)? {}
        let mut bytes = [0; N];
        let mut received = match socket::receive(control, &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            received => received?,
        };
        if received.n_bytes == 0 {
            // The parent has given us up, or is gone. Ending here blames no task.
            process::exit_now(EXIT_HUNG_UP);
        }
        if let Some(message) = read(&bytes[..received.n_bytes.min(N)], &mut received.fds) {
            return Ok(message);
        }
    }
}
