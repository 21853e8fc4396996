//! Shows and restores the revisions of bindings and namespaces: `leasehold policy history` and
//! `restore-binding`, `leasehold namespace history` and `restore`.

use clap::Args;
use leasehold_client::Client;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::revisions as wire;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exit::Failed;
use crate::exit::SYSTEM;
use crate::output::Shown;

/// Which revisions to show.
#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// The name.
    name: String,
    /// The number of one revision, to show it whole; absent: all.
    #[arg(conflicts_with = "diff")]
    revision: Option<u64>,
    /// Show what differs between two revisions, such as 3..7.
    #[arg(long, value_name = "A..B", value_parser = range)]
    diff: Option<(u64, u64)>,
}

/// Which revision to restore.
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The name.
    name: String,
    /// The number of the revision.
    revision: u64,
    /// Why; the new revision and the ledger keep it.
    #[arg(long)]
    reason: Option<String>,
}

/// Parses `A..B`.
fn range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("must be A..B")?;
    let number = |text: &str| text.parse().map_err(|_| "must be A..B, two numbers");
    Ok((number(from)?, number(to)?))
}

const HEADINGS: [&str; 6] = ["REVISION", "AT", "BY", "ORIGIN", "CHANGED", "REASON"];
const DIFF_HEADINGS: [&str; 3] = ["FIELD", "BEFORE", "AFTER"];

/// Asks for the revisions of a binding or a namespace, a member of this collection. `B` is the body of
/// its revisions.
pub(super) async fn show<B: Serialize + DeserializeOwned>(
    client: &Client,
    collection: &str,
    arguments: &HistoryArguments,
    json: bool,
) -> Result<Shown, Failed> {
    let HistoryArguments {
        name,
        revision,
        diff,
    } = arguments;
    if let Some((from, to)) = diff {
        let path = paths::revision(collection, name, *to);
        let path = format!("{path}?against={from}");
        let found: wire::Revision<B> = client.get(&path).await?;
        return Shown::of(json, &found.changes, |changes| {
            let rows = changes.iter().map(row_of_change).collect();
            Shown::Table(DIFF_HEADINGS.to_vec(), rows)
        });
    }
    if let Some(number) = revision {
        let path = paths::revision(collection, name, *number);
        let found: wire::Revision<B> = client.get(&path).await?;
        let body = serde_json::to_string(&found.body);
        let body = body.map_err(|error| Failed::new(SYSTEM, error.to_string()))?;
        return Shown::of(json, &found, |found| show_one(found, body));
    }
    let list: wire::RevisionList<B> = all(client, paths::revisions(collection, name)).await?;
    Shown::of(json, &list, show_list)
}

/// Reads all pages.
async fn all<B: DeserializeOwned>(
    client: &Client,
    path: String,
) -> Result<wire::RevisionList<B>, Failed> {
    let mut whole: wire::RevisionList<B> = client.get(&path).await?;
    while let Some(before) = whole.next_before {
        let next = format!("{path}?before={before}");
        let page: wire::RevisionList<B> = client.get(&next).await?;
        whole.revisions.extend(page.revisions);
        whole.next_before = page.next_before;
    }
    Ok(whole)
}

/// Restores a revision. Returns the binding or the namespace.
pub(super) async fn restore<D: DeserializeOwned>(
    client: &Client,
    collection: &str,
    arguments: RestoreArguments,
) -> Result<D, Failed> {
    let request = wire::RestoreRequest {
        revision: arguments.revision,
        reason: arguments.reason,
    };
    let path = paths::restore(collection, &arguments.name);
    Ok(client.post(&path, &request).await?)
}

fn show_list<B>(list: &wire::RevisionList<B>) -> Shown {
    let mut rows = Vec::new();
    if list.unrecorded {
        let told = "not yet: an earlier build wrote it; its next change records it";
        let cells = ["", "", "", "", "", told];
        rows.push(cells.map(str::to_owned).to_vec());
    }
    rows.extend(list.revisions.iter().map(|revision| {
        let changed = revision.changed.iter().map(|path| match &**path {
            "" => "all".to_owned(),
            path => path.trim_start_matches('/').to_owned(),
        });
        vec![
            revision.number.to_string(),
            revision.at.clone(),
            by(revision),
            origin(revision),
            changed.collect::<Vec<_>>().join(","),
            revision.reason.clone().unwrap_or_default(),
        ]
    }));
    Shown::Table(HEADINGS.to_vec(), rows)
}

fn show_one<B>(revision: &wire::Revision<B>, body: String) -> Shown {
    let mut fields = vec![
        ("revision", revision.number.to_string()),
        ("at", revision.at.clone()),
        ("by", by(revision)),
        ("origin", origin(revision)),
    ];
    fields.extend(revision.reason.clone().map(|reason| ("reason", reason)));
    for change in &revision.changes {
        if !change.path.is_empty() {
            fields.push(("changed", row_of_change(change).join("  ")));
        }
    }
    fields.push(("body", body));
    Shown::Fields(fields)
}

fn by<B>(revision: &wire::Revision<B>) -> String {
    let unknown = || "an earlier build".to_owned();
    revision.by.clone().unwrap_or_else(unknown)
}

fn origin<B>(revision: &wire::Revision<B>) -> String {
    let origin = &revision.origin;
    match (&revision.rollout, revision.restored) {
        (Some(rollout), _) => format!("{origin} {rollout}"),
        (None, Some(number)) => format!("{origin} of {number}"),
        (None, None) => origin.clone(),
    }
}

/// Shows a change as field, value before, value now.
pub(crate) fn row_of_change(change: &wire::FieldChange) -> Vec<String> {
    let text = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
    let path = match &*change.path {
        "" => "all",
        path => path,
    };
    vec![path.to_owned(), text(&change.before), text(&change.after)]
}
