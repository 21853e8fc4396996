//! Every change of a namespace's settings is a revision that stays readable, can be compared and
//! restored; and revisions of namespaces and bindings are kept on a real etcd and a real PostgreSQL,
//! whichever of two gateways writes.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use leasehold_test_servers::Etcd;
use leasehold_test_servers::Postgres;
use leasehold_tests::Answer;
use leasehold_tests::Api;
use leasehold_tests::Gateway;
use leasehold_tests::GatewayOptions;
use serde_json::Value;
use serde_json::json;

use super::bindings_history::command;
use super::bindings_history::ended;
use super::bindings_history::told;

/// How many writes each of two gateways makes at the same time as the other.
const RACING_WRITES: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_has_a_history_that_survives_deletion_and_restart() -> Result<()> {
    let mut gateway = Gateway::start().await?;
    let ann = gateway
        .principal("ann", "rules", &["administrator"])
        .await?;
    let bob = gateway.principal("bob", "rules", &["approver"]).await?;
    let auditor = gateway.principal("aud", "audit", &["auditor"]).await?;
    let create = ["namespace", "create", "batch", "--team", "ci"];
    let open = [&create[..], &["--default", "allow", "--reason", "CHG-1"]].concat();
    let made = command(&gateway, &ann, &open).await?;
    ensure!(made.contains("history      revision 1"), "{made}");
    let cap = ["namespace", "cap", "batch", "--locks", "10"];
    let cap = [&cap[..], &["--reason", "CHG-2: less"]].concat();
    command(&gateway, &ann, &cap).await?;
    let delete = ["namespace", "delete", "batch", "--reason", "of no use"];
    command(&gateway, &ann, &delete).await?;
    gateway.restart().await?;
    let ann = ann.at(gateway.url());

    let history = ["namespace", "history", "batch"];
    let list = command(&gateway, &auditor, &history).await?;
    let lines: Vec<&str> = list.lines().collect();
    ensure!(lines.len() == 4, "{list}");
    for (line, parts) in lines[1..].iter().zip([
        &["3", "ann", "delete", "all", "of no use"][..],
        &["2", "ann", "put", "caps/locks", "CHG-2: less"],
        &["1", "ann", "put", "all", "CHG-1"],
    ]) {
        ensure!(parts.iter().all(|part| line.contains(part)), "{list}");
    }
    let diff = [&history[..], &["--diff", "1..2"]].concat();
    let diff = command(&gateway, &auditor, &diff).await?;
    ensure!(diff.contains("/caps/locks  -       10"), "{diff}");
    let whole = [&history[..], &["2", "--json"]].concat();
    let whole: Value = serde_json::from_str(&command(&gateway, &auditor, &whole).await?)?;
    ensure!(whole["body"]["caps"]["locks"] == 10, "{whole}");
    ensure!(whole["body"]["default_decision"] == "allow", "{whole}");

    // A restore passes the rule of approvals as an edit does; the ledger names revision and reason.
    command(&gateway, &ann, &["approval", "rule", "--required", "1"]).await?;
    let restore = ["namespace", "restore", "batch", "1", "--reason", "back"];
    let held_up = ended(&gateway, &ann, 78, &restore).await?;
    let id = held_up.split("approval approve ").nth(1).context("id")?;
    let id: String = id.chars().take(64).collect();
    ensure!(ann.get("/v1/namespaces/batch").await?.status == 404);
    command(&gateway, &bob, &["approval", "approve", &id]).await?;
    let restored = command(&gateway, &ann, &restore).await?;
    ensure!(restored.contains("history      revision 4"), "{restored}");
    let found = ann.get("/v1/namespaces/batch").await?;
    ensure!(found.body["default_decision"] == "allow", "{found:?}");
    ensure!(found.body["caps"].is_null(), "{found:?}");
    let events = gateway.admin().ledger("operation=governance").await?;
    let has = |text: &str| events.iter().any(|event| event.to_string().contains(text));
    ensure!(has("revision 2: CHG-2: less"), "{events:?}");
    ensure!(has("revision 4: back"), "{events:?}");
    // The body of a revision is the body of a PUT.
    let one = ann.get("/v1/namespaces/batch/revisions/2").await?;
    let body = one.body["body"].clone();
    let put = ann.put("/v1/namespaces/batch", &body).await?;
    ensure!(put.status == 200 && put.body["number"] == 5, "{put:?}");
    // Nobody else may change or see it.
    ended(&gateway, &auditor, 77, &restore).await?;
    let service = gateway.service("svc", "ci").await?;
    ended(&gateway, &service, 77, &history).await?;
    let never = ["namespace", "history", "never"];
    let never = ended(&gateway, &ann, 78, &never).await?;
    ensure!(never.contains("no namespace never"), "{never}");
    Ok(())
}

/// What has revisions, and how it is written.
struct Kind {
    /// The path of the one that is written.
    path: &'static str,
    /// The body that says a number.
    body: fn(u64) -> Value,
    /// Where the number is.
    at: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        path: "/v1/namespaces/batch",
        body: |number| json!({ "caps": { "locks": number } }),
        at: "/caps/locks",
    },
    Kind {
        path: "/v1/bindings/ci",
        body: |number| {
            json!({ "namespaces": ["demo"], "order": number, "policies": [
            { "policy": "ttl-bounds", "version": "1.1.0", "config": { "rules": [] } }] })
        },
        at: "/order",
    },
];

fn done(answer: Answer) -> Result<Value> {
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer.body)
}

async fn put(api: &Api, kind: &Kind, number: u64) -> Result<u64> {
    let body = done(api.put(kind.path, &(kind.body)(number)).await?)?;
    body["number"].as_u64().context("the number of a revision")
}

async fn list(api: &Api, kind: &Kind) -> Result<Value> {
    done(
        api.get(&format!("{}/revisions?limit=1000", kind.path))
            .await?,
    )
}

/// Two gateways on one store change, read and restore the same documents.
async fn life(config: &dyn Fn(&str) -> String) -> Result<()> {
    let start = |consumer| {
        Gateway::start_with(GatewayOptions {
            config: config(consumer),
            ..GatewayOptions::default()
        })
    };
    let (one, mut other) = (start("one").await?, start("two").await?);
    for kind in &KINDS {
        let (here, there) = (one.admin(), other.admin());
        ensure!(put(&here, kind, 10).await? == 1);
        ensure!(put(&there, kind, 20).await? == 2);
        ensure!(put(&here, kind, 20).await? == 2, "the same is no change");
        let gone = done(there.delete(&format!("{}?reason=old", kind.path)).await?)?;
        ensure!(gone["number"] == 3, "{gone}");
        let listed = list(&here, kind).await?;
        let expected = [(3, "delete"), (2, "put"), (1, "put")];
        let expected = expected.map(|(number, origin)| (number, origin.to_owned()));
        ensure!(told(&listed) == expected, "{listed}");
        ensure!(listed["revisions"][0]["reason"] == "old", "{listed}");

        other.restart().await?;
        let there = other.admin();
        let restore = json!({ "revision": 1, "reason": "back" });
        let path = format!("{}:restore", kind.path);
        let restored = done(here.post(&path, &restore).await?)?;
        ensure!(restored["number"] == 4, "{restored}");
        ensure!(restored.pointer(kind.at) == Some(&json!(10)), "{restored}");
        let found = done(there.get(kind.path).await?)?;
        ensure!(found.pointer(kind.at) == Some(&json!(10)), "{found}");
        let path = format!("{}/revisions/2?against=4", kind.path);
        let changes = done(there.get(&path).await?)?["changes"].clone();
        ensure!(changes == json!([{ "path": kind.at, "before": 10, "after": 20 }]));
        race(&here, &there, kind).await?;
    }
    Ok(())
}

/// Both write at the same time: each change is one revision, and each number is there once.
async fn race(here: &Api, there: &Api, kind: &Kind) -> Result<()> {
    let writes = async |api: &Api, first: u64| -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for number in first..first + RACING_WRITES {
            loop {
                let answer = api.put(kind.path, &(kind.body)(number)).await?;
                match answer.status {
                    200 => numbers.extend(answer.body["number"].as_u64()),
                    // The other was faster each time.
                    409 => continue,
                    _ => anyhow::bail!("{answer:?}"),
                }
                break;
            }
        }
        Ok(numbers)
    };
    let (ours, theirs) = tokio::try_join!(writes(here, 100), writes(there, 200))?;
    let mut numbers = [ours, theirs].concat();
    numbers.sort_unstable();
    let expected: Vec<u64> = (5..5 + 2 * RACING_WRITES).collect();
    ensure!(numbers == expected, "{numbers:?}");
    let (seen, also) = (list(here, kind).await?, list(there, kind).await?);
    ensure!(seen == also, "{seen} {also}");
    let kept: Vec<u64> = told(&seen).into_iter().map(|(number, _)| number).collect();
    let expected: Vec<u64> = (1..5 + 2 * RACING_WRITES).rev().collect();
    ensure!(kept == expected, "{kept:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_are_kept_on_etcd() -> Result<()> {
    let etcd = Etcd::start(1).await;
    life(&|consumer| {
        format!(
            "[storage]\nbackend = \"etcd\"\n[storage.etcd]\nendpoints = {:?}\n\
             consumer = \"{consumer}\"\n",
            etcd.endpoints()
        )
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revisions_are_kept_on_postgres() -> Result<()> {
    let server = Postgres::start().await;
    life(&|consumer| {
        format!(
            "[storage]\nbackend = \"postgres\"\n[storage.postgres]\nurl = \"{}\"\n\
             consumer = \"{consumer}\"\nallow_unreplicated = true\n",
            server.url("postgres")
        )
    })
    .await
}
