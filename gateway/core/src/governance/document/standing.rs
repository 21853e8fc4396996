//! The documents about which policy versions may be put to use: the signatures and marks of one
//! version, and the keys that are trusted.
//!
//! They are documents of their own, beside those of the versions. A build that does not know them
//! leaves them as they are when it writes a version. A version without one is unsigned and unmarked.

use serde::Deserialize;
use serde::Serialize;

use crate::signing::EncodedSignature;

/// Collection of [`StandingDocument`]s, by `name@version`.
pub(crate) const STANDINGS: &str = "policy-standing";
/// Collection of the one [`TrustDocument`].
pub(crate) const TRUST: &str = "policy-trust";
/// The id of the [`TrustDocument`].
pub(crate) const TRUST_ID: &str = "trust";

/// The signatures and marks of one policy version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingDocument {
    /// Whether a gateway found it among the stock policies of its build. Those need no signature.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stock: bool,
    /// Its signatures, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<SignatureDocument>,
    /// The mark that advises against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<MarkDocument>,
    /// The mark that forbids it for anything new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<MarkDocument>,
    /// The mark with which it fails wherever it would judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub killed: Option<MarkDocument>,
}

/// A signature of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureDocument {
    /// The id of the key.
    pub key: String,
    /// The bytes that are signed, in base64.
    pub statement: String,
    /// The signature, in base64.
    pub signature: String,
    /// The subject that pushed it.
    pub added_by: String,
    /// When, RFC 3339.
    pub added_at: String,
}

impl SignatureDocument {
    /// Returns the signature without who pushed it.
    #[must_use]
    pub fn encoded(&self) -> EncodedSignature {
        EncodedSignature {
            key: self.key.clone(),
            statement: self.statement.clone(),
            signature: self.signature.clone(),
        }
    }
}

/// A mark, and why it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkDocument {
    /// The subject that made it.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
    /// Its reason.
    pub reason: String,
}

/// The keys that are trusted to sign policies. There is one such document, so that the number of keys
/// and the number of required signatures always fit each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustDocument {
    /// How many distinct trusted keys must have signed a version; 0 for none.
    #[serde(default)]
    pub required: u32,
    /// The keys, oldest first, the revoked ones included.
    #[serde(default)]
    pub keys: Vec<TrustedKeyDocument>,
}

/// A key that is trusted, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedKeyDocument {
    /// The SHA-256 of its DER form.
    pub id: String,
    /// Whose it is, for people.
    pub name: String,
    /// The public key, in PEM.
    pub public_key: String,
    /// The subject that added it.
    pub added_by: String,
    /// When, RFC 3339.
    pub added_at: String,
    /// Who revoked it, if somebody did. Its signatures do not count then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<MarkDocument>,
}

impl TrustDocument {
    /// Returns the keys that are not revoked.
    pub fn active(&self) -> impl Iterator<Item = &TrustedKeyDocument> {
        self.keys.iter().filter(|key| key.revoked.is_none())
    }

    /// Returns the key of that id.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<&TrustedKeyDocument> {
        self.keys.iter().find(|key| key.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_forms_are_these() {
        let mark = || MarkDocument {
            by: "ada".to_owned(),
            at: "2026-11-30T12:00:00.000Z".to_owned(),
            reason: "INC-7".to_owned(),
        };
        let standing = StandingDocument {
            stock: true,
            signatures: vec![SignatureDocument {
                key: "00ff".to_owned(),
                statement: "c3RhdGVk".to_owned(),
                signature: "c2lnbmVk".to_owned(),
                added_by: "ada".to_owned(),
                added_at: "2026-11-30T12:00:00.000Z".to_owned(),
            }],
            deprecated: Some(mark()),
            withdrawn: Some(mark()),
            killed: Some(mark()),
        };
        let trust = TrustDocument {
            required: 2,
            keys: vec![TrustedKeyDocument {
                id: "00ff".to_owned(),
                name: "release".to_owned(),
                public_key: "PEM".to_owned(),
                added_by: "ada".to_owned(),
                added_at: "2026-11-30T12:00:00.000Z".to_owned(),
                revoked: Some(mark()),
            }],
        };
        let golden = include_str!("standing/golden.txt");
        let written = [
            serde_json::to_string(&standing).unwrap(),
            serde_json::to_string(&StandingDocument::default()).unwrap(),
            serde_json::to_string(&trust).unwrap(),
        ];
        assert_eq!(written.join("\n") + "\n", golden);
        let read: Vec<&str> = golden.lines().collect();
        assert_eq!(
            serde_json::from_str::<StandingDocument>(read[0]).unwrap(),
            standing
        );
        assert_eq!(
            serde_json::from_str::<TrustDocument>(read[2]).unwrap(),
            trust
        );
        // A later build may add members.
        let later = read[2].replacen('{', "{\"later\":1,", 1);
        assert_eq!(
            serde_json::from_str::<TrustDocument>(&later).unwrap(),
            trust
        );
        let nothing: TrustDocument = serde_json::from_str("{}").unwrap();
        assert_eq!(nothing, TrustDocument::default());
    }
}
