//! The whole gateway in this process, on a store in memory.

mod backups;
mod denials;
mod revocation;
mod subjects;
mod verbatim;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::Response;
use http_body_util::BodyExt;
use leasehold_core::authentication::NewKey;
use leasehold_core::caller::Caller;
use leasehold_core::config::Config;
use leasehold_core::governance::document::DefaultDecision;
use leasehold_core::governance::document::NamespaceDraft;
use leasehold_core::governance::document::Visibility;
use leasehold_domain::Precondition;
use leasehold_domain::Role;
use leasehold_domain::RoleSet;
use leasehold_http::router;
use serde_json::Value;
use serde_json::json;
use tower::ServiceExt;

use crate::app::Running;

/// A gateway with the namespace `demo`, and keys of somebody with all roles and somebody without.
struct Gateway {
    running: Running,
    router: Router,
    admin: String,
    service: NewKey,
    _folder: tempfile::TempDir,
}

impl Gateway {
    async fn open() -> Self {
        Self::open_on("memory").await
    }

    /// On a store of this kind.
    async fn open_on(backend: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[storage]\nbackend = {backend:?}\n[policy]\ninstances_max = 4\n");
        let mut config = Config::parse(&text).unwrap();
        config.storage.data_dir = folder.path().to_owned();
        config.check().unwrap();
        let running = crate::app::open(Arc::new(config)).await.unwrap();
        let governance = &running.app.governance;
        let caller = Caller::gateway("test").unwrap();
        let draw = |who: &str, roles| NewKey::draw(who.parse().unwrap(), None, roles, "", "");
        let admin = draw("root", RoleSet::from_iter(Role::ALL));
        let service = draw("svc", RoleSet::default());
        for key in [&admin, &service] {
            governance.put_key(&caller, &key.document).await.unwrap();
        }
        let demo = NamespaceDraft {
            name: "demo".parse().unwrap(),
            team: None,
            visibility: Visibility::default(),
            description: String::new(),
            default_decision: DefaultDecision::Allow,
            store: None,
            caps: None,
        };
        let made = governance.put_namespace(&caller, &demo, Precondition::Absent);
        made.await.unwrap();
        Self {
            router: router(&running.app),
            running,
            admin: admin.reveal(),
            service,
            _folder: folder,
        }
    }

    async fn send(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Response {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {key}"));
        let request = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let answered = self.router.clone().oneshot(request.unwrap());
        answered.await.unwrap()
    }

    /// Status and text of an answer.
    async fn ask(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, String) {
        let response = self.send(key, method, path, body).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Events of the ledger that match a query.
    async fn events(&self, query: &str) -> Vec<Value> {
        let path = format!("/v1/audit/events?limit=1000&{query}");
        let (status, text) = self.ask(&self.admin, "GET", &path, None).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let list: Value = serde_json::from_str(&text).unwrap();
        let events = list["events"].as_array().unwrap().iter();
        events.map(|event| event["event"].clone()).collect()
    }
}
