use leasehold_domain::FeatureLevel;
use leasehold_domain::LockSettings;
use leasehold_domain::Millis;
use leasehold_domain::Transition;
use leasehold_domain::WallMillis;

use super::*;

/// An event of a lock.
fn event(cursor: u64, lock: &str) -> Arc<Event> {
    Arc::new(Event {
        level: FeatureLevel::FIRST,
        cursor: Cursor(cursor),
        now: Millis(0),
        wall: WallMillis(0),
        kind: EventKind::Lock {
            lock: lock.parse().unwrap(),
            cause: None,
            transitions: vec![Transition::Configured {
                settings: LockSettings::default(),
            }],
        },
    })
}

fn namespace(name: &str) -> WatchScope {
    WatchScope::Prefix(name.parse().unwrap(), String::new())
}

fn live() -> Ring {
    let mut ring = Ring::default();
    ring.restart(Cursor(10));
    ring
}

/// The cursors that a follower reads.
fn read(ring: &mut Ring, number: u64, after: u64) -> Vec<u64> {
    match ring.read(number, Cursor(after)).0 {
        Found::Events { events, .. } => events.iter().map(|one| one.event.cursor.0).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_wakes_those_whose_lock_it_is_of_and_nobody_else() {
    let mut ring = live();
    let scopes = [
        namespace("demo"),
        namespace("other"),
        WatchScope::Lock("demo/a".parse().unwrap()),
        WatchScope::Lock("demo/b".parse().unwrap()),
        WatchScope::Prefix("demo".parse().unwrap(), "b".to_owned()),
    ];
    let numbers = scopes.map(|scope| ring.subscribe(&scope, Cursor(10)).unwrap().0);
    for number in numbers {
        assert_eq!(read(&mut ring, number, 10), Vec::<u64>::new());
    }
    assert!(ring.publish(event(11, "demo/a")));
    assert_eq!(ring.queue, [numbers[0], numbers[2]]);
    // Whoever is queued, or was woken and has not read, is not queued again.
    assert!(ring.next_to_wake().is_some());
    ring.publish(event(12, "demo/a"));
    assert_eq!(ring.queue.len(), 1);
    assert_eq!(read(&mut ring, numbers[0], 10), [11, 12]);
    assert_eq!(read(&mut ring, numbers[2], 10), [11, 12]);
    assert_eq!(read(&mut ring, numbers[3], 10), Vec::<u64>::new());
    for number in numbers {
        ring.unsubscribe(number);
    }
    assert!(ring.of_locks.is_empty() && ring.followers.is_empty());
    assert!(
        ring.next_to_wake().is_none(),
        "those who have gone are passed over"
    );
}

#[test]
fn many_events_are_read_in_turns() {
    let mut ring = live();
    let (number, _) = ring.subscribe(&namespace("demo"), Cursor(10)).unwrap();
    assert_eq!(read(&mut ring, number, 10), Vec::<u64>::new());
    for cursor in 11..=110 {
        ring.publish(event(cursor, "demo/a"));
    }
    assert!(ring.next_to_wake().is_some() && ring.next_to_wake().is_none());
    let (found, queued) = ring.read(number, Cursor(10));
    let Found::Events { events, to } = found else {
        panic!("{found:?}");
    };
    assert_eq!((events.len(), to, queued), (64, Cursor(74), true));
    assert!(ring.next_to_wake().is_some());
    assert_eq!(read(&mut ring, number, 74), (75..=110).collect::<Vec<_>>());
    assert!(ring.next_to_wake().is_none());
}

#[test]
fn a_slow_reader_is_told_and_a_silent_scope_is_not_slow() {
    let mut ring = live();
    let (slow, _) = ring.subscribe(&namespace("busy"), Cursor(10)).unwrap();
    let (silent, _) = ring.subscribe(&namespace("silent"), Cursor(10)).unwrap();
    for number in [slow, silent] {
        assert_eq!(read(&mut ring, number, 10), Vec::<u64>::new());
    }
    let past = 12 + WATCH_BACKLOG_EVENTS_MAX as u64;
    for cursor in 11..=past {
        ring.publish(event(cursor, "busy/a"));
    }
    assert_eq!(ring.read(slow, Cursor(10)).0, Found::TooFar);
    ring.publish(event(past + 1, "silent/a"));
    assert_eq!(read(&mut ring, silent, 10), [past + 1]);
    assert_eq!(ring.events.len(), WATCH_BACKLOG_EVENTS_MAX);
    assert!(
        ring.subscribe(&namespace("busy"), Cursor(11)).is_none(),
        "not here any more"
    );
}

#[test]
fn followers_of_a_store_that_fails_are_woken_and_told() {
    let mut ring = live();
    let (number, _) = ring.subscribe(&namespace("demo"), Cursor(10)).unwrap();
    assert_eq!(read(&mut ring, number, 10), Vec::<u64>::new());
    ring.stop();
    assert!(ring.next_to_wake().is_some());
    assert_eq!(ring.read(number, Cursor(10)).0, Found::Lost);
    assert!(ring.subscribe(&namespace("demo"), Cursor(10)).is_none());
    ring.restart(Cursor(20));
    assert_eq!(
        ring.read(number, Cursor(10)).0,
        Found::Lost,
        "events may be missing"
    );
    assert!(ring.subscribe(&namespace("demo"), Cursor(19)).is_none());
    assert!(ring.subscribe(&namespace("demo"), Cursor(20)).is_some());
}
