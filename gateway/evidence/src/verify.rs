//! Verifies a file of evidence, whatever it is.

use std::fmt;
use std::io::BufRead;
use std::io::Read as _;

use serde::Serialize;
use thiserror::Error;

use crate::checkpoint::CheckpointError;
use crate::checkpoint::TrustedKeys;
use crate::checkpoint::Verified;
use crate::export::Compared;
use crate::export::EXPORT;
use crate::export::ExportError;
use crate::export::before_reading;
use crate::export::verify_export;
use crate::proof::CONSISTENCY;
use crate::proof::ConsistencyProof;
use crate::proof::InclusionProof;
use crate::proof::ProofError;
use crate::proof::TLOG_PROOF;

/// Proofs and checkpoints are short. A longer file is none.
const PROOF_BYTES_MAX: u64 = 64 * 1_024 * 1_024;

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `export`, `inclusion`, `consistency` or `checkpoint`.
    pub kind: &'static str,
    /// The log.
    pub origin: String,
    /// The number of events at the checkpoint.
    pub size: u64,
    /// The root at the checkpoint, in hexadecimal digits.
    pub root: String,
    /// Of an export: the cursors of its first and its last event. Of an inclusion proof: the event's
    /// place in the log, from 0, twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<(u64, u64)>,
    /// Of an export: whether it is all that the log had at the checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_whole: Option<bool>,
    /// What the earlier checkpoint has shown.
    pub earlier_checkpoint: Compared,
    /// Witnesses that have cosigned the checkpoint, and when, in seconds since 1970.
    pub cosigned: Vec<(String, u64)>,
}

/// A file shows nothing, or was changed.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// Of an export.
    #[error("not intact: {0}")]
    Export(#[from] ExportError),
    /// Of a proof.
    #[error("not intact: {0}")]
    Proof(#[from] ProofError),
    /// Of a checkpoint.
    #[error("not intact: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A consistency proof needs what it begins with.
    #[error(
        "a consistency proof shows that a log grew from an earlier checkpoint: give it as well"
    )]
    NeedsEarlier,
}

/// Verifies an export, a `.tlog-proof`, a consistency proof or a checkpoint; what it is, the file
/// says. The keys and the earlier checkpoint come from whoever asks.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(
    file: &mut dyn BufRead,
    keys: &TrustedKeys,
    earlier: Option<&str>,
) -> Result<Report, VerifyError> {
    let earlier = earlier.map(|note| keys.open(note)).transpose()?;
    let begins = file.fill_buf()?;
    if begins.starts_with(format!("{{\"form\":\"{EXPORT}\"").as_bytes()) {
        let export = verify_export(file, keys, earlier.as_ref())?;
        let report = report("export", export.verified, export.compared);
        return Ok(Report {
            events: export.cursors,
            is_whole: Some(export.is_whole),
            ..report
        });
    }
    let mut text = String::new();
    file.take(PROOF_BYTES_MAX).read_to_string(&mut text)?;
    if text.starts_with(TLOG_PROOF) {
        let proof = InclusionProof::parse(&text)?;
        let verified = proof.verify(keys)?;
        let compared = compared(&verified, earlier.as_ref())?;
        return Ok(Report {
            events: Some((proof.index, proof.index)),
            ..report("inclusion", verified, compared)
        });
    }
    if text.starts_with(&format!("{{\"form\":\"{CONSISTENCY}\"")) {
        let proof = ConsistencyProof::parse(&text)?;
        let earlier = earlier.ok_or(VerifyError::NeedsEarlier)?;
        let verified = proof.verify(keys, &earlier)?;
        return Ok(report("consistency", verified, Compared::Grown));
    }
    let verified = keys.open(&text)?;
    let compared = compared(&verified, earlier.as_ref())?;
    Ok(report("checkpoint", verified, compared))
}

/// What two checkpoints tell without the events between them.
fn compared(now: &Verified, earlier: Option<&Verified>) -> Result<Compared, ExportError> {
    let Some(earlier) = earlier else {
        return Ok(Compared::Nothing);
    };
    before_reading(earlier, now)?;
    let (now, earlier) = (&now.checkpoint, &earlier.checkpoint);
    if now.size > earlier.size {
        return Ok(Compared::NotCovered);
    }
    match now.root == earlier.root {
        true => Ok(Compared::Grown),
        false => Err(ExportError::Rewritten { size: now.size }),
    }
}

fn report(kind: &'static str, verified: Verified, compared: Compared) -> Report {
    Report {
        kind,
        origin: verified.checkpoint.origin,
        size: verified.checkpoint.size,
        root: verified.checkpoint.root.to_string(),
        events: None,
        is_whole: None,
        earlier_checkpoint: compared,
        cosigned: verified.cosigned,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.events) {
            ("export", Some((first, last))) => {
                writeln!(f, "intact: events {first} to {last} of {}", self.origin)?;
            }
            ("export", None) => writeln!(f, "intact: no events of {}", self.origin)?,
            ("inclusion", Some((index, _))) => {
                writeln!(f, "intact: the event is entry {index} of {}", self.origin)?
            }
            ("consistency", _) => writeln!(f, "intact: {} only grew", self.origin)?,
            _ => writeln!(f, "signed: a checkpoint of {}", self.origin)?,
        }
        writeln!(f, "checkpoint: {} events, root {}", self.size, self.root)?;
        if let Some(is_whole) = self.is_whole {
            let of = if is_whole { "all" } else { "some" };
            writeln!(f, "these are {of} of the events at the checkpoint")?;
        }
        for (witness, at) in &self.cosigned {
            writeln!(f, "cosigned by {witness} at {at} (seconds since 1970)")?;
        }
        let said = match (self.earlier_checkpoint, self.cosigned.is_empty()) {
            (Compared::Grown, _) => "compared with the earlier checkpoint: the log only grew since",
            (Compared::NotCovered, _) => {
                "not compared with the earlier checkpoint: the events since it are not all here; \
                 a consistency proof would tell"
            }
            (Compared::Nothing, false) => {
                "compared with no earlier checkpoint; the witnesses vouch that the log only grew \
                 until this one"
            }
            (Compared::Nothing, true) => {
                "compared with no earlier checkpoint and no cosignature: a log that was rolled back \
                 or rewritten before this checkpoint would look the same"
            }
        };
        write!(f, "{said}")
    }
}
