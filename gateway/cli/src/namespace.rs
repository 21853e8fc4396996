//! `leasehold namespace …`.

use clap::Subcommand;
use leasehold_client::Client;
use leasehold_wire::v1::namespaces as ns;
use leasehold_wire::v1::paths;

use super::connection::Connection;
use super::connection::block_on;
use super::exit::Failed;
use super::output::Shown;

/// What to do with namespaces.
#[derive(Debug, Subcommand)]
pub(super) enum NamespaceCommand {
    /// Make a namespace.
    Create {
        /// Its name.
        name: String,
        /// The team that owns it.
        #[arg(long)]
        team: Option<String>,
        /// A team that can see it, too; may be repeated. `*` for everybody.
        #[arg(long = "visible-to", value_name = "TEAM")]
        visible_to: Vec<String>,
        /// For people.
        #[arg(long, default_value = "")]
        description: String,
        /// What happens to operations that no mandatory or overridable policy judges: deny or allow.
        #[arg(long = "default", value_name = "DECISION")]
        default_decision: Option<String>,
        /// The store of its locks, as the gateway's configuration names it; home if absent.
        #[arg(long)]
        store: Option<String>,
    },
    /// Show a namespace.
    Get {
        /// Its name.
        name: String,
    },
    /// List namespaces.
    List,
    /// Move a live namespace to another store: leases stay, tokens grow. Acquires are told to ask
    /// again meanwhile; renewals wait. A move that was cut off goes on when it is asked for again,
    /// and turns back when it is asked for the store that the namespace is about to leave.
    Move {
        /// Its name.
        name: String,
        /// Which store, as the gateway's configuration names it.
        #[arg(long)]
        to: String,
    },
    /// Delete a namespace. Its locks stay, unreachable, and their tokens stay safe.
    Delete {
        /// Its name.
        name: String,
        /// Also if locks are held, if requests wait, or if bindings name it.
        #[arg(long)]
        force: bool,
    },
}

/// Does it.
pub(super) fn run(command: NamespaceCommand, connection: Connection) -> Result<Shown, Failed> {
    let client = connection.client()?;
    block_on(namespaces_of(&client, command, connection.json))
}

async fn namespaces_of(
    client: &Client,
    command: NamespaceCommand,
    json: bool,
) -> Result<Shown, Failed> {
    match command {
        NamespaceCommand::Create {
            name,
            team,
            visible_to,
            description,
            default_decision,
            store,
        } => {
            let name = Some(name);
            let request = ns::NamespaceRequest {
                name,
                team,
                visible_to,
                description,
                default_decision,
                store,
                revision: None,
            };
            let made: ns::Namespace = client.post(paths::NAMESPACES, &request).await?;
            Shown::of(json, &made, show_namespace)
        }
        NamespaceCommand::Get { name } => {
            let path = paths::member(paths::NAMESPACES, &name);
            let namespace: ns::Namespace = client.get(&path).await?;
            Shown::of(json, &namespace, show_namespace)
        }
        NamespaceCommand::List => {
            let list: ns::NamespaceList = client.get(paths::NAMESPACES).await?;
            Shown::of(json, &list, |list| {
                let row = |n: &ns::Namespace| {
                    vec![
                        n.name.clone(),
                        n.team.clone().unwrap_or_default(),
                        n.default_decision.clone(),
                        n.store.clone(),
                        n.description.clone(),
                    ]
                };
                let headings = vec!["NAME", "TEAM", "DEFAULT", "STORE", "DESCRIPTION"];
                Shown::Table(headings, list.namespaces.iter().map(row).collect())
            })
        }
        NamespaceCommand::Move { name, to } => {
            let path = format!("{}:move", paths::member(paths::NAMESPACES, &name));
            let moved: ns::Namespace = client.post(&path, &ns::MoveRequest { to }).await?;
            Shown::of(json, &moved, show_namespace)
        }
        NamespaceCommand::Delete { name, force } => {
            let mut path = paths::member(paths::NAMESPACES, &name);
            if force {
                path += "?force=true";
            }
            let gone: ns::Namespace = client.delete(&path).await?;
            Shown::of(json, &gone, show_namespace)
        }
    }
}

fn show_namespace(namespace: &ns::Namespace) -> Shown {
    Shown::Fields(vec![
        ("name", namespace.name.clone()),
        ("team", namespace.team.clone().unwrap_or_default()),
        ("visible to", namespace.visible_to.join(", ")),
        ("default", namespace.default_decision.clone()),
        ("store", namespace.store.clone()),
        ("description", namespace.description.clone()),
        ("revision", namespace.revision.to_string()),
    ])
}
