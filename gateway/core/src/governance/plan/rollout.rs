//! Chooses which of a rollout's two versions judges a request.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use leasehold_domain::LeasePolicies;
use leasehold_domain::Operation;
use leasehold_domain::Principal;
use leasehold_domain::Request;
use leasehold_domain::RolloutChoice;
use leasehold_domain::WallMillis;
use leasehold_domain::limits::ROLLOUT_STICKY_MS_MAX;
use leasehold_policy_evaluate::BUCKET_FUNCTION;
use leasehold_policy_evaluate::bucket;

use crate::flags::FlagLimit;
use crate::flags::FlagSnapshot;
use crate::governance::document::RolloutDocument;
use crate::governance::document::RolloutStage;
use crate::governance::document::RolloutUnit;
use crate::governance::pattern::LockPattern;

/// One of a rollout's two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The version that the binding named when the rollout was started.
    Current,
    /// The version that is to replace it.
    Candidate,
}

impl Variant {
    /// Returns the variant's name in decisions and in the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Candidate => "candidate",
        }
    }
}

/// A lease that is to be renewed or transferred.
#[derive(Debug, Clone)]
pub(crate) struct GrantedLease {
    /// When it was granted, by the clock of the gateway that was asked then.
    pub(crate) since: WallMillis,
    /// The versions that judged it.
    pub(crate) policies: Option<Arc<LeasePolicies>>,
}

/// How an open or full rollout chooses a version.
#[derive(Debug)]
pub(crate) struct RolloutRule {
    id: RolloutId,
    stage: RolloutStage,
    share: u32,
    unit: RolloutUnit,
    salt: Box<str>,
    /// The flag that may narrow it.
    flag: Option<Box<str>>,
    locks: Vec<LockPattern>,
    teams: BTreeSet<String>,
    subjects: BTreeSet<String>,
    policy: Box<str>,
    current_version: Box<str>,
    candidate_version: Box<str>,
    /// Which of the two versions was killed.
    killed: Killed,
}

/// Which of a rollout's two versions was killed.
#[derive(Debug, Clone, Copy, Default)]
struct Killed {
    current: bool,
    candidate: bool,
}

/// One step of one rollout; comparisons are counted for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RolloutId {
    /// The rollout's name.
    pub name: Arc<str>,
    /// Its salt, which differs from that of an earlier rollout of the same name.
    pub salt: Arc<str>,
    /// The number of changes of stage or share.
    pub epoch: u64,
}

impl RolloutId {
    /// Returns the step that a rollout is in.
    #[must_use]
    pub fn of(rollout: &RolloutDocument) -> Self {
        Self {
            name: rollout.name.as_str().into(),
            salt: rollout.salt.as_str().into(),
            epoch: rollout.state.epoch,
        }
    }
}

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.epoch)
    }
}

impl RolloutRule {
    /// Makes the rule of a rollout.
    ///
    /// # Errors
    /// A target is not a valid pattern.
    pub(super) fn new(document: &RolloutDocument) -> Result<Self, String> {
        let targets = &document.targets;
        let locks = targets.locks.iter().map(|text| LockPattern::parse(text));
        Ok(Self {
            id: RolloutId::of(document),
            stage: document.state.stage,
            share: document.state.share,
            unit: document.unit,
            salt: document.salt.as_str().into(),
            flag: document.flag.as_deref().map(Into::into),
            locks: locks.collect::<Result<_, _>>()?,
            teams: targets.teams.iter().cloned().collect(),
            subjects: targets.subjects.iter().cloned().collect(),
            policy: document.policy.as_str().into(),
            current_version: document.current.version.as_str().into(),
            candidate_version: document.candidate.version.as_str().into(),
            killed: Killed::default(),
        })
    }

    /// Returns whether two locks of one caller may be judged by different versions.
    pub(crate) fn is_by_lock(&self) -> bool {
        self.unit == RolloutUnit::Lock
    }

    /// Says whether the version that the binding names, and the other one, were killed.
    pub(super) fn kill(&mut self, bound: bool, other: bool) {
        let (current, candidate) = match self.bound() {
            Variant::Current => (bound, other),
            Variant::Candidate => (other, bound),
        };
        self.killed = Killed { current, candidate };
    }

    fn is_killed(&self, variant: Variant) -> bool {
        match variant {
            Variant::Current => self.killed.current,
            Variant::Candidate => self.killed.candidate,
        }
    }

    /// The step of which it is.
    pub(crate) fn id(&self) -> &RolloutId {
        &self.id
    }

    /// How the candidate is used.
    pub(crate) fn stage(&self) -> RolloutStage {
        self.stage
    }

    /// Returns whether the choice for an operation depends on the version that granted the lease. A
    /// change of the configuration alone takes effect at the next renewal.
    pub(crate) fn asks_for_lease(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Renew | Operation::Transfer)
            && self.stage != RolloutStage::Shadow
            && self.current_version != self.candidate_version
    }

    /// Returns the version that the binding names.
    pub(super) fn bound(&self) -> Variant {
        match self.stage {
            RolloutStage::Full => Variant::Candidate,
            _ => Variant::Current,
        }
    }

    /// Chooses the version that judges a request, and says why. `operation` is that of the request,
    /// or `Renew` to ask what would judge renewals of the lease. `flags` may narrow a canary.
    pub(super) fn choose(
        &self,
        operation: Operation,
        (request, principal): (&Request, &Principal),
        (lease, now): (Option<&GrantedLease>, WallMillis),
        flags: &FlagSnapshot,
    ) -> (Variant, RolloutChoice) {
        let mut bucket = None;
        let limit = match self.stage {
            RolloutStage::Canary => flags.limit(self.flag.as_deref()),
            _ => FlagLimit::NONE,
        };
        // The leases of a killed version, and of a candidate that a flag has stopped, pass to the
        // version that rules.
        let is_stopped =
            |variant| self.is_killed(variant) || (variant == Variant::Candidate && limit.stops());
        let variant = match self.granted_under(lease, now) {
            Some(variant) if self.asks_for_lease(operation) && !is_stopped(variant) => variant,
            _ => self.by_stage(operation, (request, principal), limit, &mut bucket),
        };
        let choice = RolloutChoice {
            rollout: (*self.id.name).into(),
            stage: self.stage.as_str().into(),
            variant: Some(variant.as_str().into()),
            bucket,
            bucket_function: bucket.map(|_| BUCKET_FUNCTION.into()),
            flag_share: Some(limit.share).filter(|share| *share < self.share),
        };
        (variant, choice)
    }

    /// Returns the version that judged the grant of a lease, for [`ROLLOUT_STICKY_MS_MAX`] after the
    /// grant; `None` if neither or both did.
    fn granted_under(&self, lease: Option<&GrantedLease>, now: WallMillis) -> Option<Variant> {
        let lease = lease.filter(|l| now.0.saturating_sub(l.since.0) < ROLLOUT_STICKY_MS_MAX)?;
        let granted = &lease.policies.as_ref()?.granted;
        let judged = |version: &str| {
            let mut granted = granted.iter();
            granted.any(|one| *one.policy == *self.policy && *one.version == *version)
        };
        match (
            judged(&self.current_version),
            judged(&self.candidate_version),
        ) {
            (true, false) => Some(Variant::Current),
            (false, true) => Some(Variant::Candidate),
            _ => None,
        }
    }

    fn by_stage(
        &self,
        operation: Operation,
        (request, principal): (&Request, &Principal),
        limit: FlagLimit,
        computed: &mut Option<u32>,
    ) -> Variant {
        // The right to revoke is always judged by the version that the binding names.
        let of_a_lease = matches!(
            operation,
            Operation::Acquire | Operation::Renew | Operation::Transfer
        );
        match self.stage {
            RolloutStage::Full => Variant::Candidate,
            RolloutStage::Canary if of_a_lease && !self.killed.candidate => {
                let bucket = self.bucket_of(request, principal);
                *computed = Some(bucket);
                let is_in = bucket < limit.narrow(self.share);
                match !limit.stops() && (is_in || self.is_target(request, principal)) {
                    true => Variant::Candidate,
                    false => Variant::Current,
                }
            }
            _ => Variant::Current,
        }
    }

    fn bucket_of(&self, request: &Request, principal: &Principal) -> u32 {
        let team = principal.team.as_ref();
        match (self.unit, team) {
            (RolloutUnit::Lock, _) => bucket(&self.salt, &request.lock.to_string()),
            (RolloutUnit::Team, Some(team)) => bucket(&self.salt, team.as_str()),
            (RolloutUnit::Team, None) | (RolloutUnit::Subject, _) => {
                bucket(&self.salt, principal.subject.as_str())
            }
        }
    }

    fn is_target(&self, request: &Request, principal: &Principal) -> bool {
        let lock = &request.lock.lock;
        let team = principal.team.as_ref();
        self.locks.iter().any(|pattern| pattern.matches(lock))
            || team.is_some_and(|team| self.teams.contains(team.as_str()))
            || self.subjects.contains(principal.subject.as_str())
    }
}
