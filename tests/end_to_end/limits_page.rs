//! The page of limits has the numbers of the code, each in its row.

use std::collections::BTreeMap;

use anyhow::Context;
use anyhow::Result;
use leasehold_domain::limits::*;

/// A row of a table: what is limited, and the whole row.
type Rows = BTreeMap<String, String>;

fn read(path: &str) -> Result<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).with_context(|| path.to_owned())
}

/// The rows of the page's tables, without their heads.
fn rows() -> Result<Rows> {
    let page = read("gateway/docs/limits.md")?;
    let cells = |line: &str| -> Option<(String, String)> {
        let row = line.strip_prefix("| ")?.strip_suffix('|')?;
        let (what, rest) = row.split_once(" | ")?;
        Some((what.to_owned(), rest.to_owned()))
    };
    let rows = page.lines().filter_map(cells);
    Ok(rows.filter(|(what, _)| what != "what").collect())
}

/// The numbers in a text, written with or without commas.
fn numbers(text: &str) -> Vec<u64> {
    let plain: String = text.chars().filter(|c| *c != ',').collect();
    let digits = plain.split(|c: char| !c.is_ascii_digit());
    digits.filter_map(|number| number.parse().ok()).collect()
}

/// What is limited by a constant, and the constants, as far as the row shows them.
fn constants() -> Vec<(&'static str, Vec<u64>)> {
    let of = |value: usize| vec![value as u64];
    vec![
        ("namespace, store, team", of(NAMESPACE_NAME_BYTES_MAX)),
        ("namespace, store, team", of(STORE_NAME_BYTES_MAX)),
        ("namespace, store, team", of(TEAM_NAME_BYTES_MAX)),
        ("lock", of(LOCK_NAME_BYTES_MAX)),
        ("subject", of(SUBJECT_BYTES_MAX)),
        ("`request_id`", of(REQUEST_ID_BYTES_MAX)),
        ("`instance`", of(INSTANCE_BYTES_MAX)),
        ("`reason`", of(REASON_BYTES_MAX)),
        ("`value`", of(VALUE_BYTES_MAX)),
        ("labels", of(LABELS_MAX)),
        ("labels", of(LABEL_KEY_BYTES_MAX)),
        ("labels", of(LABEL_VALUE_BYTES_MAX)),
        (
            "teams in a namespace's `visible_to`",
            of(VISIBLE_TO_TEAMS_MAX),
        ),
        (
            "namespaces, and teams, in the scope of a key",
            of(KEY_SCOPE_NAMES_MAX),
        ),
        (
            "description of a key, lock or namespace",
            of(DESCRIPTION_BYTES_MAX),
        ),
        ("claims kept of a token", of(CLAIMS_MAX)),
        ("claims kept of a token", of(CLAIM_VALUE_BYTES_MAX)),
        (
            "code or message of a policy that is kept",
            of(VERDICT_MESSAGE_BYTES_MAX),
        ),
        ("note to an incident", of(INCIDENT_NOTE_BYTES_MAX)),
        ("ttl", vec![TTL_MS_MIN, TTL_MS_MAX]),
        ("`wait_ms` of one acquire", vec![WAIT_MS_MAX]),
        (
            "time that a place is kept between two polls",
            vec![WAITER_SLACK_MS],
        ),
        ("`grace_ms` of a revocation or transfer", vec![GRACE_MS_MAX]),
        ("cooldown", vec![COOLDOWN_MS_MAX]),
        ("permits of a shared lock", vec![u64::from(PERMITS_MAX)]),
        ("waiters in one lock's queue", of(WAITERS_PER_LOCK_MAX)),
        ("locks of one acquire", of(LOCKS_PER_BATCH_MAX)),
        ("leases of one bulk renewal", of(LEASES_PER_RENEWAL_MAX)),
        (
            "ended leases that one lock remembers",
            of(ENDED_LEASES_PER_LOCK_MAX),
        ),
        (
            "ended acquires that one store remembers",
            of(ENDED_REQUESTS_MAX),
        ),
        (
            "age of a `request_id` that is a version 7 UUID",
            vec![REQUEST_ID_AGE_MS_MAX],
        ),
        (
            "renewals without a judging policy, after the grant",
            vec![UNJUDGED_LEASE_MS_MAX],
        ),
        ("rows of a page (lists, ledger)", of(PAGE_ROWS_MAX)),
        ("events that a watch replays", of(WATCH_REPLAY_EVENTS_MAX)),
        (
            "events that a watch may be behind",
            of(WATCH_BACKLOG_EVENTS_MAX),
        ),
        (
            "wait of a ledger question for what was answered before it",
            vec![LEDGER_WAIT_MS_MAX],
        ),
        (
            "recorded requests about leases of others, of one caller",
            vec![u64::from(NOT_HOLDER_RECORDS_BURST)],
        ),
        (
            "denied administrative requests that are recorded one by one",
            vec![u64::from(ADMIN_DENIALS_PER_WINDOW_MAX)],
        ),
        (
            "requests with unknown keys that wait for the store",
            of(STRANGERS_WAITING_MAX),
        ),
        ("module", of(MODULE_BYTES_MAX)),
        (
            "functions, locals, function body of a module",
            [
                MODULE_FUNCTIONS_MAX,
                MODULE_LOCALS_MAX,
                MODULE_FUNCTION_BYTES_MAX,
            ]
            .map(|value| value as u64)
            .to_vec(),
        ),
        (
            "estimated work of compilation",
            [MODULE_WORK_MAX, MODULE_FUNCTION_WORK_MAX]
                .map(|value| value as u64)
                .to_vec(),
        ),
        (
            "configuration of a policy in a binding",
            of(POLICY_CONFIG_BYTES_MAX),
        ),
        (
            "policies that judge one request, and policies of one binding",
            of(POLICIES_PER_DECISION_MAX),
        ),
        (
            "uploads that wait for the compiler",
            of(UPLOADS_WAITING_MAX),
        ),
        (
            "failures remembered for an author",
            [
                FAILURES_PER_POLICY_VERSION_MAX,
                POLICY_VERSIONS_WITH_FAILURES_MAX,
            ]
            .map(|value| value as u64)
            .to_vec(),
        ),
        ("stores besides `home`", of(EXTRA_STORES_MAX)),
        ("document of governance", of(DOCUMENT_BYTES_MAX)),
        ("backups at a time", of(BACKUPS_AT_ONCE_MAX)),
        ("incidents kept", of(INCIDENTS_MAX)),
        (
            "policy versions with labels of their own in metrics",
            of(POLICY_LABEL_SETS_MAX),
        ),
    ]
}

#[test]
fn the_page_of_limits_has_the_constants() -> Result<()> {
    let rows = rows()?;
    for (what, expected) in constants() {
        let row = rows.get(what).with_context(|| format!("no row {what:?}"))?;
        let shown = numbers(row);
        for number in expected {
            assert!(
                shown.contains(&number),
                "{what}: {number} is not in {row:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_page_of_limits_has_the_defaults_of_the_configuration() -> Result<()> {
    let example = read("config.example.toml")?;
    let mut section = String::new();
    let mut defaults = BTreeMap::new();
    for line in example.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            name.clone_into(&mut section);
        }
        if let Some((key, value)) = line.trim_start_matches('#').split_once(" = ")
            && let Ok(value) = value.trim().parse::<u64>()
        {
            defaults.insert(format!("{section}.{key}"), value);
        }
    }
    let mut compared = 0;
    for (what, row) in rows()? {
        // Rows with several keys show the default of the first.
        let keys = row.split('`').skip(1).step_by(2);
        let Some(key) = keys.into_iter().find(|key| defaults.contains_key(*key)) else {
            continue;
        };
        let shown = numbers(&row);
        assert!(
            shown.contains(&defaults[key]),
            "{what}: {key} is {}",
            defaults[key]
        );
        compared += 1;
    }
    assert!(compared > 15, "only {compared} rows have a key");
    Ok(())
}
