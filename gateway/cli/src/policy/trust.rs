//! `leasehold policy trust …`: the keys that are trusted to sign policies.

use std::path::PathBuf;

use clap::Subcommand;
use leasehold_client::Client;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::policies::PolicyTrust;
use leasehold_wire::v1::policies::RequireSignaturesRequest;
use leasehold_wire::v1::policies::RevokeTrustedKeyRequest;
use leasehold_wire::v1::policies::TrustKeyRequest;
use leasehold_wire::v1::policies::TrustedKey;

use super::sign;
use crate::connection::Connection;
use crate::connection::block_on;
use crate::exit::Failed;
use crate::exit::USAGE;
use crate::output::Shown;

/// What to do with the trusted keys.
#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// List the keys, and how many signatures are required.
    List,
    /// Trust a key.
    Add {
        /// The public key: ed25519, PEM.
        #[arg(value_name = "PUB.pem")]
        public_key: PathBuf,
        /// Whose it is.
        #[arg(long)]
        name: String,
        /// Why; the ledger keeps it.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Revoke a key: its signatures do not count any more. What is bound goes on.
    Revoke {
        /// The key's id, or as many of its first digits as tell it from others.
        id: String,
        /// Why; the ledger keeps it.
        #[arg(long)]
        reason: String,
        /// Revoke it even if fewer keys are left than signatures are required, so that no version can be
        /// pushed, bound or promoted.
        #[arg(long)]
        force: bool,
    },
    /// Require signatures by so many distinct trusted keys; 0 for none.
    Require {
        /// How many.
        required: u32,
        /// Why; the ledger keeps it.
        #[arg(long)]
        reason: String,
    },
}

/// Asks the gateway.
pub(super) fn run(command: TrustCommand, connection: Connection) -> Result<Shown, Failed> {
    let client = connection.client()?;
    let trust = block_on(perform(&client, command))?;
    Shown::of(connection.json, &trust, show)
}

async fn perform(client: &Client, command: TrustCommand) -> Result<PolicyTrust, Failed> {
    let trust = match command {
        TrustCommand::List => client.get(paths::POLICY_TRUST).await?,
        TrustCommand::Add {
            public_key,
            name,
            reason,
        } => {
            let request = TrustKeyRequest {
                name,
                // What is no public key is refused here, so that a private one is never sent.
                public_key: sign::public_pem(&public_key)?,
                reason,
            };
            client.post(paths::POLICY_TRUST_KEYS, &request).await?
        }
        TrustCommand::Revoke { id, reason, force } => {
            let id = whole_id(client, &id).await?;
            let path = paths::trusted_key_revoke(&id);
            let request = RevokeTrustedKeyRequest { reason, force };
            client.post(&path, &request).await?
        }
        TrustCommand::Require { required, reason } => {
            let request = RequireSignaturesRequest {
                required_signatures: required,
                reason,
                revision: None,
            };
            client.put(paths::POLICY_TRUST, &request).await?
        }
    };
    Ok(trust)
}

/// Returns the id that begins with these digits.
async fn whole_id(client: &Client, begin: &str) -> Result<String, Failed> {
    let trust: PolicyTrust = client.get(paths::POLICY_TRUST).await?;
    let mut found = trust.keys.iter().filter(|key| key.id.starts_with(begin));
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key.id.clone()),
        (None, _) => Err(Failed::new(
            USAGE,
            format!("no trusted key begins with {begin}"),
        )),
        (Some(_), Some(_)) => Err(Failed::new(
            USAGE,
            format!("more than one key begins with {begin}; give more digits"),
        )),
    }
}

fn show(trust: &PolicyTrust) -> Shown {
    let required = match trust.required_signatures {
        0 => "none".to_owned(),
        1 => "by 1 trusted key".to_owned(),
        most => format!("by {most} distinct trusted keys"),
    };
    let mut fields = vec![("required", required)];
    for key in &trust.keys {
        let TrustedKey {
            id,
            name,
            added_by,
            added_at,
            ..
        } = key;
        fields.push(match &key.revoked {
            None => (
                "trusted",
                format!("{id} {name}, added {added_at} by {added_by}"),
            ),
            Some(mark) => (
                "revoked",
                format!("{id} {name}, {} by {}: {}", mark.at, mark.by, mark.reason),
            ),
        });
    }
    Shown::Fields(fields)
}
