//! API keys: stored as digests, shown once.

use async_trait::async_trait;
use leasehold_domain::Precondition;

use super::Governance;
use super::Stored;
use super::document::KEYS;
use crate::authentication::AuthFailure;
use crate::authentication::KeyDocument;
use crate::authentication::KeySource;
use crate::pipeline::ask::Caller;
use crate::pipeline::failure::Failure;

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

    /// Revokes a key: it is refused from now on, and stays in the list.
    ///
    /// # Errors
    /// There is none of that id, or the store cannot write.
    pub async fn revoke_key(&self, caller: &Caller, id: &str) -> Result<KeyDocument, Failure> {
        let stored: Stored<KeyDocument> = self.read(KEYS, id).await?;
        if stored.document.revoked.is_some() {
            return Ok(stored.document);
        }
        let revoked = KeyDocument {
            revoked: Some(crate::telemetry::rfc3339(self.clock.wall())),
            ..stored.document
        };
        let summary = format!("key {id} of {} revoked", revoked.subject);
        let precondition = Precondition::Revision(stored.revision);
        self.write(caller, KEYS, id, Some(&revoked), precondition, summary)
            .await?;
        Ok(revoked)
    }

    /// All keys, by id; none shows its secret.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn keys(&self) -> Result<Vec<Stored<KeyDocument>>, Failure> {
        self.list(KEYS).await
    }
}
