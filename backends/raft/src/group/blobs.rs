//! Changes of the members leave every blob on a majority of the voters.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;

use super::Changed;
use super::Steward;
use crate::peer::Peers;
use crate::peer::Request;
use crate::peer::Response;

/// Time limit for a member's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long the others may take to have what the leader has, before a voter may leave. A member that is
/// not behind applies an entry within a heartbeat.
const WHOLE_WITHIN: Duration = Duration::from_secs(2);
/// How soon a member is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

impl Steward {
    /// Waits until a new member has fetched the blobs that this node has.
    pub(super) async fn wait_for_blobs(&self, peers: &Peers, node: u64, address: &str) {
        let (applied, missing) = self.blobs.missing();
        becomes_whole(peers, node, address, (applied, missing.len() as u64)).await;
    }

    /// Refuses to go without a voter while too few of the others have the blobs. `with` is to vote from
    /// now on.
    pub(super) async fn check_blobs_without(
        &self,
        peers: &Peers,
        node: u64,
        with: Option<u64>,
    ) -> Changed<()> {
        let me = *self.raft.node_id();
        // Blobs that this member lacks, too, may be lost for good: that must not keep a dead member in.
        let (applied, missing) = self.blobs.missing();
        let here = (applied, missing.len() as u64);
        let voters = self.members().into_iter();
        let voters = voters.filter(|m| (m.voter && m.node != node) || Some(m.node) == with);
        let voters: Vec<_> = voters.collect();
        let asked = voters.iter().map(async |member| {
            let whole = becomes_whole(peers, member.node, &member.address, here);
            member.node == me || tokio::time::timeout(WHOLE_WITHIN, whole).await.is_ok()
        });
        let have = join_all(asked).await;
        if have.iter().filter(|has| **has).count() * 2 > voters.len() {
            return Ok(());
        }
        let behind = voters.iter().zip(have).filter(|(_, has)| !has);
        let behind: BTreeSet<String> = behind.map(|(m, _)| m.node.to_string()).collect();
        let behind: Vec<String> = behind.into_iter().collect();
        let detail = format!(
            "without member {node} too few members would have the policy modules: {} cannot be reached \
             or are still fetching them; ask again",
            behind.join(", ")
        );
        Err(BackendError::without_effect(ErrorKind::Unavailable, detail))
    }
}

/// Waits until a member has applied as much as `here`, and lacks no more blobs.
async fn becomes_whole(peers: &Peers, node: u64, address: &str, here: (u64, u64)) {
    loop {
        let asked = peers.call(Some(node), address, &Request::MissingBlobs, ANSWER_WITHIN);
        if let Ok(Response::MissingBlobs { applied, missing }) = asked.await
            && applied >= here.0
            && missing <= here.1
        {
            return;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}
