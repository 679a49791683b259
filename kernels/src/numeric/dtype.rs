//! What an element of a numeric array can be.

use std::{fmt, str::FromStr};

use bytemuck::Pod;

/// The type of an element, where it is not known at compile time. `Display` and `FromStr` use Rust's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// `float32`
    F32,
    /// `float64`
    F64,
    /// `int32`
    I32,
    /// `int64`
    I64,
    /// `uint8`
    U8,
}

impl ElementType {
    /// Every type.
    pub const ALL: [ElementType; 5] =
        [ElementType::F32, ElementType::F64, ElementType::I32, ElementType::I64, ElementType::U8];

    /// Bytes of one element.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            ElementType::U8 => 1,
            ElementType::F32 | ElementType::I32 => 4,
            ElementType::F64 | ElementType::I64 => 8,
        }
    }

    /// The whole numbers that an integer type can hold, first and last; `None` for floats.
    pub(crate) fn integers(self) -> Option<[f64; 2]> {
        match self {
            ElementType::F32 | ElementType::F64 => None,
            ElementType::I32 => Some([f64::from(i32::MIN), f64::from(i32::MAX)]),
            // The last f64 below 2^63.
            ElementType::I64 => Some([i64::MIN as f64, 9_223_372_036_854_774_784.0]),
            ElementType::U8 => Some([0.0, 255.0]),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            ElementType::F32 => "f32",
            ElementType::F64 => "f64",
            ElementType::I32 => "i32",
            ElementType::I64 => "i64",
            ElementType::U8 => "u8",
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for ElementType {
    type Err = UnknownElementType;

    fn from_str(name: &str) -> Result<Self, UnknownElementType> {
        let known = ElementType::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| UnknownElementType { found: name.to_owned() })
    }
}

/// No element type has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("element type: found {found:?}, wanted f32, f64, i32, i64 or u8")]
pub struct UnknownElementType {
    found: String,
}

/// An element that the stock kernels can read or make. Sealed.
pub trait Element: sealed::Sealed + Pod + Send + Sync {
    /// The type as a value.
    const TYPE: ElementType;
}

macro_rules! element {
    ($($element:ty => $name:ident),*) => {
        $(impl sealed::Sealed for $element {}
        impl Element for $element {
            const TYPE: ElementType = ElementType::$name;
        })*
    };
}
element!(f32 => F32, f64 => F64, i32 => I32, i64 => I64, u8 => U8);

mod sealed {
    pub trait Sealed {}
}
