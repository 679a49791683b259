//! `shmpool doctor`: what shmpool needs of this system, and whether it is there.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;

use rustix::fs::{MemfdFlags, memfd_create, statvfs};
use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, pidfd_open};
use rustix::thread::{futex, sched_getaffinity};
use serde::Serialize;
use shmpool::kernels::Level;
use shmpool::{Arena, HugePages, Pool};

use crate::args::DoctorArgs;
use crate::failure::{Exit, Failure, print, to_json};

/// The oldest kernel that has all that is used.
const KERNEL_MIN: [u32; 2] = [5, 14];
/// Less available memory than this is worth a note.
const MEMORY_LOW_BYTES: u64 = 512 << 20;
/// A pool of many workers needs some four descriptors each.
const FILES_LOW: u64 = 256;
/// What `docker run` gives to /dev/shm unless told otherwise.
const SHM_SMALL_BYTES: u64 = 64 << 20;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    n_problems: usize,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    what: &'static str,
    verdict: Verdict,
    found: String,
    /// One sentence, where there is something to say.
    advice: Option<&'static str>,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Note,
    Problem,
}

pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let checks = vec![
        kernel(),
        facility("memfd", memfd_create("shmpool-doctor", MemfdFlags::CLOEXEC)),
        facility("pidfd", pidfd_open(getpid(), PidfdFlags::empty())),
        facility("futex", futex::wake(&AtomicU32::new(0), futex::Flags::empty(), 1)),
        workers(),
        huge_pages(),
        shm(),
        file_size(),
        open_files(),
        cpus(),
        level(),
        memory(),
        cgroup_memory(),
    ];
    let n_problems = checks.iter().filter(|check| check.verdict == Verdict::Problem).count();
    let report = Report { n_problems, checks };
    print(if args.json { to_json(&report) } else { text(&report) })?;
    if n_problems == 0 { Ok(()) } else { Err(Failure::said(Exit::Task)) }
}

fn ok(what: &'static str, found: impl Display) -> Check {
    Check { what, verdict: Verdict::Ok, found: found.to_string(), advice: None }
}

fn note(what: &'static str, found: impl Display, advice: &'static str) -> Check {
    Check { what, verdict: Verdict::Note, found: found.to_string(), advice: Some(advice) }
}

fn problem(what: &'static str, found: impl Display, advice: &'static str) -> Check {
    Check { what, verdict: Verdict::Problem, found: found.to_string(), advice: Some(advice) }
}

fn kernel() -> Check {
    let release = read("/proc/sys/kernel/osrelease");
    let [major, minor] = KERNEL_MIN;
    match parse_release(&release) {
        Some(version) if version >= KERNEL_MIN => ok("kernel", release),
        Some(_) => problem("kernel", release, "shmpool needs Linux 5.14 or newer; update the system."),
        None => note(
            "kernel",
            format!("version \"{release}\", wanted {major}.{minor}"),
            "The version cannot be read; the lines below say whether it will do.",
        ),
    }
}

fn parse_release(release: &str) -> Option<[u32; 2]> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some([numbers.next()?.ok()?, numbers.next()?.ok()?])
}

/// A system call that is there or not.
fn facility<T>(what: &'static str, tried: rustix::io::Result<T>) -> Check {
    match tried {
        Ok(_) => ok(what, "available"),
        Err(error) => problem(
            what,
            error,
            "The system refuses a call that shmpool needs; look at the sandbox or container's seccomp profile.",
        ),
    }
}

/// The whole of it: a worker starts and does something.
fn workers() -> Check {
    let tried = || {
        let pool = Pool::builder().workers(1).build()?;
        let found = pool.map(&pool.array_from(&[1_u32, 2])?, |x| x + 1)?;
        Ok::<_, shmpool::Error>(*found == [2, 3])
    };
    match tried() {
        Ok(true) => ok("worker", "one starts, and runs a job"),
        Ok(false) => problem(
            "worker",
            "a job of x + 1 gave another result",
            "The memory or the processor is faulty, or this is a bug; please report it.",
        ),
        Err(error) => problem("worker", error, "Nothing but --workers 0 will run here until that is mended."),
    }
}

fn huge_pages() -> Check {
    const WHAT: &str = "huge pages";
    let stats = Arena::builder().capacity(4 << 20).huge_pages(true).create().and_then(|arena| arena.stats());
    match stats.map(|stats| stats.huge_pages) {
        Ok(HugePages::Unavailable(reason)) => note(
            WHAT,
            reason,
            "Large arrays cost more time to touch first; `echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled` as root allows them.",
        ),
        Ok(_) => ok(WHAT, "shared memory gets them on request"),
        Err(error) => {
            problem(WHAT, error, "Shared memory cannot be made at all; see the lines about limits.")
        }
    }
}

fn shm() -> Check {
    const WHAT: &str = "/dev/shm";
    match statvfs("/dev/shm") {
        Ok(found) => {
            let (size, free) = (found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize);
            let text = format!("{}, {} free", mib(size), mib(free));
            if size > SHM_SMALL_BYTES {
                ok(WHAT, text)
            } else {
                note(
                    WHAT,
                    text,
                    "Pools do not use it; only arrays with a name do, and a container gives them more with --shm-size.",
                )
            }
        }
        Err(error) => note(WHAT, error, "Pools do not need it; only arrays with a name do."),
    }
}

fn file_size() -> Check {
    const WHAT: &str = "RLIMIT_FSIZE";
    match getrlimit(Resource::Fsize).current {
        None => ok(WHAT, "unlimited"),
        Some(bytes) => note(
            WHAT,
            mib(bytes),
            "Shared memory and outputs have at most that size; `ulimit -f unlimited` lifts it.",
        ),
    }
}

fn open_files() -> Check {
    const WHAT: &str = "RLIMIT_NOFILE";
    match getrlimit(Resource::Nofile).current {
        Some(n) if n < FILES_LOW => {
            note(WHAT, n, "Pools of many workers need more descriptors; `ulimit -n 1024` raises it.")
        }
        Some(n) => ok(WHAT, n),
        None => ok(WHAT, "unlimited"),
    }
}

fn cpus() -> Check {
    const WHAT: &str = "CPUs";
    let allowed = sched_getaffinity(None).map_or(1, |set| set.count());
    match cgroup_dirs().iter().filter_map(|dir| cpu_quota(dir)).reduce(f64::min) {
        Some(quota) if quota < f64::from(allowed) => note(
            WHAT,
            format!("{allowed} usable, but the cgroup's quota is {quota:.1}"),
            "Pools start as many workers as the quota covers, rounded down, and at least one.",
        ),
        _ => ok(WHAT, format!("{allowed} usable, and no quota below that")),
    }
}

fn level() -> Check {
    let level = Level::detect();
    match level {
        Level::Baseline => note(
            "CPU level",
            level,
            "Kernels are several times faster with AVX2, which this processor lacks or its virtual machine hides.",
        ),
        _ => ok("CPU level", level),
    }
}

fn memory() -> Check {
    const WHAT: &str = "memory";
    let text = read("/proc/meminfo");
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
    };
    let Some((total, available)) = field("MemTotal:").zip(field("MemAvailable:")) else {
        return problem(
            WHAT,
            "/proc/meminfo cannot be read",
            "Mount /proc: without it no array is promised memory.",
        );
    };
    let found = format!("{} available of {}", mib(available), mib(total));
    if available < MEMORY_LOW_BYTES {
        note(WHAT, found, "Little is left; large arrays will be refused.")
    } else {
        ok(WHAT, found)
    }
}

fn cgroup_memory() -> Check {
    const WHAT: &str = "cgroup memory";
    match cgroup_dirs().iter().filter_map(|dir| memory_limit(dir)).min() {
        None => ok(WHAT, "no limit"),
        Some(bytes) if bytes < MEMORY_LOW_BYTES => {
            note(WHAT, mib(bytes), "Arrays count against it, and large ones will be refused.")
        }
        Some(bytes) => ok(WHAT, mib(bytes)),
    }
}

/// Where limits of this process's cgroup may stand: of version 2 its own folder and those above it; of version 1 the mounts, which in a container are its own.
fn cgroup_dirs() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let text = read("/proc/self/cgroup");
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let own = root.join(path);
    let mut dirs: Vec<_> =
        own.ancestors().take_while(|dir| dir.starts_with(root)).map(Path::to_owned).collect();
    dirs.extend(["memory", "cpu"].map(|controller| root.join(controller)));
    dirs
}

/// CPUs that the quota covers.
fn cpu_quota(dir: &Path) -> Option<f64> {
    let number = |name: &str| read(dir.join(name)).parse::<f64>().ok();
    let text = read(dir.join("cpu.max"));
    let (quota, period) = match text.split_once(' ') {
        Some((quota, period)) => (quota.parse().ok()?, period.parse::<f64>().ok()?),
        None => (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?),
    };
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// Bytes; version 1 says "no limit" by a number beyond all memory.
fn memory_limit(dir: &Path) -> Option<u64> {
    let number = |name: &str| read(dir.join(name)).parse().ok();
    number("memory.max").or_else(|| number("memory.limit_in_bytes")).filter(|&bytes| bytes < 1 << 60)
}

/// A file of the system, or nothing.
fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn text(report: &Report) -> String {
    let line = |check: &Check| {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Problem => "problem",
        };
        let advice = check.advice.map_or(String::new(), |advice| format!(". {advice}"));
        format!("{verdict:<8} {:<14} {}{advice}", check.what, check.found)
    };
    report.checks.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_by_their_first_two_numbers() {
        assert_eq!(parse_release("6.18.5-arch1-1"), Some([6, 18]));
        assert_eq!(parse_release("5.9"), Some([5, 9]));
        assert_eq!(parse_release(""), None);
        assert!(
            parse_release("5.14.0").unwrap() >= KERNEL_MIN && parse_release("5.4.99").unwrap() < KERNEL_MIN
        );
    }
}
