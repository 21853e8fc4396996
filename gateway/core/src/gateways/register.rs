//! A gateway registers itself with a store that it shares, and says again and again that it is there.

use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Documents;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Levels;
use leasehold_backend_api::level_edit;
use leasehold_domain::Clock;
use leasehold_domain::DocumentSet;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::Precondition;

use super::COLLECTION;
use super::GatewayDocument;
use super::GatewayIdentity;
use super::SharedGateways;
use super::TRIES_MAX;
use super::contended;
use super::unchanged_level;

/// How often a start tries to register while other gateways write.
const CONTENDED_MAX: u32 = 100;
const CONTENDED_PAUSE: Duration = Duration::from_millis(100);

impl SharedGateways {
    /// Registers a gateway of this build with a store.
    ///
    /// # Errors
    /// `Outdated`: the build does not support the store's level. The store cannot be read or written.
    pub async fn register(
        documents: Arc<dyn Documents>,
        me: GatewayIdentity,
        levels: Levels,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BackendError> {
        let this = Self {
            documents,
            me,
            levels,
            clock,
        };
        let mut tries = 0;
        loop {
            match this.announce().await {
                Ok(()) => return Ok(this),
                // Others write all the time: a start waits for its turn.
                Err(error) if error.kind == ErrorKind::Contended && tries < CONTENDED_MAX => {
                    tracing::debug!(%error, "gateway.registration contended; tried again");
                    tokio::time::sleep(CONTENDED_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
            tries += 1;
        }
    }

    /// Says that this gateway is there, and registers it if it was forgotten.
    ///
    /// # Errors
    /// As for [`Self::register`].
    pub(crate) async fn announce(&self) -> Result<(), BackendError> {
        for _ in 0..TRIES_MAX {
            let documents = self.documents.snapshot().await?;
            let level = documents.feature_level().unwrap_or_default();
            self.levels.admit(level).map_err(BackendError::outdated)?;
            let mut edits = Vec::with_capacity(2);
            if !self.is_registered(&documents) {
                // Not beside a raise that has not counted this gateway.
                edits.push(level_edit(level, unchanged_level(&documents)));
            }
            edits.push(self.registration(&documents)?);
            if let EditOutcome::Done(_) = self.documents.write(edits).await? {
                return Ok(());
            }
        }
        Err(contended())
    }

    /// Whether the store has this gateway with the levels of this build.
    fn is_registered(&self, documents: &DocumentSet) -> bool {
        let known = documents.get(COLLECTION, &self.me.id.to_string());
        let known = known.map(|document| GatewayDocument::read(&document.body));
        known.is_some_and(|known| {
            (known.level_min, known.level_max) == (self.levels.min, self.levels.max)
        })
    }

    fn registration(&self, documents: &DocumentSet) -> Result<Edit, BackendError> {
        let document = GatewayDocument {
            name: self.me.name.clone(),
            consumer: self.me.consumer.clone(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            level_min: self.levels.min,
            level_max: self.levels.max,
            seen_unix_ms: self.clock.wall().0,
        };
        let body = serde_json::to_vec(&document)
            .map_err(|error| BackendError::without_effect(ErrorKind::Invalid, error.to_string()))?;
        let id = self.me.id.to_string();
        let known = documents.get(COLLECTION, &id);
        Ok(Edit {
            collection: COLLECTION.into(),
            precondition: known.map_or(Precondition::Absent, |known| {
                Precondition::Revision(known.revision)
            }),
            id: id.into(),
            body: Some(body.into()),
            change: None,
        })
    }
}
