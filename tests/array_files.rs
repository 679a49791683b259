//! Files, mapped in place: read, written, refused, and cut short by somebody else.
#![allow(unsafe_code)] // constructors with a contract

shmpool::test_workers!();

mod common;

use std::path::PathBuf;

use common::{assert_same_bits, pool_of, watchdog};
use shmpool::{Access, ErrorKind, ExitReason, FileArray, NpyError, Pool};

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("shmpool-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What `numpy.save` of 2.4 writes for `numpy.arange(6, dtype='<f4').reshape(2, 3) / 2`.
fn numpys_file() -> Vec<u8> {
    let mut bytes =
        b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".to_vec();
    bytes.resize(127, b' ');
    bytes.push(b'\n');
    for i in 0..6 {
        bytes.extend((i as f32 / 2.0).to_le_bytes());
    }
    bytes
}

#[test]
fn npy_files_go_through_every_kind_of_verb() {
    let _watchdog = watchdog("npy_files_go_through_every_kind_of_verb", 60);
    let folder = Folder::new("npy-verbs");
    for n_workers in [0, 1, 2] {
        let pool = pool_of(n_workers);
        std::fs::write(folder.path("in.npy"), numpys_file()).unwrap();
        // SAFETY: nobody else knows these files.
        let (xs, mut ys) = unsafe {
            let xs = FileArray::<f32>::open_npy(folder.path("in.npy")).unwrap();
            (xs, FileArray::<f64>::create_npy(folder.path("out.npy"), [2, 3]).unwrap())
        };
        assert_eq!((xs.shape(), &xs[..]), (&[2, 3][..], &[0.0, 0.5, 1.0, 1.5, 2.0, 2.5][..]));
        assert_eq!(pool.map(&xs, |x| 2.0 * x).unwrap()[..], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        pool.map_into(&xs, &mut ys, |x| f64::from(x) + 1.0).unwrap();
        pool.update(&mut ys, |y| *y *= 10.0).unwrap();
        ys.flush().unwrap();
        let written = std::fs::read(folder.path("out.npy")).unwrap();
        assert!(written.starts_with(b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'"));
        assert_eq!(written.len(), 128 + 48);
        assert_eq!(written[128 + 40..], 35.0_f64.to_le_bytes());
        assert_eq!(pool.reduce(&ys, 0.0, |sum, y| sum + y, |a, b| a + b).unwrap(), 135.0);
        drop(ys);
        // SAFETY: as above.
        let again = unsafe { FileArray::<f64>::open_npy_mut(folder.path("out.npy")).unwrap() };
        assert!(again.is_writable() && !xs.is_writable());
        assert_same_bits(&again, &[10.0, 15.0, 20.0, 25.0, 30.0, 35.0], || "read again".to_owned());
    }
}

#[test]
fn raw_files_are_arrays_from_any_byte_on() {
    let _watchdog = watchdog("raw_files_are_arrays_from_any_byte_on", 60);
    let folder = Folder::new("raw");
    let path = folder.path("samples.raw");
    std::fs::write(&path, (0..10_000_u16).flat_map(u16::to_ne_bytes).collect::<Vec<u8>>()).unwrap();
    let pool = pool_of(2);
    // SAFETY: nobody else knows the file.
    unsafe {
        let xs = FileArray::<u16>::open_raw(&path, 200, [100, 90]).unwrap();
        assert_eq!(xs[0], 100);
        let ys = pool.map(&xs, |x| u32::from(x) + 1).unwrap();
        assert_eq!((ys[[0, 0]], ys[[99, 89]]), (101, 9100));
        let error = FileArray::<u16>::open_raw(&path, 3, 10).unwrap_err();
        assert!(error.to_string().starts_with("offset: 3 bytes into the file"), "{error}");
        let error = FileArray::<u16>::open_raw(&path, 200, [100, 100]).unwrap_err();
        assert_eq!(error.to_string(), "bytes of the file: found [20000], wanted [20200]");
        let error = FileArray::<u16>::open_raw(&path, 200, [usize::MAX, 2]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::SizeOverflow { .. }), "{error}");
        drop(xs);
        let mut zs = FileArray::<u16>::open_raw_mut(&path, 0, 10_000).unwrap();
        pool.update(&mut zs, |z| *z = !*z).unwrap();
        zs.as_mut_slice().unwrap()[0] = 5;
        assert_eq!((zs[0], zs[9999]), (5, !9999));
        assert!(FileArray::<u16>::open_raw(&path, 0, 0).unwrap().is_empty());
    }
}

#[test]
fn what_cannot_be_opened_says_what_to_do() {
    let folder = Folder::new("npy-errors");
    let mut big_endian = numpys_file();
    big_endian[21] = b'>';
    let mut fortran = numpys_file();
    fortran.splice(44..49, *b"True ");
    std::fs::write(folder.path("big.npy"), big_endian).unwrap();
    std::fs::write(folder.path("fortran.npy"), fortran).unwrap();
    std::fs::write(folder.path("short.npy"), &numpys_file()[..150]).unwrap();
    std::fs::write(folder.path("picture.npy"), b"\x89PNG").unwrap();
    std::fs::write(folder.path("fine.npy"), numpys_file()).unwrap();
    // SAFETY: nobody else knows these files.
    let error = |name: &str| unsafe { FileArray::<f32>::open_npy(folder.path(name)).unwrap_err() };
    let npy = |name: &str| match error(name).kind() {
        ErrorKind::Npy { error, .. } => error.clone(),
        other => panic!("{other}"),
    };
    assert!(matches!(npy("big.npy"), NpyError::ByteOrder { .. }));
    assert_eq!(npy("fortran.npy"), NpyError::FortranOrder);
    assert_eq!(npy("picture.npy"), NpyError::Magic);
    assert_eq!(error("short.npy").to_string(), "bytes of the file: found [150], wanted [152]");
    assert!(error("none.npy").to_string().starts_with("open "), "{}", error("none.npy"));
    let pool = Pool::builder().workers(0).build().unwrap();
    // SAFETY: as above.
    let mut read_only = unsafe { FileArray::<f32>::open_npy(folder.path("fine.npy")).unwrap() };
    let error = pool.update(&mut read_only, |x| *x += 1.0).unwrap_err();
    assert_eq!(error.to_string(), "ys was opened to be read: open it to be written");
    assert!(read_only.as_mut_slice().is_none());
}

#[test]
fn a_file_that_somebody_cuts_short_costs_the_job_and_nothing_else() {
    let _watchdog = watchdog("a_file_that_somebody_cuts_short_costs_the_job_and_nothing_else", 60);
    let folder = Folder::new("cut-short");
    let path = folder.path("in.raw");
    std::fs::write(&path, vec![1_u8; 1 << 20]).unwrap();
    let pool = pool_of(2);
    // SAFETY: the contract is broken on purpose below; this process itself does not look at the elements.
    let xs = unsafe { FileArray::<u8>::open_raw(&path, 0, 1 << 20).unwrap() };
    assert!(pool.map(&xs, |x| x + 1).unwrap().iter().all(|&x| x == 2));
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 19).unwrap();
    let error = pool.map(&xs, |x| x + 1).unwrap_err();
    let ErrorKind::WorkerDied { deaths, .. } = error.kind() else { panic!("{error}") };
    assert!(deaths.0.iter().all(|death| death.reason == ExitReason::Signal(libc::SIGBUS)), "{error}");
    assert!(error.to_string().contains("(SIGBUS) at byte 524288 of `xs`"), "{error}");
    let done = &error.report().unwrap().done;
    assert_eq!((done.len(), done[0].clone()), (1, 0..1 << 19));
}

#[test]
fn workers_let_go_of_a_file_when_they_are_idle() {
    let _watchdog = watchdog("workers_let_go_of_a_file_when_they_are_idle", 60);
    let folder = Folder::new("let-go");
    let path = folder.path("in.raw");
    std::fs::write(&path, vec![1_u8; 1 << 20]).unwrap();
    let pool = pool_of(2);
    // SAFETY: nobody else knows the file.
    let xs = unsafe { FileArray::<u8>::open_raw(&path, 0, 1 << 20).unwrap() };
    let mapped_by = |pid: u32| {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        maps.contains(path.to_str().unwrap())
    };
    for _ in 0..3 {
        assert!(pool.map(&xs, |x| x + 1).unwrap().iter().all(|&x| x == 2));
        common::wait_until("the file is let go", || !pool.worker_pids().into_iter().any(mapped_by));
    }
}

#[test]
fn two_arrays_of_one_file_are_one_array() {
    let _watchdog = watchdog("two_arrays_of_one_file", 60);
    let folder = Folder::new("busy");
    let (path, link) = (folder.path("a.npy"), folder.path("b.npy"));
    // SAFETY: of all of them: nobody else knows the file.
    let written = unsafe { FileArray::<f32>::create_npy(&path, 8) }.unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    // SAFETY: as above.
    for error in unsafe {
        [
            FileArray::<f32>::open_npy(&link).unwrap_err(),
            FileArray::<f32>::open_npy_mut(&path).unwrap_err(),
            FileArray::<f32>::create_npy(&path, 1).unwrap_err(),
        ]
    } {
        let kind = error.kind();
        assert!(matches!(kind, ErrorKind::Busy { held: Access::Write, .. }), "{error}");
    }
    assert_eq!(written.len(), 8, "and it has not been cut short");
    drop(written);
    // SAFETY: as above.
    let (a, b) = unsafe { (FileArray::<f32>::open_npy(&path), FileArray::<f32>::open_npy(&link)) };
    let (_a, b) = (a.unwrap(), b.unwrap());
    // SAFETY: as above.
    let error = unsafe { FileArray::<f32>::open_npy_mut(&path) }.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Busy { held: Access::Read, n_more: 1, .. }), "{error}");
    drop(b);
}

#[test]
fn what_cannot_be_created_leaves_the_file_that_was_there() {
    let folder = Folder::new("too-large");
    let path = folder.path("a.npy");
    std::fs::write(&path, numpys_file()).unwrap();
    // SAFETY: nobody else knows the file.
    let error = unsafe { FileArray::<f64>::create_npy(&path, [usize::MAX, 2]) }.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::SizeOverflow { .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), numpys_file());
}

#[test]
fn an_empty_file_is_writable_if_it_was_opened_so() {
    let folder = Folder::new("empty");
    let path = folder.path("a.raw");
    std::fs::write(&path, []).unwrap();
    // SAFETY: nobody else knows the file.
    let (mut read, mut written) = unsafe {
        (FileArray::<u8>::open_raw(&path, 0, 0).unwrap(), FileArray::<u8>::open_raw_mut(&path, 0, 0).unwrap())
    };
    assert!(!read.is_writable() && read.as_mut_slice().is_none());
    assert!(written.is_writable() && written.as_mut_slice().is_some());
}
