use leasehold_policy_sdk::read_config;

use super::*;

const CLAIMS: &str = r#"[
    { "locks": "payments/**", "teams": ["payments", "treasury"], "subjects": ["auditor"] },
    { "locks": "shared/**", "teams": ["*"] },
    { "locks": "shared/**", "teams": ["never-reached"] },
    { "locks": "sealed" },
    { "locks": ["web/**", "site/*"], "except": ["web/internal/**"],
      "teams": ["web-*", { "like": "site[0-9]+" }], "subjects": ["*", { "like": "svc-*" }] },
    { "locks": "web/internal/**", "teams": ["core"] },
    { "locks": ["teams/{team}/**", "*/{team}"], "subjects": ["admin"] },
    { "locks": "users/{subject}/tmp/*" }
]"#;

fn config(unclaimed: &str, claims: &str) -> Config {
    let json = format!(r#"{{ "unclaimed": "{unclaimed}", "claims": {claims} }}"#);
    read_config(&json).unwrap()
}

fn judged(config: &Config, subject: &str, team: Option<&str>, lock: &str) -> Verdict {
    let request = Request::new(Operation::Acquire, "demo", lock);
    let principal = Principal::new(subject, team);
    Ownership::decide(&request, &principal, &Facts::default(), config).unwrap()
}

fn code(subject: &str, team: Option<&str>, lock: &str) -> Option<String> {
    let verdict = judged(&config("deny", CLAIMS), subject, team, lock);
    verdict.code().map(str::to_owned)
}

fn passes(subject: &str, team: Option<&str>, lock: &str) -> bool {
    match code(subject, team, lock).as_deref() {
        None => true,
        Some("not-owner") => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn owners_pass_and_others_do_not() {
    assert!(passes("a", Some("payments"), "payments/ledger/close"));
    assert!(passes("a", Some("treasury"), "payments"));
    assert!(!passes("a", Some("search"), "payments/x"));
    assert!(!passes("a", None, "payments/x"));
}

#[test]
fn a_single_principal_can_own() {
    assert!(passes("auditor", None, "payments/x"));
    assert!(!passes("auditors", None, "payments/x"));
}

#[test]
fn a_star_is_every_team_but_not_a_principal_without_one() {
    assert!(passes("a", Some("search"), "shared/x"));
    assert!(!passes("a", None, "shared/x"));
}

#[test]
fn a_claim_without_owners_seals_the_lock() {
    assert!(!passes("a", Some("payments"), "sealed"));
}

#[test]
fn teams_and_subjects_can_be_patterns() {
    assert!(passes("a", Some("web-shop"), "web/x"));
    assert!(passes("a", Some("site12"), "site/x"));
    assert!(!passes("a", Some("site"), "site/x"));
    assert!(!passes("a", Some("core"), "web/x"));
    assert!(passes("svc-a", None, "web/x"));
    // A text alone is a name, also one with a star in it.
    assert!(passes("*", None, "web/x"));
    assert!(!passes("a", None, "web/x"));
}

#[test]
fn a_claim_has_several_patterns_and_exceptions() {
    assert!(passes("a", Some("web-shop"), "site/x"));
    assert_eq!(
        code("a", Some("web-shop"), "site/x/y").as_deref(),
        Some("unclaimed")
    );
    assert!(!passes("a", Some("web-shop"), "web/internal/x"));
    assert!(passes("a", Some("core"), "web/internal/x"));
}

#[test]
fn a_lock_can_name_its_owner() {
    assert!(passes("a", Some("web"), "teams/web/deploy/prod"));
    assert!(passes("a", Some("web"), "teams/web"));
    assert!(!passes("a", Some("web"), "teams/core/deploy"));
    assert!(!passes("web", None, "teams/web/deploy"));
    assert!(passes("admin", None, "teams/web/deploy"));
    assert!(passes("a", Some("web"), "prod/web"));
    assert!(!passes("a", Some("web"), "prod/core"));
    assert_eq!(
        code("a", Some("web"), "prod/web/x").as_deref(),
        Some("unclaimed")
    );
    assert!(passes("ann", None, "users/ann/tmp/x"));
    assert!(!passes("bob", None, "users/ann/tmp/x"));
    for other in [
        "users/ann/tmp",
        "users/ann/tmp/x/y",
        "users/ann/keep/x",
        "teams",
    ] {
        assert_eq!(
            code("ann", None, other).as_deref(),
            Some("unclaimed"),
            "{other}"
        );
    }
}

#[test]
fn the_denial_names_the_owners() {
    let told = |lock| match judged(&config("deny", CLAIMS), "bob", Some("x"), lock) {
        Verdict::Deny(denial) => denial.message,
        Verdict::Allow(_) => panic!("{lock}"),
    };
    let message = "bob of team x may not acquire payments/x: payments/** belongs to \
                   payments, treasury, auditor";
    assert_eq!(told("payments/x"), message);
    let message = "bob of team x may not acquire teams/web/a: teams/{team}/** belongs to \
                   team web, admin";
    assert_eq!(told("teams/web/a"), message);
}

#[test]
fn the_default_for_unclaimed_locks_is_the_configurations() {
    assert_eq!(
        code("a", Some("payments"), "other").as_deref(),
        Some("unclaimed")
    );
    let open = config("allow", CLAIMS);
    assert_eq!(judged(&open, "a", None, "other"), Verdict::allow());
}

#[test]
fn bad_patterns_are_found_when_bound() {
    assert_eq!(Ownership::check(&config("deny", CLAIMS)), Ok(()));
    for (claim, told) in [
        (r#"{ "locks": "payments/**x" }"#, "payments/**x"),
        (r#"{ "locks": ["a", "b//c"] }"#, "empty segment"),
        (r#"{ "locks": "a", "except": ["b/**/"] }"#, "empty segment"),
        (
            r#"{ "locks": "a/**", "except": ["a/{team}"] }"#,
            "exception",
        ),
        (r#"{ "locks": "a/{group}" }"#, "{team} and {subject}"),
        (r#"{ "locks": "a/{team}/{team}" }"#, "one placeholder"),
        (r#"{ "locks": "{team}/{subject}" }"#, "one placeholder"),
        (r#"{ "locks": "a-{team}" }"#, "a segment of its own"),
        (r#"{ "locks": "**/{team}" }"#, "no ** may stand"),
        (
            r#"{ "locks": "a", "teams": [{ "like": "[a" }] }"#,
            "character 1",
        ),
        (r#"{ "locks": "a", "teams": ["[a-z]+"] }"#, "like"),
        (
            r#"{ "locks": "a", "subjects": [{ "like": "+" }] }"#,
            "character 1",
        ),
    ] {
        let config = config("deny", &format!("[{claim}]"));
        let problem = Ownership::check(&config).unwrap_err();
        assert!(problem.contains(told), "{claim}: {problem}");
    }
}
