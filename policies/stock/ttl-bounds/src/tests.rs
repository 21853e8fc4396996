use leasehold_policy_sdk::Limits;
use leasehold_policy_sdk::read_config;

use super::*;

const PROD: &str = r#"{ "locks": "prod/**", "min_ttl_ms": 5000, "max_ttl_ms": 60000,
    "max_hold_ms": 600000 }"#;

fn config(rules: &str) -> Config {
    read_config(&format!(r#"{{ "rules": [{rules}] }}"#)).unwrap()
}

fn decide(config: &Config, lock: &str, ttl_ms: Option<u64>) -> Verdict {
    let mut request = Request::new(Operation::Acquire, "demo", lock);
    request.ttl_ms = ttl_ms;
    TtlBounds::decide(&request, &Principal::default(), &Facts::default(), config).unwrap()
}

fn limits(max_ttl_ms: Option<u64>, max_hold_ms: Option<u64>) -> Verdict {
    Verdict::Allow(Limits {
        max_ttl_ms,
        max_hold_ms,
        ..Limits::default()
    })
}

fn message(verdict: Verdict) -> String {
    match verdict {
        Verdict::Deny(denial) => denial.message,
        Verdict::Allow(limits) => panic!("{limits:?}"),
    }
}

fn strict() -> Config {
    config(&PROD.replace(
        "{ ",
        r#"{ "too_long": "deny", "name": "prod", "max_wait_ms": 100, "#,
    ))
}

#[test]
fn a_ttl_within_the_bounds_passes_with_the_limits() {
    for ttl in [Some(5_000), Some(60_000), None] {
        let verdict = decide(&strict(), "prod/a", ttl);
        assert_eq!(verdict, limits(Some(60_000), Some(600_000)), "{ttl:?}");
    }
}

#[test]
fn a_shorter_ttl_is_denied() {
    let verdict = decide(&config(PROD), "prod/a", Some(4_999));
    assert_eq!(verdict.code(), Some("ttl-too-short"));
    assert_eq!(
        message(verdict),
        "a ttl of 4999 ms is below the shortest, 5000 ms"
    );
}

#[test]
fn a_longer_ttl_is_clamped_or_denied() {
    let clamped = decide(&config(PROD), "prod/a", Some(60_001));
    assert_eq!(clamped, limits(Some(60_000), Some(600_000)));
    let denied = decide(&strict(), "prod/a", Some(60_001));
    assert_eq!(denied.code(), Some("ttl-too-long"));
    let told = "a ttl of 60001 ms is above the longest, 60000 ms (rule `prod`)";
    assert_eq!(message(denied), told);
}

#[test]
fn a_longer_wait_is_denied() {
    let waiting = |wait_ms| {
        let mut request = Request::new(Operation::Acquire, "demo", "prod/a");
        request.wait_ms = wait_ms;
        let nobody = Principal::default();
        TtlBounds::decide(&request, &nobody, &Facts::default(), &strict()).unwrap()
    };
    assert_eq!(waiting(Some(101)).code(), Some("wait-too-long"));
    assert_eq!(waiting(Some(100)).code(), None);
    assert_eq!(waiting(None).code(), None);
}

#[test]
fn the_first_rule_that_covers_the_lock_counts_and_then_the_default() {
    let rules = format!(r#"{PROD}, {{ "locks": ["a", "b/*"], "max_ttl_ms": 1000 }}"#);
    let json = format!(r#"{{ "rules": [{rules}], "default": {{ "max_ttl_ms": 2000 }} }}"#);
    let config: Config = read_config(&json).unwrap();
    assert_eq!(
        decide(&config, "prod/a", None),
        limits(Some(60_000), Some(600_000))
    );
    assert_eq!(decide(&config, "a", None), limits(Some(1_000), None));
    assert_eq!(decide(&config, "b/c", None), limits(Some(1_000), None));
    assert_eq!(decide(&config, "b/c/d", None), limits(Some(2_000), None));
}

#[test]
fn a_rule_can_be_for_some_callers_only() {
    let config = config(
        r#"{ "teams": ["batch-*"], "max_hold_ms": 1000 },
           { "subjects": ["svc-a", { "like": "job[0-9]+" }], "max_hold_ms": 2000 },
           { "roles": ["operator"], "max_hold_ms": 3000 }"#,
    );
    let hold = |subject: &str, team: Option<&str>, role: &str| {
        let mut principal = Principal::new(subject, team);
        principal.roles.push(role.to_owned());
        let request = Request::new(Operation::Acquire, "demo", "a");
        match TtlBounds::decide(&request, &principal, &Facts::default(), &config).unwrap() {
            Verdict::Allow(limits) => limits.max_hold_ms,
            Verdict::Deny(denial) => panic!("{denial:?}"),
        }
    };
    assert_eq!(hold("a", Some("batch-night"), ""), Some(1_000));
    assert_eq!(hold("svc-a", Some("web"), ""), Some(2_000));
    assert_eq!(hold("job12", None, "operator"), Some(2_000));
    assert_eq!(hold("a", None, "operator"), Some(3_000));
    assert_eq!(hold("a", Some("batch"), "auditor"), None);
}

#[test]
fn without_a_rule_nothing_is_bounded() {
    assert_eq!(decide(&config(""), "prod/a", Some(1)), Verdict::allow());
}

#[test]
fn rules_that_cannot_be_are_found_when_bound() {
    let told = |json: &str| TtlBounds::check(&read_config(json).unwrap()).unwrap_err();
    let crossed = r#"{ "name": "x", "min_ttl_ms": 2, "max_ttl_ms": 1 }"#;
    let problem = "rule `x`: min_ttl_ms 2 is above max_ttl_ms 1";
    assert_eq!(told(&format!(r#"{{ "rules": [{crossed}] }}"#)), problem);
    assert_eq!(told(&format!(r#"{{ "default": {crossed} }}"#)), problem);
    assert!(told(r#"{ "rules": [{ "locks": ["a//b"] }] }"#).contains("empty segment"));
    assert!(told(r#"{ "rules": [{ "teams": [{ "like": "[" }] }] }"#).contains("character 1"));
    assert_eq!(TtlBounds::check(&strict()), Ok(()));
}
