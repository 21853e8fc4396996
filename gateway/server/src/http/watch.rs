//! Watches as Server-Sent Events: each transition once and in order, resumable.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::response::sse;
use axum::response::sse::KeepAlive;
use axum::response::sse::Sse;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use leasehold_domain::Cursor;
use leasehold_domain::Event;
use leasehold_domain::EventKind;
use leasehold_domain::LockRef;
use leasehold_domain::RequestId;
use leasehold_wire::v1::Problem;
use leasehold_wire::v1::watch::WatchEvent;
use serde::Deserialize;

use super::extract::Authenticated;
use super::extract::Path;
use super::extract::Query;
use super::problem::respond;
use super::view;
use crate::app::App;
use crate::pipeline::Place;
use crate::pipeline::Told;
use crate::pipeline::WatchScope;
use crate::pipeline::Watching;
use crate::pipeline::failure::Failure;

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
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), WatchOptions),
    responses((status = 200, body = WatchEvent, content_type = "text/event-stream"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn namespace(
    State(app): State<Arc<App>>,
    who: Authenticated,
    Path(ns): Path<String>,
    headers: HeaderMap,
    Query(options): Query<WatchOptions>,
) -> Response {
    let request_id = who.request_id();
    match super::extract::namespace(&ns) {
        Ok(ns) => {
            follow(
                &app,
                WatchScope::Prefix(ns, options.prefix),
                &headers,
                request_id,
            )
            .await
        }
        Err(failure) => respond(failure, request_id),
    }
}

/// `GET …/locks/{lock}:watch`.
#[utoipa::path(
    get,
    path = "/v1/namespaces/{ns}/locks/{lock}:watch",
    tag = "locks",
    params(("ns" = String, Path, description = "Namespace"), ("lock" = String, Path, description = "Lock; may hold slashes")),
    responses((status = 200, body = WatchEvent, content_type = "text/event-stream"), (status = "default", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn lock(
    app: &Arc<App>,
    lock: LockRef,
    headers: &HeaderMap,
    request_id: &RequestId,
) -> Response {
    follow(app, WatchScope::Lock(lock), headers, request_id).await
}

async fn follow(
    app: &Arc<App>,
    scope: WatchScope,
    headers: &HeaderMap,
    request_id: &RequestId,
) -> Response {
    let after = match last_event_id(headers) {
        Ok(after) => after,
        Err(failure) => return respond(failure, request_id),
    };
    let Watching { begin, told } = match app.pipeline.watch(scope, after).await {
        Ok(watching) => watching,
        Err(failure) => return respond(failure, request_id),
    };
    // An id without an event: who is cut off before the first event goes on from here.
    let first = sse::Event::default().id(id(begin.cursor, begin.store.as_deref()));
    let store = begin.store;
    let frames = told.flat_map(move |told| stream::iter(frames(&told, store.as_deref())));
    let frames = stream::iter([first]).chain(frames);
    let mut shutdown = app.shutdown.clone();
    let drained = async move {
        // An error means that the sender is gone, which is the end, too.
        let _ = shutdown.wait_for(|down| *down).await;
    };
    let frames = frames
        .take_until(Box::pin(drained))
        .map(Ok::<_, Infallible>);
    Sse::new(boxed(frames))
        .keep_alive(KeepAlive::new().interval(HEARTBEAT))
        .into_response()
}

fn boxed<S: Stream + Send + 'static>(frames: S) -> stream::BoxStream<'static, S::Item> {
    frames.boxed()
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

fn frames(told: &Told, store: Option<&str>) -> Vec<sse::Event> {
    match told {
        Told::Event(event) => changes(event, store),
        Told::Resync { reason, goes_on } => {
            vec![resync(reason).id(id(*goes_on, store))]
        }
        Told::Broken => vec![resync("unavailable")],
    }
}

/// The transitions of one event. All have its cursor; only the last carries it as `id`, so that a
/// client that was cut off in between gets all of them again rather than losing one.
fn changes(event: &Event, store: Option<&str>) -> Vec<sse::Event> {
    let EventKind::Lock {
        lock, transitions, ..
    } = &event.kind
    else {
        return Vec::new();
    };
    let last = transitions.len().saturating_sub(1);
    let frame = |(index, transition)| {
        let body = view::transition(event, lock, transition);
        let data = serde_json::to_string(&body).unwrap_or_default();
        let frame = sse::Event::default().event(&body.transition).data(data);
        if index == last {
            frame.id(id(event.cursor, store))
        } else {
            frame
        }
    };
    transitions.iter().enumerate().map(frame).collect()
}

/// Events were missed; the client must read the locks again. With an id the watch goes on there.
fn resync(reason: &str) -> sse::Event {
    sse::Event::default()
        .event("resync")
        .data(format!("{{\"reason\":\"{reason}\"}}"))
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
