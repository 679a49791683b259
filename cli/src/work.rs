//! One picture from file to file in this process: what a worker does where there are many.

use std::path::Path;
use std::time::Instant;

use shmpool::Arena;
use shmpool::kernels::{SampleType, parse_chain};

use crate::blend::Blending;
use crate::decode::Undecoded;
use crate::depth::Depth;
use crate::encode::{Format, Image};
use crate::failure::{Exit, Failure};
use crate::output::Unfinished;

/// What is to be done with each picture.
pub(crate) struct Job {
    pub(crate) steps: Vec<String>,
    /// With what and how to blend what the steps make.
    pub(crate) blending: Option<Blending>,
    /// Of a JPEG.
    pub(crate) quality: u8,
}

/// What was made of a picture, and how long it took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Height, width and channels of the input, upright.
    pub(crate) shape: [usize; 3],
    pub(crate) output_shape: [usize; 3],
    pub(crate) sample: SampleType,
    pub(crate) decode_ms: f64,
    pub(crate) run_ms: f64,
    pub(crate) encode_ms: f64,
}

/// Decodes, runs the steps, blends and encodes, in memory of `arena`. The output appears when it is whole.
pub(crate) fn run(arena: &Arena, input: &Path, output: &Path, job: &Job) -> Result<Work, Failure> {
    let format = Format::of(output)?;
    let started = Instant::now();
    let undecoded = Undecoded::open(input)?;
    match undecoded.sample() {
        SampleType::U16 => run_as::<u16>(arena, undecoded, started, [input, output], format, job),
        _ => run_as::<u8>(arena, undecoded, started, [input, output], format, job),
    }
}

fn run_as<T: Depth>(
    arena: &Arena,
    undecoded: Undecoded,
    started: Instant,
    [input, output]: [&Path; 2],
    format: Format,
    Job { steps, blending, quality }: &Job,
) -> Result<Work, Failure> {
    let shape = undecoded.shape();
    let output_shape = output_shape::<T>(steps, shape, format).map_err(|failure| failure.about(input))?;
    let blending = blending.as_ref();
    let over = blending.map(|blending| blending.decode_once::<T>(arena, output_shape)).transpose();
    let over = over.map_err(|failure| failure.or_about(input))?;
    let unfinished = Unfinished::create(output).map_err(|error| unwritable(output, error))?;
    let picture = undecoded.decode::<T>(arena, input)?;
    let decoded = Instant::now();
    let mut result = arena.zeros::<T>(output_shape)?;
    parse_chain::<T>(steps)?.run(&picture.pixels, shape, &mut result)?;
    drop(picture.pixels);
    if let (Some(blending), Some(over)) = (blending, over) {
        blending.in_place(&mut result, &over)?;
    }
    let computed = Instant::now();
    let icc = picture.icc.as_deref().filter(|profile| fits(profile, output_shape[2]));
    let image = Image { shape: output_shape, samples: &result, icc };
    let written = format.write(unfinished.file(), &image, *quality, |_| ());
    written.and_then(|()| unfinished.finish()).map_err(|error| unwritable(output, error))?;
    let ms = |from: Instant, to: Instant| (to - from).as_nanos() as f64 / 1e6;
    Ok(Work {
        shape,
        output_shape,
        sample: T::TYPE,
        decode_ms: ms(started, decoded),
        run_ms: ms(decoded, computed),
        encode_ms: ms(computed, Instant::now()),
    })
}

/// Height, width and channels of what the steps make of a picture; refused here if the output's format cannot hold it.
pub(crate) fn output_shape<T: Depth>(
    steps: &[String],
    shape: [usize; 3],
    format: Format,
) -> Result<[usize; 3], Failure> {
    let output_shape = parse_chain::<T>(steps)?.output_shape(shape)?;
    format.check(output_shape, T::TYPE).map_err(|message| Failure::new(Exit::Usage, message))?;
    Ok(output_shape)
}

/// Whether a colour profile speaks of as many colours as the output has: a gray picture must not carry one for RGB.
pub(crate) fn fits(profile: &[u8], channels: usize) -> bool {
    let space: &[u8] = if channels < 3 { b"GRAY" } else { b"RGB " };
    profile.get(16..20) == Some(space)
}

pub(crate) fn unwritable(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Output, error).about(path)
}
