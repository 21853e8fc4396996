//! The documents that keep what bindings said before.

use serde::Deserialize;
use serde::Serialize;

use super::BindingDocument;

/// Collection of [`BindingHistoryDocument`]s, by the names of the bindings.
pub(crate) const BINDING_HISTORIES: &str = "binding-history";
/// Collection of [`BindingRevisionDocument`]s, by `name@number`.
pub(crate) const BINDING_REVISIONS: &str = "binding-revision";

/// Which revisions of a binding are kept. It stays when the binding is deleted, so that a binding of
/// the same name continues to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BindingHistoryDocument {
    /// The number of the newest revision; the first one has 1.
    pub newest: u64,
    /// The number of the oldest revision that is kept.
    pub oldest: u64,
    /// When the binding was deleted, in milliseconds since 1970; `None` while it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_ms: Option<u64>,
}

/// One revision of a binding: what it said from then on, and who changed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingRevisionDocument {
    /// The name of the binding.
    pub binding: String,
    /// Its number. Numbers of one binding grow by one.
    pub number: u64,
    /// When it was written, RFC 3339.
    pub at: String,
    /// The subject that wrote it; `None` if a build that keeps no revisions did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What wrote it.
    pub origin: RevisionOrigin,
    /// The given reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the binding says since then; `None` if it was deleted.
    pub body: Option<BindingDocument>,
}

impl BindingRevisionDocument {
    /// The document's id.
    #[must_use]
    pub fn id(binding: &str, number: u64) -> String {
        format!("{binding}@{number}")
    }
}

/// What wrote a revision of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevisionOrigin {
    /// The binding was created or replaced.
    Put,
    /// It was deleted.
    Delete,
    /// A rollout became full or was rolled back.
    Rollout(String),
    /// The revision with this number was restored.
    Restore(u64),
    /// A build that keeps no revisions had written the binding; the next write recorded it.
    RecordedLater,
}

impl RevisionOrigin {
    /// Returns its name in the API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Rollout(_) => "rollout",
            Self::Restore(_) => "restore",
            Self::RecordedLater => "recorded-later",
        }
    }
}
