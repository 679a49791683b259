//! The `shmpool` command: parses, calls, prints.
//!
//! Results go to stdout (`--json` for programs), everything else to stderr. Reading and writing files happens in this process, kernels run in the
//! workers, which are this binary started again.

mod args;
mod bench;
mod decode;
mod encode;
mod failure;
mod jpeg;
mod kernels;
mod orient;
mod output;
mod picture;
mod show;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    shmpool::init(); // a worker never comes back from here, and so never parses arguments
    let result = match Args::parse().command {
        Command::Image(args) => picture::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Kernels(args) => kernels::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("shmpool: {failure}");
            failure.exit_code()
        }
    }
}
