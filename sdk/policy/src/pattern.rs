//! Patterns of lock names, of texts and of names.

mod glob;
mod like;
mod lock;
mod name;
mod said;
mod text;

pub use self::lock::LockPattern;
pub use self::lock::LockPatterns;
pub use self::name::NamePattern;
pub use self::text::TextPattern;
