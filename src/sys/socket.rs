//! The control socket between the parent and one worker: short datagrams that may carry descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};

/// Descriptors in one message, at most.
const FDS_MAX: usize = 8;

/// One message as it came.
pub(crate) struct Received {
    pub(crate) n_bytes: usize,
    pub(crate) fds: Vec<OwnedFd>,
    /// The sender, as the kernel says; only where [`pair`]'s first end receives.
    pub(crate) sender: Option<u32>,
}

/// A connected pair of datagram sockets that keep message boundaries and hang up; the first end learns who
/// sends.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_passcred(&ours, true)?;
    Ok((ours, theirs))
}

/// Sends `bytes` and `fds` as one message, without ever blocking.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors in one message"));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    retry(|| sendmsg(&socket, &[IoSlice::new(bytes)], &mut ancillary, flags))?;
    Ok(())
}

/// As [`send`] without descriptors, but waits for the other end to take earlier messages; at most so long.
pub(crate) fn send_when_possible(socket: impl AsFd, bytes: &[u8], wait: Duration) -> io::Result<()> {
    match send(&socket, bytes, &[]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && !wait.is_zero() => {}
        sent => return sent,
    }
    let deadline = Instant::now() + wait;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&socket, PollFlags::OUT)];
        retry(|| poll(&mut fds, Some(&super::clock::timespec(left))))?;
        match send(&socket, bytes, &[]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !left.is_zero() => {}
            sent => return sent,
        }
    }
}

/// Receives one message; `n_bytes == 0` without descriptors means that the other end is gone.
pub(crate) fn receive(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX), ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = retry(|| recvmsg(&socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, flags))?;
    let mut received = Received { n_bytes: message.bytes, fds: Vec::new(), sender: None };
    for part in ancillary.drain() {
        match part {
            RecvAncillaryMessage::ScmRights(fds) => received.fds.extend(fds),
            RecvAncillaryMessage::ScmCredentials(sender) => {
                received.sender = Some(sender.pid.as_raw_nonzero().get().cast_unsigned());
            }
            _ => {}
        }
    }
    Ok(received)
}

/// Waits until `fd` can be read or has hung up; false after `wait`.
pub(crate) fn wait_readable(fd: impl AsFd, wait: Duration) -> io::Result<bool> {
    let wait = super::clock::timespec(wait);
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    retry(|| poll(&mut fds, Some(&wait)))?;
    Ok(fds[0].revents().intersects(PollFlags::IN | PollFlags::HUP))
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            done => return done,
        }
    }
}
