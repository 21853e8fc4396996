//! Feature levels: which entries a build can apply, and which levels the members support.
//!
//! An entry carries the level by whose rules it is applied. A node refuses entries, snapshots and
//! directories of a level that its build does not support, before it stores any of it. It stops at
//! the entry that raises the level of its group above those that it supports. So members of different
//! builds never compute different states from one log.
//!
//! The replicated state has the highest level that each member supports. The level is raised only if
//! all members support the new one; learners and members that are down count. Models: etcd's cluster
//! version, Kubernetes' version skew policy.

use leasehold_backend_api::Levels;
use leasehold_backend_api::UnsupportedLevel;
use openraft::EntryPayload;

use crate::entry::Entry;

/// Checks that the build can apply an entry. Entries below the lowest level pass: they stay in the
/// log after the level was raised.
pub(crate) fn admit_entry(levels: Levels, entry: &Entry) -> Result<(), UnsupportedLevel> {
    let EntryPayload::Normal(payload) = &entry.payload else {
        return Ok(());
    };
    levels.admit_written(payload.0.level)
}
