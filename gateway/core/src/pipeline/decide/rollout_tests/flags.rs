//! Canaries that a flag narrows, stops and holds.

use futures_util::StreamExt as _;
use leasehold_domain::Clock as _;
use leasehold_domain::Cursor;
use leasehold_domain::EventKind;

use super::approvals::ann;
use super::approvals::approved_by;
use super::approvals::approvers;
use super::automatic::automatic;
use super::automatic::guarded;
use super::automatic::pass;
use super::automatic::some_compared;
use super::automatic::until_step;
use super::*;
use crate::flags::FlagSource as _;
use crate::flags::OfrepSource;
use crate::flags::fixture::Server;
use crate::flags::fixture::settings;
use crate::governance::FlagEdit;
use crate::governance::RolloutEdit;

/// A gateway whose rollouts follow a flag service.
struct Followed {
    gate: Arc<Gate>,
    clock: Arc<ManualClock>,
    server: Server,
    source: Arc<OfrepSource>,
}

impl Followed {
    /// With a candidate that denies.
    async fn open() -> Self {
        Self::with(&["acquire"], true).await
    }

    async fn with(operations: &[&str], denies: bool) -> Self {
        let server = Server::start().await;
        let clock = Arc::new(ManualClock::new(WallMillis(1_800_000_000_000)));
        let metrics = Arc::new(Metrics::new());
        let source = OfrepSource::new(&settings(&server), clock.clone(), metrics);
        let source = Arc::new(source.unwrap());
        let gate = Gate::open_flagged(clock.clone(), source.clone()).await;
        prepare(&gate, operations, version("2.0.0", operations, denies)).await;
        Self {
            gate: Arc::new(gate),
            clock,
            server,
            source,
        }
    }

    /// Polls the service, which answers with this value.
    async fn says(&self, value: &str) {
        self.server.flag(value);
        self.look(5_000).await;
    }

    async fn look(&self, after_ms: u64) {
        self.clock.advance(after_ms);
        self.source.look(&["a".to_owned()].into()).await;
    }

    async fn start(&self, steps: &[RolloutStep]) -> RolloutDocument {
        start(&self.gate, &flagged(steps)).await
    }
}

fn flagged(steps: &[RolloutStep]) -> RolloutDraft {
    RolloutDraft {
        flag: Some("a".to_owned()),
        ..draft(steps)
    }
}

fn expected(rollout: &RolloutDocument, share: u32) -> BTreeSet<usize> {
    let is_in = |n: &usize| bucket(&rollout.salt, &format!("demo/l/{n}")) < share;
    (0..200).filter(is_in).collect()
}

#[tokio::test]
async fn a_flag_narrows_a_canary_and_never_widens_it() {
    let followed = Followed::open().await;
    let gate = &followed.gate;
    let rollout = followed.start(&[canary(50), FULL]).await;
    // Nobody is in before the first answer.
    assert_eq!(denied(gate).await, BTreeSet::new());
    for (value, share) in [
        ("10", 10_000),
        ("false", 0),
        ("\"off\"", 0),
        ("10", 10_000),
        ("90", 50_000),
        ("0.5", 500),
        ("true", 50_000),
        ("\"hold\"", 50_000),
        // Neither is a value: the one before holds.
        ("1000", 50_000),
        ("\"everybody\"", 50_000),
    ] {
        followed.says(value).await;
        assert_eq!(denied(gate).await, expected(&rollout, share), "{value}");
    }
    followed.says("10").await;
    followed.server.stop().await;
    followed.look(3_600_000).await;
    assert_eq!(denied(gate).await, expected(&rollout, 10_000));
}

#[tokio::test]
async fn a_decision_says_that_a_flag_has_narrowed_the_canary() {
    let followed = Followed::with(&["acquire"], false).await;
    let rollout = followed.start(&[canary(50), FULL]).await;
    let choice = async |n: usize| {
        let lock = format!("demo/l/{n}");
        let svc = caller("svc", &[]);
        let held = followed.gate.acquire(&svc, &lock, None).await.unwrap();
        followed
            .gate
            .release(&svc, &lock, held.grant.lease_id)
            .await;
        let decision = held.decision.unwrap();
        decision.verdicts[0].rollout.as_deref().unwrap().clone()
    };
    let narrowed = expected(&rollout, 10_000);
    let out = expected(&rollout, 50_000);
    let (one_in, one_out) = (
        *narrowed.first().unwrap(),
        *out.difference(&narrowed).next().unwrap(),
    );
    followed.says("10").await;
    for (n, variant) in [(one_in, "candidate"), (one_out, "current")] {
        let choice = choice(n).await;
        assert_eq!(choice.variant.as_deref(), Some(variant));
        assert_eq!(choice.flag_share, Some(10_000));
    }
    followed.says("60").await;
    let choice = choice(one_out).await;
    assert_eq!(choice.variant.as_deref(), Some("candidate"));
    assert_eq!(choice.flag_share, None);
}

#[tokio::test]
async fn a_flag_that_stops_takes_targets_and_leases_from_the_candidate() {
    let operations = &["acquire", "renew"];
    let followed = Followed::with(operations, false).await;
    let targets = RolloutTargets {
        subjects: vec!["svc".to_owned()],
        ..RolloutTargets::default()
    };
    let rollout = RolloutDraft {
        targets,
        ..flagged(&[canary(50), FULL])
    };
    start(&followed.gate, &rollout).await;
    let (gate, svc) = (&followed.gate, caller("svc", &[]));
    followed.says("10").await;
    let held = gate.acquire(&svc, "demo/a", None).await.unwrap();
    let judged_by = |decision: &Option<Arc<leasehold_domain::Decision>>| {
        let decision = decision.as_ref().unwrap();
        decision.verdicts[0].version.to_string()
    };
    assert_eq!(
        judged_by(&held.decision),
        "2.0.0",
        "a target, by a narrowed canary"
    );
    followed.says("\"off\"").await;
    let renewed = gate
        .renew(&svc, "demo/a", held.grant.lease_id, None)
        .await
        .unwrap();
    assert_eq!(
        judged_by(&renewed.decision),
        "1.0.0",
        "a lease of a stopped candidate"
    );
    let held = gate.acquire(&svc, "demo/b", None).await.unwrap();
    assert_eq!(
        judged_by(&held.decision),
        "1.0.0",
        "a target of a stopped candidate"
    );
}

/// Why the rollout does not advance.
async fn refused(gate: &Gate) -> String {
    let failure = change(gate, RolloutAction::Advance).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    failure.message
}

#[tokio::test]
async fn a_rollout_advances_as_far_as_its_flag_allows_and_not_on_an_old_answer() {
    let followed = Followed::open().await;
    let gate = &followed.gate;
    followed
        .start(&[SHADOW, canary(10), canary(50), FULL])
        .await;
    assert!(refused(gate).await.contains("no answer yet for flag a"));
    followed.says("9.9").await;
    assert_eq!(
        refused(gate).await,
        "rollout r: flag a holds it: at most 9.9 %"
    );
    followed.says("50").await;
    change(gate, RolloutAction::Advance).await.unwrap();
    followed.says("\"hold\"").await;
    assert_eq!(
        refused(gate).await,
        "rollout r: flag a holds it: held in its step"
    );
    followed.says("50").await;
    followed.clock.advance(60_001);
    assert!(refused(gate).await.contains("is 60001 ms old"));
    followed.says("50").await;
    change(gate, RolloutAction::Advance).await.unwrap();
    // The full stage is all.
    assert_eq!(
        refused(gate).await,
        "rollout r: flag a holds it: at most 50 %"
    );
    followed.says("true").await;
    let full = change(gate, RolloutAction::Advance).await.unwrap();
    assert_eq!(full.state.stage, RolloutStage::Full);
    // The rollout is over: its flag takes nothing back.
    followed.says("false").await;
    assert_eq!(denied(gate).await.len(), 200);
    // The way back is open whatever the flag says.
    let back = change(gate, RolloutAction::RollBack).await.unwrap();
    assert_eq!(back.state.stage, RolloutStage::RolledBack);
}

#[tokio::test]
async fn an_automatic_rollout_waits_for_its_flag_and_says_so() {
    let followed = Followed::with(&["acquire"], false).await;
    let (gate, clock) = (&followed.gate, &followed.clock);
    let plan = RolloutDraft {
        flag: Some("a".to_owned()),
        ..automatic(&[SHADOW, canary(50), FULL])
    };
    start(gate, &plan).await;
    followed.says("60").await;
    // An answer that is too old would hold it too, however long the windows take here.
    let source = followed.source.clone();
    let polling = tokio::spawn(async move {
        loop {
            source.look(&["a".to_owned()].into()).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let guarding = guarded(gate);
    until_step(gate, clock, 1).await;
    // Once everything else is there, it waits for the flag alone.
    let held = Some("flag a holds it: at most 60 %".to_owned());
    let mut waits = None;
    for _ in 0..100 {
        let rollout = gate.governance.rollout("r").await.unwrap().document;
        assert_eq!(rollout.state.step, 1);
        let status = gate.pipeline.steps(&[&rollout]).await.unwrap().remove(0);
        waits = status.unwrap().waits;
        if waits == held {
            break;
        }
        denied(gate).await;
        some_compared(gate, &rollout).await;
        pass(clock).await;
    }
    assert_eq!(waits, held);
    followed.says("true").await;
    until_step(gate, clock, 2).await;
    guarding.abort();
    polling.abort();
}

/// The governance events whose summaries have this part.
async fn summaries(gate: &Gate, part: &str) -> Vec<String> {
    let store = gate.pipeline.inner.stores.home();
    let newest = store.door.health().await.newest;
    let mut events = store.parts.backend.events(Cursor(0));
    let mut summaries = Vec::new();
    loop {
        let event = events.next().await.unwrap().unwrap();
        if let EventKind::Governance(change) = &event.kind
            && change.summary.contains(part)
        {
            summaries.push(change.summary.to_string());
        }
        if event.cursor >= newest {
            return summaries;
        }
    }
}

#[tokio::test]
async fn the_ledger_has_each_change_of_the_answer_once() {
    let followed = Followed::open().await;
    let gate = &followed.gate;
    let watching = tokio::spawn(crate::rollouts::watch_flags(
        gate.governance.clone(),
        gate.pipeline.reporter().clone(),
        followed.source.clone(),
    ));
    followed.server.flag("10");
    followed.start(&[canary(50), FULL]).await;
    let until = async |value: &str, polls: usize| {
        for _ in 0..1_000 {
            let snapshot = followed.source.snapshot();
            let status = snapshot.status("a", followed.clock.monotonic());
            let has_polled = followed.server.requests().len() >= polls;
            if status.value.as_deref() == Some(value) && has_polled {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the flag did not come to {value}");
    };
    until("10", 1).await;
    for (value, polls) in [("10", 2), ("20", 3)] {
        followed.server.flag(value);
        followed.clock.advance(5_000);
        until(value, polls).await;
    }
    let told = async || {
        let mut told = summaries(gate, "flag a").await;
        // The rollout may be seen before the service is asked.
        told.retain(|summary| !summary.contains("no answer yet"));
        told
    };
    for _ in 0..1_000 {
        if told().await.len() >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    watching.abort();
    let told = told().await;
    let [first, second] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(
        first.ends_with("flag a: at most 10 %, value 10, variant v"),
        "{first}"
    );
    assert!(
        second.ends_with("flag a: at most 20 %, value 20, variant v"),
        "{second}"
    );
    assert!(first.starts_with("rollout r on "), "{first}");
}

#[tokio::test]
async fn a_gateway_without_a_flag_service_starts_no_rollout_that_names_a_flag() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    let op = caller("op", &[]);
    let draft = flagged(&[canary(50), FULL]);
    let refused = gate
        .governance
        .start_rollout(&op, &draft)
        .await
        .unwrap_err();
    assert!(
        refused.message.contains("rollouts.flag_service"),
        "{refused:?}"
    );
}

async fn edit_flag(gate: &Gate, flag: FlagEdit) -> Result<RolloutDocument, Failure> {
    let edited = RolloutEdit {
        flag: Some(flag),
        ..RolloutEdit::default()
    };
    let why = RolloutReason::default();
    let editing = gate.governance.edit_rollout(ann(), "r", &edited, why, None);
    editing.await.map(|stored| stored.document)
}

fn follow(key: &str) -> FlagEdit {
    FlagEdit::Follow(key.to_owned())
}

#[tokio::test]
async fn an_approval_is_for_the_flag_that_the_rollout_had() {
    let followed = Followed::open().await;
    let gate = &followed.gate;
    approvers(gate, &[("bob", "root"), ("eve", "root")]).await;
    gate.governance.set_approval_rule(ann(), 1).await.unwrap();
    followed.start(&[SHADOW, canary(10), FULL]).await;
    followed.says("true").await;
    let advance = async || change(gate, RolloutAction::Advance).await;
    let refused = async || advance().await.unwrap_err().kind;
    // Approved with the flag, and edited without it.
    assert_eq!(refused().await, FailureKind::ApprovalRequired);
    let approved = approved_by(gate, &["bob"]).await.stored.document.id;
    let edited = edit_flag(gate, FlagEdit::Remove).await.unwrap();
    assert_eq!(edited.flag, None);
    assert_eq!(refused().await, FailureKind::ApprovalRequired);
    // With another flag, too.
    edit_flag(gate, follow("b")).await.unwrap();
    let other = async || gate.governance.approval(&approved).await.unwrap();
    assert_eq!(other().await.counted, 1, "of the plan before");
    let held = advance().await.unwrap_err();
    assert_eq!(held.kind, FailureKind::Conflict, "flag b has no answer");
    // With the approved flag again, the approval counts again.
    edit_flag(gate, follow("a")).await.unwrap();
    let withdrawn = gate.governance.approvals().await.unwrap();
    for one in withdrawn.iter().filter(|one| one.counted == 0) {
        let id = &one.stored.document.id;
        let withdrawing = gate.governance.withdraw_approval(ann(), id, None);
        withdrawing.await.unwrap();
    }
    let canary = advance().await.unwrap();
    assert_eq!(canary.state.stage, RolloutStage::Canary);
    // In a canary the edit is in force at once, and waits for its approval.
    let early = edit_flag(gate, FlagEdit::Remove).await.unwrap_err();
    assert_eq!(early.kind, FailureKind::ApprovalRequired);
    let rollout = gate.governance.rollout("r").await.unwrap().document;
    assert_eq!(rollout.flag.as_deref(), Some("a"));
    approved_by_all_open(gate, "eve").await;
    let edited = edit_flag(gate, FlagEdit::Remove).await.unwrap();
    assert_eq!(edited.flag, None);
    followed.says("false").await;
    assert_eq!(denied(gate).await, expected(&edited, 10_000));
    let told = summaries(gate, "plan edited").await;
    let ends = ["a -> none", "none -> b", "b -> a", "a -> none"];
    assert_eq!(told.len(), ends.len(), "{told:?}");
    for (told, end) in told.iter().zip(ends) {
        assert!(told.ends_with(end), "{told}");
    }
}

/// Lets somebody approve each open request.
async fn approved_by_all_open(gate: &Gate, who: &str) {
    let who = caller(who, &[Role::Approver]);
    for one in gate.governance.approvals().await.unwrap() {
        let id = &one.stored.document.id;
        if one.state == crate::governance::document::ApprovalState::Open && one.counted == 0 {
            gate.governance.approve(&who, id, None).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_edit_of_a_flag_that_cannot_be_followed_or_changes_nothing_is_refused() {
    let (gate, _) = gate(&["acquire"], version("2.0.0", &["acquire"], true)).await;
    start(&gate, &draft(&[canary(50), FULL])).await;
    let refused = edit_flag(&gate, follow("a")).await.unwrap_err();
    assert!(refused.message.contains("rollouts.flag_service"));
    for (flag, part) in [
        (FlagEdit::Remove, "changes nothing"),
        (follow(""), "must not be empty"),
    ] {
        let refused = edit_flag(&gate, flag).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Invalid);
        assert!(refused.message.contains(part), "{refused:?}");
    }
    let followed = Followed::open().await;
    let gate = &followed.gate;
    start(gate, &draft(&[canary(50), FULL])).await;
    assert_eq!(
        denied(gate).await.len(),
        expected_of(gate, 50_000).await.len()
    );
    edit_flag(gate, follow("a")).await.unwrap();
    // Nobody is in before the first answer.
    assert_eq!(denied(gate).await, BTreeSet::new());
    followed.says("10").await;
    assert_eq!(denied(gate).await, expected_of(gate, 10_000).await);
}

async fn expected_of(gate: &Gate, share: u32) -> BTreeSet<usize> {
    let rollout = gate.governance.rollout("r").await.unwrap().document;
    expected(&rollout, share)
}
