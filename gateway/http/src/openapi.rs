//! `OpenAPI` 3.1, generated from the handlers and the wire types.

mod constraints;
mod names;
mod operations;
mod patterns;
mod relations;

use std::sync::OnceLock;

use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use utoipa::Modify;
use utoipa::OpenApi;
use utoipa::openapi::security::Http;
use utoipa::openapi::security::HttpAuthScheme;
use utoipa::openapi::security::SecurityScheme;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Leasehold",
        description = "Policy-governed locks: take, renew, release, revoke, transfer, watch.",
        license(name = "Apache-2.0")
    ),
    paths(
        super::lease::acquire,
        super::lease::renew,
        super::lease::release,
        super::lease::revoke,
        super::lease::transfer,
        super::lease::validate,
        super::locks::get,
        super::locks::declare,
        super::locks::list,
        super::locks::renew_many,
        super::locks::acquire_many,
        super::watch::namespace,
        super::watch::lock,
        super::namespaces::create_namespace,
        super::namespaces::put_namespace,
        super::namespaces::list_namespaces,
        super::namespaces::get_namespace,
        super::namespaces::delete_namespace,
        super::namespaces::history::list,
        super::namespaces::history::get,
        super::namespaces::verbs::move_namespace,
        super::namespaces::verbs::restore,
        super::keys::create_key,
        super::keys::list_keys,
        super::keys::revoke_key,
        super::keys::rotate_key,
        super::policies::push,
        super::policies::list,
        super::policies::get,
        super::policies::delete,
        super::policies::verbs::deprecate,
        super::policies::verbs::withdraw,
        super::policies::verbs::kill,
        super::policies::verbs::revive,
        super::policies::verbs::restore,
        super::policy_trust::get,
        super::policy_trust::require,
        super::policy_trust::add,
        super::policy_trust::verbs::revoke,
        super::bindings::create,
        super::bindings::put,
        super::bindings::list,
        super::bindings::get,
        super::bindings::delete,
        super::bindings::preview::preview,
        super::bindings::history::list,
        super::bindings::history::get,
        super::bindings::history::verbs::restore,
        super::replay::replay,
        super::resolve::resolve,
        super::rollouts::start,
        super::rollouts::list,
        super::rollouts::get,
        super::rollouts::delete,
        super::rollouts::verbs::edit,
        super::rollouts::verbs::request_approval,
        super::rollouts::verbs::advance,
        super::rollouts::verbs::hold,
        super::rollouts::verbs::resume,
        super::rollouts::verbs::rollback,
        super::approvals::get_rule,
        super::approvals::put_rule,
        super::approvals::list,
        super::approvals::get,
        super::approvals::verbs::approve,
        super::approvals::verbs::withdraw,
        super::reviews::list,
        super::reviews::get,
        super::reviews::close,
        super::cluster::status,
        super::cluster::init,
        super::cluster::join,
        super::cluster::leave,
        super::cluster::replace,
        super::cluster::transfer_leader,
        super::cluster::raise_level,
        super::cluster::forget_gateway,
        super::incidents::list,
        super::incidents::get,
        super::incidents::acknowledge,
        super::backup::take,
        super::audit::events,
        super::audit::holders,
        super::audit::verify,
        super::audit::evidence::log_key,
        super::audit::evidence::checkpoint,
        super::audit::evidence::proof,
        super::audit::evidence::consistency,
        super::audit::evidence::export,
        super::health::healthz,
        super::health::readyz,
        super::health::metrics,
    ),
    components(schemas(leasehold_wire::v1::watch::Resync)),
    security(("key" = [])),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("key", scheme);
    }
}

/// The document, as it is served and as it is committed beside the wire types.
///
/// # Errors
/// It cannot be written as JSON.
pub fn document() -> Result<String, serde_json::Error> {
    let mut document = serde_json::to_value(Document::openapi())?;
    names::write(&mut document);
    constraints::write(&mut document);
    relations::write(&mut document);
    operations::write(&mut document);
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// `GET /openapi.json`.
pub(crate) async fn serve() -> Response {
    // The same for all callers, who need no key: it is made once.
    static MADE: OnceLock<Bytes> = OnceLock::new();
    let made = match MADE.get() {
        Some(made) => Ok(made.clone()),
        None => document().map(|json| MADE.get_or_init(|| Bytes::from(json)).clone()),
    };
    match made {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => {
            let failure = leasehold_core::failure::Failure::internal(error.to_string());
            super::problem::respond(failure, &super::extract::draw_request_id())
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    /// The document is the same allocation in each answer: asking for it, which needs no key, costs
    /// no generation.
    #[tokio::test]
    async fn the_document_is_generated_once() {
        let serve = async || {
            let body = super::serve().await.into_body().collect().await;
            body.unwrap().to_bytes()
        };
        let (first, second) = (serve().await, serve().await);
        assert!(first.len() > 10_000, "{} bytes", first.len());
        assert_eq!(first.as_ptr(), second.as_ptr());
    }

    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk/wire/openapi.json");

    /// The committed document is the generated one. `LEASEHOLD_UPDATE=1` rewrites it.
    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own switch, not configuration"
    )]
    fn the_committed_document_is_the_generated_one() {
        let generated = super::document().unwrap();
        assert!(generated.contains("\"openapi\": \"3.1"), "{generated}");
        if std::env::var("LEASEHOLD_UPDATE").is_ok() {
            std::fs::write(COMMITTED, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        let same = committed == generated;
        assert!(
            same,
            "sdk/wire/openapi.json has drifted; run this test with LEASEHOLD_UPDATE=1"
        );
    }
}
