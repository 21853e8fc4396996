//! The signatures of a version with those of a push.

use std::fmt::Write as _;

use leasehold_domain::Digest;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::POLICY_SIGNATURES_MAX;
use leasehold_policy_host::stock;

use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::governance::document::PolicyDocument;
use crate::governance::document::SignatureDocument;
use crate::governance::document::StandingDocument;
use crate::governance::document::TrustDocument;
use crate::governance::document::TrustedKeyDocument;
use crate::governance::standing::mismatch;
use crate::signing::PolicySignature;
use crate::signing::VerifyingKey;
use crate::telemetry::rfc3339;

/// A version's signatures with those of a push.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) document: StandingDocument,
    /// The signatures that are not kept, each with the reason.
    pub(super) ignored: Vec<String>,
    /// What the ledger says of it.
    pub(super) summary: String,
}

impl Merged {
    /// Returns what a version has before a push.
    pub(super) fn of(version: &PolicyDocument, before: Option<&StandingDocument>) -> Self {
        let id = PolicyDocument::id(&version.policy, &version.version);
        let mut merged = Self {
            document: before.cloned().unwrap_or_default(),
            ignored: Vec::new(),
            summary: format!("policy {id}"),
        };
        let digest = version.digest.parse::<Digest>();
        if digest.is_ok_and(|digest| stock::is_stock(&digest)) {
            merged.document.stock = true;
            merged.summary += ", a stock policy";
        }
        merged
    }

    /// Adds the signatures of trusted keys.
    ///
    /// # Errors
    /// A signature is about something else, or its key did not make it. There are more than are kept of
    /// one version, and all of them count.
    pub(super) fn add(
        &mut self,
        signatures: &[PolicySignature],
        (version, trust): (&PolicyDocument, &TrustDocument),
        (caller, now): (&Caller, WallMillis),
    ) -> Result<(), Failure> {
        let schema = version.schema_digest();
        for (at, signature) in signatures.iter().enumerate() {
            let wrong = |problem: String| Failure::invalid(format!("signatures[{at}]: {problem}"));
            if let Some(problem) = mismatch(version, &schema, &signature.statement) {
                return Err(wrong(format!("its statement does not fit: {problem}")));
            }
            let (key, short) = (signature.key.to_string(), signature.key.short());
            let Some(trusted) = trust.key(&key) else {
                self.ignored.push(format!("key {short} is not trusted"));
                continue;
            };
            if trusted.revoked.is_some() {
                let reason = format!("key {short} ({}) was revoked", trusted.name);
                self.ignored.push(reason);
                continue;
            }
            if !is_by(signature, trusted)? {
                let problem = format!("key {key} ({}) did not sign this statement", trusted.name);
                return Err(wrong(problem));
            }
            let encoded = signature.encoded();
            let mut kept = self.document.signatures.iter();
            if kept.any(|kept| kept.encoded() == encoded) {
                continue;
            }
            self.make_room(trust, now);
            self.document.signatures.push(SignatureDocument {
                key: encoded.key,
                statement: encoded.statement,
                signature: encoded.signature,
                added_by: caller.principal.subject.to_string(),
                added_at: rfc3339(now),
            });
            // Writing to a string cannot fail.
            let _ = write!(self.summary, ", signed by {} (key {short})", trusted.name);
        }
        if self.document.signatures.len() > POLICY_SIGNATURES_MAX {
            let id = PolicyDocument::id(&version.policy, &version.version);
            let message = format!("policy {id} has {POLICY_SIGNATURES_MAX} signatures that count");
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        Ok(())
    }

    /// Drops the oldest signature that can never count again, if there is no room for another.
    fn make_room(&mut self, trust: &TrustDocument, now: WallMillis) {
        let signatures = &mut self.document.signatures;
        if signatures.len() < POLICY_SIGNATURES_MAX {
            return;
        }
        let is_over = |stored: &SignatureDocument| {
            let key = trust.key(&stored.key);
            let is_active = key.is_some_and(|key| key.revoked.is_none());
            let read = PolicySignature::read(&stored.encoded()).ok();
            let until = read.map(|signature| signature.statement.not_after);
            !is_active || !matches!(until, Some(until) if until.is_none_or(|until| now <= until))
        };
        if let Some(at) = signatures.iter().position(is_over) {
            signatures.remove(at);
        }
    }
}

fn is_by(signature: &PolicySignature, trusted: &TrustedKeyDocument) -> Result<bool, Failure> {
    let unreadable = |problem| Failure::internal(format!("{}: {problem}", trusted.id));
    let public = VerifyingKey::from_pem(&trusted.public_key).map_err(unreadable)?;
    Ok(signature.is_by(&public))
}
