//! The rows, one question each. Every row checks its answers before it times anything.

mod executors;
mod file;
mod gaussian;
mod images;
mod job;
mod mandelbrot;
mod maps;
mod maths;
mod memory;
mod photos;
mod polynomial;
mod start;
mod submit;

use crate::race::Row;
use crate::{Bench, Result};

type Run = fn(&Bench) -> Result<Vec<Row>>;

/// In the order in which they are run, by the names that the command line knows.
pub(crate) const ALL: [(&str, Run); 15] = [
    ("into", maps::into),
    ("fresh", maps::fresh),
    ("polynomial", polynomial::run),
    ("mandelbrot", mandelbrot::run),
    ("job", job::two_tasks),
    ("tasks", job::many_tasks),
    ("submit", submit::run),
    ("start", start::run),
    ("memory", memory::run),
    ("file", file::run),
    ("gaussian", gaussian::run),
    ("images", images::run),
    ("maths", maths::run),
    ("photos", photos::run),
    ("executors", executors::run),
];

/// Numbers from -1 up to 1, all different for 16 Mi of them.
fn number(i: usize) -> f32 {
    (i % (1 << 24)) as f32 / (1 << 23) as f32 - 1.0
}

/// Refuses answers that differ in any bit.
fn same_bits(what: &str, found: &[f32], wanted: &[f32]) -> Result<()> {
    if found.len() != wanted.len() {
        return Err(format!("{what}: {} elements, wanted {}", found.len(), wanted.len()).into());
    }
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        if found.to_bits() != wanted.to_bits() {
            return Err(format!("{what}: element {i} is {found}, wanted {wanted}").into());
        }
    }
    Ok(())
}

/// Clears `out`, so that the next answer in it is not the last one's; with what no kernel here returns.
fn spoil(out: &mut [f32]) {
    out.fill(f32::NAN);
}
