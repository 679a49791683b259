//! The `shmpool` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    shmpool_cli::main()
}
