//! The ledger's rows in the database, for all gateways. What they mean is not known here.

use std::sync::Arc;

use async_trait::async_trait;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::LedgerArchive;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::LedgerPeers;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_machine::stored;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::PostgresBackend;
use crate::aside::Aside;
use crate::aside::keep;
use crate::error;
use crate::transaction::Parameter;
use crate::transaction::signed;
use crate::transaction::unsigned;

const END: &str = "SELECT cursor, chain FROM leasehold.ledger_end";
/// Only at the end that the writer knows, and only while the server writes the store's timeline:
/// an old primary takes nothing. And only in the history that the gateway has opened.
const EXTEND: &str = "WITH moved AS ( \
    UPDATE leasehold.ledger_end SET cursor = $3, chain = $4 \
    WHERE cursor = $1 AND chain = $2 \
        AND ($6 OR current_setting('synchronous_standby_names') <> '') \
        AND EXISTS (SELECT FROM leasehold.store WHERE timeline = leasehold.timeline()) \
        AND ($7 IS NULL OR EXISTS (SELECT FROM leasehold.history WHERE id = $7)) \
    RETURNING cursor) \
INSERT INTO leasehold.ledger (first, last, chain, rows) SELECT $1 + 1, $3, $4, $5 FROM moved";
const ROWS: &str = "SELECT first, rows FROM leasehold.ledger WHERE last > $1 ORDER BY last LIMIT 1";

/// Rows as they are packed: canonical bytes, and the chain after them.
type Packed = Vec<(Arc<str>, Digest)>;

impl Aside {
    async fn ledger_end(&self) -> Result<LedgerHead, BackendError> {
        let (mut held, primary) = self.take().await?;
        let asking = primary.connection.client.query_typed_one(END, &[]);
        let row = self.within(asking).await?;
        keep(&mut held, primary)?;
        end(&row)
    }

    /// Adds rows that are packed, from `after` to `last`; answers where the ledger ends then.
    async fn extend_ledger(
        &self,
        after: LedgerHead,
        last: LedgerHead,
        rows: &[u8],
    ) -> Result<LedgerHead, BackendError> {
        let (mut held, primary) = self.take().await?;
        let client = &primary.connection.client;
        let (from, to) = (signed(after.cursor.0), signed(last.cursor.0));
        let (before, chain): (&[u8], &[u8]) = (&after.chain.0, &last.chain.0);
        let allowed = self.allows_unreplicated();
        let history = self.shared().known.history();
        let extension: [Parameter<'_>; 7] = [
            (&from, Type::INT8),
            (&before, Type::BYTEA),
            (&to, Type::INT8),
            (&chain, Type::BYTEA),
            (&rows, Type::BYTEA),
            (&allowed, Type::BOOL),
            (&history, Type::BYTEA),
        ];
        let extending = async {
            let (begun, extended, row, committed) = tokio::join!(
                self.begin(&primary),
                client.execute_typed(EXTEND, &extension),
                client.query_typed_one(END, &[]),
                client.batch_execute("COMMIT"),
            );
            let row = begun.and(extended).and(row)?;
            committed.map(|()| row)
        };
        let row = self.within(extending).await?;
        keep(&mut held, primary)?;
        end(&row)
    }

    /// The first packed rows that go beyond a cursor, and the cursor of the first of them.
    async fn ledger_rows(&self, after: Cursor) -> Result<Option<(u64, Packed)>, BackendError> {
        let (mut held, primary) = self.take().await?;
        let from = signed(after.0);
        let parameters: [Parameter<'_>; 1] = [(&from, Type::INT8)];
        let asking = primary.connection.client.query_typed_opt(ROWS, &parameters);
        let row = self.within(asking).await?;
        keep(&mut held, primary)?;
        let unpack = |row: Row| {
            let failed = |failure: tokio_postgres::Error| error::without_effect(&failure);
            let rows = stored::decode(row.try_get(1).map_err(failed)?);
            let rows = rows.map_err(|problem| error::corrupt("ledger.rows", problem))?;
            Ok((unsigned(row.try_get(0).map_err(failed)?), rows))
        };
        row.map(unpack).transpose()
    }
}

fn end(row: &Row) -> Result<LedgerHead, BackendError> {
    let failed = |failure: tokio_postgres::Error| error::without_effect(&failure);
    let chain: &[u8] = row.try_get(1).map_err(failed)?;
    let chain = chain
        .try_into()
        .map_err(|problem| error::corrupt("ledger_end.chain", problem))?;
    Ok(LedgerHead {
        cursor: Cursor(unsigned(row.try_get(0).map_err(failed)?)),
        chain: Digest(chain),
    })
}

#[async_trait]
impl LedgerPeers for PostgresBackend {
    async fn end(&self) -> Result<Option<LedgerHead>, BackendError> {
        self.aside.ledger_end().await.map(Some)
    }

    async fn rows(&self, after: Cursor) -> Result<Vec<LedgerRow>, BackendError> {
        let Some((first, packed)) = self.aside.ledger_rows(after).await? else {
            let detail = format!("the database's ledger ends before event {}", after.0 + 1);
            return Err(BackendError::without_effect(ErrorKind::Unavailable, detail));
        };
        let rows = (first..)
            .zip(packed)
            .map(|(cursor, (body, chain))| LedgerRow {
                cursor: Cursor(cursor),
                body,
                chain,
            });
        Ok(rows.filter(|row| row.cursor > after).collect())
    }
}

#[async_trait]
impl LedgerArchive for PostgresBackend {
    async fn archived(&self) -> Result<LedgerHead, BackendError> {
        self.aside.ledger_end().await
    }

    async fn extend(
        &self,
        after: LedgerHead,
        rows: Vec<LedgerRow>,
    ) -> Result<LedgerHead, BackendError> {
        let Some(last) = rows.last() else {
            return self.archived().await;
        };
        let end = LedgerHead {
            cursor: last.cursor,
            chain: last.chain,
        };
        if end.cursor.0 != after.cursor.0 + rows.len() as u64 {
            let detail = format!("rows after {} have gaps", after.cursor.0);
            return Err(BackendError::without_effect(ErrorKind::Invalid, detail));
        }
        let packed: Packed = rows.into_iter().map(|row| (row.body, row.chain)).collect();
        let packed = stored::pack(&packed);
        self.aside.extend_ledger(after, end, &packed).await
    }
}
