//! Many pictures at once: each has an output of its own, and none can spoil another.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Ended, Folder, decoded, encoded, expected, kill, picture, shmpool, start};
use image::{DynamicImage, ImageFormat};
use rustix::process::Signal;
use serde_json::Value;

/// Runs the command in the folder.
fn run_in(folder: &Folder, args: &[&str]) -> Ended {
    start(shmpool().current_dir(folder.path(".")).arg("image").args(args)).wait()
}

/// Pictures of all kinds: p0.png, p1.ppm and so on.
fn pictures(folder: &Folder, n: usize) -> Vec<(String, DynamicImage)> {
    let formats = [(ImageFormat::Png, "png"), (ImageFormat::Pnm, "ppm"), (ImageFormat::Tiff, "tif")];
    let write = |i: usize| {
        let image = picture(20 + 3 * i as u32, 15 + i as u32, 3);
        let (format, extension) = formats[i % 3];
        let name = format!("p{i}.{extension}");
        folder.write(&name, encoded(&image, format));
        (name, image)
    };
    (0..n).map(write).collect()
}

#[test]
fn each_picture_is_what_it_would_be_alone() {
    let folder = Folder::new("each");
    let inputs = pictures(&folder, 20);
    let names: Vec<_> = inputs.iter().map(|(name, _)| &**name).collect();
    for workers in ["0", "1", "2"] {
        let out = Folder::new(&format!("each-{workers}"));
        let pattern = out.path("{stem}-{index}.png");
        let args =
            [&names[..], &["-o", pattern.to_str().unwrap(), "-w", workers, "gray", "blur:sigma=2"]].concat();
        let ended = run_in(&folder, &args);
        assert_eq!((ended.code, &*ended.stderr), (0, ""));
        assert!(ended.stdout.starts_with("20 files, gray blur:sigma=2 in "), "{}", ended.stdout);
        for (i, (_, image)) in inputs.iter().enumerate() {
            let found = decoded(&out.path(&format!("p{i}-{i}.png")));
            assert!(found == expected(image, &["gray", "blur:sigma=2"]), "picture {i}, {workers} workers");
        }
        assert_eq!(out.names().len(), 20);
    }
}

#[test]
fn what_cannot_be_read_costs_a_line_and_the_exit_code() {
    let folder = Folder::new("unreadable");
    let inputs = pictures(&folder, 4);
    folder.write("text.png", "no picture");
    folder.write("cut.png", &encoded(&inputs[0].1, ImageFormat::Png)[..200]);
    let alpha = encoded(&picture(9, 9, 4), ImageFormat::Png);
    folder.write("alpha.png", alpha);
    std::fs::create_dir(folder.path("out")).unwrap();
    let all = ["p0.png", "text.png", "p1.ppm", "missing.png", "cut.png", "alpha.png", "p2.tif", "p3.png"];
    let ended = run_in(&folder, &[&all[..], &["-o", "out/{stem}.jpg", "--json", "-w", "2"]].concat());
    assert_eq!(ended.code, 3);
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for (line, start) in lines.iter().zip([
        "shmpool: text.png: not an image that is known here",
        "shmpool: missing.png: no such file",
        "shmpool: cut.png: ",
        "shmpool: alpha.png: a JPEG holds no alpha channel",
    ]) {
        assert!(line.starts_with(start), "{line}");
    }
    let mut written = Folder::names_of(&folder.path("out"));
    written.sort();
    assert_eq!(written, ["p0.jpg", "p1.jpg", "p2.jpg", "p3.jpg"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["n_files"], &report["n_failed"]), (&8.into(), &4.into()));
    let exits: Vec<_> =
        report["files"].as_array().unwrap().iter().map(|file| file["exit"].as_u64().unwrap()).collect();
    assert_eq!(exits, [0, 3, 0, 3, 3, 2, 0, 0]);
    for (file, name) in report["files"].as_array().unwrap().iter().zip(all) {
        assert_eq!(file["input"], name);
        assert_eq!(file["error"].is_null(), file["width"].is_u64(), "{file}");
    }
    assert_eq!(report["files"][0]["width"], 20);
}

/// A JPEG whose decoder keeps all coefficients.
fn progressive(width: u16, height: u16) -> Vec<u8> {
    let image = picture(width.into(), height.into(), 3);
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 80);
    encoder.set_progressive(true);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_4_4);
    encoder.encode(image.as_bytes(), width, height, jpeg_encoder::ColorType::Rgb).unwrap();
    bytes
}

#[test]
fn a_picture_that_ends_its_worker_costs_a_line_and_the_others_are_written() {
    let folder = Folder::new("abort");
    let inputs = pictures(&folder, 6);
    // No room for its coefficients (24 MB) under the limit: its decoder aborts, as Rust does when an allocation fails.
    folder.write("bomb.jpg", progressive(2000, 2000));
    let mut names: Vec<_> = inputs.iter().map(|(name, _)| &**name).collect();
    names.insert(3, "bomb.jpg");
    let mut command = Command::new("sh");
    let script = "ulimit -d 16000; exec \"$0\" image \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_shmpool")]).current_dir(folder.path("."));
    let ended = start(command.args(names).args(["-o", "{stem}.pgm", "-w", "2", "gray"])).wait();
    assert_eq!(ended.code, 4, "{ended:?}");
    let wanted = "shmpool: bomb.jpg: reading or writing it ended its worker: signal 6 (SIGABRT)\n";
    assert_eq!(ended.stderr, wanted);
    for (i, (_, image)) in inputs.iter().enumerate() {
        assert!(decoded(&folder.path(&format!("p{i}.pgm"))) == expected(image, &["gray"]), "picture {i}");
    }
    assert_eq!(folder.names().len(), 6 + 1 + 6);
}

/// Small pictures and then one that takes long, and the command at work on that one, in one worker.
fn at_work(folder: &Folder) -> common::Running {
    pictures(folder, 3);
    let side = if cfg!(debug_assertions) { 500 } else { 2500 };
    folder.write("slow.png", encoded(&picture(side, side, 3), ImageFormat::Png));
    let mut command = shmpool();
    command.current_dir(folder.path(".")).arg("image").args(["p0.png", "p1.ppm", "p2.tif", "slow.png"]);
    let steps = ["blur:sigma=20", "blur:sigma=21", "blur:sigma=22"];
    let mut running = start(command.args(["-o", "{stem}.out.png", "-w", "1"]).args(steps));
    while !folder.path("p2.out.png").exists() || running.busy_workers().is_empty() {
        assert!(!running.has_ended(), "the command was done before it could be met");
        running.pause();
    }
    // An output is there a moment before its task is done.
    running.await_work(running.workers()[0]);
    running
}

/// Ends a process by the signal of a bad access.
fn crash(pid: u32) {
    while common::lives(pid) {
        kill(pid, Signal::SEGV);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[test]
fn a_picture_that_crashes_twice_is_given_up() {
    let folder = Folder::new("segv");
    let mut running = at_work(&folder);
    let first = running.workers()[0];
    crash(first);
    let second = loop {
        match running.busy_workers().iter().find(|&&pid| pid != first) {
            Some(&pid) => break pid,
            None => running.pause(),
        }
    };
    running.await_work(second);
    crash(second);
    let ended = running.wait();
    assert_eq!(ended.code, 4, "{ended:?}");
    let wanted = "shmpool: slow.png: reading or writing it ended its worker: signal 11 (SIGSEGV)\n";
    assert_eq!(ended.stderr, wanted);
    assert!(
        ended.stdout.starts_with("3 of 4 files") && ended.stdout.contains("2 worker deaths"),
        "{ended:?}"
    );
    let all = ["p0.out.png", "p0.png", "p1.out.png", "p1.ppm", "p2.out.png", "p2.tif", "slow.png"];
    assert_eq!(folder.names(), all);
}

#[test]
fn a_worker_killed_from_outside_costs_no_picture() {
    let folder = Folder::new("outside");
    let running = at_work(&folder);
    kill(running.workers()[0], Signal::KILL);
    let ended = running.wait();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    assert!(folder.path("slow.out.png").exists());
    assert_eq!(folder.names().len(), 8);
}

#[test]
fn a_killed_command_leaves_whole_outputs_alone() {
    for (name, signal) in [("many-interrupted", Signal::INT), ("many-killed", Signal::KILL)] {
        let folder = Folder::new(name);
        let running = at_work(&folder);
        let worker = running.workers()[0];
        running.signal(signal);
        assert_eq!(running.wait().code, -signal.as_raw());
        let since = std::time::Instant::now();
        while common::lives(worker) {
            assert!(since.elapsed() < std::time::Duration::from_secs(60), "a worker lives on");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let all = ["p0.out.png", "p0.png", "p1.out.png", "p1.ppm", "p2.out.png", "p2.tif", "slow.png"];
        assert_eq!(folder.names(), all);
    }
}

#[test]
fn time_that_is_up_ends_the_run() {
    let folder = Folder::new("timeout");
    let side = if cfg!(debug_assertions) { 900 } else { 6000 };
    let image = encoded(&picture(side, side, 3), ImageFormat::Png);
    folder.write("slow.png", &image);
    folder.write("too.png", &image);
    let before = folder.names();
    for inputs in [&["slow.png"][..], &["slow.png", "too.png"]] {
        let rest =
            ["-o", "{stem}.out.png", "--timeout", "0.2", "blur:sigma=40", "blur:sigma=41", "blur:sigma=42"];
        let ended = run_in(&folder, &[inputs, &rest].concat());
        assert_eq!((ended.code, &*ended.stdout), (7, ""), "{ended:?}");
        assert_eq!(ended.stderr, "shmpool: the run took longer than 0.2 s (--timeout)\n");
        assert_eq!(folder.names(), before);
    }
    let ended = run_in(&folder, &["slow.png", "-o", "out.pgm", "--timeout", "1000", "gray"]);
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn names_that_collide_are_refused_before_any_work() {
    let folder = Folder::new("collide");
    pictures(&folder, 3);
    let image = encoded(&picture(5, 5, 3), ImageFormat::Png);
    folder.write("p1.png", image);
    std::os::unix::fs::symlink(".", folder.path("here")).unwrap();
    let before = folder.names();
    for (args, code, words) in [
        (&["p0.png", "p1.png", "-o", "o.png"][..], 2, &["o.png: 2 inputs", "{stem}"][..]),
        (&["p1.ppm", "p1.png", "-o", "o-{stem}.png"], 2, &["o-p1.png: p1.ppm and p1.png would both be"]),
        (&["p0.png", "here/p0.png", "-o", "{stem}.jpg"], 2, &["would both be written there"]),
        (&["p1.ppm", "p1.png", "-o", "{stem}.{index}.webp"], 2, &[".png"]),
        (&["p1.ppm", "p1.png", "-o", "none/{index}.png"], 6, &["none/0.png: there is no folder "]),
        (
            &["p0.png", "p1.ppm", "p1.png", "-o", "p{index}.png"],
            2,
            &["p1.ppm would be written over another input"],
        ),
        (&["p0.png", "p1.ppm", "-o", "{stem}.png", "blr"], 2, &["did you mean blur?"]),
    ] {
        let ended = run_in(&folder, args);
        assert_eq!((ended.code, &*ended.stdout), (code, ""), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "no {word:?} in {}", ended.stderr);
        }
        assert_eq!(folder.names(), before);
    }
}

#[test]
fn dashes_separate_whatever_things_are_called() {
    let folder = Folder::new("dashes");
    let image = picture(12, 11, 3);
    for name in ["gray", "blur"] {
        folder.write(name, encoded(&image, ImageFormat::Png));
    }
    let ended = run_in(&folder, &["gray", "blur", "-o", "{name}.png", "--", "gray"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    for name in ["gray.png", "blur.png"] {
        assert!(decoded(&folder.path(name)) == expected(&image, &["gray"]));
    }
    let ended = run_in(&folder, &["gray", "./blur", "-o", "{name}-2.png"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(decoded(&folder.path("blur-2.png")) == expected(&image, &[]));
}

#[test]
fn each_picture_may_be_its_own_output() {
    let folder = Folder::new("own");
    let images = [picture(12, 11, 3), picture(13, 14, 3)];
    for (i, image) in images.iter().enumerate() {
        folder.write(&format!("{i}.png"), encoded(image, ImageFormat::Png));
    }
    let ended = run_in(&folder, &["0.png", "1.png", "-o", "{name}", "gray", "-v"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("0.png -> 0.png: 12 x 11 x 3 to 12 x 11 x 1 u8: "), "{}", ended.stderr);
    for (i, image) in images.iter().enumerate() {
        assert!(decoded(&folder.path(&format!("{i}.png"))) == expected(image, &["gray"]));
    }
}

#[test]
fn more_failures_than_a_job_bears_are_all_told() {
    let folder = Folder::new("failures");
    folder.write("good.pgm", encoded(&picture(4, 4, 1), ImageFormat::Pnm));
    let missing: Vec<PathBuf> = (0..600).map(|i| Path::new("missing").join(format!("{i}.png"))).collect();
    let mut command = shmpool();
    command.current_dir(folder.path(".")).arg("image").args(&missing).arg("good.pgm");
    let ended = start(command.args(["-o", "{index}.png", "-w", "1"])).wait();
    assert_eq!(ended.code, 3);
    assert_eq!(ended.stderr.lines().count(), 600);
    assert_eq!(folder.names(), ["600.png", "good.pgm"]);
}

#[test]
fn a_plan_of_many_lists_each_and_does_nothing() {
    let folder = Folder::new("many-plan");
    let inputs = pictures(&folder, 3);
    let names: Vec<_> = inputs.iter().map(|(name, _)| &**name).collect();
    let ended =
        run_in(&folder, &[&names[..], &["-o", "{stem}.jpg", "--plan", "--json", "-w", "2", "blur"]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let plan: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(plan["task"], "picture");
    let files = plan["files"].as_array().unwrap();
    let outputs: Vec<_> = files.iter().map(|file| file["output"].as_str().unwrap()).collect();
    assert_eq!(outputs, ["p0.jpg", "p1.jpg", "p2.jpg"]);
    let bytes: Vec<_> = files.iter().map(|file| file["memory_bytes"].as_u64().unwrap()).collect();
    assert_eq!(plan["memory_bytes"], bytes[1] + bytes[2], "two workers, and the two largest may meet");
    assert_eq!(folder.names().len(), 3);
}
