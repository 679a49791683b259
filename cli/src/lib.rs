//! The `shmpool` command as a library, for those who want it with kernels of their own: link them in, and let `main` be
//! [`main`].
//!
//! ```no_run
//! // use my_kernels as _; // which calls `shmpool::kernels::register_kernel!`
//! fn main() -> std::process::ExitCode {
//!     shmpool_cli::main()
//! }
//! ```
//!
//! It parses, calls, prints.
//! Results go to stdout (`--json` for programs), everything else to stderr. A single picture is read and written in this process, and its tiles are computed
//! in the workers, which are this binary started again; of many pictures, each is one worker's task from file to file.

mod args;
mod bench;
mod blend;
mod deadline;
mod decode;
mod depth;
mod doctor;
mod encode;
mod failure;
mod jpeg;
mod kernels;
mod many;
mod map;
mod named;
mod orient;
mod output;
mod picture;
mod plan;
mod report;
mod request;
mod show;
mod top;
mod work;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// The whole command: reads the program's arguments, and says how it ends.
#[must_use]
pub fn main() -> ExitCode {
    shmpool::init(); // a worker never comes back from here, and so never parses arguments
    let result = match Args::parse().command {
        Command::Image(args) => picture::run(&args),
        Command::Map(args) => map::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Kernels(args) => kernels::run(&args),
        Command::Ls(args) => named::list(&args),
        Command::Gc(args) => named::collect_garbage(&args),
        Command::Top(args) => top::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_said() {
                eprintln!("shmpool: {failure}");
            }
            failure.exit_code()
        }
    }
}
