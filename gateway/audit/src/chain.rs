//! The hash chain over canonical bytes.

use leasehold_domain::Digest;
use leasehold_evidence::leaf_hash;
use sha2::Digest as _;
use sha2::Sha256;

/// The chain before the first event.
pub(crate) const START: Digest = Digest([0; 32]);

/// The chain after an event with these canonical bytes.
#[must_use]
pub fn after(before: &Digest, body: &[u8]) -> Digest {
    next(before, &leaf_hash(body))
}

/// The chain after an event: SHA-256 of the chain before it and its leaf hash.
pub(crate) fn next(before: &Digest, leaf: &Digest) -> Digest {
    let mut joined = [0; 64];
    joined[..32].copy_from_slice(&before.0);
    joined[32..].copy_from_slice(&leaf.0);
    Digest(Sha256::digest(joined).into())
}
