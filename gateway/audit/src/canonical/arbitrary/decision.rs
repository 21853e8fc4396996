//! Decisions of every shape.

use std::sync::Arc;

use leasehold_domain as domain;
use leasehold_domain::FencingToken;
use leasehold_domain::WallMillis;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::drain_cause;
use super::handle;
use super::lock;
use super::mode;
use super::owner;
use super::settings;
use super::shared_text;
use super::subject;
use super::text;

fn limits() -> impl Strategy<Value = domain::PolicyLimits> {
    let counter = (text(), any::<u32>(), of(text())).prop_map(|(name, maximum, code)| {
        domain::PolicyCounter {
            name,
            maximum,
            code,
        }
    });
    let counters = vec(counter, 0..3);
    (of(any::<u64>()), of(any::<u64>()), counters).prop_map(
        |(max_ttl_ms, max_hold_ms, counters)| domain::PolicyLimits {
            max_ttl_ms,
            max_hold_ms,
            counters,
        },
    )
}

fn effect() -> impl Strategy<Value = domain::Effect> {
    use domain::DenialKind as Kind;
    let kind = proptest::sample::select(
        &[
            Kind::Policy,
            Kind::PolicyError,
            Kind::NoPolicyBound,
            Kind::Role,
            Kind::NotHolder,
        ][..],
    );
    let denial = (kind, of(shared_text()), text(), text(), of(any::<u64>())).prop_map(
        |(kind, policy, code, message, retry_after_ms)| {
            domain::Effect::Deny(domain::Denial {
                kind,
                policy,
                code,
                message,
                retry_after_ms,
            })
        },
    );
    prop_oneof![
        Just(domain::Effect::Allow),
        text().prop_map(|reason| domain::Effect::Override { reason }),
        denial,
    ]
}

fn verdict() -> impl Strategy<Value = domain::PolicyVerdict> {
    use domain::Enforcement;
    use domain::PolicyAnswer;
    let enforcement = proptest::sample::select(
        &[
            Enforcement::Advisory,
            Enforcement::Mandatory,
            Enforcement::Overridable,
        ][..],
    );
    let answer = prop_oneof![
        limits().boxed().prop_map(PolicyAnswer::Allow),
        (text(), text(), of(any::<u64>())).prop_map(|(code, message, retry_after_ms)| {
            PolicyAnswer::Deny {
                code,
                message,
                retry_after_ms,
            }
        }),
        (text(), any::<bool>())
            .prop_map(|(message, passed)| PolicyAnswer::Error { message, passed }),
    ];
    let version = "[12]\\.0\\.0".prop_map(Arc::from);
    let policy = "p[1-3]".prop_map(Arc::from);
    let digests = (any::<[u8; 32]>(), any::<[u8; 32]>());
    let bucket = (of(any::<u32>()), of(text()), of(any::<u32>()));
    let rollout = (text(), text(), of(text()), bucket);
    let rollout = rollout.prop_map(|(rollout, stage, variant, bucket)| {
        let (bucket, bucket_function, flag_share) = bucket;
        Arc::new(domain::RolloutChoice {
            rollout,
            stage,
            variant,
            bucket,
            bucket_function,
            flag_share,
        })
    });
    (
        shared_text(),
        policy,
        version,
        digests,
        enforcement,
        answer,
        any::<u64>(),
        of(rollout),
    )
        .prop_map(
            |(binding, policy, version, digests, enforcement, answer, fuel, rollout)| {
                domain::PolicyVerdict {
                    binding,
                    policy,
                    version,
                    module: domain::Digest(digests.0),
                    config: domain::Digest(digests.1),
                    enforcement,
                    answer,
                    fuel,
                    rollout,
                }
            },
        )
}

pub(super) fn decision() -> impl Strategy<Value = domain::Decision> {
    let usage =
        (any::<u32>(), any::<u32>()).prop_map(|(subject_leases, team_leases)| domain::Usage {
            subject_leases,
            team_leases,
        });
    let facts = (any::<u64>(), of(view().boxed()), of(usage)).prop_map(|(now, lock, usage)| {
        domain::Facts {
            now: WallMillis(now),
            lock: lock.map(Box::new),
            usage,
        }
    });
    (
        any::<u128>(),
        effect().boxed(),
        facts,
        vec(verdict().boxed(), 0..3),
        limits().boxed(),
        any::<u64>(),
        of(any::<[u8; 8]>()),
    )
        .prop_map(
            |(id, effect, facts, verdicts, limits, bindings_revision, rule)| domain::Decision {
                id,
                effect,
                facts,
                verdicts,
                limits,
                bindings_revision,
                rule: rule.map(domain::RuleDigest),
            },
        )
}

fn lease_policies() -> impl Strategy<Value = domain::LeasePolicies> {
    let version = (shared_text(), shared_text())
        .prop_map(|(policy, version)| domain::PolicyVersion { policy, version });
    let versions = vec(version.boxed(), 0..3).boxed();
    (versions.clone(), of(versions))
        .prop_map(|(granted, renewed)| domain::LeasePolicies { granted, renewed })
}

fn view() -> impl Strategy<Value = domain::LockView> {
    let state = of((any::<u64>(), drain_cause().boxed())).prop_map(|draining| match draining {
        None => domain::LeaseState::Active,
        Some((remaining_ms, cause)) => domain::LeaseState::Draining {
            remaining_ms,
            cause,
        },
    });
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>());
    let holder = (
        handle(),
        owner().boxed(),
        mode().boxed(),
        numbers,
        state.boxed(),
        of(lease_policies().boxed()),
    )
        .prop_map(
            |(handle, owner, mode, numbers, state, policies)| domain::HolderView {
                handle,
                owner,
                mode,
                token: FencingToken(numbers.0),
                since: WallMillis(numbers.1),
                remaining_ms: numbers.2,
                state,
                policies: policies.map(Arc::new),
            },
        );
    let waiter = (handle(), owner().boxed(), mode().boxed(), any::<u64>()).prop_map(
        |(handle, owner, mode, since)| domain::WaiterView {
            handle,
            owner,
            mode,
            since: WallMillis(since),
        },
    );
    let lists = (vec(holder.boxed(), 0..2), vec(waiter.boxed(), 0..2));
    let reserved = of((subject(), any::<u64>()));
    (
        lock(),
        any::<u64>(),
        settings().boxed(),
        lists,
        numbers,
        reserved,
    )
        .prop_map(|(lock, revision, settings, lists, numbers, reserved_for)| {
            domain::LockView {
                lock,
                revision,
                settings,
                holders: lists.0,
                queue: lists.1,
                cooldown_remaining_ms: numbers.0,
                reserved_for,
                last_token: FencingToken(numbers.1),
                stale_ms: numbers.2,
            }
        })
}
