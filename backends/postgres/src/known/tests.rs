//! Which server is chosen, and which are fenced.

use std::fmt;

use super::*;

const OURS: i64 = 7;

/// A server's name, cluster, timeline, and whether it is a primary.
type Server = (&'static str, i64, i32, bool);

fn choose(known: &Known, servers: &[Server]) -> Result<&'static str, OpenError> {
    let met = servers
        .iter()
        .map(|(name, system, timeline, is_primary)| Met {
            name: (*name).to_owned(),
            system: *system,
            timeline: *timeline,
            primary: is_primary.then_some(*name),
        });
    known.choose(met.collect(), vec!["gone: does not answer".to_owned()])
}

fn known(change: impl FnOnce(&mut PostgresConfig)) -> Known {
    let mut config = PostgresConfig::new("postgresql://a");
    change(&mut config);
    Known::new(&config)
}

#[derive(Debug, Default)]
struct Kept(Mutex<Option<Seen>>);

impl Memory for Kept {
    fn seen(&self) -> Option<Seen> {
        *self.0.lock().unwrap()
    }

    fn keep(&self, seen: Seen) -> io::Result<()> {
        *self.0.lock().unwrap() = Some(seen);
        Ok(())
    }
}

fn remembering(timeline: i32, version: u64) -> Known {
    let kept = Kept::default();
    let system = OURS;
    let seen = Seen {
        system,
        timeline,
        version,
    };
    kept.keep(seen).unwrap();
    known(|config| config.memory = Some(Arc::new(kept)))
}

fn is_fenced<T: fmt::Debug>(chosen: Result<T, OpenError>) -> bool {
    matches!(chosen, Err(OpenError::Fenced(_)))
}

const OLD: Server = ("old", OURS, 1, true);
const NEW: Server = ("new", OURS, 2, true);
const STANDBY: Server = ("standby", OURS, 2, false);
const FOREIGN: Server = ("foreign", 8, 9, true);

#[test]
fn the_newest_timeline_is_chosen_and_an_old_one_is_fenced_by_any_witness() {
    let fresh = known(|_| {});
    assert_eq!(choose(&fresh, &[OLD, NEW]).unwrap(), "new");
    assert_eq!(choose(&fresh, &[OLD]).unwrap(), "old");
    assert!(is_fenced(choose(&fresh, &[OLD, STANDBY])));
    assert!(is_fenced(choose(&remembering(2, 0), &[OLD])));
    assert_eq!(choose(&remembering(2, 0), &[OLD, NEW]).unwrap(), "new");
    assert_eq!(choose(&remembering(1, 0), &[NEW]).unwrap(), "new");
    let pinned = known(|config| config.timeline_min = Some(2));
    assert!(is_fenced(choose(&pinned, &[OLD])));
    assert_eq!(choose(&pinned, &[NEW]).unwrap(), "new");
    for nobody in [&[][..], &[STANDBY]] {
        let failed = choose(&fresh, nobody);
        assert!(
            matches!(failed, Err(OpenError::Unavailable(_))),
            "{failed:?}"
        );
    }
}

#[test]
fn servers_of_another_cluster_do_not_win_and_are_no_witnesses() {
    assert!(is_fenced(choose(&known(|_| {}), &[OLD, FOREIGN])));
    assert_eq!(choose(&remembering(1, 0), &[FOREIGN, OLD]).unwrap(), "old");
    let pinned = known(|config| config.system_identifier = Some(OURS));
    assert_eq!(choose(&pinned, &[FOREIGN, OLD]).unwrap(), "old");
    assert!(is_fenced(choose(&pinned, &[FOREIGN])));
    // Moved to another cluster: its position tells whether it is a copy of all that was seen.
    assert_eq!(choose(&remembering(1, 0), &[FOREIGN]).unwrap(), "foreign");
}

#[tokio::test]
async fn a_position_behind_what_was_confirmed_is_fenced() {
    let kept = Arc::new(Kept::default());
    let known = known(|config| config.memory = Some(kept.clone()));
    known.accept(OURS, 3).await.unwrap();
    known.confirmed(100);
    known.confirmed(90);
    let at = |system, timeline, version| Head::at(system, timeline, version);
    for (head, unreplicated, passes) in [
        (at(OURS, 3, 100), false, true),
        (at(OURS, 3, 99), false, false),
        (at(OURS, 3, 99), true, false),
        // A failover loses nothing if commits wait for a standby.
        (at(OURS, 4, 99), false, false),
        (at(OURS, 4, 99), true, true),
        (at(OURS, 4, 100), false, true),
        (at(8, 9, 99), true, false),
        (at(8, 1, 101), false, true),
    ] {
        let checked = known.check(&head, unreplicated);
        assert_eq!(checked.is_ok(), passes, "{head:?} {unreplicated}");
    }
    // What was accepted is kept at once, and the position when it is asked for.
    let seen = |version| Seen {
        system: OURS,
        timeline: 3,
        version,
    };
    assert_eq!(kept.seen(), Some(seen(0)));
    known.keep().await.unwrap();
    assert_eq!(kept.seen(), Some(seen(100)));
}
