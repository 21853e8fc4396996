//! Whether a node may take part: not if its folder is an older copy, which has forgotten votes that
//! it gave and entries that it acknowledged.
//!
//! Each node remembers what its peers have acknowledged to it. A node that starts asks all members
//! that its folder knows what they remember of it. Until they have answered, or cannot be asked, it
//! neither votes nor takes entries; if one remembers more than the folder has, it never does: it
//! must be replaced by a node with a new number.
//!
//! What nobody remembers is not noticed: the memory is that of running processes.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::watch;

use super::Peers;
use super::Request;
use super::Response;
use crate::entry::LogId;

/// How long a node that starts waits for the answers of its peers.
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// What a node has acknowledged: durable at that node when it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Acknowledged {
    /// It voted in this term, or followed its leader.
    pub(crate) term: u64,
    /// It had this entry, as the leader of that term has it.
    pub(crate) last: Option<LogId>,
}

impl Acknowledged {
    /// Whether a folder that has this much is older than one that has acknowledged `other`. A folder
    /// with a later term cannot be compared: its log may have been cut since.
    pub(crate) fn is_older_than(self, other: Self) -> bool {
        self.term < other.term || (self.term == other.term && self.last < other.last)
    }
}

/// What peers have acknowledged to this node.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<HashMap<u64, Acknowledged>>);

impl Memory {
    /// A node has voted in `term`, or has `last` in it.
    pub(crate) fn note(&self, node: u64, term: u64, last: Option<LogId>) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Acknowledged { term, last };
        let known = memory.entry(node).or_insert(new);
        if known.is_older_than(new) {
            *known = new;
        }
    }

    /// What is remembered of a node.
    pub(crate) fn of(&self, node: u64) -> Option<Acknowledged> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.get(&node).copied()
    }

    /// Whether a node that says in `term` that it does not have `entry` has acknowledged it.
    pub(crate) fn contradicts(&self, node: u64, term: u64, entry: Option<LogId>) -> bool {
        let known = self.of(node);
        known.is_some_and(|known| known.term == term && entry.is_some() && known.last >= entry)
    }
}

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

/// Asks the members what they remember of this node, and compares it with what its folder has.
pub(crate) async fn ask(peers: &Peers, members: Vec<(u64, String)>, has: Acknowledged) {
    let me = peers.identity().node();
    let others = members.into_iter().filter(|(node, _)| *node != me);
    let asking = others.map(|(node, address)| async move {
        let answer = peers.call(Some(node), &address, &Request::Recall, ASK_WITHIN);
        match answer.await {
            Ok(Response::Recalled(remembered)) => remembered.map(|remembered| (node, remembered)),
            // A build that does not remember, or a member that is away.
            Ok(_) | Err(_) => None,
        }
    });
    let answers = join_all(asking).await;
    let more = answers
        .into_iter()
        .flatten()
        .find(|(_, remembered)| has.is_older_than(*remembered));
    let standing = match more {
        None => Standing::Member,
        Some((node, remembered)) => Standing::Outdated(describe(me, node, has, remembered)),
    };
    if let Standing::Outdated(problem) = &standing {
        tracing::error!(problem, "cluster.folder is an older copy");
    }
    peers.standing().send_replace(standing);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Term;

    fn at(term: u64, index: u64) -> Option<LogId> {
        Some(LogId::new(Term { term, node_id: 1 }, index))
    }

    #[test]
    fn a_folder_is_older_if_it_has_forgotten_a_vote_or_an_entry() {
        let has = |term, last| Acknowledged { term, last };
        let remembered = has(5, at(4, 100));
        for (folder, older) in [
            (has(4, at(4, 100)), true),
            (has(5, at(4, 99)), true),
            (has(5, None), true),
            (remembered, false),
            (has(5, at(5, 101)), false),
            // Its log may have been cut by a later leader.
            (has(6, at(4, 99)), false),
        ] {
            assert_eq!(folder.is_older_than(remembered), older, "{folder:?}");
        }
    }

    #[test]
    fn memory_never_goes_back() {
        let memory = Memory::default();
        assert_eq!(memory.of(2), None);
        memory.note(2, 5, at(4, 100));
        memory.note(2, 5, at(4, 90));
        memory.note(2, 4, at(4, 110));
        memory.note(2, 5, None);
        let last = at(4, 100);
        assert_eq!(memory.of(2), Some(Acknowledged { term: 5, last }));
        assert!(memory.contradicts(2, 5, at(4, 100)));
        assert!(!memory.contradicts(2, 5, at(4, 101)));
        assert!(!memory.contradicts(2, 6, at(4, 100)));
        assert!(!memory.contradicts(3, 5, at(4, 100)));
        memory.note(2, 6, None);
        assert_eq!(
            memory.of(2),
            Some(Acknowledged {
                term: 6,
                last: None
            })
        );
    }
}
