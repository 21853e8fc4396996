//! `Documents` in memory.

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

use crate::MemoryBackend;

#[async_trait]
impl Documents for MemoryBackend {
    async fn get(&self, collection: &str, id: &str) -> Result<Option<Document>, BackendError> {
        Ok(self.shared.lock().state.document(collection, id))
    }

    async fn list(&self, collection: &str) -> Result<Vec<Document>, BackendError> {
        Ok(self.shared.lock().state.documents(collection))
    }

    async fn snapshot(&self) -> Result<DocumentSet, BackendError> {
        Ok(self.shared.lock().state.all_documents().clone())
    }

    async fn write(&self, edits: Vec<Edit>) -> Result<EditOutcome, BackendError> {
        Ok(self.shared.write(|state, at| state.edit(&edits, at)))
    }

    async fn revision(&self) -> Result<u64, BackendError> {
        Ok(self.shared.lock().state.documents_revision())
    }

    fn level(&self) -> FeatureLevel {
        FeatureLevel::NEWEST
    }

    fn watch(&self) -> BoxStream<'static, u64> {
        WatchStream::new(self.shared.documents.subscribe()).boxed()
    }

    async fn put_blob(&self, bytes: Arc<[u8]>) -> Result<Digest, BackendError> {
        let digest = Digest::of(&bytes);
        self.shared.lock().blobs.insert(digest, bytes);
        Ok(digest)
    }

    async fn get_blob(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, BackendError> {
        Ok(self.shared.lock().blobs.get(digest).cloned())
    }
}
