use std::collections::BTreeMap;

use leasehold_domain::Principal;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_domain::StoreName;

use super::*;
use crate::governance::document::DefaultDecision;
use crate::governance::document::NamespaceCaps;
use crate::governance::document::Travels;

fn namespace(team: Option<&str>, visibility: Visibility) -> NamespaceDocument {
    NamespaceDocument {
        name: "a".parse().unwrap(),
        team: team.map(|team| team.parse().unwrap()),
        visibility,
        description: String::new(),
        default_decision: DefaultDecision::Deny,
        store: StoreName::home(),
        caps: NamespaceCaps::default(),
        travels: Travels::default(),
    }
}

fn of(team: Option<&str>, roles: &[Role]) -> Caller {
    let principal = Principal {
        subject: "svc".parse().unwrap(),
        team: team.map(|team| team.parse().unwrap()),
        roles: RoleSet::from_iter(roles.iter().copied()),
        claims: BTreeMap::new(),
    };
    Caller {
        principal: Arc::new(principal),
        scope: None,
        request_id: "r".parse().unwrap(),
    }
}

#[test]
fn a_namespace_is_seen_by_its_team_and_by_those_it_is_shown_to() {
    let shown = |teams: &[&str]| {
        let teams = teams.iter().map(|team| team.parse().unwrap());
        Visibility::Teams(teams.collect())
    };
    for (owner, visibility, a, b, without) in [
        (Some("a"), Visibility::Team, true, false, false),
        (Some("a"), Visibility::Everyone, true, true, true),
        (Some("a"), shown(&["b"]), true, true, false),
        (Some("a"), shown(&["c"]), true, false, false),
        (None, Visibility::Team, true, true, true),
        (None, Visibility::Everyone, true, true, true),
        (None, shown(&["a"]), true, false, false),
    ] {
        let namespace = namespace(owner, visibility);
        assert_eq!(sees(&of(Some("a"), &[]), &namespace), a, "{namespace:?}");
        assert_eq!(sees(&of(Some("b"), &[]), &namespace), b, "{namespace:?}");
        assert_eq!(sees(&of(None, &[]), &namespace), without, "{namespace:?}");
    }
}

#[test]
fn those_who_look_after_the_platform_see_all_namespaces() {
    let hidden = namespace(Some("a"), Visibility::Team);
    for (role, expected) in [
        (Role::Administrator, true),
        (Role::Operator, true),
        (Role::Auditor, true),
        (Role::PolicyAuthor, false),
        (Role::BreakGlass, false),
    ] {
        assert_eq!(sees(&of(Some("b"), &[role]), &hidden), expected, "{role:?}");
    }
}

#[test]
fn a_key_with_a_scope_sees_what_it_covers_and_no_more() {
    let own = namespace(Some("a"), Visibility::Team);
    let scoped = |namespaces: &[&str], teams: &[&str], roles: &[Role]| Caller {
        scope: Some(Arc::new(KeyScope {
            namespaces: namespaces
                .iter()
                .map(|name| name.parse().unwrap())
                .collect(),
            teams: teams.iter().map(|team| team.parse().unwrap()).collect(),
        })),
        ..of(Some("a"), roles)
    };
    assert!(sees(&scoped(&["a"], &[], &[]), &own));
    assert!(sees(&scoped(&[], &["a"], &[]), &own));
    assert!(
        !sees(&scoped(&["b"], &["b"], &[]), &own),
        "its team's, and not covered"
    );
    let operator = &[Role::Operator];
    assert!(
        !sees(&scoped(&["b"], &[], operator), &own),
        "a role counts in the scope only"
    );
    let others = namespace(Some("c"), Visibility::Team);
    assert!(sees(&scoped(&[], &["c"], operator), &others));
    assert!(
        !sees(&scoped(&[], &["c"], &[]), &others),
        "a scope gives nothing"
    );
}
