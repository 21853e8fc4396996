//! The gateways that share one store, and the feature level that all of them support.
//!
//! Each gateway keeps a document in the store: who it is, which levels its build supports, and when it
//! was last there. The store's own level is a document, too, and every write of a lock is conditional
//! on the documents, so no gateway writes by the rules of a level that was raised meanwhile. A
//! registration writes the level's document unchanged: of a registration and a raise at the same time
//! one fails and looks again. A gateway that is down counts until an operator has it forgotten.

mod document;
mod register;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Documents;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Levels;
use leasehold_backend_api::level_edit;
use leasehold_domain::Clock;
use leasehold_domain::DocumentSet;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::FeatureLevel;
use leasehold_domain::Precondition;
use leasehold_domain::WallMillis;

pub use self::document::GatewayDocument;
pub use self::document::GatewayId;
pub use self::document::GatewayIdentity;

/// The collection of the gateways' documents.
const COLLECTION: &str = "gateway";
/// How often a change is tried against others.
const TRIES_MAX: usize = 16;

/// The gateways that share a store, as one of them sees them.
#[derive(Debug)]
pub struct SharedGateways {
    documents: Arc<dyn Documents>,
    me: GatewayIdentity,
    levels: Levels,
    clock: Arc<dyn Clock>,
}

/// The gateways of a store, and its feature level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaysView {
    /// The feature level of the store.
    pub level: FeatureLevel,
    /// The gateways that are registered, in the order of their ids.
    pub gateways: Vec<GatewayView>,
}

/// One registered gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayView {
    /// Its id.
    pub id: GatewayId,
    /// Whether it is the one that answers.
    pub is_this: bool,
    /// What it keeps in the store.
    pub document: GatewayDocument,
}

impl SharedGateways {
    /// Returns the id of this gateway.
    #[must_use]
    pub fn id(&self) -> &GatewayId {
        &self.me.id
    }

    /// Returns the gateways as of now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn view(&self) -> Result<GatewaysView, BackendError> {
        Ok(self.read(&self.documents.snapshot().await?))
    }

    fn read(&self, documents: &DocumentSet) -> GatewaysView {
        let gateways = documents.collection(COLLECTION);
        GatewaysView {
            level: documents.feature_level().unwrap_or_default(),
            gateways: gateways
                .map(|document| {
                    let id = GatewayId::of(&document.id);
                    GatewayView {
                        is_this: id == self.me.id,
                        id,
                        document: GatewayDocument::read(&document.body),
                    }
                })
                .collect(),
        }
    }

    /// Raises the feature level of the store, to the highest of this build if `to` is `None`.
    ///
    /// # Errors
    /// `Invalid`: this build, or a registered gateway, does not support the level, or it is below the
    /// present one. The store cannot be read or written.
    pub async fn raise_level(
        &self,
        to: Option<FeatureLevel>,
    ) -> Result<GatewaysView, BackendError> {
        let to = to.unwrap_or(self.levels.max);
        if self.levels.admit(to).is_err() {
            return Err(invalid(format!(
                "this gateway's build supports feature levels {} to {}, not {to}",
                self.levels.min, self.levels.max
            )));
        }
        for _ in 0..TRIES_MAX {
            let documents = self.documents.snapshot().await?;
            let view = self.read(&documents);
            if to < view.level {
                return Err(invalid(format!(
                    "the feature level is {}: it never falls",
                    view.level
                )));
            }
            supported_by_all(to, &view)?;
            if to == view.level {
                return Ok(view);
            }
            let raise = level_edit(to, unchanged_level(&documents));
            if let EditOutcome::Done(_) = self.documents.write(vec![raise]).await? {
                tracing::info!(from = view.level.0, to = to.0, "feature level raised");
                return Ok(GatewaysView { level: to, ..view });
            }
        }
        Err(contended())
    }

    /// Removes the registration of a gateway that does not come back. One that runs registers itself
    /// again.
    ///
    /// # Errors
    /// `Invalid`: no gateway of that id is registered, or it is the one that is asked. The store cannot
    /// be read or written.
    pub async fn forget(&self, id: &str) -> Result<GatewaysView, BackendError> {
        let id = GatewayId::of(id);
        if id == self.me.id {
            return Err(invalid(format!(
                "{id} is the gateway that was asked: ask another one"
            )));
        }
        let view = self.view().await?;
        if !view.gateways.iter().any(|gateway| gateway.id == id) {
            return Err(invalid(format!(
                "no gateway {id} is registered: `leasehold cluster status` shows those that are"
            )));
        }
        let forget = Edit {
            collection: COLLECTION.into(),
            id: id.to_string().into(),
            body: None,
            precondition: Precondition::Any,
            change: None,
        };
        self.documents.write(vec![forget]).await?;
        self.view().await
    }
}

/// The precondition that the level's document is as it was read.
fn unchanged_level(documents: &DocumentSet) -> Precondition {
    let document = documents.get(FeatureLevel::COLLECTION, FeatureLevel::DOCUMENT);
    document.map_or(Precondition::Absent, |document| {
        Precondition::Revision(document.revision)
    })
}

/// Refuses a level that some registered gateways do not support.
fn supported_by_all(level: FeatureLevel, view: &GatewaysView) -> Result<(), BackendError> {
    let behind = view.gateways.iter();
    let behind = behind.filter(|gateway| gateway.document.level_max < level);
    let behind: Vec<String> = behind
        .map(|gateway| {
            let GatewayDocument {
                name,
                level_max,
                seen_unix_ms,
                ..
            } = &gateway.document;
            let seen = crate::telemetry::rfc3339(WallMillis(*seen_unix_ms));
            format!(
                "{} ({name}, supports up to {level_max}, last seen {seen})",
                gateway.id
            )
        })
        .collect();
    match behind.is_empty() {
        true => Ok(()),
        false => Err(invalid(format!(
            "feature level {level} is not supported by gateways {}: start a newer build there, or \
             `leasehold cluster forget-gateway` one that does not come back",
            behind.join(", ")
        ))),
    }
}

fn invalid(detail: String) -> BackendError {
    BackendError::without_effect(ErrorKind::Invalid, detail)
}

fn contended() -> BackendError {
    let detail = "other gateways changed the feature level each time; try again";
    BackendError::without_effect(ErrorKind::Contended, detail)
}
