//! A file that appears when it is whole.
//!
//! The bytes go to a file without a name (`O_TMPFILE`), which the kernel forgets should this process end, SIGKILL included. It gets its name last: at once where
//! there was none, or under a name of its own that is then renamed over the old file. Only a death between those two system calls
//! leaves anything. File systems without such files (FAT, NFS, older overlays) get a file with a name, which a SIGKILL or Ctrl-C does leave behind.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use rustix::io::Errno;

/// Read and write for everybody: the umask takes away what the user wants taken away.
const MODE: Mode = Mode::from_raw_mode(0o666);

/// A file on its way.
#[derive(Debug)]
pub(crate) struct Unfinished {
    file: File,
    target: PathBuf,
    /// A name beside the target's.
    aside: PathBuf,
    /// The file stands at `aside`, and must not stay there.
    named: bool,
}

impl Unfinished {
    /// Begins a file that is to stand at `path`: says now whether that can work at all, before the work is done.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        // What a link leads to is replaced, not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        // Renaming over a device would replace it, for everybody.
        if target.exists() && !target.is_file() {
            return Err(io::Error::other("exists, and is not a file"));
        }
        let name = target.file_name().ok_or(Errno::ISDIR)?.to_string_lossy();
        let aside = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        let directory = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let (file, named) = match open(directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, MODE) {
            Ok(file) => (file, false),
            // Linux says EISDIR where the flag is unknown.
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
                (open(&aside, flags, MODE)?, true)
            }
            Err(Errno::NOENT) => return Err(no_folder(directory)),
            Err(error) => return Err(error.into()),
        };
        Ok(Unfinished { file: file.into(), target, aside, named })
    }

    /// Where the bytes go.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name, in place of whatever had it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if !self.named {
            match self.link(&self.target) {
                Err(Errno::EXIST) => self.link(&self.aside)?,
                result => return Ok(result?),
            }
            self.named = true;
        }
        fs::rename(&self.aside, &self.target)?;
        self.named = false;
        Ok(())
    }

    fn link(&self, path: &Path) -> rustix::io::Result<()> {
        let own = format!("/proc/self/fd/{}", self.file.as_fd().as_raw_fd());
        linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW)
    }
}

/// That a file would stand in a folder that is not there.
pub(crate) fn no_folder(folder: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display()))
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.named {
            // Nothing can be done about a failure; the one that led here is being reported.
            let _ = fs::remove_file(&self.aside);
        }
    }
}
