//! What a worker writes to its standard output and error, if that is captured: the end of it, for when it dies.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// Bytes that are kept.
const TAIL_BYTES: usize = 16 << 10;

/// Our end of a worker's pipe.
pub(super) struct Output {
    /// Closed once the other end is.
    pipe: Option<OwnedFd>,
    tail: VecDeque<u8>,
}

impl Output {
    pub(super) fn new(pipe: OwnedFd) -> std::io::Result<Self> {
        fcntl_setfl(&pipe, fcntl_getfl(&pipe)? | OFlags::NONBLOCK)?;
        Ok(Output { pipe: Some(pipe), tail: VecDeque::new() })
    }

    /// What is to be waited for.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Takes what is there, and no more than a worker can write meanwhile.
    pub(super) fn read(&mut self) {
        let mut bytes = [0; 16 << 10];
        for _ in 0..16 {
            let Some(pipe) = &self.pipe else { return };
            match rustix::io::read(pipe, &mut bytes) {
                Ok(0) => self.pipe = None,
                Ok(n) => {
                    self.tail.extend(&bytes[..n]);
                    let beyond = self.tail.len().saturating_sub(TAIL_BYTES);
                    self.tail.drain(..beyond);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Its last words.
    pub(super) fn into_tail(mut self) -> String {
        self.read();
        String::from_utf8_lossy(self.tail.make_contiguous()).into_owned()
    }
}
