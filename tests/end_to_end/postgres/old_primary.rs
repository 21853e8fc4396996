//! The old primary is started again on its own, and the new one is gone: nobody grants what the
//! cluster holds, whether the gateway went on, was started again, or has never been here.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Pair;
use leasehold_test_servers::Postgres;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::persist;
use serde_json::json;

use super::super::early::Waits;
use super::PATIENCE;

const UNREPLICATED: &str = "allow_unreplicated = true";

fn config(url: &str, more: &str) -> String {
    format!(
        "[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"{url}\"\n\
         {UNREPLICATED}\n{more}\n"
    )
}

/// A gateway on both servers that held a lock before the failover and takes another after it; the
/// old primary is back on its own, and the new one is gone.
struct Scene {
    pair: Arc<Pair>,
    gateway: Gateway,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn play() -> Result<Self> {
        let pair = Pair::start().await;
        let folder = tempfile::tempdir()?;
        let gateway = Gateway::start_with(GatewayOptions {
            data_dir: Some(folder.path().join("data")),
            config: config(&pair.url("postgres"), ""),
            log: None,
            ..GatewayOptions::default()
        })
        .await?;
        let api = gateway.admin();
        ensure!(api.acquire("before", 600_000).await?.status == 201);
        pair.primary.kill();
        pair.standby.promote().await;
        let ask = json!({ "ttl_ms": 600_000, "request_id": "after" });
        persist(std::slice::from_ref(&api), "after", "acquire", &ask).await?;
        // An operator lets the old one wait for nobody, and the new one's machine is lost.
        pair.primary.begin().await;
        pair.primary.wait_for_standby(false).await;
        pair.standby.kill();
        Ok(Self {
            pair,
            gateway,
            folder,
        })
    }

    fn data_dir(&self) -> &Path {
        self.gateway.data_dir()
    }

    fn copy(&self, name: &str) -> Result<PathBuf> {
        let copy = self.folder.path().join(name);
        let mut command = std::process::Command::new("cp");
        let done = command.arg("-r").arg(self.data_dir()).arg(&copy).status()?;
        ensure!(done.success());
        Ok(copy)
    }

    async fn version(&self) -> Result<String> {
        let version = "SELECT version || ' ' || timeline FROM leasehold.store";
        let rows = self.pair.primary.ask("postgres", version).await;
        rows.into_iter().next().context("a row")
    }
}

/// Every acquire is refused as fenced, until enough were.
async fn is_fenced(api: &Api) -> Result<()> {
    let refused = async {
        let mut fenced = 0;
        while fenced < 10 {
            let Ok(asked) = api.acquire("after", 60_000).await else {
                continue;
            };
            ensure!(asked.status == 503, "{asked:?}");
            fenced += usize::from(asked.code() == "fenced");
            if asked.code() == "fenced" {
                ensure!(asked.body["retryable"] == true, "{asked:?}");
                ensure!(asked.body["effect"] == "none", "{asked:?}");
            }
        }
        let ready = api.get("/readyz").await?;
        ensure!(ready.status == 503, "{ready:?}");
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, refused)
        .await
        .context("it never says that it is fenced")?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_gateway_has_seen_is_not_forgotten() -> Result<()> {
    let mut scene = Scene::play().await?;
    let before = scene.version().await?;
    is_fenced(&scene.gateway.admin()).await?;
    ensure!(scene.gateway.terminate().await? == Some(0));

    // The same folder, with both urls and with the old one's alone.
    let urls = [
        scene.pair.url("postgres"),
        scene.pair.primary.url("postgres"),
    ];
    for (n, url) in urls.iter().enumerate() {
        let data_dir = scene.copy(&format!("again-{n}"))?;
        let mut again = Waits::start(&data_dir, &config(url, ""))?;
        is_fenced(&again.api).await?;
        ensure!(again.terminate().await? == Some(0));
    }
    ensure!(
        scene.version().await? == before,
        "the old primary was written to"
    );

    // It goes on where it was as soon as the new one is back.
    let data_dir = scene.copy("goes-on")?;
    let mut waits = Waits::start(&data_dir, &config(&urls[0], ""))?;
    is_fenced(&waits.api).await?;
    scene.pair.standby.begin().await;
    waits.works().await?;
    ensure!(waits.api.acquire("after", 60_000).await?.code() == "held");
    ensure!(waits.terminate().await? == Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_gateway_knows_what_is_pinned_and_what_other_servers_say() -> Result<()> {
    let mut scene = Scene::play().await?;
    let before = scene.version().await?;
    ensure!(scene.gateway.terminate().await? == Some(0));
    let (old, both) = (
        scene.pair.primary.url("postgres"),
        scene.pair.url("postgres"),
    );
    let fresh = |name: &str| scene.folder.path().join(name);
    let mut pinned = Waits::start(&fresh("pinned"), &config(&old, "timeline_min = 2"))?;
    is_fenced(&pinned.api).await?;
    ensure!(pinned.terminate().await? == Some(0));
    let foreign = config(&old, "system_identifier = 7400000000000000001");
    let mut foreign = Waits::start(&fresh("foreign"), &foreign)?;
    is_fenced(&foreign.api).await?;
    ensure!(foreign.terminate().await? == Some(0));

    // A standby of the new primary is no primary, and knows the timeline all the same.
    scene.pair.standby.begin().await;
    let third = scene.pair.standby.standby().await;
    scene.pair.standby.kill();
    let url = both.replace(
        &format!(":{}/", scene.pair.standby.port()),
        &format!(":{}/", third.port()),
    );
    let mut told = Waits::start(&fresh("told"), &config(&url, ""))?;
    is_fenced(&told.api).await?;
    ensure!(told.terminate().await? == Some(0));
    ensure!(
        scene.version().await? == before,
        "the old primary was written to"
    );
    Ok(())
}

/// The whole server as it was: the same cluster and timeline, and an older position.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_comes_back_older_is_fenced() -> Result<()> {
    let server = Postgres::start().await;
    let folder = tempfile::tempdir()?;
    let options = |config: String| GatewayOptions {
        data_dir: Some(folder.path().join("data")),
        config,
        log: None,
        ..GatewayOptions::default()
    };
    let url = server.url("postgres");
    let mut gateway = Gateway::start_with(options(config(&url, ""))).await?;
    ensure!(gateway.admin().acquire("before", 600_000).await?.status == 201);
    // As a snapshot of its disk.
    server.kill();
    server.save();
    server.begin().await;
    let ask = json!({ "ttl_ms": 600_000, "request_id": "after" });
    let api = gateway.admin();
    persist(std::slice::from_ref(&api), "after", "acquire", &ask).await?;
    ensure!(gateway.terminate().await? == Some(0));
    server.kill();
    server.restore();
    server.begin().await;
    let mut again = Waits::start(gateway.data_dir(), &config(&url, ""))?;
    is_fenced(&again.api).await?;
    ensure!(again.terminate().await? == Some(0));

    // A new cluster at the same address, with nothing in it.
    let empty = Postgres::start().await;
    let url = empty.url("postgres");
    let mut again = Waits::start(gateway.data_dir(), &config(&url, ""))?;
    is_fenced(&again.api).await?;
    ensure!(again.terminate().await? == Some(0));
    Ok(())
}
