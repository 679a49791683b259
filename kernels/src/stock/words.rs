//! What the words of image kernels and of element kernels have in common: names, nearest names, arguments.

use super::{AnyStock, Parameter, REGISTERED};
use crate::KernelError;

/// A row of one of the two tables.
pub(crate) trait Row: Sized + 'static {
    /// The table.
    fn stock() -> &'static [Self];

    /// What has been registered, if it is of this table's kind.
    fn registered(kernel: &'static AnyStock) -> Option<&'static Self>;

    fn name(&self) -> &'static str;

    fn aliases(&self) -> &'static [&'static str];

    fn parameters(&self) -> &'static [Parameter];

    /// That no row is called `name`.
    fn unknown(word: String, name: String, nearest: Option<&'static str>, known: String) -> KernelError;
}

/// Every row: those of the table, then the registered ones by name.
pub(crate) fn rows<R: Row>() -> impl Iterator<Item = &'static R> {
    let mut registered: Vec<&R> = registered().map(|(row, _)| row).collect();
    registered.sort_by_key(|row| row.name());
    R::stock().iter().chain(registered)
}

/// What the linker has found of this kind, with the places of the registrations.
fn registered<R: Row>() -> impl Iterator<Item = (&'static R, &'static str)> {
    REGISTERED.iter().filter_map(|found| Some((R::registered(&found.kernel)?, found.place)))
}

/// A word taken apart: a row, and arguments that it has, each at most once; their values are not looked at yet.
pub(crate) struct Word<'w, R: Row> {
    pub(crate) word: &'w str,
    pub(crate) row: &'static R,
    given: Vec<(&'static Parameter, &'w str)>,
}

impl<'w, R: Row> Word<'w, R> {
    pub(crate) fn parse(word: &'w str) -> Result<Self, KernelError> {
        let (name, rest) = word.split_once(':').unwrap_or((word, ""));
        let row: &R = find(word, name)?;
        let mut given: Vec<(&Parameter, &str)> = Vec::new();
        for argument in rest.split(',').filter(|argument| !argument.is_empty()) {
            let (parameter, value) = parse_argument(word, row, argument)?;
            if given.iter().any(|(earlier, _)| earlier.name == parameter.name) {
                let parameter = parameter.name;
                return Err(KernelError::RepeatedParameter { word: word.to_owned(), parameter });
            }
            given.push((parameter, value));
        }
        Ok(Word { word, row, given })
    }

    /// The parameter of that name, and what was given for it or else its default.
    pub(crate) fn value(&self, name: &str) -> (&'static Parameter, &str) {
        if let Some(&(parameter, found)) = self.given.iter().find(|(parameter, _)| parameter.name == name) {
            return (parameter, found);
        }
        let parameter = self.row.parameters().iter().find(|parameter| parameter.name == name);
        let parameter = parameter.unwrap_or_else(|| panic!("{} has no {name}", self.row.name()));
        (parameter, parameter.default)
    }

    pub(crate) fn refused(&self, parameter: &Parameter, found: &str, wanted: String) -> KernelError {
        let (word, found) = (self.word.to_owned(), found.to_owned());
        KernelError::Value { word, parameter: parameter.name, found, wanted }
    }
}

fn find<R: Row>(word: &str, name: &str) -> Result<&'static R, KernelError> {
    let all = R::stock().iter().map(|row| (row, "the stock")).chain(registered());
    let mut called = all.filter(|(row, _)| row.name() == name || row.aliases().contains(&name));
    let Some((row, first)) = called.next() else {
        return Err(R::unknown(word.to_owned(), name.to_owned(), nearest::<R>(name), known::<R>()));
    };
    match called.next() {
        None => Ok(row),
        Some((_, second)) => Err(KernelError::DuplicateKernel { name: name.to_owned(), first, second }),
    }
}

fn parse_argument<'w, R: Row>(
    word: &str,
    row: &'static R,
    argument: &'w str,
) -> Result<(&'static Parameter, &'w str), KernelError> {
    let Some((name, value)) = argument.split_once('=') else {
        return Err(KernelError::NoValue { word: word.to_owned(), found: argument.to_owned() });
    };
    let parameter = row.parameters().iter().find(|parameter| parameter.name == name);
    let parameter = parameter.ok_or_else(|| KernelError::UnknownParameter {
        word: word.to_owned(),
        name: name.to_owned(),
        known: row.parameters().iter().map(|parameter| parameter.name).collect(),
    })?;
    Ok((parameter, value))
}

/// The name that was most likely meant, if one is at most two letters away and shares at least one.
fn nearest<R: Row>(name: &str) -> Option<&'static str> {
    let names = rows::<R>().flat_map(|row| std::iter::once(row.name()).chain(row.aliases().iter().copied()));
    let close = names.min_by_key(|known| edits(name, known));
    close.filter(|known| edits(name, known) <= 2.min(known.len() - 1))
}

/// Letters to insert, delete or change between two words (Levenshtein's distance, one row at a time).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The kernels' names with their aliases, for error texts.
fn known<R: Row>() -> String {
    let names = rows::<R>().map(|row| match row.aliases() {
        [] => row.name().to_owned(),
        aliases => format!("{} ({})", row.name(), aliases.join(", ")),
    });
    names.collect::<Vec<_>>().join(", ")
}
