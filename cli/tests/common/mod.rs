//! Runs the command, in a folder of its own, and never waits for ever.
#![allow(dead_code)] // every test file uses its own part of this

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use image::{DynamicImage, ImageFormat};
use rustix::process::{Pid, Signal, kill_process};
use shmpool::kernels::parse_chain;

/// Far beyond what anything here takes.
const TOO_LONG: Duration = Duration::from_secs(120);

/// A folder that is gone with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path); // of a process that had the same number
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Everything in it, hidden files too.
    pub(crate) fn names(&self) -> Vec<String> {
        Folder::names_of(&self.0)
    }

    pub(crate) fn names_of(path: &Path) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(name).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How the command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code; -15 for signal 15, and so on.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command while it runs.
pub(crate) struct Running {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
    started: Instant,
}

pub(crate) fn shmpool() -> Command {
    Command::new(env!("CARGO_BIN_EXE_shmpool"))
}

/// Runs the command to its end.
pub(crate) fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ended {
    start(shmpool().args(args)).wait()
}

pub(crate) fn start(command: &mut Command) -> Running {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdout = read(child.stdout.take().unwrap());
    let stderr = read(child.stderr.take().unwrap());
    Running { child, stdout, stderr, started: Instant::now() }
}

fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Running {
    pub(crate) fn wait(mut self) -> Ended {
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => self.pause(),
            }
        };
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
        Ended { code, stdout: self.stdout.join().unwrap(), stderr: self.stderr.join().unwrap() }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.child.id(), signal);
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Lets a little time pass, but not for ever.
    pub(crate) fn pause(&mut self) {
        if self.started.elapsed() > TOO_LONG {
            self.child.kill().unwrap();
            panic!("the command takes longer than {TOO_LONG:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }

    /// Its workers that have begun to compute: they have used processor time since they started.
    pub(crate) fn busy_workers(&self) -> Vec<u32> {
        self.workers().into_iter().filter(|&pid| cpu_ticks(pid) > 1).collect()
    }

    /// Waits until a worker has worked for 200 ms from now on: beyond its start, and beyond what it has just finished.
    pub(crate) fn await_work(&mut self, pid: u32) {
        let before = cpu_ticks(pid);
        while lives(pid) && cpu_ticks(pid) < before + 20 {
            assert!(!self.has_ended(), "the command was done before its worker could be met");
            self.pause();
        }
    }

    pub(crate) fn workers(&self) -> Vec<u32> {
        // Workers are children of the thread that started them.
        let Ok(threads) = fs::read_dir(format!("/proc/{}/task", self.child.id())) else { return Vec::new() };
        let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).ok();
        let lists: Vec<String> = threads.flatten().filter_map(children).collect();
        lists.iter().flat_map(|list| list.split_whitespace()).map(|pid| pid.parse().unwrap()).collect()
    }
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    // It may have ended by itself meanwhile.
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal);
}

/// User and system time, in hundredths of a second.
fn cpu_ticks(pid: u32) -> u64 {
    let Some(fields) = stat(pid) else { return 0 };
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Whether a process is there and no zombie.
pub(crate) fn lives(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z" && fields[0] != "X")
}

/// The fields of /proc/PID/stat from the state on: the name before it may contain anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// Samples without an order that a kernel could be blind to.
pub(crate) fn samples(n: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        // xorshift32
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    // Half noise, half ramps: noise alone makes every JPEG gray, ramps alone hide wrong offsets.
    (0..n).map(|i| ((i / 7) as u8 / 2).wrapping_add(next() as u8 / 2)).collect()
}

/// An image with so many channels.
pub(crate) fn picture(width: u32, height: u32, channels: usize) -> DynamicImage {
    let samples = samples(width as usize * height as usize * channels, width * 31 + height);
    const FITS: &str = "as many samples as pixels and channels";
    match channels {
        1 => image::GrayImage::from_raw(width, height, samples).expect(FITS).into(),
        2 => image::GrayAlphaImage::from_raw(width, height, samples).expect(FITS).into(),
        3 => image::RgbImage::from_raw(width, height, samples).expect(FITS).into(),
        _ => image::RgbaImage::from_raw(width, height, samples).expect(FITS).into(),
    }
}

/// An image as a file's bytes.
pub(crate) fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// What the steps make of an image, without an engine: height, width, channels, samples.
pub(crate) fn expected(image: &DynamicImage, steps: &[&str]) -> ([usize; 3], Vec<u8>) {
    let chain = parse_chain::<u8>(steps).unwrap();
    let shape = shape_of(image);
    let out_shape = chain.output_shape(shape).unwrap();
    let mut out = vec![0; out_shape.iter().product()];
    chain.run(image.as_bytes(), shape, &mut out).unwrap();
    (out_shape, out)
}

/// What stands in a PNG: height, width, channels, samples of 8 bits.
pub(crate) fn decoded(path: &Path) -> ([usize; 3], Vec<u8>) {
    let image = image::open(path).unwrap();
    assert_eq!(image.as_bytes().len(), shape_of(&image).iter().product::<usize>(), "samples of 8 bits");
    (shape_of(&image), image.into_bytes())
}

fn shape_of(image: &DynamicImage) -> [usize; 3] {
    [image.height() as usize, image.width() as usize, usize::from(image.color().channel_count())]
}
