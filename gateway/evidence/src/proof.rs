//! Proofs as files: that an event is in the log (`c2sp.org/tlog-proof@v1`), and that a log only grew.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use leasehold_domain::Digest;
use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

use crate::checkpoint::CheckpointError;
use crate::checkpoint::TrustedKeys;
use crate::checkpoint::Verified;
use crate::node::leaf_hash;
use crate::tree::WrongProof;
use crate::tree::check_consistency;
use crate::tree::check_inclusion;

/// The first line of a `.tlog-proof` file.
pub const TLOG_PROOF: &str = "c2sp.org/tlog-proof@v1";

/// More hashes has no proof: a tree has at most 2^63 leaves.
const HASHES_MAX: usize = 128;

/// That an event is in the log. It stands alone: the event's bytes are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// The event's canonical bytes.
    pub event: String,
    /// Its place in the log, from 0.
    pub index: u64,
    /// From the leaf's sibling to the root's child.
    pub hashes: Vec<Digest>,
    /// The signed checkpoint that the proof leads to.
    pub checkpoint: String,
}

/// A proof shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProofError {
    /// It has another form.
    #[error("it is not a proof: {0}")]
    Malformed(&'static str),
    /// Its checkpoint cannot be trusted.
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// It leads to another root.
    #[error("{0}: the event was changed, or is not in this log at this place")]
    Wrong(#[from] WrongProof),
}

impl InclusionProof {
    /// Returns the text of its file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{TLOG_PROOF}\nextra {}\nindex {}\n",
            BASE64_STANDARD.encode(&self.event),
            self.index
        );
        for hash in &self.hashes {
            text.push_str(&BASE64_STANDARD.encode(hash.0));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It has another form, or is not written in the one way in which it can be.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let malformed = ProofError::Malformed;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(malformed("it has no checkpoint"))?;
        let mut lines = head.lines();
        if lines.next() != Some(TLOG_PROOF) {
            return Err(malformed("its first line is another"));
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra "));
        let event = extra.and_then(|extra| BASE64_STANDARD.decode(extra).ok());
        let event = event.and_then(|event| String::from_utf8(event).ok());
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let hashes: Option<Vec<_>> = lines.take(HASHES_MAX + 1).map(hash).collect();
        let proof = Self {
            event: event.ok_or(malformed("it does not have the event's bytes"))?,
            index: index
                .and_then(|index| index.parse().ok())
                .ok_or(malformed("it has no index"))?,
            hashes: hashes.ok_or(malformed("a hash is none"))?,
            checkpoint: checkpoint.to_owned(),
        };
        if proof.hashes.len() > HASHES_MAX || proof.to_text() != text {
            return Err(malformed("it is written in another way"));
        }
        Ok(proof)
    }

    /// Checks that the event is in the log of a trusted key.
    ///
    /// # Errors
    /// The proof does not show it.
    pub fn verify(&self, keys: &TrustedKeys) -> Result<Verified, ProofError> {
        let verified = keys.open(&self.checkpoint)?;
        let leaf = leaf_hash(self.event.as_bytes());
        let head = (verified.checkpoint.size, &verified.checkpoint.root);
        check_inclusion(&self.hashes, (self.index, &leaf), head)?;
        Ok(verified)
    }
}

fn hash(line: &str) -> Option<Digest> {
    let bytes = BASE64_STANDARD.decode(line).ok()?;
    bytes.try_into().ok().map(Digest)
}

/// What [`ConsistencyProof::form`] says.
pub const CONSISTENCY: &str = "leasehold-consistency/1";

/// That a log of `old_size` events only grew until the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyProof {
    /// [`CONSISTENCY`].
    pub form: String,
    /// The size of the earlier tree.
    pub old_size: u64,
    /// As in RFC 6962 section 2.1.2, in base64.
    pub hashes: Vec<String>,
    /// The signed checkpoint of the later tree.
    pub checkpoint: String,
}

impl ConsistencyProof {
    /// Makes one.
    #[must_use]
    pub fn new(old_size: u64, hashes: &[Digest], checkpoint: String) -> Self {
        Self {
            form: CONSISTENCY.to_owned(),
            old_size,
            hashes: encode(hashes),
            checkpoint,
        }
    }

    /// Returns the text of its file: one line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It has another form, or is not written in the one way in which it can be.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let proof: Self = serde_json::from_str(text)
            .map_err(|_| ProofError::Malformed("it has other members"))?;
        match proof.form == CONSISTENCY && proof.to_text() == text {
            true => Ok(proof),
            false => Err(ProofError::Malformed("it is written in another way")),
        }
    }

    /// Checks that the log whose earlier checkpoint is given only grew.
    ///
    /// # Errors
    /// The proof does not show it.
    pub fn verify(&self, keys: &TrustedKeys, earlier: &Verified) -> Result<Verified, ProofError> {
        let later = keys.open(&self.checkpoint)?;
        let hashes = decode(&self.hashes).ok_or(ProofError::Malformed("a hash is none"))?;
        let (old, new) = (&earlier.checkpoint, &later.checkpoint);
        if old.origin != new.origin || old.size != self.old_size {
            let problem =
                "it is of another log, or begins at another size, than the earlier checkpoint";
            return Err(ProofError::Malformed(problem));
        }
        check_consistency(&hashes, (old.size, &old.root), (new.size, &new.root))?;
        Ok(later)
    }
}

/// Hashes in base64, one text each.
pub(crate) fn encode(hashes: &[Digest]) -> Vec<String> {
    let encode = |hash: &Digest| BASE64_STANDARD.encode(hash.0);
    hashes.iter().map(encode).collect()
}

/// Reads hashes; nothing if a text is none, or is written in another way.
pub(crate) fn decode(texts: &[String]) -> Option<Vec<Digest>> {
    texts.iter().map(|text| hash(text)).collect()
}
