//! Who holds what a request would end or hand over.

use leasehold_policy_sdk::Holder;
use leasehold_policy_sdk::LockView;
use leasehold_policy_sdk::Request;

/// The holders of the lease that the request names, or of all leases on the lock if it names none.
pub(crate) fn of<'a>(
    request: &'a Request,
    lock: Option<&'a LockView>,
) -> impl Iterator<Item = &'a Holder> {
    let holders = lock.into_iter().flat_map(|lock| &lock.holders);
    holders.filter(|holder| {
        let lease = request.lease.as_ref();
        lease.is_none_or(|lease| *lease == holder.lease)
    })
}

/// Whether all of them are this subject; not if there are none.
pub(crate) fn all_are(subject: &str, request: &Request, lock: Option<&LockView>) -> bool {
    let mut holders = of(request, lock).peekable();
    holders.peek().is_some() && holders.all(|holder| holder.subject == subject)
}
