//! What the ledger's benchmark appends: a day of a busy house, always the same.

use std::sync::Arc;

use leasehold_domain as domain;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FeatureLevel;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseId;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;

/// Acquires and releases in turn, judged by five policies, of 2,000 locks, 1,500 subjects and 30
/// teams.
pub(crate) fn events(after: u64, count: u64) -> Vec<Arc<Event>> {
    (after + 1..=after + count)
        .map(|cursor| Arc::new(event(cursor)))
        .collect()
}

fn event(cursor: u64) -> Event {
    let cycle = cursor.div_ceil(2);
    let mixed = cycle.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let lock: domain::LockRef = format!("ns-{}/ledger/close-{}", mixed % 40, mixed % 2_000)
        .parse()
        .expect("a lock");
    let subject: domain::Subject = format!("spiffe://corp/payments/worker-{}", mixed % 1_500)
        .parse()
        .expect("a subject");
    let team: domain::TeamName = format!("team-{}", mixed % 30).parse().expect("a team");
    let owner = owner(subject.clone(), team.clone());
    let principal = principal(subject, team);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&cycle.to_le_bytes());
    let handle = LeaseId::from_bytes(bytes).handle();
    let acquire = cursor % 2 == 1;
    let operation = if acquire {
        domain::Operation::Acquire
    } else {
        domain::Operation::Release
    };
    let mut request = domain::Request::new(operation, lock.clone());
    request.ttl_ms = acquire.then_some(30_000);
    request.mode = acquire.then_some(domain::Mode::Exclusive);
    let request_id: domain::RequestId = format!("req-{cycle:016x}").parse().expect("an id");
    let wall = WallMillis(1_790_000_000_000 + cursor / 10);
    let cause = Arc::new(domain::Cause {
        request_id: request_id.clone(),
        received: wall,
        principal: Arc::new(principal),
        request,
        decision: acquire.then(|| Arc::new(decision(cycle, wall))),
    });
    let (mode, token) = (domain::Mode::Exclusive, FencingToken(cycle));
    let transition = if acquire {
        Transition::Granted {
            handle,
            owner,
            mode,
            token,
            ttl_ms: 30_000,
            waited_ms: None,
            request_id,
        }
    } else {
        Transition::Ended {
            handle,
            owner,
            mode,
            token,
            cause: domain::EndCause::Released,
            since: wall,
            held_ms: 12,
            late_ms: 0,
            renewals: domain::Renewals::default(),
        }
    };
    let kind = EventKind::Lock {
        lock,
        cause: Some(cause),
        transitions: vec![transition],
    };
    Event {
        level: FeatureLevel::FIRST,
        cursor: Cursor(cursor),
        now: domain::Millis(cursor),
        wall,
        kind,
    }
}

fn principal(subject: domain::Subject, team: domain::TeamName) -> domain::Principal {
    domain::Principal {
        subject,
        team: Some(team),
        roles: domain::RoleSet::default(),
        claims: [].into(),
    }
}

fn owner(subject: domain::Subject, team: domain::TeamName) -> domain::Owner {
    domain::Owner {
        subject,
        team: Some(team),
        instance: Some("pod-7f9c".into()),
        labels: [("job".into(), "close".into())].into(),
        value: None,
        reason: None,
    }
}

fn decision(cycle: u64, wall: WallMillis) -> domain::Decision {
    let names = [
        "ownership",
        "ttl-bounds",
        "freeze-window",
        "quota",
        "separation-of-duties",
    ];
    let verdicts = names.map(|name| domain::PolicyVerdict {
        binding: format!("default-{name}").into(),
        policy: name.into(),
        version: "1.0.0".into(),
        module: domain::Digest::of(name.as_bytes()),
        config: domain::Digest::of(b"{}"),
        enforcement: domain::Enforcement::Mandatory,
        answer: domain::PolicyAnswer::Allow(domain::PolicyLimits::default()),
        fuel: 8_000 + cycle % 100,
        rollout: None,
    });
    domain::Decision {
        id: u128::from(cycle),
        effect: domain::Effect::Allow,
        facts: domain::Facts {
            now: wall,
            lock: None,
            usage: None,
        },
        verdicts: verdicts.into(),
        limits: domain::PolicyLimits::default(),
        bindings_revision: 7,
        rule: Some(domain::RuleDigest(*b"workload")),
    }
}
