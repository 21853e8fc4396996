//! This node's ledger, as its peers may read it: a late joiner has what its snapshot does not.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerPeers;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Cursor;

use crate::RaftBackend;
use crate::peer::Request;
use crate::peer::Response;

/// Rows in one answer.
const ROWS: usize = 500;
/// Bytes of rows in one answer, about; the first row always goes.
const BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// For one answer.
const WITHIN: Duration = Duration::from_secs(10);

/// The ledger, once somebody has one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Archive(Arc<OnceLock<Arc<dyn Ledger>>>);

impl Archive {
    pub(crate) fn show(&self, ledger: Arc<dyn Ledger>) {
        // The first one stays: a gateway has one.
        let _ = self.0.set(ledger);
    }

    /// Rows after a cursor; none if there is no ledger, or it ends there.
    pub(crate) async fn rows(&self, after: Cursor) -> Result<Vec<LedgerRow>, BackendError> {
        let Some(ledger) = self.0.get() else {
            return Ok(Vec::new());
        };
        let query = LedgerQuery {
            after: Some(after),
            limit: ROWS,
            ..LedgerQuery::default()
        };
        let mut rows = ledger.query(query).await?.rows;
        let mut bytes = 0;
        let fit = rows.iter().take_while(|row| {
            bytes += row.body.len();
            bytes <= BYTES_MAX
        });
        let fit = fit.count().max(1);
        rows.truncate(fit);
        Ok(rows)
    }
}

impl RaftBackend {
    /// Lets the other nodes read this node's ledger.
    pub fn show_ledger(&self, ledger: Arc<dyn Ledger>) {
        self.archive.show(ledger);
    }
}

#[async_trait]
impl LedgerPeers for RaftBackend {
    fn is_alone(&self) -> bool {
        crate::group::view(&self.raft, None).members.len() <= 1
    }

    async fn rows(&self, after: Cursor) -> Result<Vec<LedgerRow>, BackendError> {
        let mut reason = "this group has no other member".to_owned();
        let group = crate::group::view(&self.raft, None);
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
