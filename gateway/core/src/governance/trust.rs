//! The keys that are trusted to sign policies, and how many of them must have signed a version.

use std::fmt::Write as _;

use leasehold_domain::Feature;
use leasehold_domain::Precondition;
use leasehold_domain::limits::POLICY_SIGNATURES_REQUIRED_MAX;
use leasehold_domain::limits::REASON_BYTES_MAX;
use leasehold_domain::limits::TRUSTED_KEY_NAME_BYTES_MAX;
use leasehold_domain::limits::TRUSTED_KEY_PEM_BYTES_MAX;
use leasehold_domain::limits::TRUSTED_KEYS_MAX;

use super::Governance;
use super::Stored;
use super::approval::Proposal;
use super::approval::of_required_signatures;
use super::approval::of_trusted_key;
use super::document::MarkDocument;
use super::document::TRUST;
use super::document::TRUST_ID;
use super::document::TrustDocument;
use super::document::TrustedKeyDocument;
use super::edit;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::feature_gate;
use crate::field_limits::prose;
use crate::field_limits::within;
use crate::signing::VerifyingKey;
use crate::telemetry::rfc3339;

/// How often a change is tried against others that are made at the same time.
const WRITES_MAX: usize = 4;

impl Governance {
    /// Trusts a key. A key that is trusted already stays as it is.
    ///
    /// # Errors
    /// It is not the PEM of an ed25519 public key, it was revoked, its name is another key's, or the
    /// store cannot write. `approval_required`: others must approve it first.
    pub async fn trust_key(
        &self,
        caller: &Caller,
        name: &str,
        pem: &str,
        reason: Option<&str>,
    ) -> Result<Stored<TrustDocument>, Failure> {
        prose("name", Some(name), TRUSTED_KEY_NAME_BYTES_MAX)?;
        prose("reason", reason, REASON_BYTES_MAX)?;
        if name.trim().is_empty() {
            return Err(Failure::invalid("name: is missing"));
        }
        if pem.len() > TRUSTED_KEY_PEM_BYTES_MAX {
            let message = format!("public_key: at most {TRUSTED_KEY_PEM_BYTES_MAX} bytes");
            return Err(Failure::invalid(message));
        }
        let wrong = |problem| Failure::invalid(format!("public_key: {problem}"));
        let key = VerifyingKey::from_pem(pem).map_err(wrong)?;
        let (id, pem) = (key.id().to_string(), key.pem().map_err(wrong)?);
        self.change_trust(caller, None, |trust, made| {
            if let Some(known) = trust.key(&id) {
                return match &known.revoked {
                    None => Ok(None),
                    Some(revoked) => Err(revoked_for_ever(known, revoked)),
                };
            }
            if let Some(other) = trust.active().find(|key| key.name == name) {
                let message = format!("name: {name} is the name of key {}", other.id);
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            make_room(trust)?;
            trust.keys.push(TrustedKeyDocument {
                id: id.clone(),
                name: name.to_owned(),
                public_key: pem.clone(),
                added_by: made.by.clone(),
                added_at: made.at.clone(),
                revoked: None,
            });
            let summary = format!("policy trust: key {id} ({name}) is trusted");
            Ok(Some(TrustChange {
                summary: with_reason(summary, reason),
                proposal: Some(of_trusted_key((&id, name), &pem)),
            }))
        })
        .await
    }

    /// Revokes a key: its signatures do not count any more. What is bound goes on. A key without
    /// which too few are left for any version to be pushed is revoked only by force.
    ///
    /// # Errors
    /// There is no such key, too few would be left, or the store cannot write.
    pub async fn revoke_trusted_key(
        &self,
        caller: &Caller,
        id: &str,
        reason: &str,
        force: bool,
    ) -> Result<Stored<TrustDocument>, Failure> {
        check_reason(reason)?;
        self.change_trust(caller, None, |trust, made| {
            let left = trust.active().filter(|key| key.id != id).count();
            let required = trust.required as usize;
            let key = trust.keys.iter_mut().find(|key| key.id == id);
            let missing = || Failure::new(FailureKind::NotFound, format!("no key {id} is trusted"));
            let key = key.ok_or_else(missing)?;
            if key.revoked.is_some() {
                return Ok(None);
            }
            let blocks = left < required;
            if blocks && !force {
                let message = format!(
                    "{required} signatures are required and {left} other keys would be left: no \
                     version could be pushed, bound or promoted; trust another key or require fewer \
                     signatures first, or revoke it with force"
                );
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            key.revoked = Some(made.with(reason));
            let mut summary = format!("policy trust: key {id} ({}) revoked", key.name);
            if blocks {
                let _ = write!(
                    summary,
                    " by force, {left} left of {required} required: no version can be pushed"
                );
            }
            // Taking trust away needs no approval.
            Ok(Some(TrustChange {
                summary: with_reason(summary, Some(reason)),
                proposal: None,
            }))
        })
        .await
    }

    /// Sets how many distinct trusted keys must have signed a version that is pushed, bound or
    /// promoted.
    ///
    /// # Errors
    /// More than there are keys that are not revoked, or the store cannot write. `approval_required`:
    /// it requires fewer, which others must approve first.
    pub async fn require_signatures(
        &self,
        caller: &Caller,
        required: u32,
        reason: &str,
        precondition: Option<u64>,
    ) -> Result<Stored<TrustDocument>, Failure> {
        check_reason(reason)?;
        let most = u64::from(POLICY_SIGNATURES_REQUIRED_MAX);
        within("required_signatures", required.into(), 0, most)?;
        if required > 0 {
            let level = self.documents.level();
            feature_gate::require(Feature::Signatures, level, "the default store")?;
        }
        self.change_trust(caller, precondition, |trust, _| {
            let keys = trust.active().count();
            if required > trust.required && required as usize > keys {
                let message = format!(
                    "required_signatures: {required} are more than the {keys} keys that are trusted; \
                     trust more keys first"
                );
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            let before = std::mem::replace(&mut trust.required, required);
            if before == required {
                return Ok(None);
            }
            let summary = format!("policy trust: {required} signatures required, {before} before");
            let lowers = required < before;
            Ok(Some(TrustChange {
                summary: with_reason(summary, Some(reason)),
                proposal: lowers.then(|| of_required_signatures(before, required)),
            }))
        })
        .await
    }

    /// Changes the document; `change` returns `None` if there is nothing to change. `seen`: the revision that the change was decided on; `None` for whichever it has.
    async fn change_trust(
        &self,
        caller: &Caller,
        seen: Option<u64>,
        change: impl Fn(&mut TrustDocument, &Made) -> Result<Option<TrustChange>, Failure>,
    ) -> Result<Stored<TrustDocument>, Failure> {
        let made = Made {
            by: caller.principal.subject.to_string(),
            at: rfc3339(self.clock.wall()),
        };
        for _ in 0..WRITES_MAX {
            let mut stored = self.trust().await?;
            if seen.is_some_and(|seen| seen != stored.revision) {
                let message = format!("policy trust is at revision {}", stored.revision);
                return Err(Failure::new(FailureKind::PreconditionFailed, message));
            }
            let Some(changed) = change(&mut stored.document, &made)? else {
                return Ok(stored);
            };
            let TrustChange { summary, proposal } = changed;
            let same = match stored.revision {
                0 => Precondition::Absent,
                revision => Precondition::Revision(revision),
            };
            let body = Some(&stored.document);
            let mut edits = vec![edit(caller, TRUST, TRUST_ID, body, same, summary)?];
            if let Some(proposal) = proposal {
                edits.extend(self.approved(caller, &[proposal]).await?);
            }
            match self.commit(edits).await {
                Ok(revision) => return Ok(Stored { revision, ..stored }),
                // Another change came first.
                Err(failure)
                    if matches!(
                        failure.kind,
                        FailureKind::PreconditionFailed | FailureKind::NotFound
                    ) => {}
                Err(failure) => return Err(failure),
            }
        }
        let message = "others changed the trusted keys each time; try again";
        Err(Failure::new(FailureKind::Conflict, message))
    }
}

/// A change of what is trusted.
struct TrustChange {
    /// What the ledger says of it.
    summary: String,
    /// What others must approve first; `None` if it only takes trust away, or asks for more signatures.
    proposal: Option<Proposal>,
}

/// Who makes a change, and when.
struct Made {
    by: String,
    at: String,
}

impl Made {
    fn with(&self, reason: &str) -> MarkDocument {
        MarkDocument {
            by: self.by.clone(),
            at: self.at.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// Forgets the key that was revoked first, if there is no room for another.
fn make_room(trust: &mut TrustDocument) -> Result<(), Failure> {
    if trust.keys.len() < TRUSTED_KEYS_MAX {
        return Ok(());
    }
    let revoked = trust.keys.iter().enumerate();
    let revoked = revoked.filter_map(|(at, key)| Some((key.revoked.as_ref()?.at.clone(), at)));
    let full = || {
        let message = format!("{TRUSTED_KEYS_MAX} keys are trusted; revoke one first");
        Failure::new(FailureKind::Conflict, message)
    };
    let (_, first) = revoked.min().ok_or_else(full)?;
    trust.keys.remove(first);
    Ok(())
}

fn revoked_for_ever(key: &TrustedKeyDocument, revoked: &MarkDocument) -> Failure {
    let message = format!(
        "key {} ({}) was revoked by {} at {}: {}; make another key",
        key.id, key.name, revoked.by, revoked.at, revoked.reason
    );
    Failure::new(FailureKind::Conflict, message)
}

/// Checks the reason of a change that must have one.
pub(super) fn check_reason(reason: &str) -> Result<(), Failure> {
    prose("reason", Some(reason), REASON_BYTES_MAX)?;
    match reason.trim().is_empty() {
        true => Err(Failure::invalid("reason: is missing")),
        false => Ok(()),
    }
}

fn with_reason(summary: String, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{summary}: {reason}"),
        None => summary,
    }
}
