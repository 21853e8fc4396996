//! A connection's bytes: scanned as they arrive, and read to their end when the gateway closes
//! while a client still sends.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use leasehold_domain::limits::LINGER_BYTES_MAX;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use super::head::HeadScanner;
use super::vitals::Phase;
use super::vitals::Vitals;

/// A stream that tells [`Vitals`] of malformed heads.
///
/// Closing a socket while unread bytes wait in it resets the connection, and the client may lose
/// the answer that was sent just before. If the request's body was not read, the stream therefore
/// closes its sending half first, and discards what comes until the client closes too, within
/// [`LINGER_BYTES_MAX`] and the deadline of a head.
#[derive(Debug)]
pub(super) struct ClientStream<S> {
    stream: S,
    vitals: Arc<Vitals>,
    scanner: HeadScanner,
    linger: Linger,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Linger {
    NotYet,
    Discarding { bytes_left: usize },
}

impl<S> ClientStream<S> {
    pub(super) fn new(stream: S, vitals: Arc<Vitals>) -> Self {
        Self {
            stream,
            vitals,
            scanner: HeadScanner::default(),
            linger: Linger::NotYet,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.scanner.scan(&buf.filled()[before..]) {
            self.vitals.found_bare_line_feed();
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut bytes_left = match self.linger {
            Linger::Discarding { bytes_left } => bytes_left,
            Linger::NotYet => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                if !self.vitals.lingers() {
                    return Poll::Ready(Ok(()));
                }
                self.vitals.enter(Phase::Head);
                LINGER_BYTES_MAX
            }
        };
        let mut scratch = [const { MaybeUninit::<u8>::uninit() }; 4_096];
        while bytes_left > 0 {
            let mut buf = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    bytes_left = bytes_left.saturating_sub(buf.filled().len());
                }
                // The client has closed, or is gone.
                Poll::Ready(_) => break,
                Poll::Pending => {
                    self.linger = Linger::Discarding { bytes_left };
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
