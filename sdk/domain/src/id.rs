//! Identifiers: the secret of a lease, its public handle, tokens, digests.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;

use crate::RequestId;
use crate::WallMillis;

/// The secret of a lease's holder: 128 random bits, shown only in the grant's answer.
///
/// `Debug` does not print it, so it cannot reach a log by accident.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseId([u8; 16]);

impl LeaseId {
    /// From 16 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The raw bytes, for storage. They are the secret itself.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The public handle: the first 128 bits of SHA-256 of the secret.
    #[must_use]
    pub fn handle(&self) -> LeaseHandle {
        let digest = sha2::Sha256::digest(self.0);
        let mut handle = [0; 16];
        handle.copy_from_slice(&digest[..16]);
        LeaseHandle(handle)
    }

    /// The text that the API shows to the holder: 32 hex digits.
    #[must_use]
    pub fn reveal(&self) -> String {
        hex::encode(self.0)
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseId(handle {})", self.handle())
    }
}

/// An identifier that is not 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 32 hexadecimal digits")]
pub struct InvalidId;

fn parse_16(text: &str) -> Result<[u8; 16], InvalidId> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidId)?;
    Ok(bytes)
}

impl FromStr for LeaseId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_16(text).map(Self)
    }
}

/// The public name of a lease, used in views, watches and the ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseHandle([u8; 16]);

impl LeaseHandle {
    /// From the raw bytes of a handle, as they were stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The raw bytes, for storage.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for LeaseHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 32];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for LeaseHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LeaseHandle {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_16(text).map(Self)
    }
}

/// The identity of a store's history: 128 random bits, drawn when the store is created, restored, or
/// accepted although it is older than its gateway remembers.
///
/// Two stores with the same identity hold the same events at the same cursors, as far as both go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreId([u8; 16]);

impl StoreId {
    /// Makes an identity of 16 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the raw bytes, for storage.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StoreId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_16(text).map(Self)
    }
}

/// A number that only grows per lock; the protected resource compares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FencingToken(pub u64);

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A SHA-256 digest: of a module, of a configuration, of an API key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidId)?;
        Ok(Self(bytes))
    }
}

impl RequestId {
    /// When the id was made, if it is a version 7 UUID in its usual form, with hyphens: by the
    /// clock of whoever made it.
    #[must_use]
    pub fn made_at(&self) -> Option<WallMillis> {
        let text = self.as_str().as_bytes();
        let is_uuid = text.len() == 36
            && text.iter().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        let is_v7 = is_uuid && text[14] == b'7' && b"89abAB".contains(&text[19]);
        if !is_v7 {
            return None;
        }
        let digits = [&self.as_str()[..8], &self.as_str()[9..13]].concat();
        u64::from_str_radix(&digits, 16).ok().map(WallMillis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_7_uuid_tells_when_it_was_made() {
        let made = |text: &str| text.parse::<RequestId>().unwrap().made_at();
        let known = Some(WallMillis(0x017F_22E2_79B0));
        assert_eq!(made("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), known);
        assert_eq!(made("017F22E2-79B0-7CC3-B8C4-DC0C0C07398F"), known);
        for other in [
            "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
            "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f",
            "017f22e279b07cc398c4dc0c0c07398f",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
            "nightly",
        ] {
            assert_eq!(made(other), None, "{other}");
        }
    }

    #[test]
    fn a_lease_id_never_prints_itself() {
        let id = LeaseId::from_bytes([7; 16]);
        let shown = format!("{id:?}");
        assert!(!shown.contains(&id.reveal()), "{shown}");
        assert_eq!(id.reveal().parse::<LeaseId>().unwrap(), id);
        assert_eq!(
            id.handle().to_string().parse::<LeaseHandle>().unwrap(),
            id.handle()
        );
    }
}
