//! What can be written on the command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Exit codes, for the end of every long help text. `README.md` has the same table, and `tests/face.rs` compares them.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a kernel panicked or a task failed
  2  the command line makes no sense: unknown kernel, bad parameter, output not .png
  3  the input cannot be read or decoded
  4  a worker crashed again and again, or the pool could not start
  5  out of memory, or a limit is in the way
  6  the output cannot be written";

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
    Kernels(KernelsArgs),
    Bench(BenchArgs),
}

/// Run kernels over an image: `shmpool image photo.jpg -o out.png gray blur:sigma=2 sobel`
///
/// Reads JPEG, PNG, TIFF and PNM (by content, whatever the name says) with 8 bits a sample and 1 to 4 channels, turns the picture
/// upright if its EXIF orientation says so, runs the steps one after the other, and writes a PNG. The output appears when it is whole,
/// never before; after a failure the old one is still there.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct ImageArgs {
    /// Image to read
    pub(crate) input: PathBuf,

    /// PNG to write; may be the input itself
    #[arg(short, long, value_name = "OUT.png")]
    pub(crate) output: PathBuf,

    /// Kernels in the order they run, each KERNEL or KERNEL:PARAMETER=VALUE,…; none copies. See `shmpool kernels`
    #[arg(value_name = "STEP")]
    pub(crate) steps: Vec<String>,

    #[command(flatten)]
    pub(crate) pool: PoolArgs,

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

/// List the kernels that `image` can run, with their parameters, ranges and defaults
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXIT_CODES)]
pub(crate) struct KernelsArgs {
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
    /// Worker processes, up to 256; 0 runs everything in this process, where a crash ends the command [default: one per usable CPU]
    #[arg(short, long, value_name = "N")]
    pub(crate) workers: Option<usize>,
}

impl PoolArgs {
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
