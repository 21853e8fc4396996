//! Pushed, bound and promoted with and without signatures, in one process.

mod marks;

use std::sync::LazyLock;
use std::time::Duration;

use leasehold_domain::Digest;
use leasehold_domain::ManualClock;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::POLICY_SIGNATURES_MAX;
use leasehold_policy_guests::Guest;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::governance::PolicyMark;
use crate::governance::RolloutAction;
use crate::governance::RolloutDraft;
use crate::governance::RolloutReason;
use crate::governance::document::DefaultDecision;
use crate::governance::document::Guardrails;
use crate::governance::document::RolloutStage;
use crate::governance::document::RolloutStep;
use crate::governance::document::RolloutTargets;
use crate::governance::document::RolloutUnit;
use crate::governance::document::TrustDocument;
use crate::pipeline::fixture::Gate;
use crate::pipeline::fixture::caller;
use crate::signing::EncodedSignature;
use crate::signing::SigningKey;
use crate::signing::Statement;

const NOW_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 86_400_000;

fn guest(version: &str) -> Guest {
    Guest {
        name: "p".to_owned(),
        version: version.to_owned(),
        ..Guest::default()
    }
}

/// What may be stated truly of a version of `p`.
fn statement(version: &str) -> Statement {
    let schema: Value = serde_json::from_str(&guest(version).schema).unwrap();
    Statement {
        policy: "p".to_owned(),
        version: version.to_owned(),
        module: Digest::of(&guest(version).wasm()),
        schema: leasehold_policy_host::schema_digest(&schema),
        source: None,
        not_before: None,
        not_after: None,
    }
}

fn until(version: &str, at_ms: u64) -> Statement {
    Statement {
        not_after: Some(WallMillis(at_ms)),
        ..statement(version)
    }
}

fn sign(key: &SigningKey, statement: &Statement) -> PolicySignature {
    PolicySignature::sign(statement, key).unwrap()
}

/// A gateway that trusts keys `a` and `b` and requires signatures, with a clock that stands at
/// [`NOW_MS`].
struct Desk {
    gate: Gate,
    clock: Arc<ManualClock>,
    keys: [SigningKey; 2],
}

impl Desk {
    async fn new(required: u32) -> Self {
        let clock = Arc::new(ManualClock::new(WallMillis(NOW_MS)));
        let gate = Gate::open_at(clock.clone()).await;
        gate.namespace("demo", DefaultDecision::Allow).await;
        gate.namespace("other", DefaultDecision::Allow).await;
        let keys = [SigningKey::draw(), SigningKey::draw()];
        let desk = Self { gate, clock, keys };
        for (key, name) in desk.keys.iter().zip(["a", "b"]) {
            let pem = key.public().unwrap().pem().unwrap();
            let trusted = desk.governance().trust_key(ops(), name, &pem, None);
            trusted.await.unwrap();
        }
        desk.require(required).await.unwrap();
        desk
    }

    fn governance(&self) -> &Governance {
        &self.gate.governance
    }

    async fn require(&self, required: u32) -> Result<Stored<TrustDocument>, Failure> {
        let governance = self.governance();
        governance
            .require_signatures(ops(), required, "SEC-1", None)
            .await
    }

    async fn revoke(&self, key: usize, force: bool) -> Result<Stored<TrustDocument>, Failure> {
        let id = self.keys[key].public().unwrap().id().to_string();
        let governance = self.governance();
        governance
            .revoke_trusted_key(ops(), &id, "SEC-2", force)
            .await
    }

    async fn push(
        &self,
        version: &str,
        signatures: Vec<PolicySignature>,
    ) -> Result<Pushed, Failure> {
        let push = Push {
            signatures,
            ..Push::of(guest(version).wasm())
        };
        self.governance().push_policy(ops(), push).await
    }

    async fn mark(&self, version: &str, mark: PolicyMark) -> Result<(), Failure> {
        let governance = self.governance();
        let marked = governance.mark_version(ops(), ("p", version), mark, "INC-7");
        marked.await.map(drop)
    }

    async fn bind(&self, version: &str) -> Result<Vec<String>, Failure> {
        self.gate.bind(binding(version)).await.map(|w| w.warnings)
    }
}

fn ops() -> &'static Caller {
    static OPS: LazyLock<Caller> = LazyLock::new(|| caller("ops", &[]));
    &OPS
}

fn binding(version: &str) -> Value {
    json!({ "namespaces": ["demo"], "policies": [{ "policy": "p", "version": version }] })
}

fn refused<T>(result: Result<T, Failure>, kind: FailureKind, parts: &[&str]) {
    let failure = result.err().expect("it is refused");
    assert_eq!(failure.kind, kind, "{failure:?}");
    for part in parts {
        assert!(failure.message.contains(part), "{part}: {failure:?}");
    }
}

const UNUSABLE: FailureKind = FailureKind::PolicyVersionUnusable;

#[tokio::test]
async fn a_version_needs_as_many_distinct_trusted_keys_as_are_required() {
    let desk = Desk::new(2).await;
    let [a, b] = &desk.keys;
    let stated = statement("1.0.0");
    let unsigned = desk.push("1.0.0", Vec::new()).await;
    refused(
        unsigned,
        UNUSABLE,
        &["p@1.0.0 cannot be pushed", "by 2 distinct trusted"],
    );
    let one = desk.push("1.0.0", vec![sign(a, &stated)]).await;
    refused(one, UNUSABLE, &["has 1, by a ("]);
    let twice = vec![sign(a, &stated), sign(a, &until("1.0.0", NOW_MS + DAY_MS))];
    refused(
        desk.push("1.0.0", twice).await,
        UNUSABLE,
        &["has 1, by a ("],
    );
    let stranger = SigningKey::draw();
    let strange = vec![sign(a, &stated), sign(&stranger, &stated)];
    refused(desk.push("1.0.0", strange).await, UNUSABLE, &["has 1"]);
    assert!(
        desk.governance()
            .version("p", "1.0.0")
            .await
            .unwrap()
            .is_none()
    );
    let all = vec![sign(a, &stated), sign(b, &stated), sign(&stranger, &stated)];
    let dry = Push {
        signatures: all.clone(),
        dry_run: true,
        ..Push::of(guest("1.0.0").wasm())
    };
    let would = desk.governance().push_policy(ops(), dry).await.unwrap();
    assert_eq!(would.stored.revision, 0);
    assert!(
        desk.governance()
            .version("p", "1.0.0")
            .await
            .unwrap()
            .is_none()
    );
    let pushed = desk.push("1.0.0", all).await.unwrap();
    assert_eq!(pushed.standing.signatures.len(), 2);
    let id = stranger.public().unwrap().id().short();
    assert_eq!(pushed.ignored, [format!("key {id} is not trusted")]);
    assert_eq!(desk.bind("1.0.0").await.unwrap(), [""; 0]);
    // Stock policies need none.
    let quota = json!({ "name": "q", "namespaces": ["demo"],
        "policies": [{ "policy": "quota", "version": "1.0.0" }] });
    desk.gate.bind(quota).await.unwrap();
}

#[tokio::test]
async fn signatures_of_something_else_are_refused() {
    let desk = Desk::new(1).await;
    let [a, b] = &desk.keys;
    let stated = statement("1.0.0");
    for (other, part) in [
        (
            Statement {
                policy: "q".to_owned(),
                ..stated.clone()
            },
            "policy: it is about q",
        ),
        (statement("1.0.1"), "version: it is about 1.0.1"),
        (
            Statement {
                module: Digest::of(b"other"),
                ..stated.clone()
            },
            "module-sha256: it is about",
        ),
        (
            Statement {
                schema: Digest::of(b"other"),
                ..stated.clone()
            },
            "schema-sha256: it is about",
        ),
    ] {
        let push = desk.push("1.0.0", vec![sign(a, &stated), sign(a, &other)]);
        refused(push.await, FailureKind::Invalid, &["signatures[1]", part]);
    }
    // The statement of one signature under another.
    let mut tampered = sign(a, &stated).encoded();
    tampered.statement = sign(a, &until("1.0.0", NOW_MS + DAY_MS))
        .encoded()
        .statement;
    // Another key's signature under its id.
    let forged = EncodedSignature {
        key: sign(a, &stated).encoded().key,
        ..sign(b, &stated).encoded()
    };
    for encoded in [tampered, forged] {
        let signature = PolicySignature::read(&encoded).unwrap();
        let push = desk.push("1.0.0", vec![signature]);
        let parts = ["signatures[0]", "(a) did not sign this statement"];
        refused(push.await, FailureKind::Invalid, &parts);
    }
}

#[tokio::test]
async fn the_time_of_statements_is_checked_at_push_bind_and_promotion() {
    let desk = Desk::new(1).await;
    let [a, _] = &desk.keys;
    let past = until("1.0.0", NOW_MS - 1_000);
    let expired = desk.push("1.0.0", vec![sign(a, &past)]).await;
    refused(expired, UNUSABLE, &["expired at 2027-01-15T07:59:59.000Z"]);
    let coming = Statement {
        not_before: Some(WallMillis(NOW_MS + DAY_MS)),
        ..statement("1.0.0")
    };
    let early = desk.push("1.0.0", vec![sign(a, &coming)]).await;
    refused(early, UNUSABLE, &["valid from 2027-01-16T08:00:00.000Z"]);
    let day = |version| sign(a, &until(version, NOW_MS + DAY_MS));
    desk.push("1.0.0", vec![day("1.0.0")]).await.unwrap();
    desk.push("2.0.0", vec![day("2.0.0")]).await.unwrap();
    desk.bind("1.0.0").await.unwrap();
    let rollout = draft();
    let governance = desk.governance();
    governance.start_rollout(ops(), &rollout).await.unwrap();
    desk.clock.advance(DAY_MS + 1);
    let (no_reason, advance) = (RolloutReason::default(), RolloutAction::Advance);
    let promoted = governance.change_rollout(ops(), "r", advance, no_reason, None);
    refused(promoted.await, UNUSABLE, &["p@2.0.0 cannot be promoted"]);
    let mut wider = binding("2.0.0");
    wider["name"] = json!("wider");
    let bound = desk.gate.bind(wider).await;
    refused(bound, UNUSABLE, &["p@2.0.0 cannot be bound"]);
    let pushed = desk.push("2.0.0", Vec::new()).await;
    refused(pushed, UNUSABLE, &["p@2.0.0 cannot be pushed"]);
    // Back is always a way.
    let back = RolloutAction::RollBack;
    let back = governance.change_rollout(ops(), "r", back, no_reason, None);
    back.await.unwrap();
    // Signed again it goes on.
    let again = sign(a, &until("2.0.0", NOW_MS + 9 * DAY_MS));
    desk.push("2.0.0", vec![again]).await.unwrap();
    governance.delete_rollout(ops(), "r").await.unwrap();
    governance.start_rollout(ops(), &rollout).await.unwrap();
    governance
        .change_rollout(ops(), "r", advance, no_reason, None)
        .await
        .unwrap();
}

fn draft() -> RolloutDraft {
    let step = |stage, share| RolloutStep {
        stage,
        share,
        least_ms: 0,
    };
    RolloutDraft {
        replay_report: None,
        name: "r".to_owned(),
        binding: "b".to_owned(),
        policy: "p".to_owned(),
        version: Some("2.0.0".to_owned()),
        config: None,
        flag: None,
        unit: RolloutUnit::Lock,
        targets: RolloutTargets::default(),
        steps: vec![step(RolloutStage::Shadow, 0), step(RolloutStage::Full, 0)],
        guardrails: Guardrails::default(),
        automatic: false,
    }
}

/// What judges goes on, whatever becomes of its signatures, and its binding can be changed.
#[tokio::test]
async fn an_expired_version_goes_on_where_it_is_bound_and_no_further() {
    let desk = Desk::new(1).await;
    let [a, _] = &desk.keys;
    let day = sign(a, &until("1.0.0", NOW_MS + DAY_MS));
    desk.push("1.0.0", vec![day]).await.unwrap();
    let mut wide = binding("1.0.0");
    wide["locks"] = json!(["a/**", "b/**"]);
    desk.gate.bind(wide.clone()).await.unwrap();
    assert!(desk.governance().unusable_versions().is_empty());
    desk.clock.advance(DAY_MS + 1);
    let alert = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            match desk.governance().unusable_versions().pop() {
                Some(alert) => return alert,
                None => tokio::task::yield_now().await,
            }
        }
    });
    let alert = alert.await.unwrap();
    assert_eq!((&*alert.policy, &*alert.version), ("p", "1.0.0"));
    assert_eq!(alert.problem.kind(), "expired");
    desk.gate.acquire(ops(), "demo/a/x", None).await.unwrap();
    // Narrower, and with another order.
    wide["locks"] = json!(["a/**"]);
    wide["order"] = json!(7);
    let warnings = desk.gate.bind(wide.clone()).await.unwrap().warnings;
    assert!(
        warnings[0].contains("signatures expired at"),
        "{warnings:?}"
    );
    let shown = desk.governance().version_warnings("p", "1.0.0");
    assert_eq!(shown, warnings);
    for (member, value) in [
        ("locks", json!(["a/**", "c/**"])),
        ("namespaces", json!(["demo", "other"])),
    ] {
        let mut further = wide.clone();
        further[member] = value;
        let bound = desk.gate.bind(further).await;
        refused(bound, UNUSABLE, &["p@1.0.0 cannot be bound"]);
    }
}

#[tokio::test]
async fn a_revoked_key_does_not_count_and_rotation_goes_without_a_gap() {
    let desk = Desk::new(1).await;
    let [a, b] = &desk.keys;
    let stated = statement("1.0.0");
    desk.push("1.0.0", vec![sign(a, &stated)]).await.unwrap();
    desk.bind("1.0.0").await.unwrap();
    // The new key signs the same bytes: that adds a signature and changes nothing else.
    let before = desk.governance().version("p", "1.0.0").await.unwrap();
    let pushed = desk.push("1.0.0", vec![sign(b, &stated)]).await.unwrap();
    assert_eq!(pushed.standing.signatures.len(), 2);
    let again = desk.push("1.0.0", vec![sign(b, &stated)]).await.unwrap();
    assert_eq!(again.standing.signatures.len(), 2);
    let after = desk.governance().version("p", "1.0.0").await.unwrap();
    assert_eq!(before.unwrap().revision, after.unwrap().revision);
    desk.revoke(0, false).await.unwrap();
    let standing = again.stored.document;
    let standing = desk.governance().standing(&standing).await.unwrap();
    let states = standing.signatures.iter().map(|s| s.state.as_str());
    assert_eq!(states.collect::<Vec<_>>(), ["key-revoked", "counts"]);
    desk.gate.unbind().await;
    desk.bind("1.0.0").await.unwrap();
    // By force no key is left.
    refused(
        desk.revoke(1, false).await,
        FailureKind::Conflict,
        &["no version could be"],
    );
    desk.revoke(1, true).await.unwrap();
    desk.gate.unbind().await;
    refused(desk.bind("1.0.0").await, UNUSABLE, &["(key-revoked)"]);
    let old = desk.push("2.0.0", vec![sign(a, &statement("2.0.0"))]).await;
    refused(old, UNUSABLE, &["has none that counts"]);
}

#[tokio::test]
async fn a_push_says_which_bindings_its_configuration_fits() {
    let desk = Desk::new(0).await;
    desk.push("1.0.0", Vec::new()).await.unwrap();
    let with = |name: &str, config: Value| {
        let mut binding = binding("1.0.0");
        binding["name"] = json!(name);
        binding["policies"][0]["config"] = config;
        binding
    };
    desk.gate.bind(with("empty", json!({}))).await.unwrap();
    desk.gate
        .bind(with("has", json!({ "max": 3 })))
        .await
        .unwrap();
    let strict = Guest {
        schema: json!({ "type": "object", "required": ["max"] }).to_string(),
        ..guest("2.0.0")
    };
    let governance = desk.governance();
    let pushed = governance.push_policy(ops(), Push::of(strict.wasm()));
    let pushed = pushed.await.unwrap();
    let fits: Vec<(&str, bool)> = pushed
        .bindings
        .iter()
        .map(|fit| (&*fit.binding, fit.problem.is_none()))
        .collect();
    assert_eq!(fits, [("empty", false), ("has", true)]);
    let problem = pushed.bindings[0].problem.as_deref().unwrap();
    assert!(problem.contains("max"), "{problem}");
    assert_eq!(pushed.more_bindings, 0);
}

#[tokio::test]
async fn signatures_that_can_never_count_again_make_room() {
    let desk = Desk::new(1).await;
    let [a, b] = &desk.keys;
    let at = |n: u64| until("1.0.0", NOW_MS + DAY_MS + n * 1_000);
    let many = (0..POLICY_SIGNATURES_MAX as u64).map(|n| sign(a, &at(n)));
    desk.push("1.0.0", many.collect()).await.unwrap();
    let full = desk.push("1.0.0", vec![sign(b, &at(0))]).await;
    refused(
        full,
        FailureKind::Conflict,
        &["has 16 signatures that count"],
    );
    desk.clock.advance(DAY_MS + 1);
    let pushed = desk.push("1.0.0", vec![sign(b, &at(9))]).await.unwrap();
    assert_eq!(pushed.standing.signatures.len(), POLICY_SIGNATURES_MAX);
}
