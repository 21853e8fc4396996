//! Strategies for events: every field, every variant, hostile text.

use std::sync::Arc;

use leasehold_domain as domain;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::FeatureLevel;
use leasehold_domain::FencingToken;
use leasehold_domain::LeaseHandle;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::Mode;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;
use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

mod decision;

use self::decision::decision;

/// Any event, with any cursor.
pub(crate) fn event() -> impl Strategy<Value = Event> {
    let number = any::<u64>;
    (number(), number(), number(), 1_u16..=3, kind().boxed()).prop_map(
        |(cursor, now, wall, level, kind)| Event {
            level: FeatureLevel(level),
            cursor: Cursor(cursor),
            now: Millis(now),
            wall: WallMillis(wall),
            kind,
        },
    )
}

/// What happened, with names from small sets, so that events share values.
pub(crate) fn kind() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        4 => (lock(), of(cause().boxed()), vec(transition().boxed(), 1..3)).prop_map(|(lock, cause, transitions)| {
            EventKind::Lock { lock, cause: cause.map(Arc::new), transitions }
        }),
        1 => cause().boxed().prop_map(|cause| EventKind::Denied(Arc::new(cause))),
        1 => change().boxed().prop_map(|change| EventKind::Governance(Box::new(change))),
    ]
}

fn text() -> impl Strategy<Value = Box<str>> {
    prop_oneof![".{0,12}", "[\\x00-\\x1f\"\\\\/é]{0,6}"].prop_map(String::into_boxed_str)
}

fn shared_text() -> impl Strategy<Value = Arc<str>> {
    text().prop_map(Arc::from)
}

pub(crate) fn lock() -> impl Strategy<Value = LockRef> {
    "(a|b)/(x|y|z/w)".prop_map(|name| name.parse().unwrap())
}

fn subject() -> impl Strategy<Value = domain::Subject> {
    prop_oneof!["s[1-4]", "\"[é\\\\]{1,3}"].prop_map(|name| name.parse().unwrap())
}

fn team() -> impl Strategy<Value = domain::TeamName> {
    "t[1-3]".prop_map(|name| name.parse().unwrap())
}

fn request_id() -> impl Strategy<Value = domain::RequestId> {
    "[!-~]{1,8}".prop_map(|id| id.parse().unwrap())
}

fn handle() -> impl Strategy<Value = LeaseHandle> {
    any::<[u8; 16]>().prop_map(|bytes| LeaseId::from_bytes(bytes).handle())
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        Just(Mode::Exclusive),
        any::<u32>().prop_map(|permits| Mode::Shared { permits })
    ]
}

fn labels() -> impl Strategy<Value = std::collections::BTreeMap<Box<str>, Box<str>>> {
    btree_map(text(), text(), 0..3)
}

fn owner() -> impl Strategy<Value = domain::Owner> {
    (
        subject(),
        of(team()),
        of(text()),
        labels().boxed(),
        of(text()),
        of(text()),
    )
        .prop_map(
            |(subject, team, instance, labels, value, reason)| domain::Owner {
                subject,
                team,
                instance,
                labels,
                value,
                reason,
            },
        )
}

fn principal() -> impl Strategy<Value = domain::Principal> {
    let known = proptest::sample::select(&domain::Role::ALL[..]).prop_map(|role| role.as_str());
    let name = prop_oneof![known.prop_map(str::to_owned), "[A-Za-z][ -~]{0,6}[a-z]"];
    let roles = vec(
        name.prop_map(|name| name.parse::<domain::RoleName>().unwrap()),
        0..4,
    );
    (
        subject(),
        of(team()),
        roles,
        btree_map(".{0,5}", ".{0,5}", 0..3),
    )
        .prop_map(|(subject, team, roles, claims)| domain::Principal {
            subject,
            team,
            roles: roles.into_iter().collect(),
            claims,
        })
}

fn request() -> impl Strategy<Value = domain::Request> {
    let operation = proptest::sample::select(&domain::Operation::ALL[..]);
    let numbers = (
        of(any::<u64>()),
        of(any::<u64>()),
        of(any::<u64>()),
        of(any::<u64>()),
    );
    let texts = (
        of(text()),
        labels().boxed(),
        of(text()),
        of(text()),
        of(".{0,6}"),
    );
    (
        operation,
        lock(),
        of(mode().boxed()),
        numbers,
        texts,
        of(subject()),
        of(handle()),
    )
        .prop_map(
            |(operation, lock, mode, numbers, texts, successor, lease)| domain::Request {
                operation,
                lock,
                mode,
                ttl_ms: numbers.0,
                wait_ms: numbers.1,
                grace_ms: numbers.2,
                instance: texts.0,
                labels: texts.1,
                reason: texts.2,
                value: texts.3,
                successor,
                lease,
                override_terms: domain::OverrideTerms::of(texts.4, numbers.3),
            },
        )
}

fn cause() -> impl Strategy<Value = domain::Cause> {
    (
        request_id(),
        any::<u64>(),
        principal().boxed(),
        request().boxed(),
        of(decision().boxed()),
    )
        .prop_map(
            |(request_id, received, principal, request, decision)| domain::Cause {
                request_id,
                received: WallMillis(received),
                principal: Arc::new(principal),
                request,
                decision: decision.map(Arc::new),
            },
        )
}

fn drain_cause() -> impl Strategy<Value = domain::DrainCause> {
    (any::<bool>(), subject()).prop_map(|(revoked, who)| match revoked {
        true => domain::DrainCause::Revoked { by: who },
        false => domain::DrainCause::Transfer { to: who },
    })
}

fn settings() -> impl Strategy<Value = domain::LockSettings> {
    (any::<u32>(), any::<u64>(), text()).prop_map(|(limit, cooldown_ms, description)| {
        domain::LockSettings {
            limit,
            cooldown_ms,
            description,
        }
    })
}

fn transition() -> impl Strategy<Value = Transition> {
    let number = any::<u64>;
    let lease = || (handle(), owner().boxed(), mode().boxed(), number());
    prop_oneof![
        (lease(), number(), of(number()), request_id()).prop_map(
            |((handle, owner, mode, token), ttl_ms, waited_ms, request_id)| {
                let token = FencingToken(token);
                Transition::Granted {
                    handle,
                    owner,
                    mode,
                    token,
                    ttl_ms,
                    waited_ms,
                    request_id,
                }
            }
        ),
        (lease(), any::<u32>()).prop_map(|((handle, owner, mode, _), position)| {
            Transition::Queued {
                handle,
                owner,
                mode,
                position,
            }
        }),
        (handle(), number(), number()).prop_map(|(handle, token, ttl_ms)| {
            Transition::Renewed {
                handle,
                token: FencingToken(token),
                ttl_ms,
            }
        }),
        (handle(), owner().boxed(), number(), drain_cause().boxed()).prop_map(
            |(handle, owner, remaining_ms, cause)| {
                Transition::Draining {
                    handle,
                    owner,
                    remaining_ms,
                    cause,
                }
            }
        ),
        ended(),
        (handle(), owner().boxed(), any::<bool>(), of(counter_full())).prop_map(
            |(handle, owner, expired, refused)| {
                Transition::WaitEnded {
                    handle,
                    owner,
                    expired,
                    refused: refused.map(Box::new),
                }
            }
        ),
        number().prop_map(|remaining_ms| Transition::CoolingDown { remaining_ms }),
        (subject(), number())
            .prop_map(|(to, remaining_ms)| Transition::Reserved { to, remaining_ms }),
        settings()
            .boxed()
            .prop_map(|settings| Transition::Configured { settings }),
    ]
}

fn counter_full() -> impl Strategy<Value = domain::CounterFull> {
    let key = (shared_text(), shared_text());
    let key = key.prop_map(|(policy, name)| domain::CounterKey { policy, name });
    (key, any::<u32>(), any::<u32>(), of(text())).prop_map(|(key, maximum, present, code)| {
        domain::CounterFull {
            key,
            maximum,
            present,
            code,
        }
    })
}

fn change() -> impl Strategy<Value = domain::Change> {
    let collection = prop_oneof![Just(Box::from("namespace")), text()];
    let digest = of(any::<[u8; 32]>().prop_map(domain::Digest));
    (
        request_id(),
        principal().boxed(),
        collection,
        text(),
        digest,
        text(),
    )
        .prop_map(
            |(request_id, principal, collection, id, digest, summary)| domain::Change {
                request_id,
                principal: Arc::new(principal),
                collection,
                id,
                digest,
                summary,
            },
        )
}

fn ended() -> impl Strategy<Value = Transition> {
    use domain::EndCause;
    let number = any::<u64>;
    let causes = [
        EndCause::Released,
        EndCause::Expired,
        EndCause::HeldTooLong,
        EndCause::Revoked,
        EndCause::Transferred,
        EndCause::GivenBack,
        EndCause::Unknown,
        EndCause::Moved,
    ];
    let lease = || (handle(), owner().boxed(), mode().boxed(), number());
    let cause = proptest::sample::select(causes.to_vec());
    (
        lease(),
        cause,
        [number(), number(), number(), number(), number(), number()],
    )
        .prop_map(
            |((handle, owner, mode, token), cause, numbers)| Transition::Ended {
                handle,
                owner,
                mode,
                token: FencingToken(token),
                cause,
                since: WallMillis(numbers[0]),
                held_ms: numbers[1],
                late_ms: numbers[2],
                renewals: domain::Renewals {
                    count: numbers[3],
                    first: WallMillis(numbers[4]),
                    last: WallMillis(numbers[5]),
                },
            },
        )
}
