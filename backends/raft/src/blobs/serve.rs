//! What a member answers when others ask about blobs.

use std::sync::Arc;
use std::time::Duration;

use leasehold_domain::Digest;
use leasehold_domain::limits::BLOB_PART_BYTES_MAX;

use super::Blobs;
use super::files::BlobFiles;
use crate::peer::Request;
use crate::peer::Response;

/// How long a member that is fetching a blob lets the asking member wait.
const FETCH_ANSWER_WITHIN: Duration = Duration::from_secs(1);

impl Blobs {
    /// Answers what member `from` asks about blobs.
    pub(crate) async fn answer(self: &Arc<Self>, request: Request, from: u64) -> Response {
        match request {
            Request::KeepBlob(digest) => self.keep_from(digest, from).await,
            Request::ReadBlob { digest, offset } => self.part(digest, offset).await,
            Request::MissingBlobs => {
                let (applied, missing) = self.missing();
                let missing = missing.len() as u64;
                Response::MissingBlobs { applied, missing }
            }
            _ => Response::Failed("this is not about blobs".to_owned()),
        }
    }

    /// Fetches a blob from a member that asks for it, and makes it durable here.
    async fn keep_from(self: &Arc<Self>, digest: Digest, node: u64) -> Response {
        let this = self.clone();
        // Goes on beside the answer.
        let fetching = tokio::spawn(async move { this.fetch(digest, Some(node)).await });
        match tokio::time::timeout(FETCH_ANSWER_WITHIN, fetching).await {
            Ok(Ok(Ok(_))) => Response::BlobKept { is_kept: true },
            Ok(Ok(Err(error))) => Response::Failed(error.detail),
            Ok(Err(error)) => Response::Failed(error.to_string()),
            Err(_) => Response::BlobKept { is_kept: false },
        }
    }

    /// Returns a part of this member's copy, for a peer.
    async fn part(&self, digest: Digest, offset: u64) -> Response {
        let read = move |files: &BlobFiles| files.read_part(&digest, offset, BLOB_PART_BYTES_MAX);
        match self.with_files(read).await {
            Ok(Ok(Some(part))) => Response::BlobPart {
                total: part.total,
                bytes: part.bytes,
            },
            Ok(Ok(None)) => {
                self.damaged.notify_one();
                Response::NoBlob
            }
            Ok(Err(error)) => Response::Failed(error.to_string()),
            Err(error) => Response::Failed(error.detail),
        }
    }
}
