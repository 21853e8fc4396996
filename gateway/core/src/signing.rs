//! Detached signatures of policy versions: ed25519 over the bytes of a small statement.
//!
//! A [`Statement`] says which module it is about and when it may be put to use. Its bytes are what is
//! signed, and they are kept beside the signature: nothing is written again in order to verify. A
//! [`SignatureFile`] carries signatures from the signer to the gateway. This module knows nothing of
//! which keys are trusted; `governance` does.

mod file;
mod key;
mod statement;

pub use self::file::EncodedSignature;
pub use self::file::PolicySignature;
pub use self::file::SignatureFile;
pub use self::key::KeyId;
pub use self::key::SigningKey;
pub use self::key::VerifyingKey;
pub use self::statement::Statement;
