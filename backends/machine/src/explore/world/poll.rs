//! Acquires that hang on gateways, and what a gateway does that notices that its client has gone.

use leasehold_domain::Action;
use leasehold_domain::LeaseId;
use leasehold_domain::Millis;
use leasehold_domain::Outcome;

use super::Poll;
use super::World;
use super::name;
use crate::LockRecord;
use crate::claim::Claims;

impl World {
    /// The gateway of a poll cancels it. What another acquire claims too must stand after that.
    pub(super) fn hang_up(&mut self, poll: usize) {
        let Poll {
            client,
            lock,
            drawn,
            ..
        } = self.polls.remove(poll);
        let wanted = self.wanted_by_others(lock, &drawn);
        let cancel = Action::CancelWait { lease_id: drawn };
        let outcome = self.ask(client, &name(client), lock, cancel);
        assert_eq!(outcome, Outcome::Cancelled, "{:?}", self.story);
        let record = self.record(lock);
        let stands = |id: &LeaseId| record.claims().any(|(standing, _)| standing == *id);
        assert!(wanted.iter().all(stands), "pushed out: {:?}", self.story);
    }

    /// What stands now, not by its time alone, and is claimed by another acquire than this.
    fn wanted_by_others(&self, l: usize, drawn: &LeaseId) -> Vec<LeaseId> {
        let record = self.record(l);
        let lasts = |id: &LeaseId| {
            let mut leases = record.holders.iter();
            leases.any(|lease| lease.lease_id == *id && lease.deadline.0 > self.now)
        };
        let wanted = |(id, claims): (LeaseId, Claims)| {
            let mut others = claims.standing().iter().filter(|c| c.drawn != *drawn);
            let stays = others.any(|claim| lasts(&id) || claim.until.0 > self.now);
            stays.then_some(id)
        };
        record.claims().filter_map(wanted).collect()
    }

    /// The id that the client's last acquire drew: a gateway draws a new one for each, also for a
    /// repeated one. The fifth byte tells those that nobody ever cancels.
    pub(super) fn drawn(&self, c: usize, l: usize, hangs: bool) -> LeaseId {
        let client = &self.clients[c];
        let mut id = [0; 16];
        let (attempt, ask) = (client.attempts[l], client.asks[l]);
        id[..5].copy_from_slice(&[c as u8 + 1, l as u8, attempt, ask, u8::from(!hangs)]);
        LeaseId::from_bytes(id)
    }
}

impl LockRecord {
    /// All claims, of waiters and of leases.
    pub(in crate::explore) fn claims(&self) -> impl Iterator<Item = (LeaseId, Claims)> {
        let kept = |lease_id: &LeaseId| {
            let mut kept = self.rest.iter().flat_map(|rest| &rest.claims);
            let kept = kept.find(|kept| kept.lease_id == *lease_id);
            kept.map_or_else(
                || Claims::first(*lease_id, Millis::default()),
                |kept| kept.claims.clone(),
            )
        };
        let leases = self
            .holders
            .iter()
            .map(move |l| (l.lease_id, kept(&l.lease_id)));
        leases.chain(self.waiters().map(|w| (w.lease_id, w.claims.clone())))
    }
}
