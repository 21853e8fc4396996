//! A recorded decision, asked again.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use leasehold_audit::canonical;
use leasehold_client::Client;
use leasehold_domain::Cause;
use leasehold_domain::EventKind;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyVerdict;
use leasehold_policy_host::BoundPolicy;
use leasehold_policy_host::Evaluation;
use leasehold_policy_host::Module;
use leasehold_policy_host::cases::Asked;
use leasehold_policy_host::cases::describe_answer;
use leasehold_wire::v1::audit::EventList;
use leasehold_wire::v1::bindings::Binding;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::paths;
use serde::Serialize;

use crate::connection::Connection;
use crate::connection::block_on;
use crate::exit::Failed;
use crate::exit::REJECTED;
use crate::exit::USAGE;
use crate::input_file;

/// Which decision.
#[derive(Debug, Args)]
pub(crate) struct RecordedArguments {
    /// The cursor of an event in the ledger, whose decision is asked again. This asks the gateway,
    /// as an auditor, and for the configuration as a policy-author or administrator.
    #[arg(long, value_name = "CURSOR", conflicts_with_all = ["question", "case"])]
    pub(super) event: Option<u64>,
    /// The store whose ledger has the event.
    #[arg(long, requires = "event", default_value = "home")]
    store: String,
    /// The configuration of that decision, as JSON, if it is not bound any more.
    #[arg(long, requires = "event")]
    config: Option<PathBuf>,
}

/// What was recorded, beside what is answered now.
#[derive(Debug, Serialize)]
pub(super) struct Recorded {
    /// The policy's version that decided.
    pub(super) version: String,
    pub(super) binding: String,
    pub(super) answer: String,
    pub(super) fuel: u64,
    /// Whether the module that is asked is the one that decided.
    pub(super) is_same_module: bool,
    #[serde(skip)]
    verdict: PolicyAnswer,
}

impl Recorded {
    /// Whether an answer is the recorded one.
    pub(super) fn is_met_by(&self, evaluation: &Evaluation) -> bool {
        match (&evaluation.answer, &self.verdict) {
            (Ok(answer), recorded) => answer == recorded,
            (Err(fault), PolicyAnswer::Error { message, .. }) => **message == *fault.to_string(),
            (Err(_), PolicyAnswer::Allow(_) | PolicyAnswer::Deny { .. }) => false,
        }
    }
}

/// Fetches the decision, and makes of it what the module is asked.
pub(super) fn ask(
    arguments: &RecordedArguments,
    cursor: u64,
    module: &Arc<Module>,
    connection: &Connection,
) -> Result<(Asked, Recorded), Failed> {
    let client = connection.client()?;
    block_on(async {
        let cause = cause(&client, &arguments.store, cursor).await?;
        let decision = cause.decision.as_ref();
        let none = || Failed::new(USAGE, format!("event {cursor}: no policy judged it"));
        let decision = decision.ok_or_else(none)?;
        let verdict = verdict_of(module, &decision.verdicts)?;
        let policy = match &arguments.config {
            Some(file) => configured(module, file)?,
            None => bound(&client, module, verdict).await?,
        };
        if policy.config_digest() != verdict.config {
            let (wanted, found) = (verdict.config, policy.config_digest());
            let message = format!(
                "the configuration is not that of the decision, whose digest is {wanted}, but \
                 {found}; give it with --config"
            );
            return Err(Failed::new(REJECTED, message));
        }
        let recorded = Recorded {
            version: verdict.version.to_string(),
            binding: verdict.binding.to_string(),
            answer: describe_answer(&verdict.answer),
            fuel: verdict.fuel,
            is_same_module: verdict.module == module.digest(),
            verdict: verdict.answer.clone(),
        };
        let principal = (*cause.principal).clone();
        let facts = decision.facts.clone();
        let asked = Asked::new(policy, cause.request.clone(), principal, facts);
        Ok((asked, recorded))
    })
}

/// Reads an event of a ledger, and returns what caused it.
async fn cause(client: &Client, store: &str, cursor: u64) -> Result<Arc<Cause>, Failed> {
    let (store, after) = (paths::encode(store), cursor.saturating_sub(1));
    let path = format!(
        "{}?store={store}&after={after}&limit=1",
        paths::AUDIT_EVENTS
    );
    let list: EventList = client.get(&path).await?;
    let event = list.events.iter().find(|event| event.cursor == cursor);
    let missing = || Failed::new(USAGE, format!("there is no event {cursor} in this ledger"));
    let event = canonical::parse(event.ok_or_else(missing)?.event.get());
    let event = event.map_err(|error| Failed::new(REJECTED, error.to_string()))?;
    match event.event.kind {
        EventKind::Lock {
            cause: Some(cause), ..
        }
        | EventKind::Denied(cause) => Ok(cause),
        _ => {
            let message = format!("event {cursor}: nobody asked for it");
            Err(Failed::new(USAGE, message))
        }
    }
}

/// The verdict of the module's policy: of the same module if it is among several.
fn verdict_of<'v>(
    module: &Module,
    verdicts: &'v [PolicyVerdict],
) -> Result<&'v PolicyVerdict, Failed> {
    let name = &module.manifest().name;
    let of_policy = |verdict: &&PolicyVerdict| *verdict.policy == **name;
    let same = verdicts.iter().find(|v| v.module == module.digest());
    same.or_else(|| verdicts.iter().find(of_policy))
        .ok_or_else(|| {
            let names = verdicts
                .iter()
                .map(|v| format!("{}@{}", v.policy, v.version));
            let names: Vec<String> = names.collect();
            let judged = match names.is_empty() {
                true => "no policy did".to_owned(),
                false => names.join(", ") + " did",
            };
            Failed::new(USAGE, format!("{name} did not judge it; {judged}"))
        })
}

fn configured(module: &Arc<Module>, file: &Path) -> Result<BoundPolicy, Failed> {
    let wrong = |error: String| Failed::new(USAGE, format!("{}: {error}", file.display()));
    let config: serde_json::Value = input_file::json(file)?;
    module
        .bind(&config)
        .map_err(|error| wrong(error.to_string()))
}

/// Binds the module to the configuration that the binding has now.
async fn bound(
    client: &Client,
    module: &Arc<Module>,
    verdict: &PolicyVerdict,
) -> Result<BoundPolicy, Failed> {
    let gone = || {
        let (binding, digest) = (&verdict.binding, verdict.config);
        let message = format!(
            "binding {binding} does not have the policy any more: give the configuration whose \
             digest is {digest} with --config"
        );
        Failed::new(REJECTED, message)
    };
    let path = paths::member(paths::BINDINGS, &verdict.binding);
    let binding: Binding = match client.get(&path).await {
        Err(error)
            if error
                .problem()
                .is_some_and(|p| p.code == ErrorCode::NotFound) =>
        {
            return Err(gone());
        }
        answer => answer?,
    };
    let mut policies = binding.policies.iter();
    let policy = policies.find(|policy| *policy.policy == *verdict.policy);
    let config = policy.ok_or_else(gone)?.config.clone();
    let bound = module.bind(&config.unwrap_or_else(|| serde_json::json!({})));
    bound.map_err(|error| Failed::new(REJECTED, error.to_string()))
}
