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
const CONSTANTS: &[(&str, &[u64])] = &[
    ("namespace, store, team", &[NAMESPACE_NAME_BYTES_MAX as u64]),
    ("namespace, store, team", &[STORE_NAME_BYTES_MAX as u64]),
    ("namespace, store, team", &[TEAM_NAME_BYTES_MAX as u64]),
    ("lock", &[LOCK_NAME_BYTES_MAX as u64]),
    ("subject", &[SUBJECT_BYTES_MAX as u64]),
    ("`request_id`", &[REQUEST_ID_BYTES_MAX as u64]),
    ("`instance`", &[INSTANCE_BYTES_MAX as u64]),
    ("`reason`", &[REASON_BYTES_MAX as u64]),
    ("`ticket`", &[TICKET_BYTES_MAX as u64]),
    (
        "`override_ttl_ms`: time for which a denial is passed by break-glass",
        &[
            OVERRIDE_TTL_MS_MIN,
            OVERRIDE_TTL_MS_MAX,
            OVERRIDE_TTL_MS_DEFAULT,
        ],
    ),
    ("`value`", &[VALUE_BYTES_MAX as u64]),
    ("labels", &[LABELS_MAX as u64]),
    ("labels", &[LABEL_KEY_BYTES_MAX as u64]),
    ("labels", &[LABEL_VALUE_BYTES_MAX as u64]),
    (
        "teams in a namespace's `visible_to`",
        &[VISIBLE_TO_TEAMS_MAX as u64],
    ),
    (
        "namespaces, and teams, in the scope of a key",
        &[KEY_SCOPE_NAMES_MAX as u64],
    ),
    (
        "description of a key, lock or namespace",
        &[DESCRIPTION_BYTES_MAX as u64],
    ),
    ("claims kept of a token", &[CLAIMS_MAX as u64]),
    ("claims kept of a token", &[CLAIM_VALUE_BYTES_MAX as u64]),
    (
        "code or message of a policy that is kept",
        &[VERDICT_MESSAGE_BYTES_MAX as u64],
    ),
    ("note to an incident", &[INCIDENT_NOTE_BYTES_MAX as u64]),
    ("ttl", &[TTL_MS_MIN, TTL_MS_MAX]),
    ("`wait_ms` of one acquire", &[WAIT_MS_MAX]),
    (
        "time that a place is kept between two polls",
        &[WAITER_SLACK_MS],
    ),
    ("`grace_ms` of a revocation or transfer", &[GRACE_MS_MAX]),
    ("cooldown", &[COOLDOWN_MS_MAX]),
    ("permits of a shared lock", &[PERMITS_MAX as u64]),
    (
        "waiters in one lock's queue",
        &[WAITERS_PER_LOCK_MAX as u64],
    ),
    ("locks of one acquire", &[LOCKS_PER_BATCH_MAX as u64]),
    (
        "leases of one bulk renewal",
        &[LEASES_PER_RENEWAL_MAX as u64],
    ),
    (
        "ended leases that one lock remembers",
        &[ENDED_LEASES_PER_LOCK_MAX as u64],
    ),
    (
        "ended acquires that one store remembers",
        &[ENDED_REQUESTS_MAX as u64],
    ),
    (
        "age of a `request_id` that is a version 7 UUID",
        &[REQUEST_ID_AGE_MS_MAX],
    ),
    (
        "renewals without a judging policy, after the grant",
        &[UNJUDGED_LEASE_MS_MAX],
    ),
    ("steps of a rollout", &[ROLLOUT_STEPS_MAX as u64]),
    ("least time of a step", &[ROLLOUT_STEP_MS_MAX]),
    (
        "target locks, teams, subjects",
        &[ROLLOUT_TARGETS_MAX as u64],
    ),
    ("reason of a change", &[ROLLOUT_REASON_BYTES_MAX as u64]),
    (
        "changes that a rollout shows",
        &[ROLLOUT_CHANGES_MAX as u64],
    ),
    (
        "people that must approve a change",
        &[APPROVALS_REQUIRED_MAX as u64],
    ),
    (
        "time for which a change waits for approval",
        &[APPROVAL_LIFE_MS],
    ),
    (
        "requests for approval that are kept",
        &[APPROVALS_MAX as u64],
    ),
    ("reason of an approval", &[APPROVAL_REASON_BYTES_MAX as u64]),
    ("time after which a review is overdue", &[REVIEW_DUE_MS]),
    ("reviews that are kept", &[REVIEWS_MAX as u64]),
    ("note of a review", &[REVIEW_NOTE_BYTES_MAX as u64]),
    (
        "window of the guardrails",
        &[ROLLOUT_WINDOW_MS_MIN, ROLLOUT_WINDOW_MS_MAX],
    ),
    (
        "renewals under the version that granted, after the grant",
        &[ROLLOUT_STICKY_MS_MAX],
    ),
    (
        "requests that wait for the other version",
        &[SHADOW_QUEUE_MAX as u64],
    ),
    (
        "holders and waiters in the views of locks that those requests hold",
        &[SHADOW_HOLDERS_MAX as u64],
    ),
    (
        "rows of a batch of differences in the ledger",
        &[ROLLOUT_BATCH_ROWS_MAX as u64],
    ),
    (
        "teams and locks that a gateway tells apart in one window",
        &[ROLLOUT_BATCH_GROUPS_MAX as u64],
    ),
    (
        "batches of differences that wait for the ledger",
        &[ROLLOUT_BATCHES_WAITING_MAX as u64],
    ),
    (
        "sampled decisions that wait for the self-check",
        &[SELF_CHECK_SAMPLES_MAX as u64],
    ),
    (
        "time for which the self-check looks for one in the ledger",
        &[SELF_CHECK_SAMPLE_AGE_MS_MAX],
    ),
    ("longest such interval", &[SELF_CHECK_INTERVAL_MS_MAX]),
    (
        "difference of two wall clocks that is an incident",
        &[CLOCK_DIFFERENCE_MS_MAX],
    ),
    (
        "windows that a gateway keeps and reports",
        &[ROLLOUT_WINDOWS_KEPT_MAX as u64],
    ),
    (
        "open rollouts in the report of a gateway",
        &[ROLLOUT_REPORT_ROLLOUTS_MAX as u64],
    ),
    (
        "pause between two reports of a gateway, if its steps are the same",
        &[ROLLOUT_REPORT_PAUSE_MS],
    ),
    (
        "time after which a gateway reports again, while a rollout is open",
        &[ROLLOUT_REPORT_EVERY_MS],
    ),
    (
        "time after which a gateway reports again, while none is",
        &[ROLLOUT_REPORT_IDLE_EVERY_MS],
    ),
    ("request to a witness", &[WITNESS_REQUEST_MS_MAX]),
    ("answer of a witness", &[WITNESS_ANSWER_BYTES_MAX as u64]),
    (
        "witnesses, and keys that sign checkpoints",
        &[WITNESSES_MAX as u64, LOG_KEYS_MAX as u64],
    ),
    ("key of a flag", &[FLAG_KEY_BYTES_MAX as u64]),
    ("answer of a flag service", &[FLAG_ANSWER_BYTES_MAX as u64]),
    (
        "value, variant, reason and entity tag of a flag that are kept",
        &[FLAG_TEXT_BYTES_MAX as u64],
    ),
    (
        "pause that a flag service may ask for",
        &[FLAG_RETRY_AFTER_MS_MAX],
    ),
    (
        "age of a report with which its gateway is silent",
        &[ROLLOUT_REPORT_SILENT_MS],
    ),
    (
        "time after which a window is judged without missing counts",
        &[ROLLOUT_REPORT_GRACE_MS],
    ),
    (
        "time for which an advance waits for all gateways",
        &[ROLLOUT_REACH_WAIT_MS_MAX],
    ),
    (
        "pairs of subject and lock told apart in one window",
        &[ROLLOUT_PAIRS_MAX as u64],
    ),
    (
        "differences that a gateway keeps",
        &[ROLLOUT_DIFFERENCES_MAX as u64],
    ),
    (
        "time after which a request to replay reads no further page of 500 events",
        &[REPLAY_MS_MAX],
    ),
    (
        "events of one request to replay",
        &[REPLAY_EVENTS_MAX as u64],
    ),
    (
        "locks that are looked at to count the leases under a policy version, and named",
        &[
            POLICY_LEASES_ROWS_MAX as u64,
            POLICY_LEASES_LOCKS_SHOWN_MAX as u64,
        ],
    ),
    (
        "time for which they are looked at",
        &[POLICY_LEASES_WAIT_MS_MAX],
    ),
    (
        "locks that the preview of a binding looks at, and names",
        &[PREVIEW_LOCKS_MAX as u64, PREVIEW_LOCKS_SHOWN_MAX as u64],
    ),
    (
        "time that such a preview looks back if it names none",
        &[PREVIEW_SINCE_MS_DEFAULT],
    ),
    (
        "differences, and pairs of team and lock, in the answer to a replay",
        &[REPLAY_DIFFERENCES_MAX as u64, REPLAY_GROUPS_MAX as u64],
    ),
    ("rows of a page (lists, ledger)", &[PAGE_ROWS_MAX as u64]),
    (
        "events that a watch replays",
        &[WATCH_REPLAY_EVENTS_MAX as u64],
    ),
    (
        "events that a watch may be behind",
        &[WATCH_BACKLOG_EVENTS_MAX as u64],
    ),
    (
        "wait of a ledger question for what was answered before it",
        &[LEDGER_WAIT_MS_MAX],
    ),
    (
        "recorded requests about leases of others, of one caller",
        &[NOT_HOLDER_RECORDS_BURST as u64],
    ),
    (
        "denied administrative requests that are recorded one by one",
        &[ADMIN_DENIALS_PER_WINDOW_MAX as u64],
    ),
    (
        "requests with unknown keys that wait for the store",
        &[STRANGERS_WAITING_MAX as u64],
    ),
    ("module", &[MODULE_BYTES_MAX as u64]),
    (
        "functions, locals, function body of a module",
        &[
            MODULE_FUNCTIONS_MAX as u64,
            MODULE_LOCALS_MAX as u64,
            MODULE_FUNCTION_BYTES_MAX as u64,
        ],
    ),
    (
        "estimated work of compilation",
        &[MODULE_WORK_MAX as u64, MODULE_FUNCTION_WORK_MAX as u64],
    ),
    (
        "configuration of a policy in a binding",
        &[POLICY_CONFIG_BYTES_MAX as u64],
    ),
    (
        "revisions of a binding or a namespace that are kept",
        &[REVISIONS_MAX as u64],
    ),
    (
        "deleted bindings, and deleted namespaces, whose revisions are kept",
        &[HISTORIES_DELETED_MAX as u64],
    ),
    (
        "reason of a change of a binding or a namespace",
        &[REVISION_REASON_BYTES_MAX as u64],
    ),
    (
        "policies that judge one request, and policies of one binding",
        &[POLICIES_PER_DECISION_MAX as u64],
    ),
    (
        "counters of one verdict",
        &[COUNTERS_PER_VERDICT_MAX as u64],
    ),
    (
        "counters of all verdicts of one acquire",
        &[COUNTERS_PER_DECISION_MAX as u64],
    ),
    (
        "coarsest time that a policy may declare to depend on",
        &[POLICY_NOW_GRANULARITY_MS_MAX],
    ),
    ("name of a counter", &[COUNTER_NAME_BYTES_MAX as u64]),
    (
        "fuel and time of a request before its evaluation moves to a separate thread",
        &[BRIEF_EVALUATION_FUEL_MAX, BRIEF_EVALUATION_MS_MAX],
    ),
    ("wait for a separate thread", &[SLOW_EVALUATION_WAIT_MS_MAX]),
    (
        "pushes that wait for the compiler",
        &[UPLOADS_WAITING_MAX as u64],
    ),
    (
        "statement that is signed, its source",
        &[
            POLICY_STATEMENT_BYTES_MAX as u64,
            POLICY_SOURCE_BYTES_MAX as u64,
        ],
    ),
    (
        "file of signatures",
        &[POLICY_SIGNATURE_FILE_BYTES_MAX as u64],
    ),
    (
        "signatures of one push, and kept of one version",
        &[POLICY_SIGNATURES_MAX as u64],
    ),
    (
        "signatures that can be required",
        &[POLICY_SIGNATURES_REQUIRED_MAX as u64],
    ),
    (
        "trusted keys, revoked ones included",
        &[TRUSTED_KEYS_MAX as u64],
    ),
    (
        "name, and PEM, of a trusted key",
        &[
            TRUSTED_KEY_NAME_BYTES_MAX as u64,
            TRUSTED_KEY_PEM_BYTES_MAX as u64,
        ],
    ),
    (
        "bindings whose configurations a push checks",
        &[PUSH_BINDINGS_MAX as u64],
    ),
    (
        "time until an expired version in use is noticed",
        &[POLICY_EXPIRY_CHECK_EVERY_MS],
    ),
    (
        "failures remembered for an author",
        &[
            FAILURES_PER_POLICY_VERSION_MAX as u64,
            POLICY_VERSIONS_WITH_FAILURES_MAX as u64,
        ],
    ),
    ("stores besides `home`", &[EXTRA_STORES_MAX as u64]),
    ("document of governance", &[DOCUMENT_BYTES_MAX as u64]),
    (
        "blob (module, configuration of a policy) that a store takes",
        &[BLOB_BYTES_MAX as u64],
    ),
    (
        "part of a blob in one message between members of a cluster",
        &[BLOB_PART_BYTES_MAX as u64],
    ),
    (
        "message between members of a cluster",
        &[PEER_MESSAGE_BYTES_MAX as u64],
    ),
    ("greatest cap", &[NAMESPACE_CAP_MAX]),
    (
        "time between two writes of when keys were last used",
        &[KEY_USES_WRITTEN_EVERY_MS],
    ),
    ("backups at a time", &[BACKUPS_AT_ONCE_MAX as u64]),
    ("incidents kept", &[INCIDENTS_MAX as u64]),
    (
        "policy versions with labels of their own in metrics",
        &[POLICY_LABEL_SETS_MAX as u64],
    ),
];

#[test]
fn the_page_of_limits_has_the_constants() -> Result<()> {
    let rows = rows()?;
    for (what, expected) in CONSTANTS {
        let row = rows
            .get(*what)
            .with_context(|| format!("no row {what:?}"))?;
        let shown = numbers(row);
        for number in *expected {
            assert!(shown.contains(number), "{what}: {number} is not in {row:?}");
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
