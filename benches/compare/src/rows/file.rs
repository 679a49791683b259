//! A map over a file that is larger than anybody wants to hold in memory.
#![allow(unsafe_code)] // files have a contract

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use shmpool::{FileArray, Pool};

use crate::race::{Entry, Row, Spread, Unit, Wanted};
use crate::{Bench, Result};

/// 6 GB of `f32`, in a sparse file.
const N: usize = 1_500_000_000;
/// KiB of all processes beyond the page cache.
const PEAK_KIB_MAX: f64 = 64.0 * 1024.0;

/// A folder on disk that is gone at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let folder = Folder(std::env::temp_dir().join(format!("shmpool-compare-{}", std::process::id())));
    fs::create_dir_all(&folder.0)?;
    let (input, output) = (folder.0.join("in.npy"), folder.0.join("out.npy"));
    let mut file = File::create(&input)?;
    let header =
        format!("{:117}\n", format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({N},), }}"));
    file.write_all(b"\x93NUMPY\x01\x00v\x00")?;
    file.write_all(header.as_bytes())?;
    file.set_len(128 + 4 * N as u64)?;
    drop(file);

    let pool = Pool::builder().workers(bench.options.workers).build()?;
    let (done, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let seconds = std::thread::scope(|scope| -> Result<f64> {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let pids = pool.worker_pids().into_iter().chain([std::process::id()]);
                // A process that has just ended counts for nothing.
                let kib = pids.filter_map(|pid| beyond_page_cache_kib(pid).ok()).sum();
                peak.fetch_max(kib, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let started = Instant::now();
        let mapped = map(&pool, &input, &output);
        done.store(true, Ordering::Relaxed);
        mapped.map(|()| started.elapsed().as_secs_f64())
    })?;
    let entry = Entry {
        name: "peak of all processes beyond the page cache".to_owned(),
        spread: Spread::of(&[peak.into_inner() as f64]),
        ratio: None,
        wanted: Some(Wanted::AtMost(PEAK_KIB_MAX)),
    };
    let note = format!("one run of {seconds:.1} s, into a file of 1.5 GB");
    Ok(vec![Row {
        name: "map over a .npy file of 6 GB".to_owned(),
        unit: Unit::Kib,
        entries: vec![entry],
        note: Some(note),
    }])
}

fn map(pool: &Pool, input: &PathBuf, output: &PathBuf) -> Result<()> {
    // SAFETY: the files lie in a folder that this process has just made.
    let (xs, mut ys) =
        unsafe { (FileArray::<f32>::open_npy(input)?, FileArray::<u8>::create_npy(output, N)?) };
    pool.map_into(&xs, &mut ys, |x| (x + 7.0) as u8)?;
    let sum = pool.reduce(&ys, 0_u64, |sum, y| sum + u64::from(y), |a, b| a + b)?;
    if sum != 7 * N as u64 {
        return Err(format!("the sum of the output is {sum}").into());
    }
    Ok(())
}

/// KiB of process `pid` that are neither pages of files nor of anybody else: anonymous and shared memory, the shared
/// part divided by those who share it.
///
/// # Errors
/// If the process is gone or somebody else's, or if `/proc` holds what it should not.
fn beyond_page_cache_kib(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let mut kib = 0;
    for line in text.lines().filter(|line| line.starts_with("Pss_Anon:") || line.starts_with("Pss_Shmem:")) {
        let number = line.split_ascii_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
        kib += number.ok_or_else(|| io::Error::other(format!("smaps_rollup: no number in `{line}`")))?;
    }
    Ok(kib)
}
