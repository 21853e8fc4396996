//! The chain, computed again from the stored bytes.

use leasehold_backend_api::BackendError;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use rusqlite::Statement;

use super::reader::Readers;
use super::state::Shared;
use crate::chain;
use crate::error::without_effect;

/// Rows read in one statement; a longer one would keep the WAL from being begun anew.
const ROWS: i64 = 4_096;

/// The first cursor up to the head that does not fit.
pub(super) fn verify(shared: &Shared, readers: &Readers) -> Result<Option<Cursor>, BackendError> {
    let head = shared.state().head;
    readers.with(|connection| {
        let sqlite = |error: rusqlite::Error| without_effect(&error);
        let mut rows = connection
            .prepare("SELECT seq, body, chain FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")
            .map_err(sqlite)?;
        let mut walk = Walk {
            cursor: 0,
            chain: chain::START,
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
    wrong: bool,
}

impl Walk {
    fn read(&mut self, rows: &mut Statement<'_>, head: u64) -> Result<(), rusqlite::Error> {
        let mut rows = rows.query([self.cursor.cast_signed(), ROWS])?;
        while let Some(row) = rows.next()? {
            if self.cursor == head {
                return Ok(());
            }
            let next = self.cursor + 1;
            let body = row.get_ref(1)?.as_bytes().ok();
            let stored = row.get::<_, [u8; 32]>(2).ok();
            let chain = body.map(|body| chain::next(&self.chain, &chain::leaf(body)));
            let fits = row.get::<_, i64>(0)? == next.cast_signed()
                && chain.is_some_and(|chain| Some(chain.0) == stored);
            let Some(chain) = chain.filter(|_| fits) else {
                self.wrong = true;
                return Ok(());
            };
            (self.cursor, self.chain) = (next, chain);
        }
        Ok(())
    }
}

/// Rows that were all rewritten, chain and all, still differ from what memory knows of the head.
fn wrong_segment(shared: &Shared, walk: &Walk) -> Option<u64> {
    let head = shared.state().head;
    (head.cursor.0 == walk.cursor && head.chain != walk.chain).then_some(walk.cursor)
}
