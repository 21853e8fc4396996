//! Evaluates the other version of a policy after the answer, and counts how the two versions differ.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::sync::mpsc::sync_channel;

use leasehold_domain::Cause;
use leasehold_domain::Clock;
use leasehold_domain::Operation;
use leasehold_domain::PolicyAnswer;
use leasehold_domain::PolicyVerdict;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::SHADOW_HOLDERS_MAX;
use leasehold_domain::limits::SHADOW_QUEUE_MAX;
use leasehold_policy_evaluate::Evaluation;
use leasehold_policy_evaluate::EvaluationError;
use leasehold_policy_evaluate::Question;
use leasehold_policy_host::Budget;
use leasehold_policy_host::cases::describe_answer;

use super::difference::Difference;
use super::tally::Counts;
use super::tally::Sample;
use super::tally::SampleDifference;
use super::tally::Standing;
use super::tally::Tally;
use super::tally::WindowBatch;
use super::window::Evidence;
use crate::governance::OpenRollout;
use crate::governance::document::WindowReport;
use crate::governance::plan::PlanStep;
use crate::governance::plan::RolloutId;
use crate::governance::plan::Variant;
use crate::telemetry::Metrics;

/// A request that one version has judged, queued for evaluation by the other version.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// The rollout, in its current step.
    pub(crate) rollout: RolloutId,
    /// Whether two locks of one caller may be judged by different versions.
    pub(crate) is_by_lock: bool,
    /// The version that judged.
    pub(crate) variant: Variant,
    /// Its verdict, by index among those of the decision; `None` if it does not judge the operation.
    pub(crate) verdict: Option<usize>,
    /// The other version.
    pub(crate) other: Arc<PlanStep>,
    /// The request, with its decision.
    pub(crate) cause: Arc<Cause>,
}

impl Comparison {
    /// Returns the number of holders and waiters in the view of the lock that it holds.
    fn holders(&self) -> usize {
        let decision = self.cause.decision.as_ref();
        let view = decision.and_then(|decision| decision.facts.lock.as_deref());
        view.map_or(0, |view| view.holders.len() + view.queue.len())
    }
}

/// What the differences say of a candidate where a rollout by lock cannot count.
const MISCOUNTED: &str = "failed: verdicts carry counters, and with the unit lock the two versions \
                          would put different maxima on leases of one caller; roll out by team or \
                          subject";

/// The nice value that gives a thread the least of the processor.
const LOWEST_PRIORITY: i32 = 19;

/// Compares versions on a separate thread with a bounded queue. A request that finds the queue full is
/// counted as shed and never waits.
#[derive(Debug)]
pub struct Comparer {
    queue: SyncSender<Comparison>,
    tallies: Mutex<HashMap<RolloutId, Tally>>,
    /// Differences of steps that were left, which nobody has taken yet.
    left: Mutex<Vec<(RolloutId, WindowBatch)>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    budget: Budget,
    hashes: std::hash::RandomState,
    /// Holders and waiters in the views of locks of the queued comparisons, which bounds their memory.
    pub(crate) queued_holders: AtomicUsize,
}

impl Comparer {
    /// Starts the thread, which ends when the comparer is dropped. `budget`: what one comparison may
    /// spend.
    pub(crate) fn start(clock: Arc<dyn Clock>, metrics: Arc<Metrics>, budget: Budget) -> Arc<Self> {
        let (queue, waiting) = sync_channel(SHADOW_QUEUE_MAX);
        let comparer = Arc::new(Self {
            queue,
            tallies: Mutex::default(),
            left: Mutex::default(),
            clock,
            metrics,
            budget,
            hashes: std::hash::RandomState::new(),
            queued_holders: AtomicUsize::new(0),
        });
        let weak = Arc::downgrade(&comparer);
        let run = move || {
            yield_to_requests();
            serve(&waiting, |comparison| {
                if let Some(comparer) = weak.upgrade() {
                    let holders = comparison.holders();
                    comparer.queued_holders.fetch_sub(holders, Relaxed);
                    comparer.compare(&comparison);
                }
            });
        };
        let thread = std::thread::Builder::new().name("rollouts".to_owned());
        if let Err(error) = thread.spawn(run) {
            // Every comparison is shed then, and counted as such.
            tracing::error!(%error, "rollouts.compare cannot start its thread");
        }
        comparer
    }

    /// Queues a comparison, or counts it as shed if the queue is full.
    pub(crate) fn ask(&self, comparison: Comparison) {
        let holders = comparison.holders();
        let before = self.queued_holders.fetch_add(holders, Relaxed);
        let refused = if holders > 0 && before + holders > SHADOW_HOLDERS_MAX {
            comparison
        } else {
            match self.queue.try_send(comparison) {
                Ok(()) => return,
                Err(TrySendError::Full(refused) | TrySendError::Disconnected(refused)) => refused,
            }
        };
        self.queued_holders.fetch_sub(holders, Relaxed);
        self.tallies().entry(refused.rollout).or_default().shed();
        self.metrics.rollout_comparison("shed");
    }

    /// Returns the comparisons of a rollout's step on this gateway; `None` if there are none.
    #[must_use]
    pub fn standing(&self, rollout: &RolloutId) -> Option<Standing> {
        self.tallies().get(rollout).map(Tally::standing)
    }

    /// Returns the counts of a rollout's step on this gateway, and the newest windows that are over at
    /// `now`. It ends those first: a report that says that a window is over must have its counts.
    pub(super) fn counted(
        &self,
        open: &OpenRollout,
        now: WallMillis,
    ) -> (Counts, Vec<WindowReport>) {
        let mut tallies = self.tallies();
        let Some(tally) = tallies.get_mut(&open.id) else {
            return (Counts::default(), Vec::new());
        };
        tally.look(open.windows_over(now.0), &open.rails);
        tally.counted()
    }

    /// Goes on from what this gateway had counted in a step before it was started again, unless it has
    /// counted something since.
    pub(super) fn resume(&self, rollout: &RolloutId, counts: Counts, windows: &[WindowReport]) {
        let mut tallies = self.tallies();
        let tally = tallies.entry(rollout.clone());
        tally.or_insert_with(|| Tally::resumed(counts, windows));
    }

    /// Ends the windows that are over at `now`, and drops the counts of all rollouts but these. Returns
    /// the steps in which the candidate has failed too often for waiting, with the evidence.
    pub(super) fn look(&self, open: &[OpenRollout], now: WallMillis) -> Vec<(RolloutId, Evidence)> {
        let mut tallies = self.tallies();
        let is_left =
            |rollout: &RolloutId, _: &mut Tally| !open.iter().any(|open| open.id == *rollout);
        let left = tallies.extract_if(is_left).flat_map(|(rollout, tally)| {
            let batches = tally.left().into_iter();
            batches.map(move |batch| (rollout.clone(), batch))
        });
        let mut kept = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(left);
        drop(kept);
        let looked = open.iter().filter_map(|open| {
            let tally = tallies.get_mut(&open.id)?;
            let evidence = tally.look(open.windows_over(now.0), &open.rails)?;
            Some((open.id.clone(), evidence))
        });
        looked.collect()
    }

    /// Takes the differences of windows that are over, and of steps that were left.
    pub(super) fn batches(&self) -> Vec<(RolloutId, WindowBatch)> {
        let mut all = {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *left)
        };
        for (rollout, tally) in self.tallies().iter_mut() {
            let batches = tally.take_batches().into_iter();
            all.extend(batches.map(|batch| (rollout.clone(), batch)));
        }
        all
    }

    fn tallies(&self) -> MutexGuard<'_, HashMap<RolloutId, Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compare(&self, comparison: &Comparison) {
        let cause = &comparison.cause;
        let Some(decision) = &cause.decision else {
            return;
        };
        let question = Question {
            request: &cause.request,
            principal: &cause.principal,
            facts: &decision.facts,
        };
        let mut evaluation = Evaluation::new(self.budget);
        let steps = std::iter::once(&comparison.other.step);
        evaluation.advance(steps, question, None, &*self.clock);
        let (judgment, asked) = evaluation.finish();
        let Some(verdict) = judgment.verdicts.first() else {
            return;
        };
        let judged = comparison.verdict.and_then(|at| decision.verdicts.get(at));
        let (current, candidate) = match comparison.variant {
            Variant::Current => (judged, Some(verdict)),
            Variant::Candidate => (Some(verdict), judged),
        };
        let error = asked.first().and_then(|asked| asked.error.as_ref());
        let over_budget = comparison.variant == Variant::Current && error.is_some_and(is_budget);
        let (said, says) = (answer(current), answer(candidate));
        let is_miscounted = comparison.is_by_lock
            && cause.request.operation == Operation::Acquire
            && (carries_counters(said) || carries_counters(says));
        let difference = match is_miscounted {
            true => Some(Difference::Failed),
            false => Difference::between(said, says, over_budget),
        };
        self.metrics
            .rollout_comparison(difference.map_or("agreed", Difference::as_str));
        let principal = &cause.principal;
        let fuel = |verdict: Option<&PolicyVerdict>| verdict.map_or(0, |verdict| verdict.fuel);
        self.count(
            &comparison.rollout,
            Sample {
                pair: self
                    .hashes
                    .hash_one((&principal.subject, &cause.request.lock)),
                current_fuel: fuel(current),
                candidate_fuel: fuel(candidate),
                difference: difference.map(|kind| SampleDifference {
                    kind,
                    at: decision.facts.now,
                    subject: principal.subject.to_string(),
                    team: principal.team.as_ref().map(ToString::to_string),
                    operation: cause.request.operation.as_str(),
                    lock: cause.request.lock.clone(),
                    current: said.map_or_else(unasked, described),
                    candidate: match is_miscounted {
                        true => MISCOUNTED.to_owned(),
                        false => says.map_or_else(unasked, described),
                    },
                }),
            },
        );
    }

    fn count(&self, rollout: &RolloutId, sample: Sample) {
        let mut tallies = self.tallies();
        if !tallies.contains_key(rollout) {
            tallies.insert(rollout.clone(), Tally::default());
        }
        if let Some(tally) = tallies.get_mut(rollout) {
            tally.add(sample);
        }
    }
}

/// Lowers the priority of this thread. When requests use all processors, the queue fills up and
/// comparisons are shed; requests are not delayed.
fn yield_to_requests() {
    // On Linux `nice` changes the calling thread only; elsewhere it would change the whole process.
    if cfg!(target_os = "linux")
        && let Err(error) = rustix::process::nice(LOWEST_PRIORITY)
    {
        tracing::warn!(%error, "rollouts.compare cannot lower its priority");
    }
}

/// Compares until the sender is dropped. A panic ends one comparison, not the thread.
fn serve(waiting: &Receiver<Comparison>, compare: impl Fn(Comparison)) {
    for comparison in waiting {
        let id = comparison.rollout.clone();
        let compared = std::panic::catch_unwind(AssertUnwindSafe(|| compare(comparison)));
        if compared.is_err() {
            tracing::error!(rollout = %id, "rollouts.compare panicked");
        }
    }
}

/// Whether a policy has no verdict because it exceeded its budget.
fn is_budget(error: &EvaluationError) -> bool {
    match error {
        EvaluationError::Failed(fault) => matches!(fault.as_str(), "fuel" | "deadline"),
        EvaluationError::RequestFuelSpent(_) | EvaluationError::RequestTimeSpent(_) => true,
        EvaluationError::NotLoaded(_)
        | EvaluationError::Killed(_)
        | EvaluationError::TooManyPolicies
        | EvaluationError::TooManyCounters => false,
    }
}

/// Returns whether the lease that an answer allows carries counters.
fn carries_counters(answer: Option<&PolicyAnswer>) -> bool {
    match answer {
        Some(PolicyAnswer::Allow(limits)) => !limits.counters.is_empty(),
        _ => false,
    }
}

fn answer(verdict: Option<&PolicyVerdict>) -> Option<&PolicyAnswer> {
    verdict.map(|verdict| &verdict.answer)
}

fn unasked() -> String {
    "does not judge the operation".to_owned()
}

/// Describes an answer for people. Why a policy failed is for its author alone.
pub(crate) fn described(answer: &PolicyAnswer) -> String {
    match answer {
        PolicyAnswer::Error { passed: true, .. } => "failed, and passes".to_owned(),
        PolicyAnswer::Error { passed: false, .. } => "failed, and denies".to_owned(),
        answer => describe_answer(answer),
    }
}
