//! How a blob becomes durable on a majority of the voters.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Digest;
use leasehold_domain::limits::BLOB_BYTES_MAX;

use super::Blobs;
use super::unavailable;
use crate::entry::Membership;
use crate::peer::Request;
use crate::peer::Response;

/// For one answer. A member that is still fetching the blob says so sooner.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// How long a majority may take that is at work.
const MAJORITY_WITHIN: Duration = Duration::from_secs(60);

/// Refuses bytes that are too many for a blob.
pub(crate) fn admit(bytes: &[u8]) -> Result<(), BackendError> {
    if bytes.len() <= BLOB_BYTES_MAX {
        return Ok(());
    }
    let detail = format!(
        "a blob of {} bytes; at most {BLOB_BYTES_MAX} are taken",
        bytes.len()
    );
    Err(BackendError::without_effect(ErrorKind::Invalid, detail))
}

impl Blobs {
    /// The members, as far as the log is applied here.
    pub(crate) fn membership(&self) -> Membership {
        self.applied.read().membership.clone()
    }

    /// Returns once a majority of the voters of `members` has a blob durably. This member has it. In a
    /// joint configuration both majorities count.
    ///
    /// # Errors
    /// `Unavailable`: too few voters can be reached, or can write it.
    pub(crate) async fn replicate(
        &self,
        digest: Digest,
        members: &Membership,
    ) -> Result<(), BackendError> {
        let configs = members.membership().get_joint_config();
        let me = *self.seats.raft.node_id();
        let mut have = BTreeSet::from([me]);
        let others = members.membership().nodes();
        let others = others.filter(|(node, _)| {
            **node != me && configs.iter().any(|voters| voters.contains(*node))
        });
        let mut asked: FuturesUnordered<_> = others
            .map(|(node, at)| self.ask_to_keep(*node, &at.addr, digest))
            .collect();
        let mut refusals = Vec::new();
        let majority = async {
            while !has_majorities(configs, &have) {
                match asked.next().await {
                    Some((node, Ok(()))) => _ = have.insert(node),
                    Some((node, Err(reason))) => refusals.push(format!("member {node}: {reason}")),
                    None => return false,
                }
            }
            true
        };
        match tokio::time::timeout(MAJORITY_WITHIN, majority).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(unavailable(format!(
                "blob {digest}: no majority of the voters has stored it ({})",
                refusals.join("; ")
            ))),
        }
    }

    /// Asks a member to fetch a blob from here until it has it, or cannot be asked for as long as a
    /// request waits for a leader.
    async fn ask_to_keep(
        &self,
        node: u64,
        address: &str,
        digest: Digest,
    ) -> (u64, Result<(), String>) {
        let Some(peers) = &self.peers else {
            return (node, Err("this node has no peers' listener".to_owned()));
        };
        let request = Request::KeepBlob(digest);
        let mut patience = self.seats.patience();
        loop {
            let answer = peers.call(Some(node), address, &request, ANSWER_WITHIN);
            let reason = match answer.await {
                Ok(Response::BlobKept { is_kept: true }) => return (node, Ok(())),
                Ok(Response::BlobKept { is_kept: false }) => {
                    patience = self.seats.patience();
                    continue;
                }
                Ok(Response::Failed(reason)) => reason,
                Ok(_) => "an answer to something else".to_owned(),
                Err(error) => error.to_string(),
            };
            if !patience.again().await {
                return (node, Err(reason));
            }
        }
    }
}

/// Whether these members are a majority of each configuration's voters.
fn has_majorities(configs: &[BTreeSet<u64>], have: &BTreeSet<u64>) -> bool {
    let is_majority = |voters: &BTreeSet<u64>| voters.intersection(have).count() * 2 > voters.len();
    !configs.is_empty() && configs.iter().all(is_majority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_of_voters_counts_in_both_configurations() {
        let set = |nodes: &[u64]| nodes.iter().copied().collect::<BTreeSet<u64>>();
        let three = [set(&[1, 2, 3])];
        assert!(!has_majorities(&three, &set(&[1])));
        assert!(!has_majorities(&three, &set(&[1, 9])), "a learner");
        assert!(has_majorities(&three, &set(&[1, 3])));
        assert!(!has_majorities(&[set(&[1, 2])], &set(&[1])));
        assert!(!has_majorities(&[], &set(&[1])), "no group yet");
        assert!(has_majorities(&[set(&[1])], &set(&[1])));
        let joint = [set(&[1, 2, 3]), set(&[2, 3, 4])];
        assert!(!has_majorities(&joint, &set(&[1, 2])));
        assert!(has_majorities(&joint, &set(&[1, 2, 4])));
        assert!(has_majorities(&joint, &set(&[2, 3])));
    }

    #[test]
    fn a_blob_of_the_limit_is_admitted_and_no_longer_one() {
        assert!(admit(&vec![0; BLOB_BYTES_MAX]).is_ok());
        let refused = admit(&vec![0; BLOB_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Invalid);
    }
}
