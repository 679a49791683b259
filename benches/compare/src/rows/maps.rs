//! `x*2+1` over 64 Mi f32: nothing but memory traffic.

use rayon::prelude::*;
use shmpool::Array;

use super::{number, same_bits, spoil};
use crate::race::{Contestant, Row, Wanted, time, try_time};
use crate::{Bench, Result};

const N: usize = 64 << 20;

fn f(x: f32) -> f32 {
    x * 2.0 + 1.0
}

fn inputs(bench: &Bench) -> Result<(Array<f32>, Vec<f32>)> {
    let shared = bench.pool.array_with(N, number)?;
    let own = shared.to_vec();
    Ok((shared, own))
}

/// Into an output that exists.
pub(super) fn into(bench: &Bench) -> Result<Vec<Row>> {
    let (xs, own) = inputs(bench)?;
    let mut out = bench.pool.zeros::<f32>(N)?;
    let mut kept = vec![0.0; N];
    let zip = |kept: &mut [f32]| {
        bench.threads.install(|| own.par_iter().zip(kept.par_iter_mut()).for_each(|(&x, y)| *y = f(x)));
    };
    let chunks = |kept: &mut [f32]| by_chunks(bench, &own, kept, f);

    spoil(&mut out);
    bench.pool.map_into(&xs, &mut out, f)?;
    for (name, fill) in [("zip", &zip as &dyn Fn(&mut [f32])), ("chunks", &chunks)] {
        spoil(&mut kept);
        fill(&mut kept);
        same_bits(name, &kept, &out)?;
    }

    let kept = std::cell::RefCell::new(kept);
    let field = vec![
        Contestant::new("pool.map_into", || try_time(|| Ok(bench.pool.map_into(&xs, &mut out, f)?))),
        Contestant::new("rayon par_iter().zip().for_each()", || Ok(time(|| zip(&mut kept.borrow_mut()))))
            .wanted(Wanted::Ratio(1.25)),
        Contestant::new("rayon par_chunks(), slice loop", || Ok(time(|| chunks(&mut kept.borrow_mut())))),
    ];
    Ok(vec![Row::race("x*2+1, 64 Mi f32, into an existing output", bench.options.rounds, field)?])
}

/// Into an output that is made by the call, and dropped after it: the drop counts too.
pub(super) fn fresh(bench: &Bench) -> Result<Vec<Row>> {
    let (xs, own) = inputs(bench)?;
    let collect = || bench.threads.install(|| own.par_iter().map(|&x| f(x)).collect::<Vec<_>>());
    let mut kept = Vec::new();
    let into_kept =
        |kept: &mut Vec<f32>| bench.threads.install(|| own.par_iter().map(|&x| f(x)).collect_into_vec(kept));

    let out = bench.pool.map(&xs, f)?;
    same_bits("collect", &collect(), &out)?;
    into_kept(&mut kept);
    same_bits("collect_into_vec", &kept, &out)?;
    drop(out);

    let field = vec![
        Contestant::new("pool.map", || try_time(|| Ok(bench.pool.map(&xs, f)?))),
        Contestant::new("rayon map().collect()", || Ok(time(collect))).wanted(Wanted::Ratio(2.0)),
        Contestant::new("rayon collect_into_vec(), kept Vec", || Ok(time(|| into_kept(&mut kept))))
            .wanted(Wanted::Ratio(1.1)),
    ];
    Ok(vec![Row::race("x*2+1, 64 Mi f32, into a fresh output", bench.options.rounds, field)?])
}

/// Rayon over slices, with a plain loop inside: what somebody who knows writes.
pub(super) fn by_chunks(bench: &Bench, xs: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    const CHUNK: usize = 64 << 10;
    bench.threads.install(|| {
        xs.par_chunks(CHUNK).zip(out.par_chunks_mut(CHUNK)).for_each(|(xs, out)| {
            for (&x, y) in xs.iter().zip(out) {
                *y = f(x);
            }
        });
    });
}
