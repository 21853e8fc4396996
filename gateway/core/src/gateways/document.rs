//! What a gateway keeps of itself in a store that it shares.

use std::fmt;

use leasehold_domain::FeatureLevel;
use serde::Deserialize;
use serde::Serialize;

/// The random id of a gateway with one of its stores, kept in its data directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GatewayId(Box<str>);

impl GatewayId {
    /// Draws a new id.
    #[must_use]
    pub fn draw() -> Self {
        Self(format!("{:016x}", rand::random::<u64>()).into())
    }

    /// Returns the id that is written so.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who a gateway is to the others of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayIdentity {
    /// Its id.
    pub id: GatewayId,
    /// What it is called: `safe_mode.gateway`, or the name of its host.
    pub name: String,
    /// Its name among the readers of the store's events.
    pub consumer: String,
}

/// The document of one gateway. Members that a build does not know are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayDocument {
    /// What it is called.
    pub name: String,
    /// Its name among the readers of the store's events.
    pub consumer: String,
    /// The version of its build.
    pub build: String,
    /// The lowest feature level that its build supports.
    pub level_min: FeatureLevel,
    /// The highest.
    pub level_max: FeatureLevel,
    /// When it was last there, by its own clock.
    pub seen_unix_ms: u64,
}

impl GatewayDocument {
    /// Reads a document's bytes. One that cannot be read is of a gateway that supports the first level
    /// only: the level is not raised before an operator has looked.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| Self {
            name: "unknown".to_owned(),
            consumer: String::new(),
            build: "unknown".to_owned(),
            level_min: FeatureLevel::FIRST,
            level_max: FeatureLevel::FIRST,
            seen_unix_ms: 0,
        })
    }
}
