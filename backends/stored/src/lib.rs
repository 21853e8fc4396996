#![doc = include_str!("../README.md")]

pub mod cause;
pub mod codec;
pub mod command;
pub mod document;
pub mod event;
pub mod form;
pub mod formed;
pub mod lock;
pub mod log;
pub mod outcome;
pub mod peer;
pub mod record;
pub mod snapshot;
pub mod store;
pub mod transition;

pub use self::codec::Invalid;
pub use self::codec::decode;
pub use self::codec::decode_next;
pub use self::codec::encode;
pub use self::codec::encode_into;
pub use self::codec::size;
pub use self::form::Form;
pub use self::formed::Formed;
