//! The tables of `references/numeric.py`.
#![allow(dead_code, reason = "each test file is a crate of its own and uses a part")]

static BYTES: &[u8] = include_bytes!("../references/numeric.bin");
static LINES: &str = include_str!("../references/numeric.txt");

/// The rows of the table with this name.
pub(crate) fn rows(name: &str) -> Vec<Vec<f64>> {
    let line = LINES.lines().find(|line| line.split('\t').next() == Some(name));
    let columns: Vec<&str> = line.unwrap_or_else(|| panic!("no table {name}")).split('\t').collect();
    let [n_rows, n_columns, first] = [1, 2, 3].map(|i| columns[i].parse::<usize>().unwrap());
    let numbers = BYTES[first..][..n_rows * n_columns * 8].chunks_exact(8);
    let numbers: Vec<f64> = numbers.map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect();
    numbers.chunks_exact(n_columns).map(<[f64]>::to_vec).collect()
}

/// The numbers of a table with one column.
pub(crate) fn column(name: &str) -> Vec<f64> {
    rows(name).concat()
}
