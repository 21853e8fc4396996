//! The watch: what is written by anybody, in order, stamped with when this gateway saw it.

use std::sync::Arc;

use leasehold_domain::Millis;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::Streaming;

use crate::client::Client;
use crate::error;
use crate::error::Refusal;
use crate::keys::Keys;
use crate::proto::KeyValue;
use crate::proto::WatchCreateRequest;
use crate::proto::WatchEvent;
use crate::proto::WatchResponse;
use crate::time::Timekeeper;

/// Writes that may wait for the writer. It takes them before each transaction; if it stands still,
/// so does the watch.
const WAITING_MAX: usize = 4_096;

/// All changes of one revision.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) revision: i64,
    /// When they arrived, on this gateway's clock.
    pub(crate) seen: Millis,
    pub(crate) changes: Vec<Change>,
}

/// A key that was put or deleted.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) put: bool,
    pub(crate) kv: KeyValue,
}

/// What the watch tells.
#[derive(Debug)]
pub(crate) enum News {
    /// Something was written.
    Written(Written),
    /// What the watch would begin with is compacted: the store must be read anew.
    Compacted,
    /// It has ended. Why, for the log.
    Ended(String),
}

/// A watch, and the task that reads it.
#[derive(Debug)]
pub(crate) struct Feed {
    news: mpsc::Receiver<News>,
    task: JoinHandle<()>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Feed {
    /// Follows all that is written from a revision on.
    pub(crate) async fn open(
        client: &Client,
        keys: &Keys,
        from: i64,
        keeper: Arc<Timekeeper>,
    ) -> Result<Self, Status> {
        let (key, range_end) = keys.followed();
        let create = WatchCreateRequest {
            key,
            range_end,
            start_revision: from,
            fragment: true,
        };
        let answers = client.watch(create).await?;
        let (tell, news) = mpsc::channel(WAITING_MAX);
        let task = tokio::spawn(async move {
            let last = match read(answers, &tell, &keeper).await {
                Err(status) if error::refusal(&status) == Refusal::Compacted => News::Compacted,
                Err(status) => News::Ended(error::describe(&status)),
                Ok(last) => last,
            };
            // Nobody listens any more: then nobody needs to know.
            let _ = tell.send(last).await;
        });
        Ok(Self { news, task })
    }

    /// The next news; waits for them.
    pub(crate) async fn next(&mut self) -> News {
        let ended = || News::Ended("the watch is gone".to_owned());
        self.news.recv().await.unwrap_or_else(ended)
    }

    /// The next news, if they are here.
    pub(crate) fn try_next(&mut self) -> Option<News> {
        self.news.try_recv().ok()
    }
}

/// Tells all that comes, revision by revision, until the end.
async fn read(
    mut answers: Streaming<WatchResponse>,
    tell: &mpsc::Sender<News>,
    keeper: &Timekeeper,
) -> Result<News, Status> {
    let mut gathered: Vec<WatchEvent> = Vec::new();
    while let Some(answer) = answers.message().await? {
        if answer.compact_revision > 0 {
            return Ok(News::Compacted);
        }
        if answer.canceled {
            return Ok(News::Ended(answer.cancel_reason));
        }
        gathered.extend(answer.events);
        if answer.fragment {
            continue;
        }
        for written in split(std::mem::take(&mut gathered), keeper.arrival()) {
            if tell.send(News::Written(written)).await.is_err() {
                break;
            }
        }
    }
    Ok(News::Ended("the member has ended the watch".to_owned()))
}

/// An answer may tell of several revisions, of each as a whole and in order.
fn split(events: Vec<WatchEvent>, seen: Millis) -> Vec<Written> {
    let mut all: Vec<Written> = Vec::new();
    for event in events {
        let Some(kv) = event.kv else {
            continue;
        };
        let revision = kv.mod_revision;
        let change = Change {
            put: event.kind == 0,
            kv,
        };
        match all.last_mut().filter(|last| last.revision == revision) {
            Some(last) => last.changes.push(change),
            None => all.push(Written {
                revision,
                seen,
                changes: vec![change],
            }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use prost::bytes::Bytes;

    use super::*;

    fn event(key: &'static str, mod_revision: i64, kind: i32) -> WatchEvent {
        WatchEvent {
            kind,
            kv: Some(KeyValue {
                key: Bytes::from_static(key.as_bytes()),
                mod_revision,
                ..KeyValue::default()
            }),
        }
    }

    #[test]
    fn revisions_are_told_apart() {
        let events = vec![event("a", 3, 0), event("b", 3, 1), event("a", 4, 0)];
        let told = split(events, Millis(7));
        let shape = told.iter().map(|w| (w.revision, w.seen, w.changes.len()));
        assert_eq!(
            shape.collect::<Vec<_>>(),
            [(3, Millis(7), 2), (4, Millis(7), 1)]
        );
        assert!(told[0].changes[0].put && !told[0].changes[1].put);
    }
}
