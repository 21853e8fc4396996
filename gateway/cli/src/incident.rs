//! `leasehold incident …`.

use clap::Subcommand;
use leasehold_client::Client;
use leasehold_wire::v1::incidents as wire;
use leasehold_wire::v1::paths;

use super::connection::Connection;
use super::connection::block_on;
use super::exit::Failed;
use super::output::Shown;

/// What to do with incidents. Each gateway knows those that it has noticed itself.
#[derive(Debug, Subcommand)]
pub(super) enum IncidentCommand {
    /// List them, newest first.
    List {
        /// Only of this store.
        #[arg(long)]
        store: Option<String>,
        /// Only those that last.
        #[arg(long)]
        open: bool,
        /// Only those before this one.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one.
    Show {
        /// Its name.
        id: String,
    },
    /// Say that you have seen it; where the gateway waits for that, it grants again once the store
    /// works.
    Acknowledge {
        /// Its name.
        id: String,
        /// What there is to say of it, for the ledger.
        #[arg(long, default_value = "")]
        note: String,
    },
}

/// Does it.
pub(super) fn run(command: IncidentCommand, connection: Connection) -> Result<Shown, Failed> {
    let client = connection.client()?;
    block_on(ask(&client, command, connection.json))
}

async fn ask(client: &Client, command: IncidentCommand, json: bool) -> Result<Shown, Failed> {
    match command {
        IncidentCommand::List {
            store,
            open,
            after,
            limit,
        } => {
            let mut path = format!("{}?limit={limit}", paths::INCIDENTS);
            let store = store.map(|store| format!("&store={}", paths::encode(&store)));
            let after = after.map(|after| format!("&after={}", paths::encode(&after)));
            let open = open.then(|| "&open=true".to_owned());
            path.extend([store, after, open].into_iter().flatten());
            let list: wire::IncidentList = client.get(&path).await?;
            Shown::of(json, &list, |list| {
                let headings = vec![
                    "ID",
                    "STORE",
                    "NOTICED BY",
                    "STARTED",
                    "ENDED",
                    "REFUSED",
                    "ACKNOWLEDGED",
                ];
                Shown::Table(headings, list.incidents.iter().map(row).collect())
            })
        }
        IncidentCommand::Show { id } => {
            let path = paths::member(paths::INCIDENTS, &id);
            let incident: wire::IncidentView = client.get(&path).await?;
            Shown::of(json, &incident, show)
        }
        IncidentCommand::Acknowledge { id, note } => {
            let path = paths::incident_acknowledge(&id);
            let request = wire::AcknowledgeRequest { note };
            let incident: wire::IncidentView = client.post(&path, &request).await?;
            Shown::of(json, &incident, show)
        }
    }
}

fn row(incident: &wire::IncidentView) -> Vec<String> {
    vec![
        incident.id.clone(),
        if incident.clock.is_some() {
            "(clocks)".to_owned()
        } else if incident.not_reproduced.is_some() {
            "(not reproduced)".to_owned()
        } else if incident.witness.is_some() {
            "(witness)".to_owned()
        } else {
            incident.store.clone()
        },
        incident.noticed_by.clone(),
        incident.started_at.clone(),
        ended(incident),
        incident.refused_requests.to_string(),
        acknowledged(incident),
    ]
}

fn ended(incident: &wire::IncidentView) -> String {
    match &incident.ended {
        Some(ended) => ended.at.clone(),
        None => "lasts".to_owned(),
    }
}

fn acknowledged(incident: &wire::IncidentView) -> String {
    let seen = incident.acknowledged.as_ref();
    seen.map(|seen| seen.by.clone()).unwrap_or_default()
}

fn show(incident: &wire::IncidentView) -> Shown {
    let last_success = incident.last_success.as_ref();
    let last_success = last_success.map(|good| format!("{} {}", good.at, good.operation));
    let by = incident.ended.as_ref().map(|ended| ended.by.clone());
    let note = incident.acknowledged.as_ref().map(|seen| seen.note.clone());
    let about = if let Some(clock) = &incident.clock {
        let told = format!("of gateway {}, {} ms ahead", clock.gateway, clock.ahead_ms);
        vec![("clock", told)]
    } else if let Some(found) = &incident.not_reproduced {
        vec![
            ("store", incident.store.clone()),
            ("policy", format!("{}@{}", found.policy, found.version)),
            ("not reproduced", format!("{} verdicts", found.verdicts)),
            ("first in decision", found.decision_id.clone()),
            ("recorded", found.recorded.clone()),
            ("evaluated", found.evaluated.clone()),
        ]
    } else if let Some(refusal) = &incident.witness {
        vec![
            ("store", incident.store.clone()),
            ("witness", refusal.witness.clone()),
            ("answer", refusal.answer.clone()),
            ("events", refusal.size.to_string()),
            ("root", refusal.root.clone()),
            ("refusals", refusal.refusals.to_string()),
        ]
    } else {
        Vec::new()
    };
    if !about.is_empty() {
        let mut fields = vec![("id", incident.id.clone())];
        fields.extend(about);
        fields.extend([
            ("noticed by", incident.noticed_by.clone()),
            ("started", incident.started_at.clone()),
            ("ended", ended(incident)),
            ("acknowledged", acknowledged(incident)),
            ("note", note.unwrap_or_default()),
            ("in the ledger", incident.recorded.to_string()),
        ]);
        return Shown::Fields(fields);
    }
    Shown::Fields(vec![
        ("id", incident.id.clone()),
        ("store", incident.store.clone()),
        ("noticed by", incident.noticed_by.clone()),
        ("started", incident.started_at.clone()),
        ("last success", last_success.unwrap_or_default()),
        (
            "last error",
            incident.last_error.clone().unwrap_or_default(),
        ),
        ("failed attempts", incident.failed_attempts.to_string()),
        ("refused requests", incident.refused_requests.to_string()),
        ("ended", ended(incident)),
        ("ended by", by.unwrap_or_default()),
        ("acknowledged", acknowledged(incident)),
        ("note", note.unwrap_or_default()),
        ("in the ledger", incident.recorded.to_string()),
    ])
}
