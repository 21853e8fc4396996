//! Which methods a path with a verb takes.
//!
//! The router sees one route for a resource and all its verbs, such as `…/locks/a` and
//! `…/locks/a:acquire`, and would let each take the methods of all.

use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::header;
use axum::response::Response;
use leasehold_domain::RequestId;
use leasehold_wire::v1::error::ErrorCode;
use leasehold_wire::v1::paths;

use super::percent::decode;
use super::problem;
use super::problem::Refusal;

/// The namespace in a path, decoded, and the verb at its end.
pub(super) fn namespace_and_verb(path: &str) -> (Option<String>, Option<&str>) {
    let rest = path.strip_prefix("/v1/namespaces/");
    let namespace = rest.and_then(|rest| rest.split(['/', ':']).next());
    let verb = path.rsplit_once(':').map(|(_, verb)| verb);
    (namespace.and_then(|text| decode(text).ok()), verb)
}

/// The methods of a path on a route with verbs; `None` for other routes, and for unknown verbs,
/// which are not found.
pub(super) fn allowed(route: &str, path: &str) -> Option<&'static str> {
    let last = path.rsplit('/').next().unwrap_or(path);
    let verb = last.rsplit_once(':').map(|(_, verb)| verb);
    match (route, verb) {
        (paths::LOCK, None) => Some("GET,HEAD,PUT"),
        (paths::LOCK, Some("watch")) => Some("GET,HEAD"),
        (
            paths::LOCK,
            Some("acquire" | "renew" | "release" | "revoke" | "transfer" | "validate"),
        ) => Some("POST"),
        (paths::NAMESPACE, None) => Some("GET,HEAD,PUT,DELETE"),
        (paths::NAMESPACE, Some("move" | "restore")) => Some("POST"),
        (paths::KEY, None) => Some("DELETE"),
        (paths::KEY, Some("rotate")) => Some("POST"),
        (paths::BINDING, None) => Some("GET,HEAD,PUT,DELETE"),
        (paths::BINDING, Some("restore")) => Some("POST"),
        (paths::ROLLOUT, None) => Some("GET,HEAD,DELETE"),
        (
            paths::ROLLOUT,
            Some("advance" | "edit" | "hold" | "request-approval" | "resume" | "rollback"),
        ) => Some("POST"),
        (paths::APPROVAL | paths::REVIEW, None) => Some("GET,HEAD"),
        (paths::APPROVAL, Some("approve" | "withdraw")) | (paths::REVIEW, Some("close")) => {
            Some("POST")
        }
        (paths::POLICY_VERSION, None) => Some("GET,HEAD,PUT,DELETE"),
        (paths::POLICY_VERSION, Some("deprecate" | "withdraw" | "restore" | "kill" | "revive"))
        | (paths::POLICY_TRUST_KEY, Some("revoke")) => Some("POST"),
        (paths::INCIDENT, None) => Some("GET,HEAD"),
        (paths::INCIDENT, Some("acknowledge")) => Some("POST"),
        _ => None,
    }
}

/// Whether a request with this method may go on.
pub(super) fn takes(route: &str, path: &str, method: &Method) -> bool {
    let Some(allowed) = allowed(route, path) else {
        return true;
    };
    // A POST without a verb is answered by the handler, which names the verbs.
    let without_verb = route == paths::LOCK && method == Method::POST && allowed != "GET,HEAD";
    without_verb || allowed.split(',').any(|name| name == method.as_str())
}

/// The answer to a request with another method.
pub(super) fn refuse(route: &str, path: &str, request_id: &RequestId) -> Response {
    let allowed = allowed(route, path).unwrap_or_default();
    let message = format!("this path takes {}", allowed.replace(',', ", "));
    let failure = Refusal::new(ErrorCode::MethodNotAllowed, message);
    let mut response = problem::respond(failure, request_id);
    let value = HeaderValue::from_static(allowed);
    response.headers_mut().insert(header::ALLOW, value);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_has_its_methods() {
        let locks = "/v1/namespaces/demo/locks";
        for (route, path, method, expected) in [
            (paths::LOCK, format!("{locks}/a/b"), Method::GET, true),
            (paths::LOCK, format!("{locks}/a/b"), Method::PUT, true),
            (paths::LOCK, format!("{locks}/a/b"), Method::POST, true),
            (paths::LOCK, format!("{locks}/a/b"), Method::DELETE, false),
            (
                paths::LOCK,
                format!("{locks}/a:acquire"),
                Method::POST,
                true,
            ),
            (
                paths::LOCK,
                format!("{locks}/a:acquire"),
                Method::GET,
                false,
            ),
            (
                paths::LOCK,
                format!("{locks}/a:acquire"),
                Method::OPTIONS,
                false,
            ),
            (paths::LOCK, format!("{locks}/a:watch"), Method::GET, true),
            (paths::LOCK, format!("{locks}/a:watch"), Method::POST, false),
            (paths::LOCK, format!("{locks}/a:steal"), Method::POST, true),
            (
                paths::NAMESPACE,
                "/v1/namespaces/demo".to_owned(),
                Method::POST,
                false,
            ),
            (
                paths::NAMESPACE,
                "/v1/namespaces/demo:move".to_owned(),
                Method::POST,
                true,
            ),
            (
                paths::NAMESPACE,
                "/v1/namespaces/demo:move".to_owned(),
                Method::DELETE,
                false,
            ),
            (
                paths::INCIDENT,
                "/v1/incidents/1".to_owned(),
                Method::POST,
                false,
            ),
            (paths::KEYS, "/v1/keys".to_owned(), Method::POST, true),
        ] {
            assert_eq!(takes(route, &path, &method), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_key_is_deleted_and_its_verb_is_posted() {
        let takes = |path: &str, method: &Method| takes(paths::KEY, path, method);
        assert!(takes("/v1/keys/a", &Method::DELETE));
        assert!(!takes("/v1/keys/a", &Method::POST));
        assert!(takes("/v1/keys/a:rotate", &Method::POST));
        assert!(!takes("/v1/keys/a:rotate", &Method::DELETE));
    }
}
