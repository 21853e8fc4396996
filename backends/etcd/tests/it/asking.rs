//! How our own cases speak to a gateway.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use leasehold_backend_api::Backend;
use leasehold_backend_api::BackendError;
use leasehold_backend_api::Batch;
use leasehold_backend_api::Freshness;
use leasehold_backend_etcd::EtcdBackend;
use leasehold_domain::Action;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::Grant;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::LockView;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;

pub(crate) fn lock(name: &str) -> LockRef {
    format!("demo/{name}").parse().expect("a lock's name")
}

fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// One command of `who`, with a request id of its own.
pub(crate) fn command(who: &str, name: &str, action: Action) -> Command {
    let lock = lock(name);
    let cause = Cause {
        request_id: format!("request-{}", number()).parse().expect("an id"),
        received: WallMillis(0),
        principal: Arc::new(Principal {
            subject: who.parse().expect("a subject"),
            team: None,
            roles: RoleSet::default(),
            claims: BTreeMap::new(),
        }),
        request: Request::new(Operation::Acquire, lock.clone()),
        decision: None,
    };
    Command {
        lock,
        action,
        cause: Some(Arc::new(cause)),
        expect: None,
    }
}

pub(crate) fn acquire(ttl_ms: u64) -> Action {
    let mut bytes = [1; 16];
    bytes[8..].copy_from_slice(&number().to_be_bytes());
    Action::Acquire {
        lease_id: LeaseId::from_bytes(bytes),
        mode: Mode::Exclusive,
        ttl_ms,
        wait_ms: None,
        max_hold_ms: None,
    }
}

/// An acquire that stands in the queue if it must.
pub(crate) fn waiting(ttl_ms: u64, wait_ms: u64) -> Action {
    let mut action = acquire(ttl_ms);
    if let Action::Acquire { wait_ms: wait, .. } = &mut action {
        *wait = Some(wait_ms);
    }
    action
}

pub(crate) async fn ask(gateway: &EtcdBackend, command: Command) -> Result<Outcome, BackendError> {
    let mut outcomes = gateway.execute(Batch::one(command)).await?;
    Ok(outcomes.remove(0))
}

/// Takes a free lock.
pub(crate) async fn take(gateway: &EtcdBackend, who: &str, name: &str, ttl_ms: u64) -> Grant {
    granted(ask(gateway, command(who, name, acquire(ttl_ms))).await)
}

#[track_caller]
pub(crate) fn granted(outcome: Result<Outcome, BackendError>) -> Grant {
    match outcome {
        Ok(Outcome::Granted(grant)) => grant,
        other => panic!("not granted: {other:?}"),
    }
}

pub(crate) async fn view(gateway: &EtcdBackend, name: &str) -> LockView {
    let read = gateway.read(&lock(name), Freshness::Linearizable).await;
    read.expect("the lock can be read")
}

/// Asks again and again, as a client would, until the gateway answers.
pub(crate) async fn insist(gateway: &EtcdBackend, command: &Command) -> Outcome {
    let asking = async {
        loop {
            match ask(gateway, command.clone()).await {
                Ok(outcome) => return outcome,
                Err(failure) => assert!(failure.is_retryable(), "{failure}"),
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let patience = std::time::Duration::from_secs(60);
    let outcome = tokio::time::timeout(patience, asking).await;
    outcome.expect("the gateway answers again")
}
