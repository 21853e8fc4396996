//! A client: takes, renews, gives back and reads a few locks through whichever node it likes.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::Effect;
use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Cause;
use leasehold_domain::Command;
use leasehold_domain::LeaseId;
use leasehold_domain::LockRef;
use leasehold_domain::Mode;
use leasehold_domain::Operation;
use leasehold_domain::Outcome;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RoleSet;
use leasehold_domain::WallMillis;
use openraft::type_config::TypeConfigExt;
use rand::RngExt;
use rand::rngs::StdRng;

use super::history::Call;
use super::history::History;
use super::history::Seen;
use super::history::Span;
use super::node::Node;
use super::running::Running;
use super::runtime;
use super::runtime::SimTypes;
use crate::entry::Answer;
use crate::entry::Item;

/// Locks that the clients contend for.
pub(crate) const LOCKS: usize = 3;
/// A client gives a node up after this: a crashed one never answers.
const PATIENCE: Duration = Duration::from_secs(7);
/// How often a request whose effect is unknown is sent again.
const SENDS_MAX: usize = 4;

/// A lock's name.
pub(crate) fn lock(number: usize) -> LockRef {
    format!("demo/lock-{number}").parse().unwrap()
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) nodes: Arc<Vec<Node>>,
    pub(crate) history: History,
    pub(crate) rng: StdRng,
    pub(crate) requests: u64,
    /// Whether the network may fail it: it goes on only while this is false.
    pub(crate) stop: Arc<AtomicBool>,
}

impl Client {
    /// Works until told to stop.
    pub(crate) async fn run(mut self) {
        while !self.stop.load(Ordering::SeqCst) {
            let pause = self.rng.random_range(5..300);
            SimTypes::sleep(Duration::from_millis(pause)).await;
            let number = self.rng.random_range(0..LOCKS);
            match self.rng.random_bool(0.4) {
                true => self.read(number).await,
                false => {
                    self.cycle(number).await;
                }
            }
        }
    }

    fn node(&mut self) -> Option<Arc<Running>> {
        let place = self.rng.random_range(0..self.nodes.len());
        self.nodes[place].running()
    }

    fn note(&self, lock: usize, asked: Duration, seen: Seen) {
        let answered = runtime::now();
        self.history.note(Call {
            client: self.id,
            lock,
            span: Span { asked, answered },
            seen,
        });
    }

    async fn read(&mut self, number: usize) {
        let Some(node) = self.node() else { return };
        let asked = runtime::now();
        let name = lock(number);
        let Some(Ok(view)) = within(node.read(&name)).await else {
            return;
        };
        let holders = view.holders.iter().map(|holder| holder.token.0);
        let seen = Seen::Read {
            last_token: view.last_token.0,
            holders: holders.collect(),
        };
        self.note(number, asked, seen);
    }

    /// Takes the lock once; if it gets it, keeps it for a while and mostly gives it back. Answers
    /// whether it got it.
    pub(crate) async fn cycle(&mut self, number: usize) -> bool {
        let lease_id = LeaseId::from_bytes(self.rng.random());
        let ttl_ms = self.rng.random_range(1_000..4_000);
        let ttl = Duration::from_millis(ttl_ms);
        let acquire = Action::Acquire {
            lease_id,
            mode: Mode::Exclusive,
            ttl_ms,
            wait_ms: None,
            max_hold_ms: None,
        };
        // The lease counts from the first time that it was asked for: that is what is promised.
        let asked = runtime::now();
        let (lease_id, token) = match self.persist(number, acquire, Operation::Acquire).await {
            Some(Outcome::Granted(grant)) => (grant.lease_id, grant.token.0),
            Some(Outcome::Held { .. }) => {
                self.note(number, asked, Seen::Held);
                return false;
            }
            Some(other) => panic!("client {}: an acquire came to {other:?}", self.id),
            None => return false,
        };
        let lease = lease_id.handle();
        self.note(number, asked, Seen::Granted { lease, token, ttl });
        self.keep(number, lease_id, ttl_ms).await;
        true
    }

    async fn keep(&mut self, number: usize, lease_id: LeaseId, ttl_ms: u64) {
        let lease = lease_id.handle();
        let pause = self.rng.random_range(10..ttl_ms);
        SimTypes::sleep(Duration::from_millis(pause)).await;
        if self.rng.random_bool(0.3) {
            let asked = runtime::now();
            let renew = Action::Renew {
                lease_id,
                ttl_ms: Some(ttl_ms),
                max_hold_ms: None,
                record: false,
            };
            let ttl = Duration::from_millis(ttl_ms);
            match self.persist(number, renew, Operation::Renew).await {
                Some(Outcome::Renewed(_)) => {
                    self.note(number, asked, Seen::Renewed { lease, ttl });
                }
                Some(_) => return self.note(number, asked, Seen::Lost { lease }),
                None => {}
            }
        }
        // Now and then a holder is never heard of again.
        if self.rng.random_bool(0.2) {
            return;
        }
        let asked = runtime::now();
        let release = Action::Release { lease_id };
        let seen = match self.persist(number, release, Operation::Release).await {
            Some(Outcome::Released) => Seen::Released { lease },
            Some(_) => Seen::Lost { lease },
            None => Seen::MaybeReleased { lease },
        };
        self.note(number, asked, seen);
    }

    /// Asks one node, and others while nobody knows; none if that stays so.
    async fn persist(
        &mut self,
        number: usize,
        action: Action,
        operation: Operation,
    ) -> Option<Outcome> {
        self.requests += 1;
        let request_id = format!("{}-{}", self.id, self.requests);
        let item = self.item(number, action, operation, &request_id);
        for _ in 0..SENDS_MAX {
            let Some(node) = self.node() else {
                SimTypes::sleep(Duration::from_millis(100)).await;
                continue;
            };
            match within(node.execute(item.clone())).await {
                Some(Ok(Answer::Outcomes(outcomes))) => return outcomes.into_iter().next(),
                Some(Ok(other)) => panic!("client {}: {other:?}", self.id),
                Some(Err(BackendError { effect, kind, .. })) => {
                    assert!(kind != leasehold_backend_api::ErrorKind::Corrupt);
                    if effect == Effect::None && self.rng.random_bool(0.5) {
                        return None;
                    }
                }
                None => {}
            }
        }
        None
    }

    fn item(&self, number: usize, action: Action, operation: Operation, id: &str) -> Item {
        let lock = lock(number);
        let principal = Principal {
            subject: format!("client-{}", self.id).parse().unwrap(),
            team: None,
            roles: RoleSet::default(),
            claims: BTreeMap::new(),
        };
        let cause = Cause {
            request_id: id.parse().unwrap(),
            received: WallMillis(0),
            principal: Arc::new(principal),
            request: Request::new(operation, lock.clone()),
            decision: None,
        };
        let command = Command {
            lock,
            action,
            cause: Some(Arc::new(cause)),
            expect: None,
        };
        Item::Batch {
            commands: vec![command],
            atomicity: Atomicity::Each,
            notes: Vec::new(),
        }
    }
}

async fn within<T: Send>(asked: impl Future<Output = T> + Send) -> Option<T> {
    SimTypes::timeout(PATIENCE, asked).await.ok()
}
