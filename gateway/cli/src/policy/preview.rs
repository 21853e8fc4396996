//! `leasehold policy bind --preview` and `unbind --preview`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use clap::Args;
use leasehold_client::Client;
use leasehold_wire::v1::bindings::BindingRequest;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::preview as wire;
use leasehold_wire::v1::replay::ReplayDifference;

use crate::connection::duration_ms;
use crate::exit::Failed;
use crate::output;
use crate::output::Shown;
use crate::revisions::row_of_change;

/// How many differences are shown; with `--json` all that the gateway lists.
const DIFFERENCES_SHOWN: usize = 10;
/// How many differences of all parts together are kept.
const DIFFERENCES_KEPT: usize = 100;

/// Whether to preview a change instead of making it.
#[derive(Debug, Args)]
pub(crate) struct PreviewArguments {
    /// Change nothing; show what the change would touch.
    #[arg(long)]
    pub(super) preview: bool,
    /// Preview: only decisions since this long ago, such as 7d; absent: 7 days.
    #[arg(long = "since", value_name = "DURATION", value_parser = duration_ms, requires = "preview")]
    since_ms: Option<u64>,
}

/// Asks what creating, replacing or deleting a binding would touch, in each store, part by part.
pub(super) async fn show(
    client: &Client,
    (binding, delete): (Option<BindingRequest>, Option<String>),
    arguments: &PreviewArguments,
    json: bool,
) -> Result<Shown, Failed> {
    let asked = wire::PreviewRequest {
        binding,
        delete,
        since_ms: arguments.since_ms,
        ..wire::PreviewRequest::default()
    };
    let mut whole = of_store(client, asked.clone()).await?;
    // The answer about the first store says in which others the binding has namespaces.
    let others: BTreeSet<String> = whole.stores.iter().cloned().collect();
    for store in others.into_iter().filter(|store| store != "home") {
        let request = wire::PreviewRequest {
            store: Some(store),
            ..asked.clone()
        };
        let of_store = of_store(client, request).await?;
        merge(&mut whole, of_store);
    }
    Shown::of(json, &whole, show_preview)
}

async fn of_store(
    client: &Client,
    mut request: wire::PreviewRequest,
) -> Result<wire::BindingPreview, Failed> {
    let mut whole: Option<wire::BindingPreview> = None;
    loop {
        let part: wire::BindingPreview = client.post(paths::BINDINGS_PREVIEW, &request).await?;
        let (next, complete_to) = (part.next_cursor, part.complete_to);
        (request.from_ms, request.since_ms) = (Some(part.from_ms), None);
        request.to.get_or_insert(complete_to);
        let whole = match &mut whole {
            None => whole.insert(part),
            Some(whole) => {
                merge(whole, part);
                whole
            }
        };
        let Some(next) = next else {
            return Ok(whole.clone());
        };
        let decisions = whole.decisions;
        output::tell(&format!(
            "{decisions} decisions, up to event {next} of {complete_to}"
        ));
        request.after = Some(next);
    }
}

/// Adds a part, or another store, to what came before it.
fn merge(whole: &mut wire::BindingPreview, part: wire::BindingPreview) {
    fn add(into: &mut BTreeMap<String, u64>, counts: BTreeMap<String, u64>) {
        for (name, count) in counts {
            *into.entry(name).or_default() += count;
        }
    }
    whole.decisions += part.decisions;
    whole.agreed += part.agreed;
    whole.ungrouped += part.ungrouped;
    (whole.complete_to, whole.next_cursor) = (part.complete_to, None);
    add(&mut whole.differences, part.differences);
    add(&mut whole.unknown, part.unknown);
    for group in part.groups {
        let is_same = |known: &&mut wire::PreviewGroup| {
            (&known.operation, &known.team) == (&group.operation, &group.team)
        };
        match whole.groups.iter_mut().find(is_same) {
            Some(known) => {
                known.decisions += group.decisions;
                known.unknown += group.unknown;
                add(&mut known.differences, group.differences);
            }
            None => whole.groups.push(group),
        }
    }
    let free = DIFFERENCES_KEPT.saturating_sub(whole.first.len());
    whole.first.extend(part.first.into_iter().take(free));
    if let Some(more) = part.locks {
        let locks = whole.locks.get_or_insert_default();
        locks.locks += more.locks;
        locks.leases += more.leases;
        locks.waiters += more.waiters;
        locks.more |= more.more;
        locks.first.extend(more.first);
        for team in more.teams {
            let is_same = |known: &&mut wire::TouchedTeam| known.team == team.team;
            match locks.teams.iter_mut().find(is_same) {
                Some(known) => known.owners += team.owners,
                None => locks.teams.push(team),
            }
        }
    }
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    let told = counts.iter().map(|(name, count)| format!("{name} {count}"));
    match counts.is_empty() {
        true => "0".to_owned(),
        false => told.collect::<Vec<_>>().join(", "),
    }
}

fn team(team: Option<&String>) -> &str {
    team.map_or("no team", |team| team.as_str())
}

fn show_preview(preview: &wire::BindingPreview) -> Shown {
    let mut fields = vec![
        ("binding", preview.name.clone()),
        ("before", preview.policies_before.join(", ")),
        ("after", preview.policies_after.join(", ")),
    ];
    let changes = preview.changes.iter();
    fields.extend(changes.map(|change| ("changed", row_of_change(change).join("  "))));
    for warning in &preview.warnings {
        fields.push(("warning", warning.clone()));
    }
    if let Some(locks) = &preview.locks {
        let more = match locks.more {
            true => ", and more that were not looked at",
            false => "",
        };
        let told = format!(
            "{} with {} leases and {} waiters{more}",
            locks.locks, locks.leases, locks.waiters
        );
        fields.push(("locks now", told));
        let teams = locks.teams.iter();
        let teams = teams.map(|one| format!("{} {}", team(one.team.as_ref()), one.owners));
        let teams: Vec<String> = teams.collect();
        let teams = match teams.is_empty() {
            true => "none".to_owned(),
            false => teams.join(", "),
        };
        fields.push(("teams now", teams));
    }
    fields.push(("decisions", preview.decisions.to_string()));
    for group in &preview.groups {
        let asked = team(group.team.as_ref());
        let mut told = format!("{} of {asked}: {}", group.operation, group.decisions);
        if !group.differences.is_empty() {
            told += &format!(", {}", counts(&group.differences));
        }
        if group.unknown > 0 {
            told += &format!(", unknown {}", group.unknown);
        }
        fields.push(("", told));
    }
    if preview.ungrouped > 0 {
        fields.push(("", format!("others: {}", preview.ungrouped)));
    }
    fields.push(("the same", preview.agreed.to_string()));
    fields.push(("differ", counts(&preview.differences)));
    fields.push(("unknown", counts(&preview.unknown)));
    let shown = preview.first.iter().take(DIFFERENCES_SHOWN);
    fields.extend(shown.map(|difference| ("example", told(difference))));
    Shown::Fields(fields)
}

fn told(difference: &ReplayDifference) -> String {
    format!(
        "{} {} {} by {}: {}; would be: {}",
        difference.at,
        difference.operation,
        difference.lock,
        difference.subject,
        difference.recorded,
        difference.candidate
    )
}
