//! Hashes of the tree's nodes, as in RFC 6962 section 2.1.

use leasehold_domain::Digest;
use sha2::Digest as _;
use sha2::Sha256;
use tlog_tiles::Hash;

/// Returns the leaf hash of an entry: SHA-256 of 0x00 and its bytes.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(entry);
    Digest(hash.finalize().into())
}

/// Returns the hash of an inner node: SHA-256 of 0x01 and its two children.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut joined = [1; 65];
    joined[1..33].copy_from_slice(&left.0);
    joined[33..].copy_from_slice(&right.0);
    Digest(Sha256::digest(joined).into())
}

/// The hash of the tree without leaves.
#[must_use]
pub fn empty_root() -> Digest {
    ours(tlog_tiles::EMPTY_HASH)
}

pub(crate) fn theirs(digest: &Digest) -> Hash {
    Hash(digest.0)
}

pub(crate) fn ours(hash: Hash) -> Digest {
    Digest(hash.0)
}
