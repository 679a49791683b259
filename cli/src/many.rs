//! `shmpool image` with many pictures: each is one worker's task from file to file.
//!
//! A task is a record with the paths of its input and output; the steps travel as parameters. What became of it comes back as a record too, so that a
//! file which cannot be read is a result. One that crashes its decoder takes a worker with it, and is the task's failure; the pool replaces the worker.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use bytemuck::{Pod, Zeroable};
use serde::Serialize;
use shmpool::kernels::SampleType;
use shmpool::{Arena, Array, ErrorKind, Pool};

use crate::args::ImageArgs;
use crate::blend::{BlendReport, Blending, Mode};
use crate::deadline::Deadline;
use crate::decode::guarded;
use crate::failure::{Exit, Failure, print, to_json};
use crate::picture::{by_whom, timed, what};
use crate::report::{FileReport, outcome};
use crate::request::{FilePaths, Request};
use crate::show::Show;
use crate::work::{self, Job, Work};

/// As long as a path can be, with the zero that ends it.
const PATH_BYTES: usize = 4096;
/// What the steps and the path of the picture to blend with may take as text: parameters of a job have 4096 bytes.
const TEXT_BYTES: usize = 4072;
const MESSAGE_BYTES: usize = 512;
/// A task that kills its worker is run once more: the kill may have come from outside. An output is whole or not there, so nothing is done twice.
const N_RETRIES: u32 = 1;
/// Memory that a worker keeps between two pictures, which saves the page faults of the next one.
const KEPT_BYTES_MAX: usize = 256 << 20;

/// A task.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Record {
    input: [u8; PATH_BYTES],
    output: [u8; PATH_BYTES],
}

/// What all tasks share.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Parameters {
    /// The words of the steps and the path of the picture to blend with, each with a zero behind it.
    text: [u8; TEXT_BYTES],
    n_steps: u32,
    quality: u32,
    /// Not 0 where the task runs in a worker, not in the command itself.
    in_worker: u32,
    /// Not 0 where there is a picture to blend with.
    blends: u32,
    /// Place of the mode among all.
    blend_mode: u32,
    opacity: f32,
}

/// What became of a task.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Outcome {
    shape: [u64; 3],
    output_shape: [u64; 3],
    /// Decoding, steps, encoding.
    ms: [f64; 3],
    sample_bytes: u32,
    /// 0, or the exit code that the message calls for.
    exit: u32,
    /// As text, up to the first zero.
    message: [u8; MESSAGE_BYTES],
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    n_files: usize,
    n_failed: usize,
    steps: &'a [String],
    /// Of the second picture, if there is one.
    blend: Option<BlendReport>,
    n_workers: usize,
    /// Instruction set that the kernels ran with.
    level: String,
    start_ms: f64,
    run_ms: f64,
    files_per_s: f64,
    /// Pixels of the inputs over the time of the run, in millions a second.
    megapixels_per_s: f64,
    n_worker_deaths: u64,
    /// In the order of the command line.
    files: Vec<FileReport<Done>>,
}

#[derive(Serialize)]
struct Done {
    width: usize,
    height: usize,
    channels: usize,
    sample: String,
    output_width: usize,
    output_height: usize,
    output_channels: usize,
    decode_ms: f64,
    run_ms: f64,
    encode_ms: f64,
}

pub(crate) fn run(
    args: &ImageArgs,
    request: &Request,
    show: Show,
    deadline: &Deadline,
) -> Result<(), Failure> {
    show.wait("starting");
    let blending = request.upper.as_ref().map(|upper| &upper.blending);
    let parameters = Parameters::of(&request.steps, blending, args.quality, args.pool.n_workers()?)?;
    let (pool, start_ms) = timed(|| args.pool.start())?;
    show.files("pictures", request.files.len() as u64);
    let (results, run_ms) = timed(|| run_all(&pool, &request.files, parameters, &show))?;
    // Each output has its name by now: what follows is for the reader alone.
    deadline.commit(|| drop(show));

    let mut files = Vec::with_capacity(results.len());
    let mut n_pixels = 0;
    for (paths, result) in request.files.iter().zip(results) {
        match &result {
            Ok(work) => {
                n_pixels += work.shape[0] * work.shape[1];
                if args.verbose {
                    eprintln!("{}", line(&paths.input, &paths.output, work));
                }
            }
            Err(failure) => eprintln!("shmpool: {failure}"),
        }
        files.push(FileReport::of(paths, result.map(Done::from)));
    }
    let stats = pool.stats()?;
    let report = Report {
        n_files: files.len(),
        n_failed: files.iter().filter(|file| file.exit != 0).count(),
        steps: &request.steps,
        blend: blending.map(Blending::report),
        n_workers: pool.n_workers(),
        level: stats.level.to_string(),
        start_ms,
        run_ms,
        files_per_s: files.len() as f64 / run_ms * 1e3,
        megapixels_per_s: n_pixels as f64 / run_ms / 1e3,
        n_worker_deaths: stats.n_deaths,
        files,
    };
    match (args.json, args.quiet) {
        (true, _) => print(to_json(&report))?,
        (false, true) => {}
        (false, false) => print(summary(&report))?,
    }
    outcome(&report.files)
}

/// What became of each file. A job gives up after some hundreds of failures, so what it has left undone is offered again.
fn run_all(
    pool: &Pool,
    files: &[FilePaths],
    parameters: Parameters,
    show: &Show,
) -> Result<Vec<Result<Work, Failure>>, Failure> {
    let mut results: Vec<Option<Result<Work, Failure>>> = Vec::new();
    results.resize_with(files.len(), || None);
    loop {
        let left: Vec<usize> = (0..files.len()).filter(|&i| results[i].is_none()).collect();
        if left.is_empty() {
            return Ok(results.into_iter().flatten().collect());
        }
        let n_before = files.len() - left.len();
        let mut records = pool.zeros::<Record>(left.len())?;
        for (record, &i) in records.iter_mut().zip(&left) {
            match Record::of(&files[i]) {
                Ok(of_file) => *record = of_file,
                Err(failure) => results[i] = Some(Err(failure)),
            }
        }
        let progress =
            |progress: shmpool::Progress| show.at(n_before as u64 + progress.n_done, files.len() as u64);
        let call = pool.call().grain(1).retries(N_RETRIES).progress(&progress);
        match call.map_with(&records, parameters, |parameters, record| run_record(parameters, &record)) {
            Ok(outcomes) => {
                for (&i, outcome) in left.iter().zip(&outcomes) {
                    results[i].get_or_insert_with(|| outcome.result());
                }
            }
            Err(error) => collect(error, files, &left, &mut results)?,
        }
    }
}

/// Sorts out a job of which some tasks failed.
///
/// # Errors
/// If no task of it has come to an end.
fn collect(
    mut error: shmpool::Error,
    files: &[FilePaths],
    left: &[usize],
    results: &mut [Option<Result<Work, Failure>>],
) -> Result<(), Failure> {
    let partial: Option<Array<Outcome>> = error.take_partial();
    let (Some(report), Some(partial)) = (error.report(), partial) else { return Err(error.into()) };
    for range in &report.done {
        for task in range.start as usize..range.end as usize {
            let i = left[task];
            results[i].get_or_insert_with(|| partial[task].result());
        }
    }
    for kind in std::iter::once(error.kind()).chain(&report.failures) {
        let (task, why) = match kind {
            ErrorKind::WorkerDied { task, deaths, .. } => {
                let how = deaths.0.last().map_or(String::new(), |death| format!(": {}", death.reason));
                (*task, format!("reading or writing it ended its worker{how}"))
            }
            ErrorKind::KernelPanicked { task, message, .. } => {
                (*task, format!("a kernel panicked: {message}"))
            }
            ErrorKind::Interrupted { task, .. } => (*task, "its worker's memory was corrupted".to_owned()),
            _ => return Err(error.into()),
        };
        let i = left[task as usize];
        let exit = if matches!(kind, ErrorKind::KernelPanicked { .. }) { Exit::Task } else { Exit::Pool };
        results[i].get_or_insert_with(|| Err(Failure::new(exit, why).about(&files[i].input)));
    }
    Ok(())
}

impl Record {
    fn of(file: &FilePaths) -> Result<Self, Failure> {
        let mut record = Record::zeroed();
        write_text(&mut record.input, file.input.as_os_str().as_bytes(), &file.input)?;
        write_text(&mut record.output, file.output.as_os_str().as_bytes(), &file.output)?;
        Ok(record)
    }
}

fn write_text(to: &mut [u8; PATH_BYTES], text: &[u8], path: &Path) -> Result<(), Failure> {
    // One byte stays zero.
    let part = to[..PATH_BYTES - 1].get_mut(..text.len());
    let message = "the path is longer than any path can be";
    part.ok_or_else(|| Failure::new(Exit::Usage, message).about(path))?.copy_from_slice(text);
    Ok(())
}

/// Up to the first zero, or all.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

impl Parameters {
    fn of(
        steps: &[String],
        blending: Option<&Blending>,
        quality: u8,
        n_workers: usize,
    ) -> Result<Self, Failure> {
        let path = blending.map(|blending| blending.path.as_os_str().as_bytes());
        let words = steps.iter().map(String::as_bytes).chain(path);
        let text: Vec<u8> = words.flat_map(|word| word.iter().copied().chain([0])).collect();
        let mut parameters = Parameters {
            n_steps: steps.len() as u32,
            quality: quality.into(),
            in_worker: (n_workers > 0).into(),
            blends: blending.is_some().into(),
            blend_mode: blending.map_or(0, |blending| blending.mode.place()),
            opacity: blending.map_or(0.0, |blending| blending.opacity),
            ..Parameters::zeroed()
        };
        let Some(part) = parameters.text.get_mut(..text.len()) else {
            let what =
                if blending.is_some() { "steps and path of the picture to blend with" } else { "steps" };
            let message = format!("{what} of {} bytes, at most {TEXT_BYTES} for many pictures", text.len());
            return Err(Failure::new(Exit::Usage, message));
        };
        part.copy_from_slice(&text);
        Ok(parameters)
    }

    fn job(&self) -> Job {
        let mut words = self.text.split(|&byte| byte == 0);
        let steps = words.by_ref().take(self.n_steps as usize);
        let steps = steps.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let path = words.next().filter(|_| self.blends != 0);
        let blending = path.zip(Mode::at(self.blend_mode)).map(|(path, mode)| Blending {
            path: OsStr::from_bytes(path).into(),
            mode,
            opacity: self.opacity,
        });
        Job { steps, blending, quality: self.quality as u8 }
    }
}

/// One task, in a worker.
#[inline(never)]
fn run_record(parameters: &Parameters, record: &Record) -> Outcome {
    if parameters.in_worker != 0 {
        silence();
    }
    let [input, output] =
        [&record.input, &record.output].map(|path| Path::new(OsStr::from_bytes(text(path))));
    match guarded(|| work::run(arena()?, input, output, &parameters.job())) {
        Ok(work) => Outcome::of_work(&work),
        Err(failure) => Outcome::of_failure(&failure),
    }
}

/// Where this process has its pictures. Kept from task to task.
fn arena() -> shmpool::Result<&'static Arena> {
    static ARENA: OnceLock<Arena> = OnceLock::new();
    if let Some(arena) = ARENA.get() {
        return Ok(arena);
    }
    let arena = Arena::builder().kept_bytes_max(KEPT_BYTES_MAX).create()?;
    Ok(ARENA.get_or_init(|| arena))
}

/// Whatever a decoder prints while it crashes would stand beside the one line that its file has.
fn silence() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
            // If it fails, there are more lines than wanted.
            let _ = rustix::stdio::dup2_stderr(null);
        }
    });
}

impl Outcome {
    fn of_work(work: &Work) -> Self {
        Outcome {
            shape: work.shape.map(|extent| extent as u64),
            output_shape: work.output_shape.map(|extent| extent as u64),
            ms: [work.decode_ms, work.run_ms, work.encode_ms],
            sample_bytes: work.sample.bytes() as u32,
            ..Outcome::zeroed()
        }
    }

    fn of_failure(failure: &Failure) -> Self {
        let mut outcome = Outcome { exit: failure.exit() as u32, ..Outcome::zeroed() };
        let message = failure.to_string();
        let n_bytes = message.len().min(MESSAGE_BYTES);
        outcome.message[..n_bytes].copy_from_slice(&message.as_bytes()[..n_bytes]);
        outcome
    }

    fn result(&self) -> Result<Work, Failure> {
        if let Some(exit) = Exit::of(self.exit) {
            // The worker has named the file that it is about, input or output.
            return Err(Failure::new(exit, String::from_utf8_lossy(text(&self.message))));
        }
        let [decode_ms, run_ms, encode_ms] = self.ms;
        Ok(Work {
            shape: self.shape.map(|extent| extent as usize),
            output_shape: self.output_shape.map(|extent| extent as usize),
            sample: if self.sample_bytes == 2 { SampleType::U16 } else { SampleType::U8 },
            decode_ms,
            run_ms,
            encode_ms,
        })
    }
}

impl From<Work> for Done {
    fn from(work: Work) -> Self {
        let Work { shape, output_shape, sample, decode_ms, run_ms, encode_ms } = work;
        let ([height, width, channels], [output_height, output_width, output_channels]) =
            (shape, output_shape);
        let sample = sample.to_string();
        Done {
            width,
            height,
            channels,
            sample,
            output_width,
            output_height,
            output_channels,
            decode_ms,
            run_ms,
            encode_ms,
        }
    }
}

fn line(input: &Path, output: &Path, work: &Work) -> String {
    let [height, width, channels] = work.shape;
    let [out_height, out_width, out_channels] = work.output_shape;
    format!(
        "{} -> {}: {width} x {height} x {channels} to {out_width} x {out_height} x {out_channels} {}: decode {:.1} ms, \
         run {:.1} ms, write {:.1} ms",
        input.display(),
        output.display(),
        work.sample,
        work.decode_ms,
        work.run_ms,
        work.encode_ms
    )
}

fn summary(report: &Report<'_>) -> String {
    let Report { n_files, n_failed, n_workers, run_ms, files_per_s, megapixels_per_s, .. } = report;
    let steps = what(report.steps, report.blend.as_ref());
    let written = match n_failed {
        0 => format!("{n_files} files"),
        n => format!("{} of {n_files} files", n_files - n),
    };
    let deaths = match report.n_worker_deaths {
        0 => String::new(),
        1 => ", 1 worker death".to_owned(),
        n => format!(", {n} worker deaths"),
    };
    format!(
        "{written}, {steps} {}: {:.2} s, {files_per_s:.1} files/s, {megapixels_per_s:.0} MP/s (start {:.1} ms{deaths})",
        by_whom(*n_workers),
        run_ms / 1e3,
        report.start_ms
    )
}
