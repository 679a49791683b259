//! What `--json` says of each of several files.

use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::request::FilePaths;

/// One file, and what became of it.
#[derive(Serialize)]
pub(crate) struct FileReport<D> {
    pub(crate) input: String,
    pub(crate) output: String,
    /// Nothing for a file that failed.
    #[serde(flatten)]
    pub(crate) done: Option<D>,
    /// Nothing for one that was written.
    pub(crate) error: Option<String>,
    pub(crate) exit: u8,
}

impl<D> FileReport<D> {
    pub(crate) fn of(FilePaths { input, output }: &FilePaths, result: Result<D, Failure>) -> Self {
        let (done, failure) = match result {
            Ok(done) => (Some(done), None),
            Err(failure) => (None, Some(failure)),
        };
        FileReport {
            input: input.display().to_string(),
            output: output.display().to_string(),
            done,
            error: failure.as_ref().map(ToString::to_string),
            exit: failure.map_or(0, |failure| failure.exit() as u8),
        }
    }
}

/// The exit code of a command over these files, which have been told of: that of the first failure.
pub(crate) fn outcome<D>(files: &[FileReport<D>]) -> Result<(), Failure> {
    let first = files.iter().find_map(|file| Exit::of(file.exit.into()));
    first.map_or(Ok(()), |exit| Err(Failure::said(exit)))
}
