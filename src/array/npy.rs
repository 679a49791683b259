//! The header of a `.npy` file, read and written: NumPy's format 1.0, 2.0 and 3.0.
//!
//! Magic, version, length, and a Python dictionary with three keys, for example
//! `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, padded so that the elements begin on a 64-byte
//! edge. What this reads is what NumPy writes, not all of Python.

use super::shape::Shape;
use crate::error::NpyError;

/// An element type that `.npy` files have: every integer and float of Rust that NumPy knows too.
pub trait NpyElement: bytemuck::Pod {
    /// NumPy's word for it in this machine's byte order, such as `<f4`.
    const DESCR: &'static str;
}

macro_rules! elements {
    ($($type:ty: $little:literal $big:literal),*) => {$(
        impl NpyElement for $type {
            const DESCR: &'static str = if cfg!(target_endian = "little") { $little } else { $big };
        }
    )*};
}

elements!(
    u8: "|u1" "|u1", i8: "|i1" "|i1", u16: "<u2" ">u2", i16: "<i2" ">i2", u32: "<u4" ">u4", i32: "<i4" ">i4",
    u64: "<u8" ">u8", i64: "<i8" ">i8", f32: "<f4" ">f4", f64: "<f8" ">f8"
);

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) descr: String,
    pub(crate) shape: Vec<usize>,
    /// Bytes before the first element.
    pub(crate) offset: usize,
}

/// The most bytes of a header: what NumPy itself refuses to go beyond.
pub(crate) const HEADER_BYTES_MAX: usize = 10_000 + 12;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Reads the header that `bytes`, the beginning of a file, starts with.
pub(crate) fn parse(bytes: &[u8]) -> Result<Header, NpyError> {
    let damaged = |why: &str| NpyError::Header { why: why.to_owned() };
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::Magic)?;
    let (version, rest) = rest.split_at_checked(2).ok_or(NpyError::Magic)?;
    let length_bytes = match version[0] {
        1 => 2,
        2 | 3 => 4,
        major => return Err(NpyError::Version { major, minor: version[1] }),
    };
    let (length, rest) = rest.split_at_checked(length_bytes).ok_or_else(|| damaged("it ends early"))?;
    let length = length.iter().rev().fold(0_usize, |length, &byte| length << 8 | usize::from(byte));
    let offset = MAGIC.len() + 2 + length_bytes + length;
    if offset > HEADER_BYTES_MAX {
        return Err(damaged("it is longer than 10000 bytes"));
    }
    let text = rest.get(..length).ok_or_else(|| damaged("it ends early"))?;
    let text = std::str::from_utf8(text).map_err(|_| damaged("it is not text"))?;
    let mut dictionary = Words { rest: text };
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    dictionary.expect('{')?;
    while !dictionary.take('}') {
        let key = dictionary.string()?;
        dictionary.expect(':')?;
        match key {
            "descr" => descr = Some(dictionary.descr()?),
            "fortran_order" => fortran = Some(dictionary.truth()?),
            "shape" => shape = Some(dictionary.lengths()?),
            other => return Err(NpyError::Header { why: format!("unknown key {other:?}") }),
        }
        if !dictionary.take(',') {
            dictionary.expect('}')?;
            break;
        }
    }
    if !dictionary.rest.trim().is_empty() {
        return Err(damaged("there is something behind the dictionary"));
    }
    let missing = |key: &str| NpyError::Header { why: format!("the key {key:?} is missing") };
    let descr = descr.ok_or_else(|| missing("descr"))?;
    let shape: Vec<usize> = shape.ok_or_else(|| missing("shape"))?;
    let fortran = fortran.ok_or_else(|| missing("fortran_order"))?;
    // One row or column is the same in both orders.
    if fortran && shape.iter().filter(|&&len| len != 1).count() > 1 {
        return Err(NpyError::FortranOrder);
    }
    Ok(Header { descr, shape, offset })
}

/// The shape of the array, if its elements are `T`.
pub(crate) fn shape_of<T: NpyElement>(header: &Header) -> Result<Shape, NpyError> {
    let found = header.descr.clone();
    if found != T::DESCR {
        let (order, kind) = found.split_at(found.chars().next().map_or(0, char::len_utf8));
        return Err(if found.starts_with('[') {
            NpyError::Structured { found }
        } else if matches!(order, "<" | ">") && T::DESCR.get(1..) == Some(kind) {
            NpyError::ByteOrder { wanted: T::DESCR.to_owned(), found }
        } else {
            NpyError::Type { found, wanted: T::DESCR }
        });
    }
    Shape::try_from(&header.shape[..]).map_err(|_| NpyError::Dimensions { found: header.shape.len() })
}

/// The header of a file of `shape`, padded to a multiple of 64 bytes.
pub(crate) fn format<T: NpyElement>(shape: &[usize]) -> Vec<u8> {
    let lengths: String = shape.iter().map(|len| format!("{len}, ")).collect();
    // Python's tuples: `(3,)`, `(3, 4)`.
    let lengths = if shape.len() == 1 { lengths.trim_end() } else { lengths.trim_end_matches(", ") };
    let text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({lengths}), }}", T::DESCR);
    let offset = (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(64);
    let length = u16::try_from(offset - MAGIC.len() - 4).expect("four lengths are short");
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend(length.to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.resize(offset - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// What is left of the dictionary's text.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn take(&mut self, sign: char) -> bool {
        let rest = self.rest.trim_start();
        let taken = rest.strip_prefix(sign);
        self.rest = taken.unwrap_or(rest);
        taken.is_some()
    }

    fn expect(&mut self, sign: char) -> Result<(), NpyError> {
        if self.take(sign) {
            return Ok(());
        }
        let found: String = self.rest.chars().take(20).collect();
        Err(NpyError::Header { why: format!("found {found:?}, wanted {sign:?}") })
    }

    /// Text in quotes; NumPy escapes nothing in it.
    fn string(&mut self) -> Result<&'a str, NpyError> {
        let quote = if self.take('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.expect('\'')?;
        }
        let wanted = || NpyError::Header { why: format!("a text without its second {quote}") };
        let (text, rest) = self.rest.split_once(quote).ok_or_else(wanted)?;
        self.rest = rest;
        Ok(text)
    }

    /// A type: one word, or a list of fields, which is kept as it stands.
    fn descr(&mut self) -> Result<String, NpyError> {
        self.rest = self.rest.trim_start();
        if !self.rest.starts_with('[') {
            return self.string().map(str::to_owned);
        }
        let (mut depth, mut quoted) = (0_u32, None);
        for (at, sign) in self.rest.char_indices() {
            match (quoted, sign) {
                (Some(quote), _) if quote == sign => quoted = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quoted = Some(sign),
                (None, '[') => depth += 1,
                (None, ']') => depth -= 1, // the first sign is `[`, and the loop ends at 0
                _ => {}
            }
            if depth == 0 {
                let (fields, rest) = self.rest.split_at(at + 1);
                self.rest = rest;
                return Ok(fields.to_owned());
            }
        }
        Err(NpyError::Header { why: "a list without its end".to_owned() })
    }

    fn truth(&mut self) -> Result<bool, NpyError> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(NpyError::Header { why: "fortran_order is neither True nor False".to_owned() })
    }

    fn lengths(&mut self) -> Result<Vec<usize>, NpyError> {
        let mut lengths = Vec::new();
        self.expect('(')?;
        while !self.take(')') {
            self.rest = self.rest.trim_start();
            let n_digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, rest) = self.rest.split_at(n_digits);
            let wrong = || NpyError::Header { why: "a length that is no number below 2^64".to_owned() };
            lengths.push(digits.parse().map_err(|_| wrong())?);
            // Python 2 wrote `3L`.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(lengths)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(dictionary: &str) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dictionary.len() as u16).to_le_bytes());
        bytes.extend(dictionary.as_bytes());
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        for shape in [&[3][..], &[3, 4], &[0, 1, 2, 3], &[usize::MAX]] {
            let bytes = format::<f32>(shape);
            assert!(bytes.len().is_multiple_of(64) && bytes.ends_with(b"\n"));
            let header = parse(&bytes).unwrap();
            assert_eq!(header, Header { descr: "<f4".into(), shape: shape.to_vec(), offset: bytes.len() });
            assert_eq!(&shape_of::<f32>(&header).unwrap()[..], shape);
        }
    }

    #[test]
    fn what_numpy_writes_is_read() {
        // numpy.save of 2.4: a scalar, one length, a record, format 2.0, Fortran order.
        let header = parse(&file("{'descr': '<f8', 'fortran_order': False, 'shape': (), }   \n")).unwrap();
        assert_eq!(shape_of::<f64>(&header), Err(NpyError::Dimensions { found: 0 }));
        let header = parse(&file("{'descr': '|u1', 'fortran_order': True, 'shape': (7,), }\n")).unwrap();
        assert_eq!((&header.shape[..], header.offset), (&[7][..], 67));
        let header = parse(&file(
            "{'descr': [('a', '<f4'), ('b]', '<i8', (2,))], 'fortran_order': False, 'shape': (2,), }",
        ));
        let error = shape_of::<f32>(&header.unwrap()).unwrap_err();
        assert!(matches!(&error, NpyError::Structured { found } if found.ends_with("(2,))]")), "{error}");
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        let dictionary = b"{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }";
        bytes.extend((dictionary.len() as u32).to_le_bytes());
        bytes.extend(dictionary);
        assert_eq!(parse(&bytes).unwrap().shape, [2, 3]);
    }

    #[test]
    fn what_is_not_wanted_says_what_to_do() {
        let fortran = parse(&file("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }"));
        assert_eq!(fortran, Err(NpyError::FortranOrder));
        let big = parse(&file("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }")).unwrap();
        let wanted = "holds >f4, in the other byte order: save a.astype(\"<f4\") instead";
        assert_eq!(shape_of::<f32>(&big).unwrap_err().to_string(), wanted);
        let other = parse(&file("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }")).unwrap();
        let error = shape_of::<f32>(&other).unwrap_err();
        assert_eq!(error, NpyError::Type { found: "<f8".into(), wanted: "<f4" });
        assert_eq!(parse(b"\x89PNG"), Err(NpyError::Magic));
        assert_eq!(parse(b"\x93NUMPY\x04\x00"), Err(NpyError::Version { major: 4, minor: 0 }));
        for damaged in
            ["", "{", "{'descr': '<f4', 'fortran_order': False}", "{'shape': (-1,)}", "{'shape': (1"]
        {
            assert!(matches!(parse(&file(damaged)), Err(NpyError::Header { .. })), "{damaged}");
        }
    }

    proptest! {
        /// Damage anywhere ends in a header or an error, never in a panic.
        #[test]
        fn no_bytes_make_it_panic(
            shape in prop::collection::vec(0_usize..100, 1..5),
            damage in prop::collection::vec((0_usize..128, any::<u8>()), 0..8),
            cut in 0_usize..129,
        ) {
            let mut bytes = format::<i16>(&shape);
            for (at, byte) in damage {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            bytes.truncate(cut);
            if let Ok(header) = parse(&bytes) {
                prop_assert!(header.offset <= bytes.len());
                let _ = shape_of::<i16>(&header);
            }
        }

        #[test]
        fn no_dictionary_makes_it_panic(text in "[\\[\\]{}()'\",: a-zA-Z0-9<]{0,80}") {
            let _ = parse(&file(&text));
            let _ = parse(&file(&format!("{{'descr': {text}")));
        }
    }
}
