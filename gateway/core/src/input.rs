//! Reads what people and programs write (JSON bodies, JSON files, queries, the configuration) into
//! types.
//!
//! Stricter than serde alone: an object is read from an object only, never from a list of its
//! members in order; a name only from a string; no member may appear twice, at any depth. An error
//! names the place and the value in the words of the format, not in those of the type.

mod error;
mod node;
mod plain;

use serde::de::DeserializeOwned;

use self::error::Refusal;
use self::node::Node;

pub(crate) use self::error::InputError;
pub use self::plain::plain;
pub(crate) use self::plain::with_causes;

/// How a document is written; decides the words of its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Objects, lists, members.
    Json,
    /// Sections, lists, keys.
    Toml,
    /// Parameters, all of them text.
    Query,
}

/// Reads a JSON document.
///
/// # Errors
/// `is_syntax` of the error tells text that is not JSON from JSON that does not fit.
pub fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T, InputError> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let node = serde::Deserialize::deserialize(&mut reader)
        .and_then(|node: Node| reader.end().map(|()| node))
        .map_err(|error| InputError::not_json(text, &error))?;
    typed(node, Format::Json)
}

/// Reads a configuration file's text.
///
/// # Errors
/// `is_syntax` of the error tells text that is not TOML from keys and values that do not fit.
pub(crate) fn toml<T: DeserializeOwned>(text: &str) -> Result<T, InputError> {
    let node: Node = toml::from_str(text).map_err(|error| InputError::not_toml(text, &error))?;
    typed(node, Format::Toml)
}

/// Reads the parameters of a query, decoded. A number or a boolean is read from its text.
///
/// # Errors
/// A parameter is unknown, given twice, missing, or does not fit.
pub fn query<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, InputError> {
    typed(Node::of_query(pairs)?, Format::Query)
}

fn typed<T: DeserializeOwned>(node: Node, format: Format) -> Result<T, InputError> {
    T::deserialize(node).map_err(|refusal: Refusal| InputError::refused(&refusal, format))
}

/// Reads a socket address; for `#[serde(deserialize_with)]`.
///
/// # Errors
/// The text is not an IP address with a port.
pub(crate) fn address<'de, D>(deserializer: D) -> Result<std::net::SocketAddr, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let text: String = serde::Deserialize::deserialize(deserializer)?;
    parse_address(&text).map_err(serde::de::Error::custom)
}

/// Reads a socket address from text.
///
/// # Errors
/// The text is not an IP address with a port.
pub fn parse_address(text: &str) -> Result<std::net::SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("expected an IP address with a port, such as 127.0.0.1:7878, got {text:?}")
    })
}

/// Reads an optional socket address; for `#[serde(deserialize_with)]` beside `default`.
///
/// # Errors
/// The text is not an IP address with a port.
pub(crate) fn optional_address<'de, D>(
    deserializer: D,
) -> Result<Option<std::net::SocketAddr>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    address(deserializer).map(Some)
}

#[cfg(test)]
mod tests;
