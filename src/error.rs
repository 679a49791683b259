//! What can go wrong, as values: [`Error`] and its [`ErrorKind`].

use std::any::Any;
use std::fmt;
use std::io;
use std::ops::Range;
use std::panic::Location;
use std::path::PathBuf;
use std::time::Duration;

use shmpool_kernels::KernelError;

mod npy;

pub use npy::NpyError;

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong: [`kind`](Error::kind) to match on, and a message that names the thing, found and wanted.
///
/// The error of a job also carries a [`JobReport`]: which elements were done, and what happened to the rest.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    report: Option<JobReport>,
    partial: Option<Box<dyn Any + Send + Sync>>,
}

/// The kinds of [`Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `shmpool::init()` did not run in this process.
    #[error(
        "shmpool::init() has not run in this process: make it the first line of `main`; \
         in a test or bench file write `shmpool::test_workers!();` beside the imports"
    )]
    NotInitialised,
    /// The pool belongs to the process that this one was forked from.
    #[error("this pool belongs to process {owner}, and this is its forked child {child}: build a pool here")]
    ForkedChild {
        /// Process that built the pool.
        owner: u32,
        /// Process that tried to use it.
        child: u32,
    },
    /// A system call failed.
    #[error("{what}: {error}")]
    Os {
        /// What was tried, and on what.
        what: String,
        /// What the system answered.
        #[source]
        error: io::Error,
    },
    /// More memory was asked for than a limit allows. Nothing was touched.
    #[error("{what} needs {wanted_bytes} bytes, but {limit} leaves {limit_bytes}")]
    TooLarge {
        /// What was to be made.
        what: String,
        /// Bytes that it needs.
        wanted_bytes: u64,
        /// Bytes that the limit leaves.
        limit_bytes: u64,
        /// Name of the limit: `RLIMIT_FSIZE`, `the cgroup's memory limit`, `available memory`, `the arena's
        /// capacity`…
        limit: &'static str,
    },
    /// The size of an array in bytes does not fit into 64 bits.
    #[error("shape {shape:?} of {element_bytes}-byte elements: the size in bytes overflows")]
    SizeOverflow {
        /// Shape that was asked for.
        shape: Vec<usize>,
        /// Size of one element.
        element_bytes: usize,
    },
    /// Arrays of one call do not fit together, or data does not fit the shape.
    #[error("{what}: found {found:?}, wanted {wanted:?}")]
    Shape {
        /// The argument.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that it must have.
        wanted: Vec<usize>,
    },
    /// A part of an array was asked for that it does not have.
    #[error("axis {axis}: range {}..{} of {len} elements", range.start, range.end)]
    OutOfRange {
        /// The dimension, from 0.
        axis: usize,
        /// The part along it.
        range: Range<usize>,
        /// Its length.
        len: usize,
    },
    /// A file is not the `.npy` file that was wanted.
    #[error("{}: {error}", path.display())]
    Npy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: NpyError,
    },
    /// A named array is not one of ours, or not yet.
    #[error("named array {name:?} {why}")]
    Named {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Somebody has a lease on the array, or has mapped the file, and the two may not have it at once: any number may
    /// read, or one write.
    #[error(
        "{what} is being {held} since {since}{}, and cannot be {wanted} at {at}",
        match n_more { 0 => String::new(), n => format!(" (and by {n} more)") }
    )]
    Busy {
        /// The array.
        what: String,
        /// What the other one does with it.
        held: Access,
        /// Where in the program the other one has got it.
        since: &'static Location<'static>,
        /// How many others there are beside that one.
        n_more: usize,
        /// What it was wanted for.
        wanted: Access,
        /// Where in the program it was wanted.
        at: &'static Location<'static>,
    },
    /// An output was opened to be read alone.
    #[error("{what} was opened to be read: open it to be written")]
    ReadOnly {
        /// The argument.
        what: &'static str,
    },
    /// The array lies in another pool's arena.
    #[error(
        "{what} lies in another pool's arena: build this pool with `Pool::builder().arena(&array.arena())`, \
         or copy the array with `array_from`"
    )]
    ForeignArray {
        /// The argument.
        what: &'static str,
    },
    /// An option has a value that means nothing.
    #[error("{option}: {value} {why}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A job would have more tasks than an index can count.
    #[error("{found} tasks in one job, at most {max}: choose a larger grain")]
    TooManyTasks {
        /// Tasks of the job.
        found: u64,
        /// The most that a job can have.
        max: u64,
    },
    /// A progress callback called a verb while the pool ran as many jobs as it can. Elsewhere a verb waits for one of
    /// them to end, but here all of them could be waiting for callbacks.
    #[error("the pool runs {max} jobs already, and a progress callback cannot wait for one of them to end")]
    TooManyJobs {
        /// Jobs that a pool can run at once.
        max: usize,
    },
    /// The parameters of a kernel do not fit into a job.
    #[error("parameters of {found_bytes} bytes, at most {max_bytes}: pass an array instead")]
    ParamsTooLarge {
        /// Size of the parameters.
        found_bytes: usize,
        /// The most that a job can carry.
        max_bytes: usize,
    },
    /// The function lives in a shared library, whose place differs from process to process.
    #[error("the kernel lives in {library}, not in the executable: workers cannot find it there")]
    ForeignFunction {
        /// Path of the library.
        library: String,
    },
    /// A kernel refused its arguments.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Workers could not be started.
    #[error("worker {slot} did not start: {reason}")]
    WorkerStart {
        /// Its slot in the pool.
        slot: usize,
        /// What happened instead.
        reason: String,
    },
    /// The pool can run nothing any more.
    #[error("the pool is broken: {reason}")]
    PoolBroken {
        /// Why.
        reason: String,
    },
    /// A kernel panicked; the worker lives on.
    #[error("task {task} (elements {elements:?}) panicked at {location}: {message}")]
    KernelPanicked {
        /// Index of the task in its job.
        task: u32,
        /// Elements, rows or tiles of the job's output that the task stood for.
        elements: Range<u64>,
        /// What the panic said.
        message: String,
        /// File, line and column.
        location: String,
    },
    /// A task killed its worker as often as it may, or may not be run again.
    #[error("task {task} (elements {elements:?}) killed its worker: {deaths}")]
    WorkerDied {
        /// Index of the task in its job.
        task: u32,
        /// Elements, rows or tiles of the job's output that the task stood for.
        elements: Range<u64>,
        /// How each worker that ran it died.
        deaths: Deaths,
    },
    /// A task may have been running when the workers' control memory had to be replaced, and must not run
    /// twice.
    #[error("task {task} (elements {elements:?}) was interrupted, and its kernel may not run twice")]
    Interrupted {
        /// Index of the task in its job.
        task: u32,
        /// Elements of the job's output that the task stood for.
        elements: Range<u64>,
    },
    /// A kernel wrote outside an array, into the bytes around it that are there to find out. What lies next to it may be
    /// spoiled. The job itself has ended.
    #[error("a kernel wrote outside of `{array}`, at byte {byte} of {len_bytes}")]
    Overrun {
        /// The array next to which it wrote, as the verb calls it: `xs`, `out`, `input`.
        array: &'static str,
        /// The first byte that was found changed: below 0, or from the size of the array on.
        byte: i64,
        /// Size of the array.
        len_bytes: u64,
    },
    /// A submitted task panicked; its worker lives on.
    #[error("task `{name}` panicked at {location}: {message}")]
    TaskPanicked {
        /// The function.
        name: &'static str,
        /// What the panic said.
        message: String,
        /// File, line and column.
        location: String,
    },
    /// A submitted task killed its worker as often as it may.
    #[error("task `{name}` killed its worker: {deaths}")]
    TaskDied {
        /// The function.
        name: &'static str,
        /// How each worker that ran it died.
        deaths: Deaths,
    },
    /// The argument of a submitted task, or its result, could not be turned into bytes or back, or found no room.
    #[error("task `{name}`: {why}")]
    TaskRefused {
        /// The function.
        name: &'static str,
        /// What was wrong with which.
        why: String,
    },
    /// A submitted task may have been running when the workers' control memory had to be replaced, and must not run twice.
    #[error("task `{name}` may have been interrupted, and is not to run twice")]
    TaskInterrupted {
        /// The function.
        name: &'static str,
    },
    /// A submitted task ran longer than it was given; its worker was killed and replaced.
    #[error("task `{name}` took longer than {limit:?}")]
    TaskTimedOut {
        /// The function.
        name: &'static str,
        /// The time that it had from its beginning.
        limit: Duration,
    },
    /// A result did not come in time. The task goes on.
    #[error("task `{name}` has not ended after {waited:?}")]
    NotDone {
        /// The function.
        name: &'static str,
        /// How long somebody has waited.
        waited: Duration,
    },
    /// The pool was shut down, and takes no more tasks; or it was terminated, and runs no more jobs either.
    #[error("the pool was shut down, and takes nothing more on")]
    ShutDown,
    /// A process has pools of another version of this crate, which cannot be looked at.
    #[error("process {pid} has a pool of another version of shmpool")]
    OtherVersion {
        /// That process.
        pid: u32,
    },
    /// As many tasks are pending as the pool was built for.
    #[error("{max} tasks are pending, which is as many as may")]
    QueueFull {
        /// [`Builder::pending_max`](crate::Builder::pending_max).
        max: usize,
    },
    /// The call was cancelled.
    #[error("cancelled with {n_done} of {n_tasks} tasks done")]
    Cancelled {
        /// Tasks that are done.
        n_done: u64,
        /// Tasks of the job.
        n_tasks: u64,
    },
    /// The call took longer than it was given.
    #[error("timed out with {n_done} of {n_tasks} tasks done")]
    TimedOut {
        /// Tasks that are done.
        n_done: u64,
        /// Tasks of the job.
        n_tasks: u64,
    },
    /// The workers' control memory holds what no honest worker writes, again and again.
    #[error("a worker keeps corrupting the pool's control memory ({times} times)")]
    ControlCorrupted {
        /// How often it was replaced during the job.
        times: u32,
    },
}

/// What somebody does with an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes it.
    Write,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Access::Read => "read",
            Access::Write => "written",
        })
    }
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitReason {
    /// Killed by this signal.
    Signal(i32),
    /// Ended with this exit code.
    Code(i32),
    /// Killed by the pool: it had closed its control socket, as a task that calls exec, or closes every
    /// descriptor, does.
    Disconnected,
    /// Somebody else reaped the process.
    Unknown,
}

impl ExitReason {
    /// True for what a process does not do to itself: somebody sent it a signal that asks for its end.
    pub(crate) fn is_from_outside(self) -> bool {
        let asks = [libc::SIGKILL, libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
        matches!(self, ExitReason::Signal(signal) if asks.contains(&signal))
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
            ExitReason::Code(code) => write!(f, "exit code {code}"),
            ExitReason::Disconnected => write!(f, "killed by the pool (it had closed its control socket)"),
            ExitReason::Unknown => write!(f, "status unknown (reaped by someone else)"),
        }
    }
}

/// One worker's death, with the task that it was running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Process id.
    pub pid: u32,
    /// How it ended.
    pub reason: ExitReason,
    /// The access that it died of, if that was to an array of its job.
    pub fault: Option<Fault>,
    /// It was probably out of memory: the kernel's killer has been at work, or the worker has said so.
    pub out_of_memory: bool,
    /// The end of what it has written to standard output and error, if that is captured
    /// ([`Builder::output`](crate::Builder::output)).
    pub last_words: String,
}

impl Death {
    /// The line of its last words that says why: no frame of a backtrace, nor how to get one.
    fn last_line(&self) -> Option<&str> {
        let mut lines = self.last_words.lines().map(str::trim);
        let is_frame = |line: &str| {
            let after_number = line.trim_start_matches(|c: char| c.is_ascii_digit());
            line.starts_with("at ") || after_number.len() < line.len() && after_number.starts_with(": ")
        };
        let says = |line: &&str| {
            !line.is_empty() && !is_frame(line) && *line != "stack backtrace:" && !line.starts_with("note: ")
        };
        let of_memory = |line: &&str| line.contains("memory allocation of ");
        let memory = if self.out_of_memory { lines.clone().rfind(of_memory) } else { None };
        memory.or_else(|| lines.rfind(says))
    }
}

/// An access that killed a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The array, as the verb calls it: `xs`, `out`, `input`.
    pub array: &'static str,
    /// Byte of the array that was touched, from 0.
    pub byte: u64,
}

/// The history of a task that kills its workers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deaths(pub Vec<Death>);

impl fmt::Display for Deaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "{} attempt{plural}: ", self.0.len())?;
        for (i, death) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}pid {} {}", death.pid, death.reason)?;
            if let Some(Fault { array, byte }) = death.fault {
                write!(f, " at byte {byte} of `{array}`")?;
            }
            if death.out_of_memory {
                write!(f, ", probably out of memory")?;
            }
            if let Some(last) = death.last_line() {
                write!(f, ", last words: {last}")?;
            }
        }
        Ok(())
    }
}

/// What a failed job did complete.
#[derive(Debug, Default)]
pub struct JobReport {
    /// Tasks of the job.
    pub n_tasks: u32,
    /// Further tasks that failed after the one that the error names, by index; bounded, see `n_failed`. An
    /// [`Overrun`](ErrorKind::Overrun), if there was one, comes last.
    pub failures: Vec<ErrorKind>,
    /// How many tasks failed in all.
    pub n_failed: u32,
    /// Elements, rows or tiles of the output that are done, in order and merged.
    pub done: Vec<Range<u64>>,
    /// Time from the call to its end.
    pub elapsed: Duration,
}

impl Error {
    pub(crate) fn os(what: impl Into<String>, error: impl Into<io::Error>) -> Self {
        ErrorKind::Os { what: what.into(), error: error.into() }.into()
    }

    pub(crate) fn with_report(mut self, report: JobReport) -> Self {
        self.inner.report = Some(report);
        self
    }

    pub(crate) fn with_partial(mut self, partial: impl Any + Send + Sync) -> Self {
        self.inner.partial = Some(Box::new(partial));
        self
    }

    /// The same without what was done of a job: one whose output is not what the caller has asked for.
    pub(crate) fn without_report(mut self) -> Self {
        (self.inner.report, self.inner.partial) = (None, None);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.inner.kind
    }

    /// What the failed job did complete, if a job failed.
    pub fn report(&self) -> Option<&JobReport> {
        self.inner.report.as_ref()
    }

    /// Takes the unfinished output of a verb that would have returned a new array:
    /// `take_partial::<Array<f32>>()`.
    ///
    /// Only the elements in [`JobReport::done`] mean anything. `None` if the type is another one.
    pub fn take_partial<A: Any>(&mut self) -> Option<A> {
        let partial = self.inner.partial.take()?;
        match partial.downcast::<A>() {
            Ok(array) => Some(*array),
            Err(other) => {
                self.inner.partial = Some(other);
                None
            }
        }
    }
}

impl Error {
    /// Whether it stands for one of the tasks that its report counts as failed.
    fn names_a_task(&self) -> bool {
        !matches!(self.inner.kind, ErrorKind::Cancelled { .. } | ErrorKind::TimedOut { .. })
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error { inner: Box::new(Inner { kind, report: None, partial: None }) }
    }
}

impl From<KernelError> for Error {
    fn from(error: KernelError) -> Self {
        ErrorKind::Kernel(error).into()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.inner.kind).field("report", &self.inner.report).finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.kind.fmt(f)?;
        match &self.inner.report {
            None => Ok(()),
            Some(report) => match report.n_failed - u32::from(self.names_a_task()) {
                0 => Ok(()),
                1 => write!(f, " (and 1 more task failed)"),
                n => write!(f, " (and {n} more tasks failed)"),
            },
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.inner.kind)
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGHUP => "SIGHUP",
        libc::SIGILL => "SIGILL",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGSYS => "SIGSYS",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        _ => return None,
    })
}
