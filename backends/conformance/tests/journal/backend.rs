//! The two contracts: writes go through the store, reads look at the state.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Documents;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::Freshness;
use leasehold_backend_api::Health;
use leasehold_backend_api::LedgerHead;
use leasehold_backend_api::StoreHistory;
use leasehold_domain::Clock;
use leasehold_domain::Cursor;
use leasehold_domain::Digest;
use leasehold_domain::Document;
use leasehold_domain::DocumentSet;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::Event;
use leasehold_domain::FeatureLevel;
use leasehold_domain::ListQuery;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::NamespaceName;
use leasehold_domain::Outcome;
use leasehold_domain::Page;
use leasehold_domain::RequestId;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use leasehold_domain::Usage;
use leasehold_domain::limits;
use tokio::sync::watch;

use crate::file::What;
use crate::store::Store;

/// A store of locks and documents in one file, for one process.
#[derive(Debug)]
pub(crate) struct JournalBackend {
    store: Arc<Store>,
}

impl JournalBackend {
    /// Opens the file at `path`, or makes it. Blocks; must be called inside a tokio runtime.
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> std::io::Result<Arc<Self>> {
        let store = Store::open(path, clock)?;
        Ok(Arc::new(Self { store }))
    }
}

#[async_trait]
impl Backend for JournalBackend {
    async fn execute(&self, batch: Batch) -> Result<Vec<Outcome>, BackendError> {
        let weight = batch.commands.len() + batch.notes.len();
        if weight > limits::LEASES_PER_RENEWAL_MAX {
            // More could make more tokens for one lock than lie between two floors.
            let detail = format!("{weight} commands are too many");
            return Err(BackendError::without_effect(ErrorKind::Invalid, detail));
        }
        let what = What::Batch {
            commands: batch.commands,
            atomicity: batch.atomicity,
            notes: batch.notes,
        };
        Ok(self.store.write(what).await?.outcomes)
    }

    // Only what is on disk is in the state, so every look at it is linearizable.
    async fn read(&self, lock: &LockRef, _: Freshness) -> Result<LockView, BackendError> {
        Ok(self.store.lock().state.view(lock, self.store.now()))
    }

    async fn list(&self, query: ListQuery) -> Result<Page<LockView>, BackendError> {
        Ok(self.store.lock().state.list(&query, self.store.now()))
    }

    async fn usage(
        &self,
        namespace: &NamespaceName,
        subject: &Subject,
        team: Option<&TeamName>,
    ) -> Result<Usage, BackendError> {
        Ok(self.store.lock().state.usage(namespace, subject, team))
    }

    async fn holds(
        &self,
        lock: &LockRef,
        subject: &Subject,
        request_id: &RequestId,
    ) -> Result<bool, BackendError> {
        Ok(self.store.lock().state.holds(lock, subject, request_id))
    }

    fn events(&self, after: Cursor) -> BoxStream<'static, Result<Arc<Event>, BackendError>> {
        let reader = Reader {
            newest: self.store.newest.subscribe(),
            store: self.store.clone(),
            after,
        };
        stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match reader.next().await {
                Ok(events) => {
                    let events = events.into_iter().map(Ok).collect();
                    Some((stream::iter::<Vec<_>>(events), Some(reader)))
                }
                Err(error) => Some((stream::iter(vec![Err(error)]), None)),
            }
        })
        .flatten()
        .boxed()
    }

    async fn trim(&self, up_to: LedgerHead) -> Result<(), BackendError> {
        self.store.lock().trim(up_to);
        Ok(())
    }

    async fn history(&self) -> Result<StoreHistory, BackendError> {
        let inner = self.store.lock();
        Ok(StoreHistory {
            id: self.store.id,
            newest: inner.state.newest(),
            trimmed: inner.trimmed,
            revision: inner.entries,
            ledger: inner.ledger,
            begins_after: None,
        })
    }

    async fn health(&self) -> Health {
        let inner = self.store.lock();
        Health {
            ready: inner.stopped.is_none(),
            detail: match &inner.stopped {
                Some(stopped) => stopped.detail.clone(),
                None => "a journal in one file".to_owned(),
            },
            newest: inner.state.newest(),
            trimmed: inner.trimmed,
            counts: inner.state.counts(),
            writes: inner.writes,
        }
    }

    async fn close(&self) {
        let closed = BackendError::without_effect(ErrorKind::Closed, "closed");
        self.store.lock().stopped = Some(closed);
    }
}

/// A reader of events, and up to where it has them.
struct Reader {
    store: Arc<Store>,
    newest: watch::Receiver<Cursor>,
    after: Cursor,
}

impl Reader {
    /// The events that are new; waits until there are some.
    async fn next(&mut self) -> Result<Vec<Arc<Event>>, BackendError> {
        loop {
            self.newest.borrow_and_update();
            let events = self.store.after(self.after)?;
            if let Some(last) = events.last() {
                self.after = last.cursor;
                return Ok(events);
            }
            let gone = |_| BackendError::without_effect(ErrorKind::Closed, "the store is gone");
            self.newest.changed().await.map_err(gone)?;
        }
    }
}

#[async_trait]
impl Documents for JournalBackend {
    async fn get(&self, collection: &str, id: &str) -> Result<Option<Document>, BackendError> {
        Ok(self.store.lock().state.document(collection, id))
    }

    async fn list(&self, collection: &str) -> Result<Vec<Document>, BackendError> {
        Ok(self.store.lock().state.documents(collection))
    }

    async fn snapshot(&self) -> Result<DocumentSet, BackendError> {
        Ok(self.store.lock().state.all_documents().clone())
    }

    async fn write(&self, edits: Vec<Edit>) -> Result<EditOutcome, BackendError> {
        Ok(self.store.write(What::Edits(edits)).await?.edited)
    }

    async fn revision(&self) -> Result<u64, BackendError> {
        Ok(self.store.lock().state.documents_revision())
    }

    fn level(&self) -> FeatureLevel {
        FeatureLevel::NEWEST
    }

    fn watch(&self) -> BoxStream<'static, u64> {
        let revisions = Some(self.store.documents.subscribe());
        stream::unfold((revisions, true), |(mut revisions, first)| async move {
            let receiver = revisions.as_mut()?;
            if !first {
                receiver.changed().await.ok()?;
            }
            let revision = *receiver.borrow_and_update();
            Some((revision, (revisions, false)))
        })
        .boxed()
    }

    async fn put_blob(&self, bytes: Arc<[u8]>) -> Result<Digest, BackendError> {
        let digest = Digest::of(&bytes);
        self.store.write(What::Blob(bytes)).await?;
        Ok(digest)
    }

    async fn get_blob(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, BackendError> {
        Ok(self.store.lock().blobs.get(digest).cloned())
    }
}
