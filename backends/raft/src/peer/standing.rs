//! Whether a node may take part: not if its folder is an older copy, which has forgotten votes that
//! it gave and entries that it acknowledged.
//!
//! Each node remembers what its peers have acknowledged to it. A node that starts asks all members
//! that its folder knows what they remember of it. Until they have answered, or cannot be asked, it
//! neither votes nor takes entries; if one remembers more than the folder has, it never does: it
//! must be replaced by a node with a new number.
//!
//! What nobody remembers is not noticed: the memory is in `peers.json` a little later than in the
//! process, and a member that asks while all others are away hears nothing.

use tokio::sync::watch;

use super::Acknowledged;

/// Whether a node may take part in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It asks its peers.
    Asks,
    /// It may.
    Member,
    /// Its folder is an older copy, for this reason.
    Outdated(String),
}

impl Standing {
    /// Compares what members remember of node `me` with what its folder has.
    pub(super) fn of(
        me: u64,
        has: Acknowledged,
        remembered: impl IntoIterator<Item = (u64, Acknowledged)>,
    ) -> Self {
        let mut remembered = remembered.into_iter();
        match remembered.find(|(_, remembered)| has.is_older_than(*remembered)) {
            None => Self::Member,
            Some((node, remembered)) => Self::Outdated(describe(me, node, has, remembered)),
        }
    }
}

fn describe(me: u64, node: u64, has: Acknowledged, remembered: Acknowledged) -> String {
    let position = |at: Acknowledged| {
        let entry = at.last.map_or(0, |last| last.index);
        format!("entry {entry} in term {}", at.term)
    };
    format!(
        "the data folder of member {me} is an older copy: member {node} remembers that it had {}, \
         and it has {}; it may have forgotten votes and entries, so it takes no part. Empty the \
         folder, start this gateway with cluster.join = true, and ask another member for \
         `leasehold cluster replace {me} ADDRESS`",
        position(remembered),
        position(has)
    )
}

/// Waits until the node knows whether it may take part.
///
/// # Errors
/// It may not; the text says why.
pub(crate) async fn settled(standing: &watch::Sender<Standing>) -> Result<(), String> {
    let mut standing = standing.subscribe();
    let known = standing.wait_for(|standing| *standing != Standing::Asks);
    match known.await.as_deref() {
        Ok(Standing::Outdated(problem)) => Err(problem.clone()),
        // The sender is held by the caller.
        Ok(_) | Err(_) => Ok(()),
    }
}
