//! A seat: what a store knows of a namespace that is, or was, moved between stores.
//!
//! A gateway that has not heard of a move yet still asks the store that the namespace has left. So
//! the store itself must refuse: the seat is one of its documents, and every command is checked
//! against it in the same step that carries it out. A namespace that was never moved has none.

use std::fmt;

use crate::Action;

/// Where a namespace stands with one store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seat {
    /// The number of the move that wrote it; moves of a namespace are counted from 1.
    pub era: u64,
    /// What the store does for the namespace.
    pub state: SeatState,
    /// Is added to the floor of the namespace's tokens, so that they stay above those that it was
    /// given elsewhere, and still grow with every write of the store.
    pub token_offset: u64,
}

/// What a store does for a namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SeatState {
    /// It has the locks.
    #[default]
    Open,
    /// It takes records in, and does nothing else.
    Arriving,
    /// It gives records out and forgets them, and does nothing else. Time stands still.
    Moved,
}

impl Seat {
    /// The collection of the documents that are seats, each under its namespace's name.
    pub const COLLECTION: &'static str = "seat";

    /// Reads a document's bytes. What cannot be read is [`SeatState::Moved`]: nothing is granted.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).ok();
        text.and_then(Self::parse).unwrap_or(Self {
            era: 0,
            state: SeatState::Moved,
            token_offset: 0,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let state = match words.next()? {
            "open" => SeatState::Open,
            "arriving" => SeatState::Arriving,
            "moved" => SeatState::Moved,
            _ => return None,
        };
        let seat = Self {
            state,
            era: words.next()?.parse().ok()?,
            token_offset: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(seat)
    }

    /// Whether the store carries out this command.
    #[must_use]
    pub fn admits(&self, action: &Action) -> bool {
        match (self.state, action) {
            (_, Action::Export) => true,
            (SeatState::Open, Action::Import { .. } | Action::Evict { .. }) => false,
            (SeatState::Open, _) => true,
            (SeatState::Arriving, Action::Import { era, .. })
            | (SeatState::Moved, Action::Evict { era }) => *era == self.era,
            (SeatState::Arriving | SeatState::Moved, _) => false,
        }
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            SeatState::Open => "open",
            SeatState::Arriving => "arriving",
            SeatState::Moved => "moved",
        };
        write!(f, "{state} {} {}", self.era, self.token_offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_read_as_it_is_written_and_rubbish_fails_closed() {
        for state in [SeatState::Open, SeatState::Arriving, SeatState::Moved] {
            let seat = Seat {
                era: 3,
                state,
                token_offset: 1 << 40,
            };
            assert_eq!(Seat::read(seat.to_string().as_bytes()), seat);
        }
        for rubbish in ["", "open", "open 1", "open 1 2 3", "shut 1 2", "open x 2"] {
            let seat = Seat::read(rubbish.as_bytes());
            assert!(!seat.admits(&Action::Tick), "{rubbish:?}");
        }
    }
}
