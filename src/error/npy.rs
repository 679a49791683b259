//! What can be wrong with a `.npy` file.

/// Why a file is not the `.npy` file that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// It does not begin as one.
    #[error("is not a .npy file")]
    Magic,
    /// Its format is newer than 3.0.
    #[error("has .npy format {major}.{minor}, and 1.0 to 3.0 are known")]
    Version {
        /// Of the format.
        major: u8,
        /// Of the format.
        minor: u8,
    },
    /// Its header cannot be read.
    #[error("has a damaged .npy header: {why}")]
    Header {
        /// What is wrong with it.
        why: String,
    },
    /// Its elements are in column-major order.
    #[error("is in Fortran order: save numpy.ascontiguousarray(a) instead")]
    FortranOrder,
    /// Its elements are in the other byte order.
    #[error("holds {found}, in the other byte order: save a.astype({wanted:?}) instead")]
    ByteOrder {
        /// Type of its elements.
        found: String,
        /// The same in this machine's byte order.
        wanted: String,
    },
    /// Its elements are records.
    #[error("holds records {found}: save one field of them instead, a[\"name\"]")]
    Structured {
        /// Type of its elements.
        found: String,
    },
    /// Its elements are of another type.
    #[error("holds {found}, wanted {wanted}: open it as what it holds, or save a.astype({wanted:?})")]
    Type {
        /// Type of its elements.
        found: String,
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// It has no dimension, or more than four.
    #[error("has {found} dimensions, and an array has one to four: save a.reshape(…)")]
    Dimensions {
        /// Its dimensions.
        found: usize,
    },
}
