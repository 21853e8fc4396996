//! Verifies what a gateway has given, without a gateway.

use std::fs::File;
use std::io::BufReader;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use leasehold_evidence::TrustedKeys;
use leasehold_evidence::verify;

/// The file is not intact: `EX_DATAERR` of sysexits.h.
const NOT_INTACT: u8 = 65;
/// A file cannot be read: `EX_NOINPUT`.
const NO_INPUT: u8 = 66;

/// The result cannot be written: `EX_IOERR`.
const NO_OUTPUT: u8 = 74;

/// Verifies an export, a .tlog-proof, a consistency proof or a checkpoint of a Leasehold ledger. Needs
/// no gateway and no network. Exit 0: intact. 65: not intact, or not signed by the given keys. 66: a
/// file cannot be read.
#[derive(Debug, Parser)]
#[command(name = "leasehold-evidence", version)]
struct Arguments {
    /// What to verify.
    file: PathBuf,
    /// A public key of the log, NAME+ID+KEY. Get it from its operator, never with the file. Give it
    /// again for each key, if several are in use.
    #[arg(long = "log-key", required = true)]
    log_keys: Vec<String>,
    /// A public key of a witness, NAME+ID+KEY, whose cosignature is to be checked.
    #[arg(long = "witness-key")]
    witness_keys: Vec<String>,
    /// An earlier checkpoint of the same log that you have kept: shows whether the log was rolled
    /// back or rewritten since.
    #[arg(long)]
    earlier: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let told = match run(&arguments) {
        Ok(text) => writeln!(std::io::stdout(), "{text}").map(|()| 0),
        Err((code, problem)) => {
            let file = arguments.file.display();
            writeln!(std::io::stderr(), "{file}: {problem}").map(|()| code)
        }
    };
    // Where nobody listens, the code must not say that all is well.
    ExitCode::from(told.unwrap_or(NO_OUTPUT))
}

fn run(arguments: &Arguments) -> Result<String, (u8, String)> {
    let no_input = |error: std::io::Error| (NO_INPUT, error.to_string());
    let keys = TrustedKeys::parse(&arguments.log_keys, &arguments.witness_keys)
        .map_err(|error| (NOT_INTACT, error.to_string()))?;
    let earlier = arguments.earlier.as_ref();
    let earlier = earlier
        .map(std::fs::read_to_string)
        .transpose()
        .map_err(no_input)?;
    let file = File::open(&arguments.file).map_err(no_input)?;
    let report = verify(&mut BufReader::new(file), &keys, earlier.as_deref())
        .map_err(|error| (NOT_INTACT, error.to_string()))?;
    Ok(match arguments.json {
        true => serde_json::to_string(&report).unwrap_or_default(),
        false => report.to_string(),
    })
}
