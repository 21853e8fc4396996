//! `Documents` on a replicated log: the same log as the locks'.

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

use crate::RaftBackend;
use crate::blobs;
use crate::entry::Answer;
use crate::entry::Item;
use crate::error;

#[async_trait]
impl Documents for RaftBackend {
    async fn get(&self, collection: &str, id: &str) -> Result<Option<Document>, BackendError> {
        self.linearize().await?;
        Ok(self.applied.read().state.document(collection, id))
    }

    async fn list(&self, collection: &str) -> Result<Vec<Document>, BackendError> {
        self.linearize().await?;
        Ok(self.applied.read().state.documents(collection))
    }

    async fn snapshot(&self) -> Result<DocumentSet, BackendError> {
        self.linearize().await?;
        Ok(self.applied.read().state.all_documents().clone())
    }

    async fn write(&self, edits: Vec<Edit>) -> Result<EditOutcome, BackendError> {
        match self.propose(Item::Edits(edits)).await? {
            Answer::Edited(outcome) => Ok(outcome),
            _ => Err(error::misfit()),
        }
    }

    async fn revision(&self) -> Result<u64, BackendError> {
        self.linearize().await?;
        Ok(self.applied.read().state.documents_revision())
    }

    fn level(&self) -> FeatureLevel {
        self.applied.read().state.level()
    }

    fn watch(&self) -> BoxStream<'static, u64> {
        WatchStream::new(self.applied.watch_documents()).boxed()
    }

    async fn put_blob(&self, bytes: Arc<[u8]>) -> Result<Digest, BackendError> {
        blobs::admit(&bytes)?;
        if self.poison.is_set() {
            return Err(error::closed());
        }
        // Also: where the group cannot agree, nothing is written.
        self.linearize().await?;
        let digest = self.blobs.write(bytes).await?;
        loop {
            let members = self.blobs.membership();
            self.blobs.replicate(digest, &members).await?;
            if !self.blobs.is_registered(&digest) {
                match self.propose(Item::RegisterBlob { digest }).await? {
                    Answer::BlobRegistered => {}
                    _ => return Err(error::misfit()),
                }
            }
            // The majority was one of the voters that there were before the registration.
            if self.blobs.membership() == members {
                return Ok(digest);
            }
        }
    }

    async fn get_blob(&self, digest: &Digest) -> Result<Option<Arc<[u8]>>, BackendError> {
        if !self.blobs.is_registered(digest) {
            self.linearize().await?;
            if !self.blobs.is_registered(digest) {
                return Ok(None);
            }
        }
        self.blobs.get(*digest).await.map(Some)
    }
}
