//! A real gateway process on a free port, with its data in a folder of the test's.

use std::path::Path;
use std::path::PathBuf;
use std::process::Output;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use tempfile::TempDir;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::process::Child;
use tokio::process::Command;

use crate::Api;

/// The first administrator key of every gateway that a test starts.
pub const ADMIN_KEY: &str =
    "lh_bootstrap_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// How long a start, or a stop, may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to start a gateway.
#[derive(Debug, Default)]
pub struct GatewayOptions {
    /// Where its data is; a temporary folder if none.
    pub data_dir: Option<PathBuf>,
    /// More lines for its configuration file.
    pub config: String,
    /// Where its log goes; to the test's standard error if none.
    pub log: Option<PathBuf>,
    /// Which build it is.
    pub build: Build,
}

/// By how much the newest feature level of a debug build of the gateway differs from its source's.
const LEVEL_VARIABLE: &str = "LEASEHOLD_TEST_NEWEST_LEVEL";

/// Which build a gateway is. All are of one source; they differ in their newest feature level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Build {
    /// The one before.
    Before,
    /// This one.
    #[default]
    This,
    /// The next one.
    Next,
    /// The one after that.
    AfterNext,
}

impl Build {
    fn offset(self) -> i8 {
        match self {
            Self::Before => -1,
            Self::This => 0,
            Self::Next => 1,
            Self::AfterNext => 2,
        }
    }
}

/// A running gateway. Killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    url: String,
    admin_url: Option<String>,
    data_dir: PathBuf,
    config: String,
    log: Option<PathBuf>,
    /// The build of the next start.
    build: Build,
    /// Keeps the folder as long as the gateway.
    _folder: Option<TempDir>,
}

/// The path of the `leasehold` binary.
///
/// `cargo test --workspace` has built it beside the tests; a test run on its own builds it if it is
/// not there, and uses what is there if it is.
///
/// # Panics
/// It cannot be built: nothing can be tested then.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| find().expect("the gateway is there, or builds"))
}

/// Another program of the workspace, beside that of the gateway.
#[must_use]
pub fn other_binary(name: &str) -> PathBuf {
    binary().with_file_name(name)
}

fn find() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // Programs are in the profile's folder, tests one below.
    let mut folders = own.ancestors().skip(1).take(2);
    let there = folders.find(|folder| folder.join("leasehold").is_file());
    if let Some(folder) = there {
        return Ok(folder.join("leasehold"));
    }
    let folder = own.parent().and_then(Path::parent);
    let binary = folder.context("the profile's folder")?.join("leasehold");
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--locked",
        "--package",
        "leasehold-cli",
        "--bin",
        "leasehold",
    ]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status()?;
    ensure!(status.success() && binary.is_file(), "cargo build failed");
    Ok(binary)
}

impl Gateway {
    /// Starts a gateway with its defaults and an empty store.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(GatewayOptions::default()).await
    }

    /// Starts a gateway, with the stock policies compiled if another test has started one before.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_with(options: GatewayOptions) -> Result<Self> {
        Self::start_as(options, true).await
    }

    /// Starts a gateway that makes its data directory itself and compiles the stock policies.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_cold(options: GatewayOptions) -> Result<Self> {
        Self::start_as(options, false).await
    }

    async fn start_as(options: GatewayOptions, is_warm: bool) -> Result<Self> {
        let (folder, data_dir) = match options.data_dir {
            Some(data_dir) => (None, data_dir),
            None => {
                let folder = tempfile::tempdir()?;
                let data_dir = folder.path().join("data");
                (Some(folder), data_dir)
            }
        };
        let (warm, compiled) = (warm_modules(), data_dir.join("compiled"));
        if is_warm {
            keep_compiled(&warm, &compiled)?;
        }
        let Spawned {
            child,
            url,
            admin_url,
        } = spawn(
            &data_dir,
            &options.config,
            options.log.as_deref(),
            options.build,
        )
        .await?;
        keep_compiled(&compiled, &warm)?;
        Ok(Self {
            child,
            url,
            admin_url,
            data_dir,
            config: options.config,
            log: options.log,
            build: options.build,
            _folder: folder,
        })
    }

    /// The gateway's address, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where administration is, if it has a listener of its own.
    #[must_use]
    pub fn admin_url(&self) -> Option<&str> {
        self.admin_url.as_deref()
    }

    /// Where its data is.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A client with the administrator's key.
    #[must_use]
    pub fn admin(&self) -> Api {
        Api::new(&self.url, Some(ADMIN_KEY))
    }

    /// A client with another key, or none.
    #[must_use]
    pub fn api(&self, key: Option<&str>) -> Api {
        Api::new(&self.url, key)
    }

    /// Creates a key for a service of `team`, and answers a client with it.
    ///
    /// # Errors
    /// The gateway refuses.
    pub async fn service(&self, subject: &str, team: &str) -> Result<Api> {
        self.principal(subject, team, &[]).await
    }

    /// Creates a key with roles, and answers a client with it.
    ///
    /// # Errors
    /// The gateway refuses.
    pub async fn principal(&self, subject: &str, team: &str, roles: &[&str]) -> Result<Api> {
        let body = serde_json::json!({ "subject": subject, "team": team, "roles": roles });
        let answer = self.admin().post("/v1/keys", &body).await?;
        ensure!(answer.status == 201, "{answer:?}");
        let key = answer.body["key"]
            .as_str()
            .context("the key is shown once")?;
        Ok(self.api(Some(key)))
    }

    /// Runs the command line against it, with `key`, to its end.
    ///
    /// # Errors
    /// It cannot be started, or does not end.
    pub async fn command_line(&self, key: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env("LEASEHOLD_URL", &self.url)
            .env("LEASEHOLD_KEY", key)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        tokio::time::timeout(PATIENCE, command.output())
            .await
            .context("the command does not end")?
            .context("the command does not start")
    }

    /// Kills it as `kill -9` does.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The process id.
    ///
    /// # Errors
    /// It has ended.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the gateway has ended")
    }

    /// Sends it a signal, such as `TERM`.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = std::process::Command::new("kill")
            .args(["-s", name, &self.pid()?.to_string()])
            .status()?;
        ensure!(status.success(), "kill failed");
        Ok(())
    }

    /// Waits until it has ended, and answers its exit code.
    ///
    /// # Errors
    /// It does not end.
    pub async fn ended(&mut self) -> Result<Option<i32>> {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        Ok(status.code())
    }

    /// Asks it to end as an operator does (SIGTERM), and waits; answers its exit code.
    ///
    /// # Errors
    /// It does not end.
    pub async fn terminate(&mut self) -> Result<Option<i32>> {
        self.signal("TERM")?;
        self.ended().await
    }

    /// Chooses the build of the next start.
    pub fn install(&mut self, build: Build) {
        self.build = build;
    }

    /// Starts it again on the same data, on another port.
    ///
    /// # Errors
    /// It does not start.
    pub async fn restart(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            self.kill().await?;
        }
        let log = self.log.as_deref();
        let spawned = spawn(&self.data_dir, &self.config, log, self.build).await?;
        self.child = spawned.child;
        self.url = spawned.url;
        self.admin_url = spawned.admin_url;
        Ok(())
    }
}

/// What the gateways of all tests have compiled of the stock policies, so that each start does not
/// compile them again.
fn warm_modules() -> PathBuf {
    let built = binary().parent().unwrap_or(Path::new("."));
    built.join("compiled-modules")
}

/// Copies compiled modules, unless there are some already.
fn keep_compiled(from: &Path, to: &Path) -> Result<()> {
    if to.exists() || !from.is_dir() {
        return Ok(());
    }
    let parent = to.parent().context("a parent")?;
    std::fs::create_dir_all(parent)?;
    let copy = tempfile::tempdir_in(parent)?;
    let status = std::process::Command::new("cp")
        .args(["-a", "--"])
        .args([from, &copy.path().join("modules")])
        .stderr(Stdio::null())
        .status()?;
    // A gateway that runs may have renamed a file meanwhile; then the next test copies them.
    if status.success() {
        // Another test may have been quicker.
        let _ = std::fs::rename(copy.path().join("modules"), to);
    }
    Ok(())
}

/// A gateway that listens.
struct Spawned {
    child: Child,
    url: String,
    admin_url: Option<String>,
}

async fn spawn(data_dir: &Path, config: &str, log: Option<&Path>, build: Build) -> Result<Spawned> {
    let mut command = Command::new(binary());
    command
        .arg("serve")
        .args(["--listen", "127.0.0.1:0"])
        .arg("--data-dir")
        .arg(data_dir);
    if !config.is_empty() {
        std::fs::create_dir_all(data_dir)?;
        let file = data_dir.with_extension("toml");
        std::fs::write(&file, config)?;
        command.arg("--config").arg(file);
    }
    command
        .env("LEASEHOLD_ADMIN_KEY", ADMIN_KEY)
        .env_remove("LEASEHOLD_URL");
    if build != Build::This {
        command.env(LEVEL_VARIABLE, build.offset().to_string());
    }
    command
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some(log) = log {
        let mut file = std::fs::File::options();
        command.stderr(file.create(true).append(true).open(log)?);
    }
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut admin_url = None;
    let address = tokio::time::timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await? {
            if let Some(address) = line.strip_prefix("administration on ") {
                admin_url = Some(address.trim().to_owned());
            }
            if let Some(address) = line.strip_prefix("listening on ") {
                return Ok(address.trim().to_owned());
            }
        }
        bail!("the gateway ended before it listened")
    });
    let url = match address.await {
        Ok(Ok(url)) => url,
        Ok(Err(error)) => {
            let status = child.wait().await?;
            return Err(error.context(format!("{status}")));
        }
        Err(_) => bail!("the gateway does not listen after {PATIENCE:?}"),
    };
    // Keep reading, so that a full pipe never blocks it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(Spawned {
        child,
        url,
        admin_url,
    })
}
