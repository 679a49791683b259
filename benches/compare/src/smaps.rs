//! Private memory of a process, as the kernel counts it.

use std::{fs, io};

/// KiB of memory that process `pid` has for itself: anonymous pages, and pages of files that no other process maps,
/// memfds left out.
///
/// A memfd's pages are shared by their nature: the kernel calls one private while a single process alone has
/// touched it.
///
/// # Errors
/// If the process is gone or somebody else's, or if `/proc` holds what it should not.
pub(crate) fn private_kib(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps"))?;
    let (mut kib, mut memfd) = (0, false);
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("Private_Clean:" | "Private_Dirty:") if !memfd => {
                let number = words.next().and_then(|word| word.parse::<u64>().ok());
                kib += number.ok_or_else(|| io::Error::other(format!("smaps: no number in `{line}`")))?;
            }
            // The first line of a mapping: its addresses, and at the end its name.
            Some(word) if !word.ends_with(':') => memfd = line.contains(" /memfd:"),
            _ => {}
        }
    }
    Ok(kib)
}
