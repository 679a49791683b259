//! What `/proc` tells of other processes: which hold a memory file of some name, and the CPU time that they had.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

/// Processes that there are, as far as this one may see.
pub(crate) fn processes() -> io::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The memory files of this name that a process holds, opened for reading.
pub(crate) fn memory_files(pid: u32, name: &str) -> io::Result<Vec<OwnedFd>> {
    let wanted = format!("/memfd:{name}");
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let Ok(entry) = entry else { continue };
        let is_it = fs::read_link(entry.path()).is_ok_and(|target| {
            target.to_str().is_some_and(|target| target.split(' ').next() == Some(&wanted))
        });
        // A descriptor may be closed, or be another file by now: who reads the file sees what it is. Should it be a pipe, or a
        // terminal, we neither wait for somebody who writes to it nor become its own.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        if is_it && let Ok(file) = rustix::fs::open(entry.path(), flags, Mode::empty()) {
            found.push(file);
        }
    }
    Ok(found)
}

/// CPU time that the threads of a process have had, and the time for which they could have run and had no CPU; of those
/// threads that still live. Zeros where the kernel does not count.
pub(crate) fn cpu_times(pid: u32) -> (Duration, Duration) {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Default::default() };
    threads
        .filter_map(|thread| {
            parse_schedstat(&fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?)
        })
        .fold(Default::default(), |(cpu, waited), thread| (cpu + thread.0, waited + thread.1))
}

/// `run wait slices`, times in nanoseconds.
fn parse_schedstat(text: &str) -> Option<(Duration, Duration)> {
    let mut words = text.split_whitespace().map(|word| word.parse().ok().map(Duration::from_nanos));
    Some((words.next()??, words.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_schedstat() {
        let times = (Duration::from_nanos(1_500), Duration::from_nanos(20));
        assert_eq!(parse_schedstat("1500 20 3\n"), Some(times));
        assert_eq!(parse_schedstat("1500"), None);
        assert_eq!(parse_schedstat("x 20 3"), None);
    }

    #[test]
    fn own_files_by_their_whole_name() {
        let _file = crate::sys::shm::create("shmpool-observed").unwrap();
        let me = std::process::id();
        assert_eq!(memory_files(me, "shmpool-observed").unwrap().len(), 1);
        assert!(memory_files(me, "shmpool-observe").unwrap().is_empty());
        memory_files(u32::MAX, "shmpool-observed").unwrap_err();
        assert!(processes().unwrap().contains(&me));
    }
}
