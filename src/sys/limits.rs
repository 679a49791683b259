//! What the system allows: limits of the process, of its cgroup and of the machine, and whether huge pages
//! are on.
//!
//! Reading is here, and so is parsing, in functions of text alone; what follows from the figures is for the
//! caller.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

/// The largest file that this process may make, in bytes (`RLIMIT_FSIZE`). Beyond it, the kernel kills.
pub(crate) fn file_size_max() -> Option<u64> {
    getrlimit(Resource::Fsize).current
}

/// The address space that `RLIMIT_AS` still leaves, in bytes.
pub(crate) fn address_space_left() -> Option<u64> {
    let max = getrlimit(Resource::As).current?;
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    Some(max.saturating_sub(pages * rustix::param::page_size() as u64))
}

/// Processes that the kernel has killed for want of memory so far, on this machine; 0 if it does not say.
pub(crate) fn oom_kills() -> u64 {
    let vmstat = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}

/// The machine's memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemInfo {
    pub(crate) total_bytes: u64,
    /// What can be had without swapping, by the kernel's estimate.
    pub(crate) available_bytes: u64,
}

/// Reads `/proc/meminfo`.
pub(crate) fn meminfo() -> io::Result<MemInfo> {
    let text = fs::read_to_string("/proc/meminfo")?;
    parse_meminfo(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "MemTotal or MemAvailable missing"))
}

fn parse_meminfo(text: &str) -> Option<MemInfo> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    };
    Some(MemInfo { total_bytes: field("MemTotal:")?, available_bytes: field("MemAvailable:")? })
}

/// What a cgroup allows and what it uses, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CgroupMemory {
    pub(crate) max_bytes: u64,
    /// Without the file cache that the kernel would drop first: a container that has read many files is not
    /// full.
    pub(crate) used_bytes: u64,
}

/// The directories of this process's cgroups that can limit memory, its own first, then their parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cgroups {
    levels: Vec<(PathBuf, Version)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Cgroups {
    /// Finds them. A system without cgroups has none, and limits nothing.
    pub(crate) fn find() -> Cgroups {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Cgroups { levels: parse_levels(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo")) }
    }

    /// Every level that has a limit now.
    pub(crate) fn memory(&self) -> impl Iterator<Item = CgroupMemory> {
        self.levels.iter().filter_map(|(dir, version)| read_level(dir, *version))
    }
}

fn read_level(dir: &Path, version: Version) -> Option<CgroupMemory> {
    let read = |file| fs::read_to_string(dir.join(file)).ok();
    match version {
        Version::V1 => parse_level(
            &read("memory.limit_in_bytes")?,
            &read("memory.usage_in_bytes")?,
            &read("memory.stat")?,
            "total_inactive_file",
        ),
        Version::V2 => parse_level(
            &read("memory.max")?,
            &read("memory.current")?,
            &read("memory.stat")?,
            "inactive_file",
        ),
    }
}

/// `max` in cgroup v2 is no limit and no number, so it parses to nothing. Version 1 says it with a huge
/// number.
fn parse_level(max: &str, used: &str, stat: &str, cache: &str) -> Option<CgroupMemory> {
    let cache_bytes =
        stat.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse().ok()).unwrap_or(0);
    let used_bytes: u64 = used.trim().parse().ok()?;
    Some(CgroupMemory {
        max_bytes: max.trim().parse().ok()?,
        used_bytes: used_bytes.saturating_sub(cache_bytes),
    })
}

/// The text of `/proc/self/cgroup` says which cgroup, and that of `/proc/self/mountinfo` where such trees are
/// mounted.
fn parse_levels(cgroup: &str, mountinfo: &str) -> Vec<(PathBuf, Version)> {
    let mut levels = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let version = if controllers.is_empty() {
            Version::V2
        } else if controllers.split(',').any(|name| name == "memory") {
            Version::V1
        } else {
            continue;
        };
        let Some((root, mount)) = mountinfo.lines().find_map(|line| parse_cgroup_mount(line, version)) else {
            continue;
        };
        // A container may see its own cgroup as the mount's root; what does not lie below that root is out of
        // sight.
        let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        let own = if below.starts_with("..") { mount.to_owned() } else { mount.join(below) };
        levels.extend(
            own.ancestors().take_while(|dir| dir.starts_with(mount)).map(|dir| (dir.to_owned(), version)),
        );
    }
    levels
}

/// Root and mount point of one line, if it is a tree of that version that can limit memory.
fn parse_cgroup_mount(line: &str, version: Version) -> Option<(&str, &Path)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let matches = match (version, kind.next()?, kind.nth(1)) {
        (Version::V2, "cgroup2", _) => true,
        (Version::V1, "cgroup", Some(options)) => options.split(',').any(|name| name == "memory"),
        _ => false,
    };
    let mut place = place.split(' ').skip(3);
    matches.then_some((place.next()?, Path::new(place.next()?)))
}

/// Whether memory files can get huge pages on request, or why not.
///
/// `MADV_HUGEPAGE` returns success and does nothing where this says no.
pub(crate) fn shmem_huge_pages() -> Result<(), String> {
    const DIR: &str = "/sys/kernel/mm/transparent_hugepage";
    let top = fs::read_to_string(format!("{DIR}/shmem_enabled"))
        .map_err(|error| format!("{DIR}/shmem_enabled: {error}"))?;
    let of_2_mib = fs::read_to_string(format!("{DIR}/hugepages-2048kB/shmem_enabled")).unwrap_or_default();
    parse_shmem_enabled(&top, &of_2_mib)
}

/// The setting of one page size stands above the general one, but for `deny` and `force`, unless it says
/// `inherit`.
fn parse_shmem_enabled(top: &str, of_2_mib: &str) -> Result<(), String> {
    let chosen = |text| Some(str::split_once(text, '[')?.1.split_once(']')?.0);
    let top = chosen(top).unwrap_or("unknown");
    let (file, setting) = match (top, chosen(of_2_mib)) {
        ("deny" | "force", _) | (_, None | Some("inherit")) => ("shmem_enabled", top),
        (_, Some(own)) => ("hugepages-2048kB/shmem_enabled", own),
    };
    match setting {
        "always" | "within_size" | "advise" | "force" => Ok(()),
        other => Err(format!("/sys/kernel/mm/transparent_hugepage/{file} is `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read_in_bytes() {
        let text = "MemTotal:       24684092 kB\nMemFree: 1 kB\nMemAvailable:   24451096 kB\n";
        let info = parse_meminfo(text).unwrap();
        assert_eq!(info, MemInfo { total_bytes: 24684092 * 1024, available_bytes: 24451096 * 1024 });
        assert_eq!(parse_meminfo("MemTotal: 5 kB\n"), None);
        assert_eq!(parse_meminfo("MemTotal: x kB\nMemAvailable: 1 kB"), None);
    }

    #[test]
    fn this_machine_has_memory() {
        let info = meminfo().unwrap();
        assert!(0 < info.available_bytes && info.available_bytes <= info.total_bytes);
    }

    #[test]
    fn version_2_levels_go_up_to_the_mount() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let levels = parse_levels("0::/user.slice/a b\n", mounts);
        let wanted = ["/sys/fs/cgroup/user.slice/a b", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup"];
        assert_eq!(levels, wanted.map(|dir| (PathBuf::from(dir), Version::V2)));
    }

    #[test]
    fn version_1_takes_the_memory_tree_and_a_container_its_own_root() {
        let mounts = "34 31 0:31 / /cg/cpu rw - cgroup cgroup rw,cpu\n\
                      35 31 0:32 /docker/7 /cg/memory rw,relatime - cgroup cgroup rw,memory\n";
        let levels = parse_levels("8:pids:/docker/7\n4:memory:/docker/7\n", mounts);
        assert_eq!(levels, [(PathBuf::from("/cg/memory"), Version::V1)]);
        let levels = parse_levels("4:memory:/docker/7/x\n", mounts);
        assert_eq!(levels, ["/cg/memory/x", "/cg/memory"].map(|dir| (PathBuf::from(dir), Version::V1)));
    }

    #[test]
    fn a_cgroup_out_of_sight_counts_from_the_mount() {
        let mounts = "30 24 0:26 / /cg rw - cgroup2 cgroup2 rw\n";
        assert_eq!(parse_levels("0::/../../other\n", mounts), [(PathBuf::from("/cg"), Version::V2)]);
        assert_eq!(parse_levels("nonsense", mounts), []);
        assert_eq!(parse_levels("0::/\n", "nonsense"), []);
    }

    #[test]
    fn a_level_counts_no_cache_and_max_is_no_limit() {
        let stat = "anon 5\ninactive_file 300\nactive_file 7\n";
        let level = parse_level("1000\n", "700\n", stat, "inactive_file");
        assert_eq!(level, Some(CgroupMemory { max_bytes: 1000, used_bytes: 400 }));
        assert_eq!(parse_level("max\n", "700\n", stat, "inactive_file"), None);
    }

    #[test]
    fn huge_pages_follow_the_setting_that_counts() {
        let top = |chosen: &str| format!("always within_size advise [{chosen}] deny force\n");
        assert_eq!(parse_shmem_enabled(&top("advise"), ""), Ok(()));
        assert_eq!(parse_shmem_enabled(&top("always"), "always [inherit] never\n"), Ok(()));
        assert_eq!(parse_shmem_enabled(&top("never"), "[advise] inherit never\n"), Ok(()));
        assert_eq!(parse_shmem_enabled(&top("force"), "advise [never]\n"), Ok(()));
        for (top, own, reason) in [
            (top("never"), "[inherit]", "transparent_hugepage/shmem_enabled is `never`"),
            (top("deny"), "[always]", "transparent_hugepage/shmem_enabled is `deny`"),
            (top("always"), "inherit [never]", "hugepages-2048kB/shmem_enabled is `never`"),
            (String::new(), "", "is `unknown`"),
        ] {
            let error = parse_shmem_enabled(&top, own).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
