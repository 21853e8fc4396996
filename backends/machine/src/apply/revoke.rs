//! Revoke: somebody else ends leases, at once or after a drain.

use leasehold_domain::DrainCause;
use leasehold_domain::EndCause;
use leasehold_domain::LeaseHandle;
use leasehold_domain::Outcome;
use leasehold_domain::RevokeTarget;
use leasehold_domain::Subject;

use super::Step;
use crate::lease::Lease;

impl Step<'_> {
    pub(super) fn revoke(&mut self, by: &Subject, target: &RevokeTarget, grace_ms: u64) -> Outcome {
        let leases = match grace_ms {
            0 => self.revoke_at_once(target),
            _ => self.revoke_gracefully(by, target, grace_ms),
        };
        Outcome::Revoked { leases }
    }

    fn revoke_at_once(&mut self, target: &RevokeTarget) -> Vec<LeaseHandle> {
        let holders = &mut self.record.holders;
        let revoked: Vec<Lease> = holders.extract_if(.., |l| is_meant(l, target)).collect();
        let handles = revoked.iter().map(|l| l.lease_id.handle()).collect();
        for lease in revoked {
            self.end(lease, EndCause::Revoked);
        }
        handles
    }

    fn revoke_gracefully(
        &mut self,
        by: &Subject,
        target: &RevokeTarget,
        grace_ms: u64,
    ) -> Vec<LeaseHandle> {
        let mut handles = Vec::new();
        for index in 0..self.record.holders.len() {
            let lease = &self.record.holders[index];
            if !is_meant(lease, target) {
                continue;
            }
            handles.push(lease.lease_id.handle());
            // A lease that somebody revoked keeps the name of the first.
            let by = match lease.drain.as_deref() {
                Some(DrainCause::Revoked { by }) => by.clone(),
                _ => by.clone(),
            };
            self.drain(index, DrainCause::Revoked { by }, grace_ms);
        }
        handles
    }
}

fn is_meant(lease: &Lease, target: &RevokeTarget) -> bool {
    match target {
        RevokeTarget::All => true,
        RevokeTarget::Lease(handle) => lease.lease_id.handle() == *handle,
        RevokeTarget::Subject(subject) => lease.party.subject == *subject,
    }
}
