//! API keys: stored as digests, shown once.

use crate::failure::FailureKind;
use async_trait::async_trait;
use leasehold_domain::Precondition;
use leasehold_domain::WallMillis;

use super::Governance;
use super::Stored;
use super::approval::of_key;
use super::approval::of_rotation;
use super::document::KEYS;
use super::edit;
use crate::authentication::AuthFailure;
use crate::authentication::KeyDocument;
use crate::authentication::KeySource;
use crate::authentication::NewKey;
use crate::caller::Caller;
use crate::failure::Failure;

#[async_trait]
impl KeySource for Governance {
    async fn catch_up(&self) -> Result<(), AuthFailure> {
        let place = self.doubts.strangers.try_acquire();
        let _place = place.map_err(|_| AuthFailure::Unsure)?;
        let caught_up = Self::catch_up(self).await;
        caught_up.map_err(|_| AuthFailure::Unsure)
    }
}

impl Governance {
    /// Stores a new key's document; the key itself is known only to the caller.
    ///
    /// # Errors
    /// `approval_required`: the key has a governing role, and others must approve that first. Or the
    /// store cannot write.
    pub async fn put_key(&self, caller: &Caller, key: &KeyDocument) -> Result<u64, Failure> {
        let summary = format!("key {} for {}", key.id, key.subject);
        let absent = Precondition::Absent;
        let mut edits = vec![edit(caller, KEYS, &key.id, Some(key), absent, summary)?];
        if key.governs() {
            edits.extend(self.approved(caller, &[of_key(key)]).await?);
        }
        self.commit(edits).await
    }

    /// Revokes a key: it is refused from now on, and stays in the list. The last key of an
    /// administrator is revoked only by force. Whatever others revoke at the same time: another
    /// administrator's key is part of the write, and is in force when this is.
    ///
    /// # Errors
    /// There is none of that id, it is the last administrator's, too few people could approve changes
    /// without it, or the store cannot write.
    pub async fn revoke_key(
        &self,
        caller: &Caller,
        id: &str,
        force: bool,
    ) -> Result<KeyDocument, Failure> {
        let stored: Stored<KeyDocument> = self.read(KEYS, id).await?;
        if stored.document.revoked.is_some() {
            return Ok(stored.document);
        }
        let mut edits = Vec::new();
        let now = self.clock.wall();
        if !force && stored.document.is_administrators(now) {
            let remains = self.another_administrator(id, now).await?;
            let KeyDocument { id, subject, .. } = &remains.document;
            let summary = format!("key {id} of {subject} remains an administrator's");
            let same = Precondition::Revision(remains.revision);
            edits.push(edit(
                caller,
                KEYS,
                id,
                Some(&remains.document),
                same,
                summary,
            )?);
        }
        let revoked = KeyDocument {
            revoked: Some(crate::telemetry::rfc3339(now)),
            ..stored.document
        };
        edits.extend(self.check_approvers_without(caller, id).await?);
        let summary = format!("key {id} of {} revoked", revoked.subject);
        let precondition = Precondition::Revision(stored.revision);
        let revoking = edit(caller, KEYS, id, Some(&revoked), precondition, summary)?;
        edits.insert(0, revoking);
        self.commit(edits).await?;
        Ok(revoked)
    }

    /// Replaces a key: creates one for the same subject with the same rights and the same lifetime,
    /// and lets the old one expire after `overlap_ms`, or earlier if it was to expire earlier. Both
    /// are one write. If its answer is lost, the key may be rotated again until it expires.
    ///
    /// # Errors
    /// No key has that id, it was revoked or has expired, or the store cannot write.
    /// `approval_required`: it has a governing role and is not the caller's own.
    pub async fn rotate_key(
        &self,
        caller: &Caller,
        id: &str,
        overlap_ms: u64,
    ) -> Result<NewKey, Failure> {
        let stored: Stored<KeyDocument> = self.read(KEYS, id).await?;
        let (old, now) = (stored.document, self.clock.wall());
        if let Some(refusal) = old.refusal(now) {
            let problem = format!("key {id} {refusal}: only a key in force can be rotated");
            return Err(Failure::new(FailureKind::Conflict, problem));
        }
        let new = old.draw_successor(now, &caller.principal.subject);
        let old = old.expiring_by(WallMillis(now.0.saturating_add(overlap_ms)));
        let (made, subject) = (&new.document, &old.subject);
        let replaces = format!("key {} for {subject}, replaces key {id}", made.id);
        let until = crate::telemetry::rfc3339(old.expires.unwrap_or(now));
        let replaced = format!(
            "key {id} of {subject} expires at {until}, replaced by {}",
            made.id
        );
        let same = Precondition::Revision(stored.revision);
        let mut edits = vec![
            edit(caller, KEYS, id, Some(&old), same, replaced)?,
            edit(
                caller,
                KEYS,
                &made.id,
                Some(made),
                Precondition::Absent,
                replaces,
            )?,
        ];
        if old.governs() && !has_all_rights(caller, &old) {
            edits.extend(self.approved(caller, &[of_rotation(&old)]).await?);
        }
        self.commit(edits).await?;
        Ok(new)
    }

    /// Finds a key in force of an administrator, other than this one. One that will expire counts
    /// until then.
    async fn another_administrator(
        &self,
        id: &str,
        now: WallMillis,
    ) -> Result<Stored<KeyDocument>, Failure> {
        let keys = self.keys().await?.into_iter();
        let mut others = keys.filter(|key| key.document.id != id);
        let other = others.find(|key| key.document.is_administrators(now));
        other.ok_or_else(|| {
            let problem = "this is the last key of an administrator: nobody could make another; \
                make one first, or revoke it with force";
            Failure::new(FailureKind::LastAdministrator, problem)
        })
    }

    /// All keys, by id; none shows its secret.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn keys(&self) -> Result<Vec<Stored<KeyDocument>>, Failure> {
        self.list(KEYS).await
    }
}

/// Returns whether a key is the caller's own, and the caller has all of its roles without a scope.
/// Rotating it then gives the caller nothing new.
fn has_all_rights(caller: &Caller, key: &KeyDocument) -> bool {
    let Caller {
        principal, scope, ..
    } = caller;
    let has = |role: &String| principal.roles.names().any(|own| own == role);
    principal.subject == key.subject && scope.is_none() && key.roles.iter().all(has)
}
