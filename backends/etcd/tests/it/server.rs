//! Real etcd members in folders of their own, gone after the test.

// The benchmark takes this file by its path, and this with it.
#[path = "server/forwarder.rs"]
mod forwarder;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use leasehold_backend_etcd::EtcdConfig;
use leasehold_test_servers::process::Process;
use leasehold_test_servers::process::free_port;
use leasehold_test_servers::until;
use tempfile::TempDir;

pub(crate) use self::forwarder::Forwarder;

/// Some members of one cluster.
pub(crate) struct Cluster {
    folder: TempDir,
    pub(crate) members: Vec<Member>,
    /// What all members are told, besides who they are.
    options: Vec<String>,
    /// What `etcdctl` is told, besides where they are.
    show: Vec<String>,
    /// `https` if clients must come with TLS.
    scheme: &'static str,
    stores: AtomicU32,
}

/// A member, running unless it was killed.
pub(crate) struct Member {
    name: String,
    pub(crate) port: u16,
    peer_port: u16,
    process: Mutex<Option<Process>>,
}

impl Cluster {
    /// A new, empty cluster of so many members.
    pub(crate) async fn start(count: usize) -> Arc<Self> {
        Self::start_with(count, Vec::new()).await
    }

    /// The same, with options for each member.
    pub(crate) async fn start_with(count: usize, options: Vec<String>) -> Arc<Self> {
        Self::run(count, "http", options, Vec::new()).await
    }

    /// One member with TLS, and what its clients must show.
    pub(crate) async fn start_secure(options: Vec<String>, show: Vec<String>) -> Arc<Self> {
        Self::run(1, "https", options, show).await
    }

    async fn run(
        count: usize,
        scheme: &'static str,
        options: Vec<String>,
        show: Vec<String>,
    ) -> Arc<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let member = |number| Member {
            name: format!("m{number}"),
            port: free_port(),
            peer_port: free_port(),
            process: Mutex::new(None),
        };
        let cluster = Self {
            members: (0..count).map(member).collect(),
            options,
            show,
            scheme,
            stores: AtomicU32::new(0),
            folder,
        };
        for number in 0..count {
            cluster.begin(number);
        }
        cluster.wait().await;
        Arc::new(cluster)
    }

    /// Starts a member, or starts it again; it may take a while until it answers.
    pub(crate) fn begin(&self, number: usize) {
        let member = &self.members[number];
        let peer = |m: &Member| format!("http://127.0.0.1:{}", m.peer_port);
        let client = format!("{}://127.0.0.1:{}", self.scheme, member.port);
        let all: Vec<_> = self
            .members
            .iter()
            .map(|m| format!("{}={}", m.name, peer(m)))
            .collect();
        // Nothing is left behind when a run of tests is killed.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig=KILL", "--"])
            .arg(program("etcd"))
            .args(["--name", &member.name, "--data-dir"])
            .arg(self.folder.path().join(&member.name))
            .args([
                "--listen-client-urls",
                &client,
                "--advertise-client-urls",
                &client,
            ])
            .args(["--listen-peer-urls", &peer(member)])
            .args(["--initial-advertise-peer-urls", &peer(member)])
            .args(["--initial-cluster", &all.join(","), "--log-level", "error"])
            .args(&self.options);
        let process = Process::start(command, &self.folder.path().join("log"));
        *member.lock() = Some(process);
    }

    /// As if its power had gone.
    pub(crate) fn kill(&self, number: usize) {
        let process = self.members[number].lock().take();
        process.expect("it runs").kill();
    }

    /// Lets a member stand still until it is killed.
    pub(crate) fn freeze(&self, number: usize) {
        let member = self.members[number].lock();
        member.as_ref().expect("it runs").freeze();
    }

    /// Waits until the cluster has a leader.
    pub(crate) async fn wait(&self) {
        until("the cluster answers", || async {
            self.tool(&["get", "nothing"])
                .output()
                .is_ok_and(|o| o.status.success())
        })
        .await;
    }

    /// Who leads.
    pub(crate) async fn leader(&self) -> usize {
        let ask = || {
            let mut leader = None;
            for (number, member) in self.members.iter().enumerate() {
                if member.lock().is_none() {
                    continue;
                }
                let url = format!("{}://127.0.0.1:{}", self.scheme, member.port);
                let mut tool = Command::new(program("etcdctl"));
                tool.env("ETCDCTL_API", "3");
                tool.args([
                    "--endpoints",
                    &url,
                    "endpoint",
                    "status",
                    "--write-out=fields",
                ]);
                let told = tool.output().expect("etcdctl runs").stdout;
                let told = String::from_utf8_lossy(&told).into_owned();
                let field = |name: &str| {
                    let line = told.lines().find(|line| line.starts_with(name))?;
                    Some(line.split_once(" : ")?.1.to_owned())
                };
                let leads = field("\"MemberID\"").is_some_and(|id| field("\"Leader\"") == Some(id));
                if leads {
                    leader = Some(number);
                }
            }
            leader
        };
        until("the cluster has a leader", || async { ask().is_some() }).await;
        ask().expect("it has one")
    }

    /// `etcdctl`, ready to speak to the members that run.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Command {
        let running = self.members.iter().filter(|member| member.lock().is_some());
        let urls: Vec<_> = running
            .map(|m| format!("{}://127.0.0.1:{}", self.scheme, m.port))
            .collect();
        let mut command = Command::new(program("etcdctl"));
        command
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &urls.join(",")])
            .args(&self.show)
            .args(arguments);
        command
    }

    /// Has `etcdctl` do something that must succeed; what it says.
    pub(crate) fn control(&self, arguments: &[&str]) -> String {
        let output = self.tool(arguments).output().expect("etcdctl runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        let url = |m: &Member| format!("{}://127.0.0.1:{}", self.scheme, m.port);
        self.members.iter().map(url).collect()
    }

    /// How to reach a new, empty store.
    pub(crate) fn config(&self) -> EtcdConfig {
        let number = self.stores.fetch_add(1, Ordering::Relaxed);
        EtcdConfig {
            prefix: format!("/store-{number}/"),
            ..EtcdConfig::new(self.endpoints())
        }
    }
}

impl Member {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn program(name: &str) -> PathBuf {
    let program = Path::new("/usr/bin").join(name);
    assert!(
        program.is_file(),
        "{} is not installed (apt-get install etcd-server etcd-client); these tests run on real \
         servers",
        program.display()
    );
    program
}
