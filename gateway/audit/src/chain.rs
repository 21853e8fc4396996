//! The hash chain over canonical bytes.

use leasehold_domain::Digest;
use sha2::Digest as _;
use sha2::Sha256;

/// The chain before the first event.
pub(crate) const START: Digest = Digest([0; 32]);

/// An event's leaf hash, as in RFC 6962: SHA-256 of 0x00 and the canonical bytes.
#[must_use]
pub fn leaf(body: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(body);
    Digest(hash.finalize().into())
}

/// The chain after an event: SHA-256 of the chain before it and its leaf hash.
#[must_use]
pub fn next(before: &Digest, leaf: &Digest) -> Digest {
    let mut joined = [0; 64];
    joined[..32].copy_from_slice(&before.0);
    joined[32..].copy_from_slice(&leaf.0);
    Digest(Sha256::digest(joined).into())
}
