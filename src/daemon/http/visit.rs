//! The connections: how many there may be, for how long, and who goes first when there are too many.
//!
//! Contract: a newcomer is always let in. Whoever has connected and not asked yet is one of at most [`SILENT`]: one more, and the one that
//! has been silent longest is hung up on. Whoever asks for more than health takes one of [`PLACES`] or is told to come again; no request
//! waits for a place, so that none can be kept waiting. Each connection ends when its time is up, whatever it is at.

use super::local::Ends;
use axum::{extract::Extension, middleware::AddExtension};
use axum_server::accept::Accept;
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower_layer::Layer;

/// How many may be connected without having asked for anything. A probe asks within milliseconds.
pub(crate) const SILENT: usize = 128;
/// How many are answered at a time, health aside.
pub(crate) const PLACES: usize = 64;

/// Everybody who is connected.
pub(crate) struct Lobby {
    silent: Mutex<Silent>,
    places: Arc<Semaphore>,
}

/// Those who have not asked yet, the one who came first first.
#[derive(Default)]
struct Silent {
    waiting: BTreeMap<u64, CancellationToken>,
    next: u64,
}

impl Lobby {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { silent: Mutex::default(), places: Arc::new(Semaphore::new(PLACES)) })
    }

    fn silent(&self) -> MutexGuard<'_, Silent> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has connected.
    fn enter(self: &Arc<Self>, ends: Ends) -> (Arc<Guest>, CancellationToken) {
        let out = CancellationToken::new();
        let mut silent = self.silent();
        let number = silent.next;
        silent.next = number.wrapping_add(1);
        silent.waiting.insert(number, out.clone());
        if silent.waiting.len() > SILENT
            && let Some((_, longest)) = silent.waiting.pop_first()
        {
            longest.cancel();
        }
        (Arc::new(Guest { ends, number, lobby: Arc::clone(self), place: Mutex::default() }), out)
    }
}

/// Somebody who is connected, as a request finds them.
pub(crate) struct Guest {
    pub(crate) ends: Ends,
    number: u64,
    lobby: Arc<Lobby>,
    place: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Guest {
    /// The head of their request is here: they are silent no more.
    pub(super) fn has_asked(&self) {
        self.lobby.silent().waiting.remove(&self.number);
    }

    /// Takes a place until the connection ends, also while the answer is taken slowly; whether there was one.
    pub(crate) fn is_seated(&self) -> bool {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            *place = Arc::clone(&self.lobby.places).try_acquire_owned().ok();
        }
        place.is_some()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.has_asked();
    }
}

/// Lets in whoever connects.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) lobby: Arc<Lobby>,
    pub(super) patience: Duration,
}

impl<S: Send + 'static> Accept<TcpStream, S> for Door {
    type Stream = Visit;
    type Service = AddExtension<S, Arc<Guest>>;
    type Future = std::future::Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        let ends = Ends { peer: stream.peer_addr().unwrap_or(nobody), local: stream.local_addr().unwrap_or(nobody) };
        let (guest, out) = self.lobby.enter(ends);
        let end = Box::pin(sleep_until(Instant::now() + self.patience));
        let visit = Visit { stream, end, out: Box::pin(out.cancelled_owned()), _guest: Arc::clone(&guest) };
        std::future::ready(Ok((visit, Extension(guest).layer(service))))
    }
}

/// One connection: a stream that breaks when its time is up, or when somebody else needs its place.
pub(super) struct Visit {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    out: Pin<Box<WaitForCancellationFutureOwned>>,
    _guest: Arc<Guest>,
}

impl Visit {
    /// Breaks once the time is up; until then it makes sure that the task is woken when it is.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let over = self.end.as_mut().poll(context).is_ready() || self.out.as_mut().poll(context).is_ready();
        if over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Visit {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
