//! What is kept, shown and acknowledged.

use leasehold_domain::Principal;
use leasehold_domain::RoleSet;

use super::super::Ended;
use super::super::EndedBy;
use super::super::tests::incident;
use super::*;

fn kept(folder: &tempfile::TempDir) -> Arc<Incidents> {
    let path = folder.path().join("incidents.json");
    Arc::new(Incidents::open(path, "here".to_owned()).unwrap())
}

fn ended(number: u64) -> Incident {
    let at = WallMillis(1_800_000_000_000 + number);
    let by = EndedBy::Recovery;
    Incident {
        ended: Some(Ended { at, by }),
        ..incident(number)
    }
}

fn caller(who: &str) -> Caller {
    Caller {
        principal: Arc::new(Principal {
            subject: who.parse().unwrap(),
            team: None,
            roles: RoleSet::default(),
            claims: [].into(),
        }),
        scope: None,
        request_id: "r".parse().unwrap(),
    }
}

async fn acknowledge(
    incidents: &Arc<Incidents>,
    who: &str,
    note: &str,
) -> Result<Incident, Failure> {
    let (note, now) = (note.to_owned(), WallMillis(1_900_000_000_000));
    incidents
        .acknowledge(&caller(who), "incident-1", note, now)
        .await
}

fn ids(page: &IncidentPage) -> Vec<&str> {
    page.incidents.iter().map(|one| one.id.as_str()).collect()
}

#[test]
fn pages_are_newest_first_and_leave_none_out() {
    let incidents = Incidents::in_memory("here".to_owned());
    for number in 0..7 {
        incidents.add(ended(number));
    }
    incidents.add(incident(7));
    let mut query = IncidentQuery {
        limit: 3,
        ..IncidentQuery::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = incidents.list(&query).unwrap();
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    let all: Vec<String> = (0..8).rev().map(|n| format!("incident-{n}")).collect();
    assert_eq!(seen, all);
    let of = |store: &str, open| IncidentQuery {
        store: Some(store.to_owned()),
        open,
        after: None,
        limit: 100,
    };
    let count = |query| incidents.list(&query).unwrap().incidents.len();
    assert_eq!(count(of("home", None)), 8);
    assert_eq!(count(of("home", Some(true))), 1);
    assert_eq!(count(of("home", Some(false))), 7);
    assert_eq!(count(of("eu", None)), 0);
    query.after = Some("nonsense".to_owned());
    assert!(incidents.list(&query).is_err());
    query = of("home", None);
    query.limit = 0;
    assert!(incidents.list(&query).is_err());
}

#[test]
fn the_oldest_that_have_ended_make_room_and_those_that_last_stay() {
    let incidents = Incidents::in_memory("here".to_owned());
    incidents.add(incident(0));
    for number in 1..=limits::INCIDENTS_MAX as u64 + 20 {
        incidents.add(ended(number));
    }
    assert_eq!(incidents.known().len(), limits::INCIDENTS_MAX);
    assert!(incidents.get("incident-0").is_ok());
    assert!(incidents.get("incident-21").is_err());
    assert!(incidents.get("incident-22").is_ok());
    assert_eq!(incidents.open_of("home").unwrap().id, "incident-0");
}

#[tokio::test]
async fn an_acknowledgement_is_kept_and_is_one_persons() {
    let folder = tempfile::tempdir().unwrap();
    let incidents = kept(&folder);
    incidents.add(incident(1));
    let seen = acknowledge(&incidents, "olga", "the disk was full").await;
    let seen = seen.unwrap();
    assert!(seen.is_open(), "it ends when the store works");
    for _ in 0..2 {
        let again = acknowledge(&kept(&folder), "olga", "said again").await;
        assert_eq!(again.unwrap(), seen);
    }
    let other = acknowledge(&incidents, "paul", "me, too")
        .await
        .unwrap_err();
    assert_eq!(other.kind, FailureKind::Conflict);
    assert_eq!(kept(&folder).get("incident-1").unwrap(), seen);
}

#[tokio::test]
async fn a_note_is_short_and_printable() {
    let incidents = Arc::new(Incidents::in_memory("here".to_owned()));
    incidents.add(incident(1));
    let long = "x".repeat(limits::INCIDENT_NOTE_BYTES_MAX + 1);
    for bad in [long.as_str(), "a\0b", "a\x1b[2Jb"] {
        let refused = acknowledge(&incidents, "olga", bad).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Invalid);
    }
    assert_eq!(incidents.get("incident-1").unwrap().acknowledged, None);
}

#[tokio::test]
async fn what_is_settled_is_durable_before_it_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let incidents = kept(&folder);
    incidents.add(incident(1));
    incidents.save().await.unwrap();
    let path = folder.path().join("incidents.json");
    // Called for what is written, and then for what is shown.
    let settled = incidents.settle(move |known| {
        known[0].failed = file::read(&path).unwrap()[0].refused;
        known[0].refused = 7;
    });
    settled.await.unwrap();
    let seen = incidents.get("incident-1").unwrap();
    assert_eq!((seen.refused, seen.failed), (7, 7));
}
