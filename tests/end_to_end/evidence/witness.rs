//! A witness that is not ours: it cosigns what has grown, and notices what has not.

use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_tests::ADMIN_KEY;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use leasehold_tests::free_port;
use leasehold_tests::other_binary;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Child;
use tokio::process::Command;

use super::independent;
use super::key_file;
use super::public_keys;
use super::run;
use super::said;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "witness.example/w1";

/// A witness that runs.
struct Witness {
    folder: TempDir,
    program: PathBuf,
    port: u16,
    key: String,
    serving: Option<Child>,
}

impl Witness {
    async fn new() -> Result<Self> {
        let (folder, program) = (tempfile::tempdir()?, independent("aics-witness").await?);
        let port = free_port()?;
        let mut init = Command::new(&program);
        let listen = format!("127.0.0.1:{port}");
        init.args(["init", "--name", NAME, "--listen", &listen, "--config"]);
        let told = run(init.arg(folder.path().join("witness.json")), PATIENCE).await?;
        let is_key = |word: &&str| word.starts_with(&format!("{NAME}+"));
        let key = told.split_whitespace().find(is_key).context("its key")?;
        Ok(Self {
            key: key.trim_matches(['"', ',']).to_owned(),
            folder,
            program,
            port,
            serving: None,
        })
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("witness.json")
    }

    /// Makes it trust the log of this key, and serve.
    async fn watch(&mut self, log_key: &str) -> Result<()> {
        let origin = log_key.split('+').next().context("a name")?;
        let mut add = Command::new(&self.program);
        add.args(["add-log", "--origin", origin, "--vkey", log_key, "--config"]);
        run(add.arg(self.config()), PATIENCE).await?;
        let mut serve = Command::new(&self.program);
        serve.args(["serve", "--config"]).arg(self.config());
        serve.stdout(Stdio::null()).stderr(Stdio::null());
        self.serving = Some(serve.kill_on_drop(true).spawn()?);
        Ok(())
    }

    /// What a gateway is told of it, and by which key it signs.
    fn gateway(&self, data_dir: &Path, log_key: &str) -> GatewayOptions {
        GatewayOptions {
            data_dir: Some(data_dir.to_owned()),
            config: format!(
                "[audit]\nlog_key_files = [{log_key:?}]\nwitness_interval_ms = 500\n\
                 [[audit.witnesses]]\nurl = \"http://127.0.0.1:{}\"\nkey = {:?}\n",
                self.port, self.key
            ),
            ..GatewayOptions::default()
        }
    }
}

/// The newest cosigned checkpoint, once it has so many events.
async fn cosigned(gateway: &Gateway, events: u64) -> Result<String> {
    let asking = async {
        loop {
            let answer = gateway
                .admin()
                .get("/v1/audit/checkpoint?cosigned=true")
                .await?;
            let size = answer
                .text
                .lines()
                .nth(1)
                .and_then(|line| line.parse().ok());
            if answer.status == 200 && size >= Some(events) {
                return Ok(answer.text);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await?
}

/// The first incident about a witness.
async fn refusal(gateway: &Gateway) -> Result<Value> {
    let asking = async {
        loop {
            let list = gateway.admin().get("/v1/incidents").await?;
            let all = list.body["incidents"].as_array().context("incidents")?;
            if let Some(found) = all.iter().find(|incident| incident["witness"].is_object()) {
                return Ok(found.clone());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await?
}

async fn newest(gateway: &Gateway) -> Result<u64> {
    let checkpoint = gateway.admin().get("/v1/audit/checkpoint").await?;
    let size = checkpoint.text.lines().nth(1).context("a size")?;
    Ok(size.parse()?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => std::fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_cosigns_what_grew_and_notices_what_was_taken_back() -> Result<()> {
    let mut witness = Witness::new().await?;
    let folder = tempfile::tempdir()?;
    let log_key = key_file(folder.path(), "log-key.pem").await?;
    let data_dir = folder.path().join("data");
    let mut gateway = Gateway::start_with(witness.gateway(&data_dir, &log_key)).await?;
    let public = public_keys(&gateway).await?.remove(0);
    // It was asked before it was there, which stops nothing.
    assert_eq!(gateway.admin().acquire("a", 60_000).await?.status, 201);
    witness.watch(&public).await?;
    let note = cosigned(&gateway, newest(&gateway).await?).await?;
    let file = folder.path().join("cosigned.txt");
    std::fs::write(&file, note)?;
    let keys = ["--log-key", &public, "--witness-key", &witness.key];
    let mut verify = Command::new(other_binary("leasehold-evidence"));
    let verified = verify.arg(&file).args(keys).output().await?;
    ensure!(verified.status.success(), "{verified:?}");
    assert!(
        said(&verified).contains("cosigned by witness.example/w1 at "),
        "{verified:?}"
    );

    // It goes on over restarts of the gateway, whose memory of it is gone.
    assert_eq!(gateway.terminate().await?, Some(0));
    let before = folder.path().join("before");
    copy(&data_dir, &before)?;
    let mut gateway = Gateway::start_with(witness.gateway(&data_dir, &log_key)).await?;
    for n in 0..5 {
        gateway.admin().acquire(&format!("b/{n}"), 60_000).await?;
    }
    cosigned(&gateway, newest(&gateway).await?).await?;
    let list = gateway.admin().get("/v1/incidents").await?;
    assert_eq!(list.body["incidents"], serde_json::json!([]), "{list:?}");

    // An operator takes the gateway back to the day before, and goes on with another history.
    assert_eq!(gateway.terminate().await?, Some(0));
    let gateway = Gateway::start_with(witness.gateway(&before, &log_key)).await?;
    let found = refusal(&gateway).await?;
    assert_eq!(found["witness"]["witness"], NAME);
    // It grows beyond what the witness knows, and is another log all the same.
    for n in 0..40 {
        gateway.admin().acquire(&format!("c/{n}"), 60_000).await?;
    }
    on_record(&gateway, found["id"].as_str().context("an id")?).await
}

/// The ledger has the incident, which lasts until an operator acknowledges it.
async fn on_record(gateway: &Gateway, id: &str) -> Result<()> {
    let told = gateway
        .command_line(ADMIN_KEY, &["incident", "show", id])
        .await?;
    assert!(said(&told).contains(NAME), "{told:?}");
    let part = "did not cosign the ledger of store home";
    let reading = async {
        loop {
            let rows = gateway.admin().ledger("operation=governance").await?;
            if rows.iter().any(|row| row.to_string().contains(part)) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reading).await??;
    let seen = ["incident", "acknowledge", id, "--note", "restored a copy"];
    let seen = gateway.command_line(ADMIN_KEY, &seen).await?;
    ensure!(seen.status.success(), "{seen:?}");
    let ending = async {
        loop {
            let path = format!("/v1/incidents/{id}");
            if gateway.admin().get(&path).await?.body["open"] == false {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ending).await?
}
