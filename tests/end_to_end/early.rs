//! A gateway that is started before it can work: it lives, waits, and works as soon as it can.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Etcd;
use leasehold_test_servers::Postgres;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::free_port;
use tokio::process::Child;
use tokio::process::Command;

use super::cluster::PATIENCE;

/// A gateway that was started, and may not be able to work yet.
pub(super) struct Waits {
    child: Child,
    pub(super) api: Api,
}

impl Waits {
    pub(super) fn start(data_dir: &Path, config: &str) -> Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        std::fs::create_dir_all(data_dir)?;
        let file = data_dir.with_extension("toml");
        std::fs::write(&file, config)?;
        let child = Command::new(leasehold_tests::binary())
            .args(["serve", "--listen", &address])
            .arg("--data-dir")
            .arg(data_dir)
            .arg("--config")
            .arg(&file)
            .env("LEASEHOLD_ADMIN_KEY", ADMIN_KEY)
            .kill_on_drop(true)
            .spawn()?;
        let api = Api::new(&format!("http://{address}"), Some(ADMIN_KEY));
        Ok(Self { child, api })
    }

    /// Asks until it answers as expected.
    async fn until(&self, path: &str, status: u16) -> Result<Answer> {
        let asking = async {
            loop {
                match self.api.get(path).await {
                    Ok(answer) if answer.status == status => return answer,
                    _ => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        let asked = tokio::time::timeout(PATIENCE, asking).await;
        asked.with_context(|| format!("{path} never came to {status}"))
    }

    /// It lives, is not ready, and refuses what it cannot do yet.
    pub(super) async fn says_so(&self) -> Result<()> {
        self.until("/healthz", 200).await?;
        let ready = self.api.get("/readyz").await?;
        ensure!(
            ready.status == 503 && ready.body["ready"] == false,
            "{ready:?}"
        );
        let refused = self.api.get("/v1/cluster").await?;
        ensure!(refused.code() == "unavailable", "{refused:?}");
        ensure!(refused.body["retryable"] == true, "{refused:?}");
        Ok(())
    }

    pub(super) async fn works(&self) -> Result<()> {
        self.until("/readyz", 200).await?;
        let granted = self.api.acquire("early", 60_000).await?;
        ensure!(granted.status == 201, "{granted:?}");
        Ok(())
    }

    /// Asks it to end as an operator does; answers its exit code.
    pub(super) async fn terminate(&mut self) -> Result<Option<i32>> {
        let pid = self.child.id().context("it runs")?.to_string();
        std::process::Command::new("kill")
            .args(["-s", "TERM", &pid])
            .status()?;
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        Ok(ended.code())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_waits_for_its_database() -> Result<()> {
    let server = Postgres::start().await;
    let config = format!(
        "[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"{}\"\n\
         allow_unreplicated = true\n",
        server.url("postgres")
    );
    server.kill();
    let folder = tempfile::tempdir()?;
    let mut early = Waits::start(&folder.path().join("data"), &config)?;
    early.says_so().await?;
    server.begin().await;
    early.works().await?;
    ensure!(early.terminate().await? == Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_waits_until_its_etcd_has_a_leader() -> Result<()> {
    let servers = Etcd::start(3).await;
    let config = format!(
        "[storage]\nbackend = \"etcd\"\n[storage.etcd]\nendpoints = {:?}\n",
        servers.endpoints()
    );
    servers.kill(0);
    servers.kill(1);
    let folder = tempfile::tempdir()?;
    let mut early = Waits::start(&folder.path().join("data"), &config)?;
    early.says_so().await?;
    servers.begin(0);
    early.works().await?;
    ensure!(early.terminate().await? == Some(0));
    Ok(())
}
