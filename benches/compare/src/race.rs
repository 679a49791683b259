//! Rounds that take turns, and what they come to.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Result;

/// Rounds of every contestant that are run and not counted.
const N_WARM_UP: usize = 2;

/// One row of the table: the pool first, then its rivals.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) entries: Vec<Entry>,
    /// Why there are no entries, or fewer than there could be.
    pub(crate) note: Option<String>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    /// Nanoseconds.
    Ns,
    /// KiB.
    Kib,
}

/// What one contestant came to.
#[derive(Serialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) spread: Spread,
    /// How many times as fast as this rival the pool was, in each round; none for the pool itself.
    pub(crate) ratio: Option<Spread>,
    pub(crate) wanted: Option<Wanted>,
}

/// A goal of the project, written beside what was measured.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    /// The pool is to be at least this many times as fast.
    Ratio(f64),
    /// The median is to be at most this, in the row's unit.
    AtMost(f64),
}

#[derive(Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// One way to do a row's work. A round returns the time that counts of it.
pub(crate) struct Contestant<'a> {
    name: String,
    wanted: Option<Wanted>,
    round: Box<dyn FnMut() -> Result<Duration> + 'a>,
}

impl<'a> Contestant<'a> {
    pub(crate) fn new(name: impl Into<String>, round: impl FnMut() -> Result<Duration> + 'a) -> Self {
        Contestant { name: name.into(), wanted: None, round: Box::new(round) }
    }

    pub(crate) fn wanted(mut self, wanted: impl Into<Option<Wanted>>) -> Self {
        self.wanted = wanted.into();
        self
    }
}

impl Row {
    /// Runs `rounds` rounds of each contestant in turn (A B C A B C …), so that a change in the machine's speed
    /// meets them all. The first one is the pool, and a rival's ratio in a round is its time by the pool's.
    pub(crate) fn race(
        name: impl Into<String>,
        rounds: usize,
        mut field: Vec<Contestant<'_>>,
    ) -> Result<Row> {
        let mut times = vec![Vec::with_capacity(rounds); field.len()];
        for round in 0..N_WARM_UP + rounds {
            for (contestant, times) in field.iter_mut().zip(&mut times) {
                let time = (contestant.round)()?;
                if round >= N_WARM_UP {
                    times.push(time.as_secs_f64() * 1e9);
                }
            }
        }
        let entries = field.iter().enumerate().map(|(i, contestant)| {
            let ratios: Vec<f64> = times[i].iter().zip(&times[0]).map(|(rival, pool)| rival / pool).collect();
            Entry {
                name: contestant.name.clone(),
                spread: Spread::of(&times[i]),
                ratio: (i > 0).then(|| Spread::of(&ratios)),
                wanted: contestant.wanted,
            }
        });
        Ok(Row { name: name.into(), unit: Unit::Ns, entries: entries.collect(), note: None })
    }

    /// A row that could not be run, and why.
    pub(crate) fn skipped(name: impl Into<String>, why: impl Into<String>) -> Row {
        Row { name: name.into(), unit: Unit::Ns, entries: Vec::new(), note: Some(why.into()) }
    }

    /// Shows times for one of `n` things instead of all.
    pub(crate) fn per(mut self, n: f64) -> Row {
        for entry in &mut self.entries {
            let Spread { median, min, max } = entry.spread;
            entry.spread = Spread { median: median / n, min: min / n, max: max / n };
        }
        self
    }

    pub(crate) fn with_note(mut self, note: impl Into<String>) -> Row {
        self.note = Some(note.into());
        self
    }
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(values: &[f64]) -> Spread {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Spread { median, min: sorted[0], max: sorted[sorted.len() - 1] }
    }
}

/// How long `f` took. What it returns is dropped within that time.
pub(crate) fn time<T>(f: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    drop(f());
    start.elapsed()
}

/// As [`time`], of what can fail.
pub(crate) fn try_time<T>(f: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let start = Instant::now();
    drop(f()?);
    Ok(start.elapsed())
}

/// The median of `n` calls in a row, after a few that wake everybody up: for calls that take microseconds.
pub(crate) fn time_each(n: usize, mut f: impl FnMut() -> Result<()>) -> Result<Duration> {
    for _ in 0..n / 10 {
        f()?;
    }
    let mut times = Vec::with_capacity(n);
    for _ in 0..n {
        times.push(try_time(&mut f)?);
    }
    times.sort_unstable();
    Ok(times[n / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_middle_and_the_ends() {
        let Spread { median, min, max } = Spread::of(&[5.0, 1.0, 2.0]);
        assert_eq!((median, min, max), (2.0, 1.0, 5.0));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
    }

    #[test]
    fn contestants_take_turns_and_ratios_are_of_one_round() -> Result<()> {
        let order = std::cell::RefCell::new(String::new());
        let pool = Contestant::new("pool", || {
            order.borrow_mut().push('a');
            Ok(Duration::from_nanos(if order.borrow().len() < 8 { 10 } else { 100 }))
        });
        let rival = Contestant::new("rival", || {
            order.borrow_mut().push('b');
            Ok(Duration::from_nanos(if order.borrow().len() <= 8 { 20 } else { 200 }))
        });
        let row = Row::race("row", 5, vec![pool, rival])?;
        let ratio = row.entries[1].ratio.ok_or("a rival has a ratio")?;
        assert_eq!((ratio.min, ratio.median, ratio.max), (2.0, 2.0, 2.0));
        assert!(row.entries[0].ratio.is_none());
        assert_eq!(*order.borrow(), "ab".repeat(7));
        Ok(())
    }
}
