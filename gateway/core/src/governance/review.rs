//! Reviews: who passes a denial by break-glass, or recovers a key, acts alone; somebody else looks at it
//! afterwards, and until then it is listed.

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use leasehold_domain::Cause;
use leasehold_domain::Digest;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::Operation;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::Precondition;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::OVERRIDE_TTL_MS_DEFAULT;
use leasehold_domain::limits::REVIEW_DUE_MS;
use leasehold_domain::limits::REVIEW_NOTE_BYTES_MAX;
use leasehold_domain::limits::REVIEWS_MAX;
use leasehold_policy_evaluate::break_glass;

use super::Governance;
use super::Stored;
use super::approval::Descent;
use super::document::ClosedReview;
use super::document::REVIEWS;
use super::document::ReviewDocument;
use super::edit;
use super::writing::deletions;
use crate::caller::Caller;
use crate::failure::Failure;
use crate::failure::FailureKind;
use crate::field_limits::prose;

/// How many hex digits of a digest are an id.
const ID_DIGITS: usize = 32;
/// How often a change is tried against others that write, too.
const WRITES_MAX: usize = 4;

/// The reviews of a gateway's metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReviewCounts {
    /// Those that are open.
    pub open: u64,
    /// Those of them that should have been closed by now.
    pub overdue: u64,
}

/// Returns the review of an administrator's key that `leasehold key recover` has made. `by`: the
/// subject that the ledger names for that.
#[must_use]
pub fn review_of_recovery(key: &str, subject: &str, by: &str, now: WallMillis) -> ReviewDocument {
    ReviewDocument {
        id: id_of(&["key-recovery", key]),
        kind: "key-recovery".to_owned(),
        subject: by.to_owned(),
        summary: format!("key {key} of an administrator, made for {subject} without a gateway"),
        lock: None,
        reason: None,
        ticket: None,
        expires_ms: None,
        decision: None,
        opened_at: crate::telemetry::rfc3339(now),
        due_ms: now.0.saturating_add(REVIEW_DUE_MS),
        closed: None,
    }
}

/// Returns an id that the same parts get again.
fn id_of(parts: &[&str]) -> String {
    let mut id = Digest::of(parts.join("\n").as_bytes()).to_string();
    id.truncate(ID_DIGITS);
    id
}

/// Returns the id of the review of a use of break-glass. The same subject, lock, reason and ticket have
/// one review, so that renewals open no further ones.
fn id_of_override(principal: &Principal, request: &Request, reason: &str) -> String {
    let lock = request.lock.to_string();
    let mut parts = vec!["break-glass", principal.subject.as_str(), &lock, reason];
    parts.extend(request.ticket());
    id_of(&parts)
}

/// Returns when a use of break-glass that begins at `now` ends at the latest. `None` if it allows no
/// lease.
fn end_of_override(request: &Request, now: WallMillis) -> Option<u64> {
    let waits_ms = match request.operation {
        Operation::Acquire => request.wait_ms.unwrap_or(0),
        Operation::Renew => 0,
        _ => return None,
    };
    let lasts_ms = request.override_ttl_ms().unwrap_or(OVERRIDE_TTL_MS_DEFAULT);
    Some(now.0.saturating_add(waits_ms).saturating_add(lasts_ms))
}

/// Returns the review that a decision opens, if it passed a denial by break-glass.
fn review_of(cause: &Cause, now: WallMillis) -> Option<ReviewDocument> {
    let decision = cause.decision.as_ref()?;
    let Effect::Override { reason } = &decision.effect else {
        return None;
    };
    let (subject, lock) = (&cause.principal.subject, cause.request.lock.to_string());
    let overridden = decision.verdicts.iter().filter(|verdict| {
        let denies = !matches!(verdict.answer, PolicyAnswer::Allow(_));
        denies && verdict.enforcement == Enforcement::Overridable
    });
    let policies: Vec<String> = overridden
        .map(|verdict| format!("{}@{}", verdict.policy, verdict.version))
        .collect();
    let summary = format!(
        "{} of {lock} by {subject}, denied by {}, passed by break-glass",
        cause.request.operation.as_str(),
        policies.join(", ")
    );
    Some(ReviewDocument {
        id: id_of_override(&cause.principal, &cause.request, reason),
        kind: "break-glass".to_owned(),
        subject: subject.to_string(),
        summary,
        lock: Some(lock),
        reason: Some(reason.to_string()),
        ticket: cause.request.ticket().map(str::to_owned),
        expires_ms: end_of_override(&cause.request, now),
        decision: Some(format!("{:032x}", decision.id)),
        opened_at: crate::telemetry::rfc3339(now),
        due_ms: now.0.saturating_add(REVIEW_DUE_MS),
        closed: None,
    })
}

impl Governance {
    /// Opens a review of a decision that passed a denial by break-glass, before it is carried out. One
    /// that is open for the same subject, lock, reason and ticket stays; an acquire after the end of the
    /// use that it names begins another, and moves that end.
    ///
    /// # Errors
    /// `conflict`: too many are open. The store cannot be read or written.
    pub(crate) async fn open_review(&self, caller: &Caller, cause: &Cause) -> Result<(), Failure> {
        let Some(review) = review_of(cause, self.clock.wall()) else {
            return Ok(());
        };
        let begins = cause.request.operation == Operation::Acquire;
        for _ in 0..WRITES_MAX {
            if self.try_open(caller, review.clone(), begins).await? {
                return Ok(());
            }
        }
        Err(changed_each_time())
    }

    /// Opens a review. Returns whether it is open; if not, others wrote at the same time. `begins`:
    /// whether the request may begin a use that has ended anew.
    async fn try_open(
        &self,
        caller: &Caller,
        mut review: ReviewDocument,
        begins: bool,
    ) -> Result<bool, Failure> {
        let mut all = self.reviews().await?;
        let before = all.iter().find(|stored| stored.document.id == review.id);
        let (mut done, mut exact) = ("opened", Precondition::Absent);
        if let Some(Stored { document, revision }) = before {
            let now = self.clock.wall().0;
            let ends = document.expires_ms.filter(|end| !begins || *end > now);
            review.expires_ms = ends.or(review.expires_ms);
            let is_open = document.closed.is_none();
            if is_open && review.expires_ms == document.expires_ms {
                return Ok(true);
            }
            if is_open {
                done = "goes on with another use";
                review = ReviewDocument {
                    expires_ms: review.expires_ms,
                    ..document.clone()
                };
            }
            exact = Precondition::Revision(*revision);
        }
        let id = &review.id;
        let summary = format!("review {id} {done}: {}{}", review.summary, terms(&review));
        let mut edits = vec![edit(caller, REVIEWS, id, Some(&review), exact, summary)?];
        if all.len() >= REVIEWS_MAX && before.is_none() {
            all.retain(|stored| stored.document.closed.is_some());
            if all.is_empty() {
                let message = format!("{REVIEWS_MAX} reviews are open: close some first");
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            all.sort_by_key(|stored| stored.document.due_ms);
            edits.extend(deletions(caller, REVIEWS, &all, |closed| &closed.id)?);
        }
        match self.commit(edits).await {
            Ok(_) => Ok(true),
            Err(failure)
                if [FailureKind::PreconditionFailed, FailureKind::NotFound]
                    .contains(&failure.kind) =>
            {
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Closes a review.
    ///
    /// # Errors
    /// `forbidden`: the caller did it, or descends from who did. `conflict`: it is closed. There is
    /// none of that id, or the store cannot write.
    pub async fn close_review(
        &self,
        caller: &Caller,
        id: &str,
        note: &str,
    ) -> Result<Stored<ReviewDocument>, Failure> {
        prose("note", Some(note), REVIEW_NOTE_BYTES_MAX)?;
        for _ in 0..WRITES_MAX {
            let mut stored = self.review(id).await?;
            if note.trim().is_empty() {
                return Err(Failure::invalid("note: say what you found"));
            }
            let document = &mut stored.document;
            if document.closed.is_some() {
                let message = format!("review {id} is closed");
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            let by = caller.principal.subject.to_string();
            let keys = self.keys().await?;
            let did = BTreeSet::from([&*document.subject]);
            if Descent::of(&keys).is_or_descends(&by, &did) {
                let message = "a review is closed by somebody else than who did it, with a key that \
                               they did not create";
                return Err(Failure::new(FailureKind::Forbidden, message));
            }
            let summary = format!("review {id} closed: {}: {note}", document.summary);
            document.closed = Some(ClosedReview {
                by,
                at: crate::telemetry::rfc3339(self.clock.wall()),
                note: note.to_owned(),
            });
            let same = Precondition::Revision(stored.revision);
            let write = self.write(caller, REVIEWS, id, Some(&stored.document), same, summary);
            match write.await {
                Ok(revision) => return Ok(Stored { revision, ..stored }),
                Err(failure) if failure.kind == FailureKind::PreconditionFailed => {}
                Err(failure) => return Err(failure),
            }
        }
        Err(changed_each_time())
    }

    /// One review.
    ///
    /// # Errors
    /// There is none of that id, or the store cannot be read.
    pub async fn review(&self, id: &str) -> Result<Stored<ReviewDocument>, Failure> {
        self.read(REVIEWS, id).await
    }

    /// All reviews.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn reviews(&self) -> Result<Vec<Stored<ReviewDocument>>, Failure> {
        self.list(REVIEWS).await
    }

    /// Returns when the use of break-glass of the same terms as a request ends, or has ended, in
    /// milliseconds since 1970. `None` if
    /// there was none.
    pub(crate) fn override_ends(
        &self,
        principal: &Principal,
        request: &Request,
    ) -> Option<NonZeroU64> {
        let reason = break_glass(principal, request)?;
        let id = id_of_override(principal, request, reason);
        let replica = self.replica();
        let body = &replica.document(REVIEWS, &id)?.body;
        let review: ReviewDocument = serde_json::from_slice(body).ok()?;
        review.expires_ms.and_then(NonZeroU64::new)
    }

    /// Counts the open reviews that this gateway knows of.
    #[must_use]
    pub fn review_counts(&self) -> ReviewCounts {
        let now = self.clock.wall().0;
        let replica = self.replica();
        let mut counts = ReviewCounts::default();
        for row in replica.collection(REVIEWS) {
            if let Ok(review) = serde_json::from_slice::<ReviewDocument>(&row.body) {
                counts.open += u64::from(review.closed.is_none());
                counts.overdue += u64::from(review.is_overdue(now));
            }
        }
        counts
    }
}

/// Returns what the ledger says of ticket and end, besides the summary.
fn terms(review: &ReviewDocument) -> String {
    let mut terms = String::new();
    if let Some(ticket) = &review.ticket {
        terms += &format!(", ticket {ticket}");
    }
    if let Some(end) = review.expires_ms {
        let end = crate::telemetry::rfc3339(WallMillis(end));
        terms += &format!(", until {end} at the latest");
    }
    terms
}

fn changed_each_time() -> Failure {
    let message = "other writes changed the reviews each time; try again";
    Failure::new(FailureKind::Conflict, message)
}

#[cfg(test)]
mod tests;
