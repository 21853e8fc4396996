//! Taking a backup: a picture of the store, its blobs, and the ledger up to the picture's last event.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::failure::FailureKind;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream;
use leasehold_audit::CarrierStatus;
use leasehold_backend_api::Backend;
use leasehold_backend_api::Backup;
use leasehold_backend_api::Batch;
use leasehold_backend_api::BlobSource;
use leasehold_backend_api::Ledger;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::LedgerRow;
use leasehold_backend_api::Picture;
use leasehold_domain::Change;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Note;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::BACKUPS_AT_ONCE_MAX;
use leasehold_domain::limits::PAGE_ROWS_MAX;
use tokio::sync::Semaphore;

use super::frame::FORMAT;
use super::frame::FrameWriter;
use super::frame::Head;
use super::frame::PIECE_BYTES;
use crate::caller::Caller;
use crate::failure::Failure;

/// The ledger's word for what is asked.
pub(super) const COLLECTION: &str = "backup";
/// How long the ledger may take to reach the picture.
const LEDGER_WITHIN: Duration = Duration::from_secs(30);
/// When it may be worth asking again for a backup while another is taken.
const BUSY_RETRY_AFTER_MS: u64 = 5_000;

/// Takes backups of a running gateway.
#[derive(Debug)]
pub struct Backups {
    backend: Arc<dyn Backend>,
    /// The store, if it can be backed up.
    store: Option<Arc<dyn Backup>>,
    ledger: Arc<dyn Ledger>,
    carrier: Arc<CarrierStatus>,
    clock: Arc<dyn Clock>,
    slots: Arc<Semaphore>,
}

impl Backups {
    /// Backups of a store and its ledger.
    pub fn new(
        backend: &Arc<dyn Backend>,
        store: Option<Arc<dyn Backup>>,
        ledger: &Arc<dyn Ledger>,
        carrier: &Arc<CarrierStatus>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self {
            backend: backend.clone(),
            store,
            ledger: ledger.clone(),
            carrier: carrier.clone(),
            clock: clock.clone(),
            slots: Arc::new(Semaphore::new(BACKUPS_AT_ONCE_MAX)),
        }
    }

    /// Takes one: its bytes, in order. That it was asked for is in the ledger, and in the backup.
    ///
    /// # Errors
    /// The store cannot be backed up here, or does not answer now; `overloaded` while another backup
    /// is being taken.
    pub async fn take(
        &self,
        caller: &Caller,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, Failure> {
        let missing = "this gateway's store is backed up with its own tools";
        let store = self
            .store
            .as_ref()
            .ok_or_else(|| Failure::invalid(missing))?;
        let slot = self.slots.clone().try_acquire_owned();
        let slot = slot.map_err(|_| busy())?;
        let change = Change {
            request_id: caller.request_id.clone(),
            principal: caller.principal.clone(),
            collection: COLLECTION.into(),
            id: COLLECTION.into(),
            digest: None,
            summary: "asked for a backup".into(),
        };
        let note = Note::Governance(Box::new(change));
        self.backend.execute(Batch::note(note)).await?;
        let picture = store.picture().await?;
        if !self.carrier.reached(picture.newest, LEDGER_WITHIN).await {
            let detail = "the ledger is too far behind for a backup";
            return Err(Failure::new(FailureKind::Unavailable, detail));
        }
        let blobs: Option<Arc<dyn BlobSource>> = Some(store.clone());
        let taking = Taking::begin(picture, blobs, self.ledger.clone(), self.clock.wall());
        let taking = taking
            .await
            .map_err(|error| Failure::internal(error.to_string()))?;
        // The slot is free again when the stream is dropped: read to its end, or given up.
        Ok(stream::try_unfold(
            (taking, slot),
            |(mut taking, slot)| async move {
                let next = taking.next().await?;
                Ok(next.map(|bytes| (Bytes::from(bytes), (taking, slot))))
            },
        ))
    }
}

fn busy() -> Failure {
    Failure {
        retry_after_ms: Some(BUSY_RETRY_AFTER_MS),
        ..Failure::new(
            FailureKind::Overloaded,
            "another backup is being taken; try again when it is done",
        )
    }
}

/// A backup that is being taken.
#[derive(Debug)]
pub struct Taking {
    head: Head,
    picture: Picture,
    blobs: Option<Arc<dyn BlobSource>>,
    ledger: Arc<dyn Ledger>,
    frames: FrameWriter,
    next: Next,
}

/// What comes next.
#[derive(Debug)]
enum Next {
    Head,
    State { from: usize },
    Blobs { from: usize },
    Rows { after: Cursor },
    Nothing,
}

impl Taking {
    /// Begins; the ledger must have reached the picture. `blobs` has the bytes of the picture's blobs,
    /// if there are any.
    pub async fn begin(
        picture: Picture,
        blobs: Option<Arc<dyn BlobSource>>,
        ledger: Arc<dyn Ledger>,
        now: WallMillis,
    ) -> io::Result<Self> {
        let newest = picture.newest.0;
        let chain = match newest.checked_sub(1) {
            None => Digest([0; 32]),
            Some(before) => {
                let last = rows(&*ledger, Cursor(before), 1).await?;
                let last = last.first().filter(|row| row.cursor == picture.newest);
                let missing = || io::Error::other(format!("the ledger has no event {newest}"));
                last.ok_or_else(missing)?.chain
            }
        };
        Ok(Self {
            head: Head {
                format: FORMAT,
                taken_unix_ms: now.0,
                newest,
                revision: picture.revision,
                state_bytes: picture.state.len() as u64,
                chain: chain.to_string(),
            },
            picture,
            blobs,
            ledger,
            frames: FrameWriter::default(),
            next: Next::Head,
        })
    }

    /// The next bytes of the file; none after the last.
    ///
    /// # Errors
    /// The ledger or a blob cannot be read: what was written so far is no backup.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.next {
            Next::Head => {
                self.next = Next::State { from: 0 };
                self.frames.head(&self.head).map(Some)
            }
            Next::State { from } => {
                let state = &self.picture.state;
                let to = state.len().min(from + PIECE_BYTES);
                let (is_last, frame) = (to == state.len(), self.frames.state(&state[from..to]));
                self.next = match is_last {
                    true => Next::Blobs { from: 0 },
                    false => Next::State { from: to },
                };
                if is_last {
                    // The rows that follow may take long, and the state is large.
                    self.picture.state = Vec::new();
                }
                frame.map(Some)
            }
            Next::Blobs { from } => self.blob(from).await.map(Some),
            Next::Rows { after } if after < self.picture.newest => self.rows(after).await.map(Some),
            Next::Rows { .. } => {
                self.next = Next::Nothing;
                self.frames.end().map(Some)
            }
            Next::Nothing => Ok(None),
        }
    }

    /// The next blob that is not lost; no bytes after the last.
    async fn blob(&mut self, mut from: usize) -> io::Result<Vec<u8>> {
        let Some(source) = &self.blobs else {
            self.next = Next::Rows { after: Cursor(0) };
            return Ok(Vec::new());
        };
        while let Some(digest) = self.picture.blobs.get(from) {
            from += 1;
            if let Some(bytes) = source.blob(digest).await.map_err(io::Error::other)? {
                self.next = Next::Blobs { from };
                return self.frames.blob(&bytes);
            }
        }
        self.next = Next::Rows { after: Cursor(0) };
        Ok(Vec::new())
    }

    async fn rows(&mut self, after: Cursor) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.picture.newest.0 - after.0).unwrap_or(usize::MAX);
        let page = rows(&*self.ledger, after, left.min(PAGE_ROWS_MAX)).await?;
        let mut bytes = Vec::new();
        for (row, expected) in page.iter().zip(after.0 + 1..) {
            if row.cursor.0 != expected {
                return Err(io::Error::other(format!(
                    "the ledger has no event {expected}"
                )));
            }
            bytes.extend(self.frames.row(&row.body)?);
        }
        let last = page.last().map(|row| row.cursor);
        let last = last.ok_or_else(|| io::Error::other("the ledger ends too early"))?;
        self.next = Next::Rows { after: last };
        Ok(bytes)
    }
}

async fn rows(ledger: &dyn Ledger, after: Cursor, limit: usize) -> io::Result<Vec<LedgerRow>> {
    let query = LedgerQuery {
        after: Some(after),
        limit,
        ..LedgerQuery::default()
    };
    let page = ledger.query(query).await.map_err(io::Error::other)?;
    Ok(page.rows)
}
