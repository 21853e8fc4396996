use leasehold_policy_sdk::Pairs;
use leasehold_policy_sdk::TextPattern;

use super::*;

fn strict() -> Config {
    let duty = || Duty {
        teams: vec!["sre".to_owned()],
        roles: vec!["operator".to_owned()],
        subjects: vec!["duty-phone".to_owned()],
        require_reason: true,
        ticket: Some(TextPattern::new("INC-####*")),
        require_approval: true,
    };
    Config {
        revoke: duty(),
        transfer: duty(),
    }
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
