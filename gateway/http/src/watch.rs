//! Watches as Server-Sent Events: each transition once and in order, resumable.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use leasehold_core::caller::Caller;
use leasehold_core::failure::Failure;
use leasehold_core::watches::Place;
use leasehold_core::watches::Told;
use leasehold_core::watches::WatchScope;
use leasehold_core::watches::Watching;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LockRef;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::watch::WatchEvent;
use serde::Deserialize;

use super::bearer::bearer;
use super::extract::Authenticated;
use super::extract::Path;
use super::extract::Query;
use super::problem::respond;
use super::view;
use crate::limiting::Caller as CallerKey;
use crate::listener::Peer;
use crate::services::App;

/// How often a silent watch says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Options of `GET …/locks:watch`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WatchOptions {
    #[serde(default)]
    prefix: String,
}

/// `GET …/locks:watch`.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{ns}/locks:watch",
    operation_id = "watch_namespace",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), WatchOptions),
    responses((status = 200, body = WatchEvent, content_type = "text/event-stream"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn namespace(
    State(app): State<Arc<App>>,
    who: Authenticated,
    peer: Option<Extension<Peer>>,
    Path(ns): Path<String>,
    headers: HeaderMap,
    Query(options): Query<WatchOptions>,
) -> Response {
    let watcher = Watcher::new(who, peer);
    match super::extract::namespace(&ns) {
        Ok(ns) => {
            let scope = WatchScope::Prefix(ns, options.prefix);
            follow(&app, scope, &headers, &watcher).await
        }
        Err(failure) => respond(failure, &watcher.caller.request_id),
    }
}

/// `GET …/locks/{lock}:watch`.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{ns}/locks/{lock}:watch",
    operation_id = "watch_lock",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), ("lock" = String, Path, description = "Lock; may hold slashes")),
    responses((status = 200, body = WatchEvent, content_type = "text/event-stream"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn lock(
    app: &Arc<App>,
    lock: LockRef,
    headers: &HeaderMap,
    watcher: &Watcher,
) -> Response {
    follow(app, WatchScope::Lock(lock), headers, watcher).await
}

/// Who watches.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// What identifies the caller to limits.
    pub(crate) key: CallerKey,
    /// Who asks.
    pub(crate) caller: Caller,
    /// The connection; only a test has none.
    pub(crate) peer: Option<Extension<Peer>>,
}

impl Watcher {
    pub(crate) fn new(who: Authenticated, peer: Option<Extension<Peer>>) -> Self {
        Self {
            key: who.key(),
            caller: who.by_header(),
            peer,
        }
    }
}

async fn follow(
    app: &Arc<App>,
    scope: WatchScope,
    headers: &HeaderMap,
    watcher: &Watcher,
) -> Response {
    let begun = async {
        let after = last_event_id(headers)?;
        let counted = app.limiter.watch(&watcher.key, scope.namespace())?;
        let watching = app.pipeline.watch(&watcher.caller, scope, after).await?;
        Ok::<_, Failure>((watching, counted))
    };
    let (Watching { begin, told }, counted) = match begun.await {
        Ok(begun) => begun,
        Err(failure) => return respond(failure, &watcher.caller.request_id),
    };
    if let Some(peer) = &watcher.peer {
        peer.watches();
    }
    // An id without an event: who is cut off before the first event goes on from here.
    let first = Bytes::from(format!(
        "id: {}\n\n",
        id(begin.cursor, begin.store.as_deref())
    ));
    let store = begin.store;
    let frames = told.map(move |told| {
        // The count ends with the stream.
        let _ = &counted;
        frame(&told, store.as_deref())
    });
    let mut shutdown = app.shutdown.clone();
    let drained = async move {
        // An error means that the sender is gone, which is the end, too.
        let _ = shutdown.wait_for(|down| *down).await;
    };
    // A watch does not outlive the key or token that it was asked for with.
    let auth = app.clone();
    let shown = bearer(headers).unwrap_or_default().to_owned();
    let revoked = async move { auth.authenticator.ended(&shown).await };
    let ended = async move {
        tokio::select! {
            () = drained => {}
            () = revoked => {}
        }
    };
    let frames = stream::iter([first])
        .chain(frames)
        .take_until(Box::pin(ended));
    let body = Body::from_stream(with_heartbeat(frames).map(Ok::<_, Infallible>));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

/// The frames, and a comment whenever there was none for a while.
fn with_heartbeat(
    frames: impl Stream<Item = Bytes> + Send + 'static,
) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::unfold(Box::pin(frames), |mut frames| async move {
        match tokio::time::timeout(HEARTBEAT, frames.next()).await {
            Ok(Some(frame)) => Some((frame, frames)),
            Ok(None) => None,
            Err(_) => Some((Bytes::from_static(b":\n\n"), frames)),
        }
    })
}

/// The id of an event: its cursor, and which store's it is, so that a client that comes with the
/// id of another store's event is told so rather than shown the wrong ones.
fn id(cursor: Cursor, store: Option<&str>) -> String {
    match store {
        Some(store) => format!("{}-{store}", cursor.0),
        None => cursor.0.to_string(),
    }
}

fn place(id: &str) -> Option<Place> {
    let (cursor, store) = match id.split_once('-') {
        Some((cursor, store)) => (cursor, Some(Arc::from(store))),
        None => (id, None),
    };
    let cursor = Cursor(cursor.parse().ok()?);
    Some(Place { cursor, store })
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Place>, Failure> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let place = value.to_str().ok().and_then(place);
    place
        .map(Some)
        .ok_or_else(|| Failure::invalid("last-event-id: must be the id of an event of a watch"))
}

fn frame(told: &Told, store: Option<&str>) -> Bytes {
    match told {
        Told::Event(published) => published.encoded(|event| changes(event, store)),
        Told::Resync { reason, goes_on } => {
            let id = id(*goes_on, store);
            Bytes::from(format!("{}id: {id}\n\n", resync(reason)))
        }
        Told::Broken => Bytes::from(format!("{}\n", resync("unavailable"))),
    }
}

/// The transitions of one event. All have its cursor; only the last carries it as `id`, so that a
/// client that was cut off in between gets all of them again rather than losing one.
fn changes(event: &Event, store: Option<&str>) -> Bytes {
    let EventKind::Lock {
        lock, transitions, ..
    } = &event.kind
    else {
        return Bytes::new();
    };
    let mut text = String::new();
    for transition in transitions {
        let body = view::transition(event, lock, transition);
        let data = serde_json::to_string(&body).unwrap_or_default();
        // JSON has no line breaks, and neither have names of transitions.
        let _ = write!(text, "event: {}\ndata: {data}\n", body.transition);
        text.push('\n');
    }
    if !text.is_empty() {
        text.pop();
        let _ = write!(text, "id: {}\n\n", id(event.cursor, store));
    }
    Bytes::from(text)
}

/// Events were missed; the client must read the locks again. With an id the watch goes on there.
fn resync(reason: &str) -> String {
    format!("event: resync\ndata: {{\"reason\":\"{reason}\"}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_place_after_its_event() {
        let store = Arc::<str>::from("9f3a12bc");
        let cursor = Cursor(4_097);
        let shown = id(cursor, Some(&store));
        assert_eq!(shown, "4097-9f3a12bc");
        let own = Some(Place {
            cursor,
            store: Some(store),
        });
        assert_eq!(place(&shown), own);
        let plain = Some(Place {
            cursor,
            store: None,
        });
        assert_eq!(place(&id(cursor, None)), plain);
        for wrong in ["", "-9f3a12bc", "x", "-1", "99999999999999999999"] {
            assert_eq!(place(wrong), None, "{wrong:?}");
        }
    }
}
