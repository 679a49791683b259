//! Which parts of which files this process has mapped, and how: two arrays of one file are one array.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Use;
use crate::error::{Access, Error, ErrorKind, Result};

/// What tells one file from another, whatever their names are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

/// A part of a file that is mapped; another one that overlaps it can be had only if both are read.
#[derive(Debug)]
pub(crate) struct Claim {
    id: u64,
    /// The process that made it: a forked child has its own account, of which it knows nothing.
    owner: u32,
}

struct Claimed {
    id: u64,
    file: FileId,
    bytes: Range<u64>,
    how: Use,
    since: &'static Location<'static>,
}

#[derive(Default)]
struct Claims {
    last: u64,
    claimed: Vec<Claimed>,
}

static CLAIMS: Mutex<Claims> = Mutex::new(Claims { last: 0, claimed: Vec::new() });

fn claims() -> MutexGuard<'static, Claims> {
    CLAIMS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Claim {
    /// # Errors
    /// As for [`new`](Claim::new); [`ErrorKind::Os`] if the file does not say which it is.
    #[track_caller]
    pub(crate) fn of(file: &File, bytes: Range<usize>, how: Use, name: &str) -> Result<Claim> {
        let status = file.metadata();
        let status = match status {
            Ok(status) => status,
            Err(error) => return Err(Error::os(format!("stat {name}"), error)),
        };
        let id = FileId { device: status.dev(), inode: status.ino() };
        Claim::new(id, bytes.start as u64..bytes.end as u64, how, name)
    }

    /// # Errors
    /// [`ErrorKind::Busy`] if this process has mapped any of the bytes, and they are to be written here or there.
    #[track_caller]
    fn new(file: FileId, bytes: Range<u64>, how: Use, name: &str) -> Result<Claim> {
        let mut claims = claims();
        let overlaps = |other: &&Claimed| {
            other.file == file && other.bytes.start < bytes.end && bytes.start < other.bytes.end
        };
        let exclusive = |other: &&Claimed| how == Use::Write || other.how == Use::Write;
        let mut in_the_way = claims.claimed.iter().filter(overlaps).filter(exclusive);
        if let Some(other) = in_the_way.next() {
            return Err(Error::from(ErrorKind::Busy {
                what: format!("a part of bytes {} to {} of {name}", bytes.start, bytes.end),
                held: access(other.how),
                since: other.since,
                n_more: in_the_way.count(),
                wanted: access(how),
                at: Location::caller(),
            }));
        }
        claims.last += 1;
        let id = claims.last;
        claims.claimed.push(Claimed { id, file, bytes, how, since: Location::caller() });
        Ok(Claim { id, owner: std::process::id() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.owner == std::process::id() {
            claims().claimed.retain(|other| other.id != self.id);
        }
    }
}

fn access(how: Use) -> Access {
    match how {
        Use::Read => Access::Read,
        Use::Write => Access::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_parts_can_be_had_twice_if_both_are_read() {
        let file = FileId { device: u64::MAX, inode: 1 };
        #[track_caller]
        fn claim(file: FileId, bytes: Range<u64>, how: Use) -> Result<Claim> {
            Claim::new(file, bytes, how, "a.npy")
        }
        let first = claim(file, 0..100, Use::Read).unwrap();
        let _second = claim(file, 50..150, Use::Read).unwrap();
        let error = claim(file, 99..200, Use::Write).unwrap_err().to_string();
        let wanted = "a part of bytes 99 to 200 of a.npy is being read since src/segment/files.rs:";
        assert!(error.starts_with(wanted), "{error}");
        assert!(
            error.contains(" (and by 1 more), and cannot be written at src/segment/files.rs:"),
            "{error}"
        );
        let _behind = claim(file, 150..200, Use::Write).unwrap();
        claim(file, 199..200, Use::Read).unwrap_err();
        let other = FileId { inode: 2, ..file };
        let _other = Claim::new(other, 0..100, Use::Write, "b.npy").unwrap();
        drop(first);
        let _again = claim(file, 0..50, Use::Write).unwrap();
    }
}
