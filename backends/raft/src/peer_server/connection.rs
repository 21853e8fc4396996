//! The answering side of a connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::io::WriteHalf;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::watch;

use super::Coming;
use super::Host;
use crate::identity::GroupId;
use crate::peer::FAREWELL;
use crate::peer::FRAME_BYTES_MAX;
use crate::peer::Frame;
use crate::peer::Request;
use crate::peer::Response;
use crate::peer::Stream;
use crate::peer::Unnumbered;

/// Requests of one peer that are under way at once; more wait in its connection.
const REQUESTS_MAX: usize = 256;
/// A peer that asks nothing for so long has gone, or closes its side soon.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// How long a node that has ended still waits for its own answers.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Answers one peer until it leaves. `said` is the group and the number that it gave.
pub(super) async fn serve(
    host: Arc<Host>,
    stream: Box<dyn Stream>,
    said: (GroupId, u64),
    mut ended: watch::Receiver<bool>,
) {
    let (mut from, to) = tokio::io::split(stream);
    let (answers, waiting) = mpsc::channel(REQUESTS_MAX);
    let writing = tokio::spawn(answer(to, waiting));
    let places = Arc::new(Semaphore::new(REQUESTS_MAX));
    let coming = Coming::default();
    while let Ok(place) = places.clone().acquire_owned().await {
        let read = Frame::read(&mut from, FRAME_BYTES_MAX);
        let read = tokio::select! {
            read = tokio::time::timeout(IDLE_MAX, read) => Some(read),
            _ = ended.wait_for(|ended| *ended) => None,
        };
        let Some(read) = read else {
            farewell(&places, place, &answers).await;
            break;
        };
        let frame = match read {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None)) | Err(_) => break,
            Ok(Err(error)) => {
                tracing::debug!(%error, "peer.read failed");
                break;
            }
        };
        let (host, answers, coming) = (host.clone(), answers.clone(), coming.clone());
        tokio::spawn(async move {
            let response = match frame.decode::<Request>() {
                Ok(request) => host.carry_out(request, said, &coming).await,
                Err(error) => Response::Failed(error.to_string()),
            };
            let bytes = Unnumbered::encode(&response).or_else(|error| {
                // What was done was done: the other side must take it for unknown.
                Unnumbered::encode(&Response::Failed(error.to_string()))
            });
            if let Ok(bytes) = bytes {
                // The connection may be gone; the other side finds out by itself.
                let _ = answers.send(bytes.number(frame.number)).await;
            }
            drop(place);
        });
    }
    drop(answers);
    let _ = writing.await;
}

/// Nothing is read any more. Once all that was read is answered, says so: what is not answered by
/// then was never begun.
async fn farewell(
    places: &Semaphore,
    place: OwnedSemaphorePermit,
    answers: &mpsc::Sender<Vec<u8>>,
) {
    drop(place);
    let all = u32::try_from(REQUESTS_MAX).unwrap_or(u32::MAX);
    let answered = tokio::time::timeout(FAREWELL_MAX, places.acquire_many(all)).await;
    if let (Ok(Ok(_)), Ok(bytes)) = (answered, Unnumbered::empty()) {
        let _ = answers.send(bytes.number(FAREWELL)).await;
    }
}

/// Sends answers, all that are there in one write.
async fn answer(mut to: WriteHalf<Box<dyn Stream>>, mut answers: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut bytes) = answers.recv().await {
        while let Ok(more) = answers.try_recv() {
            bytes.extend_from_slice(&more);
        }
        let sent = async {
            to.write_all(&bytes).await?;
            to.flush().await
        };
        if let Err(error) = sent.await {
            tracing::debug!(%error, "peer.write failed");
            return;
        }
    }
}
