//! `Documents` on etcd: the same store as the locks'.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Documents;
use leasehold_domain::Digest;
use leasehold_domain::Document;
use leasehold_domain::DocumentSet;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::FeatureLevel;
use tokio_stream::wrappers::WatchStream;

use crate::EtcdBackend;
use crate::item::Answer;
use crate::item::Item;
use crate::item::Query;

#[async_trait]
impl Documents for EtcdBackend {
    async fn get(&self, collection: &str, id: &str) -> Result<Option<Document>, BackendError> {
        let query = Query::Document(collection.into(), id.into());
        match self.propose(Item::Read(query)).await? {
            Answer::Document(document) => Ok(document),
            other => Self::misfit(&other),
        }
    }

    async fn list(&self, collection: &str) -> Result<Vec<Document>, BackendError> {
        let query = Query::Documents(collection.into());
        match self.propose(Item::Read(query)).await? {
            Answer::Documents(documents) => Ok(documents),
            other => Self::misfit(&other),
        }
    }

    async fn snapshot(&self) -> Result<DocumentSet, BackendError> {
        match self.propose(Item::Read(Query::Snapshot)).await? {
            Answer::Snapshot(documents) => Ok(documents),
            other => Self::misfit(&other),
        }
    }

    async fn write(&self, edits: Vec<Edit>) -> Result<EditOutcome, BackendError> {
        match self.propose(Item::Edits(edits)).await? {
            Answer::Edited(outcome) => Ok(outcome),
            other => Self::misfit(&other),
        }
    }

    async fn revision(&self) -> Result<u64, BackendError> {
        match self.propose(Item::Read(Query::Revision)).await? {
            Answer::Revision(revision) => Ok(revision),
            other => Self::misfit(&other),
        }
    }

    fn level(&self) -> FeatureLevel {
        self.shared.status.level()
    }

    fn watch(&self) -> BoxStream<'static, u64> {
        WatchStream::new(self.shared.outbox.watch_documents()).boxed()
    }

    async fn put_blob(&self, bytes: Arc<[u8]>) -> Result<Digest, BackendError> {
        let digest = Digest::of(&bytes);
        self.aside.put_blob(digest, &bytes).await?;
        Ok(digest)
    }

    async fn get_blob(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, BackendError> {
        self.aside.get_blob(digest).await
    }
}
