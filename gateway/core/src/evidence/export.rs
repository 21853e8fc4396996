//! Exports in JSON Lines, as streams.

use std::sync::Arc;

use futures_util::Stream;
use futures_util::StreamExt as _;
use futures_util::stream;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::TreeQuestion;
use leasehold_domain::Cursor;
use leasehold_evidence::ExportHeader;
use leasehold_evidence::TILE_HASHES;
use leasehold_evidence::leaf_hash;
use leasehold_evidence::leaves_line;
use leasehold_evidence::subtrees;

use super::Evidence;
use super::Signed;
use super::place;
use crate::failure::Failure;
use crate::stores::OpenStore;

/// What is still to be written.
struct Rest {
    ledger: Arc<dyn Ledger>,
    /// The place of the next event, and the one after the last.
    next: u64,
    end: u64,
    /// The cursor of the event before the place 0.
    before: u64,
}

impl Evidence {
    /// Streams the events with the cursors `from` to `to`, both included, and what leads from them to
    /// a signed checkpoint: from the first and to the last that the ledger has, if not given.
    ///
    /// At most 256 events at a time are in memory. A stream that ends early is no export, and says so
    /// when it is verified.
    ///
    /// # Errors
    /// The ledger does not have these events.
    pub async fn export(
        &self,
        store: &OpenStore,
        (from, to): (Option<Cursor>, Option<Cursor>),
    ) -> Result<impl Stream<Item = Result<String, BackendError>> + Send + use<>, Failure> {
        store.ledger_follows().await;
        let Signed { note, head, .. } = self.sign(store)?;
        let first = from.map_or(Ok(0), |from| place(&head, from))?;
        let end = match to {
            Some(to) => place(&head, to)? + 1,
            None => head.size,
        };
        if to < from && to.is_some() {
            return Err(Failure::invalid("last: not before first"));
        }
        let hashes = async |from, to| {
            let nodes = subtrees(from, to).collect();
            let size = head.size;
            let question = TreeQuestion::Nodes { nodes, size };
            store.ledger.tree_hashes(question).await
        };
        let places = (first, head.before.0 + first + 1, end - first);
        let around = (
            &hashes(0, first).await?[..],
            &hashes(end, head.size).await?[..],
        );
        let header = ExportHeader::new(places, around, note).to_line();
        let rest = Rest {
            ledger: store.ledger.clone(),
            next: first,
            end,
            before: head.before.0,
        };
        let blocks = stream::try_unfold(rest, |rest| async move { rest.block().await });
        Ok(stream::iter([Ok(header)]).chain(blocks))
    }
}

impl Rest {
    /// The lines of the next block, up to the end of its tile.
    async fn block(mut self) -> Result<Option<(String, Self)>, BackendError> {
        let of_tile = TILE_HASHES as u64 - self.next % TILE_HASHES as u64;
        let wanted = of_tile.min(self.end - self.next);
        if wanted == 0 {
            return Ok(None);
        }
        let query = LedgerQuery {
            after: Some(Cursor(self.before + self.next)),
            limit: usize::try_from(wanted).unwrap_or(TILE_HASHES),
            ..LedgerQuery::default()
        };
        let rows = self.ledger.query(query).await?.rows;
        if rows.len() as u64 != wanted {
            let detail = format!("{} of {wanted} events can be read", rows.len());
            return Err(BackendError::without_effect(ErrorKind::Corrupt, detail));
        }
        let mut text = String::new();
        let mut leaves = Vec::with_capacity(rows.len());
        for row in &rows {
            leaves.push(leaf_hash(row.body.as_bytes()));
            text.push_str(&row.body);
            text.push('\n');
        }
        text.push_str(&leaves_line(&leaves));
        self.next += wanted;
        Ok(Some((text, self)))
    }
}
