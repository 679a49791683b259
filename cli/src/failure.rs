//! How the command fails: one line for people, one number for scripts.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use shmpool::ErrorKind;

/// The exit codes, as `--help` and `README.md` promise them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Task = 1,
    Usage = 2,
    Input = 3,
    Pool = 4,
    Memory = 5,
    Output = 6,
    Timeout = 7,
}

/// Why the command ends, and with which code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    /// The file it is about, if it is about one.
    path: Option<PathBuf>,
    message: String,
}

impl Exit {
    /// The exit of that code, if it is one of a failure.
    pub(crate) fn of(code: u32) -> Option<Self> {
        use Exit::{Input, Memory, Output, Pool, Task, Timeout, Usage};
        [Task, Usage, Input, Pool, Memory, Output, Timeout].into_iter().find(|&exit| exit as u32 == code)
    }
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        // Some decoders' messages have several lines; the promise is one.
        let message = message.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Failure { exit, path: None, message }
    }

    /// For what has been said already: the exit code alone.
    pub(crate) fn said(exit: Exit) -> Self {
        Failure::new(exit, "")
    }

    pub(crate) fn is_said(&self) -> bool {
        self.message.is_empty()
    }

    pub(crate) fn about(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// About that file, if it is not about another one already.
    pub(crate) fn or_about(self, path: &Path) -> Self {
        if self.path.is_some() { self } else { self.about(path) }
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(&self.message)
    }
}

impl From<shmpool::Error> for Failure {
    fn from(error: shmpool::Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Kernel(_) | ErrorKind::Option { .. } => Exit::Usage,
            ErrorKind::TooLarge { .. } | ErrorKind::SizeOverflow { .. } | ErrorKind::TooManyTasks { .. } => {
                Exit::Memory
            }
            ErrorKind::Os { error, .. } if is_a_limit(error) => Exit::Memory,
            ErrorKind::Os { .. }
            | ErrorKind::WorkerStart { .. }
            | ErrorKind::PoolBroken { .. }
            | ErrorKind::WorkerDied { .. }
            | ErrorKind::ControlCorrupted { .. } => Exit::Pool,
            _ => Exit::Task,
        };
        Failure::new(exit, error)
    }
}

impl From<shmpool::kernels::KernelError> for Failure {
    fn from(error: shmpool::kernels::KernelError) -> Self {
        Failure::new(Exit::Usage, error)
    }
}

/// Whether the system has refused for want of memory, descriptors or processes.
fn is_a_limit(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let limits = [Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOSPC, Errno::FBIG];
    Errno::from_io_error(error).is_some_and(|errno| limits.contains(&errno))
}

/// What the system answered, without its numbers where it is one of the usual answers.
pub(crate) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Prints a result. A reader that has gone away (`| head`) is an output that cannot be written, not a panic.
pub(crate) fn print(text: impl fmt::Display) -> Result<(), Failure> {
    use std::io::Write;
    writeln!(io::stdout(), "{text}")
        .map_err(|error| Failure::new(Exit::Output, format!("standard output: {error}")))
}

/// One line of JSON, its keys in the order of the fields.
pub(crate) fn to_json(result: &impl serde::Serialize) -> String {
    serde_json::to_string(result).expect("plain structs of numbers and text")
}
