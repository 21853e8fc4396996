//! The query of a request: every parameter is known to its operation, or refused.

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use leasehold_core::failure::Failure;
use leasehold_wire::v1::paths;

use super::percent::decode;

/// Whether an operation takes a query.
fn has_options(route: &str, method: &Method) -> bool {
    match route {
        paths::CLUSTER
        | paths::LOCK
        | paths::LOCKS
        | paths::LOCKS_WATCH
        | paths::INCIDENTS
        | paths::BINDINGS_RESOLVE
        | paths::NAMESPACE_REVISIONS
        | paths::NAMESPACE_REVISION
        | paths::BINDING_REVISIONS
        | paths::BINDING_REVISION
        | paths::AUDIT_EVENTS
        | paths::AUDIT_HOLDERS
        | paths::AUDIT_VERIFY
        | paths::AUDIT_LOG_KEY
        | paths::AUDIT_CHECKPOINT
        | paths::AUDIT_PROOF
        | paths::AUDIT_CONSISTENCY
        | paths::AUDIT_EXPORT => [Method::GET, Method::HEAD].contains(method),
        paths::NAMESPACE | paths::KEY | paths::BINDING => *method == Method::DELETE,
        paths::POLICY_VERSION => *method == Method::PUT,
        _ => false,
    }
}

/// The parameters of a query, decoded.
///
/// # Errors
/// A name or a value is not UTF-8, or a `%` does not begin an encoded byte.
pub(super) fn parameters(query: &str) -> Result<Vec<(String, String)>, Failure> {
    let decoded = |text: &str| {
        decode(&text.replace('+', " "))
            .map_err(|_| Failure::invalid("the query is not percent-encoded UTF-8"))
    };
    let given = query.split('&').filter(|parameter| !parameter.is_empty());
    given
        .map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// Refuses a query of an operation that takes none.
///
/// # Errors
/// There is a query.
pub(super) fn check(parts: &Parts) -> Result<(), Failure> {
    let route = parts.extensions.get::<MatchedPath>();
    let query = parts.uri.query().unwrap_or_default();
    let first = query.split(['&', '=']).next().unwrap_or_default();
    match route {
        Some(route) if !query.is_empty() && !has_options(route.as_str(), &parts.method) => {
            Err(Failure::invalid(format!(
                "there is no parameter {first:?}: this operation takes no query"
            )))
        }
        _ => Ok(()),
    }
}
