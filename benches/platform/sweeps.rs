//! Sweeps over an account of 5,000 instances, beside a bare client that reads the same pages and looks at nothing in them.

use super::daemon::Daemon;
use anyhow::{Context, Result, ensure};
use clonewarden_platform::Platform;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

/// How many instances there are: fifty pages.
pub(super) const INSTANCES: usize = 5_000;
const REGION: &str = "us-east-1";
/// How long a sweep may take before this machine is too busy to measure anything.
const WITHIN: Duration = Duration::from_secs(180);

/// The AWS endpoint of the platform.
pub(super) struct Sky {
    address: String,
}

/// What one sweep asked.
pub(super) struct Asked {
    /// Calls of DescribeDBInstances, and of all kinds.
    pub(super) instances: usize,
    pub(super) all: usize,
    /// From the first to the last of DescribeDBInstances, in seconds, as the endpoint saw it.
    pub(super) took: f64,
}

impl Sky {
    /// An account that holds the instances and nothing else.
    pub(super) async fn filled(platform: &Platform) -> Result<Self> {
        let address = platform.aws_endpoint()?.strip_prefix("http://").context("the endpoint is no http address")?.to_owned();
        let sky = Self { address };
        sky.post("/control/reset", &json!({})).await?;
        let tags = json!({"Cluster": "another-cluster", "CloneId": "clone-{n}", "CloneUid": "{n}", "Namespace": "bench"});
        sky.post("/control/bulk", &json!({"region": REGION, "count": INSTANCES, "prefix": "db", "tags": tags})).await?;
        Ok(sky)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Reads every page of the instances and follows the markers; how long that took.
    pub(super) async fn read_bare(&self) -> Result<Duration> {
        let begun = Instant::now();
        let (mut seen, mut marker) = (0, None::<String>);
        loop {
            let next = marker.map(|marker| format!("&Marker={marker}")).unwrap_or_default();
            let body = format!("Action=DescribeDBInstances&Version=2014-10-31&MaxRecords=100{next}");
            let page = self.ask("POST", "/", &body).await?;
            seen += page.matches("<DbiResourceId>").count();
            marker = page.split_once("<Marker>").and_then(|(_, rest)| rest.split_once('<')).map(|(marker, _)| marker.to_owned());
            if marker.is_none() {
                ensure!(seen == INSTANCES, "{seen} instances");
                return Ok(begun.elapsed());
            }
        }
    }

    /// Waits until the daemon has ended a sweep that had not ended before, and says what it asked.
    pub(super) async fn until_swept(&self, daemon: &Daemon, before: f64, called: usize) -> Result<(f64, Asked)> {
        let until = Instant::now() + WITHIN;
        loop {
            let swept = daemon.swept(REGION).await?;
            if swept > before {
                let calls = self.calls().await?;
                let since = calls.get(called..).unwrap_or_default();
                let all = since.iter().filter(|call| call["service"] == "rds");
                let instances: Vec<f64> =
                    all.clone().filter(|call| call["op"] == "DescribeDBInstances").filter_map(|call| call["at"].as_f64()).collect();
                let took = instances.last().zip(instances.first()).map_or(0.0, |(last, first)| last - first);
                return Ok((swept, Asked { instances: instances.len(), all: all.count(), took }));
            }
            ensure!(Instant::now() < until, "no sweep ended within {} s", WITHIN.as_secs());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many calls there have been so far.
    pub(super) async fn called(&self) -> Result<usize> {
        Ok(self.calls().await?.len())
    }

    async fn calls(&self) -> Result<Vec<Value>> {
        Ok(serde_json::from_str(&self.ask("GET", "/control/calls", "").await?)?)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<()> {
        self.ask("POST", path, &body.to_string()).await.map(drop)
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=bench/20260101/{REGION}/rds/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "{method} {path}: {answer}");
        Ok(body.to_owned())
    }
}
