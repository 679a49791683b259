//! What a submitted task costs: there and back, a million of them, a large value, and an array that is lent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use shmpool::{Array, Future, Lent};

use crate::child::{Rival, Start};
use crate::race::{Contestant, Row, Wanted, time_each, try_time};
use crate::{Bench, Result};

/// Calls in one round of the row that measures them back to back.
const N_CALLS: usize = 200;
/// Rounds of one call each of the row that sleeps first.
const N_ROUNDS_ASLEEP: usize = 200;
/// Long enough for everybody to have gone to sleep, and for the core too.
const REST: Duration = Duration::from_millis(5);
/// Tasks through futures, and of those as many as a rival with slow ones does.
const N_MANY: u64 = 1_000_000;
const N_FEW: u64 = 20_000;
/// Pending at once with a rival that has descriptors for each.
const N_PENDING: usize = 100;
/// Numbers of 64 MiB.
const N_LARGE: usize = 8 << 20;

fn task(n: u64) -> u64 {
    n + 1
}

fn echo(values: Vec<f64>) -> Vec<f64> {
    values
}

/// Looks at an array without reading all of it.
fn look(values: Lent<'_, f64>, i: usize) -> f64 {
    values[i]
}

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let rivals = procspawn::Pool::builder(bench.options.workers).build()?;
    let mut rows = round_trips(bench, &rivals)?;
    rows.push(many(bench, &rivals)?);
    rows.push(large(bench, &rivals)?);
    rows.push(lent(bench)?);
    rivals.shutdown();
    Ok(rows)
}

fn round_trips(bench: &Bench, rivals: &procspawn::Pool) -> Result<Vec<Row>> {
    let pool = || match bench.pool.submit(task, 1)?.result()? {
        2 => Ok(()),
        other => Err(format!("task(1) is {other}").into()),
    };
    let one = 1_u64;
    let procspawn = || match procspawn::spawn!(in rivals, (one) || task(one)).join()? {
        2 => Ok(()),
        other => Err(format!("procspawn: task(1) is {other}").into()),
    };
    let arguments = [bench.options.workers.to_string()];
    let python = Rival::start(&bench.options.python, "submits.py", &arguments)?;
    let (python, note) = match python {
        Start::Ready(rival, what) => (Some(std::cell::RefCell::new(rival)), what),
        Start::Missing(what) => (None, what),
    };
    let rounds = bench.options.rounds;
    let mut busy = vec![
        Contestant::new("pool", || time_each(N_CALLS, pool)),
        Contestant::new("procspawn's pool", || time_each(N_CALLS, procspawn)).wanted(Wanted::Ratio(2.0)),
    ];
    if let Some(python) = &python {
        let ask = || python.borrow_mut().time("submit");
        busy.push(Contestant::new("ProcessPoolExecutor", ask).wanted(Wanted::Ratio(10.0)));
    }
    let busy = Row::race("one task there and back, back to back", rounds, busy)?
        .with_note(format!("each round is the median of {N_CALLS} calls; {note}"));
    let asleep = vec![
        Contestant::new("pool", after_rest(pool)),
        Contestant::new("procspawn's pool", after_rest(procspawn)).wanted(Wanted::Ratio(1.0)),
    ];
    let asleep = Row::race("one task there and back, after 5 ms of sleep", N_ROUNDS_ASLEEP, asleep)?
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

fn many(bench: &Bench, rivals: &procspawn::Pool) -> Result<Row> {
    let wanted: u64 = (1..=N_MANY).sum();
    let field = vec![
        Contestant::new("pool", || {
            try_time(|| {
                let futures: Vec<Future<u64>> =
                    (0..N_MANY).map(|n| bench.pool.submit(task, n)).collect::<std::result::Result<_, _>>()?;
                let mut sum = 0;
                for future in &futures {
                    sum += future.result()?;
                }
                if sum == wanted { Ok(()) } else { Err(format!("the sum is {sum}").into()) }
            })
        })
        .wanted(Wanted::AtMost(2000.0)),
        Contestant::new("procspawn's pool", || {
            let took = try_time(|| {
                let mut sum = 0;
                for start in (0..N_FEW).step_by(N_PENDING) {
                    let numbers = start..start + N_PENDING as u64;
                    let handles: Vec<_> =
                        numbers.map(|n| procspawn::spawn!(in rivals, (n) || task(n))).collect();
                    for handle in handles {
                        sum += handle.join()?;
                    }
                }
                if sum == (1..=N_FEW).sum::<u64>() { Ok(()) } else { Err(format!("procspawn: {sum}").into()) }
            })?;
            Ok(took * (N_MANY / N_FEW) as u32)
        }),
        Contestant::new("rayon spawn", || {
            try_time(|| {
                let sum = AtomicU64::new(0);
                bench.threads.scope(|scope| {
                    for n in 0..N_MANY {
                        let sum = &sum;
                        scope.spawn(move |_| {
                            sum.fetch_add(task(n), Relaxed);
                        });
                    }
                });
                if sum.into_inner() == wanted { Ok(()) } else { Err("rayon: a wrong sum".into()) }
            })
        }),
    ];
    let row = Row::race("one of a million tasks, through futures", bench.options.rounds.min(5), field)?;
    Ok(row.per(N_MANY as f64).with_note(format!(
        "procspawn does {N_FEW}, {N_PENDING} of them pending at once: each costs it descriptors"
    )))
}

fn large(bench: &Bench, rivals: &procspawn::Pool) -> Result<Row> {
    let values: Vec<f64> = (0..N_LARGE).map(|i| i as f64).collect();
    let time = |there_and_back: &dyn Fn(Vec<f64>) -> Result<Vec<f64>>| {
        let values_again = values.clone();
        let start = Instant::now();
        let found = there_and_back(values_again)?;
        let elapsed = start.elapsed();
        if found == values { Ok(elapsed) } else { Err("another echo".into()) }
    };
    let field = vec![
        Contestant::new("pool", || time(&|values| Ok(bench.pool.submit(echo, values)?.result()?))),
        Contestant::new("procspawn's pool", || {
            time(&|values| Ok(procspawn::spawn!(in rivals, (values) || echo(values)).join()?))
        })
        .wanted(Wanted::Ratio(3.0)),
    ];
    Row::race("echo of 64 MiB of f64 as bytes", bench.options.rounds, field)
}

fn lent(bench: &Bench) -> Result<Row> {
    let arrays = [16, 2 << 20].map(|n| bench.pool.array_with(n, |i| i as f64).map(Arc::new));
    let [small, large] = arrays;
    let (small, large) = (small?, large?);
    let call = |array: &Arc<Array<f64>>| match bench.pool.submit_on(Arc::clone(array), look, 7)?.result()? {
        7.0 => Ok(()),
        other => Err(format!("element 7 is {other}").into()),
    };
    let field = vec![
        Contestant::new("array of 128 bytes", || time_each(N_CALLS, || call(&small))),
        Contestant::new("array of 16 MiB", || time_each(N_CALLS, || call(&large))).wanted(Wanted::Ratio(0.9)),
    ];
    Row::race("one task that is lent an array", bench.options.rounds, field)
}
