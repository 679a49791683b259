//! Values as bytes, and bytes as values: postcard's format.

use std::any::type_name;
use std::hint::black_box;

use postcard::de_flavors::{Flavor, Slice};
use postcard::{Deserializer, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are copied at once from where others can write: few enough to stay in the first cache.
const WINDOW_BYTES: usize = 8 << 10;

/// A value out of bytes that [`encode_into`] has made.
pub(crate) fn decode<A: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<A, String> {
    decode_from(what, bytes.len(), Slice::new(bytes), |rest| rest.len())
}

/// The same, where workers may go on writing to the bytes. What is looked at twice (is it a text? then it is taken as one)
/// must be the same both times, so each byte is read once, and looked at in a copy.
pub(crate) fn decode_shared<A: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<A, String> {
    // Not touched, and so not there, but for what a value wants to borrow or has in one piece.
    let mut copies = vec![0; bytes.len()];
    let shared = Shared { rest: bytes, window: vec![0; WINDOW_BYTES], start: 0, end: 0, copies: &mut copies };
    decode_from(what, bytes.len(), shared, |&n_left| n_left)
}

fn decode_from<'de, A: DeserializeOwned, F: Flavor<'de>>(
    what: &str,
    n_bytes: usize,
    flavor: F,
    n_left: impl Fn(&F::Remainder) -> usize,
) -> Result<A, String> {
    let failed = |why: &dyn std::fmt::Display| {
        Err(format!("its {what} of type {} does not come out of its bytes: {why}", type_name::<A>()))
    };
    let mut deserializer = Deserializer::from_flavor(flavor);
    match A::deserialize(&mut deserializer).and_then(|value| Ok((value, deserializer.finalize()?))) {
        Ok((value, rest)) => match n_left(&rest) {
            0 => Ok(value),
            n_left => failed(&format_args!("{n_left} of {n_bytes} bytes are left over")),
        },
        Err(error) => failed(&error),
    }
}

/// Reads bytes that others can write to, each of them once.
struct Shared<'de> {
    /// What has not been read.
    rest: &'de [u8],
    /// A copy of what comes before that, of which `start..end` is still to be taken.
    window: Vec<u8>,
    start: usize,
    end: usize,
    /// Room for copies of all that is left.
    copies: &'de mut [u8],
}

impl<'de> Shared<'de> {
    /// Copies until the window has `len` bytes or nothing is left. Not inlined: a compiler that saw where its bytes come from
    /// could read them there.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, len: usize) -> postcard::Result<()> {
        self.window.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let n = self.rest.len().min(self.window.len() - self.end);
        let (next, rest) = self.rest.split_at(n);
        self.window[self.end..self.end + n].copy_from_slice(next);
        black_box(&mut self.window);
        (self.end, self.rest) = (self.end + n, rest);
        if self.end < len { Err(Error::DeserializeUnexpectedEnd) } else { Ok(()) }
    }

    /// Copies the next bytes to the room for copies.
    #[inline(never)]
    fn copy(&mut self, len: usize) -> postcard::Result<()> {
        let n_read = (self.end - self.start).min(len);
        let Some((next, rest)) = self.rest.split_at_checked(len - n_read) else {
            return Err(Error::DeserializeUnexpectedEnd);
        };
        self.copies[..n_read].copy_from_slice(&self.window[self.start..self.start + n_read]);
        self.copies[n_read..len].copy_from_slice(next);
        black_box(&mut self.copies);
        (self.start, self.rest) = (self.start + n_read, rest);
        Ok(())
    }
}

impl<'de> Flavor<'de> for Shared<'de> {
    /// How many bytes are left.
    type Remainder = usize;
    type Source = &'de [u8];

    #[inline]
    fn pop(&mut self) -> postcard::Result<u8> {
        if self.start == self.end {
            self.refill(1)?;
        }
        self.start += 1;
        Ok(self.window[self.start - 1])
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.end - self.start + self.rest.len())
    }

    fn try_take_n(&mut self, len: usize) -> postcard::Result<&'de [u8]> {
        self.copy(len)?;
        let (taken, copies) = std::mem::take(&mut self.copies).split_at_mut(len);
        self.copies = copies;
        Ok(taken)
    }

    #[inline]
    fn try_take_n_temp<'a>(&'a mut self, len: usize) -> postcard::Result<&'a [u8]>
    where
        'de: 'a,
    {
        if len > WINDOW_BYTES {
            self.copy(len)?;
            return Ok(&self.copies[..len]);
        }
        if self.end - self.start < len {
            self.refill(len)?;
        }
        self.start += len;
        Ok(&self.window[self.start - len..self.start])
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.end - self.start + self.rest.len())
    }
}

/// Writes a value's bytes; `Ok(None)` if there is no room for them.
pub(crate) fn encode_into<V: Serialize>(
    what: &str,
    value: &V,
    bytes: &mut [u8],
) -> Result<Option<usize>, String> {
    match postcard::to_slice(value, bytes) {
        Ok(used) => Ok(Some(used.len())),
        Err(postcard::Error::SerializeBufferFull) => Ok(None),
        Err(error) => Err(refused::<V>(what, &error)),
    }
}

/// A value's bytes.
pub(crate) fn encode<V: Serialize>(what: &str, value: &V) -> Result<Vec<u8>, String> {
    postcard::to_stdvec(value).map_err(|error| refused::<V>(what, &error))
}

/// How many bytes [`encode_into`] would write.
pub(crate) fn encoded_len<V: Serialize>(what: &str, value: &V) -> Result<usize, String> {
    postcard::experimental::serialized_size(value).map_err(|error| refused::<V>(what, &error))
}

/// As [`encode_into`], into as many bytes as [`encoded_len`] has counted.
pub(crate) fn encode_whole<V: Serialize>(what: &str, value: &V, bytes: &mut [u8]) -> Result<(), String> {
    let wanted = bytes.len();
    match encode_into(what, value, bytes)? {
        Some(len) if len == wanted => Ok(()),
        _ => Err(refused::<V>(what, &"it had another size when it was asked again")),
    }
}

fn refused<V>(what: &str, why: &dyn std::fmt::Display) -> String {
    format!("its {what} of type {} does not go into bytes: {why}", type_name::<V>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// What of a value is borrowed while it is made.
    #[derive(Debug, PartialEq, Clone)]
    struct Borrowed(String);

    impl Serialize for Borrowed {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_str(&self.0)
        }
    }

    impl<'de> Deserialize<'de> for Borrowed {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = Borrowed;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a text")
                }
                fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Borrowed, E> {
                    Ok(Borrowed(text.to_owned()))
                }
            }
            from.deserialize_str(Visitor)
        }
    }

    type Value = (Vec<u8>, Vec<(Borrowed, f64, i64)>, String, BTreeMap<u32, Option<char>>, Borrowed);

    /// Texts around the window's size among short ones.
    fn text() -> impl Strategy<Value = String> {
        (prop_oneof![0_usize..40, WINDOW_BYTES - 9..WINDOW_BYTES + 9, Just(3 * WINDOW_BYTES)])
            .prop_map(|len| (0..len).map(|i| char::from(b'a' + (i % 23) as u8)).collect())
    }

    fn value() -> impl Strategy<Value = Value> {
        (
            prop::collection::vec(any::<u8>(), 0..20_000),
            prop::collection::vec(
                (text().prop_map(Borrowed), any::<i32>().prop_map(f64::from), any::<i64>()),
                0..6,
            ),
            text(),
            prop::collection::btree_map(any::<u32>(), any::<Option<char>>(), 0..2000),
            text().prop_map(Borrowed),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn shared_bytes_are_the_same_values(value in value(), cut in any::<prop::sample::Index>()) {
            let bytes = encode("result", &value).unwrap();
            let whole = Ok(value);
            prop_assert_eq!(&decode::<Value>("result", &bytes), &whole);
            prop_assert_eq!(&decode_shared::<Value>("result", &bytes), &whole);
            let cut = &bytes[..cut.index(bytes.len())];
            prop_assert_eq!(decode::<Value>("result", cut), decode_shared::<Value>("result", cut));
            let long = [&bytes[..], &[0, 0]].concat();
            prop_assert_eq!(decode::<Value>("result", &long), decode_shared::<Value>("result", &long));
        }

        #[test]
        fn whatever_the_bytes_both_say_the_same(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decode::<Value>("result", &bytes), decode_shared::<Value>("result", &bytes));
        }
    }
}
