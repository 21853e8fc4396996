//! What is done with leases. Each of these requests has an id, the caller's or a drawn one, and
//! keeps it when it is sent again: a request that was heard twice is still one request.

use std::collections::BTreeMap;

use clap::Args;
use leasehold_client::Client;
use leasehold_client::Error;
use leasehold_client::request_id;
use leasehold_client::request_id::RequestIds;
use leasehold_wire::v1::locks as wire;
use leasehold_wire::v1::paths;

use crate::connection::duration_ms;
use crate::connection::label;
use crate::connection::split;
use crate::exit::Failed;
use crate::output::Shown;

/// The id of a request.
#[derive(Debug, Args)]
struct Identity {
    /// Idempotency key: the same request with the same key is done once. Drawn if absent.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

impl Identity {
    fn draw(&self) -> String {
        let given = self.request_id.clone();
        given.unwrap_or_else(request_id::draw)
    }

    /// The ids to go on with if one is used up; `None` if the caller chose it.
    fn further(&self) -> Option<RequestIds> {
        self.request_id.is_none().then(RequestIds::default)
    }
}

/// A failure. If nobody knows whether the request took effect, it says how to ask the same again.
fn failed(error: Error, request_id: &str) -> Failed {
    let unknown = error.may_have_taken_effect();
    let failed = Failed::from(error);
    if unknown {
        failed.add(&format!("--request-id {request_id} asks the same again"))
    } else {
        failed
    }
}

/// How to take a lock.
#[derive(Debug, Args)]
pub(crate) struct Acquire {
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
    /// The ticket under which a break-glass principal passes an overridable denial.
    #[arg(long)]
    ticket: Option<String>,
    /// How long a denial may be passed by break-glass, 1s to 24h; an hour if absent.
    #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
    override_ttl: Option<u64>,
    /// KEY=VALUE
    #[arg(long, value_parser = label)]
    label: Vec<(String, String)>,
    #[command(flatten)]
    identity: Identity,
}

impl Acquire {
    pub(super) async fn perform(self, client: &Client, json: bool) -> Result<Shown, Failed> {
        let (namespace, lock) = split(&self.lock)?;
        let mut further = self.identity.further();
        let mut request = wire::AcquireRequest {
            mode: super::mode(self.shared),
            permits: self.shared,
            ttl_ms: self.ttl,
            wait_ms: self.wait,
            request_id: Some(self.identity.draw()),
            labels: self.label.into_iter().collect(),
            reason: self.reason,
            ticket: self.ticket,
            override_ttl_ms: self.override_ttl,
            ..wire::AcquireRequest::default()
        };
        let grant = loop {
            let error = match client.acquire(namespace, lock, &request).await {
                Ok(grant) => break grant,
                Err(error) => error,
            };
            match further.as_mut().and_then(|ids| ids.after(&error)) {
                // Nothing stands under the id before, so this takes no second lease.
                Some(fresh) => request.request_id = Some(fresh),
                None => {
                    let last = request.request_id.unwrap_or_default();
                    return Err(failed(error, &last));
                }
            }
        };
        Shown::of(json, &grant, show_grant)
    }
}

/// How to lengthen a lease.
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// NAMESPACE/LOCK
    lock: String,
    /// The lease's id.
    lease_id: String,
    /// The new time to live; the lease's own if absent.
    #[arg(long, value_parser = duration_ms)]
    ttl: Option<u64>,
    /// Why; a break-glass principal passes an overridable denial with it.
    #[arg(long)]
    reason: Option<String>,
    /// The ticket under which a break-glass principal passes an overridable denial.
    #[arg(long)]
    ticket: Option<String>,
    /// How long a denial may be passed by break-glass, 1s to 24h; an hour if absent.
    #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
    override_ttl: Option<u64>,
    #[command(flatten)]
    identity: Identity,
}

impl Renew {
    pub(super) async fn perform(self, client: &Client, json: bool) -> Result<Shown, Failed> {
        let (namespace, lock) = split(&self.lock)?;
        let request_id = self.identity.draw();
        let request = wire::RenewRequest {
            lease_id: self.lease_id,
            ttl_ms: self.ttl,
            reason: self.reason,
            ticket: self.ticket,
            override_ttl_ms: self.override_ttl,
            request_id: Some(request_id.clone()),
        };
        let grant = client.renew(namespace, lock, &request).await;
        let grant = grant.map_err(|error| failed(error, &request_id))?;
        Shown::of(json, &grant, show_grant)
    }
}

/// Which lease to give back.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// NAMESPACE/LOCK
    lock: String,
    /// The lease's id.
    lease_id: String,
    /// How long the lock is not granted again after the release, up to ten minutes.
    #[arg(long, value_parser = duration_ms)]
    cooldown: Option<u64>,
    #[command(flatten)]
    identity: Identity,
}

impl Release {
    pub(super) async fn perform(self, client: &Client, json: bool) -> Result<Shown, Failed> {
        let (namespace, lock) = split(&self.lock)?;
        let request_id = self.identity.draw();
        let request = wire::ReleaseRequest {
            lease_id: self.lease_id,
            cooldown_ms: self.cooldown,
            request_id: Some(request_id.clone()),
        };
        let released = client.release(namespace, lock, &request).await;
        let released = released.map_err(|error| failed(error, &request_id))?;
        Shown::of(json, &released, |_| {
            Shown::Fields(vec![("released", "yes".to_owned())])
        })
    }
}

/// Whose leases to end, and how.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// NAMESPACE/LOCK
    lock: String,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
    /// The ticket under which a break-glass principal passes an overridable denial.
    #[arg(long)]
    ticket: Option<String>,
    /// How long the holder may drain.
    #[arg(long, default_value = "0s", value_parser = duration_ms)]
    grace: u64,
    /// Only the leases of this subject.
    #[arg(long)]
    subject: Option<String>,
    /// KEY=VALUE, such as ticket=CHG-1.
    #[arg(long, value_parser = label)]
    label: Vec<(String, String)>,
}

impl Revoke {
    pub(super) async fn perform(self, client: &Client, json: bool) -> Result<Shown, Failed> {
        let (namespace, lock) = split(&self.lock)?;
        let selector = |subject| wire::HolderSelector {
            handle: None,
            subject: Some(subject),
        };
        let request = wire::RevokeRequest {
            reason: self.reason,
            ticket: self.ticket,
            grace_ms: self.grace,
            lease: self.subject.map(selector),
            labels: self.label.into_iter().collect(),
            request_id: None,
        };
        let path = paths::lock(namespace, lock, Some("revoke"));
        let revoked: wire::RevokeResponse = client.post(&path, &request).await?;
        Shown::of(json, &revoked, |revoked| {
            Shown::Fields(vec![("leases revoked", revoked.leases.len().to_string())])
        })
    }
}

/// Which lease to hand to whom.
#[derive(Debug, Args)]
pub(crate) struct Transfer {
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
    /// The ticket under which a break-glass principal passes an overridable denial.
    #[arg(long)]
    ticket: Option<String>,
}

impl Transfer {
    pub(super) async fn perform(self, client: &Client, json: bool) -> Result<Shown, Failed> {
        let (namespace, lock) = split(&self.lock)?;
        let request = wire::TransferRequest {
            lease_id: self.lease_id,
            to: self.to,
            grace_ms: self.grace,
            reason: self.reason,
            ticket: self.ticket,
            labels: BTreeMap::new(),
            request_id: None,
        };
        let path = paths::lock(namespace, lock, Some("transfer"));
        let answer: wire::TransferResponse = client.post(&path, &request).await?;
        Shown::of(json, &answer, |answer| {
            let drains = format!("{} ms", answer.drain_remaining_ms);
            Shown::Fields(vec![("drains for", drains)])
        })
    }
}

fn show_grant(grant: &wire::Grant) -> Shown {
    Shown::Fields(vec![
        ("lease id", grant.lease_id.clone()),
        ("fencing token", grant.fencing_token.to_string()),
        ("lasts", format!("{} ms", grant.remaining_ms)),
        ("state", grant.state.clone()),
        ("request id", grant.request_id.clone()),
    ])
}
