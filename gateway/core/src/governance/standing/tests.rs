//! What a version's standing is, for each reason that it can have.

use leasehold_domain::Digest;
use serde_json::json;

use super::*;
use crate::governance::document::SignatureDocument;
use crate::governance::document::TrustedKeyDocument;
use crate::signing::SigningKey;

const NOW: WallMillis = WallMillis(1_800_000_000_000);
const DAY: u64 = 86_400_000;

fn version() -> PolicyDocument {
    PolicyDocument {
        policy: "quorum".to_owned(),
        version: "1.0.0".to_owned(),
        digest: Digest::of(b"module").to_string(),
        operations: vec!["acquire".to_owned()],
        needs_lock: false,
        needs_usage: false,
        config_schema: json!({ "type": "object" }),
        uploaded_by: "ada".to_owned(),
        uploaded_at: "2026-11-30T12:00:00.000Z".to_owned(),
        deleted_at: None,
    }
}

fn statement() -> Statement {
    Statement {
        policy: "quorum".to_owned(),
        version: "1.0.0".to_owned(),
        module: Digest::of(b"module"),
        schema: version().schema_digest(),
        source: None,
        not_before: None,
        not_after: None,
    }
}

fn until(at: u64) -> Statement {
    Statement {
        not_after: Some(WallMillis(at)),
        ..statement()
    }
}

fn signed(key: &SigningKey, statement: &Statement) -> SignatureDocument {
    let encoded = PolicySignature::sign(statement, key).unwrap().encoded();
    SignatureDocument {
        key: encoded.key,
        statement: encoded.statement,
        signature: encoded.signature,
        added_by: "ada".to_owned(),
        added_at: "2026-11-30T12:00:00.000Z".to_owned(),
    }
}

fn mark(reason: &str) -> MarkDocument {
    MarkDocument {
        by: "ada".to_owned(),
        at: "2026-11-30T12:00:00.000Z".to_owned(),
        reason: reason.to_owned(),
    }
}

/// Keys `a`, `b` and `c`, and a document that trusts them.
fn trust(required: u32) -> ([SigningKey; 3], TrustDocument) {
    let keys = [(); 3].map(|()| SigningKey::draw());
    let documents = keys.iter().zip(["a", "b", "c"]).map(|(key, name)| {
        let public = key.public().unwrap();
        TrustedKeyDocument {
            id: public.id().to_string(),
            name: name.to_owned(),
            public_key: public.pem().unwrap(),
            added_by: "ada".to_owned(),
            added_at: "2026-11-30T12:00:00.000Z".to_owned(),
            revoked: None,
        }
    });
    let keys_of_trust = documents.collect();
    let trust = TrustDocument {
        required,
        keys: keys_of_trust,
    };
    (keys, trust)
}

fn of(signatures: Vec<SignatureDocument>, trust: &TrustDocument) -> Standing {
    let document = StandingDocument {
        signatures,
        ..StandingDocument::default()
    };
    assess(&version(), &document, trust, NOW)
}

fn kind(standing: &Standing) -> Option<&'static str> {
    standing.problem.as_ref().map(StandingProblem::kind)
}

fn states(standing: &Standing) -> Vec<&'static str> {
    let states = standing.signatures.iter().map(|s| s.state.as_str());
    states.collect()
}

#[test]
fn without_a_requirement_an_unsigned_version_is_usable() {
    let (_, trust) = trust(0);
    let standing = of(Vec::new(), &trust);
    assert_eq!(kind(&standing), None);
    assert_eq!((standing.expires, standing.changes_at), (None, None));
}

#[test]
fn distinct_keys_count_and_one_key_counts_once() {
    let ([a, b, _], trust) = trust(2);
    let one = of(vec![signed(&a, &statement())], &trust);
    let problem = one.problem.unwrap().to_string();
    assert!(problem.contains("by 2 distinct trusted keys"), "{problem}");
    assert!(problem.contains("has 1, by a ("), "{problem}");
    let twice = vec![signed(&a, &statement()), signed(&a, &until(NOW.0 + DAY))];
    assert_eq!(kind(&of(twice, &trust)), Some("signatures"));
    let both = of(
        vec![signed(&a, &statement()), signed(&b, &statement())],
        &trust,
    );
    assert_eq!(kind(&both), None);
    assert_eq!(states(&both), ["counts", "counts"]);
}

#[test]
fn strangers_revoked_keys_and_other_statements_do_not_count() {
    let ([a, b, c], mut trust) = trust(1);
    trust.keys[1].revoked = Some(mark("leaked"));
    let other_name = Statement {
        policy: "quorun".to_owned(),
        ..statement()
    };
    let other_schema = Statement {
        schema: Digest::of(b"other"),
        ..statement()
    };
    let mut forged = signed(&a, &statement());
    forged.signature = signed(&c, &statement()).signature;
    let standing = of(
        vec![
            signed(&SigningKey::draw(), &statement()),
            signed(&b, &statement()),
            signed(&c, &other_name),
            signed(&c, &other_schema),
            forged,
        ],
        &trust,
    );
    assert_eq!(
        states(&standing),
        [
            "key-not-trusted",
            "key-revoked",
            "invalid",
            "invalid",
            "invalid"
        ]
    );
    let problem = standing.problem.unwrap().to_string();
    assert!(problem.contains("has none that counts"), "{problem}");
    for part in [
        "b (",
        "(key-revoked)",
        "(key-not-trusted)",
        "c (",
        "(invalid)",
    ] {
        assert!(problem.contains(part), "{part}: {problem}");
    }
}

#[test]
fn a_version_expires_with_the_last_signature_that_it_needs() {
    let ([a, b, c], trust) = trust(2);
    let (soon, late) = (NOW.0 + DAY, NOW.0 + 3 * DAY);
    let three = vec![
        signed(&a, &until(NOW.0 - 1_000)),
        signed(&b, &until(soon)),
        signed(&c, &until(late)),
    ];
    let standing = of(three.clone(), &trust);
    assert_eq!(kind(&standing), None);
    assert_eq!(states(&standing), ["expired", "counts", "counts"]);
    assert_eq!(standing.expires, Some(WallMillis(soon)));
    assert_eq!(standing.changes_at, Some(WallMillis(soon + 1)));
    let document = StandingDocument {
        signatures: three,
        ..StandingDocument::default()
    };
    // In force in its last moment, and not after it.
    let last = assess(&version(), &document, &trust, WallMillis(soon));
    assert_eq!(kind(&last), None);
    let over = assess(&version(), &document, &trust, WallMillis(soon + 1));
    let at = WallMillis(soon);
    assert_eq!(over.problem, Some(StandingProblem::Expired { at }));
    // Signing again makes it usable.
    let again = vec![signed(&a, &until(NOW.0 - 1_000)), signed(&a, &statement())];
    let again = [again, vec![signed(&b, &statement())]].concat();
    let standing = of(again, &trust);
    assert_eq!((kind(&standing), standing.expires), (None, None));
}

#[test]
fn a_version_is_not_usable_before_its_time() {
    let ([a, b, _], trust) = trust(2);
    let from = WallMillis(NOW.0 + DAY);
    let later = Statement {
        not_before: Some(from),
        ..statement()
    };
    let standing = of(vec![signed(&a, &later), signed(&b, &statement())], &trust);
    assert_eq!(
        standing.problem,
        Some(StandingProblem::NotYetValid { from })
    );
    assert_eq!(standing.changes_at, Some(from));
}

/// Where no signature is required, what signers stated still holds.
#[test]
fn a_signed_version_expires_also_where_none_is_required() {
    let ([a, b, _], mut trust) = trust(0);
    let standing = of(vec![signed(&a, &until(NOW.0 - 1_000))], &trust);
    assert_eq!(kind(&standing), Some("expired"));
    let standing = of(
        vec![
            signed(&a, &until(NOW.0 - 1_000)),
            signed(&b, &until(NOW.0 + DAY)),
        ],
        &trust,
    );
    assert_eq!(kind(&standing), None);
    // Revoking its key does not lift the limit.
    trust.keys[0].revoked = Some(mark("left"));
    let standing = of(vec![signed(&a, &until(NOW.0 - 1_000))], &trust);
    assert_eq!(kind(&standing), Some("expired"));
    let standing = of(vec![signed(&a, &until(NOW.0 + DAY))], &trust);
    assert_eq!(kind(&standing), None);
}

#[test]
fn stock_policies_need_no_signature_and_can_be_withdrawn() {
    let (_, trust) = trust(2);
    let (_, wasm) = stock::MODULES[0];
    let stock = PolicyDocument {
        digest: Digest::of(wasm).to_string(),
        ..version()
    };
    let unmarked = StandingDocument::default();
    let standing = assess(&stock, &unmarked, &trust, NOW);
    assert_eq!((kind(&standing), standing.is_stock), (None, true));
    // That of an earlier build.
    let earlier = StandingDocument {
        stock: true,
        ..StandingDocument::default()
    };
    assert_eq!(kind(&assess(&version(), &earlier, &trust, NOW)), None);
    let withdrawn = StandingDocument {
        withdrawn: Some(mark("INC-7")),
        deprecated: Some(mark("use 2.0.0")),
        ..earlier
    };
    let standing = assess(&version(), &withdrawn, &trust, NOW);
    assert_eq!(kind(&standing), Some("withdrawn"));
    let warnings = standing.warnings("quorum@1.0.0");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("INC-7"), "{warnings:?}");
    assert!(warnings[1].contains("use 2.0.0"), "{warnings:?}");
}
