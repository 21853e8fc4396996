use super::*;

fn config(unclaimed: Unclaimed) -> Config {
    let claim = |locks: &str, teams: &[&str], subjects: &[&str]| Claim {
        locks: LockPattern::new(locks),
        teams: teams.iter().map(|team| (*team).to_owned()).collect(),
        subjects: subjects
            .iter()
            .map(|subject| (*subject).to_owned())
            .collect(),
    };
    Config {
        unclaimed,
        claims: vec![
            claim("payments/**", &["payments", "treasury"], &["auditor"]),
            claim("shared/**", &["*"], &[]),
            claim("shared/**", &["never-reached"], &[]),
            claim("sealed", &[], &[]),
        ],
    }
}

fn code(subject: &str, team: Option<&str>, lock: &str) -> Option<String> {
    let request = Request::new(Operation::Acquire, "demo", lock);
    let principal = Principal::new(subject, team);
    let config = config(Unclaimed::Deny);
    let verdict = Ownership::decide(&request, &principal, &Facts::default(), &config).unwrap();
    verdict.code().map(str::to_owned)
}

#[test]
fn owners_pass_and_others_do_not() {
    assert_eq!(code("a", Some("payments"), "payments/ledger/close"), None);
    assert_eq!(code("a", Some("treasury"), "payments"), None);
    assert_eq!(
        code("a", Some("search"), "payments/x").as_deref(),
        Some("not-owner")
    );
    assert_eq!(code("a", None, "payments/x").as_deref(), Some("not-owner"));
}

#[test]
fn a_single_principal_can_own() {
    assert_eq!(code("auditor", None, "payments/x"), None);
    assert_eq!(
        code("auditors", None, "payments/x").as_deref(),
        Some("not-owner")
    );
}

#[test]
fn a_star_is_every_team_but_not_a_principal_without_one() {
    assert_eq!(code("a", Some("search"), "shared/x"), None);
    assert_eq!(code("a", None, "shared/x").as_deref(), Some("not-owner"));
}

#[test]
fn a_claim_without_owners_seals_the_lock() {
    assert_eq!(
        code("a", Some("payments"), "sealed").as_deref(),
        Some("not-owner")
    );
}

#[test]
fn the_default_for_unclaimed_locks_is_the_configurations() {
    assert_eq!(
        code("a", Some("payments"), "other").as_deref(),
        Some("unclaimed")
    );
    let request = Request::new(Operation::Acquire, "demo", "other");
    let open = config(Unclaimed::Allow);
    let verdict = Ownership::decide(
        &request,
        &Principal::new("a", None),
        &Facts::default(),
        &open,
    )
    .unwrap();
    assert_eq!(verdict, Verdict::allow());
}

#[test]
fn bad_patterns_are_found_when_bound() {
    let mut bad = config(Unclaimed::Deny);
    assert_eq!(Ownership::check(&bad), Ok(()));
    bad.claims[0].locks = LockPattern::new("payments/**x");
    assert!(Ownership::check(&bad).unwrap_err().contains("payments/**x"));
}
