//! How a member gets a blob from the others.

use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::Digest;
use leasehold_domain::limits::BLOB_BYTES_MAX;
use openraft::async_runtime::WatchReceiver;
use tokio::sync::watch;

use super::Blobs;
use super::lock;
use super::unavailable;
use crate::peer::Request;
use crate::peer::Response;

/// For one part of a blob. Shorter than the silence after which a link is given up.
const PART_WITHIN: Duration = Duration::from_secs(4);
/// How soon a fetch that failed is tried again in the background.
const FETCH_PAUSE_MIN: Duration = Duration::from_millis(250);
const FETCH_PAUSE_MAX: Duration = Duration::from_secs(30);

impl Blobs {
    /// Fetches a blob from the others, `first` before them all, and makes it durable here. Another
    /// fetch of the same blob is waited for.
    ///
    /// # Errors
    /// As for [`Blobs::get`], or it cannot be written here.
    pub(super) async fn fetch(
        &self,
        digest: Digest,
        first: Option<u64>,
    ) -> Result<Arc<[u8]>, BackendError> {
        let turn = self.turn(digest);
        let _turn = turn.lock().await;
        let here = self.with_files(move |files| files.durable(&digest)).await?;
        if let Some(bytes) = here {
            return Ok(bytes.into());
        }
        let mut refusals = Vec::new();
        for (node, address) in self.others(first) {
            match self.pull(node, &address, digest).await {
                Ok(Some(bytes)) => {
                    let bytes: Arc<[u8]> = bytes.into();
                    self.write(bytes.clone()).await?;
                    tracing::info!(%digest, node, bytes = bytes.len(), "blob.fetched");
                    return Ok(bytes);
                }
                Ok(None) => {}
                Err(reason) => refusals.push(format!("member {node}: {reason}")),
            }
        }
        Err(self.not_found(&digest, &refusals))
    }

    fn not_found(&self, digest: &Digest, refusals: &[String]) -> BackendError {
        let path = self.files.path(digest);
        let here = format!(
            "blob {digest}: {} is missing or damaged, and ",
            path.display()
        );
        if refusals.is_empty() {
            let detail = format!("{here}no other member has it: upload the same bytes again");
            return BackendError::without_effect(ErrorKind::Corrupt, detail);
        }
        unavailable(format!("{here}others cannot say ({})", refusals.join("; ")))
    }

    /// Reads a blob from one member, part by part; `None` if that member has no whole copy.
    async fn pull(
        &self,
        node: u64,
        address: &str,
        digest: Digest,
    ) -> Result<Option<Vec<u8>>, String> {
        let Some(peers) = &self.peers else {
            return Err("this node has no peers' listener".to_owned());
        };
        let mut bytes = Vec::new();
        loop {
            let offset = bytes.len() as u64;
            let request = Request::ReadBlob { digest, offset };
            let answer = peers.call(Some(node), address, &request, PART_WITHIN).await;
            let (total, part) = match answer {
                Ok(Response::BlobPart { total, bytes }) => (total, bytes),
                Ok(Response::NoBlob) => return Ok(None),
                Ok(Response::Failed(reason)) => return Err(reason),
                Ok(_) => return Err("an answer to something else".to_owned()),
                Err(error) => return Err(error.to_string()),
            };
            bytes.extend_from_slice(&part);
            let here = bytes.len() as u64;
            if total > BLOB_BYTES_MAX as u64 || here > total || (part.is_empty() && here < total) {
                return Err(format!("parts of {here} bytes of {total} do not fit"));
            }
            if here == total {
                break;
            }
        }
        let checked =
            tokio::task::spawn_blocking(move || (Digest::of(&bytes) == digest).then_some(bytes));
        let checked = checked.await.map_err(|error| error.to_string())?;
        let damaged = || "its bytes do not fit the digest".to_owned();
        checked.ok_or_else(damaged).map(Some)
    }

    /// All other members, voters and learners: `first` before them all, then the leader.
    fn others(&self, first: Option<u64>) -> Vec<(u64, String)> {
        let metrics = self.seats.raft.metrics();
        let metrics = metrics.borrow_watched();
        let nodes = metrics.membership_config.nodes();
        let others = nodes.filter(|(node, _)| **node != metrics.id);
        let mut others: Vec<_> = others.map(|(node, at)| (*node, at.addr.clone())).collect();
        // The leader can be reached, or this member would follow another.
        let leader = metrics.current_leader;
        let last = |node| (Some(node) != first, Some(node) != leader, node);
        others.sort_by_key(|(node, _)| last(*node));
        others
    }

    /// The turn of one blob's fetches.
    fn turn(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.turns);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&digest).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(digest, Arc::downgrade(&turn));
        turn
    }

    /// Fetches registered blobs that are not here, until the node closes.
    pub(crate) async fn keep_fetched(self: Arc<Self>, mut closing: watch::Receiver<bool>) {
        let mut registered = self.applied.watch_blobs();
        let mut pause = FETCH_PAUSE_MIN;
        loop {
            let fetched = tokio::select! {
                fetched = self.fetch_missing() => fetched,
                _ = closing.wait_for(|closing| *closing) => return,
            };
            let again = async {
                match fetched {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(pause).await,
                }
            };
            tokio::select! {
                _ = registered.changed() => pause = FETCH_PAUSE_MIN,
                () = self.damaged.notified() => pause = FETCH_PAUSE_MIN,
                () = again => pause = (pause * 2).min(FETCH_PAUSE_MAX),
                _ = closing.wait_for(|closing| *closing) => return,
            }
        }
    }

    /// Whether all registered blobs are here afterwards.
    async fn fetch_missing(&self) -> bool {
        let (_, missing) = self.missing();
        let mut all = true;
        for digest in missing {
            if let Err(error) = self.fetch(digest, None).await {
                tracing::warn!(%error, "blob.fetch failed; it is tried again");
                all = false;
            }
        }
        all
    }
}
