//! The handshake: who dials, whom it means to reach, and which group both belong to.

use std::io;

use leasehold_stored::Formed;
use leasehold_stored::Invalid;
use leasehold_stored::formed;
use leasehold_stored::peer as form;
use tokio::io::AsyncWriteExt;

use super::frame::Frame;
use super::frame::HELLO_BYTES_MAX;
use super::frame::Unnumbered;
use super::security::Stream;
use crate::form::Sent;
use crate::identity::GroupId;
use crate::identity::Identity;

/// Told first, so that a stranger's protocol is noticed.
const GREETING: &str = "leasehold peer";

/// What the dialling node says.
#[derive(Debug)]
struct Hello {
    greeting: String,
    group: GroupId,
    from: u64,
    /// None if it does not know who waits there.
    to: Option<u64>,
}

/// What the other answers.
#[derive(Debug)]
enum Reply {
    Welcome { node: u64, group: Option<GroupId> },
    Refused(String),
}

formed!(struct Hello => form::Hello<'a> { greeting, group, from, to });
formed!(enum Reply => form::Reply<'a> { Welcome { node, group }, Refused(reason) });

macro_rules! sent {
    ($($type:ident),*) => {$(
        impl Sent for $type {
            type Form<'a> = form::$type<'a>;

            fn form(&self) -> form::$type<'_> {
                Formed::form(self)
            }

            fn restore(form: form::$type<'_>) -> Result<Self, Invalid> {
                Formed::restore(form)
            }
        }
    )*};
}

sent!(Hello, Reply);

/// Who was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) node: u64,
}

/// The dialling side. `to` is the node that is expected there.
pub(super) async fn dial(
    stream: &mut dyn Stream,
    identity: &Identity,
    to: Option<u64>,
) -> io::Result<Reached> {
    let group = identity
        .group()
        .ok_or_else(|| refused("this node belongs to no group yet"))?;
    let hello = Hello {
        greeting: GREETING.to_owned(),
        group,
        from: identity.node(),
        to,
    };
    say(stream, &hello).await?;
    match hear(stream).await? {
        Reply::Welcome { node, .. } if to.is_some_and(|to| to != node) => {
            Err(refused(&format!("node {node} answered instead")))
        }
        Reply::Welcome {
            group: Some(other), ..
        } if other != group => Err(refused(&format!("it belongs to group {other}"))),
        Reply::Welcome { node, .. } => Ok(Reached { node }),
        Reply::Refused(reason) => Err(refused(&reason)),
    }
}

/// The accepting side: answers the dialling node's group and number.
pub(crate) async fn accept(
    stream: &mut dyn Stream,
    identity: &Identity,
) -> io::Result<(GroupId, u64)> {
    let hello: Hello = hear(stream).await?;
    let (node, group) = (identity.node(), identity.group());
    let foreign = group.filter(|group| *group != hello.group);
    let other = hello.to.filter(|to| *to != node);
    let refusal = match (foreign, other) {
        _ if hello.greeting != GREETING => Some("this is a peers' port of leasehold".to_owned()),
        (Some(group), _) => Some(format!(
            "node {node} belongs to group {group}, not to {}",
            hello.group
        )),
        // Its folder was wiped, or another node has its address: it must be replaced by name.
        (None, Some(other)) => Some(format!(
            "this is node {node}, not node {other}; if that was wiped, replace it"
        )),
        (None, None) => None,
    };
    if let Some(reason) = refusal {
        say(stream, &Reply::Refused(reason.clone())).await?;
        return Err(refused(&reason));
    }
    say(stream, &Reply::Welcome { node, group }).await?;
    Ok((hello.group, hello.from))
}

async fn say<T: Sent>(stream: &mut dyn Stream, message: &T) -> io::Result<()> {
    let bytes = Unnumbered::encode(message)?.number(0);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn hear<T: Sent>(mut stream: &mut dyn Stream) -> io::Result<T> {
    match Frame::read(&mut stream, HELLO_BYTES_MAX).await? {
        Some(frame) => frame.decode(),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}
