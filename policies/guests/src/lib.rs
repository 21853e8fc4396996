#![doc = include_str!("../README.md")]

mod guest;
mod types;

pub use self::guest::ANSWER;
pub use self::guest::Guest;
pub use self::guest::TEXT;
pub use self::guest::allow;
pub use self::guest::deny;
pub use self::types::imported_types;

/// The stock policy `quota` 1.0.0, as it was shipped: it is shown the caller's usage. Stores may have
/// it bound still.
pub const QUOTA_1: &[u8] = include_bytes!("../modules/quota-1.0.0.wasm");
