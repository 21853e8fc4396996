//! Forms as bytes, and back.

use std::convert::Infallible;

use minicbor::Decoder;
use minicbor::Encoder;
use minicbor::encode::Write;

use crate::Form;
use crate::Formed;

/// Why bytes are refused. They are left as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(Box<str>);

impl Invalid {
    /// Makes the error of this reason.
    #[must_use]
    pub fn new(reason: impl Into<Box<str>>) -> Self {
        Self(reason.into())
    }
}

impl From<leasehold_domain::InvalidName> for Invalid {
    fn from(error: leasehold_domain::InvalidName) -> Self {
        Self(error.to_string().into())
    }
}

impl From<minicbor::decode::Error> for Invalid {
    fn from(error: minicbor::decode::Error) -> Self {
        Self(error.to_string().into())
    }
}

/// Adds a form to bytes.
pub fn encode_into<'f, F: Form<'f>>(form: &F, bytes: &mut Vec<u8>) {
    write(form, bytes);
}

/// How many bytes a form takes.
#[must_use]
pub fn size<'f, F: Form<'f>>(form: &F) -> usize {
    let mut counted = Count(0);
    write(form, &mut counted);
    counted.0
}

fn write<'f, F: Form<'f>, W: Write<Error = Infallible>>(form: &F, to: W) {
    let written = form.write(&mut Encoder::new(to));
    debug_assert!(written.is_ok(), "no form of this crate refuses itself");
}

/// Bytes that are counted and not kept.
struct Count(usize);

impl Write for &mut Count {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0 += bytes.len();
        Ok(())
    }
}

/// Initial capacity, enough for most forms: growing a buffer step by step costs as much as the
/// encoding.
const BYTES_USUAL: usize = 1_024;

/// A value in its stored form.
#[must_use]
pub fn encode<T: for<'a> Formed<'a>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BYTES_USUAL);
    encode_into(&value.form(), &mut bytes);
    bytes
}

/// The value of its stored form, which must end with the bytes.
///
/// # Errors
/// The bytes are no such form, or one whose parts break a rule of the value.
pub fn decode<'a, T: Formed<'a>>(bytes: &'a [u8]) -> Result<T, Invalid> {
    let mut decoder = Decoder::new(bytes);
    let form = Form::read(&mut decoder)?;
    match decoder.position() == bytes.len() {
        true => T::restore(form),
        false => Err(Invalid::new("bytes are left over")),
    }
}

/// The next form of a sequence, or none at its end. The bytes begin behind it afterwards.
///
/// # Errors
/// The bytes do not begin with such a form.
pub fn decode_next<'a, F: Form<'a>>(bytes: &mut &'a [u8]) -> Result<Option<F>, Invalid> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut decoder = Decoder::new(bytes);
    let form = Form::read(&mut decoder)?;
    *bytes = &bytes[decoder.position()..];
    Ok(Some(form))
}
