//! Policy versions as the command line shows them.

use leasehold_wire::v1::policies::PolicyLeases;
use leasehold_wire::v1::policies::PolicyMark;
use leasehold_wire::v1::policies::PolicySignature;
use leasehold_wire::v1::policies::PolicyVersion;
use leasehold_wire::v1::policies::PushedPolicy;

use crate::output::Shown;

pub(super) const HEADINGS: [&str; 6] = [
    "POLICY",
    "VERSION",
    "JUDGES",
    "SIGNED BY",
    "STATE",
    "DIGEST",
];

/// A version in a list.
pub(super) fn row(version: &PolicyVersion) -> Vec<String> {
    let counts = version.signatures.iter().filter(|s| s.state == "counts");
    let mut signers: Vec<String> = counts.map(name_of_key).collect();
    signers.sort();
    signers.dedup();
    if version.stock {
        signers.push("stock".to_owned());
    }
    vec![
        version.policy.clone(),
        version.version.clone(),
        version.operations.join(","),
        signers.join(","),
        state(version),
        version.digest.clone(),
    ]
}

/// In one word or two.
fn state(version: &PolicyVersion) -> String {
    let deprecated = version.deprecated.as_ref().map(|_| "deprecated".to_owned());
    let unusable = version.unusable.as_ref().map(|why| why.kind.clone());
    let all: Vec<String> = unusable.into_iter().chain(deprecated).collect();
    match all.is_empty() {
        true => "usable".to_owned(),
        false => all.join(","),
    }
}

fn name_of_key(signature: &PolicySignature) -> String {
    let short: String = signature.key.chars().take(12).collect();
    signature.key_name.clone().unwrap_or(short)
}

/// A version, its standing, and how it failed.
pub(super) fn show(version: &PolicyVersion) -> Shown {
    let mut all = fields(version);
    let pushed = format!("{} by {}", version.uploaded_at, version.uploaded_by);
    all.insert(3, ("pushed", pushed));
    Shown::Fields(all)
}

fn fields(version: &PolicyVersion) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("policy", format!("{}@{}", version.policy, version.version)),
        ("digest", version.digest.clone()),
        ("evaluates", version.operations.join(", ")),
    ];
    if version.stock {
        fields.push((
            "signed",
            "a stock policy, which needs no signature".to_owned(),
        ));
    }
    fields.extend(version.signatures.iter().map(|s| ("signed", signed(s))));
    fields.extend(version.expires_at.clone().map(|at| ("expires", at)));
    let marks = [
        ("deprecated", &version.deprecated),
        ("withdrawn", &version.withdrawn),
        ("killed", &version.killed),
    ];
    let marks = marks.into_iter();
    let marks = marks.filter_map(|(name, mark)| Some((name, mark.as_ref()?)));
    fields
        .extend(marks.map(|(name, PolicyMark { by, at, reason })| {
            (name, format!("{at} by {by}: {reason}"))
        }));
    if let Some(unusable) = &version.unusable {
        let told = match &*unusable.kind {
            "killed" => format!("fails wherever it would judge: {}", unusable.detail),
            _ => format!("for anything new: {}", unusable.detail),
        };
        fields.push(("unusable", told));
    }
    if let Some(in_use) = &version.in_use {
        let bindings = in_use.bindings.iter().map(|name| format!("binding {name}"));
        let rollouts = in_use.rollouts.iter().map(|name| format!("rollout {name}"));
        let all: Vec<String> = bindings.chain(rollouts).collect();
        if !all.is_empty() {
            fields.push(("in use by", all.join(", ")));
        }
        fields.extend(in_use.leases.as_ref().and_then(leases));
    }
    for failure in &version.failures {
        let told = format!(
            "{} {}: {} [{} {}, binding {}, {}, decision {}]",
            failure.at,
            failure.kind,
            failure.detail,
            failure.operation,
            failure.lock,
            failure.binding,
            failure.enforcement,
            failure.decision_id
        );
        fields.push(("failed", told));
    }
    fields
}

/// Returns what is said of the leases under a version; `None` if there are none.
fn leases(leases: &PolicyLeases) -> Option<(&'static str, String)> {
    let PolicyLeases {
        count,
        unknown,
        locks,
        partial,
    } = leases;
    if (*count, *unknown, *partial) == (0, 0, false) {
        return None;
    }
    let at_least = if *partial { "at least " } else { "" };
    let mut told = format!("{at_least}{count} granted or renewed under it");
    if !locks.is_empty() {
        let more = if locks.len() as u64 >= *count {
            ""
        } else {
            ", …"
        };
        told += &format!(": {}{more}", locks.join(", "));
    }
    if *unknown > 0 {
        told += &format!("; {unknown} of an older build may be, too");
    }
    Some(("leases", told))
}

fn signed(signature: &PolicySignature) -> String {
    let mut told = format!("by {}", name_of_key(signature));
    for (word, value) in [
        ("from", &signature.not_before),
        ("until", &signature.not_after),
        ("source", &signature.source),
    ] {
        if let Some(value) = value {
            told += &format!(", {word} {value}");
        }
    }
    if signature.state != "counts" {
        told += &format!(": does not count ({})", signature.state);
    }
    told
}

/// A version that was pushed.
pub(super) fn show_pushed(pushed: &PushedPolicy) -> Shown {
    let mut fields = fields(&pushed.version);
    for ignored in &pushed.ignored_signatures {
        fields.push(("ignored", format!("a signature: {ignored}")));
    }
    for fit in &pushed.bindings {
        let bound = format!("binding {}, which names {}", fit.binding, fit.version);
        fields.push(match &fit.problem {
            None => ("fits", bound),
            Some(problem) => ("does not fit", format!("{bound}: {problem}")),
        });
    }
    if pushed.more_bindings > 0 {
        let more = format!("{} more bindings", pushed.more_bindings);
        fields.push(("not checked", more));
    }
    if pushed.dry_run {
        fields.push(("dry run", "nothing was written".to_owned()));
    }
    Shown::Fields(fields)
}
