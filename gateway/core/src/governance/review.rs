//! Reviews: who passes a denial by break-glass, or recovers a key, acts alone; somebody else looks at it
//! afterwards, and until then it is listed.

use std::collections::BTreeSet;

use leasehold_domain::Cause;
use leasehold_domain::Digest;
use leasehold_domain::Effect;
use leasehold_domain::Enforcement;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::Precondition;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::REVIEW_DUE_MS;
use leasehold_domain::limits::REVIEW_NOTE_BYTES_MAX;
use leasehold_domain::limits::REVIEWS_MAX;

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

/// Returns the review that a decision opens, if it passed a denial by break-glass. The same subject,
/// lock and reason have one review, so that renewals open no further ones.
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
        id: id_of(&["break-glass", subject.as_str(), &lock, reason]),
        kind: "break-glass".to_owned(),
        subject: subject.to_string(),
        summary,
        lock: Some(lock),
        reason: Some(reason.to_string()),
        decision: Some(format!("{:032x}", decision.id)),
        opened_at: crate::telemetry::rfc3339(now),
        due_ms: now.0.saturating_add(REVIEW_DUE_MS),
        closed: None,
    })
}

impl Governance {
    /// Opens a review of a decision that passed a denial by break-glass, before it is carried out. One
    /// that is open for the same subject, lock and reason stays.
    ///
    /// # Errors
    /// `conflict`: too many are open. The store cannot be read or written.
    pub(crate) async fn open_review(&self, caller: &Caller, cause: &Cause) -> Result<(), Failure> {
        let Some(review) = review_of(cause, self.clock.wall()) else {
            return Ok(());
        };
        for _ in 0..WRITES_MAX {
            if self.try_open(caller, &review).await? {
                return Ok(());
            }
        }
        Err(changed_each_time())
    }

    /// Opens a review. Returns whether it is open; if not, others wrote at the same time.
    async fn try_open(&self, caller: &Caller, review: &ReviewDocument) -> Result<bool, Failure> {
        let mut all = self.reviews().await?;
        let before = all.iter().find(|stored| stored.document.id == review.id);
        let exact = match before {
            Some(open) if open.document.closed.is_none() => return Ok(true),
            Some(closed) => Precondition::Revision(closed.revision),
            None => Precondition::Absent,
        };
        let id = &review.id;
        let summary = format!("review {id} opened: {}", review.summary);
        let mut edits = vec![edit(caller, REVIEWS, id, Some(review), exact, summary)?];
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

fn changed_each_time() -> Failure {
    let message = "other writes changed the reviews each time; try again";
    Failure::new(FailureKind::Conflict, message)
}

#[cfg(test)]
mod tests;
