//! Administrative requests that are denied are in the ledger.

use super::*;

#[tokio::test]
async fn every_administrative_denial_is_in_the_ledger_once_it_is_answered() {
    let gateway = Gateway::open().await;
    let key = json!({ "subject": "eve", "roles": ["administrator"] });
    let namespace = json!({ "name": "x", "default_decision": "allow" });
    let binding = json!({ "name": "b", "namespaces": ["*"],
        "policies": [{ "policy": "p", "version": "1.0.0" }] });
    let requests = [
        ("POST", "/v1/keys", Some(key)),
        ("GET", "/v1/keys", None),
        ("DELETE", "/v1/keys/abc", None),
        ("POST", "/v1/namespaces", Some(namespace)),
        ("DELETE", "/v1/namespaces/demo", None),
        (
            "POST",
            "/v1/namespaces/demo:move",
            Some(json!({ "to": "home" })),
        ),
        ("POST", "/v1/bindings", Some(binding.clone())),
        ("PUT", "/v1/bindings/b", Some(binding)),
        ("GET", "/v1/bindings", None),
        ("GET", "/v1/bindings/b", None),
        ("DELETE", "/v1/bindings/b", None),
        ("PUT", "/v1/policies/p/versions/1.0.0", None),
        ("GET", "/v1/backup", None),
        ("GET", "/v1/cluster", None),
        ("POST", "/v1/cluster:init", None),
        ("GET", "/v1/audit/events", None),
        ("GET", "/v1/audit/holders?lock=demo/a", None),
        ("GET", "/v1/audit/verify", None),
        ("GET", "/v1/audit/log-key", None),
        ("GET", "/v1/audit/checkpoint", None),
        ("GET", "/v1/audit/proof?event=1", None),
        ("GET", "/v1/audit/consistency?from_size=1", None),
        ("GET", "/v1/audit/export", None),
        ("GET", "/v1/incidents", None),
        ("GET", "/v1/incidents/i", None),
    ];
    let service = gateway.service.reveal();
    for (method, path, body) in requests {
        let (status, text) = gateway.ask(&service, method, path, body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}: {text}");
        let denied = gateway.events("verdict=deny&subject=svc").await;
        let last = denied.last().unwrap_or_else(|| panic!("{method} {path}"));
        let plain = path.split('?').next().unwrap();
        let summary = last["summary"].as_str().unwrap();
        assert!(
            summary.starts_with(&format!("denied: {method} {plain}: ")),
            "{method} {path}: {last}"
        );
    }
    let by_kind = gateway.events("verdict=role").await;
    assert_eq!(by_kind, gateway.events("verdict=deny").await);
}

#[tokio::test]
async fn whoever_is_denied_often_does_not_fill_the_ledger() {
    let gateway = Gateway::open().await;
    let service = gateway.service.reveal();
    let most = leasehold_domain::limits::ADMIN_DENIALS_PER_WINDOW_MAX as usize;
    for count in 0..5 * most {
        let path = format!("/v1/bindings/b{count}");
        let (status, text) = gateway.ask(&service, "DELETE", &path, None).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{text}");
    }
    assert_eq!(gateway.events("verdict=deny").await.len(), most);
    // Another route, and another caller, have their own.
    gateway.ask(&service, "GET", "/v1/backup", None).await;
    assert_eq!(gateway.events("verdict=deny").await.len(), most + 1);
    // What was counted is not lost.
    gateway.running.app.denials.flush().await;
    let events = gateway.events("verdict=deny").await;
    assert_eq!(events.len(), most + 2);
    let summary = events[most + 1]["summary"].as_str().unwrap();
    let counted = 4 * most;
    assert!(
        summary.starts_with(&format!("{counted} more ")),
        "{summary}"
    );
}
