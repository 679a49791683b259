//! Typed views of blocks: shapes, and the arrays that users hold.

#[allow(clippy::module_inception)] // `Array` itself, beside what it is made of
mod array;
mod shape;

pub use array::{Array, ArrayIndex};
pub use shape::{Indices, Shape};
