//! What a daemon serves over HTTP, read the way a scraper does.

use anyhow::{Context, Result, bail};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// An answer that takes longer is none.
const WITHIN: Duration = Duration::from_secs(5);

/// The status and the body of one GET.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    get_with(address, path, &format!("Host: {address}\r\n")).await
}

/// The same with these lines in the head of the request.
pub(crate) async fn get_with(address: SocketAddr, path: &str, head: &str) -> Result<(u16, String)> {
    timeout(WITHIN, ask(address, path, head)).await.with_context(|| format!("http://{address}{path}: nothing within {} s", WITHIN.as_secs()))?
}

async fn ask(address: SocketAddr, path: &str, head: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    // HTTP/1.0: the answer ends with the connection.
    stream.write_all(format!("GET {path} HTTP/1.0\r\n{head}\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.with_context(|| format!("http://{address}{path}: no whole answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("http://{address}{path}: not HTTP: {answer}"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).with_context(|| format!("no status in {head}"))?;
    Ok((status, body.to_owned()))
}

/// One reading of `/metrics`.
pub(crate) struct Metrics(String);

impl Metrics {
    pub(crate) async fn read(address: SocketAddr) -> Result<Self> {
        match get(address, "/metrics").await? {
            (200, text) => Ok(Self(text)),
            (status, text) => bail!("/metrics: {status}: {text}"),
        }
    }

    /// The sum of the series of this name with all of these labels; 0 where there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |series: &str| {
            let (family, rest) = series.split_once('{').unwrap_or((series, ""));
            family == name && labels.iter().all(|(key, value)| rest.contains(&format!("{key}=\"{value}\"")))
        };
        let samples = self.0.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        samples.filter(|(series, _)| fits(series)).filter_map(|(_, value)| value.parse::<f64>().ok()).fold(0.0, |sum, value| sum + value)
    }

    /// The lines of one family, for messages.
    pub(crate) fn family(&self, name: &str) -> String {
        self.0.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>().join("; ")
    }
}
