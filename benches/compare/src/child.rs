//! A Python program that stays, and answers lines with lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::Result;

/// A rival that is a program of its own. Its first line is `ready …` or `missing …`; to every question, one
/// line, it answers one line.
pub(crate) struct Rival {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// It started, and can work; or says why it cannot.
pub(crate) enum Start {
    /// The rival, and its word on what it is.
    Ready(Rival, String),
    Missing(String),
}

impl Rival {
    /// Starts `script`, which lies beside the crate's `Cargo.toml`.
    pub(crate) fn start(python: &Path, script: &str, arguments: &[String]) -> Result<Start> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let process = Command::new(python)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = match process {
            Ok(process) => process,
            Err(error) => {
                let python = python.display();
                return Ok(Start::Missing(format!("{python}: {error}; README.md says how to make it")));
            }
        };
        let questions = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().ok_or("the rival has no output")?);
        let mut rival = Rival { process, questions, answers };
        let word = rival.answer()?;
        match word.split_once(' ') {
            Some(("ready", what)) => Ok(Start::Ready(rival, what.to_owned())),
            Some(("missing", what)) => Ok(Start::Missing(format!("{what}; README.md says how to get it"))),
            _ => Err(format!("the rival began with `{word}`").into()),
        }
    }

    /// Asks for one run of `what`: how long it took, by the rival's own clock.
    pub(crate) fn time(&mut self, what: &str) -> Result<Duration> {
        self.send(format!("{what}\n").as_bytes())?;
        let answer = self.answer()?;
        let ns = answer.parse().map_err(|_| format!("the rival answered `{answer}` instead of a time"))?;
        Ok(Duration::from_nanos(ns))
    }

    /// Sends bytes that it waits for.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let questions = self.questions.as_mut().ok_or("the rival has no input")?;
        questions.write_all(bytes)?;
        Ok(questions.flush()?)
    }

    /// Asks for `bytes.len()` bytes.
    pub(crate) fn fetch(&mut self, what: &str, bytes: &mut [u8]) -> Result<()> {
        self.send(format!("{what}\n").as_bytes())?;
        Ok(self.answers.read_exact(bytes)?)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the rival ended without an answer".into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // The end of its input is the end of its work; one that does not see it has hung.
        drop(self.questions.take());
        let _ = self.process.wait();
    }
}
