//! What has a stored form, and the forms of the smallest things.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use leasehold_domain as domain;

use crate::Form;
use crate::Invalid;

/// A value that has a stored form. The form borrows from the value when it is written, and from
/// the bytes when it is read, so that neither copies a text twice.
pub trait Formed<'a>: Sized {
    /// Its form: a type of this crate, with a number for each field.
    type Form: Form<'a>;

    /// The form of the value.
    fn form(&'a self) -> Self::Form;

    /// The value of a form.
    ///
    /// # Errors
    /// The form's parts break a rule of the value.
    fn restore(form: Self::Form) -> Result<Self, Invalid>;
}

impl<'a, T: Formed<'a>> Formed<'a> for Option<T> {
    type Form = Option<T::Form>;

    fn form(&'a self) -> Self::Form {
        self.as_ref().map(T::form)
    }

    fn restore(form: Self::Form) -> Result<Self, Invalid> {
        form.map(T::restore).transpose()
    }
}

/// Conversions between a type and its form, which have fields and variants of the same names; what a
/// tuple variant holds has a name in the form. A field that only one of them has does not compile.
#[macro_export]
macro_rules! formed {
    (struct $($domain:ident)::+ => $($form:ident)::+ $(<$life:lifetime>)? {
        $($field:ident),* $(,)?
    }) => {
        impl<'a> $crate::Formed<'a> for $($domain)::+ {
            type Form = $($form)::+ $(<$life>)?;

            fn form(&'a self) -> Self::Form {
                let $($domain)::+ { $($field),* } = self;
                $($form)::+ { $($field: $crate::Formed::form($field)),* }
            }

            fn restore(form: Self::Form) -> Result<Self, $crate::Invalid> {
                let $($form)::+ { $($field),* } = form;
                Ok($($domain)::+ { $($field: $crate::Formed::restore($field)?),* })
            }
        }
    };
    (enum $($domain:ident)::+ => $($form:ident)::+ $(<$life:lifetime>)? {
        $($variant:ident $({ $($field:ident),* $(,)? })? $(( $inner:ident ))?),* $(,)?
    }) => {
        impl<'a> $crate::Formed<'a> for $($domain)::+ {
            type Form = $($form)::+ $(<$life>)?;

            fn form(&'a self) -> Self::Form {
                type D = $($domain)::+;
                type F $(<$life>)? = $($form)::+ $(<$life>)?;
                match self {
                    $(D::$variant $({ $($field),* })? $(( $inner ))? => F::$variant
                        $({ $($field: $crate::Formed::form($field)),* })?
                        $({ $inner: $crate::Formed::form($inner) })?),*
                }
            }

            fn restore(form: Self::Form) -> Result<Self, $crate::Invalid> {
                type D = $($domain)::+;
                type F $(<$life>)? = $($form)::+ $(<$life>)?;
                Ok(match form {
                    $(F::$variant $({ $($field),* })? $({ $inner })? => D::$variant
                        $({ $($field: $crate::Formed::restore($field)?),* })?
                        $(( $crate::Formed::restore($inner)? ))?),*
                })
            }
        }
    };
}

/// Things that are their own form.
macro_rules! plain {
    ($($type:ty),*) => {$(
        impl<'a> Formed<'a> for $type {
            type Form = Self;

            fn form(&'a self) -> Self {
                *self
            }

            fn restore(form: Self) -> Result<Self, Invalid> {
                Ok(form)
            }
        }
    )*};
}

plain!(u64, u32, bool);

/// Numbers with a name.
macro_rules! number {
    ($($type:ident),*) => {$(
        impl<'a> Formed<'a> for domain::$type {
            type Form = u64;

            fn form(&'a self) -> u64 {
                self.0
            }

            fn restore(form: u64) -> Result<Self, Invalid> {
                Ok(Self(form))
            }
        }
    )*};
}

number!(Millis, WallMillis, Cursor, FencingToken);

/// The first level is left out.
impl<'a> Formed<'a> for domain::FeatureLevel {
    type Form = Option<u16>;

    fn form(&'a self) -> Option<u16> {
        (*self != Self::FIRST).then_some(self.0)
    }

    fn restore(form: Option<u16>) -> Result<Self, Invalid> {
        match form {
            None => Ok(Self::FIRST),
            Some(level) if level > Self::FIRST.0 => Ok(Self(level)),
            Some(_) => Err(Invalid::new("a feature level that cannot be")),
        }
    }
}

/// Names: their text, which is checked again when it is read.
macro_rules! name {
    ($($type:ident),*) => {$(
        impl<'a> Formed<'a> for domain::$type {
            type Form = &'a str;

            fn form(&'a self) -> &'a str {
                self.as_str()
            }

            fn restore(form: &'a str) -> Result<Self, Invalid> {
                Ok(form.parse()?)
            }
        }
    )*};
}

name!(NamespaceName, LockName, TeamName, Subject, RequestId);

/// Text that owns itself.
macro_rules! text {
    ($($type:ty),*) => {$(
        impl<'a> Formed<'a> for $type {
            type Form = &'a str;

            fn form(&'a self) -> &'a str {
                self
            }

            fn restore(form: &'a str) -> Result<Self, Invalid> {
                Ok(Self::from(form))
            }
        }
    )*};
}

text!(String, Box<str>, Arc<str>);

impl<'a> Formed<'a> for Arc<[u8]> {
    type Form = &'a [u8];

    fn form(&'a self) -> &'a [u8] {
        self
    }

    fn restore(form: &'a [u8]) -> Result<Self, Invalid> {
        Ok(Self::from(form))
    }
}

impl<'a> Formed<'a> for usize {
    type Form = u64;

    fn form(&'a self) -> u64 {
        *self as u64
    }

    fn restore(form: u64) -> Result<Self, Invalid> {
        Self::try_from(form).map_err(|_| Invalid::new("a number is too large"))
    }
}

/// Random bits and digests.
macro_rules! bytes {
    ($($type:ty: $length:literal, $of:expr, $from:expr;)*) => {$(
        impl<'a> Formed<'a> for $type {
            type Form = [u8; $length];

            fn form(&'a self) -> Self::Form {
                let of: fn(&Self) -> [u8; $length] = $of;
                of(self)
            }

            fn restore(form: Self::Form) -> Result<Self, Invalid> {
                let from: fn([u8; $length]) -> Self = $from;
                Ok(from(form))
            }
        }
    )*};
}

bytes! {
    domain::LeaseId: 16, |id| id.to_bytes(), domain::LeaseId::from_bytes;
    domain::LeaseHandle: 16, |handle| *handle.as_bytes(), domain::LeaseHandle::from_bytes;
    domain::Digest: 32, |digest| digest.0, domain::Digest;
    domain::RuleDigest: 8, |rule| rule.0, domain::RuleDigest;
    u128: 16, |number| number.to_be_bytes(), u128::from_be_bytes;
}

impl<'a, T: Formed<'a>> Formed<'a> for Vec<T> {
    type Form = Vec<T::Form>;

    fn form(&'a self) -> Self::Form {
        self.iter().map(T::form).collect()
    }

    fn restore(form: Self::Form) -> Result<Self, Invalid> {
        form.into_iter().map(T::restore).collect()
    }
}

impl<'a, T: Formed<'a>> Formed<'a> for VecDeque<T> {
    type Form = Vec<T::Form>;

    fn form(&'a self) -> Self::Form {
        self.iter().map(T::form).collect()
    }

    fn restore(form: Self::Form) -> Result<Self, Invalid> {
        form.into_iter().map(T::restore).collect()
    }
}

impl<'a, T: Formed<'a>> Formed<'a> for Arc<T> {
    type Form = Box<T::Form>;

    fn form(&'a self) -> Self::Form {
        Box::new(T::form(self))
    }

    fn restore(form: Self::Form) -> Result<Self, Invalid> {
        T::restore(*form).map(Self::new)
    }
}

/// What is rare enough for the value to box it is boxed in the form, too.
impl<'a, T: Formed<'a>> Formed<'a> for Box<T> {
    type Form = Box<T::Form>;

    fn form(&'a self) -> Self::Form {
        Box::new(T::form(self))
    }

    fn restore(form: Self::Form) -> Result<Self, Invalid> {
        T::restore(*form).map(Self::new)
    }
}

impl<'a, K: Formed<'a> + Ord, V: Formed<'a>> Formed<'a> for BTreeMap<K, V>
where
    K::Form: Ord,
{
    type Form = BTreeMap<K::Form, V::Form>;

    fn form(&'a self) -> Self::Form {
        let pairs = self.iter();
        pairs
            .map(|(key, value)| (key.form(), value.form()))
            .collect()
    }

    fn restore(form: Self::Form) -> Result<Self, Invalid> {
        let pairs = form.into_iter();
        let pairs = pairs.map(|(key, value)| Ok((K::restore(key)?, V::restore(value)?)));
        pairs.collect()
    }
}

impl<'a> Formed<'a> for domain::StoreId {
    type Form = [u8; 16];

    fn form(&'a self) -> [u8; 16] {
        *self.as_bytes()
    }

    fn restore(form: [u8; 16]) -> Result<Self, Invalid> {
        Ok(Self::from_bytes(form))
    }
}
