//! Locks themselves: shown, listed, declared, and their tokens validated.

use clap::Args;
use leasehold_client::Client;
use leasehold_wire::v1::locks as wire;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::views::LeasePolicies;
use leasehold_wire::v1::views::LeasePolicy;
use leasehold_wire::v1::views::LockList;
use leasehold_wire::v1::views::LockView;

use crate::connection::duration_ms;
use crate::connection::split;
use crate::exit::Failed;
use crate::exit::LOST;
use crate::output::Shown;
use crate::output::finish;

/// How many locks one page of a list has: the gateway's most.
const PAGE_LOCKS: usize = 1_000;

/// Which locks to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// The namespace.
    namespace: String,
    /// Only names that begin so.
    #[arg(long, default_value = "")]
    prefix: String,
    /// Only held, free, contended, draining, cooling-down or reserved ones.
    #[arg(long)]
    state: Option<String>,
}

impl List {
    /// All pages, one after the other. Each is one point in time; the whole is not.
    pub(super) async fn perform(self, client: &Client, json: bool) -> Result<Shown, Failed> {
        let mut whole = LockList {
            locks: Vec::new(),
            next_cursor: None,
        };
        loop {
            let path = self.page_after(whole.next_cursor.as_deref());
            let page: LockList = client.get(&path).await?;
            whole.locks.extend(page.locks);
            whole.next_cursor = page.next_cursor;
            if whole.next_cursor.is_none() {
                return Shown::of(json, &whole, show_list);
            }
        }
    }

    fn page_after(&self, cursor: Option<&str>) -> String {
        let base = paths::locks(&self.namespace, None);
        let prefix = paths::encode(&self.prefix);
        let mut path = format!("{base}?limit={PAGE_LOCKS}&prefix={prefix}");
        for (name, value) in [("state", self.state.as_deref()), ("cursor", cursor)] {
            if let Some(value) = value {
                path += &format!("&{name}={}", paths::encode(value));
            }
        }
        path
    }
}

/// A lock's settings.
#[derive(Debug, Args)]
pub(crate) struct Declare {
    /// NAMESPACE/LOCK
    lock: String,
    /// How many permits shared holders may have together, 1 to 10,000.
    #[arg(long, value_name = "PERMITS")]
    limit: Option<u32>,
    /// How long it is not granted after a lease expired, up to ten minutes.
    #[arg(long, default_value = "0s", value_parser = duration_ms)]
    cooldown: u64,
    /// For people.
    #[arg(long, default_value = "")]
    description: String,
}

impl Declare {
    pub(super) async fn perform(self, client: &Client, json: bool) -> Result<Shown, Failed> {
        let (namespace, lock) = split(&self.lock)?;
        let request = wire::DeclareRequest {
            limit: self.limit,
            cooldown_ms: self.cooldown,
            description: self.description,
        };
        let path = paths::lock(namespace, lock, None);
        let view: LockView = client.put(&path, &request).await?;
        Shown::of(json, &view, show_lock)
    }
}

pub(super) async fn get(client: &Client, lock: &str, json: bool) -> Result<Shown, Failed> {
    let (namespace, lock) = split(lock)?;
    let view: LockView = client.get(&paths::lock(namespace, lock, None)).await?;
    Shown::of(json, &view, show_lock)
}

/// Shows whether the token is the current one. The exit code says whether work may begin under it, so that a
/// script can ask.
pub(super) async fn validate(
    client: &Client,
    lock: &str,
    fencing_token: u64,
    json: bool,
) -> Result<u8, Failed> {
    let (namespace, lock) = split(lock)?;
    let path = paths::lock(namespace, lock, Some("validate"));
    let request = wire::ValidateRequest { fencing_token };
    let answer: wire::ValidateResponse = client.post(&path, &request).await?;
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let shown = Shown::of(json, &answer, |answer| {
        Shown::Fields(vec![
            ("current", yes_or_no(answer.current)),
            ("accepts work", yes_or_no(answer.accepts_work)),
        ])
    });
    let shown = finish(shown)?;
    Ok(if answer.accepts_work { shown } else { LOST })
}

fn show_lock(view: &LockView) -> Shown {
    let mut fields = vec![
        ("lock", format!("{}/{}", view.namespace, view.lock)),
        ("state", view.state.clone()),
        ("last fencing token", view.last_fencing_token.to_string()),
        ("permits", view.limit.to_string()),
        ("cooldown", format!("{} ms", view.cooldown_ms)),
    ];
    if !view.description.is_empty() {
        fields.push(("description", view.description.clone()));
    }
    for holder in &view.holders {
        let lasts = holder.remaining_ms;
        let text = format!(
            "{} since {}, lasts {lasts} ms",
            holder.subject, holder.since
        );
        fields.push(("holder", text));
        if let Some(policies) = &holder.policies {
            fields.push(("held under", held_under(policies)));
        }
    }
    for (place, waiter) in view.queue.iter().enumerate() {
        let text = format!("{place}: {} since {}", waiter.subject, waiter.since);
        fields.push(("waiter", text));
    }
    if view.cooldown_remaining_ms > 0 {
        fields.push(("cooling down", format!("{} ms", view.cooldown_remaining_ms)));
    }
    Shown::Fields(fields)
}

/// The policy versions by which a lease is held.
fn held_under(policies: &LeasePolicies) -> String {
    let names = |policies: &[LeasePolicy]| match policies {
        [] => "no policy".to_owned(),
        _ => {
            let names = policies.iter();
            let names = names.map(|one| format!("{}@{}", one.policy, one.version));
            names.collect::<Vec<_>>().join(" ")
        }
    };
    let granted = names(&policies.granted);
    match &policies.renewed {
        None => format!("{granted}, not renewed yet"),
        Some(renewed) => format!("{granted}, renewed under {}", names(renewed)),
    }
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
