//! `shmpool image` with one picture: its tiles are the workers' tasks.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use shmpool::kernels::{Chain, KernelError, Plan, SampleType, parse_chain, passes, resolved};
use shmpool::{Array, Pool};

use crate::args::ImageArgs;
use crate::blend::BlendReport;
use crate::deadline::Deadline;
use crate::decode::Undecoded;
use crate::depth::Depth;
use crate::encode::{Format, Image};
use crate::failure::{Failure, print, to_json};
use crate::output::Unfinished;
use crate::request::{FilePaths, Request};
use crate::show::Show;
use crate::work::{fits, output_shape, unwritable};
use crate::{many, plan};

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    input: String,
    output: String,
    /// Of the input, upright.
    width: usize,
    height: usize,
    channels: usize,
    /// Type of the samples, in and out.
    sample: String,
    output_width: usize,
    output_height: usize,
    output_channels: usize,
    steps: &'a [String],
    /// Of the second picture, if there is one.
    blend: Option<BlendReport>,
    n_workers: usize,
    /// Instruction set that the kernels ran with.
    level: String,
    /// Tasks of the job: tiles of all passes.
    n_tiles: u64,
    start_ms: f64,
    decode_ms: f64,
    run_ms: f64,
    encode_ms: f64,
    /// Pixels of the input over the time of the run alone, in millions a second.
    megapixels_per_s: f64,
    /// Workers that died on the way; their tiles were done again.
    n_worker_deaths: u64,
}

pub(crate) fn run(args: &ImageArgs) -> Result<(), Failure> {
    // All that can be known to be wrong is, before anything costs time.
    let request = Request::of(args)?;
    if args.plan {
        return plan::run(args, &request);
    }
    let show = Show::new(args.progress, args.quiet);
    let deadline = Deadline::start(args.timeout, &show);
    match &request.files[..] {
        [file] => one(args, &request, file, show, &deadline),
        _ => many::run(args, &request, show, &deadline),
    }
}

fn one(
    args: &ImageArgs,
    request: &Request,
    file: &FilePaths,
    show: Show,
    deadline: &Deadline,
) -> Result<(), Failure> {
    let undecoded = Undecoded::open(&file.input)?;
    if args.verbose {
        eprint!("{}", plan::of_one(&undecoded, file, request)?);
    }
    match undecoded.sample() {
        SampleType::U16 => one_as::<u16>(args, request, file, undecoded, show, deadline),
        _ => one_as::<u8>(args, request, file, undecoded, show, deadline),
    }
}

fn one_as<T: Depth>(
    args: &ImageArgs,
    Request { steps, upper, .. }: &Request,
    FilePaths { input, output }: &FilePaths,
    undecoded: Undecoded,
    show: Show,
    deadline: &Deadline,
) -> Result<(), Failure> {
    let shape @ [height, width, channels] = undecoded.shape();
    let format = Format::of(output)?;
    let out_shape @ [out_height, out_width, out_channels] =
        output_shape::<T>(steps, shape, format).map_err(|failure| failure.about(input))?;
    let blending = upper.as_ref().map(|upper| &upper.blending);
    if let Some(upper) = upper {
        upper.check::<T>(out_shape).map_err(|failure| failure.about(input))?;
    }
    let chain = parse_chain::<T>(steps)?;
    let n_tiles = n_tiles(&chain, shape).map_err(|error| Failure::from(error).about(input))?;
    let unfinished = Unfinished::create(output).map_err(|error| unwritable(output, error))?;

    show.wait("starting");
    let (pool, start_ms) = timed(|| args.pool.start())?;
    show.wait("decoding");
    let ((picture, over), decode_ms) = timed(|| {
        let over = blending.map(|blending| blending.decode::<T>(pool.arena(), out_shape)).transpose()?;
        Ok::<_, Failure>((undecoded.decode::<T>(pool.arena(), input)?, over))
    })?;
    show.steps("running", "tiles", n_tiles, (height * width) as u64);
    let (result, run_ms) = timed(|| {
        let result = apply(&pool, &chain, &picture.pixels, &show, input)?;
        drop(picture.pixels);
        match (blending, over) {
            (Some(blending), Some(over)) => blending.in_pool(&pool, result, over),
            _ => Ok(result),
        }
    })?;
    show.steps("writing", "rows", out_height as u64, (out_height * out_width) as u64);
    let icc = picture.icc.as_deref().filter(|profile| fits(profile, out_channels));
    let ((), encode_ms) = timed(|| {
        let image = Image { shape: out_shape, samples: &result, icc };
        let written = |row| show.at(row, out_height as u64);
        format.write(unfinished.file(), &image, args.quality, written)?;
        deadline.commit(|| unfinished.finish())
    })
    .map_err(|error| unwritable(output, error))?;
    drop(show);

    let stats = pool.stats()?;
    let report = Report {
        input: input.display().to_string(),
        output: output.display().to_string(),
        width,
        height,
        channels,
        sample: T::TYPE.to_string(),
        output_width: out_width,
        output_height: out_height,
        output_channels: out_channels,
        steps,
        blend: blending.map(|blending| blending.report()),
        n_workers: pool.n_workers(),
        level: stats.level.to_string(),
        n_tiles,
        start_ms,
        decode_ms,
        run_ms,
        encode_ms,
        megapixels_per_s: (height * width) as f64 / run_ms / 1e3,
        n_worker_deaths: stats.n_deaths,
    };
    match (args.json, args.quiet) {
        (true, _) => print(to_json(&report)),
        (false, true) => Ok(()),
        (false, false) => print(summary(&report)),
    }
}

/// Tiles of all passes of the chain over an image.
fn n_tiles<T: Depth>(chain: &Chain<T, T>, mut shape: [usize; 3]) -> Result<u64, KernelError> {
    let mut n_tiles = 0;
    for steps in passes(chain.steps()) {
        if let Some(measurement) = steps[0].measurement() {
            n_tiles += Plan::new(&[measurement], shape, None)?.n_tiles();
        }
        // Whatever will be measured, the geometry is the same.
        let plan = Plan::new(&resolved(steps, &[]), shape, None)?;
        n_tiles += plan.n_tiles();
        shape = plan.output_shape();
    }
    Ok(n_tiles)
}

fn apply<T: Depth>(
    pool: &Pool,
    chain: &Chain<T, T>,
    pixels: &Array<T>,
    show: &Show,
    input: &Path,
) -> Result<Array<T>, Failure> {
    let progress = |progress: shmpool::Progress| show.at(progress.n_done, progress.n_tasks);
    let result = pool.call().progress(&progress).apply(chain, pixels);
    result.map_err(|error| Failure::from(error).about(input))
}

/// What `work` gives, and how long it took in milliseconds.
pub(crate) fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, f64), E> {
    let started = Instant::now();
    let result = work()?;
    Ok((result, started.elapsed().as_nanos() as f64 / 1e6))
}

pub(crate) fn by_whom(n_workers: usize) -> String {
    match n_workers {
        0 => "in this process".to_owned(),
        1 => "in 1 worker".to_owned(),
        n => format!("in {n} workers"),
    }
}

/// What was done, in words.
pub(crate) fn what(steps: &[String], blend: Option<&BlendReport>) -> String {
    match (steps, blend) {
        ([], None) => "copy".to_owned(),
        ([], Some(blend)) => blend.to_string(),
        (steps, None) => steps.join(" "),
        (steps, Some(blend)) => format!("{}, {blend}", steps.join(" ")),
    }
}

fn summary(report: &Report<'_>) -> String {
    let Report { input, output, width, height, n_workers, run_ms, megapixels_per_s, .. } = report;
    let size = match [report.output_width, report.output_height] {
        same if same == [*width, *height] => format!("{width} x {height}"),
        [out_width, out_height] => format!("{width} x {height} to {out_width} x {out_height}"),
    };
    let steps = what(report.steps, report.blend.as_ref());
    let by = by_whom(*n_workers);
    let deaths = match report.n_worker_deaths {
        0 => String::new(),
        n => format!("; {n} worker deaths, their tiles done again"),
    };
    format!(
        "{input} -> {output}: {size}, {steps} {by}: {run_ms:.1} ms, {megapixels_per_s:.0} MP/s \
         (start {:.1} ms, decode {:.1} ms, write {:.1} ms{deaths})",
        report.start_ms, report.decode_ms, report.encode_ms
    )
}
