use std::sync::Arc;

use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FeatureLevel;
use leasehold_domain::LeaseId;
use leasehold_domain::LeasePolicies;
use leasehold_domain::Millis;
use leasehold_domain::PolicyVersion;
use leasehold_domain::RolloutChoice;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;
use proptest::prelude::*;

use super::*;

fn bytes(event: &Event) -> String {
    let mut body = Vec::new();
    write("raft \"1\"", event, &mut body);
    String::from_utf8(body).unwrap()
}

proptest! {
    #[test]
    fn every_event_comes_back(event in arbitrary::event()) {
        let body = bytes(&event);
        let back = parse(&body).map_err(|error| TestCaseError::fail(format!("{error}: {body}")))?;
        prop_assert_eq!(back, Recorded { backend: "raft \"1\"".into(), event });
    }

    #[test]
    fn it_is_one_line_of_json_without_floats(event in arbitrary::event()) {
        let body = bytes(&event);
        prop_assert!(!body.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        prop_assert!(value.is_object());
        prop_assert_eq!(&value["v"], 1);
        prop_assert!(integers_only(&value), "{}", body);
    }
}

fn integers_only(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => number.is_u64(),
        serde_json::Value::Array(values) => values.iter().all(integers_only),
        serde_json::Value::Object(values) => values.values().all(integers_only),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::String(_) => true,
    }
}

#[test]
fn the_format_is_pinned() {
    let lease = LeaseId::from_bytes([7; 16]);
    let event = Event {
        level: FeatureLevel::FIRST,
        cursor: Cursor(3),
        now: Millis(5),
        wall: WallMillis(1_700_000_000_123),
        kind: EventKind::Lock {
            lock: "demo/a/b".parse().unwrap(),
            cause: None,
            transitions: vec![Transition::Renewed {
                handle: lease.handle(),
                token: leasehold_domain::FencingToken(9),
                ttl_ms: 10,
            }],
        },
    };
    let body = bytes(&event);
    assert_eq!(
        body,
        format!(
            "{{\"v\":1,\"cursor\":3,\"backend\":\"raft \\\"1\\\"\",\
             \"time\":\"2023-11-14T22:13:20.123Z\",\"time_unix_ms\":1700000000123,\"now_ms\":5,\
             \"kind\":\"lock\",\"lock\":\"demo/a/b\",\"transitions\":[{{\"type\":\"renewed\",\
             \"handle\":\"{}\",\"token\":9,\"ttl_ms\":10}}]}}",
            lease.handle()
        )
    );
    assert!(!body.contains(&lease.reveal()));
    let later = Event {
        level: FeatureLevel(2),
        ..event
    };
    let expected = body.replace("\"now_ms\":5,", "\"now_ms\":5,\"feature_level\":2,");
    assert_eq!(bytes(&later), expected);
}

#[test]
fn other_bytes_are_refused() {
    let event = Event {
        level: FeatureLevel::FIRST,
        cursor: Cursor(1),
        now: Millis(1),
        wall: WallMillis(1),
        kind: EventKind::Lock {
            lock: "demo/a".parse().unwrap(),
            cause: None,
            transitions: vec![Transition::CoolingDown { remaining_ms: 1 }],
        },
    };
    let body = bytes(&event);
    assert!(parse(&body).is_ok());
    for (from, to) in [
        ("\"v\":1", "\"v\":2"),
        ("\"v\":1", "\"v\": 1"),
        ("\"v\":1", "\"v\":1,\"extra\":1"),
        ("\"now_ms\":1", "\"now_ms\":1,\"feature_level\":0"),
        ("\"now_ms\":1", "\"now_ms\":1,\"feature_level\":1"),
        ("1970-01-01", "1971-01-01"),
        ("cooling-down", "cooled-down"),
        ("demo/a", "demo/../a"),
    ] {
        assert!(
            parse(&body.replace(from, to)).is_err(),
            "{from} as {to} was accepted"
        );
    }
}

/// Bytes that a build wrote which knew neither rollouts nor policies of leases: the hash chain of its
/// ledger holds only if they stay as they are.
const EARLIER: &str = r#"{"v":1,"cursor":3,"backend":"home","time":"2023-11-14T22:13:20.123Z","time_unix_ms":1700000000123,"now_ms":5,"kind":"denied","lock":"demo/a","cause":{"request_id":"r","received_unix_ms":7,"principal":{"subject":"ann","team":"payments","roles":["auditor"],"claims":{"iss":"idp"}},"request":{"operation":"acquire","mode":"exclusive","ttl_ms":1000},"decision":{"id":"00000000000000000000000000000009","effect":{"type":"deny","kind":"denied","policy":"p","code":"no","message":"never"},"facts":{"now_unix_ms":7,"lock":{"lock":"demo/a","revision":2,"settings":{"limit":1,"cooldown_ms":0,"description":""},"holders":[{"handle":"07070707070707070707070707070707","owner":{"subject":"bob"},"mode":"exclusive","token":4,"since_unix_ms":6,"remaining_ms":10}],"queue":[],"cooldown_remaining_ms":0,"last_token":4,"stale_ms":0}},"verdicts":[{"binding":"b","policy":"p","version":"1.0.0","module":"0101010101010101010101010101010101010101010101010101010101010101","config":"0202020202020202020202020202020202020202020202020202020202020202","enforcement":"mandatory","answer":"deny","code":"no","message":"never","fuel":12}],"limits":{},"bindings_revision":8}}}"#;

#[test]
fn events_of_earlier_builds_keep_their_bytes() {
    let recorded = parse(EARLIER).unwrap();
    let mut again = Vec::new();
    write(&recorded.backend, &recorded.event, &mut again);
    assert_eq!(String::from_utf8(again).unwrap(), EARLIER);
}

#[test]
fn a_rollout_and_the_policies_of_a_lease_are_recorded() {
    let mut event = parse(EARLIER).unwrap().event;
    let EventKind::Denied(cause) = &mut event.kind else {
        panic!("{event:?}");
    };
    let cause = Arc::make_mut(cause);
    let decision = Arc::make_mut(cause.decision.as_mut().unwrap());
    let choice = |variant: Option<&str>| RolloutChoice {
        rollout: "p-2".into(),
        stage: "canary".into(),
        variant: variant.map(Into::into),
        bucket: variant.map(|_| 42_317),
        bucket_function: variant.map(|_| "mmh3-v1".into()),
        flag_share: variant.map(|_| 10_000),
    };
    decision.verdicts.push(decision.verdicts[0].clone());
    decision.verdicts[0].rollout = Some(Arc::new(choice(Some("candidate"))));
    decision.verdicts[1].rollout = Some(Arc::new(choice(None)));
    let version = |version: &str| PolicyVersion {
        policy: "p".into(),
        version: version.into(),
    };
    let policies = LeasePolicies {
        granted: vec![version("1.0.0"), version("2.0.0")],
        renewed: Some(vec![]),
    };
    decision.facts.lock.as_mut().unwrap().holders[0].policies = Some(Arc::new(policies));
    let body = bytes(&event);
    assert_eq!(parse(&body).unwrap().event, event);
    for part in [
        r#""fuel":12,"rollout":"p-2","stage":"canary","variant":"candidate","bucket":42317,"bucket_function":"mmh3-v1","flag_share":10000}"#,
        r#""fuel":12,"rollout":"p-2","stage":"canary"}"#,
        r#""remaining_ms":10,"policies":{"granted":[{"policy":"p","version":"1.0.0"},{"policy":"p","version":"2.0.0"}],"renewed":[]}}"#,
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    let half = body.replace(r#","stage":"canary"}"#, "}");
    assert!(parse(&half).is_err(), "a rollout without its stage");
}
