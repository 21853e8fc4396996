#![doc = include_str!("../README.md")]

mod guest;
mod types;

pub use self::guest::ANSWER;
pub use self::guest::Guest;
pub use self::guest::TEXT;
pub use self::guest::allow;
pub use self::guest::deny;
