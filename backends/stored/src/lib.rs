#![doc = include_str!("../README.md")]

#[expect(
    missing_docs,
    reason = "the domain's types of the same names say what the fields hold"
)]
pub mod cause;
pub mod codec;
#[expect(
    missing_docs,
    reason = "the domain's types of the same names say what the fields hold"
)]
pub mod command;
#[expect(
    missing_docs,
    reason = "the domain's types of the same names say what the fields hold"
)]
pub mod document;
#[expect(
    missing_docs,
    reason = "the domain's types of the same names say what the fields hold"
)]
pub mod event;
pub mod form;
pub mod formed;
#[expect(
    missing_docs,
    reason = "the domain's types of the same names say what the fields hold"
)]
pub mod log;
#[expect(
    missing_docs,
    reason = "the domain's types of the same names say what the fields hold"
)]
pub mod outcome;
#[expect(
    missing_docs,
    reason = "the domain's types of the same names say what the fields hold"
)]
pub mod peer;
#[expect(
    missing_docs,
    reason = "the domain's types of the same names say what the fields hold"
)]
pub mod record;
#[expect(
    missing_docs,
    reason = "the domain's types of the same names say what the fields hold"
)]
pub mod snapshot;
#[expect(
    missing_docs,
    reason = "the domain's types of the same names say what the fields hold"
)]
pub mod transition;

pub use self::codec::Invalid;
pub use self::codec::decode;
pub use self::codec::decode_next;
pub use self::codec::encode;
pub use self::codec::encode_into;
pub use self::codec::size;
pub use self::form::Form;
pub use self::formed::Formed;
