//! The archivist: copies the ledger's rows into the store that its gateways share, so that the
//! store may forget the events, and a gateway that starts with an empty folder has all of them.
//!
//! All gateways' ledgers are the same to the byte, so any of them may do it. One does: who finds
//! that the archive has grown without it rests, and looks again later.

use std::sync::Arc;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerArchive;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Cursor;
use leasehold_domain::limits::PAGE_ROWS_MAX;
use tokio::sync::watch;

use crate::CarrierStatus;

/// About the most bytes of rows in one extension; the first row always goes.
const BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// How the archive is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivistOptions {
    /// The least time between two extensions while events come.
    pub every: Duration,
    /// How long to leave the archive to another gateway that extends it.
    pub rest: Duration,
    /// The longest pause after an error; pauses begin at a hundredth of it and double.
    pub backoff_max: Duration,
    /// How long to go on after the shutdown began.
    pub drain: Duration,
}

impl Default for ArchivistOptions {
    fn default() -> Self {
        Self {
            every: Duration::from_millis(250),
            rest: Duration::from_secs(1),
            backoff_max: Duration::from_secs(5),
            drain: Duration::from_secs(10),
        }
    }
}

/// Why archiving stopped before it was told to, or before all was archived.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The archive, or the ledger, refused, and will go on refusing.
    #[error("archiving the ledger")]
    Refused(#[from] BackendError),
    /// Evidence: two ledgers of one store must never differ.
    #[error("up to event {0} the archive's hash chain differs from this ledger's")]
    Differs(u64),
    /// The shutdown's time was over. The events are safe in the store.
    #[error("{0} events were not archived before the shutdown")]
    Undrained(u64),
}

/// Keeps the archive where the ledger is, until `shutdown` turns true (or its sender is gone) and
/// all that the ledger has then is in the archive. `archived` tells up to where it goes, whoever
/// extended it. Errors that may pass are tried again for ever, with growing pauses.
///
/// # Errors
/// On an error that will not pass, or if the shutdown takes longer than its time.
pub async fn archive(
    ledger: Arc<dyn Ledger>,
    archive: Arc<dyn LedgerArchive>,
    options: ArchivistOptions,
    carried: Arc<CarrierStatus>,
    archived: watch::Sender<Cursor>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), ArchiveError> {
    let mut archivist = Archivist {
        ledger,
        archive,
        options,
        archived,
        turn: Turn::Unknown,
        pause: None,
    };
    let mut head = carried.follow();
    // A sender that is gone will never tell: that is a shutdown, too.
    let mut told = Box::pin(async move { shutdown.wait_for(|down| *down).await.is_ok() });
    loop {
        let working = async {
            let archived = archivist.archived.borrow().0;
            // The sender is the carrier's own, and outlives it.
            let behind = head.wait_for(|head| *head > archived).await.is_ok();
            tokio::time::sleep(archivist.options.every).await;
            match behind {
                true => archivist.work().await,
                false => Ok(()),
            }
        };
        let worked = tokio::select! {
            biased;
            _ = &mut told => return archivist.drain().await,
            worked = working => worked,
        };
        if let Err(error) = worked {
            tokio::select! {
                biased;
                _ = &mut told => return archivist.drain().await,
                recovered = archivist.recover(error) => recovered?,
            }
        }
    }
}

/// Who extends the archive, as far as this gateway knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nobody has looked yet, or what was done last is unknown.
    Unknown,
    /// This gateway did last; it ends here.
    Ours(LedgerHead),
    /// Another did, and when this gateway looked last it ended here.
    Theirs(LedgerHead),
}

struct Archivist {
    ledger: Arc<dyn Ledger>,
    archive: Arc<dyn LedgerArchive>,
    options: ArchivistOptions,
    archived: watch::Sender<Cursor>,
    turn: Turn,
    /// The pause after the next error; none if the last step went well.
    pause: Option<Duration>,
}

impl Archivist {
    /// Extends the archive to the ledger's end, if it is this gateway's turn.
    async fn work(&mut self) -> Result<(), ArchiveError> {
        let end = match self.turn {
            Turn::Ours(end) => end,
            Turn::Unknown | Turn::Theirs(_) => self.look().await?,
        };
        if let Turn::Theirs(before) = self.turn
            && before != end
        {
            // It grows without us.
            self.turn = Turn::Theirs(end);
            tokio::time::sleep(self.options.rest).await;
            return Ok(());
        }
        self.extend(end).await
    }

    /// Where the archive ends; it must be where this ledger was, or will be.
    async fn look(&self) -> Result<LedgerHead, ArchiveError> {
        let end = self.archive.archived().await?;
        self.check(end).await?;
        self.archived.send_replace(end.cursor);
        Ok(end)
    }

    async fn check(&self, end: LedgerHead) -> Result<(), ArchiveError> {
        match self.ledger.chain_at(end.cursor).await? {
            Some(own) if own != end.chain => Err(ArchiveError::Differs(end.cursor.0)),
            _ => Ok(()),
        }
    }

    /// Extends the archive from where it ends until it has all, or another gateway was faster.
    async fn extend(&mut self, mut end: LedgerHead) -> Result<(), ArchiveError> {
        while end.cursor < self.ledger.head().cursor {
            let rows = self.rows(end.cursor, PAGE_ROWS_MAX).await?;
            let Some(last) = rows.last().map(|row| row.chain) else {
                break;
            };
            // Until it is known what became of it.
            self.turn = Turn::Unknown;
            let now = self.archive.extend(end, rows).await?;
            if now.chain != last {
                self.turn = Turn::Theirs(now);
                return self.look().await.map(drop);
            }
            (end, self.turn) = (now, Turn::Ours(now));
            self.archived.send_replace(end.cursor);
            self.pause = None;
        }
        Ok(())
    }

    /// The next rows of this ledger, at most so many and not too many bytes.
    async fn rows(&self, after: Cursor, limit: usize) -> Result<Vec<LedgerRow>, BackendError> {
        let query = LedgerQuery {
            after: Some(after),
            limit,
            ..LedgerQuery::default()
        };
        let mut rows = self.ledger.query(query).await?.rows;
        let mut bytes = 0;
        let fit = rows.iter().take_while(|row| {
            bytes += row.body.len();
            bytes <= BYTES_MAX
        });
        let fit = fit.count().max(1);
        rows.truncate(fit);
        Ok(rows)
    }

    /// Waits, if the error may pass.
    async fn recover(&mut self, error: ArchiveError) -> Result<(), ArchiveError> {
        self.turn = Turn::Unknown;
        match &error {
            ArchiveError::Refused(inner) if inner.is_retryable() => {}
            _ => return Err(error),
        }
        let pause = self.pause.unwrap_or(self.options.backoff_max / 100);
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "archiving failed; again in {pause:?}"
        );
        self.pause = Some((pause * 2).min(self.options.backoff_max));
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Archives what the ledger has now, whoever's turn it is, and ends.
    async fn drain(mut self) -> Result<(), ArchiveError> {
        let at_most = self.options.drain;
        let draining = async {
            while *self.archived.borrow() < self.ledger.head().cursor {
                let worked = match self.look().await {
                    Ok(end) => self.extend(end).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = worked {
                    self.recover(error).await?;
                }
            }
            Ok(())
        };
        let drained = tokio::time::timeout(at_most, draining).await;
        drained.unwrap_or_else(|_| {
            let left = self.ledger.head().cursor.0 - self.archived.borrow().0;
            Err(ArchiveError::Undrained(left))
        })
    }
}

#[cfg(test)]
mod tests;
