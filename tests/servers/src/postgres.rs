//! A PostgreSQL server, and standbys of it.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::process;
use crate::process::Process;
use crate::process::as_postgres;
use crate::process::postgres_program;

/// A server, running unless it was killed.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    port: u16,
    /// Whether commits reach the disk. Tests kill processes and no machines; a benchmark counts.
    fsync: bool,
    process: Mutex<Option<Process>>,
    databases: AtomicU32,
}

impl Postgres {
    /// A new, empty server, without a standby.
    pub async fn start() -> Arc<Self> {
        Self::start_with(false).await
    }

    /// The same, with commits that reach the disk or do not.
    pub async fn start_with(fsync: bool) -> Arc<Self> {
        let folder = process::folder();
        let made = as_postgres(&postgres_program("initdb"))
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .args(["--username=postgres", "--auth=trust", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C"])
            .output();
        process::check(&made.expect("initdb runs"));
        Self::run(folder, fsync).await
    }

    /// A streaming standby of this server.
    pub async fn standby(&self) -> Arc<Self> {
        let folder = process::folder();
        let made = as_postgres(&postgres_program("pg_basebackup"))
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .args(["--host=127.0.0.1", "--username=postgres", "--no-sync"])
            .arg(format!("--port={}", self.port))
            .args(["--write-recovery-conf", "--checkpoint=fast"])
            .output();
        process::check(&made.expect("pg_basebackup runs"));
        Self::run(folder, self.fsync).await
    }

    async fn run(folder: TempDir, fsync: bool) -> Arc<Self> {
        let server = Self {
            folder,
            port: process::free_port(),
            fsync,
            process: Mutex::new(None),
            databases: AtomicU32::new(0),
        };
        server.begin().await;
        Arc::new(server)
    }

    /// Starts it, or starts it again.
    pub async fn begin(&self) {
        let mut command = as_postgres(&postgres_program("postgres"));
        command.arg("-D").arg(self.data());
        for setting in [
            format!("port={}", self.port),
            format!("unix_socket_directories={}", self.folder.path().display()),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("fsync={}", if self.fsync { "on" } else { "off" }),
            "max_connections=300".to_owned(),
            "wal_log_hints=on".to_owned(),
        ] {
            command.arg("-c").arg(setting);
        }
        let process = Process::start(command, &self.folder.path().join("log"));
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        process::until("the server answers", || async {
            tokio_postgres::connect(&self.url("postgres"), NoTls)
                .await
                .is_ok()
        })
        .await;
    }

    /// The port that it listens on at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As if its power had gone.
    pub fn kill(&self) {
        let process = self
            .process
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        process.expect("it runs").kill();
    }

    /// Keeps its disk as it is, for [`Self::restore`]. It must not run.
    pub fn save(&self) {
        self.copy("data", "saved");
    }

    /// Puts back what was kept, as from a snapshot of its disk. It must not run.
    pub fn restore(&self) {
        let data = self.data();
        std::fs::remove_dir_all(data).expect("the data can be removed");
        self.copy("saved", "data");
    }

    fn copy(&self, from: &str, to: &str) {
        let mut copy = as_postgres(Path::new("cp"));
        copy.arg("-a").arg(self.folder.path().join(from));
        let copied = copy.arg(self.folder.path().join(to)).output();
        process::check(&copied.expect("cp runs"));
    }

    /// As if its machine hung: connections stay open, and nobody answers.
    pub fn freeze(&self) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.as_ref().expect("it runs").freeze();
    }

    /// Lets it go on after [`Self::freeze`].
    pub fn thaw(&self) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.as_ref().expect("it runs").thaw();
    }

    /// Makes a standby a primary, on a timeline of its own.
    pub async fn promote(&self) {
        self.sql("postgres", "SELECT pg_promote()").await;
        process::until("the standby is promoted", || async {
            let rows = self.ask("postgres", "SELECT pg_is_in_recovery()").await;
            rows == ["f"]
        })
        .await;
    }

    /// Lets commits wait for a standby, or for nobody.
    pub async fn wait_for_standby(&self, wait: bool) {
        let names = if wait { "*" } else { "" };
        let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'");
        self.sql("postgres", &set).await;
        self.sql("postgres", "SELECT pg_reload_conf()").await;
        let question = "SELECT current_setting('synchronous_standby_names') || count(*) \
            FROM pg_stat_replication WHERE sync_state = 'sync'";
        process::until("the standby is synchronous", || async {
            let there = self.ask("postgres", question).await;
            there[0].starts_with(names) && (!wait || there[0] != "*0")
        })
        .await;
    }

    /// Lets it speak TLS, and asks everybody but `postgres` for TLS and a password. Answers the
    /// certificate, which nobody else has signed.
    pub async fn encrypt(&self) -> PathBuf {
        let (cert, key) = (
            self.data().join("server.crt"),
            self.data().join("server.key"),
        );
        let made = as_postgres(Path::new("openssl"))
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ])
            .args(["-nodes", "-days", "30", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(key)
            .arg("-out")
            .arg(&cert)
            .output();
        process::check(&made.expect("openssl runs"));
        let rules = "local all postgres trust\nhost all postgres 127.0.0.1/32 trust\n\
            hostssl all all all scram-sha-256\n";
        std::fs::write(self.data().join("pg_hba.conf"), rules).expect("a file");
        self.sql("postgres", "ALTER SYSTEM SET ssl = on").await;
        self.sql("postgres", "SELECT pg_reload_conf()").await;
        process::until("it speaks TLS", || async {
            self.ask("postgres", "SHOW ssl").await == ["on"]
        })
        .await;
        cert
    }

    /// A new, empty database; its name.
    pub async fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("store_{number}");
        self.sql("postgres", &format!("CREATE DATABASE {name}"))
            .await;
        name
    }

    /// How a database of it is reached.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Carries out a statement.
    pub async fn sql(&self, database: &str, statement: &str) {
        self.ask(database, statement).await;
    }

    /// The first column of what a statement answers.
    pub async fn ask(&self, database: &str, statement: &str) -> Vec<String> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls)
            .await
            .expect("the server can be reached");
        let driver = tokio::spawn(connection);
        let answer = client.simple_query(statement).await;
        let answer = answer.expect("the server takes the statement");
        drop(client);
        let _ = driver.await;
        let rows = answer.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        rows.collect()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// A primary, and the standby without which it commits nothing.
#[derive(Debug)]
pub struct Pair {
    /// Takes the writes.
    pub primary: Arc<Postgres>,
    /// Has each of them before it is answered.
    pub standby: Arc<Postgres>,
}

impl Pair {
    /// Starts both, and waits until the standby is synchronous.
    pub async fn start() -> Arc<Self> {
        let primary = Postgres::start().await;
        let standby = primary.standby().await;
        primary.wait_for_standby(true).await;
        Arc::new(Self { primary, standby })
    }

    /// The primary's machine is gone, and the standby takes over, with a standby of its own; answers
    /// that.
    pub async fn fail_over(&self) -> Arc<Postgres> {
        self.primary.kill();
        self.take_over().await
    }

    /// The primary was killed: the standby takes over, with a standby of its own; answers that.
    pub async fn take_over(&self) -> Arc<Postgres> {
        self.standby.promote().await;
        let third = self.standby.standby().await;
        self.standby.wait_for_standby(true).await;
        third
    }

    /// A database of whichever of the two is the primary.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/{database}",
            self.primary.port(),
            self.standby.port()
        )
    }
}
