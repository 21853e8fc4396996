//! Labels: a key that stands there twice is refused, because readers differ on which one counts.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::Visitor;

/// Reads labels, each key once.
pub(super) fn unique<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    deserializer.deserialize_map(Unique)
}

struct Unique;

impl<'de> Visitor<'de> for Unique {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut labels = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry::<String, String>()? {
            let twice = format!("duplicate label {key:?}");
            if labels.insert(key, value).is_some() {
                return Err(A::Error::custom(twice));
            }
        }
        Ok(labels)
    }
}
