//! Pages of events: posting lists are intersected segment by segment, in the order of the page.

use std::ops::RangeInclusive;

use leasehold_backend_api::BackendError;
use leasehold_backend_api::ErrorKind;
use leasehold_backend_api::LedgerPage;
use leasehold_backend_api::LedgerQuery;
use leasehold_domain::limits::PAGE_ROWS_MAX;

use super::reader::Lookup;
use super::reader::Readers;
use super::state::Shared;
use super::state::State;
use crate::dimension::Dimension;
use crate::error::corrupt;
use crate::segment::Hot;
use crate::segment::WALLS_KEY;
use crate::segment::decode_offsets;
use crate::segment::decode_walls;

pub(super) fn query(
    shared: &Shared,
    readers: &Readers,
    query: &LedgerQuery,
) -> Result<LedgerPage, BackendError> {
    if !(1..=PAGE_ROWS_MAX).contains(&query.limit) {
        let detail = format!("limit must be 1 to {PAGE_ROWS_MAX}");
        return Err(BackendError::without_effect(ErrorKind::Invalid, detail));
    }
    let (start, head) = {
        let state = shared.state();
        (state.start.cursor, state.head.cursor)
    };
    let cursors = bounds(query, start.0 + 1, head.0);
    readers.with(|connection| {
        let mut search = Search {
            shared,
            lookup: Lookup::new(connection)?,
            query,
            filters: filters(query),
            cursors,
            found: Vec::new(),
        };
        search.run()?;
        let more = search.found.len() > query.limit;
        search.found.truncate(query.limit);
        let rows = search
            .found
            .iter()
            .map(|cursor| search.lookup.row(*cursor))
            .collect::<Result<Vec<_>, _>>()?;
        let next = rows.last().filter(|_| more).map(|row| row.cursor);
        Ok(LedgerPage {
            rows,
            complete_to: head,
            next,
        })
    })
}

/// The cursors that the page may have.
fn bounds(query: &LedgerQuery, first: u64, head: u64) -> RangeInclusive<u64> {
    match query.after {
        None => first..=head,
        Some(after) if query.descending => first..=head.min(after.0.saturating_sub(1)),
        Some(after) => after.0.saturating_add(1).max(first)..=head,
    }
}

fn filters(query: &LedgerQuery) -> Vec<(Dimension, &str)> {
    [
        (Dimension::Lock, &query.lock),
        (Dimension::Subject, &query.subject),
        (Dimension::Policy, &query.policy),
        (Dimension::Team, &query.team),
        (Dimension::Namespace, &query.namespace),
        (Dimension::Operation, &query.operation),
        (Dimension::Verdict, &query.verdict),
    ]
    .into_iter()
    .filter_map(|(dimension, value)| Some((dimension, value.as_deref()?)))
    .collect()
}

struct Search<'s> {
    shared: &'s Shared,
    lookup: Lookup<'s>,
    query: &'s LedgerQuery,
    filters: Vec<(Dimension, &'s str)>,
    /// Those that were not searched yet.
    cursors: RangeInclusive<u64>,
    found: Vec<u64>,
}

/// The events of one segment that may match: all, or those in a list.
type Offsets = Option<Vec<u16>>;

/// What may match in a segment, and its wall times if they are to be looked at; none if nothing.
type Matched = Option<(Offsets, Option<Vec<u64>>)>;

impl Search<'_> {
    /// Finds up to one event more than the page takes, to know whether there is a next page.
    fn run(&mut self) -> Result<(), BackendError> {
        while !self.cursors.is_empty() && self.found.len() <= self.query.limit {
            let (start, end) = (*self.cursors.start(), *self.cursors.end());
            self.cursors = if self.query.descending {
                start..=self.search(end)?.start() - 1
            } else {
                self.search(start)?.end() + 1..=end
            };
        }
        Ok(())
    }

    /// Searches the segment of one cursor; gives all cursors of that segment.
    fn search(&mut self, cursor: u64) -> Result<RangeInclusive<u64>, BackendError> {
        // One look under one lock: between two, the segment could be closed and be missed.
        let state = self.shared.state();
        let number = state.closed.partition_point(|closed| closed.last < cursor);
        let (segment, matched) = match state.closed.get(number).copied() {
            None => self.search_memory(&state, cursor)?,
            Some(closed) => {
                drop(state);
                let matched = self.search_closed(number as u64, closed.walls)?;
                (closed.first..=closed.last, matched)
            }
        };
        if let Some((offsets, walls)) = matched {
            self.take(&segment, offsets, walls);
        }
        Ok(segment)
    }

    /// Takes what matches in a segment, in the order of the page, while there is room.
    fn take(&mut self, segment: &RangeInclusive<u64>, offsets: Offsets, walls: Option<Vec<u64>>) {
        let first = *segment.start();
        let low = self.cursors.start().saturating_sub(first);
        let high = self.cursors.end().min(segment.end()) - first;
        let query = self.query;
        let room = query.limit + 1 - self.found.len();
        let in_time = |offset: &u64| {
            walls.as_ref().is_none_or(|walls| {
                walls.get(to_index(*offset)).is_some_and(|wall| {
                    query.from.is_none_or(|from| *wall >= from.0)
                        && query.until.is_none_or(|until| *wall < until.0)
                })
            })
        };
        let candidates: Box<dyn DoubleEndedIterator<Item = u64>> = match offsets {
            None => Box::new(low..=high),
            Some(list) => Box::new(
                list.into_iter()
                    .map(u64::from)
                    .filter(move |at| (low..=high).contains(at)),
            ),
        };
        let ordered: Box<dyn Iterator<Item = u64>> = if query.descending {
            Box::new(candidates.rev())
        } else {
            candidates
        };
        self.found.extend(
            ordered
                .filter(in_time)
                .take(room)
                .map(|offset| first + offset),
        );
    }

    /// What may match in a closed segment, and its wall times if they are to be looked at.
    fn search_closed(
        &mut self,
        segment: u64,
        (min, max): (u64, u64),
    ) -> Result<Matched, BackendError> {
        let (from, until) = (self.query.from, self.query.until);
        if from.is_some_and(|from| max < from.0) || until.is_some_and(|until| min >= until.0) {
            return Ok(None);
        }
        let mut offsets = None;
        for (dimension, value) in &self.filters {
            let mut key = vec![*dimension as u8];
            key.extend_from_slice(value.as_bytes());
            let Some(list) = self.lookup.value(segment, &key)? else {
                return Ok(None);
            };
            let list = decode_offsets(&list).ok_or_else(|| damaged(segment))?;
            offsets = Some(intersect(offsets, list));
        }
        let all_in_time =
            from.is_none_or(|from| min >= from.0) && until.is_none_or(|until| max < until.0);
        if all_in_time {
            return Ok(Some((offsets, None)));
        }
        let walls = self
            .lookup
            .value(segment, WALLS_KEY)?
            .ok_or_else(|| damaged(segment))?;
        let walls = decode_walls(&walls).ok_or_else(|| damaged(segment))?;
        Ok(Some((offsets, Some(walls))))
    }

    /// The same in the segment of a cursor that is in memory, and all cursors of that segment.
    fn search_memory(
        &self,
        state: &State,
        cursor: u64,
    ) -> Result<(RangeInclusive<u64>, Matched), BackendError> {
        let cursors = |hot: &Hot| hot.first..=hot.first + hot.len() as u64 - 1;
        let hot = state
            .in_memory()
            .find(|hot| hot.len() > 0 && cursors(hot).contains(&cursor))
            .ok_or_else(|| corrupt(format!("event {cursor} is in no segment")))?;
        let mut offsets = None;
        for (dimension, value) in &self.filters {
            let Some(list) = hot.list(*dimension, value) else {
                return Ok((cursors(hot), None));
            };
            offsets = Some(intersect(offsets, list));
        }
        let timed = self.query.from.is_some() || self.query.until.is_some();
        let walls = timed.then(|| hot.walls.clone());
        Ok((cursors(hot), Some((offsets, walls))))
    }
}

fn intersect(left: Offsets, right: Vec<u16>) -> Vec<u16> {
    let Some(left) = left else {
        return right;
    };
    let mut right = right.into_iter().peekable();
    left.into_iter()
        .filter(|offset| {
            while right.next_if(|other| other < offset).is_some() {}
            right.peek() == Some(offset)
        })
        .collect()
}

fn damaged(segment: u64) -> BackendError {
    corrupt(format!("the index of segment {segment} is damaged"))
}

fn to_index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
