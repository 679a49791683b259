//! What a job costs when its tasks cost nothing.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

use rayon::prelude::*;

use crate::race::{Contestant, Row, Wanted, time, time_each, try_time};
use crate::{Bench, Result};

/// Calls in one round of the row that measures them back to back.
const N_CALLS: usize = 140;
/// Rounds of one call each of the row that sleeps first.
const N_ROUNDS_ASLEEP: usize = 300;
/// Long enough for everybody to have gone to sleep, and for the core too.
const REST: Duration = Duration::from_millis(5);

const N_MANY: usize = 1 << 20;

/// A task that does nothing but say that it was run.
fn task(x: u8) -> u8 {
    x + 1
}

/// A job of two tasks: back to back, and after a rest.
pub(super) fn two_tasks(bench: &Bench) -> Result<Vec<Row>> {
    let xs = bench.pool.array_from(&[1_u8, 2])?;
    let pooled = RefCell::new(bench.pool.zeros::<u8>(2)?);
    let kept = RefCell::new([0_u8; 2]);
    let pool =
        || -> Result<()> { Ok(bench.pool.call().grain(1).map_into(&xs, &mut *pooled.borrow_mut(), task)?) };
    let install = || {
        by_element(bench, &[1, 2], &mut *kept.borrow_mut());
        Ok(())
    };
    let join = || {
        bench.threads.install(|| rayon::join(|| black_box(task(1)), || black_box(task(2))));
        Ok(())
    };

    pool()?;
    install()?;
    check(&pooled.borrow(), &kept.borrow()[..])?;
    check(&pooled.borrow(), &[2, 3])?;

    let busy = vec![
        Contestant::new("pool", || time_each(N_CALLS, pool)),
        Contestant::new("rayon install, two-element par_iter", || time_each(N_CALLS, install))
            .wanted(Wanted::Ratio(1.0)),
        Contestant::new("rayon install, join", || time_each(N_CALLS, join)),
    ];
    let rounds = bench.options.rounds;
    let busy = Row::race("job of two empty tasks, back to back", rounds, busy)?
        .with_note(format!("each round is the median of {N_CALLS} calls"));

    let asleep = vec![
        Contestant::new("pool", after_rest(pool)),
        Contestant::new("rayon install, two-element par_iter", after_rest(install))
            .wanted(Wanted::Ratio(1.0)),
        Contestant::new("rayon install, join", after_rest(join)),
    ];
    let asleep = Row::race("job of two empty tasks, after 5 ms of sleep", N_ROUNDS_ASLEEP, asleep)?
        .with_note(format!("{N_ROUNDS_ASLEEP} rounds of one call"));
    Ok(vec![busy, asleep])
}

/// One call of `f`, a rest before it.
fn after_rest(mut f: impl FnMut() -> Result<()>) -> impl FnMut() -> Result<Duration> {
    move || {
        std::thread::sleep(REST);
        try_time(&mut f)
    }
}

/// A job of a million tasks.
pub(super) fn many_tasks(bench: &Bench) -> Result<Vec<Row>> {
    let own: Vec<u8> = (0..N_MANY).map(|i| (i % 251) as u8).collect();
    let xs = bench.pool.array_from(&own)?;
    let mut out = bench.pool.zeros::<u8>(N_MANY)?;
    let mut kept = vec![0; N_MANY];

    bench.pool.call().grain(1).map_into(&xs, &mut out, task)?;
    by_element(bench, &own, &mut kept);
    check(&out, &kept)?;
    check(&out, &own.iter().map(|&x| task(x)).collect::<Vec<_>>())?;

    let field = vec![
        Contestant::new("pool, grain 1", || {
            try_time(|| Ok(bench.pool.call().grain(1).map_into(&xs, &mut out, task)?))
        })
        .wanted(Wanted::AtMost(100.0)),
        Contestant::new("rayon with_max_len(1)", || Ok(time(|| by_element(bench, &own, &mut kept)))),
    ];
    let row = Row::race("one empty task of a job of 1 Mi", bench.options.rounds, field)?;
    Ok(vec![row.per(N_MANY as f64)])
}

/// Every element is a task.
fn by_element(bench: &Bench, xs: &[u8], out: &mut [u8]) {
    bench.threads.install(|| {
        xs.par_iter().zip(out.par_iter_mut()).with_max_len(1).for_each(|(&x, y)| *y = task(x));
    });
}

fn check(found: &[u8], wanted: &[u8]) -> Result<()> {
    if found == wanted { Ok(()) } else { Err("empty tasks: not all were run".into()) }
}
