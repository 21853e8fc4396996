//! `leasehold audit checkpoint|prove|export|log-key`, and what verifies such files.

use std::fs::File;
use std::io::BufReader;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use leasehold_client::Client;
use leasehold_evidence::TrustedKeys;
use leasehold_evidence::verify;
use leasehold_wire::v1::audit as wire;
use leasehold_wire::v1::paths;

use crate::exit::Failed;
use crate::exit::SYSTEM;
use crate::exit::TAMPERED;
use crate::exit::USAGE;
use crate::output::Shown;
use crate::output::finish;

/// Files that can be checked without a gateway.
#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// The name of the ledger's log, and the public keys that its checkpoints are verified by.
    LogKey(OfStore),
    /// Write a signed checkpoint of the ledger: keep it, and later nobody can roll the ledger back
    /// unnoticed.
    Checkpoint {
        /// The newest one that witnesses have cosigned, which may lack the newest events.
        #[arg(long)]
        cosigned: bool,
        #[command(flatten)]
        of: OfStore,
        #[command(flatten)]
        to: Written,
    },
    /// Write the proof that an event is in the ledger (a .tlog-proof file), or, with --since, that
    /// the ledger only grew since an earlier checkpoint.
    Prove {
        /// The event's cursor.
        #[arg(required_unless_present = "since", conflicts_with = "since")]
        cursor: Option<u64>,
        /// A file with an earlier checkpoint.
        #[arg(long)]
        since: Option<PathBuf>,
        #[command(flatten)]
        of: OfStore,
        #[command(flatten)]
        to: Written,
    },
    /// Write consecutive events as JSON Lines, with what leads from them to a signed checkpoint.
    Export {
        /// The cursor of the first event; the ledger's first if absent.
        #[arg(long)]
        first: Option<u64>,
        /// The cursor of the last event; the ledger's last if absent.
        #[arg(long)]
        last: Option<u64>,
        #[command(flatten)]
        of: OfStore,
        #[command(flatten)]
        to: Written,
    },
}

/// Which ledger.
#[derive(Debug, Args)]
pub(crate) struct OfStore {
    /// The ledger of which store; home if absent.
    #[arg(long)]
    store: Option<String>,
}

/// Where to.
#[derive(Debug, Args)]
pub(crate) struct Written {
    /// The file to write; standard output if absent.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// By what a file is verified.
#[derive(Debug, Args)]
pub(crate) struct TrustArguments {
    /// A public key of the log, NAME+ID+KEY, from its operator, not from who gave the file; again for
    /// each key in use.
    #[arg(long = "log-key", requires = "file")]
    log_keys: Vec<String>,
    /// A public key of a witness, NAME+ID+KEY, whose cosignature is to be checked.
    #[arg(long = "witness-key", requires = "file")]
    witness_keys: Vec<String>,
    /// A file with an earlier checkpoint of the same log: shows whether it was rolled back or rewritten
    /// since.
    #[arg(long, requires = "file")]
    earlier: Option<PathBuf>,
}

impl EvidenceCommand {
    pub(super) async fn run(self, client: &Client, json: bool) -> Result<u8, Failed> {
        match self {
            Self::LogKey(of) => {
                let path = path(paths::AUDIT_LOG_KEY, vec![], of);
                let answer: wire::LogKeyResponse = client.get(&path).await?;
                finish(Shown::of(json, &answer, |answer| {
                    let keys = answer.keys.iter().map(|key| ("key", key.clone()));
                    let names = [
                        ("store", answer.store.clone()),
                        ("origin", answer.origin.clone()),
                    ];
                    Shown::Fields(names.into_iter().chain(keys).collect())
                }))
            }
            Self::Checkpoint { cosigned, of, to } => {
                let options = match cosigned {
                    true => vec![("cosigned", "true".to_owned())],
                    false => vec![],
                };
                save(client, &path(paths::AUDIT_CHECKPOINT, options, of), &to).await
            }
            Self::Prove {
                cursor,
                since,
                of,
                to,
            } => {
                let (route, option) = match (cursor, since) {
                    (_, Some(since)) => (
                        paths::AUDIT_CONSISTENCY,
                        ("from_size", size(&since)?.to_string()),
                    ),
                    (cursor, None) => (
                        paths::AUDIT_PROOF,
                        ("event", cursor.unwrap_or_default().to_string()),
                    ),
                };
                save(client, &path(route, vec![option], of), &to).await
            }
            Self::Export {
                first,
                last,
                of,
                to,
            } => {
                let given = |name, value: Option<u64>| value.map(|value| (name, value.to_string()));
                let range = [given("first", first), given("last", last)];
                let range = range.into_iter().flatten().collect();
                save(client, &path(paths::AUDIT_EXPORT, range, of), &to).await
            }
        }
    }
}

fn path(route: &str, options: Vec<(&str, String)>, of: OfStore) -> String {
    let given = options
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let store = of
        .store
        .map(|store| format!("store={}", paths::encode(&store)));
    let query: Vec<_> = given.chain(store).collect();
    match query.is_empty() {
        true => route.to_owned(),
        false => format!("{route}?{}", query.join("&")),
    }
}

/// The size of an earlier checkpoint. Its signature is checked by whoever verifies the proof.
fn size(file: &Path) -> Result<u64, Failed> {
    let text = read(file)?;
    let checkpoint = leasehold_evidence::Checkpoint::read_unverified(&text);
    let checkpoint =
        checkpoint.map_err(|error| Failed::new(USAGE, format!("{}: {error}", file.display())))?;
    Ok(checkpoint.size)
}

fn read(file: &Path) -> Result<String, Failed> {
    std::fs::read_to_string(file)
        .map_err(|error| Failed::new(SYSTEM, format!("{}: {error}", file.display())))
}

/// Writes what the gateway sends, piece by piece.
async fn save(client: &Client, path: &str, to: &Written) -> Result<u8, Failed> {
    let failed = |error: std::io::Error| Failed::new(SYSTEM, error.to_string());
    let mut download = client.download(path).await?;
    let mut output: Box<dyn std::io::Write> = match &to.output {
        Some(file) => Box::new(File::create(file).map_err(failed)?),
        None => Box::new(std::io::stdout()),
    };
    while let Some(piece) = download.next().await? {
        output.write_all(&piece).map_err(failed)?;
    }
    output.flush().map_err(failed)?;
    Ok(0)
}

/// Verifies a file; returns the exit code.
pub(super) fn verify_file(file: &Path, trust: &TrustArguments, json: bool) -> Result<u8, Failed> {
    if trust.log_keys.is_empty() {
        let message = "--log-key is missing: whose signature is to count, you must say; \
                       `leasehold audit log-key` prints it where you trust the gateway";
        return Err(Failed::new(USAGE, message));
    }
    let keys = TrustedKeys::parse(&trust.log_keys, &trust.witness_keys)
        .map_err(|error| Failed::new(USAGE, error.to_string()))?;
    let earlier = trust.earlier.as_deref().map(read).transpose()?;
    let named = |error: String| format!("{}: {error}", file.display());
    let opened = File::open(file).map_err(|error| Failed::new(SYSTEM, named(error.to_string())))?;
    let report = verify(&mut BufReader::new(opened), &keys, earlier.as_deref())
        .map_err(|error| Failed::new(TAMPERED, named(error.to_string())))?;
    finish(Shown::of(json, &report, |report| {
        Shown::Text(report.to_string())
    }))
}
