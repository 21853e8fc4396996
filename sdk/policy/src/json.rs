//! The configuration, read from JSON into an author's type. A policy reads it for each decision, so
//! this reader does less than a general one: texts without escapes are borrowed from the input, the
//! places of mistakes are told in bytes, and what only some types need (numbers with a fraction) is
//! in the module only if a type asks for it. That it is JSON at all was checked when it was bound.

mod cursor;
mod error;
mod reader;
#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;

pub(crate) use self::error::Error;
use self::reader::Reader;

/// How deep arrays and objects may lie in each other.
const DEPTH_MAX: u8 = 64;

/// Reads the whole of `text`.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let mut reader = Reader::new(text);
    let value = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}
