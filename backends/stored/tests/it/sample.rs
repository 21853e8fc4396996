//! A full sample of each form: every field is there, and no two fields of a form have the same
//! value, so that bytes with two of them exchanged are other bytes.

use std::cell::Cell;
use std::collections::BTreeMap;

/// What has samples.
pub(crate) trait Sample: Sized {
    /// One of each kind, with all fields.
    fn samples() -> Vec<Self>;

    /// The last kind, which is the one that others hold.
    fn sample() -> Self {
        Self::samples().pop().expect("a form has a sample")
    }
}

thread_local! {
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// The samples that are made next begin anew.
pub(crate) fn begin() {
    NEXT.set(0);
}

fn next() -> u64 {
    NEXT.set(NEXT.get() + 1);
    NEXT.get()
}

/// Lives as long as the test's process, as what a form borrows must.
fn text() -> &'static str {
    Box::leak(format!("text {}", next()).into_boxed_str())
}

macro_rules! sample {
    ($($type:ty: $value:expr;)*) => {$(
        impl Sample for $type {
            fn samples() -> Vec<Self> {
                vec![$value]
            }
        }
    )*};
}

sample! {
    u64: next() * 1_000;
    u32: u32::try_from(next()).expect("small") * 1_000;
    u16: u16::try_from(next()).expect("small") * 100;
    bool: true;
    &'static str: text();
    &'static [u8]: text().as_bytes();
}

impl<const N: usize> Sample for [u8; N] {
    fn samples() -> Vec<Self> {
        vec![[u8::try_from(next() % 251).expect("small"); N]]
    }
}

impl<T: Sample> Sample for Option<T> {
    fn samples() -> Vec<Self> {
        vec![Some(T::sample())]
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn samples() -> Vec<Self> {
        vec![vec![T::sample()]]
    }
}

impl<T: Sample> Sample for Box<T> {
    fn samples() -> Vec<Self> {
        vec![Self::new(T::sample())]
    }
}

impl Sample for BTreeMap<&'static str, &'static str> {
    fn samples() -> Vec<Self> {
        vec![[(text(), text())].into()]
    }
}

/// Samples of forms, by their fields and variants; a missing one does not compile.
macro_rules! samples {
    ($($kind:ident $module:ident::$form:ident $(<$life:lifetime>)? {
        $($field:ident $({ $($inner:ident),* $(,)? })?),* $(,)?
    })*) => {
        $(samples!(@ $kind $module $form $(<$life>)? {
            $($field $({ $($inner),* })?),*
        });)*

        /// Shows each form to a visitor.
        pub(crate) fn visit(visitor: &mut impl crate::layout::Visitor) {
            $(
                begin();
                let name = concat!(stringify!($module), "::", stringify!($form));
                visitor.form(name, stringify!($kind), $module::$form::samples());
            )*
        }
    };
    (@ structure $module:ident $form:ident $(<$life:lifetime>)? { $($field:ident),* }) => {
        impl Sample for $module::$form $(<$life>)? {
            fn samples() -> Vec<Self> {
                vec![$module::$form { $($field: Sample::sample()),* }]
            }
        }
    };
    (@ choice $module:ident $form:ident $(<$life:lifetime>)? {
        $($variant:ident $({ $($field:ident),* })?),*
    }) => {
        impl Sample for $module::$form $(<$life>)? {
            fn samples() -> Vec<Self> {
                // Every variant is listed.
                let _ = |form: &Self| match form {
                    $(Self::$variant { $($($field: _),*)? } => {}),*
                };
                vec![$(Self::$variant { $($($field: Sample::sample()),*)? }),*]
            }
        }
    };
}

pub(crate) use samples;
