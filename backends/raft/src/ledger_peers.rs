//! The ledgers of all nodes: this node's is shown to its peers, and theirs are read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerPeers;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Cursor;

use crate::RaftBackend;
use crate::group::view;
use crate::peer::Request;
use crate::peer::Response;

/// For one answer.
const WITHIN: Duration = Duration::from_secs(10);

impl RaftBackend {
    /// Lets the other nodes read this node's ledger.
    pub fn show_ledger(&self, ledger: Arc<dyn Ledger>) {
        self.archive.show(ledger);
    }
}

#[async_trait]
impl LedgerPeers for RaftBackend {
    fn is_alone(&self) -> bool {
        view(&self.raft, &self.applied, None).members.len() <= 1
    }

    async fn rows(&self, after: Cursor) -> Result<Vec<LedgerRow>, BackendError> {
        let mut reason = "this group has no other member".to_owned();
        let group = view(&self.raft, &self.applied, None);
        let others = group
            .members
            .iter()
            .filter(|member| member.node != group.node);
        for member in others {
            let Some(peers) = &self.peers else { break };
            let request = Request::Ledger(after);
            let asked = peers.call(Some(member.node), &member.address, &request, WITHIN);
            match asked.await {
                Ok(Response::Ledger(rows)) if !rows.is_empty() => {
                    return Ok(rows.into_iter().map(Into::into).collect());
                }
                Ok(Response::Failed(detail)) => reason = detail,
                Ok(_) => reason = format!("node {} has no more rows", member.node),
                Err(error) => reason = error.to_string(),
            }
        }
        let detail = format!("rows after {}: {reason}", after.0);
        Err(BackendError::without_effect(ErrorKind::Unavailable, detail))
    }
}
