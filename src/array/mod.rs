//! Typed views of blocks: shapes, and the arrays that users hold.

mod array;
mod shape;

pub use array::{Array, ArrayIndex};
pub use shape::{Indices, Shape};
