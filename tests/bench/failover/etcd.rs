//! Three members of etcd with its defaults, through its JSON gateway.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::process::Process;
use leasehold_test_servers::process::free_port;
use leasehold_tests::MEMBERS;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use super::Group;
use super::PATIENCE;
use super::REST;

struct Member {
    process: Option<Process>,
    client_url: String,
    peer_url: String,
}

pub(crate) struct Etcd {
    members: Vec<Member>,
    http: reqwest::Client,
    folder: TempDir,
}

impl Etcd {
    pub(crate) async fn start() -> Result<Self> {
        let url = || format!("http://127.0.0.1:{}", free_port());
        let member = |_| Member {
            process: None,
            client_url: url(),
            peer_url: url(),
        };
        let mut etcd = Self {
            members: (0..MEMBERS).map(member).collect(),
            http: reqwest::Client::builder().no_proxy().build()?,
            folder: tempfile::tempdir()?,
        };
        for place in 0..MEMBERS {
            etcd.run(place);
        }
        etcd.whole().await?;
        Ok(etcd)
    }

    /// Starts a member, or starts it again.
    fn run(&mut self, place: usize) {
        let named = self.members.iter().enumerate();
        let all: Vec<String> = named
            .map(|(n, member)| format!("m{n}={}", member.peer_url))
            .collect();
        let (folder, member) = (self.folder.path(), &mut self.members[place]);
        let mut command = Command::new("etcd");
        command
            .arg("--name")
            .arg(format!("m{place}"))
            .arg("--data-dir")
            .arg(folder.join(format!("m{place}")))
            .args(["--listen-client-urls", &member.client_url])
            .args(["--advertise-client-urls", &member.client_url])
            .args(["--listen-peer-urls", &member.peer_url])
            .args(["--initial-advertise-peer-urls", &member.peer_url])
            .args(["--initial-cluster", &all.join(",")]);
        let log: &Path = &folder.join(format!("m{place}.log"));
        member.process = Some(Process::start(command, log));
    }

    async fn post(&self, place: usize, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.members[place].client_url);
        let answer = self.http.post(url).json(body).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        Ok(answer.json().await?)
    }

    async fn status(&self, place: usize) -> Result<Value> {
        self.post(place, "/v3/maintenance/status", &json!({})).await
    }

    /// Every member knows the leader, and has what the others have.
    async fn is_whole(&self) -> Result<bool> {
        let mut seen = Vec::new();
        for place in 0..MEMBERS {
            let status = self.status(place).await?;
            seen.push((status["leader"].clone(), status["raftAppliedIndex"].clone()));
        }
        let knows = |(leader, _): &(Value, Value)| leader.as_str().is_some_and(|id| id != "0");
        Ok(seen.iter().all(knows) && seen.iter().all(|other| *other == seen[0]))
    }

    async fn whole(&self) -> Result<()> {
        let waiting = async {
            while !matches!(self.is_whole().await, Ok(true)) {
                tokio::time::sleep(REST).await;
            }
        };
        let whole = tokio::time::timeout(PATIENCE, waiting).await;
        whole.context("etcd does not become whole")
    }
}

impl Group for Etcd {
    fn name(&self) -> &'static str {
        "etcd, 3 members"
    }

    async fn kill_leader(&mut self) -> Result<Vec<usize>> {
        for place in 0..MEMBERS {
            let status = self.status(place).await?;
            if status["leader"] == status["header"]["member_id"] {
                let process = self.members[place].process.take();
                process.context("it runs")?.kill();
                return Ok((0..MEMBERS).filter(|other| *other != place).collect());
            }
        }
        anyhow::bail!("no member leads")
    }

    /// A key that is made if nobody has it: what a lock is at the least. In base64, as it asks for.
    async fn ask(&self, place: usize, lock: &str) -> Result<bool> {
        let key = hex_in_base64(lock);
        let body = json!({
            "compare": [{ "key": key, "target": "CREATE", "create_revision": "0" }],
            "success": [{ "request_put": { "key": key, "value": key } }],
        });
        self.post(place, "/v3/kv/txn", &body).await?;
        Ok(true)
    }

    async fn mend(&mut self) -> Result<()> {
        for place in 0..MEMBERS {
            if self.members[place].process.is_none() {
                self.run(place);
            }
        }
        self.whole().await
    }
}

/// A text that is base64 and names the lock: letters and digits are, in groups of four.
fn hex_in_base64(lock: &str) -> String {
    let hex: Vec<String> = lock.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut text = hex.concat();
    while !text.len().is_multiple_of(4) {
        text.push('0');
    }
    text
}
