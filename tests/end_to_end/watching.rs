//! Watches: each transition once and in order, also over a gateway that dies and comes again.

use anyhow::Context;
use anyhow::Result;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use serde_json::Value;
use serde_json::json;

const WATCH: &str = "/v1/namespaces/demo/locks:watch";

/// Takes a lock and gives it back, so often.
async fn cycles(api: &Api, lock: &str, count: usize) -> Result<()> {
    for _ in 0..count {
        let grant = api.acquire(lock, 60_000).await?;
        assert_eq!(grant.status, 201, "{grant:?}");
        let released = api.with_lease(lock, "release", grant.text_of("lease_id")?);
        assert_eq!(released.await?.status, 200);
    }
    Ok(())
}

/// What a watcher keeps: the transitions, and where to go on.
#[derive(Default)]
struct Watcher {
    last: Option<String>,
    /// Those of an event whose last one has not come yet; forgotten if the watch is cut off.
    open: Vec<Value>,
    seen: Vec<Value>,
}

impl Watcher {
    /// Follows until it has so many transitions.
    async fn follow(&mut self, api: &Api, path: &str, count: usize) -> Result<()> {
        self.open.clear();
        let mut watch = api.watch(path, self.last.as_deref()).await?;
        while self.seen.len() < count {
            let event = watch.next().await?.context("the watch ends")?;
            assert_ne!(event.event, "resync", "{event:?}");
            if !event.data.is_null() {
                self.open.push(event.data);
            }
            if event.id.is_some() {
                self.last = event.id;
                self.seen.append(&mut self.open);
            }
        }
        Ok(())
    }
}

/// The same of the ledger: cursor, lock and kind of each transition.
async fn written(api: &Api, query: &str) -> Result<Vec<(u64, String, String)>> {
    let mut all = Vec::new();
    for row in api.ledger(query).await? {
        let cursor = row["cursor"].as_u64().context("cursor")?;
        let lock = row["event"]["lock"].as_str().unwrap_or_default();
        for transition in row["event"]["transitions"].as_array().into_iter().flatten() {
            // A watch calls the end of a lease by its cause.
            let name = match transition["type"].as_str() {
                Some("ended") => "cause",
                _ => "type",
            };
            let kind = transition[name].as_str().context("type")?;
            all.push((cursor, lock.to_owned(), kind.to_owned()));
        }
    }
    Ok(all)
}

fn shown(seen: &[Value]) -> Vec<(u64, String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    seen.iter()
        .map(|row| {
            let lock = format!("{}/{}", text(row, "namespace"), text(row, "lock"));
            (
                row["cursor"].as_u64().unwrap_or_default(),
                lock,
                text(row, "transition"),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_watch_goes_on_over_kill_9_with_each_transition_once_and_in_order() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let mut watcher = Watcher::default();
    let api = gateway.admin();
    // From the beginning, so that nothing that happens while it connects is missed.
    watcher.last = Some("0".to_owned());
    cycles(&api, "w/a", 3).await?;
    watcher.follow(&api, WATCH, 4).await?;
    cycles(&api, "w/b", 2).await?;
    gateway.kill().await?;
    gateway.restart().await?;
    let api = gateway.admin();
    cycles(&api, "w/a", 2).await?;
    watcher.follow(&api, WATCH, 14).await?;
    assert_eq!(gateway.terminate().await?, Some(0));
    gateway.restart().await?;
    let api = gateway.admin();
    cycles(&api, "w/c", 1).await?;
    watcher.follow(&api, WATCH, 16).await?;

    let seen = shown(&watcher.seen);
    assert_eq!(seen, written(&api, "namespace=demo").await?);
    let cursors: Vec<u64> = seen.iter().map(|(cursor, ..)| *cursor).collect();
    assert!(cursors.is_sorted(), "{cursors:?}");
    Ok(())
}

#[tokio::test]
async fn a_watch_shows_what_it_was_asked_for_and_no_secrets() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    let one = "/v1/namespaces/demo/locks/w/one:watch";
    let mut lock = api.watch(one, None).await?;
    let mut prefix = api.watch(&format!("{WATCH}?prefix=w/"), None).await?;
    // Each says where it begins before anything happens.
    for watch in [&mut lock, &mut prefix] {
        let begin = watch.next().await?.context("the beginning")?;
        assert!(begin.id.is_some() && begin.data.is_null(), "{begin:?}");
    }
    cycles(&api, "elsewhere", 1).await?;
    cycles(&api, "w/two", 1).await?;
    let grant = api.acquire("w/one", 60_000).await?;
    let lease_id = grant.text_of("lease_id")?;
    for (watch, locks) in [
        (&mut lock, vec!["w/one"]),
        (&mut prefix, vec!["w/two", "w/two", "w/one"]),
    ] {
        for expected in locks {
            let event = watch.next().await?.context("an event")?;
            assert_eq!(event.data["lock"], json!(expected), "{event:?}");
            assert_eq!(event.data["transition"], json!(event.event), "{event:?}");
            assert!(!event.data.to_string().contains(lease_id), "{event:?}");
        }
    }
    let stranger = gateway.api(None).get(one).await?;
    assert_eq!(stranger.status, 401, "{stranger:?}");
    let bad = api
        .request(reqwest::Method::GET, one)
        .header("last-event-id", "x");
    assert_eq!(api.send(bad).await?.status, 422);
    let nowhere = api.get("/v1/namespaces/nowhere/locks:watch").await?;
    assert_eq!(nowhere.code(), "namespace_not_found");
    let odd = api.get(&format!("{WATCH}?since=1")).await?;
    assert_eq!(odd.status, 422, "{odd:?}");
    Ok(())
}

#[tokio::test]
async fn a_watch_begins_after_the_event_that_it_names() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    cycles(&api, "w/a", 2).await?;
    let rows = written(&api, "lock=demo/w/a").await?;
    let second = rows[1].0.to_string();
    let path = "/v1/namespaces/demo/locks/w/a:watch";
    let mut watch = api.watch(path, Some(&second)).await?;
    let mut cursors = Vec::new();
    while cursors.len() < 2 {
        let event = watch.next().await?.context("an event")?;
        cursors.extend(event.data["cursor"].as_u64());
    }
    assert_eq!(cursors, [rows[2].0, rows[3].0]);
    Ok(())
}

#[tokio::test]
async fn a_place_that_is_not_there_is_told_at_once() -> Result<()> {
    let gateway = Gateway::start().await?;
    let api = gateway.admin();
    cycles(&api, "a", 2).await?;
    let mut watch = api.watch(WATCH, None).await?;
    let here = watch
        .next()
        .await?
        .and_then(|event| event.id)
        .context("id")?;
    let (cursor, store) = here.split_once('-').context("a store")?;
    let beyond: u64 = cursor.parse::<u64>()? + 1_000;
    for place in [
        format!("{beyond}-{store}"),
        beyond.to_string(),
        format!("{}-{store}", u64::MAX),
    ] {
        for path in [WATCH, "/v1/namespaces/demo/locks/a:watch"] {
            // The watch is answered when its place has been looked for.
            let told = async {
                let mut watch = api.watch(path, Some(&place)).await?;
                loop {
                    let event = watch.next().await?.context("the watch ends")?;
                    if event.event == "resync" {
                        return anyhow::Ok(event);
                    }
                }
            };
            let resync = tokio::time::timeout(std::time::Duration::from_secs(3), told).await??;
            assert_eq!(resync.data["reason"], "unknown", "{place}: {resync:?}");
        }
    }
    Ok(())
}
