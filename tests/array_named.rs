//! Named arrays: between pools, between programs, and when nobody is left.
#![allow(unsafe_code)] // constructors with a contract

shmpool::test_workers!();

mod common;

use std::process::{Command, Stdio};

use common::{pool_of, watchdog};
use shmpool::{Access, ErrorKind, NamedArray, NamedInfo, NpyError};

/// A name of this test's own, removed when it ends.
struct Name(String);

impl Name {
    fn new(test: &str) -> Self {
        Name(format!("shmpool-test-{test}-{}", std::process::id()))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = NamedArray::remove(&self.0);
    }
}

#[test]
fn workers_read_and_write_a_named_array() {
    let _watchdog = watchdog("workers_read_and_write_a_named_array", 60);
    let name = Name::new("workers");
    for n_workers in [0, 2] {
        let pool = pool_of(n_workers);
        // SAFETY: nobody else knows the name.
        let mut ys = unsafe { NamedArray::create(&name.0, [10, 100], |ys: &mut [u32]| ys.fill(1)).unwrap() };
        pool.update(&mut ys, |y| *y += 1).unwrap();
        pool.map_into(&pool.map(&ys, |y| y * 5).unwrap(), &mut ys, |y| y + 1).unwrap();
        drop(ys);
        // SAFETY: as above.
        let again = unsafe { NamedArray::<u32>::open(&name.0).unwrap() };
        assert!(again.shape() == [10, 100] && again.iter().all(|&y| y == 11));
        assert_eq!(pool.reduce(&again, 0, |sum, y| sum + y, |a, b| a + b).unwrap(), 11_000);
        NamedArray::remove(&name.0).unwrap();
    }
}

#[test]
fn what_cannot_be_made_or_opened_says_why() {
    let name = Name::new("errors");
    // SAFETY: nobody else knows the name.
    unsafe {
        let made = NamedArray::create(&name.0, 3, |xs: &mut [f32]| xs.fill(0.5)).unwrap();
        let error = NamedArray::create(&name.0, 3, |_: &mut [f32]| ()).unwrap_err();
        assert!(error.to_string().starts_with("create named array "), "{error}");
        assert_eq!(made[..], [0.5; 3], "the first one is as it was");
        let error = NamedArray::<f64>::open(&name.0).unwrap_err();
        let ErrorKind::Npy { error: NpyError::Type { found, wanted: "<f8" }, .. } = error.kind() else {
            panic!("{error}")
        };
        assert_eq!(found, "<f4");
        for bad in ["", "a/b", ".hidden"] {
            let error = NamedArray::<f32>::open(bad).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Option { option: "name", .. }), "{error}");
        }
        let error = NamedArray::<f32>::open("shmpool-test-nobody").unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
        // Too large for /dev/shm, and for anything else: refused before it is touched, and the name is free again.
        let huge = Name::new("huge");
        let error = NamedArray::create(&huge.0, 1 << 46, |_: &mut [f32]| ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Os { .. } | ErrorKind::TooLarge { .. }), "{error}");
        let error = NamedArray::<f32>::open(&huge.0).unwrap_err();
        assert!(error.to_string().contains("No such file"), "{error}");
        let empty = Name::new("empty");
        assert!(NamedArray::create(&empty.0, 0, |_: &mut [f32]| ()).unwrap().is_empty());
        assert!(NamedArray::<f32>::open(&empty.0).unwrap().is_empty());
    }
}

/// The program of a test in another language; `None` if that is not there.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{program}: {error}"),
    };
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {stdout}{stderr}");
    Some(stdout.into_owned())
}

#[test]
fn python_reads_and_writes_ours_and_we_read_its() {
    let _watchdog = watchdog("python_reads_and_writes_ours_and_we_read_its", 60);
    let (ours, its) = (Name::new("for-python"), Name::new("of-python"));
    // SAFETY: nobody else knows the names but the program below, which has ended when we look again.
    unsafe {
        let array =
            NamedArray::create(&ours.0, 4, |xs: &mut [i32]| xs.copy_from_slice(&[1, 2, 3, 4])).unwrap();
        let script = "
import struct, sys
from multiprocessing import resource_tracker, shared_memory
ours = shared_memory.SharedMemory(sys.argv[1])
assert struct.unpack_from('4i', ours.buf) == (1, 2, 3, 4)
struct.pack_into('i', ours.buf, 8, 33)
its = shared_memory.SharedMemory(sys.argv[2], create=True, size=100)
struct.pack_into('3d', its.buf, 0, 0.5, 1.5, 2.5)
for memory in (ours, its):
    resource_tracker.unregister(memory._name, 'shared_memory')
    memory.close()
";
        if run("python3", &["-c", script, &ours.0, &its.0]).is_none() {
            eprintln!("python3 is not installed: not tested");
            return;
        }
        assert_eq!(array[..], [1, 2, 33, 4]);
        let error = NamedArray::<f64>::open(&its.0).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Named { .. }), "{error}");
        let doubles = NamedArray::<f64>::open_foreign(&its.0, 3).unwrap();
        assert_eq!(pool_of(1).map(&doubles, |x| x * 2.0).unwrap()[..], [1.0, 3.0, 5.0]);
        let error = NamedArray::<f64>::open_foreign(&its.0, 1 << 20).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Shape { .. }), "{error}");
    }
}

#[test]
fn a_c_program_reads_and_writes_ours() {
    let _watchdog = watchdog("a_c_program_reads_and_writes_ours", 60);
    let name = Name::new("for-c");
    let source = r#"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
int main(int argc, char **argv) {
    int fd = shm_open(argv[argc - 1], O_RDWR, 0);
    if (fd < 0) { perror("shm_open"); return 1; }
    double *xs = mmap(0, 4 * sizeof *xs, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (xs == MAP_FAILED) { perror("mmap"); return 1; }
    printf("%g %g\n", xs[0], xs[3]);
    xs[1] = xs[0] + xs[3];
    return 0;
}
"#;
    let folder = std::env::temp_dir().join(&name.0);
    std::fs::create_dir_all(&folder).unwrap();
    let (file, program) = (folder.join("it.c"), folder.join("it"));
    std::fs::write(&file, source).unwrap();
    // A C compiler is what building Rust programs needs anyway.
    let compiled = run("cc", &["-o", program.to_str().unwrap(), file.to_str().unwrap(), "-lrt"]);
    assert!(compiled.is_some(), "there is no cc");
    // SAFETY: nobody else knows the name but the program below, which has ended when we look again.
    let array = unsafe { NamedArray::create(&name.0, 4, |xs: &mut [f64]| xs.fill(2.5)).unwrap() };
    let said = run(program.to_str().unwrap(), &[&format!("/{}", name.0)]).unwrap();
    assert_eq!((said.as_str(), array[1]), ("2.5 2.5\n", 5.0));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn garbage_is_what_nobody_uses() {
    // Alone: a child that another test is starting has this process's mappings for a moment.
    common::alone(
        "garbage_is_what_nobody_uses",
        |_| {},
        || {
            let _watchdog = watchdog("garbage_is_what_nobody_uses", 60);
            let [open, mapped, left] = ["open", "mapped", "left"].map(Name::new);
            // Whoever runs the tests may have names of their own.
            let of_ours = |info: &NamedInfo| [&open, &mapped, &left].iter().any(|name| name.0 == info.name);
            let is = |name: &Name| NamedArray::list().unwrap().into_iter().find(|info| info.name == name.0);
            // SAFETY: nobody else knows the names but the program below, which only looks.
            unsafe {
                let kept = NamedArray::create(&open.0, [2, 5], |xs: &mut [u16]| xs.fill(1)).unwrap();
                for name in [&mapped, &left] {
                    drop(NamedArray::create(&name.0, 10, |xs: &mut [u8]| xs.fill(1)).unwrap());
                }
                let info = is(&open).unwrap();
                assert_eq!((info.descr.as_str(), &info.shape[..], info.is_open), ("<u2", &[2, 5][..], true));
                assert_eq!(info.users, [std::process::id()]);
                // Somebody who takes no lock, as Python does.
                let file = std::fs::File::open(format!("/dev/shm/{}", mapped.0)).unwrap();
                let foreign = memmap2_of(&file);
                drop(file);
                let removed = NamedArray::collect_garbage(of_ours).unwrap();
                let removed: Vec<&str> = removed.iter().map(|info| info.name.as_str()).collect();
                assert!(removed.contains(&left.0.as_str()), "{removed:?}");
                assert!(
                    !removed.contains(&open.0.as_str()) && !removed.contains(&mapped.0.as_str()),
                    "{removed:?}"
                );
                assert!(is(&open).is_some() && is(&mapped).is_some() && is(&left).is_none());
                assert_eq!((kept[9], foreign[9]), (1, 1));
                // And somebody who has opened it and will map it in a moment.
                drop(foreign);
                let file = std::fs::File::open(format!("/dev/shm/{}", mapped.0)).unwrap();
                let mut program = Command::new("sleep").arg("100").stdin(file).spawn().unwrap();
                assert!(NamedArray::collect_garbage(of_ours).unwrap().is_empty());
                assert!(is(&mapped).is_some_and(|info| info.is_open && info.users.is_empty()));
                program.kill().unwrap();
                program.wait().unwrap();
                drop(kept);
                let removed = NamedArray::collect_garbage(of_ours).unwrap();
                assert!(removed.iter().any(|info| info.name == open.0), "{removed:?}");
                assert!(is(&open).is_none() && is(&mapped).is_none());
            }
        },
    );
}

/// # Safety
/// As for any mapping of a file that others may change.
unsafe fn memmap2_of(file: &std::fs::File) -> memmap2::Mmap {
    // SAFETY: by contract.
    unsafe { memmap2::Mmap::map(file).unwrap() }
}

#[test]
fn two_arrays_of_one_name_are_one_array() {
    let _watchdog = watchdog("two_arrays_of_one_name", 60);
    let name = format!("shmpool-busy-{}", std::process::id());
    // SAFETY: nobody else knows the name.
    let written = unsafe { NamedArray::<u8>::create(&name, 8, |_| {}) }.unwrap();
    // SAFETY: as above.
    let error = unsafe { NamedArray::<u8>::open(&name) }.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { held: Access::Write, .. }), "{error}");
    drop(written);
    // SAFETY: as above.
    let mut read = unsafe { NamedArray::<u8>::open(&name) }.unwrap();
    assert!(read.as_mut_slice().is_none());
    let error = pool_of(1).update(&mut read, |y| *y += 1).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ReadOnly { .. }), "{error}");
    drop(read);
    // SAFETY: as above.
    unsafe { NamedArray::<u8>::open_mut(&name) }.unwrap().as_mut_slice().unwrap()[7] = 1;
    NamedArray::remove(&name).unwrap();
}

/// Its path need not be text, nor the one that we know.
#[test]
fn what_is_mapped_beside_files_of_odd_names_is_no_garbage() {
    use std::os::unix::ffi::OsStrExt;
    let name = Name::new("odd");
    // SAFETY: nobody else knows the name.
    drop(unsafe { NamedArray::create(&name.0, 10, |_: &mut [u8]| {}) }.unwrap());
    let odd = std::env::temp_dir().join(std::ffi::OsStr::from_bytes(b"shmpool-\xff-odd"));
    std::fs::write(&odd, [0; 4096]).unwrap();
    // Another process maps both and holds no lock, as Python's would.
    let program = "import mmap, sys, os\n\
        maps = [mmap.mmap(os.open(os.fsencode(path), os.O_RDWR), 0) for path in sys.argv[1:]]\n\
        print('mapped', flush=True)\n\
        sys.stdin.read()";
    let python = Command::new("python3")
        .args(["-c", program])
        .arg(format!("/dev/shm/{}", name.0))
        .arg(&odd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut python) = python else {
        eprintln!("skipped: no python3");
        std::fs::remove_file(&odd).unwrap();
        return;
    };
    let mut word = [0; 7];
    std::io::Read::read_exact(python.stdout.as_mut().unwrap(), &mut word).unwrap();
    let ours = |info: &NamedInfo| info.name == name.0;
    assert_eq!(NamedArray::collect_garbage(ours).unwrap(), []);
    drop(python.stdin.take());
    python.wait().unwrap();
    std::fs::remove_file(&odd).unwrap();
    assert_eq!(NamedArray::collect_garbage(ours).unwrap().len(), 1);
}

#[test]
fn a_name_beyond_the_file_size_limit_is_an_error_and_not_a_signal() {
    let test = "a_name_beyond_the_file_size_limit_is_an_error_and_not_a_signal";
    common::alone(
        test,
        |_| {},
        || {
            let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
            // SAFETY: a limit of this process, which runs this test alone.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
            let name = Name::new("limit");
            // SAFETY: nobody else knows the name.
            let error = unsafe { NamedArray::create(&name.0, 4 << 20, |_: &mut [u8]| {}) }.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::TooLarge { limit: "RLIMIT_FSIZE", .. }), "{error}");
        },
    );
}

#[test]
fn what_a_killed_program_has_not_filled_is_garbage() {
    let test = "what_a_killed_program_has_not_filled_is_garbage";
    // The program that is killed is this test again, which knows the name by its parent's number.
    let is_program = common::is_alone(test);
    let name = Name(format!(
        "shmpool-test-not-filled-{}",
        if is_program { std::os::unix::process::parent_id() } else { std::process::id() }
    ));
    if is_program {
        // SAFETY: nobody else opens the name.
        let _ = unsafe {
            NamedArray::create(&name.0, [3, 5], |xs: &mut [f32]| {
                xs[0] = 1.0;
                println!("filling");
                loop {
                    std::thread::park();
                }
            })
        };
    }
    let _watchdog = watchdog(test, 60);
    let mut program = common::again(test).stdout(Stdio::piped()).spawn().unwrap();
    let said = std::io::BufRead::lines(std::io::BufReader::new(program.stdout.take().unwrap()));
    assert!(said.map(Result::unwrap).any(|line| line.ends_with("filling")));
    let is = || NamedArray::list().unwrap().into_iter().find(|info| info.name == name.0);
    let of_ours = |info: &NamedInfo| info.name == name.0;
    let info = is().unwrap();
    assert_eq!(
        (info.is_ready, info.is_open, &info.shape[..], info.descr.as_str()),
        (false, true, &[3, 5][..], "<f4")
    );
    // SAFETY: it is not opened.
    let error = unsafe { NamedArray::<f32>::open(&name.0) }.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Named { .. }), "{error}");
    assert!(NamedArray::collect_garbage(of_ours).unwrap().is_empty(), "its program is still at it");
    program.kill().unwrap();
    program.wait().unwrap();
    assert_eq!(NamedArray::collect_garbage(of_ours).unwrap().len(), 1);
    assert!(is().is_none());
}
