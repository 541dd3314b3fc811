//! Values that are written as a text in quotes. People forget the quotes, and forget what belongs into the text; one message says both.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{Error, Unexpected, Visitor},
};

/// Reads a value from a text.
///
/// A number or a boolean in its place is an error: if it would do as a text, that quotes are missing, and otherwise what is wrong with
/// it as a text.
pub(super) fn deserialize<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<String, Error: fmt::Display>,
{
    from.deserialize_any(Text(PhantomData))
}

struct Text<T>(PhantomData<T>);

impl<T: TryFrom<String, Error: fmt::Display>> Text<T> {
    fn without_quotes<E: Error>(self, text: String, found: Unexpected<'_>) -> Result<T, E> {
        match T::try_from(text) {
            Ok(_) => Err(E::invalid_type(found, &self)),
            Err(error) => Err(E::custom(error)),
        }
    }
}

impl<T: TryFrom<String, Error: fmt::Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::try_from(text.to_owned()).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.without_quotes(number.to_string(), Unexpected::Signed(number))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.without_quotes(number.to_string(), Unexpected::Float(number))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        self.without_quotes(value.to_string(), Unexpected::Bool(value))
    }
}

/// Implements `Deserialize` by [`deserialize`] for types that a `String` can be turned into.
macro_rules! deserialize_from_text {
    ($($type:ty),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                $crate::config::from_text::deserialize(from)
            }
        }
    )+};
}

pub(super) use deserialize_from_text;
