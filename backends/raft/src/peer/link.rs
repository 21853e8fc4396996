//! A link: the connection to one peer, made when it is needed, made again when it breaks.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::io::ReadHalf;
use tokio::io::WriteHalf;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use super::call::Call;
use super::call::CallError;
use super::call::Progress;
use super::call::Reply;
use super::frame::FAREWELL;
use super::frame::FRAME_BYTES_MAX;
use super::frame::Frame;
use super::frame::Unnumbered;
use super::handshake;
use super::message::Request;
use super::message::Response;
use super::security::Security;
use super::security::Stream;
use crate::identity::Identity;

/// Calls that wait to be sent.
const CALLS_MAX: usize = 1_024;
/// From dialling to the end of the handshake.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// A peer that was asked and says nothing at all for so long is gone, whatever TCP thinks.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// A connection that nobody uses is closed, before the other side does so.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The way to one peer.
#[derive(Debug, Clone)]
pub(super) struct Link(mpsc::Sender<Call>);

/// How to reach it.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) identity: Arc<Identity>,
    pub(super) security: Security,
    /// The node that is expected there.
    pub(super) node: Option<u64>,
    /// `host:port`.
    pub(super) address: String,
    /// True while the node must talk to nobody.
    pub(super) silent: watch::Receiver<bool>,
}

impl Link {
    pub(super) fn new(route: Route) -> Self {
        let (calls, waiting) = mpsc::channel(CALLS_MAX);
        tokio::spawn(run(route, waiting));
        Self(calls)
    }

    /// Asks, and waits for the answer at most `within`.
    pub(super) async fn call(
        &self,
        request: &Request,
        within: Duration,
    ) -> Result<Response, CallError> {
        let unsent = |reason: String| CallError::Unsent(reason);
        let body = Unnumbered::encode(request).map_err(|error| unsent(error.to_string()))?;
        let (reply, answered) = oneshot::channel();
        let progress = Progress::default();
        let call = Call {
            body,
            progress: progress.clone(),
            reply,
        };
        if self.0.try_send(call).is_err() {
            return Err(unsent("too many calls wait for the peer".to_owned()));
        }
        let frame = match tokio::time::timeout(within, answered).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) => return Err(CallError::Lost("the link has ended".to_owned())),
            Err(_) => {
                let detail = format!("nothing within {within:?}");
                return Err(match progress.give_up() {
                    true => CallError::Unsent(detail),
                    false => CallError::Lost(detail),
                });
            }
        };
        let decoded = frame.decode();
        decoded.map_err(|error| CallError::Lost(error.to_string()))
    }
}

/// Serves calls until the last [`Link`] is dropped.
async fn run(route: Route, mut calls: mpsc::Receiver<Call>) {
    let mut complaint = String::new();
    while let Some(first) = calls.recv().await {
        match connect(&route).await {
            Ok(stream) => {
                tracing::info!(node = route.node, address = route.address, "peer.connected");
                complaint.clear();
                let ended = converse(&route, stream, first, &mut calls).await;
                tracing::debug!(address = route.address, reason = ended, "peer.disconnected");
            }
            Err(error) => {
                let error = error.to_string();
                first.unsent(&error);
                while let Ok(call) = calls.try_recv() {
                    call.unsent(&error);
                }
                // Once for each new reason: a heartbeat tries again all the time.
                if error != complaint {
                    tracing::warn!(
                        node = route.node,
                        address = route.address,
                        error,
                        "peer.connect failed"
                    );
                    complaint = error;
                }
            }
        }
    }
}

async fn connect(route: &Route) -> io::Result<Box<dyn Stream>> {
    if *route.silent.borrow() {
        return Err(io::ErrorKind::NetworkUnreachable.into());
    }
    let connecting = async {
        let tcp = TcpStream::connect(&route.address).await?;
        tcp.set_nodelay(true)?;
        let mut stream = route.security.connect(tcp, &route.address).await?;
        handshake::dial(&mut *stream, &route.identity, route.node).await?;
        Ok(stream)
    };
    match tokio::time::timeout(CONNECT_MAX, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Calls that were sent, by number.
#[derive(Debug, Default)]
struct Pending {
    replies: Mutex<HashMap<u64, Reply>>,
    /// Whether something was asked since the peer last said something.
    asked: AtomicBool,
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Reply>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets whose callers have given up.
    fn sweep(&self) {
        self.lock().retain(|_, reply| !reply.is_closed());
    }
}

/// Uses one connection until it breaks, idles, or is not wanted any more. Says why it ended.
async fn converse(
    route: &Route,
    stream: Box<dyn Stream>,
    first: Call,
    calls: &mut mpsc::Receiver<Call>,
) -> &'static str {
    let (from, to) = tokio::io::split(stream);
    let pending = Pending::default();
    let mut silent = route.silent.clone();
    let mut unsent = false;
    let ended = tokio::select! {
        farewell = listen(from, &pending) => {
            unsent = farewell;
            "the peer closed it, or says nothing"
        }
        ended = ask(to, first, calls, &pending) => ended,
        _ = silent.wait_for(|silent| *silent) => "this node is silent",
    };
    for (_, reply) in pending.lock().drain() {
        let _ = reply.send(Err(match unsent {
            true => CallError::Unsent("the peer has ended".to_owned()),
            false => CallError::Lost("the connection broke".to_owned()),
        }));
    }
    ended
}

/// Hands answers to who waits for them, until the connection ends. Whether the peer said farewell:
/// then what it has not answered was not begun.
async fn listen(mut from: ReadHalf<Box<dyn Stream>>, pending: &Pending) -> bool {
    loop {
        let read = Frame::read(&mut from, FRAME_BYTES_MAX);
        let mut read = std::pin::pin!(read);
        let frame = loop {
            match tokio::time::timeout(SILENCE_MAX, &mut read).await {
                Ok(frame) => break frame,
                Err(_) if pending.asked.load(Ordering::Relaxed) => return false,
                Err(_) => pending.sweep(),
            }
        };
        pending.asked.store(false, Ordering::Relaxed);
        match frame {
            Ok(Some(frame)) if frame.number == FAREWELL => return true,
            Ok(Some(frame)) => {
                let reply = pending.lock().remove(&frame.number);
                if let Some(reply) = reply {
                    let _ = reply.send(Ok(frame));
                }
            }
            Ok(None) => return false,
            Err(error) => {
                tracing::debug!(%error, "peer.read failed");
                return false;
            }
        }
    }
}

/// Sends calls, all that wait in one write.
async fn ask(
    mut to: WriteHalf<Box<dyn Stream>>,
    first: Call,
    calls: &mut mpsc::Receiver<Call>,
    pending: &Pending,
) -> &'static str {
    let mut number = 0;
    let mut next = Some(first);
    loop {
        let mut bytes = Vec::new();
        while let Some(call) = next {
            if let Some((body, reply)) = call.take() {
                number += 1;
                pending.lock().insert(number, reply);
                pending.asked.store(true, Ordering::Relaxed);
                match bytes.is_empty() {
                    true => bytes = body.number(number),
                    false => bytes.extend_from_slice(&body.number(number)),
                }
            }
            next = calls.try_recv().ok();
        }
        let sent = async {
            to.write_all(&bytes).await?;
            to.flush().await
        };
        if let Err(error) = sent.await {
            tracing::debug!(%error, "peer.write failed");
            return "it broke";
        }
        next = match tokio::time::timeout(IDLE_MAX, calls.recv()).await {
            Ok(Some(call)) => Some(call),
            Ok(None) => return "the link has ended",
            Err(_) if pending.lock().is_empty() => return "it was idle",
            Err(_) => None,
        };
    }
}
