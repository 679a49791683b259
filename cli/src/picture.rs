//! `shmpool image`: one picture through a chain of kernels.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use shmpool::kernels::{Chain, KernelError, Plan, parse_chain, passes};
use shmpool::{Array, Pool};

use crate::args::ImageArgs;
use crate::decode::Undecoded;
use crate::encode::write_png;
use crate::failure::{Exit, Failure, print, to_json};
use crate::output::Unfinished;
use crate::show::Show;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    input: String,
    output: String,
    /// Of the input, upright.
    width: usize,
    height: usize,
    channels: usize,
    output_channels: usize,
    steps: &'a [String],
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
    let (input, output) = (&*args.input, &*args.output);
    // All that can be known to be wrong is, before anything costs time.
    check_name(output)?;
    let chain = parse_chain::<u8>(&args.steps)?;
    let undecoded = Undecoded::open(input)?;
    let shape @ [height, width, channels] = undecoded.shape();
    let n_tiles = n_tiles(&chain, shape).map_err(|error| Failure::from(error).about(input))?;
    let unfinished = Unfinished::create(output).map_err(|error| unwritable(output, error))?;

    let show = Show::new(args.progress, args.quiet);
    show.wait("starting");
    let (pool, start_ms) = timed(|| args.pool.start())?;
    show.wait("decoding");
    let (picture, decode_ms) = timed(|| undecoded.decode(&pool, input))?;
    show.steps("running", "tiles", n_tiles, (height * width) as u64);
    let (result, run_ms) = timed(|| apply(&pool, &chain, &picture.pixels, &show, input))?;
    drop(picture.pixels);
    let &[out_height, out_width, out_channels] = result.shape() else {
        unreachable!("pictures have three dimensions")
    };
    show.steps("writing", "rows", out_height as u64, (out_height * out_width) as u64);
    let icc = picture.icc.as_deref().filter(|profile| fits(profile, out_channels));
    let ((), encode_ms) = timed(|| {
        let out_shape = [out_height, out_width, out_channels];
        write_png(unfinished.file(), out_shape, &result, icc, |row| show.at(row, out_height as u64))?;
        unfinished.finish()
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
        output_channels: out_channels,
        steps: &args.steps,
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

fn check_name(output: &Path) -> Result<(), Failure> {
    let is_png = output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    let message = "the output is a PNG, so its name must end in .png";
    if is_png { Ok(()) } else { Err(Failure::new(Exit::Usage, message).about(output)) }
}

/// Tiles of all passes of the chain over an image.
fn n_tiles(chain: &Chain<u8, u8>, mut shape: [usize; 3]) -> Result<u64, KernelError> {
    let mut n_tiles = 0;
    for steps in passes(chain.steps()) {
        let plan = Plan::new(steps, shape, None)?;
        n_tiles += plan.n_tiles();
        shape = plan.output_shape();
    }
    Ok(n_tiles)
}

fn apply(
    pool: &Pool,
    chain: &Chain<u8, u8>,
    pixels: &Array<u8>,
    show: &Show,
    input: &Path,
) -> Result<Array<u8>, Failure> {
    let progress = |progress: shmpool::Progress| show.at(progress.n_done, progress.n_tasks);
    let result = pool.call().progress(&progress).apply(chain, pixels);
    result.map_err(|error| Failure::from(error).about(input))
}

/// Whether a colour profile speaks of as many colours as the output has: a gray picture must not carry one for RGB.
fn fits(profile: &[u8], channels: usize) -> bool {
    let space: &[u8] = if channels < 3 { b"GRAY" } else { b"RGB " };
    profile.get(16..20) == Some(space)
}

fn unwritable(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Output, error).about(path)
}

/// What `work` gives, and how long it took in milliseconds.
fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(T, f64), E> {
    let started = Instant::now();
    let result = work()?;
    Ok((result, started.elapsed().as_nanos() as f64 / 1e6))
}

fn summary(report: &Report<'_>) -> String {
    let Report { input, output, width, height, n_workers, run_ms, megapixels_per_s, .. } = report;
    let steps = if report.steps.is_empty() { "copy".to_owned() } else { report.steps.join(" ") };
    let by = match n_workers {
        0 => "in this process".to_owned(),
        1 => "in 1 worker".to_owned(),
        n => format!("in {n} workers"),
    };
    let deaths = match report.n_worker_deaths {
        0 => String::new(),
        n => format!("; {n} worker deaths, their tiles done again"),
    };
    format!(
        "{input} -> {output}: {width} x {height}, {steps} {by}: {run_ms:.1} ms, {megapixels_per_s:.0} MP/s \
         (start {:.1} ms, decode {:.1} ms, write {:.1} ms{deaths})",
        report.start_ms, report.decode_ms, report.encode_ms
    )
}
