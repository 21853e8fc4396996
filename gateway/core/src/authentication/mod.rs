//! Who calls: API keys of the gateway's own, and tokens of an identity provider.
//!
//! A failure never says which part of a key or token was wrong, only whether it was missing or has
//! expired. No secret is in a log or in `Debug`.

mod authenticator;
mod claims;
mod failure;
mod identity;
mod jwks;
mod key;
mod key_use;
mod keyring;
mod token;

pub use self::authenticator::Authenticator;
pub use self::failure::AuthFailure;
pub(crate) use self::failure::AuthenticationError;
pub use self::identity::Identity;
pub use self::identity::KeyScope;
pub use self::key::KeyDocument;
pub use self::key::NewKey;
pub use self::key_use::UtcDay;
pub use self::keyring::KeyRing;
pub use self::keyring::KeySource;
