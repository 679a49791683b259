//! The command with kernels of one's own: `cargo run --example own_command -- image in.png -o out.png gray floor:level=80`, and
//! `cargo run --example own_command -- map logistic:slope=2 in.npy -o out.npy`.

use std::process::ExitCode;

use shmpool::kernels::register_kernel;

register_kernel! {
    /// nothing darker than a level
    struct Floor = "floor" {
        /// the darkest
        level: level(0..=255) = 16,
    }
    samples |x| x.max(level)
}

register_kernel! {
    /// from 0 to 1, and 0.5 for 0
    struct Logistic = "logistic" {
        /// how steep it is there
        slope: number = 1,
    }
    elements(f32, f64) |x| 1.0 / (1.0 + (-slope * x).exp())
}

fn main() -> ExitCode {
    shmpool_cli::main()
}
