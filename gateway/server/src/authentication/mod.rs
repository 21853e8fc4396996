//! Who calls: API keys of the gateway's own, and tokens of an identity provider.
//!
//! A failure never says which part of a key or token was wrong, only whether it was missing or has
//! expired. No secret is in a log or in `Debug`.

mod authenticator;
mod claims;
mod failure;
mod jwks;
mod key;
mod keyring;
mod token;

pub(crate) use self::authenticator::Authenticator;
pub(crate) use self::failure::AuthFailure;
pub(crate) use self::failure::AuthenticationError;
pub(crate) use self::key::KeyDocument;
pub(crate) use self::key::NewKey;
pub(crate) use self::keyring::KeyRing;
pub(crate) use self::keyring::KeySource;
