//! A token's claims, as a principal.

use leasehold_domain::InvalidName;
use leasehold_domain::Principal;
use leasehold_domain::RoleName;
use leasehold_domain::RoleSet;
use leasehold_domain::Subject;
use leasehold_domain::limits::CLAIM_VALUE_BYTES_MAX;
use leasehold_domain::limits::CLAIMS_MAX;
use leasehold_domain::limits::ROLES_PER_TOKEN_MAX;
use serde_json::Map;
use serde_json::Value;

use super::AuthFailure;
use crate::config::Jwt;

/// Claims that are about the token, not about who shows it.
const ABOUT_THE_TOKEN: [&str; 7] = ["iss", "aud", "exp", "nbf", "iat", "jti", "auth_time"];

/// Whom these claims stand for. A subject, team or role that is no valid name is refused, and so are
/// more roles than can be kept: guessing at an identity is worse than none.
pub(super) fn principal(
    settings: &Jwt,
    claims: &Map<String, Value>,
) -> Result<Principal, AuthFailure> {
    let invalid = |_: InvalidName| AuthFailure::Invalid;
    let subject = find(claims, &settings.subject_claim).and_then(Value::as_str);
    let subject = Subject::of_caller(subject.ok_or(AuthFailure::Invalid)?).map_err(invalid)?;
    let team = match find(claims, &settings.team_claim) {
        None | Some(Value::Null) => None,
        Some(Value::String(team)) => Some(team.parse().map_err(invalid)?),
        Some(_) => return Err(AuthFailure::Invalid),
    };
    let roles = roles(find(claims, &settings.roles_claim))?;
    let further = claims
        .iter()
        .filter(|(name, _)| !ABOUT_THE_TOKEN.contains(&name.as_str()));
    let claims = further
        .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
        .filter(|(name, text)| name.len().max(text.len()) <= CLAIM_VALUE_BYTES_MAX)
        .take(CLAIMS_MAX)
        .collect();
    Ok(Principal {
        subject,
        team,
        roles,
        claims,
    })
}

/// The claim of that name, or at that path (`realm_access.roles`).
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        rest.split('.')
            .try_fold(claims.get(first)?, |value, part| value.get(part))
    })
}

/// A list of names, or one text with spaces between them. Names that the gateway does not know are
/// for policies.
fn roles(value: Option<&Value>) -> Result<RoleSet, AuthFailure> {
    let names: Vec<Option<&str>> = match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
        Some(Value::String(text)) => text.split_whitespace().map(Some).collect(),
        Some(_) => return Err(AuthFailure::Invalid),
    };
    if names.len() > ROLES_PER_TOKEN_MAX {
        return Err(AuthFailure::Invalid);
    }
    let role = |name: Option<&str>| RoleName::of_caller(name?).ok();
    let roles: Option<RoleSet> = names.into_iter().map(role).collect();
    roles.ok_or(AuthFailure::Invalid)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
