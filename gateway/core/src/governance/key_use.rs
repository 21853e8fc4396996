//! The days on which keys were last used, as documents of the store.
//!
//! Authentication notes a use in memory. A task writes what is new once a minute, away from the
//! requests, and the gateway writes the rest when it stops; a gateway that is killed loses the uses
//! of its last minute. These documents make no event: a use is no change that anybody has asked for.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Weak;
use std::time::Duration;

use leasehold_domain::DocumentSet;
use leasehold_domain::Edit;
use leasehold_domain::Precondition;
use leasehold_domain::limits::KEY_USES_PER_WRITE_MAX;
use leasehold_domain::limits::KEY_USES_WRITTEN_EVERY_MS;
use serde::Deserialize;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use super::Governance;
use super::bound::BoundPolicies;
use super::document::KEY_USES;
use super::document::KEYS;
use crate::authentication::UtcDay;
use crate::failure::Failure;

/// How often a write is tried against other gateways that record uses of the same keys.
const WRITES_MAX: usize = 4;

/// When a key was last used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeyUseDocument {
    /// The day in UTC, `YYYY-MM-DD`.
    last_used_on: String,
}

/// Writes uses of keys until governance is dropped.
pub(super) async fn record(governance: Weak<Governance>) -> ControlFlow<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(KEY_USES_WRITTEN_EVERY_MS));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let Some(governance) = governance.upgrade() else {
            return ControlFlow::Break(());
        };
        if let Err(failure) = governance.record_key_uses().await {
            tracing::warn!(message = %failure.message, detail = ?failure.detail, "governance.key_uses not written; tried again in a minute");
        }
    }
}

impl Governance {
    /// Writes the uses of keys that the store does not have yet.
    ///
    /// # Errors
    /// The store cannot write. What was not written is written the next time.
    pub async fn record_key_uses(&self) -> Result<(), Failure> {
        let uses = self.keys.unrecorded_uses();
        for some in uses.chunks(KEY_USES_PER_WRITE_MAX) {
            self.record_some(some).await?;
        }
        Ok(())
    }

    /// Writes the uses of a few keys in one step, over older ones only.
    async fn record_some(&self, uses: &[(Box<str>, UtcDay)]) -> Result<(), Failure> {
        for _ in 0..WRITES_MAX {
            let documents = self.replica().target(None);
            let mut edits: Vec<_> = uses
                .iter()
                .filter_map(|(id, day)| edit(&documents, id, *day))
                .collect();
            if !edits.is_empty() {
                edits.extend(orphans(&documents));
                let written = self.try_commit(edits, BoundPolicies::default()).await?;
                if written.is_err() {
                    // Another gateway was faster with one of them.
                    self.catch_up().await?;
                    continue;
                }
            }
            for (id, day) in uses {
                self.keys.recorded_use(id, *day);
            }
            return Ok(());
        }
        Err(Failure::unsettled())
    }

    /// Returns the days on which keys were last used, `YYYY-MM-DD`, by the ids of the keys: the
    /// latest of what the store has and of what this gateway has not written yet.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn key_uses(&self) -> Result<HashMap<Box<str>, String>, Failure> {
        let stored = self.all(KEY_USES).await?;
        let stored = stored.into_iter();
        let mut uses: HashMap<_, _> = stored
            .filter_map(|row| Some((row.id.clone(), parsed(&row)?.last_used_on)))
            .collect();
        for (id, day) in self.keys.unrecorded_uses() {
            let (used, day) = (uses.entry(id).or_default(), day.to_string());
            if *used < day {
                *used = day;
            }
        }
        Ok(uses)
    }
}

/// Returns the edit that records a use; `None` if a use of that day or a later one is recorded, or
/// if there is no such key.
fn edit(documents: &DocumentSet, id: &str, day: UtcDay) -> Option<Edit> {
    documents.get(KEYS, id)?;
    let found = documents.get(KEY_USES, id);
    let last_used_on = day.to_string();
    let recorded = found.and_then(parsed);
    if recorded.is_some_and(|recorded| recorded.last_used_on >= last_used_on) {
        return None;
    }
    let body = serde_json::to_vec(&KeyUseDocument { last_used_on }).ok()?;
    Some(Edit {
        collection: KEY_USES.into(),
        id: id.into(),
        body: Some(body.into()),
        precondition: found.map_or(Precondition::Absent, |found| {
            Precondition::Revision(found.revision)
        }),
        change: None,
    })
}

/// Returns edits that delete records of keys that are no longer there, a few at a time.
fn orphans(documents: &DocumentSet) -> impl Iterator<Item = Edit> + use<'_> {
    let uses = documents.collection(KEY_USES);
    let orphans = uses.filter(|row| documents.get(KEYS, &row.id).is_none());
    let orphans = orphans.take(KEY_USES_PER_WRITE_MAX);
    orphans.map(|row| Edit {
        collection: KEY_USES.into(),
        id: row.id.clone(),
        body: None,
        precondition: Precondition::Revision(row.revision),
        change: None,
    })
}

/// Parses a record; one that cannot be read counts as none, and is written anew at the next use.
fn parsed(row: &leasehold_domain::Document) -> Option<KeyUseDocument> {
    serde_json::from_slice(&row.body).ok()
}
