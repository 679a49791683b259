//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::Result;

pub(crate) const HELP: &str = "\
shmpool beside its rivals, in one run

usage: shmpool-compare [OPTIONS] [NAME...]

NAME...         rows whose name contains one of these: into, fresh, polynomial, mandelbrot,
                job, tasks, start, memory, file, gaussian, images, maths, photos, executors;
                all unless said
--workers N     workers of the pool, and threads of its rivals; 2 unless said
--rounds N      rounds of each row, at least 3; 15 unless said
--python PATH   a Python with the packages that README.md names; unless said,
                benches/compare/venv/bin/python
--photos DIR    JPEG files for the row `photos`
--json          one JSON document instead of the table
";

/// The mode that `start` spawns, hidden from users.
pub(crate) const ANSWER: &str = "--answer-one-byte";

pub(crate) enum Mode {
    Compare(Options),
    Answer,
    Help,
}

pub(crate) struct Options {
    pub(crate) workers: usize,
    pub(crate) rounds: usize,
    pub(crate) python: PathBuf,
    pub(crate) photos: Option<PathBuf>,
    pub(crate) json: bool,
    names: Vec<String>,
}

impl Options {
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| row.contains(name.as_str()))
    }
}

pub(crate) fn parse() -> Result<Mode> {
    let mut options = Options {
        workers: 2,
        rounds: 15,
        python: [env!("CARGO_MANIFEST_DIR"), "venv/bin/python"].iter().collect(),
        photos: None,
        json: false,
        names: Vec::new(),
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("workers") => options.workers = arguments.value()?.parse()?,
            Long("rounds") => options.rounds = arguments.value()?.parse()?,
            Long("python") => options.python = arguments.value()?.into(),
            Long("photos") => options.photos = Some(arguments.value()?.into()),
            Long("json") => options.json = true,
            Long("help") | Short('h') => return Ok(Mode::Help),
            Long(name) if ANSWER.strip_prefix("--") == Some(name) => return Ok(Mode::Answer),
            Value(name) => options.names.push(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.workers == 0 || options.rounds < 3 {
        return Err("at least one worker and three rounds are needed".into());
    }
    Ok(Mode::Compare(options))
}
