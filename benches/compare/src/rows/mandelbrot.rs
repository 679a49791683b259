//! The Mandelbrot set over 4 Mi pixels: a branchy scalar loop, of very different length from pixel to pixel.

use rayon::prelude::*;

use super::{same_bits, spoil};
use crate::race::{Contestant, Row, Wanted, time, try_time};
use crate::{Bench, Result};

const SIDE: usize = 2048;
const N_ITERATIONS: u32 = 256;

/// Iterations until the point of pixel (`x`, `y`) escapes.
fn escape(y: usize, x: usize) -> f32 {
    let (cx, cy) = (x as f32 / SIDE as f32 * 3.0 - 2.0, y as f32 / SIDE as f32 * 3.0 - 1.5);
    let (mut zx, mut zy) = (0.0_f32, 0.0_f32);
    for i in 0..N_ITERATIONS {
        let (xx, yy) = (zx * zx, zy * zy);
        if xx + yy > 4.0 {
            return i as f32;
        }
        (zx, zy) = (xx - yy + cx, 2.0 * zx * zy + cy);
    }
    N_ITERATIONS as f32
}

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut kept = vec![0.0; SIDE * SIDE];
    let threads = |kept: &mut [f32]| {
        bench.threads.install(|| {
            kept.par_iter_mut().enumerate().for_each(|(i, count)| *count = escape(i / SIDE, i % SIDE));
        });
    };

    spoil(&mut kept);
    threads(&mut kept);
    same_bits("mandelbrot", &bench.pool.from_fn([SIDE, SIDE], |[y, x]| escape(y, x))?, &kept)?;

    let field = vec![
        Contestant::new("pool.from_fn", || {
            try_time(|| Ok(bench.pool.from_fn([SIDE, SIDE], |[y, x]| escape(y, x))?))
        }),
        Contestant::new("rayon par_iter_mut().enumerate()", || Ok(time(|| threads(&mut kept))))
            .wanted(Wanted::Ratio(0.97)),
    ];
    Ok(vec![Row::race("Mandelbrot, 4 Mi f32, 256 iterations", bench.options.rounds, field)?])
}
