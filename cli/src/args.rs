//! What can be written on the command line.

use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum};

use crate::blend::{Mode, parse_opacity};
use crate::deadline::parse_seconds;
use crate::failure::{Exit, Failure};

/// As many as a pool can have.
const N_WORKERS_MAX: usize = 256;

/// Exit codes, for the end of every long help text. `README.md` has the same table, and `tests/face.rs` compares them.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a kernel panicked or a task failed; or doctor found a problem
  2  the command line makes no sense: unknown kernel, bad parameter, unfit output
  3  the input cannot be read or decoded
  4  a worker crashed again and again, or the pool could not start
  5  out of memory, or a limit is in the way
  6  the output cannot be written
  7  the run took longer than --timeout allows
Of many pictures it is the code of the first that failed.";

/// The parser sees images and steps as one list.
const IMAGE_USAGE: &str = "\
shmpool image [OPTIONS] <IMAGE>... -o <OUT> [STEP]...
       shmpool image [OPTIONS] <IMAGE>... -o <OUT> -- <STEP>...";

/// Image and numeric kernels over shared memory, in worker processes that copy nothing and may crash.
#[derive(Debug, Parser)]
#[command(name = "shmpool", version, arg_required_else_help = true, after_long_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Image(ImageArgs),
    Map(MapArgs),
    Kernels(KernelsArgs),
    Bench(BenchArgs),
    Ls(LsArgs),
    Gc(GcArgs),
    Top(TopArgs),
    Doctor(DoctorArgs),
}

/// Run kernels over images: `shmpool image photo.jpg -o out.png gray blur:sigma=2 sobel`
///
/// Reads JPEG, PNG, TIFF and PNM (by content, whatever the name says) with 8 or 16 bits a sample and 1 to 4 channels, turns the picture
/// upright if its EXIF orientation says so, runs the steps one after the other, and writes what the output's name asks for, with as many bits. An output
/// appears when it is whole, never before; after a failure the old one is still there.
///
/// One picture is cut into tiles that the workers share. Of several (`shmpool image photos/*.jpg -o out/{stem}.png gray`) each is one worker's task from file
/// to file: one that cannot be read, or crashes its decoder, costs a line on stderr and the exit code, and the others are written.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES, override_usage = IMAGE_USAGE)]
pub(crate) struct ImageArgs {
    /// Images to read, then kernels in the order they run
    ///
    /// A kernel is KERNEL or KERNEL:PARAMETER=VALUE,…; none copies. See `shmpool kernels`. The first word is an image, and so is each after it that has a `.` or a
    /// `/` before its first `:` (for a file without either write ./file); the first word without begins the steps. `--` between them separates whatever they are
    /// called.
    #[arg(required = true, value_name = "IMAGE... [STEP]")]
    pub(crate) words: Vec<OsString>,

    /// Kernels, where all words before the `--` are images
    #[arg(last = true, value_name = "STEP")]
    pub(crate) steps: Vec<String>,

    /// File to write: .png, .jpg, .tif, .ppm or .pgm; may be the input itself
    ///
    /// Fields are replaced: {stem} is the input's name without its ending, {name} with it, {ext} the ending, {index} the input's place from 0. Several inputs need
    /// one, so that each has an output of its own.
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,

    /// Quality of a JPEG, 1 to 100; from 90 on colours keep their full resolution
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 85, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) quality: u8,

    /// A second image, blended over what the steps make of the first (or of each)
    ///
    /// It must have the size, the channels and the bits a sample that the steps make.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) blend: Option<PathBuf>,

    /// What becomes of two samples; `over` needs colours and alpha, and lays pixels over each other as their alpha says
    #[arg(long, value_name = "MODE", requires = "blend", default_value = "normal", value_parser = mode_parser())]
    pub(crate) blend_mode: Mode,

    /// How much of the blend there is, from 0 (nothing) to 1
    #[arg(long, value_name = "X", requires = "blend", allow_negative_numbers = true, default_value = "1", value_parser = parse_opacity)]
    pub(crate) opacity: f32,

    #[command(flatten)]
    pub(crate) pool: PoolArgs,

    /// Print what would be done, from the headers of the inputs, and do nothing
    #[arg(long)]
    pub(crate) plan: bool,

    /// End the whole run after so many seconds, with exit code 7; what is not whole by then is not written
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = parse_seconds)]
    pub(crate) timeout: Option<Duration>,

    /// Print one JSON object about the run on stdout, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,

    /// Show a progress bar on stderr
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) progress: When,

    /// Say more on stderr: the plan of a picture, or a line for each of many
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Print nothing but errors, and the JSON that was asked for
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

fn mode_parser() -> impl TypedValueParser<Value = Mode> {
    let parser = PossibleValuesParser::new(Mode::names());
    parser.map(|name| Mode::of(&name).expect("one of the possible values"))
}

/// Run a numeric kernel over `.npy` files: `shmpool map exp in.npy -o out.npy`
///
/// Files are mapped in place, so they may be larger than memory; nobody may write or cut an input meanwhile. Elements are f32, f64, i32, i64 or u8, and stay what
/// they are. An output appears when it is whole, never before; after a failure the old one is still there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct MapArgs {
    /// KERNEL or KERNEL:PARAMETER=VALUE,…; see `shmpool kernels`
    pub(crate) kernel: String,

    /// Arrays to read
    #[arg(required = true, value_name = "IN.npy")]
    pub(crate) inputs: Vec<PathBuf>,

    /// File to write; may be the input itself
    ///
    /// Fields are replaced, as for `image`: {stem}, {name}, {ext} and {index}. Several inputs need one.
    #[arg(short, long, value_name = "OUT.npy")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) pool: PoolArgs,

    /// End the whole run after so many seconds, with exit code 7; what is not whole by then is not written
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = parse_seconds)]
    pub(crate) timeout: Option<Duration>,

    /// Print one JSON object about the run on stdout, and nothing else there
    #[arg(long)]
    pub(crate) json: bool,

    /// Show a progress bar on stderr
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) progress: When,

    /// Print nothing but errors, and the JSON that was asked for
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// List the kernels that `image` and `map` can run, with their parameters, ranges and defaults
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES, args_conflicts_with_subcommands = true)]
pub(crate) struct KernelsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<KernelsCommand>,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KernelsCommand {
    Show(ShowArgs),
}

/// Say all about one kernel: what it does, its parameters with ranges and defaults, an example
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct ShowArgs {
    /// Its name, or another name of it
    pub(crate) name: String,

    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// List named arrays: the shared memory that programs open by name, and who has it mapped
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct LsArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Remove named arrays that nobody uses, and list them
///
/// An array is used while a process has it open or mapped, whatever library it uses. Mappings of processes that you may not look into do not count; as root you may
/// look into all.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct GcArgs {
    /// Only names that begin so
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,

    /// List what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show how the pools of running programs do: workers, tasks, queues, memory
///
/// Programs of the same user that use the same version of shmpool; they are not disturbed. Figures are up to two seconds old. BUSY is the part of the time in which
/// a worker had a task, CPU what its threads had of a CPU (over 100% with several), WAITS for how long they could have run and had none: since the last look, or
/// the worker's start. In a terminal it looks again until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct TopArgs {
    /// Only of this process
    pub(crate) pid: Option<u32>,

    /// Look once, also in a terminal
    #[arg(long)]
    pub(crate) once: bool,

    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value = "2", value_parser = parse_seconds)]
    pub(crate) interval: Duration,

    /// Print one JSON object instead of a table, once
    #[arg(long)]
    pub(crate) json: bool,
}

/// Look at what shmpool needs of this system: each line is ok, a note, or a problem with advice; a problem is exit code 1
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct DoctorArgs {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Measure this machine: a few workloads in the workers, beside the same in one process
///
/// Every answer is checked before anything is timed. Both sides run alternately, so that a machine whose speed drifts is fair to them;
/// figures are medians, with the least and the greatest. Takes up to 20 seconds and 400 MB.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) pool: PoolArgs,

    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    /// Smaller workloads and fewer runs: some 2 seconds
    #[arg(long)]
    pub(crate) quick: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PoolArgs {
    /// Worker processes, up to 256; 0 runs everything in this process, where a crash ends the command [default: what SHMPOOL_WORKERS says, or one per usable CPU]
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) workers: Option<usize>,
}

impl PoolArgs {
    /// How many workers there will be: what [`start`](PoolArgs::start) makes of the option and of `SHMPOOL_WORKERS`, refused in the same words.
    pub(crate) fn n_workers(&self) -> Result<usize, Failure> {
        let refused = |message: String| Failure::new(Exit::Usage, message);
        let n = match (self.workers, std::env::var_os("SHMPOOL_WORKERS")) {
            (Some(n), _) => n,
            (None, Some(text)) => text
                .to_str()
                .and_then(|text| text.trim().parse().ok())
                .ok_or_else(|| refused(format!("SHMPOOL_WORKERS: {text:?} is not a number of workers")))?,
            (None, None) => std::thread::available_parallelism().map_or(1, NonZero::get).min(N_WORKERS_MAX),
        };
        match n {
            0..=N_WORKERS_MAX => Ok(n),
            _ => Err(refused(format!("workers: {n} is more than a pool can have: at most {N_WORKERS_MAX}"))),
        }
    }

    pub(crate) fn start(&self) -> shmpool::Result<shmpool::Pool> {
        match self.workers {
            Some(n) => shmpool::Pool::builder().workers(n).build(),
            None => shmpool::Pool::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// When stderr is a terminal
    Auto,
    Always,
    Never,
}
