//! The writer's way to the cluster, and to what others wrote there.

use std::sync::PoisonError;
use std::time::Duration;

use futures_util::FutureExt;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;

use super::Connection;
use super::Writer;
use crate::client::Client;
use crate::error;
use crate::error::Refusal;
use crate::feed::Feed;
use crate::feed::News;
use crate::keys::Keys;
use crate::mirror::Mirror;
use crate::proto::KeyValue;
use crate::proto::RangeRequest;
use crate::proto::RangeResponse;
use crate::transaction;

/// Pauses between attempts to connect begin with this and double.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Keys that are read at once.
const PAGE: i64 = 1_000;
/// How often the store is read anew because it was compacted meanwhile.
const READS_MAX: usize = 5;

impl Writer {
    pub(super) fn connection(&self) -> Result<&Connection, BackendError> {
        let connection = self.connection.as_ref();
        connection.ok_or_else(|| error::unavailable("not connected"))
    }

    /// Connects, unless it is connected, and takes in what was missed.
    pub(super) async fn connect(&mut self, mirror: &mut Mirror) -> Result<(), BackendError> {
        if self.connection.is_some() {
            return Ok(());
        }
        if let Some((rest, failure)) = &mut self.rest {
            if rest.now_or_never().is_none() {
                return Err(failure.clone());
            }
            self.rest = None;
        }
        if let Err(failure) = self.connect_now(mirror).await {
            self.connection = None;
            let rest = Box::pin(tokio::time::sleep(self.pause));
            self.rest = Some((rest, failure.clone()));
            self.pause = (self.pause * 2).min(PAUSE_MAX);
            return Err(failure);
        }
        self.pause = PAUSE_MIN;
        Ok(())
    }

    async fn connect_now(&mut self, mirror: &mut Mirror) -> Result<(), BackendError> {
        let shared = self.shared.clone();
        let connected = shared.members.connect().await;
        let (client, name) = connected.map_err(|f| error::unavailable(f.to_string()))?;
        self.check_cluster(&client).await?;
        if mirror.head == 0 {
            self.read_anew(mirror, &client).await?;
        }
        shared.check_history(mirror)?;
        let (keys, keeper) = (&shared.keys, shared.keeper.clone());
        let feed = Feed::open(&client, keys, mirror.fed.saturating_add(1), keeper).await;
        let feed = feed.map_err(|status| error::read(&status))?;
        self.connection = Some(Connection {
            client: client.clone(),
            feed,
        });
        self.confirm(mirror).await?;
        *shared.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
        shared.status.moved(name);
        tracing::info!(member = name, "etcd connected");
        Ok(())
    }

    /// Endpoints of another cluster than that of the mirror are not spoken to.
    async fn check_cluster(&mut self, client: &Client) -> Result<(), BackendError> {
        let head = transaction::one(self.shared.keys.head());
        let answer = client.range(head).await.map_err(|s| error::read(&s))?;
        let cluster = answer.header.map_or(0, |header| header.cluster_id);
        if self.cluster == 0 {
            self.cluster = cluster;
        }
        match cluster == self.cluster {
            true => Ok(()),
            false => Err(error::unavailable(format!(
                "this is cluster {cluster:x}, and the store is in {:x}",
                self.cluster
            ))),
        }
    }

    /// Reads the whole store.
    async fn read_anew(&self, mirror: &mut Mirror, client: &Client) -> Result<(), BackendError> {
        let shared = &self.shared;
        let (kvs, revision) = read_all(&shared.keys, client).await?;
        let snapshot = mirror.read_anew(&shared.keys, kvs, revision, &shared.keeper)?;
        *mirror = snapshot.mirror;
        shared.outbox.restart(snapshot.base, snapshot.entries);
        tracing::info!(revision, "etcd.store read");
        Ok(())
    }

    /// Takes in what the watch has told meanwhile.
    pub(super) fn drain(&mut self, mirror: &mut Mirror) -> Result<(), BackendError> {
        while let Some(connection) = &mut self.connection {
            let Some(news) = connection.feed.try_next() else {
                break;
            };
            self.take_in(mirror, news)?;
        }
        Ok(())
    }

    pub(super) fn take_in(&mut self, mirror: &mut Mirror, news: News) -> Result<(), BackendError> {
        match news {
            News::Written(written) => {
                let followed = self.shared.follow(mirror, written);
                // It stopped half-way.
                followed.inspect_err(|_| mirror.head = 0)?;
                self.shared.check_history(mirror)
            }
            News::Compacted => {
                mirror.head = 0;
                Err(error::unavailable(
                    "what was missed is compacted: read anew",
                ))
            }
            News::Ended(why) => Err(error::unavailable(why)),
        }
    }

    /// Waits until the mirror has all writes up to a revision.
    pub(super) async fn catch_up(
        &mut self,
        mirror: &mut Mirror,
        to: i64,
    ) -> Result<(), BackendError> {
        let deadline = self.shared.deadline;
        let catching = async {
            while mirror.head < to {
                let news = self.news().await;
                self.take_in(mirror, news)?;
            }
            Ok(())
        };
        let late = || {
            let detail = "the watch does not tell what was written";
            Err(BackendError::without_effect(ErrorKind::Deadline, detail))
        };
        tokio::time::timeout(deadline, catching)
            .await
            .unwrap_or_else(|_| late())
    }

    /// Asks whether the mirror has all that was written, and takes in what it has not. Answers
    /// whether there was nothing of that.
    pub(super) async fn confirm(&mut self, mirror: &mut Mirror) -> Result<bool, BackendError> {
        let head = transaction::one(self.shared.keys.head());
        let client = self.connection()?.client.clone();
        let answer = client.range(head).await.map_err(|s| error::read(&s))?;
        let head = answer.kvs.first().map_or(0, |kv| kv.mod_revision);
        if head < mirror.head {
            let detail = format!("the head was at {} and is at {head}", mirror.head);
            return Err(error::fenced(format!(
                "etcd is older than this gateway has seen it (restored from a snapshot?): {detail}"
            )));
        }
        let current = head == mirror.head;
        self.catch_up(mirror, head).await?;
        self.shared.reached(mirror);
        Ok(current)
    }
}

/// All followed keys as of one revision.
pub(crate) async fn read_all(
    keys: &Keys,
    client: &Client,
) -> Result<(Vec<KeyValue>, i64), BackendError> {
    for _ in 0..READS_MAX {
        match read_pages(keys, client).await {
            Err(status) if error::refusal(&status) == Refusal::Compacted => {}
            answer => return answer.map_err(|status| error::read(&status)),
        }
    }
    Err(error::unavailable("compacted faster than it can be read"))
}

async fn read_pages(keys: &Keys, client: &Client) -> Result<(Vec<KeyValue>, i64), tonic::Status> {
    let (mut key, range_end) = keys.followed();
    let (mut kvs, mut revision) = (Vec::new(), 0);
    loop {
        let page = RangeRequest {
            key: key.clone(),
            range_end: range_end.clone(),
            limit: PAGE,
            revision,
        };
        let RangeResponse {
            header,
            kvs: some,
            more,
        } = client.range(page).await?;
        if revision == 0 {
            revision = header.map_or(0, |header| header.revision);
        }
        kvs.extend(some);
        let Some(last) = kvs.last().filter(|_| more) else {
            return Ok((kvs, revision));
        };
        // The next key there can be.
        key = [&last.key[..], &[0]].concat().into();
    }
}
