//! `leasehold rollout …`.

mod show;

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use leasehold_client::Client;
use leasehold_wire::v1::approvals::Approval;
use leasehold_wire::v1::paths;
use leasehold_wire::v1::rollouts as wire;

use self::show::HEADINGS;
use self::show::row;
use self::show::show;
use super::approval;
use super::connection::Connection;
use super::connection::block_on;
use super::connection::duration_ms;
use super::exit::Failed;
use super::exit::USAGE;
use super::input_file;
use super::output::Shown;

/// What to do with rollouts.
#[derive(Debug, Subcommand)]
pub(super) enum RolloutCommand {
    /// Start to replace the version or the configuration of a policy in a binding.
    Start(Box<StartArguments>),
    /// Edit the plan of an open rollout: what follows the current step, targets, guardrails, its flag.
    Edit(Box<EditArguments>),
    /// Ask others to approve the plan.
    RequestApproval {
        /// Its name.
        name: String,
        /// The index of the step that it may reach; absent: the last.
        #[arg(long, value_name = "INDEX")]
        to_step: Option<u64>,
    },
    /// Go to the next step.
    Advance {
        #[command(flatten)]
        change: ChangeArguments,
        /// Also if a guardrail is exceeded, or gateways do not run the step.
        #[arg(long)]
        force: bool,
    },
    /// Stay in this step until the rollout is resumed.
    Hold(ChangeArguments),
    /// End a hold.
    Resume(ChangeArguments),
    /// Return to the version before, at once.
    Rollback(ChangeArguments),
    /// Show a rollout, and how its versions differ on the gateway that is asked.
    Show {
        /// Its name.
        name: String,
    },
    /// List rollouts.
    List,
    /// Delete a rollout that is not open. The ledger keeps its history.
    Delete {
        /// Its name.
        name: String,
    },
}

/// What a plan says besides its steps.
#[derive(Debug, Args)]
struct PlanArguments {
    /// A pattern of locks that the candidate judges in every canary step; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    target_lock: Vec<String>,
    /// A team that the candidate judges in every canary step; may be repeated.
    #[arg(long, value_name = "TEAM")]
    target_team: Vec<String>,
    /// A subject that the candidate judges in every canary step; may be repeated.
    #[arg(long, value_name = "SUBJECT")]
    target_subject: Vec<String>,
    /// How long a window of the guardrails is; 10s by default.
    #[arg(long = "window", value_name = "DURATION", value_parser = duration_ms)]
    window_ms: Option<u64>,
    /// The greatest share of subjects and locks that only the candidate may deny, in percent; 5 by
    /// default.
    #[arg(long, value_name = "PERCENT")]
    newly_denied_max: Option<f64>,
    /// The greatest share of subjects and locks for which the candidate may fail, in percent; 1 by
    /// default.
    #[arg(long, value_name = "PERCENT")]
    failed_max: Option<f64>,
    /// The digest of the report that `policy replay --report` printed; approvals name it.
    #[arg(long, value_name = "SHA-256")]
    replay_report: Option<String>,
}

impl PlanArguments {
    fn targets(&self) -> wire::RolloutTargets {
        wire::RolloutTargets {
            locks: self.target_lock.clone(),
            teams: self.target_team.clone(),
            subjects: self.target_subject.clone(),
        }
    }

    fn guardrails(&self) -> wire::RolloutGuardrails {
        wire::RolloutGuardrails {
            window_ms: self.window_ms,
            newly_denied_max_percent: self.newly_denied_max,
            failed_max_percent: self.failed_max,
            ..wire::RolloutGuardrails::default()
        }
    }
}

/// An edit of a rollout's plan.
#[derive(Debug, Args)]
pub(super) struct EditArguments {
    /// Its name.
    name: String,
    /// A step that follows the current one: PERCENT% or full; @DURATION sets its minimum time.
    /// May be repeated; absent: the steps stay. Options below that are absent leave what they name,
    /// but targets, and guardrails, are replaced together.
    #[arg(long = "step", value_name = "STEP")]
    steps: Vec<String>,
    #[command(flatten)]
    plan: PlanArguments,
    /// The key of a flag in the gateways' flag service, which may narrow or hold the rollout from now on.
    #[arg(long, value_name = "KEY")]
    flag: Option<String>,
    /// Let no flag narrow or hold the rollout any more.
    #[arg(long, conflicts_with = "flag")]
    no_flag: bool,
    /// Whether it goes to its next step by itself.
    #[arg(long, value_name = "true|false")]
    automatic: Option<bool>,
    /// The reason, recorded in the ledger.
    #[arg(long)]
    reason: Option<String>,
}

/// A rollout that is to be started.
#[derive(Debug, Args)]
pub(super) struct StartArguments {
    /// Its name.
    name: String,
    /// The binding that it changes.
    #[arg(long)]
    binding: String,
    /// The candidate, POLICY@VERSION; POLICY alone to change only the configuration.
    #[arg(long, value_name = "POLICY[@VERSION]")]
    candidate: String,
    /// The candidate's configuration, a JSON file (- for standard input); absent: as it is bound.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A step: shadow, PERCENT% or full; @DURATION sets its minimum time (10%@1h).
    /// May be repeated; absent: shadow, 1%, 10%, 50% and full.
    #[arg(long = "step", value_name = "STEP")]
    steps: Vec<String>,
    /// What shares one bucket: lock, team or subject.
    #[arg(long)]
    unit: Option<String>,
    /// The key of a flag in the gateways' flag service, which may narrow or hold the rollout.
    #[arg(long, value_name = "KEY")]
    flag: Option<String>,
    /// Go to the next step by itself: when its minimum time is over, all gateways run it, its last
    /// window is good, and the approvals that the rule asks for are there.
    #[arg(long)]
    automatic: bool,
    #[command(flatten)]
    plan: PlanArguments,
}

/// A change of a rollout.
#[derive(Debug, Args)]
pub(super) struct ChangeArguments {
    /// Its name.
    name: String,
    /// The reason, recorded in the ledger.
    #[arg(long)]
    reason: Option<String>,
}

/// Does it.
pub(super) fn run(command: RolloutCommand, connection: Connection) -> Result<Shown, Failed> {
    let client = connection.client()?;
    block_on(perform(&client, command, connection.json))
}

async fn perform(client: &Client, command: RolloutCommand, json: bool) -> Result<Shown, Failed> {
    let rollout: wire::Rollout = match command {
        RolloutCommand::List => {
            let list: wire::RolloutList = client.get(paths::ROLLOUTS).await?;
            return Shown::of(json, &list, |list| {
                let rows = list.rollouts.iter().map(row).collect();
                Shown::Table(HEADINGS.to_vec(), rows)
            });
        }
        RolloutCommand::Start(arguments) => {
            client.post(paths::ROLLOUTS, &request(*arguments)?).await?
        }
        RolloutCommand::Edit(arguments) => {
            let path = paths::rollout_verb(&arguments.name, "edit");
            client.post(&path, &edited(*arguments)?).await?
        }
        RolloutCommand::RequestApproval { name, to_step } => {
            let path = paths::rollout_verb(&name, "request-approval");
            let request = wire::RolloutApprovalRequest { to_step };
            let approval: Approval = client.post(&path, &request).await?;
            return Shown::of(json, &approval, approval::show);
        }
        RolloutCommand::Advance { change, force } => {
            post(client, change, ("advance", force)).await?
        }
        RolloutCommand::Hold(change) => post(client, change, ("hold", false)).await?,
        RolloutCommand::Resume(change) => post(client, change, ("resume", false)).await?,
        RolloutCommand::Rollback(change) => post(client, change, ("rollback", false)).await?,
        RolloutCommand::Show { name } => client.get(&paths::member(paths::ROLLOUTS, &name)).await?,
        RolloutCommand::Delete { name } => {
            client
                .delete(&paths::member(paths::ROLLOUTS, &name))
                .await?
        }
    };
    Shown::of(json, &rollout, show)
}

async fn post(
    client: &Client,
    change: ChangeArguments,
    (verb, force): (&str, bool),
) -> Result<wire::Rollout, Failed> {
    let path = paths::rollout_verb(&change.name, verb);
    let request = wire::RolloutChangeRequest {
        reason: change.reason,
        epoch: None,
        force,
    };
    Ok(client.post(&path, &request).await?)
}

fn request(arguments: StartArguments) -> Result<wire::RolloutRequest, Failed> {
    let (policy, version) = match arguments.candidate.split_once('@') {
        Some((policy, version)) => (policy.to_owned(), Some(version.to_owned())),
        None => (arguments.candidate, None),
    };
    let config = arguments.config.map(|file| input_file::json(&file));
    Ok(wire::RolloutRequest {
        name: arguments.name,
        binding: arguments.binding,
        policy,
        version,
        config: config.transpose()?,
        unit: arguments.unit,
        flag: arguments.flag,
        targets: arguments.plan.targets(),
        steps: steps(&arguments.steps)?,
        guardrails: arguments.plan.guardrails(),
        automatic: arguments.automatic,
        replay_report: arguments.plan.replay_report,
    })
}

fn edited(arguments: EditArguments) -> Result<wire::RolloutEditRequest, Failed> {
    let EditArguments {
        plan,
        reason,
        automatic,
        flag,
        no_flag,
        ..
    } = arguments;
    let next_steps = (!arguments.steps.is_empty()).then(|| steps(&arguments.steps));
    let (targets, guardrails) = (plan.targets(), plan.guardrails());
    Ok(wire::RolloutEditRequest {
        next_steps: next_steps.transpose()?,
        targets: (targets != wire::RolloutTargets::default()).then_some(targets),
        guardrails: (guardrails != wire::RolloutGuardrails::default()).then_some(guardrails),
        flag,
        remove_flag: no_flag,
        automatic,
        replay_report: plan.replay_report,
        reason,
        epoch: None,
    })
}

fn steps(texts: &[String]) -> Result<Vec<wire::RolloutStep>, Failed> {
    texts.iter().map(|text| step(text)).collect()
}

/// Reads a step: `shadow`, `10%`, `full`, each perhaps with `@DURATION`.
fn step(text: &str) -> Result<wire::RolloutStep, Failed> {
    let wrong = || {
        let message = format!("--step {text}: must be shadow, PERCENT% or full, perhaps @DURATION");
        Failed::new(USAGE, message)
    };
    let (what, least) = match text.split_once('@') {
        Some((what, least)) => (what, Some(least)),
        None => (text, None),
    };
    let least_ms = least.map(|least| duration_ms(least).map_err(|_| wrong()));
    let least_ms = least_ms.transpose()?;
    let (stage, share_percent) = match what.strip_suffix('%') {
        Some(percent) => ("canary", Some(percent.parse().map_err(|_| wrong())?)),
        None if ["shadow", "full"].contains(&what) => (what, None),
        None => return Err(wrong()),
    };
    Ok(wire::RolloutStep {
        stage: stage.to_owned(),
        share_percent,
        least_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read() {
        let read = |text: &str| {
            let step = step(text).unwrap();
            (step.stage, step.share_percent, step.least_ms)
        };
        assert_eq!(read("shadow"), ("shadow".to_owned(), None, None));
        assert_eq!(read("full"), ("full".to_owned(), None, None));
        assert_eq!(read("0.5%"), ("canary".to_owned(), Some(0.5), None));
        let hour = ("canary".to_owned(), Some(10.0), Some(3_600_000));
        assert_eq!(read("10%@1h"), hour);
        for wrong in ["", "canary", "10", "ten%", "10%@", "10%@soon", "full%"] {
            assert!(step(wrong).is_err(), "{wrong}");
        }
    }
}
