//! How a pattern is written in a configuration.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::EnumAccess;
use serde::de::VariantAccess;
use serde::de::Visitor;

const LIKE: &str = "like";

/// A text, or an object whose `like` is a pattern with classes and repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Plain(String),
    Like(String),
}

impl Said {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Like(text) => text,
        }
    }
}

impl<'de> Deserialize<'de> for Said {
    /// Reads it as an enum, of which a text is a name alone: reading a value of any kind would put the
    /// reading of fractions into each policy.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("Pattern", &[LIKE], TextOrObject)
    }
}

struct TextOrObject;

impl<'de> Visitor<'de> for TextOrObject {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or an object with `like`")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, said: A) -> Result<Said, A::Error> {
        let (name, content): (String, A::Variant) = said.variant()?;
        if name != LIKE {
            content.unit_variant()?;
            return Ok(Said::Plain(name));
        }
        // The text "like" has nothing in it. An object whose `like` is not a text fails at its end,
        // which is then not where the reader stands.
        let content = content.newtype_variant();
        Ok(content.map_or(Said::Plain(name), Said::Like))
    }
}
