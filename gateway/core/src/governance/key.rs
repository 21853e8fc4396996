//! API keys: stored as digests, shown once.

use crate::failure::FailureKind;
use async_trait::async_trait;
use leasehold_domain::Precondition;
use leasehold_domain::WallMillis;

use super::Governance;
use super::Stored;
use super::document::KEYS;
use super::edit;
use crate::authentication::AuthFailure;
use crate::authentication::KeyDocument;
use crate::authentication::KeySource;
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
    /// The store cannot write.
    pub async fn put_key(&self, caller: &Caller, key: &KeyDocument) -> Result<u64, Failure> {
        let summary = format!("key {} for {}", key.id, key.subject);
        self.write(
            caller,
            KEYS,
            &key.id,
            Some(key),
            Precondition::Absent,
            summary,
        )
        .await
    }

    /// Revokes a key: it is refused from now on, and stays in the list. The last key of an
    /// administrator is revoked only by force. Whatever others revoke at the same time: another
    /// administrator's key is part of the write, and is in force when this is.
    ///
    /// # Errors
    /// There is none of that id, it is the last administrator's, or the store cannot write.
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
        let summary = format!("key {id} of {} revoked", revoked.subject);
        let precondition = Precondition::Revision(stored.revision);
        let revoking = edit(caller, KEYS, id, Some(&revoked), precondition, summary)?;
        edits.insert(0, revoking);
        self.commit(edits).await?;
        Ok(revoked)
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
