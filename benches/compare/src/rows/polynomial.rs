//! A polynomial of 32 steps over 8 Mi f32: nothing but arithmetic, with each instruction set that the CPU has.

use std::cell::RefCell;

use rayon::prelude::*;
use shmpool::kernels::Level;
use shmpool::{Array, Pool};

use super::maps::by_chunks;
use super::{number, same_bits, spoil};
use crate::race::{Contestant, Row, Wanted, time, try_time};
use crate::{Bench, Result};

const N: usize = 8 << 20;

/// Each step rounds twice.
#[inline(always)]
fn unfused(x: f32) -> f32 {
    let mut acc = 1.0_f32;
    for _ in 0..32 {
        acc = acc * x + 0.5;
    }
    acc
}

/// Each step rounds once.
#[inline(always)]
fn fused(x: f32) -> f32 {
    let mut acc = 1.0_f32;
    for _ in 0..32 {
        acc = acc.mul_add(x, 0.5);
    }
    acc
}

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for level in Level::available() {
        // Rayon runs what the compiler made for every x86-64 CPU, as does whoever builds without RUSTFLAGS.
        let (zip, chunks) = match level {
            Level::Baseline => (None, None),
            Level::Avx2 => (Some(Wanted::Ratio(4.0)), Some(Wanted::Ratio(1.3))),
            Level::Avx512 => (None, Some(Wanted::Ratio(2.0))),
        };
        rows.push(race(bench, level, "acc * x + c", unfused, zip, chunks)?);
        rows.push(race(bench, level, "acc.mul_add(x, c)", fused, None, None)?);
    }
    Ok(rows)
}

fn race(
    bench: &Bench,
    level: Level,
    step: &str,
    f: impl Fn(f32) -> f32 + Copy + Send + Sync + 'static,
    zip_wanted: Option<Wanted>,
    chunks_wanted: Option<Wanted>,
) -> Result<Row> {
    let pool =
        Pool::builder().workers(bench.options.workers).arena(bench.pool.arena()).level(level).build()?;
    let xs: Array<f32> = pool.array_with(N, number)?;
    let own = xs.to_vec();
    let mut out = pool.zeros::<f32>(N)?;
    let mut kept = vec![0.0; N];
    let zip = |kept: &mut [f32]| {
        bench.threads.install(|| own.par_iter().zip(kept.par_iter_mut()).for_each(|(&x, y)| *y = f(x)));
    };
    let chunks = |kept: &mut [f32]| by_chunks(bench, &own, kept, f);

    spoil(&mut out);
    pool.map_into(&xs, &mut out, f)?;
    for (name, fill) in [("zip", &zip as &dyn Fn(&mut [f32])), ("chunks", &chunks)] {
        spoil(&mut kept);
        fill(&mut kept);
        same_bits(name, &kept, &out)?;
    }

    let kept = RefCell::new(kept);
    let field = vec![
        Contestant::new(format!("pool.map_into, {level}"), || {
            try_time(|| Ok(pool.map_into(&xs, &mut out, f)?))
        }),
        Contestant::new("rayon par_iter().zip().for_each()", || Ok(time(|| zip(&mut kept.borrow_mut()))))
            .wanted(zip_wanted),
        Contestant::new("rayon par_chunks(), slice loop", || Ok(time(|| chunks(&mut kept.borrow_mut()))))
            .wanted(chunks_wanted),
    ];
    Row::race(format!("polynomial, 32 × {step}, 8 Mi f32, {level}"), bench.options.rounds, field)
}
