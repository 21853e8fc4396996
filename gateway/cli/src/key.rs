//! `leasehold key …`.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use leasehold_client::Client;
use leasehold_core::config::Config;
use leasehold_core::config::Overrides;
use leasehold_domain::InvalidName;
use leasehold_wire::v1::keys;
use leasehold_wire::v1::paths;
use serde_json::json;

use super::connection::Connection;
use super::connection::block_on;
use super::connection::duration_ms;
use super::exit::Failed;
use super::exit::UNAVAILABLE;
use super::exit::USAGE;
use super::output::Shown;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key. It is shown once.
    Create {
        /// Who it stands for.
        subject: String,
        /// Of which team.
        #[arg(long)]
        team: Option<String>,
        /// administrator, operator, policy-author, auditor, approver, break-glass; may be repeated.
        #[arg(long)]
        role: Vec<String>,
        /// For people.
        #[arg(long, default_value = "")]
        description: String,
        /// How long after its creation it expires, such as 90d; without this it never does.
        #[arg(long, value_name = "DURATION", value_parser = duration_ms)]
        expires_in: Option<u64>,
        /// A namespace in which it is of use; may be repeated. Elsewhere it sees nothing.
        #[arg(long, value_name = "NAMESPACE")]
        in_namespace: Vec<String>,
        /// A team in whose namespaces it is of use; may be repeated.
        #[arg(long, value_name = "TEAM")]
        in_team: Vec<String>,
    },
    /// List keys; none shows its secret.
    List,
    /// Replace a key by a new one with the same subject, team, roles, scope, description and lifetime. The
    /// new one is shown once.
    Rotate {
        /// The old key's id.
        id: String,
        /// How long the old key stays valid beside the new one, unless it expires earlier anyway. 0s
        /// ends it at once: if the answer is lost then, its clients have no valid key.
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration_ms)]
        overlap: u64,
    },
    /// Revoke a key.
    Revoke {
        /// The key's id.
        id: String,
        /// Revoke it even if it is the last key of an administrator. No administrator is left then; see
        /// `leasehold key recover`.
        #[arg(long)]
        force: bool,
    },
    /// Make an administrator's key when there is none any more. No gateway is asked: this opens the
    /// store itself, so a gateway of the same data folder must be stopped.
    Recover(RecoverArguments),
}

/// Whose store to open.
#[derive(Debug, Args)]
pub(super) struct RecoverArguments {
    /// The gateway's configuration file. Needed for Postgres and etcd, and for a member of a
    /// cluster.
    #[arg(long, required_unless_present = "data_dir")]
    config: Option<PathBuf>,
    /// The data folder of a gateway with the embedded store.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Who the key stands for.
    #[arg(long, default_value = "admin")]
    subject: String,
}

/// Does it.
pub(super) fn run(command: KeyCommand, connection: Connection) -> Result<Shown, Failed> {
    if let KeyCommand::Recover(arguments) = command {
        return recover(arguments, connection.json);
    }
    let client = connection.client()?;
    block_on(keys_of(&client, command, connection.json))
}

fn recover(arguments: RecoverArguments, json: bool) -> Result<Shown, Failed> {
    let usage = |problem: String| Failed::new(USAGE, problem);
    let overrides = Overrides {
        data_dir: arguments.data_dir,
        ..Overrides::default()
    };
    let config = Config::load(arguments.config.as_deref(), overrides);
    let config = config.map_err(|error| usage(error.to_string()))?;
    let subject = arguments.subject.parse();
    let subject = subject.map_err(|error: InvalidName| usage(format!("--subject: {error}")))?;
    let recovered = block_on(async {
        let recovering = leasehold_server::app::recover_key(&config, subject).await;
        recovering.map_err(|error| Failed::new(UNAVAILABLE, error.to_string()))
    })?;
    let document = &recovered.document;
    let answer = json!({
        "key": recovered.reveal(), "id": document.id, "subject": document.subject.to_string(),
    });
    Shown::of(json, &answer, |_| {
        Shown::Fields(vec![
            ("key", recovered.reveal()),
            ("id", document.id.clone()),
            ("subject", document.subject.to_string()),
        ])
    })
}

async fn keys_of(client: &Client, command: KeyCommand, json: bool) -> Result<Shown, Failed> {
    match command {
        KeyCommand::Create {
            subject,
            team,
            role,
            description,
            expires_in,
            in_namespace,
            in_team,
        } => {
            let is_scoped = !in_namespace.is_empty() || !in_team.is_empty();
            let scope = is_scoped.then_some(keys::KeyScope {
                namespaces: in_namespace,
                teams: in_team,
            });
            let request = keys::CreateKeyRequest {
                subject,
                team,
                roles: role,
                description,
                expires_in_ms: expires_in,
                scope,
            };
            let created: keys::CreatedKey = client.post(paths::KEYS, &request).await?;
            Shown::of(json, &created, show_created)
        }
        KeyCommand::Rotate { id, overlap } => {
            let request = keys::RotateKeyRequest {
                overlap_ms: Some(overlap),
            };
            let path = paths::key_rotate(&id);
            let created: keys::CreatedKey = client.post(&path, &request).await?;
            Shown::of(json, &created, show_created)
        }
        KeyCommand::List => {
            let list: keys::KeyList = client.get(paths::KEYS).await?;
            Shown::of(json, &list, |list| {
                let headings = vec![
                    "ID",
                    "SUBJECT",
                    "TEAM",
                    "ROLES",
                    "EXPIRES",
                    "REVOKED",
                    "LAST USED",
                    "CREATED BY",
                    "DESCRIPTION",
                ];
                Shown::Table(headings, list.keys.iter().map(key_row).collect())
            })
        }
        KeyCommand::Recover(arguments) => recover(arguments, json),
        KeyCommand::Revoke { id, force } => {
            let mut path = paths::member(paths::KEYS, &id);
            if force {
                path.push_str("?force=true");
            }
            let view: keys::KeyView = client.delete(&path).await?;
            Shown::of(json, &view, |view| {
                Shown::Fields(vec![(
                    "revoked",
                    view.revoked_at.clone().unwrap_or_default(),
                )])
            })
        }
    }
}

fn show_created(created: &keys::CreatedKey) -> Shown {
    let mut fields = vec![
        ("key", created.key.clone()),
        ("id", created.view.id.clone()),
        ("subject", created.view.subject.clone()),
    ];
    let expires = created.view.expires_at.clone();
    fields.extend(expires.map(|expires| ("expires at", expires)));
    Shown::Fields(fields)
}

fn key_row(view: &keys::KeyView) -> Vec<String> {
    vec![
        view.id.clone(),
        view.subject.clone(),
        view.team.clone().unwrap_or_default(),
        view.roles.join(","),
        view.expires_at.clone().unwrap_or_default(),
        view.revoked_at.clone().unwrap_or_default(),
        view.last_used_on.clone().unwrap_or_default(),
        view.created_by.clone().unwrap_or_default(),
        view.description.clone(),
    ]
}
