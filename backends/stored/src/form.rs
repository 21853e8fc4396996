//! The encoding of forms, in CBOR: a structure is the array of its fields in the order of their
//! numbers; a choice is the number of its variant, in an array with the variant's fields if any of
//! them is there.
//!
//! Fields at the end that a reader does not know are skipped; those that are absent, or null, get
//! their default, or the bytes are refused if they have none. A variant that a reader does not know
//! is refused: what an entry does must never be guessed.

use std::collections::BTreeMap;
use std::convert::Infallible;

use minicbor::Decoder;
use minicbor::Encoder;
use minicbor::decode;
use minicbor::encode;
use minicbor::encode::Write;

/// The result of writing, which cannot fail: bytes go to memory.
pub type Written = Result<(), encode::Error<Infallible>>;

/// A form, or a part of one. `'a` is the life of what it borrows from: bytes, or a value.
pub trait Form<'a>: Sized {
    /// Writes it.
    ///
    /// # Errors
    /// Never.
    fn write<W: Write<Error = Infallible>>(&self, to: &mut Encoder<W>) -> Written;

    /// Reads it.
    ///
    /// # Errors
    /// The bytes are no such form.
    fn read(from: &mut Decoder<'a>) -> Result<Self, decode::Error>;

    /// The value of a missing field of this type, if it may be missing.
    #[must_use]
    fn absent() -> Option<Self> {
        None
    }

    /// Whether the value is that of [`Self::absent`].
    fn is_absent(&self) -> bool {
        false
    }

    /// The value of a missing field of this type that is declared with a default.
    #[must_use]
    fn blank() -> Option<Self> {
        Self::absent()
    }

    /// Whether the value is that of [`Self::blank`].
    fn is_blank(&self) -> bool {
        self.is_absent()
    }
}

const NULL: u8 = 0xf6;

/// Reads the next of `left` fields.
pub(crate) fn field<'a, T: Form<'a>>(
    from: &mut Decoder<'a>,
    left: &mut u64,
    missing: fn() -> Option<T>,
    name: &'static str,
) -> Result<T, decode::Error> {
    if *left > 0 {
        *left -= 1;
        if from.input().get(from.position()) != Some(&NULL) {
            return T::read(from);
        }
        from.skip()?;
    }
    missing().ok_or_else(|| decode::Error::message(name).at(from.position()))
}

/// Skips fields of a later build.
pub(crate) fn finish(from: &mut Decoder<'_>, left: u64) -> Result<(), decode::Error> {
    (0..left).try_for_each(|_| from.skip())
}

/// The length of the array that begins here.
pub(crate) fn array(from: &mut Decoder<'_>) -> Result<u64, decode::Error> {
    let at = from.position();
    let endless = || decode::Error::message("an array without a length").at(at);
    from.array()?.ok_or_else(endless)
}

/// The number of the variant that begins here, and how many fields follow.
pub(crate) fn variant(from: &mut Decoder<'_>) -> Result<(u32, u64), decode::Error> {
    /// The bits of CBOR's major type; it is 0 for unsigned numbers.
    const MAJOR_TYPE: u8 = 0xe0;
    let first = from.input().get(from.position());
    if first.is_some_and(|byte| byte & MAJOR_TYPE == 0) {
        return Ok((from.u32()?, 0));
    }
    let length = array(from)?;
    let none = || decode::Error::message("a choice without a variant").at(from.position());
    let left = length.checked_sub(1).ok_or_else(none)?;
    Ok((from.u32()?, left))
}

/// Whether a field is not written at the end, or null in front of others.
macro_rules! is_missing {
    ($field:ident) => {
        $crate::form::Form::is_absent($field)
    };
    ($field:ident default) => {
        $crate::form::Form::is_blank($field)
    };
}

macro_rules! read_field {
    ($from:ident $left:ident $name:expr) => {
        $crate::form::field($from, &mut $left, $crate::form::Form::absent, $name)?
    };
    ($from:ident $left:ident $name:expr, default) => {
        $crate::form::field($from, &mut $left, $crate::form::Form::blank, $name)?
    };
}

/// The numbers of fields are their places, from 0, without a gap.
macro_rules! in_order {
    ($($number:literal)*) => {
        const _: () = {
            let numbers: &[usize] = &[$($number),*];
            let mut place = 0;
            while place < numbers.len() {
                assert!(numbers[place] == place, "a field's number is not its place");
                place += 1;
            }
        };
    };
}

/// Declares a form. Each field has its number in front, and `= default` behind if it is not written
/// when it is empty, 0 or false; options are not written when they are none. Numbers of fields and
/// variants never change and are never used again.
macro_rules! form {
    ($(#[$doc:meta])* pub struct $name:ident $(<$life:lifetime>)? {
        $($number:literal $field:ident: $type:ty $(= $default:ident)?),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name $(<$life>)? {
            $(pub $field: $type),*
        }

        $crate::form::in_order!($($number)*);

        impl<'a> $crate::form::Form<'a> for $name $(<$life>)? {
            fn write<W>(&self, to: &mut minicbor::Encoder<W>) -> $crate::form::Written
            where
                W: minicbor::encode::Write<Error = std::convert::Infallible>,
            {
                let Self { $($field),* } = self;
                let mut count = 0;
                $(if !$crate::form::is_missing!($field $($default)?) {
                    count = $number + 1;
                })*
                to.array(count)?;
                $(if $number < count {
                    match $crate::form::is_missing!($field $($default)?) {
                        true => { to.null()?; }
                        false => $crate::form::Form::write($field, to)?,
                    }
                })*
                Ok(())
            }

            fn read(from: &mut minicbor::Decoder<'a>) -> Result<Self, minicbor::decode::Error> {
                let mut left = $crate::form::array(from)?;
                $(let $field = $crate::form::read_field!(from left concat!(
                    stringify!($name), " has no ", stringify!($field)) $(, $default)?);)*
                $crate::form::finish(from, left)?;
                Ok(Self { $($field),* })
            }

            fn blank() -> Option<Self> {
                // Has no fields.
                Self::read(&mut minicbor::Decoder::new(&[0x80])).ok()
            }

            fn is_blank(&self) -> bool {
                let Self { $($field),* } = self;
                true $(&& $crate::form::is_missing!($field $($default)?))*
            }
        }
    };
    ($(#[$doc:meta])* pub enum $name:ident $(<$life:lifetime>)? {
        $($variant:literal $case:ident $({
            $($number:literal $field:ident: $type:ty $(= $default:ident)?),* $(,)?
        })?),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name $(<$life>)? {
            $($case $({ $($field: $type),* })?),*
        }

        $($($crate::form::in_order!($($number)*);)?)*

        impl<'a> $crate::form::Form<'a> for $name $(<$life>)? {
            fn write<W>(&self, to: &mut minicbor::Encoder<W>) -> $crate::form::Written
            where
                W: minicbor::encode::Write<Error = std::convert::Infallible>,
            {
                match self {
                    $(Self::$case { $($($field),*)? } => {
                        let counts: &[(bool, u64)] = &[$($(
                            ($crate::form::is_missing!($field $($default)?), $number + 1)
                        ),*)?];
                        let there = counts.iter().rev().find(|(missing, _)| !missing);
                        let count = there.map_or(0, |(_, count)| *count);
                        if count > 0 {
                            to.array(count + 1)?;
                        }
                        to.u32($variant)?;
                        $($(if $number < count {
                            match $crate::form::is_missing!($field $($default)?) {
                                true => { to.null()?; }
                                false => $crate::form::Form::write($field, to)?,
                            }
                        })*)?
                    })*
                }
                Ok(())
            }

            #[allow(unused_mut, reason = "not every variant has fields")]
            fn read(from: &mut minicbor::Decoder<'a>) -> Result<Self, minicbor::decode::Error> {
                let at = from.position();
                let (variant, mut left) = $crate::form::variant(from)?;
                let read = match variant {
                    $($variant => Self::$case { $($(
                        $field: $crate::form::read_field!(from left concat!(
                            stringify!($case), " has no ", stringify!($field)) $(, $default)?)
                    ),*)? },)*
                    _ => {
                        let what = concat!(stringify!($name), " of a later build");
                        return Err(minicbor::decode::Error::message(what).at(at));
                    }
                };
                $crate::form::finish(from, left)?;
                Ok(read)
            }
        }
    };
}

pub(crate) use form;
pub(crate) use in_order;
pub(crate) use is_missing;
pub(crate) use read_field;

macro_rules! scalar {
    ($($type:ident),*) => {$(
        impl Form<'_> for $type {
            fn write<W: Write<Error = Infallible>>(&self, to: &mut Encoder<W>) -> Written {
                to.$type(*self).map(drop)
            }

            fn read(from: &mut Decoder<'_>) -> Result<Self, decode::Error> {
                from.$type()
            }

            fn blank() -> Option<Self> {
                Some(Default::default())
            }

            fn is_blank(&self) -> bool {
                *self == <Self as Default>::default()
            }
        }
    )*};
}

scalar!(u64, u32, u16, bool);

impl<'a> Form<'a> for &'a str {
    fn write<W: Write<Error = Infallible>>(&self, to: &mut Encoder<W>) -> Written {
        to.str(self).map(drop)
    }

    fn read(from: &mut Decoder<'a>) -> Result<Self, decode::Error> {
        from.str()
    }

    fn blank() -> Option<Self> {
        Some("")
    }

    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

impl<'a> Form<'a> for &'a [u8] {
    fn write<W: Write<Error = Infallible>>(&self, to: &mut Encoder<W>) -> Written {
        to.bytes(self).map(drop)
    }

    fn read(from: &mut Decoder<'a>) -> Result<Self, decode::Error> {
        from.bytes()
    }
}

impl<const N: usize> Form<'_> for [u8; N] {
    fn write<W: Write<Error = Infallible>>(&self, to: &mut Encoder<W>) -> Written {
        to.bytes(self).map(drop)
    }

    fn read(from: &mut Decoder<'_>) -> Result<Self, decode::Error> {
        let at = from.position();
        let length = |_| decode::Error::message("bytes of another length").at(at);
        from.bytes()?.try_into().map_err(length)
    }
}

impl<'a, T: Form<'a>> Form<'a> for Option<T> {
    fn write<W: Write<Error = Infallible>>(&self, to: &mut Encoder<W>) -> Written {
        match self {
            Some(value) => value.write(to),
            None => to.null().map(drop),
        }
    }

    fn read(from: &mut Decoder<'a>) -> Result<Self, decode::Error> {
        T::read(from).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<'a, T: Form<'a>> Form<'a> for Box<T> {
    fn write<W: Write<Error = Infallible>>(&self, to: &mut Encoder<W>) -> Written {
        T::write(self, to)
    }

    fn read(from: &mut Decoder<'a>) -> Result<Self, decode::Error> {
        T::read(from).map(Self::new)
    }
}

/// Most elements for which a list reserves memory before they are read: its length may be a lie.
const CLAIMED_MAX: u64 = 256;

impl<'a, T: Form<'a>> Form<'a> for Vec<T> {
    fn write<W: Write<Error = Infallible>>(&self, to: &mut Encoder<W>) -> Written {
        to.array(self.len() as u64)?;
        self.iter().try_for_each(|one| one.write(to))
    }

    fn read(from: &mut Decoder<'a>) -> Result<Self, decode::Error> {
        let length = array(from)?;
        let mut list = Self::with_capacity(usize::try_from(length.min(CLAIMED_MAX)).unwrap_or(0));
        for _ in 0..length {
            list.push(T::read(from)?);
        }
        Ok(list)
    }

    fn blank() -> Option<Self> {
        Some(Self::new())
    }

    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

impl<'a, K: Form<'a> + Ord, V: Form<'a>> Form<'a> for BTreeMap<K, V> {
    fn write<W: Write<Error = Infallible>>(&self, to: &mut Encoder<W>) -> Written {
        to.map(self.len() as u64)?;
        for (key, value) in self {
            key.write(to)?;
            value.write(to)?;
        }
        Ok(())
    }

    fn read(from: &mut Decoder<'a>) -> Result<Self, decode::Error> {
        let at = from.position();
        let endless = || decode::Error::message("a map without a length").at(at);
        let pairs = 0..from.map()?.ok_or_else(endless)?;
        pairs
            .map(|_| Ok((K::read(from)?, V::read(from)?)))
            .collect()
    }

    fn blank() -> Option<Self> {
        Some(Self::new())
    }

    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}
