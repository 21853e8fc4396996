//! `[audit]`

use serde::Deserialize;
use serde::Serialize;

/// What the ledger keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// How renewals are kept.
    pub renewals: Renewals,
}

/// How renewals are kept. Denied ones, and changes of the deciding version, always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Renewals {
    /// As count, first and last in the event of the lease's end.
    #[default]
    Summary,
    /// Each as an event of its own.
    Every,
}

impl Audit {
    /// Whether each renewal is an event of its own.
    #[must_use]
    pub fn records_renewals(&self) -> bool {
        self.renewals == Renewals::Every
    }
}
