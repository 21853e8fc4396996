//! The documents that keep what bindings and namespaces said before.

use serde::Deserialize;
use serde::Serialize;

/// Collection of the [`HistoryDocument`]s of bindings, by the names of the bindings.
pub(crate) const BINDING_HISTORIES: &str = "binding-history";
/// Collection of the [`RevisionDocument`]s of bindings, by `name@number`.
pub(crate) const BINDING_REVISIONS: &str = "binding-revision";
/// Collection of the [`HistoryDocument`]s of namespaces, by the names of the namespaces.
pub(crate) const NAMESPACE_HISTORIES: &str = "namespace-history";
/// Collection of the [`RevisionDocument`]s of namespaces, by `name@number`.
pub(crate) const NAMESPACE_REVISIONS: &str = "namespace-revision";

/// Which revisions of a document are kept. It stays when the document is deleted, so that a document
/// of the same name continues to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HistoryDocument {
    /// The number of the newest revision; the first one has 1.
    pub newest: u64,
    /// The number of the oldest revision that is kept.
    pub oldest: u64,
    /// When the document was deleted, in milliseconds since 1970; `None` while it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_ms: Option<u64>,
}

/// One revision of a document: what it said from then on, and who changed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionDocument<T> {
    /// The name of the document. It is stored as `binding`: earlier builds, which keep revisions of
    /// bindings only, read it so.
    #[serde(rename = "binding")]
    pub name: String,
    /// Its number. Numbers of one document grow by one.
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
    /// What the document says since then; `None` if it was deleted.
    pub body: Option<T>,
}

/// What wrote a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevisionOrigin {
    /// The document was created or replaced.
    Put,
    /// It was deleted.
    Delete,
    /// A rollout became full or was rolled back.
    Rollout(String),
    /// The revision with this number was restored.
    Restore(u64),
    /// A build that keeps no revisions had written the document; the next write recorded it.
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
