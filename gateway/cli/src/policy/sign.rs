//! `leasehold policy keygen` and `leasehold policy sign`.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use leasehold_core::signing::PolicySignature;
use leasehold_core::signing::SignatureFile;
use leasehold_core::signing::SigningKey;
use leasehold_core::signing::Statement;
use leasehold_core::signing::VerifyingKey;
use leasehold_core::telemetry::rfc3339;
use leasehold_domain::Clock as _;
use leasehold_domain::SystemClock;
use leasehold_domain::WallMillis;
use leasehold_policy_host::Module;
use leasehold_policy_host::schema_digest;
use nix::sys::stat::Mode;
use nix::sys::stat::umask;
use serde::Serialize;

use super::modules;
use crate::connection::duration_ms;
use crate::exit::Failed;
use crate::exit::SYSTEM;
use crate::exit::USAGE;
use crate::input_file;
use crate::output;
use crate::output::Shown;

#[derive(Debug, Args)]
pub(crate) struct KeygenArguments {
    /// Where to write the private key; the public one is written beside it, with .pub before .pem.
    /// Files that exist are not overwritten.
    #[arg(long, short)]
    output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SignArguments {
    /// The module, a .wasm file.
    file: PathBuf,
    /// The private key: ed25519, PKCS#8, PEM, as `openssl genpkey -algorithm ed25519` writes it.
    // In the place of the option for the API key, which has the same type: no gateway is asked.
    #[arg(long, value_name = "KEY.pem")]
    key: String,
    /// Where the module's source is, such as a repository and a commit.
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// The first moment at which it may be put to use: RFC 3339, or a duration from now such as 1h.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    not_before: Option<Moment>,
    /// The last one: RFC 3339, or a duration from now such as 90d. What is bound by then goes on.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    not_after: Option<Moment>,
    /// Where to write the signature; FILE.sig.json without this. Signatures of the same module by other
    /// keys that are there already stay.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A moment as it is given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    At(WallMillis),
    FromNow(u64),
}

impl Moment {
    /// Returns it in whole seconds, as a statement has it.
    fn seconds(self, now: WallMillis) -> WallMillis {
        let ms = match self {
            Self::At(at) => at.0,
            Self::FromNow(ms) => now.0.saturating_add(ms),
        };
        WallMillis(ms / 1_000 * 1_000)
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(ms) = duration_ms(text) {
        return Ok(Moment::FromNow(ms));
    }
    let at = leasehold_core::telemetry::parse_rfc3339(text);
    let wrong =
        "must be an RFC 3339 time such as 2027-01-31T00:00:00Z, or a number with s, m, h or d";
    at.map(Moment::At).ok_or_else(|| wrong.to_owned())
}

#[derive(Debug, Serialize)]
struct Pair {
    id: String,
    private_key: PathBuf,
    public_key: PathBuf,
}

/// Draws a pair of keys. Returns the exit code.
pub(super) fn keygen(arguments: &KeygenArguments, json: bool) -> Result<u8, Failed> {
    let private_key = arguments.output.clone();
    let public_key = private_key.with_extension("pub.pem");
    let key = SigningKey::draw();
    let failed = |problem: String| Failed::new(SYSTEM, problem);
    let public = key.public().map_err(failed)?;
    let before = umask(Mode::from_bits_truncate(0o077));
    let written = write_new(&private_key, &key.pem().map_err(failed)?);
    umask(before);
    written?;
    write_new(&public_key, &public.pem().map_err(failed)?)?;
    let pair = Pair {
        id: public.id().to_string(),
        private_key,
        public_key,
    };
    output::finish(Shown::of(json, &pair, |pair| {
        Shown::Fields(vec![
            ("id", pair.id.clone()),
            ("private key", pair.private_key.display().to_string()),
            ("public key", pair.public_key.display().to_string()),
        ])
    }))
}

fn write_new(file: &Path, text: &str) -> Result<(), Failed> {
    let opened = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(file);
    let written = opened.and_then(|mut opened| opened.write_all(text.as_bytes()));
    written.map_err(|error| Failed::new(SYSTEM, format!("{}: {error}", file.display())))
}

#[derive(Debug, Serialize)]
struct Signed {
    policy: String,
    digest: String,
    schema_digest: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
    signatures: usize,
    output: PathBuf,
}

/// Signs a module. Returns the exit code.
pub(super) fn run(arguments: &SignArguments, json: bool) -> Result<u8, Failed> {
    let wasm = input_file::read(&arguments.file)?;
    let module = modules::compile(&wasm, &arguments.file)?;
    let key = private_key(Path::new(&arguments.key))?;
    let now = SystemClock::new().wall();
    let statement = Statement {
        source: arguments.source.clone(),
        not_before: arguments.not_before.map(|moment| moment.seconds(now)),
        not_after: arguments.not_after.map(|moment| moment.seconds(now)),
        ..statement(&module)
    };
    let usage = |problem| Failed::new(USAGE, problem);
    let signature = PolicySignature::sign(&statement, &key).map_err(usage)?;
    let output = arguments.output.clone();
    let output = output.unwrap_or_else(|| beside(&arguments.file));
    let mut file = match output.exists() {
        true => read(&output)?,
        false => SignatureFile::default(),
    };
    // Of an earlier build of the module: no gateway takes them with this one.
    file.signatures
        .retain(|other| other.statement.module == statement.module);
    let id = signature.key;
    file.add(signature);
    std::fs::write(&output, file.text().map_err(usage)?)
        .map_err(|error| Failed::new(SYSTEM, format!("{}: {error}", output.display())))?;
    let signed = Signed {
        policy: modules::name_of(&module),
        digest: statement.module.to_string(),
        schema_digest: statement.schema.to_string(),
        key: id.to_string(),
        not_before: statement.not_before.map(rfc3339),
        not_after: statement.not_after.map(rfc3339),
        signatures: file.signatures.len(),
        output,
    };
    output::finish(Shown::of(json, &signed, show))
}

fn show(signed: &Signed) -> Shown {
    let mut fields = vec![
        ("policy", signed.policy.clone()),
        ("digest", signed.digest.clone()),
        ("schema digest", signed.schema_digest.clone()),
        ("key", signed.key.clone()),
    ];
    fields.extend(signed.not_before.clone().map(|at| ("not before", at)));
    fields.extend(signed.not_after.clone().map(|at| ("not after", at)));
    let count = match signed.signatures {
        1 => "1 signature".to_owned(),
        count => format!("{count} signatures"),
    };
    let written = format!("{}, {count}", signed.output.display());
    fields.push(("written", written));
    Shown::Fields(fields)
}

/// Returns what is stated about a module, without source and times.
pub(super) fn statement(module: &Module) -> Statement {
    let manifest = module.manifest();
    Statement {
        policy: manifest.name.clone(),
        version: manifest.version.clone(),
        module: module.digest(),
        schema: schema_digest(&manifest.config_schema),
        source: None,
        not_before: None,
        not_after: None,
    }
}

/// `FILE.sig.json`.
fn beside(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".sig.json");
    name.into()
}

/// Reads a file of signatures.
pub(crate) fn read(file: &Path) -> Result<SignatureFile, Failed> {
    let parsed = SignatureFile::parse(&input_file::read(file)?);
    parsed.map_err(|problem| Failed::new(USAGE, format!("{}: {problem}", file.display())))
}

fn private_key(file: &Path) -> Result<SigningKey, Failed> {
    let key = SigningKey::from_pem(&text(file)?);
    key.map_err(|problem| Failed::new(USAGE, format!("{}: {problem}", file.display())))
}

/// Reads a public key.
pub(super) fn public_key(file: &Path) -> Result<VerifyingKey, Failed> {
    let key = VerifyingKey::from_pem(&text(file)?);
    key.map_err(|problem| Failed::new(USAGE, format!("{}: {problem}", file.display())))
}

/// Reads a public key, and returns its PEM.
pub(super) fn public_pem(file: &Path) -> Result<String, Failed> {
    let pem = public_key(file)?.pem();
    pem.map_err(|problem| Failed::new(USAGE, format!("{}: {problem}", file.display())))
}

/// Reads a file of text.
fn text(file: &Path) -> Result<String, Failed> {
    let text = String::from_utf8(input_file::read(file)?);
    text.map_err(|_| Failed::new(USAGE, format!("{}: is not UTF-8", file.display())))
}
