//! The connections: how many there may be, for how long, and who goes first when there are too many.
//!
//! Contract: a newcomer is always let in. Whoever has connected and not asked yet is one of at most [`SILENT`]; whoever asks for more than
//! health takes one of [`PLACES`] or is told to come again; no request waits for a place, so that none can be kept waiting. Where there is
//! no room, it comes from the address that has most: its oldest connection is hung up on. So nobody keeps out who comes from elsewhere,
//! however much they hold. Each connection ends when its time is up, whatever it is at.

use super::local::Ends;
use axum::{extract::Extension, middleware::AddExtension};
use axum_server::accept::Accept;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower_layer::Layer;

/// How many may be connected without having asked for anything. A probe asks within milliseconds.
pub(crate) const SILENT: usize = 128;
/// How many are answered at a time, health aside.
pub(crate) const PLACES: usize = 64;

/// Everybody who is connected.
#[derive(Default)]
pub(crate) struct Lobby(Mutex<Crowds>);

#[derive(Default)]
struct Crowds {
    /// Those who have not asked yet.
    silent: Crowd,
    /// Those who have a place.
    seated: Crowd,
    next: u64,
}

/// Connections by where they come from, each with what hangs up on it; the one that came first first.
#[derive(Default)]
struct Crowd(HashMap<IpAddr, BTreeMap<u64, CancellationToken>>);

impl Crowd {
    fn count(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    fn of(&self, address: IpAddr) -> usize {
        self.0.get(&address).map_or(0, BTreeMap::len)
    }

    fn add(&mut self, address: IpAddr, number: u64, out: &CancellationToken) {
        self.0.entry(address).or_default().insert(number, out.clone());
    }

    fn remove(&mut self, address: IpAddr, number: u64) {
        if let Some(here) = self.0.get_mut(&address) {
            here.remove(&number);
            if here.is_empty() {
                self.0.remove(&address);
            }
        }
    }

    /// Hangs up on the oldest connection of the address that has most, if that has more than so many; whether it did.
    fn makes_room(&mut self, more_than: usize) -> bool {
        let first = |here: &BTreeMap<u64, CancellationToken>| here.first_key_value().map(|(number, _)| *number);
        let most = self.0.iter().filter(|(_, here)| here.len() > more_than).max_by_key(|(_, here)| (here.len(), Reverse(first(here))));
        let Some((address, number, out)) = most.and_then(|(address, here)| Some((*address, first(here)?, here.values().next()?.clone()))) else {
            return false;
        };
        self.remove(address, number);
        out.cancel();
        true
    }
}

impl Lobby {
    fn crowds(&self) -> MutexGuard<'_, Crowds> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has connected.
    fn enter(self: &Arc<Self>, ends: Ends) -> Arc<Guest> {
        let (address, out) = (ends.peer.ip().to_canonical(), CancellationToken::new());
        let mut crowds = self.crowds();
        let number = crowds.next;
        crowds.next = number.wrapping_add(1);
        crowds.silent.add(address, number, &out);
        if crowds.silent.count() > SILENT {
            crowds.silent.makes_room(0);
        }
        Arc::new(Guest { ends, address, number, out, lobby: Arc::clone(self) })
    }
}

/// Somebody who is connected, as a request finds them.
pub(crate) struct Guest {
    pub(crate) ends: Ends,
    address: IpAddr,
    number: u64,
    out: CancellationToken,
    lobby: Arc<Lobby>,
}

impl Guest {
    /// The head of their request is here: they are silent no more.
    pub(super) fn has_asked(&self) {
        self.lobby.crowds().silent.remove(self.address, self.number);
    }

    /// Takes a place until the connection ends, also while the answer is taken slowly; whether there was one.
    pub(crate) fn takes_place(&self) -> bool {
        let mut crowds = self.lobby.crowds();
        let seated = &mut crowds.seated;
        // Not for one who would then have as many as whoever has to make room.
        let more_than = seated.of(self.address).saturating_add(1);
        let room = seated.count() < PLACES || seated.makes_room(more_than);
        if room {
            seated.add(self.address, self.number, &self.out);
        }
        room
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut crowds = self.lobby.crowds();
        crowds.silent.remove(self.address, self.number);
        crowds.seated.remove(self.address, self.number);
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
        let guest = self.lobby.enter(ends);
        let end = Box::pin(sleep_until(Instant::now() + self.patience));
        let visit = Visit { stream, end, out: Box::pin(guest.out.clone().cancelled_owned()), _guest: Arc::clone(&guest) };
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
