//! The state: many locks, batches, ticks, lists, documents, snapshots.

use std::sync::Arc;

use leasehold_domain::Action;
use leasehold_domain::Atomicity;
use leasehold_domain::Change;
use leasehold_domain::Command;
use leasehold_domain::Counts;
use leasehold_domain::Cursor;
use leasehold_domain::Edit;
use leasehold_domain::EditOutcome;
use leasehold_domain::EventKind;
use leasehold_domain::Expectation;
use leasehold_domain::ListQuery;
use leasehold_domain::LockFilter;
use leasehold_domain::Millis;
use leasehold_domain::Note;
use leasehold_domain::Outcome;
use leasehold_domain::Precondition;
use leasehold_domain::Usage;
use leasehold_domain::limits::ENDED_LEASE_MEMORY_MS;
use leasehold_machine::State;

use crate::asking::EXCLUSIVE;
use crate::asking::acquire;
use crate::asking::command;
use crate::asking::granted;
use crate::asking::lease;
use crate::asking::lock;
use crate::asking::moment;
use crate::asking::release;
use crate::asking::run_each;
use crate::asking::subject;

fn take(who: &str, name: &str, id: u64, ttl_ms: u64) -> Command {
    let request = format!("{who}-{id}");
    command(
        who,
        &request,
        lock(name),
        acquire(id, EXCLUSIVE, ttl_ms, None),
    )
}

fn give(who: &str, name: &str, id: u64) -> Command {
    command(who, "give", lock(name), release(id))
}

fn usage(state: &State, who: &str) -> (u32, u32) {
    let team = format!("team-{}", &who[..1]).parse().unwrap();
    let usage = state.usage(&"demo".parse().unwrap(), &subject(who), Some(&team));
    (usage.subject_leases, usage.team_leases)
}

#[test]
fn several_locks_are_taken_together_or_not_at_all() {
    let mut state = State::default();
    run_each(&mut state, 0, 1, &[take("bob", "b", 1, 1_000)]);
    let digest = state.digest();
    let mut all = vec![
        take("ann", "a", 2, 1_000),
        take("ann", "b", 3, 1_000),
        take("ann", "c", 4, 1_000),
    ];
    // Even those who would wait do not: nothing is queued half-way.
    all[1].action = acquire(3, EXCLUSIVE, 1_000, Some(5_000));
    let failed = state.execute(&all, Atomicity::AllOrNothing, &[], moment(0, 2));
    assert!(matches!(
        failed.outcomes[..],
        [
            Outcome::NotAttempted,
            Outcome::Held { .. },
            Outcome::NotAttempted
        ]
    ));
    assert!(failed.events.is_empty());
    assert_eq!(state.digest(), digest);

    run_each(&mut state, 1, 3, &[give("bob", "b", 1)]);
    let done = state.execute(&all, Atomicity::AllOrNothing, &[], moment(1, 4));
    assert_eq!(done.events.len(), 3);
    let tokens: Vec<_> = done
        .outcomes
        .into_iter()
        .map(|o| granted(o).token)
        .collect();
    assert_eq!(usage(&state, "ann"), (3, 3));
    // A lost answer: the same request gets the same leases.
    let again = state.execute(&all, Atomicity::AllOrNothing, &[], moment(2, 5));
    assert!(again.events.is_empty());
    let same: Vec<_> = again
        .outcomes
        .into_iter()
        .map(|o| granted(o).token)
        .collect();
    assert_eq!(same, tokens);
}

#[test]
fn the_same_lock_twice_in_one_step_counts_each_lease_once() {
    let mut state = State::default();
    let all = [
        take("ann", "a", 1, 1_000),
        give("ann", "a", 1),
        take("bob", "a", 2, 1_000),
    ];
    let done = state.execute(&all, Atomicity::AllOrNothing, &[], moment(0, 1));
    assert_eq!(done.events.len(), 3);
    assert_eq!(
        (usage(&state, "ann"), usage(&state, "bob")),
        ((0, 0), (1, 1))
    );
    assert_eq!(state.counts().leases, 1);
}

#[test]
fn a_tick_goes_by_deadline_and_name_and_is_bounded() {
    let mut state = State::default();
    let locks = [("c", 100), ("a", 200), ("b", 100), ("d", 300)];
    for (id, (name, ttl_ms)) in (1..).zip(locks) {
        run_each(&mut state, 0, id, &[take("ann", name, id, ttl_ms)]);
    }
    assert_eq!(state.next_deadline(), Some(Millis(101)));
    assert!(state.tick(moment(100, 5), 10).is_empty());
    let ticked = |state: &mut State, most| -> Vec<String> {
        let events = state.tick(moment(250, 6), most);
        let names = events.iter().map(|event| match &event.kind {
            EventKind::Lock {
                lock, cause: None, ..
            } => lock.lock.to_string(),
            other => panic!("not by time: {other:?}"),
        });
        names.collect()
    };
    assert_eq!(ticked(&mut state, 2), ["b", "c"]);
    assert_eq!(ticked(&mut state, 2), ["a"]);
    assert_eq!(state.next_deadline(), Some(Millis(301)));
    assert_eq!(usage(&state, "ann"), (1, 1));
}

#[test]
fn idle_records_are_forgotten_and_their_tokens_are_not_reused() {
    let mut state = State::default();
    let first = run_each(&mut state, 0, 1, &[take("ann", "a", 1, 1_000)]);
    let first = granted(first.into_iter().next().unwrap()).token;
    run_each(&mut state, 10, 2, &[give("ann", "a", 1)]);
    assert_eq!(state.counts().locks, 1);
    let due = state.next_deadline().unwrap();
    assert!(due.0 >= 10 + ENDED_LEASE_MEMORY_MS);
    assert!(state.tick(moment(due.0, 3), 10).is_empty());
    assert_eq!(state.counts(), Counts::default());
    assert_eq!(state.next_deadline(), None);
    assert_eq!(state.view(&lock("a"), due).revision, 0);
    let second = run_each(&mut state, due.0, 4, &[take("bob", "a", 2, 1_000)]);
    assert!(granted(second.into_iter().next().unwrap()).token > first);
}

#[test]
fn a_declared_lock_stays_and_a_mere_try_leaves_nothing() {
    let mut state = State::default();
    let settings = leasehold_domain::LockSettings {
        limit: 2,
        ..Default::default()
    };
    let declare = command("op", "r", lock("d"), Action::Configure(settings));
    run_each(&mut state, 0, 1, &[declare]);
    run_each(
        &mut state,
        0,
        2,
        &[give("ann", "x", 1), crate::asking::tick(lock("y"))],
    );
    state.tick(moment(10_000_000, 3), 10);
    assert_eq!(state.counts().locks, 1);
    let back = command("op", "r", lock("d"), Action::Configure(Default::default()));
    run_each(&mut state, 10_000_000, 4, &[back]);
    assert_eq!(state.counts().locks, 0);
}

#[test]
fn a_decision_on_another_usage_is_stale() {
    let mut state = State::default();
    let mut second = take("ann", "b", 2, 1_000);
    second.expect = Some(Expectation {
        usage: Some(Usage::default()),
        ..Expectation::default()
    });
    let outcomes = run_each(
        &mut state,
        0,
        1,
        &[take("ann", "a", 1, 1_000), second.clone()],
    );
    assert_eq!(outcomes[1], Outcome::Stale);
    // Together they were decided on one view of the usage.
    run_each(&mut state, 0, 2, &[give("ann", "a", 1)]);
    let mut first = take("ann", "a", 3, 1_000);
    first.expect = second.expect.clone();
    let done = state.execute(&[first, second], Atomicity::AllOrNothing, &[], moment(0, 3));
    assert!(
        done.outcomes
            .iter()
            .all(|o| matches!(o, Outcome::Granted(_)))
    );
}

#[test]
fn notes_and_commands_make_dense_cursors() {
    let mut state = State::default();
    let asked = take("ann", "a", 1, 1_000);
    let denied = Note::Denied(asked.cause.clone().unwrap());
    let applied = state.execute(
        &[asked.clone(), asked],
        Atomicity::Each,
        &[denied.clone(), denied],
        moment(7, 1),
    );
    let cursors: Vec<_> = applied.events.iter().map(|e| e.cursor.0).collect();
    assert_eq!(cursors, [1, 2, 3]);
    assert_eq!((state.newest(), state.now()), (Cursor(3), Millis(7)));
    // Time does not go back.
    state.execute(&[], Atomicity::Each, &[], moment(3, 2));
    assert_eq!(state.now(), Millis(7));
}

#[test]
fn a_list_is_paged_in_the_order_of_names() {
    let mut state = State::default();
    for (id, name) in (1..).zip(["x/1", "x/2", "x/3", "xy", "a", "y"]) {
        let who = if id % 2 == 0 { "ann" } else { "bob" };
        run_each(&mut state, 0, id, &[take(who, name, id, 1_000)]);
    }
    let mut query = ListQuery {
        namespace: "demo".parse().unwrap(),
        prefix: "x/".to_owned(),
        holder: None,
        team: None,
        state: Some(LockFilter::Held),
        after: None,
        limit: 2,
    };
    let names = |query: &ListQuery| {
        let page = state.list(query, Millis(0));
        let rows = page.rows.iter().map(|row| row.lock.lock.to_string());
        (rows.collect::<Vec<_>>(), page.next)
    };
    let (rows, next) = names(&query);
    assert_eq!(rows, ["x/1", "x/2"]);
    query.after = next;
    assert_eq!(names(&query), (vec!["x/3".to_owned()], None));
    query.after = None;
    query.prefix = String::new();
    query.holder = Some(subject("ann"));
    assert_eq!(names(&query).0, ["x/2", "xy"]);
    query.holder = None;
    query.state = Some(LockFilter::Contended);
    assert_eq!(names(&query), (vec![], None));
    query.namespace = "other".parse().unwrap();
    assert_eq!(names(&query), (vec![], None));
}

fn edit(id: &str, body: Option<&str>, precondition: Precondition) -> Edit {
    let asked = take("ann", "a", 1, 1_000).cause.unwrap();
    let change = Change {
        request_id: asked.request_id.clone(),
        principal: asked.principal.clone(),
        collection: "binding".into(),
        id: id.into(),
        digest: None,
        summary: "changed".into(),
    };
    Edit {
        collection: "binding".into(),
        id: id.into(),
        body: body.map(|body| Arc::from(body.as_bytes())),
        precondition,
        change: Some(change),
    }
}

#[test]
fn documents_change_all_or_none() {
    let mut state = State::default();
    let absent = Precondition::Absent;
    let both = [edit("a", Some("1"), absent), edit("b", Some("1"), absent)];
    let (outcome, events) = state.edit(&both, moment(0, 1));
    assert_eq!((outcome, events.len()), (EditOutcome::Done(1), 2));
    let any = Precondition::Any;
    let one_fails = [edit("c", Some("1"), any), edit("b", Some("2"), absent)];
    let conflict = EditOutcome::Conflict {
        index: 1,
        current: Some(1),
    };
    assert_eq!(state.edit(&one_fails, moment(0, 2)), (conflict, vec![]));
    assert!(state.document("binding", "c").is_none());
    let next = [edit("b", None, Precondition::Revision(1))];
    assert_eq!(state.edit(&next, moment(0, 3)).0, EditOutcome::Done(2));
    let left = state.documents("binding");
    assert_eq!((left.len(), &*left[0].id, left[0].revision), (1, "a", 1));
    assert_eq!(state.documents_revision(), 2);
}

#[test]
fn a_snapshot_is_the_state() {
    let mut state = State::default();
    state.edit(&[edit("a", Some("1"), Precondition::Any)], moment(0, 1));
    run_each(&mut state, 0, 2, &[take("ann", "a", 1, 1_000)]);
    let wait = acquire(2, EXCLUSIVE, 1_000, Some(5_000));
    run_each(&mut state, 0, 3, &[command("bob", "r", lock("a"), wait)]);
    let restored = State::from_bytes(&state.to_bytes()).unwrap();
    assert_eq!(restored, state);
    assert_eq!(restored.digest(), state.digest());
    assert_eq!(
        lease(1).handle(),
        restored.view(&lock("a"), Millis(0)).holders[0].handle
    );
}

#[test]
fn only_an_acquire_that_will_stand_in_a_queue_is_patient() {
    let mut state = State::default();
    let wait = |name: &str| {
        let wait = acquire(2, EXCLUSIVE, 1_000, Some(5_000));
        command("bob", "r", lock(name), wait)
    };
    assert!(!state.is_patient(&[wait("a")]), "it gets the lock");
    run_each(&mut state, 0, 1, &[take("ann", "a", 1, 1_000)]);
    assert!(state.is_patient(&[wait("a")]));
    assert!(!state.is_patient(&[wait("b")]), "nobody has that");
    assert!(!state.is_patient(&[take("bob", "a", 2, 1_000)]), "refused");
    assert!(!state.is_patient(&[give("ann", "a", 1)]));
    let together = [wait("a"), give("ann", "a", 1)];
    assert!(!state.is_patient(&together), "somebody waits for the other");
}

/// A snapshot is encoded while commands go on: what they change is not in it.
#[test]
fn a_frozen_state_is_stored_as_it_was() {
    let mut state = State::default();
    for id in 0..1_000 {
        run_each(
            &mut state,
            0,
            id + 1,
            &[take("ann", &format!("lock-{id}"), id, 1_000)],
        );
    }
    let before = state.to_bytes();
    let frozen = state.frozen();
    run_each(&mut state, 1, 2_000, &[give("ann", "lock-7", 7)]);
    run_each(&mut state, 1, 2_001, &[take("bob", "other", 5_000, 1_000)]);
    assert!(!state.tick(moment(5_000, 2_002), 500).is_empty());
    assert_eq!(frozen.to_bytes(), before);
    assert_ne!(state.to_bytes(), before);
}
