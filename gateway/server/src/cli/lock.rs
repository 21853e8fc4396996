//! `leasehold lock …`.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use clap::Subcommand;
use leasehold_client::Client;
use leasehold_wire::v1::locks as wire;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::views::LockList;
use leasehold_wire::v1::views::LockView;

use super::connection::Connection;
use super::connection::block_on;
use super::connection::duration_ms;
use super::connection::label;
use super::connection::split;
use super::exit::Failed;
use super::exit::SYSTEM;
use super::output::Shown;

/// What to do with locks.
#[derive(Debug, Subcommand)]
pub(super) enum LockCommand {
    /// Take a lock; prints its lease id and fencing token.
    Acquire(AcquireArguments),
    /// Lengthen a lease.
    Renew {
        /// NAMESPACE/LOCK
        lock: String,
        /// The lease's id.
        lease_id: String,
        /// The new time to live; the lease's own if absent.
        #[arg(long, value_parser = duration_ms)]
        ttl: Option<u64>,
    },
    /// Give a lease back.
    Release {
        /// NAMESPACE/LOCK
        lock: String,
        /// The lease's id.
        lease_id: String,
    },
    /// Show a lock: holders, queue, cooldown.
    Get {
        /// NAMESPACE/LOCK
        lock: String,
    },
    /// List locks of a namespace.
    List {
        /// The namespace.
        namespace: String,
        /// Only names that begin so.
        #[arg(long, default_value = "")]
        prefix: String,
        /// Only held, free, contended, draining or cooling-down ones.
        #[arg(long)]
        state: Option<String>,
    },
    /// Show what happens, as it happens.
    Watch {
        /// NAMESPACE/LOCK, or NAMESPACE for all of its locks.
        lock: String,
    },
    /// End leases of others.
    Revoke {
        /// NAMESPACE/LOCK
        lock: String,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
        /// How long the holder may drain.
        #[arg(long, default_value = "0s", value_parser = duration_ms)]
        grace: u64,
        /// Only the leases of this subject.
        #[arg(long)]
        subject: Option<String>,
        /// KEY=VALUE, such as ticket=CHG-1.
        #[arg(long, value_parser = label)]
        label: Vec<(String, String)>,
    },
    /// Hand a lease to a successor.
    Transfer {
        /// NAMESPACE/LOCK
        lock: String,
        /// The lease's id.
        lease_id: String,
        /// The successor's subject.
        to: String,
        /// How long the holder may drain.
        #[arg(long, default_value = "0s", value_parser = duration_ms)]
        grace: u64,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
    },
}

/// How to take a lock.
#[derive(Debug, Args)]
pub(super) struct AcquireArguments {
    /// NAMESPACE/LOCK
    lock: String,
    /// How long the lease lasts without renewal.
    #[arg(long, default_value = "30s", value_parser = duration_ms)]
    ttl: u64,
    /// How long to wait for it, up to a minute.
    #[arg(long, value_parser = duration_ms)]
    wait: Option<u64>,
    /// Hold it together with others, with so many permits.
    #[arg(long, value_name = "PERMITS")]
    shared: Option<u32>,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
    /// KEY=VALUE
    #[arg(long, value_parser = label)]
    label: Vec<(String, String)>,
    /// Idempotency key.
    #[arg(long)]
    request_id: Option<String>,
}

impl AcquireArguments {
    fn request(&self) -> wire::AcquireRequest {
        wire::AcquireRequest {
            mode: mode(self.shared),
            permits: self.shared,
            ttl_ms: self.ttl,
            wait_ms: self.wait,
            request_id: self.request_id.clone(),
            labels: self.label.iter().cloned().collect(),
            reason: self.reason.clone(),
            ..wire::AcquireRequest::default()
        }
    }
}

pub(super) fn mode(shared: Option<u32>) -> wire::ModeName {
    shared.map_or(wire::ModeName::Exclusive, |_| wire::ModeName::Shared)
}

/// Does it.
pub(super) fn run(command: LockCommand, connection: Connection) -> Result<Shown, Failed> {
    let client = connection.client()?;
    block_on(perform(&client, command, connection.json))
}

async fn perform(client: &Client, command: LockCommand, json: bool) -> Result<Shown, Failed> {
    match command {
        LockCommand::Acquire(arguments) => acquire(client, &arguments, json).await,
        LockCommand::Renew {
            lock,
            lease_id,
            ttl,
        } => {
            let request = wire::RenewRequest {
                lease_id,
                ttl_ms: ttl,
                request_id: None,
            };
            renew(client, &lock, &request, json).await
        }
        LockCommand::Release { lock, lease_id } => {
            let (namespace, lock) = split(&lock)?;
            let released = client.release(namespace, lock, &lease_id).await?;
            Shown::of(json, &released, |_| {
                Shown::Fields(vec![("released", "yes".to_owned())])
            })
        }
        LockCommand::Get { lock } => get(client, &lock, json).await,
        LockCommand::List {
            namespace,
            prefix,
            state,
        } => list(client, &namespace, &prefix, state.as_deref(), json).await,
        LockCommand::Watch { lock } => watch(client, &lock).await,
        LockCommand::Revoke {
            lock,
            reason,
            grace,
            subject,
            label,
        } => {
            let selector = |subject| wire::HolderSelector {
                handle: None,
                subject: Some(subject),
            };
            let request = wire::RevokeRequest {
                reason,
                grace_ms: grace,
                lease: subject.map(selector),
                labels: label.into_iter().collect(),
                request_id: None,
            };
            revoke(client, &lock, &request, json).await
        }
        LockCommand::Transfer {
            lock,
            lease_id,
            to,
            grace,
            reason,
        } => {
            let request = wire::TransferRequest {
                lease_id,
                to,
                grace_ms: grace,
                reason,
                labels: BTreeMap::new(),
                request_id: None,
            };
            transfer(client, &lock, &request, json).await
        }
    }
}

async fn acquire(
    client: &Client,
    arguments: &AcquireArguments,
    json: bool,
) -> Result<Shown, Failed> {
    let (namespace, lock) = split(&arguments.lock)?;
    let grant = client
        .acquire(namespace, lock, &arguments.request())
        .await?;
    Shown::of(json, &grant, show_grant)
}

async fn renew(
    client: &Client,
    lock: &str,
    request: &wire::RenewRequest,
    json: bool,
) -> Result<Shown, Failed> {
    let (namespace, lock) = split(lock)?;
    let grant = client.renew(namespace, lock, request).await?;
    Shown::of(json, &grant, show_grant)
}

async fn list(
    client: &Client,
    namespace: &str,
    prefix: &str,
    state: Option<&str>,
    json: bool,
) -> Result<Shown, Failed> {
    let state = state
        .map(|state| format!("&state={}", paths::encode(state)))
        .unwrap_or_default();
    let base = paths::locks(namespace, None);
    let path = format!("{base}?limit=1000&prefix={}{state}", paths::encode(prefix));
    let list: LockList = client.get(&path).await?;
    Shown::of(json, &list, show_list)
}

async fn get(client: &Client, lock: &str, json: bool) -> Result<Shown, Failed> {
    let (namespace, lock) = split(lock)?;
    let view: LockView = client.get(&paths::lock(namespace, lock, None)).await?;
    Shown::of(json, &view, show_lock)
}

async fn revoke(
    client: &Client,
    lock: &str,
    request: &wire::RevokeRequest,
    json: bool,
) -> Result<Shown, Failed> {
    let (namespace, name) = split(lock)?;
    let path = paths::lock(namespace, name, Some("revoke"));
    let revoked: wire::RevokeResponse = client.post(&path, request).await?;
    Shown::of(json, &revoked, |revoked| {
        Shown::Fields(vec![("leases revoked", revoked.leases.len().to_string())])
    })
}

async fn transfer(
    client: &Client,
    lock: &str,
    request: &wire::TransferRequest,
    json: bool,
) -> Result<Shown, Failed> {
    let (namespace, name) = split(lock)?;
    let path = paths::lock(namespace, name, Some("transfer"));
    let answer: wire::TransferResponse = client.post(&path, request).await?;
    Shown::of(json, &answer, |answer| {
        Shown::Fields(vec![(
            "drains for",
            format!("{} ms", answer.drain_remaining_ms),
        )])
    })
}

fn show_grant(grant: &wire::Grant) -> Shown {
    Shown::Fields(vec![
        ("lease id", grant.lease_id.clone()),
        ("fencing token", grant.fencing_token.to_string()),
        ("lasts", format!("{} ms", grant.remaining_ms)),
        ("state", grant.state.clone()),
    ])
}

fn show_lock(view: &LockView) -> Shown {
    let mut fields = vec![
        ("lock", format!("{}/{}", view.namespace, view.lock)),
        ("state", view.state.clone()),
        ("last fencing token", view.last_fencing_token.to_string()),
    ];
    for holder in &view.holders {
        let lasts = holder.remaining_ms;
        let text = format!(
            "{} since {}, lasts {lasts} ms",
            holder.subject, holder.since
        );
        fields.push(("holder", text));
    }
    for (place, waiter) in view.queue.iter().enumerate() {
        fields.push((
            "waiter",
            format!("{place}: {} since {}", waiter.subject, waiter.since),
        ));
    }
    if view.cooldown_remaining_ms > 0 {
        fields.push(("cooling down", format!("{} ms", view.cooldown_remaining_ms)));
    }
    Shown::Fields(fields)
}

fn show_list(list: &LockList) -> Shown {
    let row = |view: &LockView| {
        let holders: Vec<&str> = view.holders.iter().map(|h| h.subject.as_str()).collect();
        vec![
            view.lock.clone(),
            view.state.clone(),
            holders.join(", "),
            view.queue.len().to_string(),
            view.last_fencing_token.to_string(),
        ]
    };
    let headings = vec!["LOCK", "STATE", "HOLDERS", "WAITING", "TOKEN"];
    Shown::Table(headings, list.locks.iter().map(row).collect())
}

/// Prints events until the stream ends or the person stops it.
async fn watch(client: &Client, lock: &str) -> Result<Shown, Failed> {
    let path = match lock.split_once('/') {
        Some((namespace, name)) => paths::lock(namespace, name, Some("watch")),
        None => paths::locks(lock, Some("watch")),
    };
    let mut response = client.stream(&path).await?;
    let gone =
        |error: &dyn std::fmt::Display| Failed::new(super::exit::UNAVAILABLE, error.to_string());
    while let Some(chunk) = response.chunk().await.map_err(|error| gone(&error))? {
        let written = std::io::stdout().lock().write_all(&chunk);
        written.map_err(|error| Failed::new(SYSTEM, error.to_string()))?;
    }
    Ok(Shown::Fields(Vec::new()))
}
