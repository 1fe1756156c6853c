//! One connection of a caller: it has a place among a bounded number, and ends when the caller does not take what it is sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};

/// How long a caller may take nothing of an answer. Reading has limits of its own: for a head, and for a body.
const STALL: Duration = Duration::from_secs(20);

/// A stream that breaks when the other end takes nothing for [`STALL`].
pub(super) struct Visit<S> {
    stream: S,
    stalled: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl<S> Visit<S> {
    pub(super) fn new(stream: S, place: OwnedSemaphorePermit) -> Self {
        Self { stream, stalled: None, _place: place }
    }

    /// Looks on at a write: one that waits has begun to stall, unless it had before.
    fn watched<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + STALL)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Visit<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Visit<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watched(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watched(shut, context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.watched(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Semaphore,
    };

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_is_hung_up_on() {
        let places = Arc::new(Semaphore::new(1));
        let (near, mut far) = tokio::io::duplex(16);
        let mut visit = Visit::new(near, Arc::clone(&places).try_acquire_owned().unwrap());
        visit.write_all(b"sixteen bytes ..").await.unwrap();
        // Taken slowly is taken.
        let read = tokio::spawn(async move {
            for _ in 0..4 {
                tokio::time::sleep(STALL / 2).await;
                let mut some = [0; 4];
                far.read_exact(&mut some).await.unwrap();
            }
            far
        });
        visit.write_all(b"sixteen bytes ..").await.unwrap();
        let _far = read.await.unwrap();
        let begun = Instant::now();
        assert_eq!(visit.write_all(b"sixteen bytes ..").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), STALL.as_secs());
        drop(visit);
        assert_eq!(places.available_permits(), 1);
    }
}
