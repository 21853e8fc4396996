//! One batch on its way: carried out in memory, sent, and settled or taken back.

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_domain::LockRef;
use leasehold_domain::Millis;
use leasehold_domain::limits::TOKENS_PER_WRITE;
use leasehold_machine::Moment;
use prost::Message;

use super::Jobs;
use super::Writer;
use super::is;
use crate::error;
use crate::group;
use crate::group::Due;
use crate::group::Group;
use crate::group::Job;
use crate::item::Answer;
use crate::item::Item;
use crate::mirror::Mirror;
use crate::mirror::OwnKeys;
use crate::mirror::Prepared;
use crate::mirror::tick;
use crate::proto::TxnRequest;
use crate::transaction;
use crate::transaction::Done;
use crate::transaction::Part;

/// How often a request may lose against other gateways before it counts as contended.
const LOSSES_MAX: usize = 64;
/// For so many transactions a lock or counter that was lost once is an island.
const HOT: u32 = 64;
/// How often one batch is worked out anew, because others wrote meanwhile or it was too large.
const LOOKS_MAX: usize = 16;

impl Writer {
    /// The writes, in one transaction, and then the reads: what the transaction has confirmed, or
    /// a question of its own.
    pub(super) async fn write_and_read(
        &mut self,
        mirror: &mut Mirror,
        jobs: &mut Jobs,
    ) -> Result<(), BackendError> {
        let ticks = jobs
            .iter()
            .any(|job| is(job, |item| matches!(item, Item::Tick)));
        let mut ticks_max = if ticks { usize::MAX } else { 0 };
        // Whether the mirror has all up to a head that was asked for after these jobs had come.
        let mut caught_up = false;
        for _ in 0..LOOKS_MAX {
            // What was caught up with may have raised it.
            self.shared.check_level(mirror)?;
            let mut due = match ticks_max {
                0 => Vec::new(),
                _ => mirror.due(self.shared.keeper.look()),
            };
            let more = Mirror::is_full(&due) || due.len() > ticks_max;
            due.truncate(ticks_max);
            ticks_max = due.len();
            let prepared = self.prepare(mirror, jobs, due);
            let parts = self.parts(mirror, &prepared);
            if parts.iter().all(|(_, part)| part.operations.is_empty()) {
                mirror.take_back_all(&prepared);
                if !caught_up && !self.confirm(mirror).await? {
                    // Others wrote before: what was worked out is of yesterday. What they write from
                    // here on need not be in the answers.
                    caught_up = true;
                    continue;
                }
                let answers = prepared.into_iter().flat_map(|one| one.answers);
                answer(jobs, answers.collect());
            } else if !self.write(mirror, jobs, prepared, parts).await? {
                self.cut(jobs, &mut ticks_max);
                continue;
            }
            self.answer_rest(mirror, jobs, more);
            return Ok(());
        }
        let detail = "other gateways wrote all the time";
        Err(BackendError::without_effect(ErrorKind::Contended, detail))
    }

    /// Carries out all writes in memory, group by group.
    fn prepare(&self, mirror: &mut Mirror, jobs: &Jobs, due: Vec<LockRef>) -> Vec<Prepared> {
        let there = jobs.iter().enumerate();
        let there = there.filter_map(|(at, job)| Some((at, &job.as_ref()?.item)));
        let writes: Vec<(usize, &Item)> = there.filter(|(_, item)| item.writes()).collect();
        let commands = writes.iter().flat_map(|(_, item)| item.commands());
        let near_cap = mirror.state.is_near_cap(commands);
        // Before it is sent: a lease that is granted by it was asked for before.
        let now = self.shared.keeper.look();
        let groups = self.group(mirror, &writes, due, near_cap, now);
        let at = Moment {
            level: mirror.state.level(),
            now,
            wall: self.shared.keeper.clock().wall(),
            // The revision of what this is worked out from: every later write of the same lock
            // knows a greater one.
            token_floor: mirror.writes().saturating_mul(TOKENS_PER_WRITE),
        };
        let each = groups.into_iter();
        each.map(|group| mirror.prepare(group, &writes, at))
            .collect()
    }

    /// What stands or falls together of these writes and ticks.
    fn group(
        &self,
        mirror: &Mirror,
        writes: &[(usize, &Item)],
        due: Vec<LockRef>,
        near_cap: bool,
        now: Millis,
    ) -> Vec<Group> {
        let jobs = writes.iter().map(|(at, item)| Job {
            at: *at,
            item,
            touches: mirror.touched(item.commands(), now),
        });
        let jobs: Vec<Job<'_>> = jobs.collect();
        let due = due.into_iter().map(|lock| Due {
            touches: mirror.touched(&[tick(&lock)], now),
            lock,
        });
        group::group(&jobs, due.collect(), near_cap, |touched| {
            self.hot.contains_key(touched)
        })
    }

    /// What each group asks of etcd, and the keys of its own.
    fn parts(&mut self, mirror: &Mirror, prepared: &[Prepared]) -> Vec<(OwnKeys, Part)> {
        // One group deletes them: no transaction does so twice.
        let mut forgotten = mirror.forgettable(self.shared.keeper.look());
        let each = prepared.iter().map(|one| {
            self.events += 1;
            let (keys, number) = (&self.shared.keys, self.events);
            let forgotten = match one.ended.is_empty() {
                true => Vec::new(),
                false => std::mem::take(&mut forgotten),
            };
            let own = OwnKeys {
                events: keys.events(self.id, number),
                ended: keys.ended(self.id, number),
                forgotten,
            };
            let part = mirror.part(one, keys, &own);
            (own, part)
        });
        each.collect()
    }

    /// Makes what was prepared durable, as far as nobody else was faster. Answers whether it fits
    /// into one transaction; if not, nothing has happened.
    async fn write(
        &mut self,
        mirror: &mut Mirror,
        jobs: &mut Jobs,
        prepared: Vec<Prepared>,
        parts: Vec<(OwnKeys, Part)>,
    ) -> Result<bool, BackendError> {
        let (keys, parts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let Some(request) = transaction::of(parts, &self.shared.keys, self.id) else {
            mirror.take_back_all(&prepared);
            return Ok(false);
        };
        self.shared.growth.grow(request.encoded_len());
        let sent = self.send(request, prepared.len()).await;
        let done = sent.inspect_err(|_| mirror.take_back_all(&prepared))?;
        for ((one, own), held) in prepared.iter().zip(&keys).zip(&done.held) {
            match held {
                true => mirror.settle(one, own, done.revision),
                false => mirror.take_back(one),
            }
        }
        self.settle(mirror, jobs, prepared, keys, &done).await?;
        Ok(true)
    }

    async fn send(&self, request: TxnRequest, parts: usize) -> Result<Done, BackendError> {
        let client = &self.connection()?.client;
        let answered = client.txn(request).await;
        let answered = answered.map_err(|status| error::written(&status))?;
        // It was carried out, whatever cannot be read of the answer.
        transaction::answered(&answered, parts)
            .map_err(|failure| BackendError::unknown(failure.kind, failure.detail))
    }

    /// Gives events their places, and answers; what was lost stays.
    async fn settle(
        &mut self,
        mirror: &mut Mirror,
        jobs: &mut Jobs,
        prepared: Vec<Prepared>,
        keys: Vec<OwnKeys>,
        done: &Done,
    ) -> Result<(), BackendError> {
        self.hot.retain(|_, left| {
            *left = left.saturating_sub(1);
            *left > 0
        });
        let missed = done.head > mirror.head;
        if missed {
            let to = if done.moved_head {
                done.revision
            } else {
                done.head
            };
            if let Err(failure) = self.catch_up(mirror, to).await {
                // What is in the mirror already, and not told of, must be read anew.
                mirror.head = 0;
                let lost = prepared.iter().zip(&done.held).filter(|(_, held)| !**held);
                lost.for_each(|(one, _)| fail_lost(jobs, one, &failure));
                return Err(BackendError::unknown(failure.kind, failure.detail));
            }
        } else if done.moved_head {
            mirror.head = done.revision;
        }
        let (mut entries, mut commands) = (Vec::new(), 0);
        let mut answers = Vec::new();
        for ((mut one, own), held) in prepared.into_iter().zip(keys).zip(&done.held) {
            if !held {
                let lost = mirror.lost(&one);
                self.hot
                    .extend(lost.into_iter().map(|touched| (touched, HOT)));
                lose(jobs, &one);
                continue;
            }
            commands += one.commands;
            answers.append(&mut one.answers);
            if !one.events.is_empty() {
                entries.push((own.events, one.events));
            }
        }
        if !missed {
            self.shared.outbox.push(entries);
        }
        if done.held.iter().any(|held| *held) {
            self.shared.status.wrote(commands);
        }
        self.shared.reached(mirror);
        answer(jobs, answers);
        Ok(())
    }

    /// Reads, and ticks that were a part of the transaction.
    fn answer_rest(&self, mirror: &Mirror, jobs: &mut Jobs, more: bool) {
        let now = self.shared.keeper.look();
        for place in jobs.iter_mut() {
            let answer = match place.as_ref().map(|job| &job.item) {
                Some(Item::Read(query)) => mirror.read(query, now),
                Some(Item::Tick) => Answer::Ticked { more },
                _ => continue,
            };
            if let Some(job) = place.take() {
                job.answer(answer);
            }
        }
    }

    /// Makes a batch smaller that does not fit into one transaction.
    fn cut(&mut self, jobs: &mut Jobs, ticks_max: &mut usize) {
        let writes = |item: &Item| item.writes() && !matches!(item, Item::Tick);
        let places = jobs.iter_mut().filter(|job| is(job, writes));
        let mut places: Vec<_> = places.collect();
        match places.len() {
            0 => *ticks_max = (*ticks_max / 2).max(1),
            1 if *ticks_max > 0 => *ticks_max = 0,
            1 => {
                let detail = "it does not fit into one transaction of etcd";
                let failure = BackendError::without_effect(ErrorKind::Invalid, detail);
                if let Some(job) = places.pop().and_then(Option::take) {
                    job.fail(failure);
                }
            }
            count => {
                let second = places.drain(count / 2..);
                self.later.extend(second.filter_map(Option::take));
                *ticks_max = 0;
            }
        }
    }
}

fn answer(jobs: &mut Jobs, answers: Vec<(usize, Answer)>) {
    for (at, answer) in answers {
        if let Some(job) = jobs.get_mut(at).and_then(Option::take) {
            job.answer(answer);
        }
    }
}

/// Fails the jobs of a group that lost: it was not carried out, whatever else is the matter.
fn fail_lost(jobs: &mut Jobs, prepared: &Prepared, failure: &BackendError) {
    for at in &prepared.group.jobs {
        if let Some(job) = jobs.get_mut(*at).and_then(Option::take) {
            job.fail(BackendError::without_effect(
                failure.kind,
                failure.detail.clone(),
            ));
        }
    }
}

/// Jobs of a group that lost stay, unless they have lost too often.
fn lose(jobs: &mut Jobs, prepared: &Prepared) {
    for at in &prepared.group.jobs {
        let Some(place) = jobs.get_mut(*at) else {
            continue;
        };
        if let Some(job) = place {
            job.losses += 1;
        }
        if let Some(job) = place.take_if(|job| job.losses >= LOSSES_MAX) {
            let detail = "other gateways were faster each time";
            job.fail(BackendError::without_effect(ErrorKind::Contended, detail));
        }
    }
}
