//! `leasehold namespace …`.

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use leasehold_client::Client;
use leasehold_wire::v1::namespaces as ns;
use leasehold_wire::v1::paths;

use super::connection::Connection;
use super::connection::block_on;
use super::exit::Failed;
use super::output::Shown;
use super::revisions;
use super::revisions::HistoryArguments;
use super::revisions::RestoreArguments;

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
        /// How much it may have.
        #[command(flatten)]
        caps: CapArguments,
        /// Why; the namespace's revision and the ledger keep it.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Set or lift caps of a namespace. Beyond a cap acquires of something new are refused; what is
    /// held or waits stays.
    Cap {
        /// Its name.
        name: String,
        /// The caps to set; the others stay as they are.
        #[command(flatten)]
        caps: CapArguments,
        /// A cap to lift; may be repeated.
        #[arg(long, value_name = "CAP")]
        lift: Vec<CapName>,
        /// Why; the namespace's revision and the ledger keep it.
        #[arg(long)]
        reason: Option<String>,
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
    /// Show the revisions of a namespace, newest first, also of one that was deleted: who changed what,
    /// when and why.
    History(HistoryArguments),
    /// Give a namespace the settings that one of its revisions says, by the same checks and approvals as
    /// any other change. Its locks stay in the store that has them.
    Restore(RestoreArguments),
    /// Delete a namespace. Its locks stay, unreachable, and their tokens stay safe. Its revisions stay,
    /// and can be restored.
    Delete {
        /// Its name.
        name: String,
        /// Also if locks are held, if requests wait, or if bindings name it.
        #[arg(long)]
        force: bool,
        /// Why; the namespace's revision and the ledger keep it.
        #[arg(long)]
        reason: Option<String>,
    },
}

/// Caps of a namespace.
#[derive(Debug, Args)]
pub(super) struct CapArguments {
    /// Most locks that are held or waited for.
    #[arg(long, value_name = "NUMBER")]
    locks: Option<u64>,
    /// Most acquires that wait.
    #[arg(long, value_name = "NUMBER")]
    waiters: Option<u64>,
    /// Most bytes that the events of its locks take in the ledger, before compression. The ledger
    /// forgets nothing, so only a greater cap makes room again.
    #[arg(long, value_name = "BYTES")]
    ledger_bytes: Option<u64>,
}

impl CapArguments {
    /// Returns these caps, and where one is not given that of `others`.
    fn or(&self, others: &ns::NamespaceCaps) -> ns::NamespaceCaps {
        ns::NamespaceCaps {
            locks: self.locks.or(others.locks),
            waiters: self.waiters.or(others.waiters),
            ledger_bytes: self.ledger_bytes.or(others.ledger_bytes),
        }
    }
}

/// The name of a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CapName {
    /// Locks that are held or waited for.
    Locks,
    /// Acquires that wait.
    Waiters,
    /// Bytes of events in the ledger.
    LedgerBytes,
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
            caps,
            reason,
        } => {
            let caps = caps.or(&ns::NamespaceCaps::default());
            let request = ns::NamespaceRequest {
                name: Some(name),
                team,
                visible_to,
                description,
                default_decision,
                store,
                caps: (caps != ns::NamespaceCaps::default()).then_some(caps),
                revision: None,
                reason,
            };
            let made: ns::Namespace = client.post(paths::NAMESPACES, &request).await?;
            Shown::of(json, &made, show_namespace)
        }
        NamespaceCommand::Cap {
            name,
            caps,
            lift,
            reason,
        } => {
            let capped = cap(client, &name, (&caps, &lift), reason).await?;
            Shown::of(json, &capped, show_namespace)
        }
        NamespaceCommand::Get { name } => {
            let namespace = get(client, &name).await?;
            Shown::of(json, &namespace, show_namespace)
        }
        NamespaceCommand::List => {
            let list: ns::NamespaceList = client.get(paths::NAMESPACES).await?;
            Shown::of(json, &list, show_list)
        }
        NamespaceCommand::Move { name, to } => {
            let path = format!("{}:move", paths::member(paths::NAMESPACES, &name));
            let moved = client.post(&path, &ns::MoveRequest { to }).await?;
            Shown::of(json, &moved, show_namespace)
        }
        NamespaceCommand::History(arguments) => history(client, &arguments, json).await,
        NamespaceCommand::Restore(arguments) => {
            let restored = revisions::restore(client, paths::NAMESPACES, arguments).await?;
            Shown::of(json, &restored, show_namespace)
        }
        NamespaceCommand::Delete {
            name,
            force,
            reason,
        } => {
            let gone = delete(client, &name, force, reason.as_deref()).await?;
            Shown::of(json, &gone, show_namespace)
        }
    }
}

async fn history(
    client: &Client,
    arguments: &HistoryArguments,
    json: bool,
) -> Result<Shown, Failed> {
    revisions::show::<ns::NamespaceRequest>(client, paths::NAMESPACES, arguments, json).await
}

async fn get(client: &Client, name: &str) -> Result<ns::Namespace, Failed> {
    let path = paths::member(paths::NAMESPACES, name);
    Ok(client.get(&path).await?)
}

async fn cap(
    client: &Client,
    name: &str,
    (caps, lift): (&CapArguments, &[CapName]),
    reason: Option<String>,
) -> Result<ns::Namespace, Failed> {
    let path = paths::member(paths::NAMESPACES, name);
    let found = get(client, name).await?;
    let request = ns::NamespaceRequest {
        reason,
        ..capped(found, caps, lift)
    };
    Ok(client.put(&path, &request).await?)
}

async fn delete(
    client: &Client,
    name: &str,
    force: bool,
    reason: Option<&str>,
) -> Result<ns::Namespace, Failed> {
    let mut path = format!("{}?force={force}", paths::member(paths::NAMESPACES, name));
    if let Some(reason) = reason {
        path += &format!("&reason={}", paths::encode(reason));
    }
    Ok(client.delete(&path).await?)
}

/// Returns the request that changes the caps of a namespace and nothing else, unless somebody else
/// has changed it.
fn capped(found: ns::Namespace, caps: &CapArguments, lift: &[CapName]) -> ns::NamespaceRequest {
    let mut kept = found.caps.unwrap_or_default();
    for name in lift {
        match name {
            CapName::Locks => kept.locks = None,
            CapName::Waiters => kept.waiters = None,
            CapName::LedgerBytes => kept.ledger_bytes = None,
        }
    }
    ns::NamespaceRequest {
        name: Some(found.name),
        team: found.team,
        visible_to: found.visible_to,
        description: found.description,
        default_decision: Some(found.default_decision),
        store: Some(found.store),
        caps: Some(caps.or(&kept)),
        revision: Some(found.revision),
        reason: None,
    }
}

fn show_caps(caps: Option<&ns::NamespaceCaps>) -> String {
    let Some(caps) = caps else {
        return String::new();
    };
    let named = [
        ("locks", caps.locks),
        ("waiters", caps.waiters),
        ("ledger bytes", caps.ledger_bytes),
    ];
    let set = named.iter().filter_map(|(name, cap)| {
        let cap = (*cap)?;
        Some(format!("{name} {cap}"))
    });
    set.collect::<Vec<_>>().join(", ")
}

fn show_list(list: &ns::NamespaceList) -> Shown {
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
}

fn show_namespace(namespace: &ns::Namespace) -> Shown {
    let mut fields = vec![
        ("name", namespace.name.clone()),
        ("team", namespace.team.clone().unwrap_or_default()),
        ("visible to", namespace.visible_to.join(", ")),
        ("default", namespace.default_decision.clone()),
        ("store", namespace.store.clone()),
        ("caps", show_caps(namespace.caps.as_ref())),
        ("description", namespace.description.clone()),
        ("revision", namespace.revision.to_string()),
    ];
    let number = namespace.number.map(|number| format!("revision {number}"));
    fields.extend(number.map(|number| ("history", number)));
    Shown::Fields(fields)
}
