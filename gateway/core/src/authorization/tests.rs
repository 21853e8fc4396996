use std::collections::BTreeMap;

use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_domain::StoreName;

use super::*;
use crate::governance::document::DefaultDecision;
use crate::governance::document::Travels;

fn namespace(team: Option<&str>, visibility: Visibility) -> NamespaceDocument {
    NamespaceDocument {
        name: "a".parse().unwrap(),
        team: team.map(|team| team.parse().unwrap()),
        visibility,
        description: String::new(),
        default_decision: DefaultDecision::Deny,
        store: StoreName::home(),
        travels: Travels::default(),
    }
}

fn of(team: Option<&str>, roles: &[Role]) -> Principal {
    Principal {
        subject: "svc".parse().unwrap(),
        team: team.map(|team| team.parse().unwrap()),
        roles: RoleSet::from_iter(roles.iter().copied()),
        claims: BTreeMap::new(),
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
