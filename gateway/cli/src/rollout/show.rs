//! Rollouts as the command line shows them.

use leasehold_wire::v1::rollouts as wire;

use crate::output::Shown;

/// How many of the newest differences are shown; with `--json` all that the gateway keeps.
const DIFFERENCES_SHOWN: usize = 5;

pub(super) const HEADINGS: [&str; 6] = ["ROLLOUT", "BINDING", "POLICY", "FROM", "TO", "STAGE"];

pub(super) fn row(rollout: &wire::Rollout) -> Vec<String> {
    vec![
        rollout.name.clone(),
        rollout.binding.clone(),
        rollout.policy.clone(),
        rollout.current.version.clone(),
        rollout.candidate.version.clone(),
        stage(rollout),
    ]
}

fn stage(rollout: &wire::Rollout) -> String {
    let mut stage = rollout.stage.clone();
    if stage == "canary" {
        stage += &format!(" {}%", rollout.share_percent);
    }
    if rollout.held {
        stage += ", held";
    }
    stage
}

pub(super) fn show(rollout: &wire::Rollout) -> Shown {
    let version =
        |version: &wire::RolloutVersion| format!("{}@{}", rollout.policy, version.version);
    let mut fields = vec![
        ("rollout", rollout.name.clone()),
        ("binding", rollout.binding.clone()),
        ("current", version(&rollout.current)),
        ("candidate", version(&rollout.candidate)),
        (
            "stage",
            format!("{} since {}", stage(rollout), rollout.since),
        ),
        ("steps", planned(rollout)),
        ("unit", rollout.unit.clone()),
    ];
    if let Some(flag) = &rollout.flag {
        fields.push(("flag", told_flag(flag)));
    }
    if rollout.automatic {
        let waits = rollout.waits.as_ref();
        let waits = waits.map(|why| format!("yes; it waits: {why}"));
        fields.push(("automatic", waits.unwrap_or_else(|| "yes".to_owned())));
    }
    if !rollout.gateways.is_empty() {
        fields.push(("gateways", reached(&rollout.gateways)));
    }
    if let Some(report) = &rollout.replay_report {
        fields.push(("replay report", report.clone()));
    }
    if rollout.current.version == rollout.candidate.version {
        fields.push(("candidate config", rollout.candidate.config.to_string()));
    }
    if let Some(total) = &rollout.total {
        fields.extend(compared(total));
    }
    if let Some(comparison) = &rollout.comparison {
        fields.extend(newest(comparison));
    }
    for change in &rollout.changes {
        let mut told = format!(
            "{} {} by {}: {}",
            change.at, change.action, change.by, change.to
        );
        if let Some(reason) = &change.reason {
            told += &format!(" ({reason})");
        }
        if let Some(compared) = &change.compared {
            told += &format!("; compared {compared}");
        }
        fields.push(("change", told));
    }
    Shown::Fields(fields)
}

/// Says the steps, with the one that it is in in brackets.
fn planned(rollout: &wire::Rollout) -> String {
    let name = |(at, step): (usize, &wire::RolloutStep)| {
        let name = match step.share_percent {
            Some(share) => format!("{share}%"),
            None => step.stage.clone(),
        };
        match at as u64 == rollout.step {
            true => format!("[{name}]"),
            false => name,
        }
    };
    let steps: Vec<String> = rollout.steps.iter().enumerate().map(name).collect();
    steps.join(" ")
}

/// Says what a flag allows, and what it goes by.
fn told_flag(flag: &wire::RolloutFlag) -> String {
    let Some(share) = flag.share_max_percent else {
        return flag.key.clone();
    };
    let allows = match flag.hold {
        _ if share == 0.0 => "the candidate judges nothing".to_owned(),
        true => "held in its step".to_owned(),
        false if share == 100.0 => "no limit".to_owned(),
        false => format!("at most {share} %"),
    };
    let mut told = format!("{}: {allows}", flag.key);
    let named = [
        ("value", &flag.value),
        ("variant", &flag.variant),
        ("reason", &flag.reason),
    ];
    for (name, text) in named {
        if let Some(text) = text {
            told += &format!(", {name} {text}");
        }
    }
    match flag.age_ms {
        Some(age) if flag.stale => told += &format!("; stale, {age} ms old"),
        Some(age) => told += &format!("; {age} ms old"),
        None => told += "; no answer yet",
    }
    if let Some(problem) = &flag.problem {
        told += &format!(": {problem}");
    }
    told
}

/// Says how many gateways run the step, and names those that do not.
fn reached(gateways: &[wire::RolloutGateway]) -> String {
    let of = |state: &str| gateways.iter().filter(|one| one.state == state).count();
    let mut told = format!("{} of {} run this step", of("running"), gateways.len());
    let others = gateways.iter().filter(|one| one.state != "running");
    let others: Vec<String> = others
        .map(|one| match &one.reported_at {
            Some(at) => format!("{} ({}) is {}, reported {at}", one.id, one.name, one.state),
            None => format!("{} ({}) is {}", one.id, one.name, one.state),
        })
        .collect();
    if !others.is_empty() {
        told += &format!("; {}", others.join(", "));
    }
    told
}

fn compared(total: &wire::RolloutTotal) -> Vec<(&'static str, String)> {
    if total.compared == 0 && total.shed == 0 {
        return Vec::new();
    }
    let mut counts = format!("{} requests, {} alike", total.compared, total.agreed);
    for (kind, count) in &total.differences {
        counts += &format!(", {count} {kind}");
    }
    if total.shed > 0 {
        counts += &format!("; {} not compared", total.shed);
    }
    let mut fields = vec![("compared", counts)];
    if let Some(verdict) = &total.verdict {
        let mut told = verdict.clone();
        if let Some(evidence) = &total.evidence {
            told += &format!(": {evidence}");
        }
        if !total.missing.is_empty() {
            told += &format!("; counts are missing of {}", total.missing.join(", "));
        }
        fields.push(("guardrails", told));
    }
    fields
}

/// The newest differences on the gateway that was asked.
fn newest(comparison: &wire::RolloutComparison) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    let newest = &comparison.newest;
    let shown = newest.len().saturating_sub(DIFFERENCES_SHOWN);
    for difference in &newest[shown..] {
        let told = format!(
            "{} {} {} {} by {}: {} -> {}",
            difference.at,
            difference.kind,
            difference.operation,
            difference.lock,
            difference.subject,
            difference.current,
            difference.candidate
        );
        fields.push(("difference", told));
    }
    fields
}
