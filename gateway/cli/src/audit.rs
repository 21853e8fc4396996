//! `leasehold audit …`.

mod evidence;

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use leasehold_client::Client;
use leasehold_core::stores::stopped::StoppedParts;
use leasehold_core::stores::stopped::verify_stopped;
use leasehold_domain::StoreName;
use leasehold_wire::v1::audit as wire;
use leasehold_wire::v1::paths;
use serde_json::Value;

use super::connection::Connection;
use super::connection::block_on;
use super::exit::Failed;
use super::exit::SYSTEM;
use super::exit::TAMPERED;
use super::output::Shown;
use super::output::finish;
use super::output::tell;

/// What to ask the ledger.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Show events, newest last.
    Query(QueryArguments),
    /// Who held a lock at a moment.
    Holders {
        /// NAMESPACE/LOCK
        #[arg(long)]
        lock: String,
        /// RFC 3339, such as 2026-11-23T14:03:00Z; now if absent.
        #[arg(long)]
        at: Option<String>,
        /// Only by the ledger of this store; by those of all stores that have, or had, it if absent.
        #[arg(long)]
        store: Option<String>,
    },
    #[command(flatten)]
    Evidence(evidence::EvidenceCommand),
    /// Without FILE: let the gateway recompute hash chain and tree over every stored event. With FILE:
    /// verify an export, a .tlog-proof, a consistency proof or a checkpoint here, without a gateway.
    /// Exit 65 if it does not fit.
    Verify {
        /// What `audit export`, `prove` or `checkpoint` has written.
        #[arg(conflicts_with_all = ["store", "data_dir"])]
        file: Option<PathBuf>,
        #[command(flatten)]
        trust: evidence::TrustArguments,
        /// The ledger of which store; home if absent.
        #[arg(long)]
        store: Option<String>,
        /// The data directory of a gateway with an embedded store that does not run, instead of
        /// asking one that does.
        #[arg(long, conflicts_with = "store")]
        data_dir: Option<PathBuf>,
    },
}

/// Which events. Everything that is given must match.
#[derive(Debug, Args)]
pub(super) struct QueryArguments {
    /// Not before this, RFC 3339.
    #[arg(long)]
    from: Option<String>,
    /// Before this, RFC 3339.
    #[arg(long)]
    until: Option<String>,
    /// In this namespace.
    #[arg(long)]
    namespace: Option<String>,
    /// Of this lock, NAMESPACE/LOCK.
    #[arg(long)]
    lock: Option<String>,
    /// By or about this subject.
    #[arg(long)]
    subject: Option<String>,
    /// By or about this team.
    #[arg(long)]
    team: Option<String>,
    /// Of this operation: acquire, renew, release, revoke, transfer, configure; expire for what
    /// only time did; move for what the move to another store did; governance.
    #[arg(long)]
    operation: Option<String>,
    /// `allow`, `override` (break glass), `deny`; or a kind of denial: `denied` (by a policy),
    /// `policy_error`, `no_policy_bound`, `role`, `not_holder`. `advisory_denied` and `advisory_error`: an advisory
    /// policy denied or failed, which decided nothing.
    #[arg(long)]
    verdict: Option<String>,
    /// Judged by this policy: NAME or NAME@VERSION.
    #[arg(long)]
    policy: Option<String>,
    /// Only of the ledger of this store; of all ledgers that may tell of it if absent.
    #[arg(long)]
    store: Option<String>,
    /// Only events after this cursor of one ledger.
    #[arg(long)]
    after: Option<u64>,
    /// At most so many; the newest of them unless --after is given.
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

impl QueryArguments {
    fn path(&self) -> String {
        let after = self.after.map(|after| after.to_string());
        let descending = self.after.is_none().then(|| "true".to_owned());
        let limit = Some(self.limit.to_string());
        let pairs = [
            ("from", &self.from),
            ("until", &self.until),
            ("namespace", &self.namespace),
            ("lock", &self.lock),
            ("subject", &self.subject),
            ("team", &self.team),
            ("operation", &self.operation),
            ("verdict", &self.verdict),
            ("policy", &self.policy),
            ("store", &self.store),
            ("after", &after),
            ("descending", &descending),
            ("limit", &limit),
        ];
        let given = pairs.iter().filter_map(|(name, value)| {
            value
                .as_ref()
                .map(|value| format!("{name}={}", paths::encode(value)))
        });
        format!(
            "{}?{}",
            paths::AUDIT_EVENTS,
            given.collect::<Vec<_>>().join("&")
        )
    }
}

/// Asks.
pub(super) fn run(command: AuditCommand, connection: Connection) -> Result<u8, Failed> {
    if let AuditCommand::Verify {
        data_dir: Some(data_dir),
        ..
    } = &command
    {
        let answer = block_on(stopped(data_dir))?;
        return verified(&answer, connection.json);
    }
    if let AuditCommand::Verify {
        file: Some(file),
        trust,
        ..
    } = &command
    {
        return evidence::verify_file(file, trust, connection.json);
    }
    let client = connection.client()?;
    block_on(perform(&client, command, connection.json))
}

async fn perform(client: &Client, command: AuditCommand, json: bool) -> Result<u8, Failed> {
    match command {
        AuditCommand::Query(arguments) => {
            let mut list: wire::EventList = client.get(&arguments.path()).await?;
            // A page begins with the newest unless it goes on after a cursor.
            if arguments.after.is_none() {
                list.events.reverse();
            }
            warn(&list.missing);
            finish(Shown::of(json, &list, |list| {
                let headings = vec!["STORE", "CURSOR", "TIME", "LOCK", "WHO", "WHAT", "RESULT"];
                Shown::Table(headings, list.events.iter().map(row).collect())
            }))
        }
        AuditCommand::Holders { lock, at, store } => {
            let option = |name: &str, value: Option<String>| {
                let value = value.map(|value| format!("&{name}={}", paths::encode(&value)));
                value.unwrap_or_default()
            };
            let (lock, at) = (paths::encode(&lock), option("at", at));
            let store = option("store", store);
            let path = format!("{}?lock={lock}{at}{store}", paths::AUDIT_HOLDERS);
            let holders: wire::HoldersResponse = client.get(&path).await?;
            warn(&holders.missing);
            finish(Shown::of(json, &holders, |holders| {
                let row = |h: &wire::HoldView| {
                    vec![
                        h.subject.clone(),
                        h.team.clone().unwrap_or_default(),
                        h.mode.clone(),
                        h.fencing_token.to_string(),
                        h.from.clone(),
                        h.until.clone().unwrap_or_else(|| "still held".to_owned()),
                        h.end.clone().unwrap_or_default(),
                        h.rule.as_ref().map(rule).unwrap_or_default(),
                    ]
                };
                let headings = vec![
                    "WHO", "TEAM", "MODE", "TOKEN", "FROM", "UNTIL", "END", "RULE",
                ];
                Shown::Table(headings, holders.holders.iter().map(row).collect())
            }))
        }
        AuditCommand::Evidence(command) => command.run(client, json).await,
        AuditCommand::Verify { store, .. } => {
            let store = store.map(|store| format!("?store={}", paths::encode(&store)));
            let path = format!("{}{}", paths::AUDIT_VERIFY, store.unwrap_or_default());
            let answer: wire::VerifyResponse = client.get(&path).await?;
            verified(&answer, json)
        }
    }
}

/// Verifies the ledger in the directory of a gateway that does not run.
async fn stopped(data_dir: &Path) -> Result<wire::VerifyResponse, Failed> {
    let checked = verify_stopped(data_dir).await;
    let StoppedParts { head, bad, problem } = checked
        .map_err(|problem| Failed::new(SYSTEM, format!("{}: {problem}", data_dir.display())))?;
    Ok(wire::VerifyResponse {
        store: StoreName::HOME.to_owned(),
        intact: bad.is_none() && problem.is_none(),
        first_bad_cursor: bad.map(|cursor| cursor.0),
        problem,
        cursor: head.cursor.0,
        chain: head.chain.to_string(),
    })
}

/// Shows whether a ledger is intact; returns the exit code.
fn verified(answer: &wire::VerifyResponse, json: bool) -> Result<u8, Failed> {
    let shown = Shown::of(json, answer, |answer| {
        let bad = answer
            .first_bad_cursor
            .map(|bad| format!("no, event {bad} does not fit"));
        let other = answer
            .problem
            .as_ref()
            .map(|problem| format!("no: {problem}"));
        Shown::Fields(vec![
            ("store", answer.store.clone()),
            ("intact", bad.or(other).unwrap_or_else(|| "yes".to_owned())),
            ("events", answer.cursor.to_string()),
            ("chain", answer.chain.clone()),
        ])
    });
    let shown = finish(shown)?;
    Ok(if answer.intact { shown } else { TAMPERED })
}

/// An answer that lacks a part says so, also to whoever reads only the table.
fn warn(missing: &[String]) {
    if !missing.is_empty() {
        let names = missing.join(", ");
        tell(&format!(
            "warning: not open, so their part is lacking: {names}"
        ));
    }
}

/// Which policies allowed it, within which limits, and where the decision is.
fn rule(rule: &wire::RuleView) -> String {
    let name = |p: &wire::RulePolicy| match p.answer.as_str() {
        "allow" => format!("{}@{}", p.policy, p.version),
        answer => format!("{}@{}:{answer}", p.policy, p.version),
    };
    let mut shown = rule.policies.iter().map(name).collect::<Vec<_>>().join(" ");
    if let Some(ms) = rule.max_ttl_ms {
        shown += &format!(" ttl<={ms}ms");
    }
    if let Some(ms) = rule.max_hold_ms {
        shown += &format!(" hold<={ms}ms");
    }
    if rule.overridden {
        shown += " overridden";
    }
    if !rule.advice.is_empty() {
        let advice = rule.advice.iter().map(name).collect::<Vec<_>>();
        shown += &format!(" (advisory, decided nothing: {})", advice.join(" "));
    }
    format!("{} (event {})", shown.trim_start(), rule.decided_by)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn row(event: &wire::LedgerEvent) -> Vec<String> {
    // What cannot be parsed shows empty columns.
    let body: Value = serde_json::from_str(event.event.get()).unwrap_or_default();
    let cause = &body["cause"];
    // Who asked; of a change of governance, who made it; of what only time did, whose it was.
    let who = [
        &cause["principal"]["subject"],
        &body["principal"]["subject"],
        &body["transitions"][0]["owner"]["subject"],
    ];
    let who = who.into_iter().find_map(Value::as_str);
    let operation = text(&cause["request"]["operation"]);
    let effect = &cause["decision"]["effect"];
    let result = match body["transitions"].as_array() {
        Some(transitions) => {
            let name = |t: &Value| match t["cause"].as_str() {
                Some(cause) => cause.to_owned(),
                None => text(&t["type"]),
            };
            transitions.iter().map(name).collect::<Vec<_>>().join(", ")
        }
        None if effect["message"].is_string() => format!("denied: {}", text(&effect["message"])),
        None => text(&body["summary"]),
    };
    vec![
        event.store.clone(),
        event.cursor.to_string(),
        text(&body["time"]),
        text(&body["lock"]),
        who.unwrap_or_default().to_owned(),
        if operation.is_empty() {
            text(&body["kind"])
        } else {
            operation
        },
        result,
    ]
}
