//! The chain, computed again from the stored bytes.

use leasehold_backend_api::BackendError;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_evidence::Edge;
use rusqlite::Statement;

use super::reader::Readers;
use super::state::Shared;
use crate::chunk::Chunk;
use crate::chunk::Written;
use crate::error::without_effect;

/// Chunks read in one statement; a longer one would keep the WAL from being begun anew.
const CHUNKS: i64 = 256;

/// The first cursor up to the head that does not fit.
pub(super) fn verify(shared: &Shared, readers: &Readers) -> Result<Option<Cursor>, BackendError> {
    let (start, head, root) = {
        let state = shared.state();
        (state.start, state.head, state.tree.root())
    };
    readers.with(|connection| {
        let sqlite = |error: rusqlite::Error| without_effect(&error);
        let mut rows = connection
            .prepare(
                "SELECT first, chains, bodies FROM chunks WHERE first > ?1 ORDER BY first LIMIT ?2",
            )
            .map_err(sqlite)?;
        let mut walk = Walk {
            cursor: start.cursor.0,
            chain: start.chain,
            tree: Edge::default(),
            wrong: false,
        };
        while walk.cursor < head.cursor.0 && !walk.wrong {
            let before = walk.cursor;
            walk.read(&mut rows, head.cursor.0).map_err(sqlite)?;
            // Rows are missing at the end.
            walk.wrong |= walk.cursor == before;
        }
        let wrong = if walk.wrong {
            Some(walk.cursor + 1)
        } else if walk.tree.root() != root {
            // The events are those of the chain: it is the stored tree that was changed.
            Some(walk.cursor)
        } else {
            wrong_segment(shared, &walk)
        };
        Ok(wrong.map(Cursor))
    })
}

/// The chain up to a cursor.
struct Walk {
    cursor: u64,
    chain: Digest,
    tree: Edge,
    wrong: bool,
}

impl Walk {
    fn read(&mut self, rows: &mut Statement<'_>, head: u64) -> Result<(), rusqlite::Error> {
        let mut rows = rows.query([self.cursor.cast_signed(), CHUNKS])?;
        while let Some(row) = rows.next()? {
            if self.cursor == head {
                return Ok(());
            }
            let first = row.get::<_, i64>(0)?.cast_unsigned();
            let chains = row.get_ref(1)?.as_blob().ok();
            let bodies = row.get_ref(2)?.as_blob().ok();
            let chunk = chains
                .zip(bodies)
                .filter(|_| first == self.cursor + 1)
                .and_then(|(chains, bodies)| Chunk::read(first, chains, bodies));
            let Some(chunk) = chunk else {
                self.wrong = true;
                return Ok(());
            };
            for (cursor, body, stored) in chunk.events() {
                let written = Written::of(body.as_bytes(), &self.chain);
                if written.chain != stored {
                    self.wrong = true;
                    return Ok(());
                }
                self.tree.push(written.leaf, |_, _| {});
                (self.cursor, self.chain) = (cursor, written.chain);
            }
        }
        Ok(())
    }
}

/// Rows that were all rewritten, chain and all, still differ from what memory knows of the head.
fn wrong_segment(shared: &Shared, walk: &Walk) -> Option<u64> {
    let head = shared.state().head;
    (head.cursor.0 == walk.cursor && head.chain != walk.chain).then_some(walk.cursor)
}
