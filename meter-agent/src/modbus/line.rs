//! A serial line, or what a gateway makes of one: quiet before every request.
//!
//! An RTU answer carries nothing that tells to which request it belongs. So whatever came before a
//! request is written is thrown away, and an adapter's echo of the request is taken off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// More than one frame of the longest kind.
const SCRATCH_BYTES: usize = 512;

/// A stream of RTU frames, one request and one answer at a time.
#[derive(Debug)]
pub(super) struct QuietLine<S> {
    inner: S,
    strip_echo: bool,
    /// Whether the last thing done was to write.
    writing: bool,
    /// How many bytes of the request's echo are still to come.
    echo: usize,
}

impl<S> QuietLine<S> {
    pub(super) fn new(inner: S, strip_echo: bool) -> Self {
        Self { inner, strip_echo, writing: false, echo: 0 }
    }
}

impl<S: AsyncRead + Unpin> QuietLine<S> {
    /// Throws away what has come.
    fn drain(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut scratch = [0; SCRATCH_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buffer) {
                Poll::Pending => return Ok(()),
                Poll::Ready(read) => read?,
            }
            match buffer.filled().len() {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => tracing::debug!(count, "bytes that nobody asked for are dropped"),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for QuietLine<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.writing = false;
        while self.echo > 0 {
            let mut scratch = [0; SCRATCH_BYTES];
            let room = self.echo.min(SCRATCH_BYTES);
            let mut echo = ReadBuf::new(scratch.get_mut(..room).unwrap_or_default());
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut echo))?;
            match echo.filled().len() {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                count => self.echo = self.echo.saturating_sub(count),
            }
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for QuietLine<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        frame: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.writing {
            self.drain(cx)?;
            (self.writing, self.echo) = (true, 0);
        }
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, frame))?;
        if self.strip_echo {
            self.echo = self.echo.saturating_add(written);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
