//! A Postgres primary and its synchronous standby, each on a host of its own, which change places
//! when the primary is lost.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use super::Options;
use super::command::run;
use super::disk::Disk;
use super::host::Host;
use super::process::Process;
use super::process::Spec;
use super::world::FirstStore;
use super::world::PATIENCE;
use super::world::Servers;
use super::world::World;

const PORT: u16 = 5432;
/// How long one transaction may take, less than a client waits for the gateway.
const TRANSACTION_DEADLINE_MS: u64 = 3_000;

/// How many standbys the primary waits for.
const IN_STEP: &str = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";

/// A primary and a standby.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) servers: [Server; 2],
    /// Which of them is the primary.
    primary: AtomicUsize,
    programs: PathBuf,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) host: Host,
    namespace: String,
    address: String,
    data: PathBuf,
}

/// Starts both servers, and then the gateways.
pub(crate) async fn start(world: &mut World, options: &Options, folder: &Path) -> Result<()> {
    let pair = Pair::start(world, options, folder).await?;
    let hosts: Vec<String> = pair
        .servers
        .iter()
        .map(|server| format!("{}:{PORT}", server.address))
        .collect();
    world.servers = Servers::Postgres(Box::new(pair));
    let config = format!(
        "[storage]\nbackend = \"postgres\"\n[storage.postgres]\n\
         url = \"postgresql://postgres@{}/postgres\"\n\
         insecure_without_tls = true\ntransaction_deadline_ms = {TRANSACTION_DEADLINE_MS}\n",
        hosts.join(",")
    );
    for place in 0..options.gateways {
        world.gateway(folder, &config, FirstStore::Leave)?;
        world.ready(place).await?;
    }
    Ok(())
}

impl Pair {
    async fn start(world: &World, options: &Options, folder: &Path) -> Result<Self> {
        // The servers are another user's.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
        let programs = programs()?;
        let server = |number: usize| {
            let host = options.gateways + number;
            let disk = Disk::new(folder, &format!("postgres-{number}"))?;
            run("chown", &["postgres:postgres", text(disk.path())?])?;
            let data = disk.path().join("data");
            let namespace = world.network.namespace(host);
            let process = Process::new(Spec {
                name: format!("postgres {number}"),
                namespace: namespace.clone(),
                command: command(&programs, &data),
                environment: Vec::new(),
                log: folder.join(format!("postgres-{number}.log")),
            });
            let trace = folder.join(format!("postgres-{number}.trace"));
            anyhow::Ok(Server {
                host: Host::new(process, disk, namespace.clone(), trace),
                namespace,
                address: world.network.address(host).to_string(),
                data,
            })
        };
        let pair = Self {
            servers: [server(0)?, server(1)?],
            primary: AtomicUsize::new(0),
            programs,
        };
        pair.initialise()?;
        pair.servers[0].host.process.begin()?;
        pair.answers(0).await?;
        pair.attach(1).await?;
        Ok(pair)
    }

    fn initialise(&self) -> Result<()> {
        let data = &self.servers[0].data;
        self.as_postgres(
            0,
            "initdb",
            &[
                "--pgdata",
                text(data)?,
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                // A full disk is met at the end of one.
                "--wal-segsize=1",
            ],
        )?;
        // Only hosts of this run can reach it.
        let rules = "local all all trust\nhost all all all trust\nhost replication all all trust\n";
        Ok(std::fs::write(data.join("pg_hba.conf"), rules)?)
    }

    /// Runs a program of PostgreSQL as its user, on a server's host.
    fn as_postgres(&self, server: usize, program: &str, arguments: &[&str]) -> Result<String> {
        let network = format!("--net=/run/netns/{}", self.servers[server].namespace);
        let program = self.programs.join(program);
        let mut all = vec![network.as_str(), "--"];
        all.extend(AS_POSTGRES);
        all.push(text(&program)?);
        all.extend(arguments);
        run("nsenter", &all)
    }

    fn ask(&self, server: usize, statement: &str) -> Result<String> {
        let host = &self.servers[server].address;
        let arguments = ["-h", host, "-U", "postgres", "-AtXqc", statement];
        Ok(self
            .as_postgres(server, "psql", &arguments)?
            .trim()
            .to_owned())
    }

    async fn answers(&self, server: usize) -> Result<()> {
        self.until(server, "SELECT 'here'", "here").await
    }

    async fn until(&self, server: usize, question: &str, answer: &str) -> Result<()> {
        let asking = async {
            while self.ask(server, question).ok().as_deref() != Some(answer) {
                self.servers[server].host.process.begin().ok();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .with_context(|| format!("postgres {server}: {question} is never {answer}"))
    }

    /// Makes a server the standby of the other, from nothing.
    async fn attach(&self, standby: usize) -> Result<()> {
        let (primary, data) = (1 - standby, &self.servers[standby].data);
        if data.exists() {
            std::fs::remove_dir_all(data)?;
        }
        let host = format!("--host={}", self.servers[primary].address);
        self.as_postgres(
            standby,
            "pg_basebackup",
            &[
                "--pgdata",
                text(data)?,
                &host,
                "--username=postgres",
                "--write-recovery-conf",
                "--checkpoint=fast",
            ],
        )?;
        self.servers[standby].host.process.begin()?;
        self.until(primary, IN_STEP, "1").await
    }

    /// Lets the primary need a new file for its log, and its standby, too; whether that was too much
    /// for a server.
    pub(crate) fn lacks_space(&self, server: usize) -> bool {
        let new_file = "SELECT pg_create_restore_point('new file'), pg_switch_wal()";
        let asked = self.ask(self.primary(), new_file);
        match server == self.primary() {
            // It ends all its processes, the one that answers with them.
            true => asked.is_err(),
            false => self.ask(self.primary(), IN_STEP).ok().as_deref() == Some("0"),
        }
    }

    /// Day and hour on a server's wall clock.
    pub(crate) fn hour(&self, server: usize) -> Option<String> {
        let question = "SELECT to_char(clock_timestamp(), 'YYYY-MM-DD HH24')";
        self.ask(server, question).ok()
    }

    /// Which server is the primary.
    pub(crate) fn primary(&self) -> usize {
        self.primary.load(Ordering::SeqCst)
    }

    /// The primary is lost with all that it had; its standby takes over and gets a new one.
    pub(crate) async fn fail_over(&self) -> Result<()> {
        let (old, new) = (self.primary(), 1 - self.primary());
        self.servers[old].host.kill().await?;
        self.ask(new, "SELECT pg_promote()")?;
        self.until(new, "SELECT pg_is_in_recovery()", "f").await?;
        self.primary.store(new, Ordering::SeqCst);
        self.attach(old).await
    }
}

const AS_POSTGRES: [&str; 5] = [
    "setpriv",
    "--reuid=postgres",
    "--regid=postgres",
    "--clear-groups",
    "--",
];

fn command(programs: &Path, data: &Path) -> Vec<String> {
    let mut command: Vec<String> = AS_POSTGRES.iter().map(ToString::to_string).collect();
    command.push(programs.join("postgres").display().to_string());
    command.push("-D".to_owned());
    command.push(data.display().to_string());
    for setting in [
        "listen_addresses=*",
        "unix_socket_directories=",
        "synchronous_standby_names=*",
        "wal_log_hints=on",
        "max_connections=100",
        // A standby that was away finds what it has missed.
        "wal_keep_size=64MB",
        // Runs are short: it looks for its primary more often than every 5 s, and a start after a
        // crash syncs the file system instead of file by file.
        "wal_retrieve_retry_interval=500ms",
        "recovery_init_sync_method=syncfs",
    ] {
        command.extend(["-c".to_owned(), setting.to_owned()]);
    }
    command.push(format!("--port={PORT}"));
    command
}

/// The folder of the newest PostgreSQL that is installed.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let version = folder.file_name()?.to_str()?.parse().ok()?;
            Some((version, folder.join("bin")))
        })
        .collect();
    found.sort();
    let newest = found.pop().map(|(_, folder)| folder);
    newest.context("PostgreSQL is not installed (apt-get install postgresql)")
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is text")
}
