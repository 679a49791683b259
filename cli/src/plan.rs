//! `shmpool image --plan`: what would be done, from the headers of the inputs alone.

use std::fmt::Write;

use serde::Serialize;
use shmpool::kernels::{
    Border, Chain, KernelError, Level, Plan, SampleType, Step, parse_chain, passes, resolved,
};

use crate::args::ImageArgs;
use crate::blend::BlendReport;
use crate::decode::Undecoded;
use crate::depth::Depth;
use crate::encode::Format;
use crate::failure::{Failure, print, to_json};
use crate::picture::by_whom;
use crate::request::{FilePaths, Request};
use crate::work::output_shape;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    n_workers: usize,
    /// Instruction set that the kernels will run with.
    level: String,
    /// What a task is: a tile of the one picture, or one of many pictures.
    task: &'static str,
    /// The most that is needed at once, in bytes, beside what every process takes.
    memory_bytes: usize,
    files: Vec<FilePlan>,
}

/// One picture's plan.
#[derive(Serialize)]
pub(crate) struct FilePlan {
    input: String,
    output: String,
    /// Upright.
    width: usize,
    height: usize,
    channels: usize,
    sample: String,
    output_width: usize,
    output_height: usize,
    output_channels: usize,
    memory_bytes: usize,
    passes: Vec<Pass>,
    /// What happens after the passes.
    blend: Option<BlendReport>,
}

/// Steps that run fused, tile by tile.
#[derive(Serialize)]
struct Pass {
    steps: Vec<StepPlan>,
    output_width: usize,
    output_height: usize,
    output_channels: usize,
    /// Of a tile that no edge cuts.
    tile_width: usize,
    tile_height: usize,
    n_tiles: u64,
}

#[derive(Serialize)]
struct StepPlan {
    kernel: &'static str,
    /// Pixels around a tile that the step has to see.
    halo: usize,
    border: String,
}

pub(crate) fn run(args: &ImageArgs, request: &Request) -> Result<(), Failure> {
    let n_workers = args.pool.n_workers()?;
    let plan = |file: &FilePaths| of_one(&Undecoded::open(&file.input)?, file, request);
    let files = request.files.iter().map(plan).collect::<Result<Vec<_>, _>>()?;
    let mut bytes: Vec<_> = files.iter().map(|file| file.memory_bytes).collect();
    bytes.sort_unstable_by(|a, b| b.cmp(a));
    let report = Report {
        n_workers,
        level: Level::detect().to_string(),
        task: if files.len() == 1 { "tile" } else { "picture" },
        // Each worker has one picture at a time: the largest ones might meet.
        memory_bytes: bytes.iter().take(n_workers.max(1)).sum(),
        files,
    };
    print(if args.json { to_json(&report) } else { text(&report) })
}

/// What is to become of one picture.
///
/// # Errors
/// What would be refused before its pixels are read.
pub(crate) fn of_one(
    undecoded: &Undecoded,
    file: &FilePaths,
    request: &Request,
) -> Result<FilePlan, Failure> {
    let plan = match undecoded.sample() {
        SampleType::U16 => of_one_as::<u16>(undecoded, file, request),
        _ => of_one_as::<u8>(undecoded, file, request),
    };
    plan.map_err(|failure| failure.about(&file.input))
}

fn of_one_as<T: Depth>(
    undecoded: &Undecoded,
    FilePaths { input, output }: &FilePaths,
    Request { steps, upper, .. }: &Request,
) -> Result<FilePlan, Failure> {
    let shape @ [height, width, channels] = undecoded.shape();
    let out_shape @ [output_height, output_width, output_channels] =
        output_shape::<T>(steps, shape, Format::of(output)?)?;
    let upper = upper.as_ref();
    upper.map_or(Ok(()), |upper| upper.check::<T>(out_shape))?;
    let passes = passes_of(&parse_chain::<T>(steps)?, shape)?;
    let of_shape = |shape: [usize; 3]| shape.iter().product::<usize>() * size_of::<T>();
    // While a pass runs there are the picture, what the pass before it made, and what it makes.
    let made: Vec<_> = passes.iter().map(|pass| of_shape(pass.output_shape())).collect();
    let run_bytes =
        |(i, bytes): (usize, &usize)| of_shape(shape) + bytes + if i == 0 { 0 } else { made[i - 1] };
    let run_bytes = made.iter().enumerate().map(run_bytes).max().unwrap_or(0);
    let memory_bytes = undecoded.memory_bytes().max(run_bytes);
    Ok(FilePlan {
        input: input.display().to_string(),
        output: output.display().to_string(),
        width,
        height,
        channels,
        sample: T::TYPE.to_string(),
        output_width,
        output_height,
        output_channels,
        memory_bytes: upper
            .map_or(memory_bytes, |upper| upper.memory_bytes(memory_bytes, of_shape(out_shape))),
        passes,
        blend: upper.map(|upper| upper.blending.report()),
    })
}

fn passes_of<T: Depth>(chain: &Chain<T, T>, mut shape: [usize; 3]) -> Result<Vec<Pass>, KernelError> {
    let mut found = Vec::new();
    for steps in passes(chain.steps()) {
        // Whatever will be measured, the geometry is the same.
        let plan = Plan::new(&resolved(steps, &[]), shape, None)?;
        shape = plan.output_shape();
        let ([output_height, output_width, output_channels], [tile_height, tile_width]) =
            (shape, plan.tile_size());
        found.push(Pass {
            steps: steps.iter().map(step).collect(),
            output_width,
            output_height,
            output_channels,
            tile_width: tile_width.min(output_width),
            tile_height: tile_height.min(output_height),
            n_tiles: plan.n_tiles(),
        });
    }
    Ok(found)
}

fn step(step: &Step) -> StepPlan {
    let border = match step.border() {
        Border::Constant(level) => level.to_string(),
        border => {
            let named = Border::NAMED.into_iter().find(|(_, named)| *named == border);
            named.map_or(String::new(), |(name, _)| name.to_owned())
        }
    };
    StepPlan { kernel: step.name(), halo: step.halo(), border }
}

impl Pass {
    fn output_shape(&self) -> [usize; 3] {
        [self.output_height, self.output_width, self.output_channels]
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for file in &report.files {
        write!(text, "{file}").expect("a string takes everything");
    }
    let by = by_whom(report.n_workers);
    let memory = mib(report.memory_bytes);
    format!("{text}a task is a {}, {by}, instruction set {}; memory {memory}", report.task, report.level)
}

impl std::fmt::Display for FilePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let FilePlan { input, output, width, height, channels, sample, .. } = self;
        let FilePlan { output_width, output_height, output_channels, .. } = self;
        writeln!(f, "{input} -> {output}")?;
        writeln!(f, "  input   {width} x {height} x {channels}, {sample}")?;
        for (index, pass) in self.passes.iter().enumerate() {
            write!(f, "  pass {}  ", index + 1)?;
            for (i, StepPlan { kernel, halo, border }) in pass.steps.iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                match halo {
                    0 => write!(f, "{comma}{kernel}")?,
                    _ => write!(f, "{comma}{kernel} (halo {halo}, border {border})")?,
                }
            }
            let tiles = if pass.n_tiles == 1 { "tile" } else { "tiles" };
            writeln!(f, ": {} {tiles} of up to {} x {}", pass.n_tiles, pass.tile_width, pass.tile_height)?;
        }
        if let Some(blend) = &self.blend {
            writeln!(f, "  blend   {blend}")?;
        }
        writeln!(f, "  output  {output_width} x {output_height} x {output_channels}, {sample}")?;
        writeln!(f, "  memory  {}", mib(self.memory_bytes))
    }
}

fn mib(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
