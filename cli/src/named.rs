//! `shmpool ls` and `shmpool gc`: named arrays, and those that nobody uses any more.

use std::fmt::Write;

use serde::Serialize;
use shmpool::{NamedArray, NamedInfo};

use crate::args::{GcArgs, LsArgs};
use crate::failure::{Failure, print, to_json};

#[derive(Serialize)]
struct Listing {
    arrays: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    /// NumPy's word for the element type.
    dtype: String,
    shape: Vec<usize>,
    size_bytes: u64,
    /// Whether its program has filled it.
    is_ready: bool,
    /// Processes that have it mapped, as far as this user may look.
    users: Vec<u32>,
    /// Whether somebody has it open, mapped or not.
    is_open: bool,
}

impl From<NamedInfo> for Line {
    fn from(info: NamedInfo) -> Self {
        let NamedInfo { name, descr: dtype, shape, size_bytes, is_ready, users, is_open, .. } = info;
        Line { name, dtype, shape, size_bytes, is_ready, users, is_open }
    }
}

pub(crate) fn list(args: &LsArgs) -> Result<(), Failure> {
    show(NamedArray::list()?, args.json, "no named arrays")
}

pub(crate) fn collect_garbage(args: &GcArgs) -> Result<(), Failure> {
    let wanted = |info: &NamedInfo| info.name.starts_with(&args.prefix);
    let unused = if args.dry_run {
        NamedArray::list()?.into_iter().filter(|info| wanted(info) && !info.is_open).collect()
    } else {
        NamedArray::collect_garbage(wanted)?
    };
    show(unused, args.json, "nothing to remove")
}

fn show(arrays: Vec<NamedInfo>, json: bool, none: &str) -> Result<(), Failure> {
    let arrays: Vec<Line> = arrays.into_iter().map(Line::from).collect();
    if json {
        return print(to_json(&Listing { arrays }));
    }
    if arrays.is_empty() {
        eprintln!("{none}");
        return Ok(());
    }
    let width = arrays.iter().map(|line| line.name.len()).max().unwrap_or(0).max("NAME".len());
    let mut text = format!("{:width$}  TYPE  {:>14}  {:>12}  USED BY", "NAME", "SHAPE", "BYTES");
    for Line { name, dtype, shape, size_bytes, is_ready, users, is_open } in &arrays {
        let lengths = shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        let users = match (&users[..], is_open) {
            ([], false) => "nobody".to_owned(),
            ([], true) => "somebody".to_owned(),
            (users, _) => users.iter().map(u32::to_string).collect::<Vec<_>>().join(" "),
        };
        let state = if *is_ready { "" } else { " (not filled yet)" };
        write!(text, "\n{name:width$}  {dtype:4}  {lengths:>14}  {size_bytes:>12}  {users}{state}")
            .expect("a string takes everything");
    }
    print(text)
}
