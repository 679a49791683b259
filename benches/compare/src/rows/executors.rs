//! `x*2+1` over 32 Mi f32 beside Python's process pools, which pickle what they send.

use super::number;
use crate::child::{Rival, Start};
use crate::race::{Contestant, Row, try_time};
use crate::{Bench, Result};

const N: usize = 32 << 20;

pub(super) fn run(bench: &Bench) -> Result<Vec<Row>> {
    let name = "x*2+1, 32 Mi f32, beside Python's pools";
    let arguments = [N, bench.options.workers].map(|number| number.to_string());
    let (rival, versions) = match Rival::start(&bench.options.python, "executors.py", &arguments)? {
        Start::Ready(rival, versions) => (std::cell::RefCell::new(rival), versions),
        Start::Missing(what) => return Ok(vec![Row::skipped(name, format!("skipped: {what}"))]),
    };
    let f = |x: f32| x * 2.0 + 1.0;
    let xs = bench.pool.array_with(N, number)?;
    let out = bench.pool.map(&xs, f)?;
    if out.iter().zip(xs.iter()).any(|(y, &x)| y.to_bits() != f(x).to_bits()) {
        return Err("executors: the pool's answer is wrong".into());
    }
    drop(out);

    // The scripts check their own answers, outside of the time they report.
    let field = vec![
        Contestant::new("pool.map", || try_time(|| Ok(bench.pool.map(&xs, f)?))),
        Contestant::new("ProcessPoolExecutor.map", || rival.borrow_mut().time("executor")),
        Contestant::new("joblib.Parallel", || rival.borrow_mut().time("joblib")),
    ];
    Ok(vec![Row::race(name, bench.options.rounds, field)?.with_note(versions)])
}
