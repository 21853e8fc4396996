//! What a client's command looks like.

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::Counter;
use leasehold_domain::CounterKey;
use leasehold_domain::Expectation;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;

use super::World;
use super::lock;

impl World {
    pub(super) fn command(&self, c: usize, who: &str, l: usize, action: Action) -> Command {
        let lock = lock(l);
        let cause = Cause {
            request_id: format!("r{}", self.clients[c].attempts[l]).parse().unwrap(),
            received: WallMillis(0),
            principal: Arc::new(Principal {
                subject: who.parse().unwrap(),
                team: None,
                roles: RoleSet::default(),
                claims: Default::default(),
            }),
            request: Request::new(Operation::Acquire, lock.clone()),
            decision: None,
        };
        let counter = |maximum| Counter {
            key: counter(),
            maximum,
            code: None,
        };
        let expect = self.counted.map(|maximum| Expectation {
            counters: vec![counter(maximum)],
            ..Expectation::default()
        });
        Command {
            lock,
            action,
            cause: Some(Arc::new(cause)),
            expect,
        }
    }
}

/// The counter that leases carry.
pub(in crate::explore) fn counter() -> CounterKey {
    CounterKey {
        policy: "p".into(),
        name: "c".into(),
    }
}
