//! What the process's own limits do to an arena. A file of its own, and one test in it: limits are global.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shmpool::{Arena, ErrorKind};

const MIB: u64 = 1 << 20;

/// Runs `f` with the soft limit lowered.
fn with_limit(resource: Resource, bytes: u64, f: impl FnOnce()) {
    let before = getrlimit(resource);
    setrlimit(resource, Rlimit { current: Some(bytes), ..before }).unwrap();
    f();
    setrlimit(resource, before).unwrap();
}

fn address_space_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<u64>().unwrap() * rustix::param::page_size() as u64
}

#[test]
fn limits_make_a_default_arena_smaller_and_a_wish_an_error() {
    with_limit(Resource::Fsize, 64 * MIB, || {
        let arena = Arena::new().unwrap();
        assert_eq!(arena.stats().unwrap().capacity_bytes, 64 * MIB);
        assert_eq!(arena.array_with(1 << 20, |i| i as u32).unwrap()[12345], 12345);

        let error = Arena::builder().capacity(65 << 20).create().unwrap_err();
        let message = error.to_string();
        assert_eq!(message, "segment \"data\" needs 68157440 bytes, but RLIMIT_FSIZE leaves 67108864");
    });
    with_limit(Resource::As, address_space_bytes() + 512 * MIB, || {
        let arena = Arena::new().unwrap();
        assert!(arena.stats().unwrap().capacity_bytes <= 256 * MIB);
        arena.array_from(&[1, 2, 3]).unwrap();

        let error = Arena::builder().capacity(1 << 30).create().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Os { .. }), "{error}");
    });
}
