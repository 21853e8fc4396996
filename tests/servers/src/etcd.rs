//! An etcd cluster of some members.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use tempfile::TempDir;

use crate::process::Process;
use crate::process::free_port;
use crate::process::until;

/// Some members of one cluster, in folders of their own.
#[derive(Debug)]
pub struct Etcd {
    folder: TempDir,
    members: Vec<Member>,
    /// What all members are told, besides who they are.
    options: Vec<String>,
    /// What `etcdctl` is told, besides where they are.
    show: Vec<String>,
    /// `https` if clients must come with TLS.
    scheme: &'static str,
    stores: AtomicU32,
}

/// A member, running unless it was killed.
#[derive(Debug)]
struct Member {
    name: String,
    port: u16,
    peer_port: u16,
    process: Mutex<Option<Process>>,
}

impl Etcd {
    /// A new, empty cluster of so many members.
    pub async fn start(count: usize) -> Arc<Self> {
        Self::start_with(count, Vec::new()).await
    }

    /// The same, with options for each member.
    pub async fn start_with(count: usize, options: Vec<String>) -> Arc<Self> {
        Self::run(count, "http", options, Vec::new()).await
    }

    /// One member with TLS, and what its clients must show.
    pub async fn start_secure(options: Vec<String>, show: Vec<String>) -> Arc<Self> {
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
    pub fn begin(&self, number: usize) {
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
    pub fn kill(&self, number: usize) {
        let process = self.members[number].lock().take();
        process.expect("it runs").kill();
    }

    /// Saves a snapshot of a cluster of one, as an operator's backup does.
    pub fn snapshot(&self, file: &Path) {
        self.control(&["snapshot", "save", path(file)]);
    }

    /// Replaces the data of a cluster of one by a snapshot, and starts it again.
    pub async fn restore(&self, file: &Path) {
        self.kill(0);
        let member = &self.members[0];
        let data = self.folder.path().join(&member.name);
        std::fs::remove_dir_all(&data).expect("the member's data");
        let peer = format!("http://127.0.0.1:{}", member.peer_port);
        let cluster = format!("{}={peer}", member.name);
        let restored = Command::new(program("etcdctl"))
            .env("ETCDCTL_API", "3")
            .args(["snapshot", "restore", path(file), "--name", &member.name])
            .args(["--initial-cluster", &cluster])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--data-dir", path(&data)])
            .output();
        crate::process::check(&restored.expect("etcdctl runs"));
        self.begin(0);
        self.wait().await;
    }

    /// Lets a member stand still until it is killed.
    pub fn freeze(&self, number: usize) {
        let member = self.members[number].lock();
        member.as_ref().expect("it runs").freeze();
    }

    /// Waits until the cluster has a leader.
    pub async fn wait(&self) {
        until("the cluster answers", || async {
            self.tool(&["get", "nothing"])
                .output()
                .is_ok_and(|o| o.status.success())
        })
        .await;
    }

    /// Who leads.
    pub async fn leader(&self) -> usize {
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
    pub fn tool(&self, arguments: &[&str]) -> Command {
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
    pub fn control(&self, arguments: &[&str]) -> String {
        let output = self.tool(arguments).output().expect("etcdctl runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Where its members are reached, as URLs.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        let url = |m: &Member| format!("{}://127.0.0.1:{}", self.scheme, m.port);
        self.members.iter().map(url).collect()
    }

    /// The port of a member at 127.0.0.1.
    #[must_use]
    pub fn port(&self, number: usize) -> u16 {
        self.members[number].port
    }

    /// A prefix of keys that nobody else was given: of a new, empty store.
    #[must_use]
    pub fn prefix(&self) -> String {
        let number = self.stores.fetch_add(1, Ordering::Relaxed);
        format!("/store-{number}/")
    }
}

impl Member {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
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
