//! Peers: how the nodes of a group talk to each other.
//!
//! One connection to each peer carries all requests to it, numbered, so that many are under way at
//! once. The bytes of a connection: a handshake that says who both are, then frames. Whoever dials
//! asks; whoever accepts answers.

mod call;
mod form;
mod frame;
pub(crate) mod handshake;
mod link;
mod memory;
mod message;
mod peers;
mod security;
mod standing;

pub(crate) use call::CallError;
pub(crate) use frame::FAREWELL;
pub(crate) use frame::FRAME_BYTES_MAX;
pub(crate) use frame::Frame;
pub(crate) use frame::Unnumbered;
pub(crate) use memory::Acknowledged;
pub(crate) use memory::Memory;
pub(crate) use message::Answered;
pub(crate) use message::Chunk;
pub(crate) use message::Request;
pub(crate) use message::Response;
pub(crate) use peers::Calls;
pub(crate) use peers::Peers;
pub use security::PeerSecurity;
pub(crate) use security::Security;
pub(crate) use security::Stream;
pub(crate) use standing::settled;
