//! This node's ledger, as its peers may read it: a late joiner has what its snapshot does not.

use std::sync::Arc;
use std::sync::OnceLock;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Cursor;

/// Rows in one answer.
const ROWS: usize = 500;
/// Bytes of rows in one answer, about; the first row always goes.
const BYTES_MAX: usize = 4 * 1_024 * 1_024;

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
