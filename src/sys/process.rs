//! Processes: spawning ourselves, watching and ending children, and what a worker does to itself at birth.
#![allow(unsafe_code)] // signal actions and the signal mask, which rustix leaves to the C library

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal,
    setrlimit, waitid,
};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::error::ExitReason;

/// The executable of this process; it is there even when its file was replaced or deleted.
const SELF: &str = "/proc/self/exe";

/// A child process, held by a descriptor that names it for good, whatever happens to its number.
pub(crate) struct Child {
    pub(crate) pid: u32,
    pidfd: OwnedFd,
}

impl Child {
    /// Starts this very executable again, with `socket` as its standard input.
    ///
    /// Without `pre_exec`, so that the standard library can use `posix_spawn` and a large parent costs
    /// nothing. To be called from a thread that lives as long as the child may: the parent-death signal comes
    /// when *it* ends.
    ///
    /// Standard output and error go to `output`, or where ours go.
    pub(crate) fn spawn<'a>(
        name: &str,
        env: impl Iterator<Item = (&'a OsStr, &'a OsStr)>,
        socket: OwnedFd,
        output: Option<(Stdio, Stdio)>,
    ) -> io::Result<Self> {
        let mut command = Command::new(SELF);
        command.arg0(name).envs(env).stdin(Stdio::from(socket));
        if let Some((stdout, stderr)) = output {
            command.stdout(stdout).stderr(stderr);
        }
        let child = command.spawn()?;
        drop(command); // with the descriptors that are the child's now: there may be none left
        let pid = child.id();
        let number = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidData)?;
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Child { pid, pidfd }),
            Err(error) => {
                // Nobody can watch it, so it must not live. Its number is its own until it is waited for,
                // unless the host reaps everybody's children.
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
        }
    }

    /// Readable once every thread of the child has ended, which is after its memory is gone.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Kills it; a process that has ended already is not an error.
    pub(crate) fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Asks it to end: SIGTERM, of which it dies unless a task has said otherwise.
    pub(crate) fn terminate(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::TERM);
    }

    /// Whether it is stopped: by [`stop`](Child::stop), somebody's debugger, a Ctrl-Z.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state(), Some(b'T' | b't'))
    }

    /// Whether it sleeps in the kernel and cannot be stopped there.
    pub(crate) fn is_deaf(&self) -> bool {
        self.state() == Some(b'D')
    }

    fn state(&self) -> Option<u8> {
        // Ours until it is reaped, so the number is its own. `pid (name) state …`; the name may hold anything.
        let stat = std::fs::read(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.iter().rposition(|&byte| byte == b')').and_then(|end| stat.get(end + 2)).copied()
    }

    /// Asks it to stop where it is; it has once [`is_stopped`](Child::is_stopped) says so.
    pub(crate) fn stop(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::CONT);
    }

    /// How it ended, if it has; reaps it.
    pub(crate) fn try_reap(&self) -> Option<ExitReason> {
        loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(None) => return None,
                Ok(Some(status)) => {
                    return Some(match (status.terminating_signal(), status.exit_status()) {
                        (Some(signal), _) => ExitReason::Signal(signal),
                        (_, Some(code)) => ExitReason::Code(code),
                        _ => ExitReason::Unknown,
                    });
                }
                Err(Errno::INTR) => {}
                // Reaped by somebody else (a host that ignores SIGCHLD or waits for everybody), or a call that the
                // system does not let us make: dead once the descriptor is readable, how we cannot know.
                Err(_) => {
                    let dead = super::socket::wait_readable(&self.pidfd, std::time::Duration::ZERO);
                    return dead.unwrap_or(false).then_some(ExitReason::Unknown);
                }
            }
        }
    }
}

/// What tells one executable from another: a rebuilt program at the same path differs in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExecutableId {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) mtime_ns: u64,
}

/// The executable that this process runs.
pub(crate) fn executable_id() -> io::Result<ExecutableId> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata(Path::new(SELF))?;
    let mtime_ns = file.mtime().wrapping_mul(1_000_000_000).wrapping_add(file.mtime_nsec()).cast_unsigned();
    Ok(ExecutableId { device: file.dev(), inode: file.ino(), size: file.size(), mtime_ns })
}

/// Limits the private memory of this process, in bytes.
pub(crate) fn limit_data(bytes: u64) -> io::Result<()> {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    Ok(setrlimit(Resource::Data, limit)?)
}

/// Adds to the niceness of this process.
pub(crate) fn add_niceness(more: i32) -> io::Result<()> {
    rustix::process::nice(more)?;
    Ok(())
}

/// Has this thread, and those that it starts, run on these CPUs alone.
pub(crate) fn run_on(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        if cpu >= CpuSet::MAX_CPU {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        set.set(cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// True on the thread that `main` runs on.
pub(crate) fn is_main_thread() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

/// True if this process has one thread alone, or if nobody can tell.
pub(crate) fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").map_or(true, |threads| threads.count() <= 1)
}

/// CPUs that this process may use: its affinity, cut by the cgroup's quota.
pub(crate) fn usable_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Asks the kernel to kill this process when its parent's spawning thread ends; false if `parent` is gone
/// already.
pub(crate) fn die_with_parent(parent: u32) -> io::Result<bool> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the line above.
    Ok(is_child_of(parent))
}

/// True while `parent` is this process's parent: once it has ended, init, or a subreaper, is.
pub(crate) fn is_child_of(parent: u32) -> bool {
    rustix::process::getppid().is_some_and(|pid| pid.as_raw_nonzero().get().cast_unsigned() == parent)
}

/// A descriptor that turns readable when process `pid` ends.
pub(crate) fn watch(pid: u32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Names this thread (and with it the process, if it is the main one) in `ps` and `top`; 15 bytes at most.
pub(crate) fn set_name(name: &CStr) {
    let _ = rustix::thread::set_name(name);
}

/// Moves the control socket away from standard input, which becomes `/dev/null`: a program that a task starts
/// would inherit it and eat our messages.
pub(crate) fn take_stdin() -> io::Result<OwnedFd> {
    let stdin = rustix::stdio::stdin();
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(socket)
}

/// Blocks SIGINT for this thread and for what it starts: a worker that Ctrl-C reaches before [`reset_signals`] would die of it.
pub(crate) fn block_interrupts() {
    // SAFETY: `sigset_t` is plain data that is filled before it is used; a mask is the thread's own.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut mask);
        libc::sigaddset(&raw mut mask, libc::SIGINT);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const mask, std::ptr::null_mut());
    }
}

/// Undoes what a worker inherits from its parent's signal handling.
///
/// SIGCHLD and SIGPIPE as a program expects them; SIGINT caught and ignored, since Ctrl-C reaches the whole group and
/// the parent decides; then an empty mask, so that a SIGINT that has come before meets its handler. A handler rather
/// than SIG_IGN, which programs started by tasks would inherit.
pub(crate) fn reset_signals() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: `sigset_t` and `sigaction` are plain data that is filled before it is used; the handler does
    // nothing, so it is safe at any moment; `enter_if_marked` has seen that there is no other thread yet.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGINT, &raw const action, std::ptr::null_mut());
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut mask);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
    }
}

/// Asks the out-of-memory killer to take this process before its parent.
pub(crate) fn prefer_to_be_killed() {
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
}

/// Has the allocator keep what is freed until [`release_heap`], which an idle worker calls: values of megabytes would cost a
/// page fault for each page of each of them, several times what it takes to fill them.
pub(crate) fn keep_heap() {
    // SAFETY: takes numbers. A threshold that is too much for an older C library is not taken, and the one before stays.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}

/// Gives the allocator's free memory back to the system.
pub(crate) fn release_heap() {
    // SAFETY: takes no pointers and may be called at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Gives the pages of this thread's stack that lie below the caller back to the system: a kernel may have gone deep.
pub(crate) fn release_stack() {
    /// Left alone below our own frame: the red zone, and the frames of the calls to come.
    const MARGIN: usize = 16 << 10;
    let mut here = 0_u8;
    let top = (&raw mut here as usize).saturating_sub(MARGIN) & !(rustix::param::page_size() - 1);
    let (mut low, mut len, mut guard) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: all-zero is a place for attributes, which `pthread_getattr_np` fills for the running thread and
    // `pthread_attr_destroy` ends. Nothing lives between the stack's low end and `top`: frames are above it, and the
    // margin covers what the calls below push. The C library cuts the range where another mapping begins; parts of it
    // that the stack has not grown into are an error that does not matter.
    unsafe {
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) != 0 {
            return;
        }
        let known = libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut len) == 0
            && libc::pthread_attr_getguardsize(&raw const attributes, &raw mut guard) == 0;
        libc::pthread_attr_destroy(&raw mut attributes);
        let bottom = low as usize + guard;
        if known && (bottom..low as usize + len).contains(&top) {
            libc::madvise(bottom as *mut libc::c_void, top - bottom, libc::MADV_DONTNEED);
        }
    }
}

/// Ends this process at once: no destructors, no atexit handlers, no flushing of what a forked parent had
/// buffered.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: never returns, and needs nothing to be in any state.
    unsafe { libc::_exit(code) }
}
