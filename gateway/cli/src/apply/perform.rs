//! Writes what differs, in order, until something fails.

use std::collections::BTreeSet;

use leasehold_client::Client;
use leasehold_wire::v1::bindings as bind;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::namespaces as ns;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::policies::PushedPolicy;
use serde::Serialize;
use serde_json::Value;

use super::plan::Action;
use super::plan::Item;
use super::plan::Plan;
use super::plan::Write;
use crate::exit::Failed;
use crate::exit::REFUSED;

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "detail")]
pub(super) enum ItemResult {
    Done,
    /// Others must approve it; the message names the request. The next run writes it.
    WaitsForApproval(String),
    Failed(String),
    /// Something before it failed, or a namespace that it names waits for approval.
    NotDone,
}

/// Writes all items that differ. Stops at the first failure, except that changes that wait for
/// approval are passed over, so that all of them are requested. Returns the result of each item that
/// differs, and the failure of the whole.
pub(super) async fn all(
    client: &Client,
    plan: &Plan,
    reason: Option<&str>,
) -> (Vec<ItemResult>, Option<Failed>) {
    let mut results = Vec::new();
    let mut failure: Option<Failed> = None;
    let mut waiting = 0;
    // A binding cannot name a namespace that is not there before others have approved it.
    let mut absent = BTreeSet::new();
    // Nor can a namespace be deleted that a binding names whose deletion waits.
    let mut kept = false;
    let differing = plan.items.iter();
    for item in differing.filter(|item| item.action != Action::Unchanged) {
        let is_needed = kept && matches!(item.write, Write::Delete(paths::NAMESPACES, _));
        if failure.is_some() || is_needed || names_any(&item.write, &absent) {
            results.push(ItemResult::NotDone);
            continue;
        }
        let Err(failed) = write(client, item, reason).await else {
            results.push(ItemResult::Done);
            continue;
        };
        let code = failed.problem.as_ref().map(|problem| problem.code);
        let message = failed.message.clone();
        if code == Some(ErrorCode::ApprovalRequired) {
            waiting += 1;
            if let Write::Namespace(request) = &item.write
                && request.revision.is_none()
            {
                absent.insert(item.name.clone());
            }
            kept |= item.action == Action::Delete;
            results.push(ItemResult::WaitsForApproval(message));
        } else {
            results.push(ItemResult::Failed(message));
            failure = Some(Failed {
                message: format!("{} {}: {}", item.kind, item.name, failed.message),
                ..failed
            });
        }
    }
    let waits = (waiting > 0).then(|| {
        let message = format!("{waiting} wait for approval; run it again once they are approved");
        Failed::new(REFUSED, message)
    });
    (results, failure.or(waits))
}

/// Whether a write of a binding names one of these namespaces.
fn names_any(write: &Write, namespaces: &BTreeSet<String>) -> bool {
    match write {
        Write::Binding(request) => {
            let mut named = request.namespaces.iter();
            named.any(|name| namespaces.contains(name))
        }
        Write::Nothing | Write::Policy { .. } | Write::Namespace(_) | Write::Delete(..) => false,
    }
}

async fn write(client: &Client, item: &Item, reason: Option<&str>) -> Result<(), Failed> {
    match &item.write {
        Write::Nothing => {}
        Write::Policy {
            path,
            wasm,
            signatures,
        } => {
            let _: PushedPolicy = client.push(path, wasm.clone(), signatures).await?;
        }
        Write::Namespace(request) => {
            let request = ns::NamespaceRequest {
                reason: reason.map(str::to_owned),
                ..request.clone()
            };
            let path = paths::member(paths::NAMESPACES, &item.name);
            let _: ns::Namespace = match request.revision {
                Some(_) => client.put(&path, &request).await?,
                None => client.post(paths::NAMESPACES, &request).await?,
            };
        }
        Write::Binding(request) => {
            let request = bind::BindingRequest {
                reason: reason.map(str::to_owned),
                ..request.clone()
            };
            let path = paths::member(paths::BINDINGS, &item.name);
            let _: bind::Binding = match request.revision {
                Some(_) => client.put(&path, &request).await?,
                None => client.post(paths::BINDINGS, &request).await?,
            };
        }
        Write::Delete(collection, revision) => {
            let mut path = paths::member(collection, &item.name);
            path += &format!("?revision={revision}");
            if let Some(reason) = reason {
                path += &format!("&reason={}", paths::encode(reason));
            }
            let _: Value = client.delete(&path).await?;
        }
    }
    Ok(())
}

/// Returns what became of each item, for people.
pub(super) fn told(plan: &Plan, results: &[ItemResult]) -> String {
    let differing = plan.items.iter();
    let differing = differing.filter(|item| item.action != Action::Unchanged);
    let mut told = String::new();
    for (item, result) in differing.zip(results) {
        let (state, detail) = match result {
            ItemResult::Done => ("done", None),
            ItemResult::WaitsForApproval(message) => ("waits", Some(message)),
            ItemResult::Failed(message) => ("failed", Some(message)),
            ItemResult::NotDone => ("not done", None),
        };
        told += &format!("{state:9}  {:9}  {}\n", item.kind, item.name);
        if let Some(detail) = detail {
            told += &format!("             {detail}\n");
        }
    }
    told
}
