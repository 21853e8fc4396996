//! A position in the ledgers of several stores: where the next page of events begins.

use std::collections::BTreeMap;

use leasehold_domain::Cursor;
use leasehold_domain::StoreName;

/// A place in each of several ledgers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(pub(crate) BTreeMap<StoreName, Cursor>);

/// A text that is no [`Places`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the next_cursors of a page before")]
pub struct InvalidPlaces;

impl Places {
    /// The cursor, if there is one ledger only.
    pub fn only(&self) -> Option<Cursor> {
        match self.0.len() {
            1 => self.0.values().next().copied(),
            _ => None,
        }
    }
}

impl std::fmt::Display for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (store, cursor)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{store}:{}", cursor.0)?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Places {
    type Err = InvalidPlaces;

    fn from_str(text: &str) -> Result<Self, InvalidPlaces> {
        let place = |part: &str| {
            let (store, cursor) = part.split_once(':')?;
            Some((store.parse().ok()?, Cursor(cursor.parse().ok()?)))
        };
        let places: Option<_> = text.split(',').map(place).collect();
        places.map(Self).ok_or(InvalidPlaces)
    }
}
