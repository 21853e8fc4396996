//! `leasehold approval …`.

use clap::Subcommand;
use leasehold_client::Client;
use leasehold_wire::v1::approvals as wire;
use leasehold_wire::v1::paths;

use super::connection::Connection;
use super::connection::block_on;
use super::exit::Failed;
use super::output::Shown;

/// What to do with approvals.
#[derive(Debug, Subcommand)]
pub(super) enum ApprovalCommand {
    /// List changes that were held up for approval, newest first.
    List,
    /// Show one, with everything that is approved.
    Show {
        /// Its id.
        id: String,
    },
    /// Approve the change of somebody else.
    Approve {
        /// Its id.
        id: String,
        /// The reason, recorded in the ledger.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Take a request back; approvals of it no longer count.
    Withdraw {
        /// Its id.
        id: String,
        /// The reason, recorded in the ledger.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Show how many people must approve a change, and who could; or set how many.
    Rule {
        /// How many people besides the author must approve; 0 for none.
        #[arg(long, value_name = "PEOPLE")]
        required: Option<u32>,
    },
}

/// Does it.
pub(super) fn run(command: ApprovalCommand, connection: Connection) -> Result<Shown, Failed> {
    let client = connection.client()?;
    block_on(ask(&client, command, connection.json))
}

async fn ask(client: &Client, command: ApprovalCommand, json: bool) -> Result<Shown, Failed> {
    let approval: wire::Approval = match command {
        ApprovalCommand::List => {
            let list: wire::ApprovalList = client.get(paths::APPROVALS).await?;
            return Shown::of(json, &list, |list| {
                let rows = list.approvals.iter().map(row).collect();
                Shown::Table(HEADINGS.to_vec(), rows)
            });
        }
        ApprovalCommand::Rule { required } => {
            let rule: wire::ApprovalRule = match required {
                None => client.get(paths::APPROVAL_RULE).await?,
                Some(required) => {
                    let request = wire::ApprovalRuleRequest { required };
                    client.put(paths::APPROVAL_RULE, &request).await?
                }
            };
            return Shown::of(json, &rule, show_rule);
        }
        ApprovalCommand::Show { id } => client.get(&paths::member(paths::APPROVALS, &id)).await?,
        ApprovalCommand::Approve { id, reason } => {
            let request = wire::ApprovalChangeRequest { reason };
            let path = paths::approval_verb(&id, "approve");
            client.post(&path, &request).await?
        }
        ApprovalCommand::Withdraw { id, reason } => {
            let request = wire::ApprovalChangeRequest { reason };
            let path = paths::approval_verb(&id, "withdraw");
            client.post(&path, &request).await?
        }
    };
    Shown::of(json, &approval, show)
}

const HEADINGS: [&str; 5] = ["APPROVAL", "STATE", "APPROVED", "AUTHOR", "CHANGE"];

fn row(approval: &wire::Approval) -> Vec<String> {
    vec![
        approval.id.clone(),
        approval.state.clone(),
        counted(approval),
        approval.author.clone(),
        approval.summary.clone(),
    ]
}

fn counted(approval: &wire::Approval) -> String {
    format!("{} of {}", approval.counted, approval.required)
}

/// Shows a request for approval.
pub(super) fn show(approval: &wire::Approval) -> Shown {
    let mut fields = vec![
        ("approval", approval.id.clone()),
        ("change", approval.summary.clone()),
        ("author", approval.author.clone()),
        ("state", approval.state.clone()),
        ("approved", counted(approval)),
        ("expires", approval.expires_at.clone()),
    ];
    if !approval.uploaders.is_empty() {
        fields.push(("uploaded by", approval.uploaders.join(", ")));
    }
    for given in &approval.approvals {
        let mut told = format!("{} by {}", given.at, given.by);
        if let Some(reason) = &given.reason {
            told += &format!(": {reason}");
        }
        fields.push(("approval", told));
    }
    if let Some(subject) = &approval.subject {
        // JSON that was read can be written.
        let text = serde_json::to_string_pretty(subject).unwrap_or_default();
        fields.push(("subject", text));
    }
    Shown::Fields(fields)
}

fn show_rule(rule: &wire::ApprovalRule) -> Shown {
    let approvers = match rule.approvers.is_empty() {
        true => "nobody with a key".to_owned(),
        false => rule.approvers.join(", "),
    };
    let mut fields = vec![
        ("required", rule.required.to_string()),
        ("can approve", approvers),
    ];
    if let (Some(by), Some(at)) = (&rule.set_by, &rule.set_at) {
        fields.push(("set", format!("{at} by {by}")));
    }
    Shown::Fields(fields)
}
