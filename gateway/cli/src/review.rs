//! `leasehold review …`.

use clap::Subcommand;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::reviews as wire;

use super::connection::Connection;
use super::connection::block_on;
use super::exit::Failed;
use super::output::Shown;

/// What to do with reviews.
#[derive(Debug, Subcommand)]
pub(super) enum ReviewCommand {
    /// List them: those that fell due first before the others, closed ones last.
    List,
    /// Show one.
    Show {
        /// Its id.
        id: String,
    },
    /// Close one that somebody else caused.
    Close {
        /// Its id.
        id: String,
        /// What you found, for the ledger.
        #[arg(long)]
        note: String,
    },
}

/// Does it.
pub(super) fn run(command: ReviewCommand, connection: Connection) -> Result<Shown, Failed> {
    let client = connection.client()?;
    let json = connection.json;
    let review: wire::Review = match command {
        ReviewCommand::List => {
            let list =
                block_on(async { Ok(client.get::<wire::ReviewList>(paths::REVIEWS).await?) })?;
            return Shown::of(json, &list, |list| {
                let rows = list.reviews.iter().map(row).collect();
                Shown::Table(vec!["REVIEW", "STATE", "DUE", "TICKET", "WHAT"], rows)
            });
        }
        ReviewCommand::Show { id } => {
            let path = paths::member(paths::REVIEWS, &id);
            block_on(async { Ok(client.get(&path).await?) })?
        }
        ReviewCommand::Close { id, note } => {
            let path = paths::review_close(&id);
            let request = wire::CloseReviewRequest { note };
            block_on(async { Ok(client.post(&path, &request).await?) })?
        }
    };
    Shown::of(json, &review, show)
}

fn row(review: &wire::Review) -> Vec<String> {
    vec![
        review.id.clone(),
        review.state.clone(),
        review.due_at.clone(),
        review.ticket.clone().unwrap_or_else(|| "-".to_owned()),
        review.summary.clone(),
    ]
}

fn show(review: &wire::Review) -> Shown {
    let mut fields = vec![
        ("review", review.id.clone()),
        ("kind", review.kind.clone()),
        ("what", review.summary.clone()),
        ("state", review.state.clone()),
        ("opened", review.opened_at.clone()),
        ("due", review.due_at.clone()),
    ];
    for (name, value) in [
        ("reason", &review.reason),
        ("ticket", &review.ticket),
        ("override ends", &review.expires_at),
        ("decision", &review.decision_id),
        ("closed by", &review.closed_by),
        ("closed", &review.closed_at),
        ("note", &review.note),
    ] {
        if let Some(value) = value {
            fields.push((name, value.clone()));
        }
    }
    Shown::Fields(fields)
}
