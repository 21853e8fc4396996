//! Questions to the ledgers of several stores at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::failure::FailureKind;
use leasehold_backend_api::Hold;
use leasehold_backend_api::LedgerQuery;
use leasehold_backend_api::LedgerRow;
use leasehold_domain::Cursor;
use leasehold_domain::EndCause;
use leasehold_domain::LockRef;
use leasehold_domain::StoreName;
use leasehold_domain::WallMillis;

use super::OpenStore;
use super::Stores;
use crate::failure::Failure;
use crate::failure::FailureDetail;
use crate::places::Places;

/// Which ledgers are asked.
#[derive(Debug, Clone, Default)]
pub struct Ledgers {
    asked: Vec<Arc<OpenStore>>,
    /// Those that should have been, but are not open.
    pub missing: Vec<StoreName>,
}

/// An event, and whose it is.
#[derive(Debug)]
pub struct HistoryRow {
    /// The ledger that has it.
    pub store: StoreName,
    /// As it is there.
    pub row: LedgerRow,
}

/// A page of the events of some ledgers, in the order of their times.
#[derive(Debug)]
pub struct HistoryPage {
    /// The events.
    pub rows: Vec<HistoryRow>,
    /// Each ledger that was asked, and up to where it is complete.
    pub complete_to: Vec<(StoreName, Cursor)>,
    /// Where the next page begins; none if this was the last.
    pub next: Option<Places>,
}

impl Stores {
    /// The ledgers of these stores.
    #[must_use]
    pub fn ledgers<'a>(&self, names: impl IntoIterator<Item = &'a StoreName>) -> Ledgers {
        let mut ledgers = Ledgers::default();
        for name in names {
            match self.get(name) {
                Ok(store) => ledgers.asked.push(store.clone()),
                Err(_) => ledgers.missing.push(name.clone()),
            }
        }
        ledgers
    }
}

impl Ledgers {
    /// The one ledger, if no more are meant.
    #[must_use]
    pub fn only(&self) -> Option<&Arc<OpenStore>> {
        match (self.asked.as_slice(), self.missing.as_slice()) {
            ([one], []) => Some(one),
            _ => None,
        }
    }

    /// The events that match, of all of them.
    ///
    /// # Errors
    /// A ledger cannot be read.
    pub async fn query(&self, query: LedgerQuery, places: Places) -> Result<HistoryPage, Failure> {
        let mut found = Vec::new();
        let mut complete_to = Vec::new();
        let mut more = false;
        let mut is_beyond_end = false;
        for store in &self.asked {
            store.ledger_follows().await;
            let after = places.0.get(&store.name).copied().or(query.after);
            if after > Some(store.ledger.head().cursor) {
                store.catch_up().await;
            }
            let of_one = LedgerQuery {
                after,
                ..query.clone()
            };
            let page = store.ledger.query(of_one).await?;
            complete_to.push((store.name.clone(), page.complete_to));
            is_beyond_end |= after > Some(page.complete_to);
            more |= page.next.is_some();
            for row in page.rows {
                found.push(read(&store.name, row)?);
            }
        }
        if is_beyond_end {
            return Err(beyond_end(complete_to));
        }
        merge(&mut found, query.descending);
        more |= found.len() > query.limit;
        found.truncate(query.limit);
        let rows: Vec<HistoryRow> = found.into_iter().map(|(_, row)| row).collect();
        let mut next = places;
        for row in &rows {
            next.0.insert(row.store.clone(), row.row.cursor);
        }
        Ok(HistoryPage {
            rows,
            complete_to,
            next: more.then_some(next),
        })
    }

    /// Who held a lock at a moment, and up to where each ledger can say so.
    ///
    /// # Errors
    /// A ledger cannot be read.
    pub async fn holders(
        &self,
        lock: &LockRef,
        at: WallMillis,
    ) -> Result<(Vec<(StoreName, Hold)>, Vec<(StoreName, Cursor)>), Failure> {
        let mut holds = Vec::new();
        let mut complete_to = Vec::new();
        for store in &self.asked {
            store.ledger_follows().await;
            let found = store.ledger.holders(lock, at).await?;
            complete_to.push((store.name.clone(), found.complete_to));
            for hold in found.holds {
                join(&mut holds, &store.name, hold);
            }
        }
        holds.sort_by_key(|(_, hold)| hold.from);
        Ok((holds, complete_to))
    }
}

/// A page was asked for after an event that no ledger has: of another history, or made up.
fn beyond_end(newest: Vec<(StoreName, Cursor)>) -> Failure {
    let newest = Places(newest.into_iter().collect());
    let message = format!(
        "the page begins after an event that does not exist; the newest events are {newest} \
         (store:cursor)"
    );
    Failure {
        detail: FailureDetail::BeyondEnd(newest),
        ..Failure::new(FailureKind::CursorBeyondEnd, message)
    }
}

/// Adds a hold. One lease that was in two stores around the moment is one hold: granted in the
/// first, and as it is in the last, or in the first again if its namespace has turned back.
fn join(holds: &mut Vec<(StoreName, Hold)>, store: &StoreName, hold: Hold) {
    let mut known = holds.iter_mut();
    let Some((of, known)) = known.find(|(_, known)| known.handle == hold.handle) else {
        holds.push((store.clone(), hold));
        return;
    };
    let (first, last) = match known.from <= hold.from {
        true => (known.clone(), hold),
        false => {
            store.clone_into(of);
            (hold, known.clone())
        }
    };
    let moved = |hold: &Hold| hold.end.as_deref() == Some(EndCause::Moved.as_str());
    let last = match moved(&last) && !moved(&first) {
        true => first.clone(),
        false => last,
    };
    *known = Hold {
        until: last.until,
        end: last.end,
        under: last.under.or(first.under.clone()),
        ..first
    };
}

/// Puts the rows of several ledgers, each in its own order, in the order of their times. Rows of one
/// ledger stay in its order, also where its wall clock went back: there a row counts as late (if
/// descending, as early) as those before it.
fn merge(found: &mut [(u64, HistoryRow)], descending: bool) {
    let mut reached: BTreeMap<StoreName, u64> = BTreeMap::new();
    for (at, row) in found.iter_mut() {
        let so_far = reached.entry(row.store.clone()).or_insert(*at);
        *so_far = match descending {
            true => (*so_far).min(*at),
            false => (*so_far).max(*at),
        };
        *at = *so_far;
    }
    match descending {
        true => found.sort_by_key(|(at, _)| std::cmp::Reverse(*at)),
        false => found.sort_by_key(|(at, _)| *at),
    }
}

/// What is read of an event to put it in order.
#[derive(serde::Deserialize)]
struct Timed {
    #[serde(default)]
    time_unix_ms: u64,
}

/// A row with its time, in milliseconds since 1970.
fn read(store: &StoreName, row: LedgerRow) -> Result<(u64, HistoryRow), Failure> {
    let event: Timed = serde_json::from_str(&row.body)
        .map_err(|error| Failure::internal(format!("{store}: event {}: {error}", row.cursor.0)))?;
    let store = store.clone();
    Ok((event.time_unix_ms, HistoryRow { store, row }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(from: u64, end: Option<(u64, EndCause)>) -> Hold {
        Hold {
            handle: leasehold_domain::LeaseId::from_bytes([1; 16]).handle(),
            owner: leasehold_domain::Owner {
                subject: "ann".parse().unwrap(),
                team: None,
                instance: None,
                labels: BTreeMap::new(),
                value: None,
                reason: None,
            },
            mode: leasehold_domain::Mode::Exclusive,
            token: 7,
            from: WallMillis(from),
            until: end.map(|(until, _)| WallMillis(until)),
            end: end.map(|(_, cause)| cause.as_str().to_owned()),
            granted_by: Cursor(1),
            request_id: "r".to_owned(),
            under: None,
        }
    }

    #[test]
    fn a_lease_that_was_in_two_stores_is_one_hold() {
        let (home, sea): (StoreName, StoreName) = ("home".parse().unwrap(), "sea".parse().unwrap());
        let left = |until| Some((until, EndCause::Moved));
        let over = Some((90, EndCause::Released));
        for (of_home, of_sea, until) in [
            // It has moved, and goes on there, or has ended there, perhaps before it was forgotten here.
            (hold(1, left(30)), hold(20, None), None),
            (hold(1, left(95)), hold(20, over), Some(WallMillis(90))),
            // It is on its way, or has turned back.
            (hold(1, None), hold(20, None), None),
            (hold(1, None), hold(20, left(30)), None),
            (hold(1, over), hold(20, left(30)), Some(WallMillis(90))),
        ] {
            let both = [(&home, of_home), (&sea, of_sea)];
            for order in [[0, 1], [1, 0]] {
                let mut holds = Vec::new();
                for index in order {
                    join(&mut holds, both[index].0, both[index].1.clone());
                }
                let [(store, joined)] = holds.as_slice() else {
                    panic!("{holds:?}");
                };
                let seen = (store, joined.from, joined.until);
                assert_eq!(seen, (&home, WallMillis(1), until));
            }
        }
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        let text = "eu:7,home:12";
        assert_eq!(text.parse::<Places>().unwrap().to_string(), text);
        for wrong in ["", "eu", "eu:", ":7", "EU:7", "eu:7,"] {
            assert!(wrong.parse::<Places>().is_err(), "{wrong:?}");
        }
    }
}
