//! What every TLS listener of ours has in common: an address that is taken before anything else starts, and a handshake that shows
//! the certificate that is ours at that moment and may not take long.

use anyhow::Context;
use rustls::ServerConfig;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Takes an address; `flag` is what somebody said it with.
pub(crate) fn take(flag: &str, listen: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen).with_context(|| format!("{flag}: cannot listen on `{listen}`"))?;
    listener.set_nonblocking(true).with_context(|| format!("{flag}: cannot listen on `{listen}`"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The handshake with whoever has connected.
pub(crate) async fn greet(server: Option<Arc<ServerConfig>>, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let server = server.ok_or_else(|| io::Error::other("there is no certificate yet"))?;
    stream.set_nodelay(true)?;
    let accepting = TlsAcceptor::from(server).accept(stream);
    timeout(HANDSHAKE, accepting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
