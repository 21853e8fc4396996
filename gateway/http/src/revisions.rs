//! What the requests for revisions of bindings and of namespaces have in common.

use leasehold_core::failure::Failure;
use leasehold_core::failure::FailureKind;
use leasehold_core::governance::DocumentRevision;
use leasehold_core::governance::FieldChange;
use leasehold_core::governance::Governance;
use leasehold_core::governance::Revised;
use leasehold_core::governance::document::RevisionOrigin;
use leasehold_domain::limits::PAGE_ROWS_MAX;
use leasehold_wire::v1::revisions as wire;
use serde::Deserialize;

/// How many revisions a page has if the request names no number.
const PAGE_DEFAULT: usize = 20;

/// Options of `GET …/revisions`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevisionsOptions {
    /// Only revisions with a lower number: `next_before` of the page before.
    before: Option<u64>,
    /// Most revisions of the page; 20 if absent.
    limit: Option<usize>,
}

/// Options of `GET …/revisions/{number}`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevisionOptions {
    /// Compare with the revision of this number; absent: with the one before.
    against: Option<u64>,
}

/// Returns a page of revisions, newest first, also of a document that was deleted.
///
/// # Errors
/// The limit is invalid; there is, and was, no such document; the store cannot be read.
pub(crate) async fn page<T: Revised, B>(
    governance: &Governance,
    name: &str,
    options: RevisionsOptions,
    show_body: fn(T) -> B,
) -> Result<wire::RevisionList<B>, Failure> {
    let limit = options.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_ROWS_MAX).contains(&limit) {
        let message = format!("limit: must be 1 to {PAGE_ROWS_MAX}");
        return Err(Failure::invalid(message));
    }
    let page = governance.revisions(name, options.before, limit).await?;
    let brief = |revision: DocumentRevision<T>| {
        let changed = revision.changes.iter().map(|one| one.path.clone());
        let changed = changed.collect();
        wire::Revision {
            changed,
            changes: Vec::new(),
            body: None,
            ..show(revision, show_body)
        }
    };
    Ok(wire::RevisionList {
        revisions: page.revisions.into_iter().map(brief).collect(),
        next_before: page.next,
        unrecorded: page.is_unrecorded,
    })
}

/// Returns one revision whole, given the name of the document and the number as the path has them.
///
/// # Errors
/// There is no such revision, or the store cannot be read.
pub(crate) async fn one<T: Revised, B>(
    governance: &Governance,
    (name, number): (&str, &str),
    options: RevisionOptions,
    show_body: fn(T) -> B,
) -> Result<wire::Revision<B>, Failure> {
    let number = number.parse().map_err(|_| {
        let message = format!("{} {name} has no revision {number:?}", T::NOUN);
        Failure::new(FailureKind::NotFound, message)
    })?;
    let revision = governance.revision(name, number, options.against);
    Ok(show(revision.await?, show_body))
}

fn show<T, B>(revision: DocumentRevision<T>, show_body: fn(T) -> B) -> wire::Revision<B> {
    let document = revision.document;
    let (rollout, restored) = match &document.origin {
        RevisionOrigin::Rollout(name) => (Some(name.clone()), None),
        RevisionOrigin::Restore(number) => (None, Some(*number)),
        RevisionOrigin::Put | RevisionOrigin::Delete | RevisionOrigin::RecordedLater => {
            (None, None)
        }
    };
    wire::Revision {
        number: document.number,
        at: document.at,
        by: document.by,
        origin: document.origin.as_str().to_owned(),
        rollout,
        restored,
        reason: document.reason,
        body: document.body.map(show_body),
        against: revision.against,
        changed: Vec::new(),
        changes: revision.changes.into_iter().map(show_change).collect(),
    }
}

/// Shows a field that differs.
pub(crate) fn show_change(change: FieldChange) -> wire::FieldChange {
    wire::FieldChange {
        path: change.path,
        before: change.before,
        after: change.after,
    }
}
