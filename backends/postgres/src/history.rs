//! Where the store stands in its history, and what it keeps of a consumer's ledger.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::StoreHistory;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::StoreId;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::aside::Aside;
use crate::aside::keep;
use crate::error;
use crate::transaction::Parameter;
use crate::transaction::unsigned;

/// The oldest position of any ledger that is not before what is trimmed comes last.
const HISTORY: &str = "SELECT history.id, store.newest, store.version, trim.trimmed, \
    consumers.ledger_cursor, consumers.ledger_chain, oldest.ledger_cursor, oldest.ledger_chain \
    FROM leasehold.history, leasehold.store, \
        (SELECT coalesce(min(trimmed), 0) AS trimmed FROM leasehold.consumers) AS trim \
    LEFT JOIN leasehold.consumers ON consumers.name = $1 \
    LEFT JOIN LATERAL (SELECT ledger_cursor, ledger_chain FROM leasehold.consumers \
        WHERE ledger_cursor >= trim.trimmed ORDER BY ledger_cursor LIMIT 1) AS oldest ON true";

impl Aside {
    /// Reads where the store stands, as one snapshot. `is_new` says whether the consumer has become
    /// one by this opening.
    pub(crate) async fn history(
        &self,
        consumer: &str,
        is_new: bool,
    ) -> Result<StoreHistory, BackendError> {
        let (mut held, primary) = self.take().await?;
        let parameters: [Parameter<'_>; 1] = [(&consumer, Type::TEXT)];
        let asking = primary
            .connection
            .client
            .query_typed_one(HISTORY, &parameters);
        let row = self.within(asking).await?;
        keep(&mut held, primary)?;
        read(&row, is_new)
    }
}

fn read(row: &Row, is_new: bool) -> Result<StoreHistory, BackendError> {
    let failed = |failure: tokio_postgres::Error| error::without_effect(&failure);
    let number = |at| row.try_get(at).map(unsigned).map_err(failed);
    let id: &[u8] = row.try_get(0).map_err(failed)?;
    let id = id
        .try_into()
        .map_err(|problem| error::corrupt("history.id", problem))?;
    let trimmed = Cursor(number(3)?);
    let oldest = head(row, 6)?.unwrap_or(LedgerHead {
        cursor: trimmed,
        chain: Digest([0; 32]),
    });
    Ok(StoreHistory {
        id: StoreId::from_bytes(id),
        newest: Cursor(number(1)?),
        trimmed,
        revision: number(2)?,
        ledger: head(row, 4)?,
        begins_after: is_new.then_some(oldest),
    })
}

/// Reads where a ledger was, from two columns.
fn head(row: &Row, at: usize) -> Result<Option<LedgerHead>, BackendError> {
    let failed = |failure: tokio_postgres::Error| error::without_effect(&failure);
    let cursor: Option<i64> = row.try_get(at).map_err(failed)?;
    let chain: Option<&[u8]> = row.try_get(at + 1).map_err(failed)?;
    let Some((cursor, chain)) = cursor.zip(chain) else {
        return Ok(None);
    };
    let chain = chain
        .try_into()
        .map_err(|problem| error::corrupt("consumers.ledger_chain", problem))?;
    Ok(Some(LedgerHead {
        cursor: Cursor(unsigned(cursor)),
        chain: Digest(chain),
    }))
}
