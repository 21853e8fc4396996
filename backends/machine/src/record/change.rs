//! What a write did to a record, in bytes that do not grow with the queue: for stores that keep
//! what has changed. A hand-over of a lock for which thousands wait moves one waiter.

use std::collections::VecDeque;
use std::sync::Arc;

use leasehold_domain::Millis;
use leasehold_stored::Formed;
use leasehold_stored::Invalid;
use leasehold_stored::record as form;

use super::LockRecord;
use super::Rest;
use crate::shift::Shift;
use crate::waiter::Waiter;

/// What leads from a record to the next: all of the next but its queue, and what has become of the
/// queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordChange {
    /// Without its queue.
    head: LockRecord,
    /// The revision of the record whose queue it goes on from; 0 if it keeps none of it.
    base: u64,
    /// Places in the queue before, ascending, whose waiters are not there any more.
    gone: Vec<u32>,
    /// Waiters that came or have changed, by their places in the queue after, ascending.
    put: Vec<(u32, Arc<Waiter>)>,
}

/// A [`RecordChange`] in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeParts {
    /// The record after the change, without its queue.
    pub head: LockRecord,
    /// Whether any of the queue before is left; if not, `gone` is empty.
    pub keeps: bool,
    /// Places in the queue before, ascending, whose waiters are not there any more.
    pub gone: Vec<u32>,
    /// Waiters that came or have changed, by their places in the queue after, ascending.
    pub put: Vec<(u32, Arc<Waiter>)>,
}

/// A change was to be carried out on a record that it does not go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the change goes on from revision {base}, the record has {found}")]
pub struct Misfit {
    base: u64,
    found: u64,
}

impl<'a> Formed<'a> for RecordChange {
    type Form = form::RecordChange<'a>;

    fn form(&'a self) -> Self::Form {
        let Self {
            head,
            base,
            gone,
            put,
        } = self;
        let put = put.iter().map(|(place, waiter)| form::PutWaiter {
            place: *place,
            waiter: waiter.form(),
        });
        form::RecordChange {
            head: head.form(),
            base: *base,
            gone: gone.clone(),
            put: put.collect(),
        }
    }

    fn restore(form: Self::Form) -> Result<Self, Invalid> {
        let put = form.put.into_iter();
        let put = put.map(|put| Ok((put.place, Arc::restore(put.waiter)?)));
        Ok(Self {
            head: LockRecord::restore(form.head)?,
            base: form.base,
            gone: form.gone,
            put: put.collect::<Result<_, Invalid>>()?,
        })
    }
}

impl RecordChange {
    /// What leads from one record to another. Waiters come at the end and keep their order; should
    /// one have moved all the same, it goes and comes again.
    #[must_use]
    pub fn between(before: Option<&LockRecord>, after: &LockRecord) -> Self {
        let (mut gone, mut put) = (Vec::new(), Vec::new());
        let mut next = after.waiters().zip(0_u32..).peekable();
        let mut kept = false;
        for (waiter, place) in before
            .into_iter()
            .flat_map(LockRecord::waiters)
            .zip(0_u32..)
        {
            match next.next_if(|(there, _)| there.lease_id == waiter.lease_id) {
                None => gone.push(place),
                Some((there, place)) => {
                    kept = true;
                    if there != waiter {
                        put.push((place, there.clone()));
                    }
                }
            }
        }
        put.extend(next.map(|(waiter, place)| (place, waiter.clone())));
        let base = before.filter(|_| kept).map_or(0, LockRecord::revision);
        if !kept {
            gone.clear();
        }
        Self {
            head: after.without_queue(),
            base,
            gone,
            put,
        }
    }

    /// The record that it leads to.
    ///
    /// # Errors
    /// It does not go on from this one.
    pub fn carry_out(self, before: Option<LockRecord>) -> Result<LockRecord, Misfit> {
        let found = before.as_ref().map_or(0, LockRecord::revision);
        let misfit = Misfit {
            base: self.base,
            found,
        };
        let rest = before.and_then(|record| record.rest);
        let mut queue = match self.base {
            0 => Vec::new(),
            base if base == found => rest.map_or_else(Vec::new, |rest| rest.queue.into()),
            _ => return Err(misfit),
        };
        let mut gone = self.gone.into_iter().peekable();
        let mut places = 0_u32..;
        queue.retain(|_| {
            gone.next_if_eq(&places.next().unwrap_or(u32::MAX))
                .is_none()
        });
        for (place, waiter) in self.put {
            let place = usize::try_from(place).map_err(|_| misfit)?;
            let came = place == queue.len();
            match queue.get_mut(place) {
                Some(there) => *there = waiter,
                None if came => queue.push(waiter),
                None => return Err(misfit),
            }
        }
        Ok(self.head.with_waiters(queue))
    }

    /// The same change with all its times moved, so that the record's clock shows `clock`
    /// afterwards: see [`LockRecord::rebased`].
    #[must_use]
    pub fn rebased(mut self, clock: Millis) -> Self {
        let shift = Shift {
            from: self.head.clock,
            to: clock,
        };
        let waiters = self.put.iter_mut();
        waiters.for_each(|(_, waiter)| Arc::make_mut(waiter).shift(shift));
        self.head = self.head.rebased(clock);
        self
    }

    /// For a store that keeps waiters as values of their own.
    #[must_use]
    pub fn into_parts(self) -> ChangeParts {
        ChangeParts {
            head: self.head,
            keeps: self.base > 0,
            gone: self.gone,
            put: self.put,
        }
    }
}

impl LockRecord {
    /// The record with this queue.
    #[must_use]
    pub fn with_waiters(mut self, waiters: Vec<Arc<Waiter>>) -> Self {
        if !waiters.is_empty() || self.queue_len() > 0 {
            self.rest_mut().queue = waiters.into();
            self.tidy();
        }
        self
    }

    fn without_queue(&self) -> Self {
        let rest = self.rest.as_deref().map(|rest| Rest {
            queue: VecDeque::new(),
            cooldown_until: rest.cooldown_until,
            reservations: rest.reservations.clone(),
            ended: rest.ended.clone(),
            settings: rest.settings.clone(),
            claims: rest.claims.clone(),
        });
        Self {
            clock: self.clock,
            revision: self.revision,
            last_token: self.last_token,
            holders: self.holders.clone(),
            rest: rest.filter(|rest| *rest != Rest::default()).map(Box::new),
        }
    }
}
