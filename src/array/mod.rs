//! Typed views of memory: shapes, and the arrays that users hold.

#[allow(clippy::module_inception)] // `Array` itself, beside what it is made of
mod array;
mod file;
mod input;
mod layout;
mod lease;
mod lend;
mod named;
#[cfg(feature = "ndarray")]
mod ndarray;
mod npy;
mod part;
mod shape;
mod source;
mod view;

pub use array::{Array, ArrayIndex};
pub use file::FileArray;
pub use input::Input;
pub(crate) use layout::{Layout, joined};
pub use lease::{Handle, ReadLease, WriteLease};
pub(crate) use lend::LentAt;
pub use lend::{Lent, LentMut, Loan};
pub use named::{NamedArray, NamedInfo};
pub use npy::NpyElement;
pub use shape::{Indices, Shape};
pub use source::{Contiguous, ContiguousMut, Source, Target};
pub(crate) use source::{Home, Written};
pub use view::{View, ViewMut};
