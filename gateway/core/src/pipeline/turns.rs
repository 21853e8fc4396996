//! Requests whose decisions are tied to state that they change for each other take turns inside one
//! gateway. Without turns they would invalidate each other's decisions again and again: of sixteen
//! acquires of one subject under a quota, one is granted in each round and the others decide anew.
//!
//! Turns save work and keep requests from being refused; they are not what keeps a decision true.
//! That is the expectation in the command, which also holds against other gateways, releases and
//! expiries. So a request that does not get its turn in time goes on without it.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use leasehold_domain::LockRef;
use leasehold_domain::NamespaceName;
use leasehold_domain::Principal;
use leasehold_domain::Subject;
use leasehold_domain::TeamName;
use tokio::sync::OwnedMutexGuard;

/// What requests take turns at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TurnKey {
    /// What the subjects of a team hold in a namespace.
    Team(NamespaceName, TeamName),
    /// What a subject without a team holds in a namespace.
    Subject(NamespaceName, Subject),
    /// One lock.
    Lock(LockRef),
}

impl TurnKey {
    /// The usage that a principal's requests change in a namespace.
    pub(crate) fn usage(namespace: &NamespaceName, principal: &Principal) -> Self {
        let namespace = namespace.clone();
        match &principal.team {
            Some(team) => Self::Team(namespace, team.clone()),
            None => Self::Subject(namespace, principal.subject.clone()),
        }
    }
}

type Slot = Arc<tokio::sync::Mutex<()>>;

/// The keys at which requests take turns now.
#[derive(Debug)]
pub(crate) struct Turns {
    slots: Mutex<HashMap<TurnKey, Slot>>,
    wait_longest: Duration,
}

/// Turns at some keys; they end when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Taken(#[expect(dead_code, reason = "held until it is dropped")] Vec<Turn>);

#[derive(Debug)]
struct Turn {
    // Dropped in this order: the next request may go on before the slot is looked at.
    _guard: OwnedMutexGuard<()>,
    _place: Place,
}

/// A place in a slot's queue. The last one to leave removes the slot.
#[derive(Debug)]
struct Place {
    turns: Arc<Turns>,
    key: TurnKey,
    slot: Option<Slot>,
}

impl Turns {
    /// Turns for which requests wait no longer than this.
    pub(crate) fn new(wait_longest: Duration) -> Self {
        Self {
            slots: Mutex::default(),
            wait_longest,
        }
    }

    /// Waits for a turn at each of the keys, in their order, so that no two requests wait for each
    /// other. Takes no turn if they do not come in time.
    pub(crate) async fn take(self: &Arc<Self>, keys: BTreeSet<TurnKey>) -> Taken {
        let all = async {
            let mut taken = Vec::with_capacity(keys.len());
            for key in keys {
                taken.push(self.take_one(key).await);
            }
            taken
        };
        let taken = tokio::time::timeout(self.wait_longest, all).await;
        Taken(taken.unwrap_or_default())
    }

    async fn take_one(self: &Arc<Self>, key: TurnKey) -> Turn {
        let slot = self.slots().entry(key.clone()).or_default().clone();
        let place = Place {
            turns: self.clone(),
            key,
            slot: Some(slot.clone()),
        };
        Turn {
            _guard: slot.lock_owned().await,
            _place: place,
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<TurnKey, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut slots = self.turns.slots();
        // Under the lock nobody can join, so that only the map has the slot if nobody else does.
        drop(self.slot.take());
        let unused = |slot: &Slot| Arc::strong_count(slot) == 1;
        if slots.get(&self.key).is_some_and(unused) {
            slots.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(locks: &[&str]) -> BTreeSet<TurnKey> {
        let key = |lock: &&str| TurnKey::Lock(format!("demo/{lock}").parse().unwrap());
        locks.iter().map(key).collect()
    }

    #[tokio::test]
    async fn turns_come_one_after_another_and_leave_nothing() {
        let turns = Arc::new(Turns::new(Duration::from_secs(60)));
        let first = turns.take(keys(&["a", "b"])).await;
        let mut second = Box::pin(turns.take(keys(&["b", "c"])));
        assert!(futures_util::poll!(&mut second).is_pending());
        let other = turns.take(keys(&["d"])).await;
        drop(first);
        let second = second.await;
        drop((second, other));
        assert!(turns.slots().is_empty());
    }

    #[tokio::test]
    async fn a_request_that_leaves_or_waits_too_long_leaves_nothing() {
        let turns = Arc::new(Turns::new(Duration::from_millis(20)));
        let first = turns.take(keys(&["a"])).await;
        let mut gone = Box::pin(turns.take(keys(&["a"])));
        assert!(futures_util::poll!(&mut gone).is_pending());
        drop(gone);
        let late = turns.take(keys(&["a"])).await;
        drop(first);
        assert!(turns.slots().is_empty(), "the late one has no turn");
        drop(late);
    }
}
