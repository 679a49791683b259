//! `shmpool map`: a numeric kernel over `.npy` files, mapped in place.
#![allow(unsafe_code)] // files have a contract

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use shmpool::kernels::{Element, ElementStep, element_kernels, parse_element_step};
use shmpool::{ErrorKind, FileArray, NpyElement, NpyError, Pool};

use crate::args::MapArgs;
use crate::deadline::Deadline;
use crate::failure::{Exit, Failure, in_words, print, to_json};
use crate::kernels::no_element_step;
use crate::output::Unfinished;
use crate::picture::by_whom;
use crate::report::{FileReport, outcome};
use crate::request::{FilePaths, outputs};
use crate::show::Show;
use crate::work::unwritable;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    kernel: String,
    n_workers: usize,
    files: Vec<FileReport<Done>>,
}

#[derive(Serialize)]
struct Done {
    dtype: String,
    shape: Vec<usize>,
    run_ms: f64,
    /// Elements over the time of the run, in millions a second.
    megaelements_per_s: f64,
}

pub(crate) fn run(args: &MapArgs) -> Result<(), Failure> {
    check_kernel(&args.kernel)?;
    let files = outputs(args.inputs.clone(), &args.output)?;
    let show = Show::new(args.progress, args.quiet);
    let deadline = Deadline::start(args.timeout, &show);
    show.wait("starting");
    let pool = args.pool.start()?;
    let mut report = Report { kernel: args.kernel.clone(), n_workers: pool.n_workers(), files: Vec::new() };
    for file in &files {
        // One that fails costs a line, not the others.
        let result = of_any_type(&pool, &args.kernel, file, &show, &deadline);
        let result = result.map_err(|failure| failure.or_about(&file.input));
        report.files.push(FileReport::of(file, result));
    }
    drop(show);
    for error in report.files.iter().filter_map(|file| file.error.as_ref()) {
        eprintln!("shmpool: {error}");
    }
    match (args.json, args.quiet) {
        (true, _) => print(to_json(&report))?,
        (false, true) => {}
        (false, false) => {
            for line in report.files.iter().filter_map(|file| line(&report, file)) {
                print(line)?;
            }
        }
    }
    outcome(&report.files)
}

/// What is said of a file that was written.
fn line(Report { kernel, n_workers, .. }: &Report, file: &FileReport<Done>) -> Option<String> {
    let FileReport { input, output, done, .. } = file;
    let Done { dtype, shape, run_ms, megaelements_per_s } = done.as_ref()?;
    let lengths = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    let by = by_whom(*n_workers);
    Some(format!(
        "{input} -> {output}: {lengths} of {dtype}, {kernel} {by}: {run_ms:.1} ms, {megaelements_per_s:.0} M/s"
    ))
}

/// Refuses a word that is no kernel for any type, before any file is opened.
fn check_kernel(word: &str) -> Result<(), Failure> {
    let name = word.split(':').next().unwrap_or_default();
    let stock = element_kernels().find(|stock| stock.name == name || stock.aliases.contains(&name));
    let element = stock.map_or(shmpool::kernels::ElementType::F32, |stock| stock.types[0]);
    parse_element_step(word, element).map_err(no_element_step)?;
    Ok(())
}

/// Opens the file as what its header says that it holds.
fn of_any_type(
    pool: &Pool,
    word: &str,
    file: &FilePaths,
    show: &Show,
    deadline: &Deadline,
) -> Result<Done, Failure> {
    let mut last = None;
    for attempt in [of_type::<f32>, of_type::<f64>, of_type::<i32>, of_type::<i64>, of_type::<u8>] {
        match attempt(pool, word, file, show, deadline) {
            Err(Attempt::OtherType(found)) => last = Some(found),
            Err(Attempt::Failed(failure)) => return Err(failure),
            Ok(done) => return Ok(done),
        }
    }
    let message = format!("holds {}, wanted f32, f64, i32, i64 or u8", last.unwrap_or_default());
    Err(Failure::new(Exit::Input, message))
}

/// Why a file was not mapped as one type.
enum Attempt {
    OtherType(String),
    Failed(Failure),
}

impl From<Failure> for Attempt {
    fn from(failure: Failure) -> Self {
        Attempt::Failed(failure)
    }
}

fn of_type<T: NpyElement + Element>(
    pool: &Pool,
    word: &str,
    FilePaths { input, output }: &FilePaths,
    show: &Show,
    deadline: &Deadline,
) -> Result<Done, Attempt> {
    check_file(input)?;
    // SAFETY: the command's documentation says that nobody may write or cut its inputs meanwhile. This process does
    // not look at the elements; a worker that finds the file too short dies of it, and that is reported.
    let xs = match unsafe { FileArray::<T>::open_npy(input) } {
        Ok(xs) => xs,
        Err(error) => match error.kind() {
            ErrorKind::Npy { error: NpyError::Type { found, .. }, .. } => {
                return Err(Attempt::OtherType(found.clone()));
            }
            ErrorKind::Npy { error, .. } => return Err(bad(error).into()),
            ErrorKind::Os { error, .. } => return Err(bad(in_words(error)).into()),
            // The elements are fewer than the header says.
            ErrorKind::Shape { .. } => return Err(bad("the file ends before the array does").into()),
            _ => return Err(Failure::from(error).into()),
        },
    };
    let step: ElementStep = parse_element_step(word, T::TYPE).map_err(Failure::from)?;
    let unfinished = Unfinished::create(output).map_err(|error| unwritable(output, error))?;
    let done = write(pool, &step, &xs, &unfinished, output, show)?;
    deadline.commit(|| unfinished.finish()).map_err(|error| unwritable(output, error))?;
    Ok(done)
}

/// Refuses what is no file before it is opened: to open a pipe without a writer would take for ever.
fn check_file(input: &Path) -> Result<(), Failure> {
    let kind = input.metadata().map_err(|error| bad(in_words(&error)))?.file_type();
    match () {
        () if kind.is_file() => Ok(()),
        () if kind.is_dir() => Err(bad("a directory, not an array")),
        () => Err(bad("not a file: arrays are mapped from files")),
    }
}

fn bad(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Input, message)
}

fn write<T: NpyElement + Element>(
    pool: &Pool,
    step: &ElementStep,
    xs: &FileArray<T>,
    unfinished: &Unfinished,
    output: &Path,
    show: &Show,
) -> Result<Done, Failure> {
    let file = unfinished.file().try_clone().map_err(|error| unwritable(output, error))?;
    let shape = shmpool::Shape::try_from(xs.shape())?;
    // SAFETY: the file has no name yet, or one that nobody else knows.
    let ys = unsafe { FileArray::<T>::npy_into(output, file, shape) };
    let mut ys = ys.map_err(|error| match error.kind() {
        ErrorKind::Os { error, .. } => unwritable(output, error),
        _ => Failure::from(error),
    })?;
    show.steps("running", "tasks", 0, 0);
    let progress = |progress: shmpool::Progress| show.at(progress.n_done, progress.n_tasks);
    let started = Instant::now();
    pool.call().progress(&progress).apply_step(step, xs, &mut ys)?;
    let run_ms = started.elapsed().as_nanos() as f64 / 1e6;
    Ok(Done {
        dtype: T::TYPE.to_string(),
        shape: xs.shape().to_vec(),
        run_ms,
        megaelements_per_s: xs.len() as f64 / run_ms / 1e3,
    })
}
