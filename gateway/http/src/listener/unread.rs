//! Request bodies that nobody has read when their request is answered.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use axum::body::HttpBody;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::body::SizeHint;
use leasehold_domain::limits::UNREAD_BODY_BYTES_MAX;
use leasehold_domain::limits::UNREAD_BODY_WAIT_MS_MAX;

use super::vitals::Vitals;

/// A request's body. Dropped before its end, it is left with the connection's [`Vitals`].
#[derive(Debug)]
pub(super) struct RequestBody {
    body: Option<Incoming>,
    vitals: Arc<Vitals>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, vitals: Arc<Vitals>) -> Self {
        Self {
            body: Some(body),
            vitals,
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            self.vitals.leave_unread(body);
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = self.body.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let nothing = || SizeHint::with_exact(0);
        self.body.as_ref().map_or_else(nothing, HttpBody::size_hint)
    }
}

/// Reads the rest of a body if it is small and arrives at once. Returns whether it is at its end:
/// then the connection can serve another request.
pub(super) async fn is_drained(mut body: Incoming) -> bool {
    let mut bytes_left = UNREAD_BODY_BYTES_MAX;
    if body.size_hint().lower() > bytes_left {
        return false;
    }
    let drain = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            match bytes_left.checked_sub(bytes) {
                Some(left) => bytes_left = left,
                None => return false,
            }
        }
        true
    };
    let wait = Duration::from_millis(UNREAD_BODY_WAIT_MS_MAX);
    tokio::time::timeout(wait, drain).await.unwrap_or(false)
}
