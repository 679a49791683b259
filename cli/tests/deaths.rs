//! Workers die, and the picture is right; the command dies, and nothing is left.

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{Folder, Running, decoded, encoded, expected, kill, lives, picture, shmpool, start};
use image::{DynamicImage, ImageFormat};
use rustix::process::Signal;

/// Enough work to be met in the middle of it, however it was compiled.
const STEPS: [&str; 3] = ["blur:sigma=6", "blur:sigma=4", "sobel"];
const SIZE: (u32, u32) = if cfg!(debug_assertions) { (640, 480) } else { (3200, 2400) };

struct Job {
    folder: Folder,
    image: DynamicImage,
    output: PathBuf,
}

impl Job {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let image = picture(SIZE.0, SIZE.1, 3);
        folder.write("in.png", encoded(&image, ImageFormat::Png));
        let output = folder.path("out.png");
        Job { folder, image, output }
    }

    fn start(&self, workers: &str) -> Running {
        let mut command = shmpool();
        command.args([Path::new("image"), &self.folder.path("in.png"), Path::new("-o"), &self.output]);
        start(command.args(["--json", "--workers", workers]).args(STEPS))
    }

    /// Starts the command, and returns once its workers compute.
    fn start_and_meet(&self, workers: &str) -> (Running, Vec<u32>) {
        let mut running = self.start(workers);
        loop {
            let busy = running.busy_workers();
            if !busy.is_empty() {
                return (running, busy);
            }
            assert!(!running.has_ended(), "the command was done before it could be met");
            running.pause();
        }
    }
}

#[test]
fn killed_workers_do_not_spoil_the_picture() {
    let job = Job::new("killed-workers");
    let (running, busy) = job.start_and_meet("2");
    kill(busy[0], Signal::KILL);
    let ended = running.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["n_worker_deaths"], 1, "{report}");
    assert!(decoded(&job.output) == expected(&job.image, &STEPS), "another picture");
}

/// Sends a signal to the command in the middle of its work: it ends by that signal, its workers end, and no output is there.
fn assert_leaves_nothing(name: &str, signal: Signal) {
    let job = Job::new(name);
    let (running, _) = job.start_and_meet("2");
    let workers = running.workers();
    assert_eq!(workers.len(), 2);
    running.signal(signal);
    let ended = running.wait();
    assert_eq!(ended.code, -signal.as_raw(), "{ended:?}");
    let since = Instant::now();
    while workers.iter().any(|&pid| lives(pid)) {
        assert!(since.elapsed() < Duration::from_secs(60), "workers live on without their parent");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(job.folder.names(), ["in.png"]);
}

#[test]
fn ctrl_c_leaves_no_output_and_no_process() {
    assert_leaves_nothing("interrupted", Signal::INT);
}

#[test]
fn a_terminated_command_leaves_no_output_and_no_process() {
    assert_leaves_nothing("terminated", Signal::TERM);
}

#[test]
fn a_killed_command_leaves_no_output_and_no_process() {
    assert_leaves_nothing("killed", Signal::KILL);
}
