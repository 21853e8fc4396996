use leasehold_policy_sdk::Holder;
use leasehold_policy_sdk::LockView;
use leasehold_policy_sdk::Mode;
use leasehold_policy_sdk::Pairs;
use leasehold_policy_sdk::UtcTime;
use leasehold_policy_sdk::read_config;

use super::*;

fn strict() -> Config {
    let duty = r#"{ "teams": ["sre"], "roles": ["operator"], "subjects": ["duty-phone"],
        "require_reason": true, "ticket": "INC-####*", "require_approval": true }"#;
    read_config(&format!(r#"{{ "revoke": {duty}, "transfer": {duty} }}"#)).unwrap()
}

fn request(reason: &str, labels: Pairs) -> Request {
    let mut request = Request::new(Operation::Revoke, "demo", "nightly");
    request.reason = Some(reason.to_owned());
    request.labels = labels;
    request
}

fn approved(by: &str) -> Pairs {
    Pairs::from([("approved_by", by)])
}

fn code(config: &Config, request: &Request, principal: &Principal) -> Option<String> {
    let verdict = SeparationOfDuties::decide(request, principal, &Facts::default(), config);
    verdict.unwrap().code().map(str::to_owned)
}

#[test]
fn a_team_a_role_or_a_name_entitles() {
    let asked = request("stuck, INC-1234", approved("boss"));
    let mut operator = Principal::new("o", None);
    operator.roles.push("operator".to_owned());
    for entitled in [
        Principal::new("a", Some("sre")),
        operator,
        Principal::new("duty-phone", None),
    ] {
        assert_eq!(code(&strict(), &asked, &entitled), None, "{entitled:?}");
    }
    let other = Principal::new("a", Some("web"));
    assert_eq!(
        code(&strict(), &asked, &other).as_deref(),
        Some("not-entitled")
    );
}

#[test]
fn a_reason_and_a_ticket_are_needed() {
    let sre = Principal::new("a", Some("sre"));
    let said = |reason| code(&strict(), &request(reason, approved("boss")), &sre);
    assert_eq!(said("  ").as_deref(), Some("reason-missing"));
    assert_eq!(said("it is stuck").as_deref(), Some("ticket-missing"));
    assert_eq!(
        said("it is stuck (INC-12)").as_deref(),
        Some("ticket-missing")
    );
    assert_eq!(said("it is stuck (INC-12345)."), None);
    let labelled = Pairs::from([("approved_by", "boss"), ("ticket", "INC-1234")]);
    assert_eq!(
        code(&strict(), &request("it is stuck", labelled), &sre),
        None
    );
}

#[test]
fn nobody_approves_their_own() {
    let sre = Principal::new("a", Some("sre"));
    let by = |approver| code(&strict(), &request("INC-1234", approved(approver)), &sre);
    assert_eq!(by("boss"), None);
    assert_eq!(by("a").as_deref(), Some("own-approval"));
    assert_eq!(by(" A ").as_deref(), Some("own-approval"));
    assert_eq!(by("").as_deref(), Some("approval-missing"));
}

#[test]
fn the_successor_does_not_approve_either() {
    let mut asked = request("INC-1234", approved("b"));
    asked.operation = Operation::Transfer;
    asked.successor = Some("b".to_owned());
    let sre = Principal::new("a", Some("sre"));
    assert_eq!(
        code(&strict(), &asked, &sre).as_deref(),
        Some("own-approval")
    );
}

#[test]
fn an_own_approval_is_denied_even_where_none_is_needed() {
    let anybody = Principal::new("a", None);
    let open = Config::default();
    assert_eq!(code(&open, &request("", Pairs::default()), &anybody), None);
    let own = request("", approved("a"));
    assert_eq!(code(&open, &own, &anybody).as_deref(), Some("own-approval"));
}

#[test]
fn other_operations_are_not_its_business() {
    let acquire = Request::new(Operation::Acquire, "demo", "nightly");
    let principal = Principal::new("a", None);
    let verdict = SeparationOfDuties::decide(&acquire, &principal, &Facts::default(), &strict());
    assert!(verdict.is_err());
}

#[test]
fn a_ticket_can_have_classes_and_repetition() {
    let revoke = r#"{ "revoke": { "ticket": { "like": "[A-Z]+-[0-9]+" } } }"#;
    let config: Config = read_config(revoke).unwrap();
    let said = |reason| {
        let principal = Principal::new("a", None);
        code(&config, &request(reason, Pairs::default()), &principal)
    };
    assert_eq!(said("see OPS-7."), None);
    assert_eq!(said("see ops-7").as_deref(), Some("ticket-missing"));
}

fn held_by(subjects: &[&str]) -> Facts {
    let holder = |(at, subject): (usize, &&str)| Holder {
        lease: format!("lease-{at}"),
        subject: (*subject).to_owned(),
        team: None,
        instance: None,
        labels: Pairs::default(),
        reason: None,
        mode: Mode::Exclusive,
        token: 1,
        since: UtcTime::default(),
        remaining_ms: 1,
        draining: false,
    };
    Facts {
        lock: Some(LockView {
            holders: subjects.iter().enumerate().map(holder).collect(),
            ..LockView::default()
        }),
        ..Facts::default()
    }
}

/// The code for a revocation by `ann` of one lease, or of all.
fn revoked(revoke: &str, lease: Option<&str>, approver: &str, holders: &[&str]) -> Option<String> {
    let config: Config = read_config(&format!(r#"{{ "revoke": {revoke} }}"#)).unwrap();
    let mut asked = request("", approved(approver));
    asked.lease = lease.map(str::to_owned);
    let principal = Principal::new("ann", None);
    let verdict = SeparationOfDuties::decide(&asked, &principal, &held_by(holders), &config);
    verdict.unwrap().code().map(str::to_owned)
}

#[test]
fn the_own_lease_can_be_free_of_duties() {
    let own = |lease, holders: &[&str]| {
        let revoke = r#"{ "roles": ["nobody"], "own_lease": "allow" }"#;
        revoked(revoke, lease, "", holders).is_none()
    };
    assert!(own(None, &["ann", "ann"]));
    assert!(own(Some("lease-1"), &["bob", "ann"]));
    assert!(!own(Some("lease-0"), &["bob", "ann"]));
    assert!(!own(None, &["bob", "ann"]));
    assert!(!own(Some("lease-7"), &["ann"]));
    assert!(!own(None, &[]));
    let judged = revoked(r#"{ "roles": ["nobody"] }"#, None, "", &["ann"]);
    assert_eq!(judged.as_deref(), Some("not-entitled"));
}

#[test]
fn a_holder_may_be_kept_from_approving() {
    let deny = r#"{ "holder_approval": "deny" }"#;
    let code = |lease, approver| revoked(deny, lease, approver, &["bob", "eve"]);
    assert_eq!(code(None, "BOB").as_deref(), Some("holder-approval"));
    assert_eq!(
        code(Some("lease-0"), "bob").as_deref(),
        Some("holder-approval")
    );
    assert_eq!(code(Some("lease-1"), "bob"), None);
    assert_eq!(revoked("{}", None, "bob", &["bob"]), None);
}

#[test]
fn approvers_can_be_named() {
    let named = r#"{ "approvers": ["boss", { "like": "lead-*" }] }"#;
    let code = |approver| revoked(named, None, approver, &["bob"]);
    assert_eq!(code("boss"), None);
    assert_eq!(code("lead-web"), None);
    assert_eq!(code("bob").as_deref(), Some("not-approver"));
    assert_eq!(code(""), None);
}

#[test]
fn patterns_that_cannot_be_are_found_when_bound() {
    for duty in [
        r#"{ "ticket": { "like": "[A-Z" } }"#,
        r#"{ "ticket": "[A-Z]+" }"#,
        r#"{ "approvers": [{ "like": "+" }] }"#,
    ] {
        let config = read_config(&format!(r#"{{ "transfer": {duty} }}"#)).unwrap();
        assert!(SeparationOfDuties::check(&config).is_err(), "{duty}");
    }
    assert_eq!(SeparationOfDuties::check(&strict()), Ok(()));
}
