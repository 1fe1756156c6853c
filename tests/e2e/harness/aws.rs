//! AWS as an admin of the account sees it, and the control API of the endpoint that plays it. Plain calls, no SDK: it shares
//! nothing with the daemon's own adapter.

use super::wait::until;
use anyhow::{Context, Result, bail, ensure};
use clonewarden_platform::Platform;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Where ACK makes databases.
pub(crate) const REGION: &str = "us-east-1";
/// The other region that the endpoint has a subnet group in.
pub(crate) const ELSEWHERE: &str = "eu-west-1";
/// The account that the endpoint plays.
pub(crate) const ACCOUNT: &str = "123456789012";
/// The subnet group that is there in both regions.
pub(crate) const SUBNETS: &str = "clones";
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long KRO, ACK and AWS may take over one step, with ACK looking again every half minute.
pub(crate) const STEP_WITHIN: Duration = Duration::from_secs(60);

/// The lists of RDS: the action, and what an item is called.
const LISTS: [(&str, &str); 4] = [
    ("DescribeDBInstances", "DBInstance"),
    ("DescribeDBClusters", "DBCluster"),
    ("DescribeDBSnapshots", "DBSnapshot"),
    ("DescribeDBClusterSnapshots", "DBClusterSnapshot"),
];

/// The endpoint of the platform.
#[derive(Clone)]
pub(crate) struct Aws {
    /// With its scheme, as the daemon wants it.
    pub(crate) url: String,
}

/// What came back of a call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// One database or snapshot as AWS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described(String);

impl Described {
    /// The text of the first element of that name; nothing where there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        first(&self.0, name).unwrap_or_default()
    }

    /// The value of a tag.
    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        let tags = first(&self.0, "TagList")?;
        tags.split("<Tag>").find(|tag| first(tag, "Key") == Some(key)).and_then(|tag| first(tag, "Value"))
    }
}

/// Everything of a region, by kind and identifier.
pub(crate) type Everything = BTreeMap<(String, String), Described>;

impl Aws {
    pub(crate) fn of(platform: &Platform) -> Result<Self> {
        Ok(Self { url: platform.aws_endpoint()? })
    }

    /// An empty account. Databases are there at once, and go within a second and a half.
    pub(crate) async fn reset(&self) -> Result<()> {
        self.control("reset", &json!({})).await?;
        self.control("timing", &json!({"creating": 0, "backingUp": 0, "deleting": 1.5, "snapshot": 0.5})).await?;
        Ok(())
    }

    /// An action, whatever AWS makes of it.
    pub(crate) async fn call(&self, region: &str, action: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        let mut body = format!("Action={action}&Version=2014-10-31");
        for (name, value) in parameters {
            body.push_str(&format!("&{}={}", encoded(name), encoded(value)));
        }
        let headers = format!(
            "Content-Type: application/x-www-form-urlencoded\r\nUser-Agent: person\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=testing/20260101/{region}/rds/aws4_request, SignedHeaders=host, Signature=x\r\n"
        );
        self.send("POST", "/", &headers, &body).await
    }

    /// An action that must succeed.
    pub(crate) async fn ok(&self, region: &str, action: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        let answer = self.call(region, action, parameters).await?;
        ensure!(answer.status == 200, "{action} {parameters:?}: {}: {}", answer.status, answer.body);
        Ok(answer)
    }

    /// Makes an instance by hand, with these tags.
    pub(crate) async fn instance(&self, region: &str, id: &str, tags: &[(&str, &str)]) -> Result<()> {
        let mut parameters = vec![
            ("DBInstanceIdentifier".to_owned(), id.to_owned()),
            ("DBInstanceClass".to_owned(), "db.t3.micro".to_owned()),
            ("Engine".to_owned(), "mysql".to_owned()),
            ("DBSubnetGroupName".to_owned(), SUBNETS.to_owned()),
        ];
        for ((key, value), number) in tags.iter().zip(1..) {
            parameters.push((format!("Tags.Tag.{number}.Key"), (*key).to_owned()));
            parameters.push((format!("Tags.Tag.{number}.Value"), (*value).to_owned()));
        }
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.ok(region, "CreateDBInstance", &parameters).await?;
        Ok(())
    }

    /// Everything that is in a region.
    pub(crate) async fn everything(&self, region: &str) -> Result<Everything> {
        let mut found = BTreeMap::new();
        for (action, kind) in LISTS {
            let answer = self.ok(region, action, &[]).await?;
            ensure!(first(&answer.body, "Marker").is_none_or(str::is_empty), "{action}: there is a second page");
            for item in answer.body.split(&format!("<{kind}>")).skip(1) {
                let item = item.split_once(&format!("</{kind}>")).map_or(item, |(item, _)| item);
                // It moves on by itself.
                let (before, after) = item.split_once("<LatestRestorableTime>").unwrap_or((item, ""));
                let item = format!("{before}{}", after.split_once("</LatestRestorableTime>").map_or("", |(_, after)| after));
                let id = first(&item, &format!("{kind}Identifier")).with_context(|| format!("no identifier: {item}"))?.to_owned();
                found.insert((kind.to_owned(), id), Described(item));
            }
        }
        Ok(found)
    }

    /// One thing, if it is there.
    pub(crate) async fn find(&self, region: &str, kind: &str, id: &str) -> Result<Option<Described>> {
        Ok(self.everything(region).await?.remove(&(kind.to_owned(), id.to_owned())))
    }

    /// Waits until a database is there and `available`.
    pub(crate) async fn until_available(&self, kind: &str, id: &str) -> Result<Described> {
        until(&format!("AWS has {kind} {id}"), STEP_WITHIN, async || {
            let found = self.find(REGION, kind, id).await?.context("it is not there")?;
            let status = found.text(if kind == "DBCluster" { "Status" } else { "DBInstanceStatus" });
            ensure!(status == "available", "it is `{status}`");
            Ok(found)
        })
        .await
    }

    /// Waits until a database is gone.
    pub(crate) async fn until_gone(&self, kind: &str, id: &str) -> Result<()> {
        until(&format!("AWS has no {kind} {id} any more"), STEP_WITHIN, async || {
            ensure!(self.find(REGION, kind, id).await?.is_none(), "it is still there");
            Ok(())
        })
        .await
    }

    /// Says something to the endpoint itself.
    pub(crate) async fn control(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send("POST", &format!("/control/{path}"), "", &body.to_string()).await?;
        ensure!(answer.status == 200, "{path} {body}: {}", answer.body);
        Ok(serde_json::from_str(&answer.body)?)
    }

    /// Every call since the last reset that was no look.
    pub(crate) async fn changes(&self) -> Result<Vec<Change>> {
        let answer = self.send("GET", "/control/calls", "", "").await?;
        let calls: Vec<Value> = serde_json::from_str(&answer.body)?;
        Ok(calls.iter().filter_map(Change::read).collect())
    }

    /// How often a call came since the last reset.
    pub(crate) async fn asked(&self, operation: &str) -> Result<usize> {
        let answer = self.send("GET", "/control/calls", "", "").await?;
        let calls: Vec<Value> = serde_json::from_str(&answer.body)?;
        Ok(calls.iter().filter(|call| call["op"] == operation).count())
    }

    /// What CloudWatch has taken since the last reset, in order.
    pub(crate) async fn figures(&self) -> Result<Vec<Value>> {
        Ok(serde_json::from_str(&self.send("GET", "/control/figures", "", "").await?.body)?)
    }

    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Result<Answer> {
        let host = self.url.strip_prefix("http://").context("the endpoint is not plain HTTP")?;
        let asked = async {
            let mut stream = TcpStream::connect(host).await?;
            let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            anyhow::Ok(text)
        };
        let text = timeout(ANSWER_WITHIN, asked).await.with_context(|| format!("AWS: {path}: no answer"))??;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { bail!("AWS: {path}: no whole answer") };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        Ok(Answer { status, body: body.to_owned() })
    }
}

/// One call that changes something, or tried to.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) op: String,
    pub(crate) region: String,
    /// Its parameters, as text.
    pub(crate) parameters: String,
    /// Whether it was carried out.
    pub(crate) done: bool,
    /// Who sent it: `person`, ACK, or clonewarden's SDK.
    pub(crate) by: By,
}

/// Who sent a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Person,
    Ack,
    Clonewarden,
}

impl Change {
    fn read(call: &Value) -> Option<Self> {
        let op = call["op"].as_str()?;
        if ["Describe", "List", "Get"].iter().any(|looks| op.starts_with(looks)) {
            return None;
        }
        let agent = call["userAgent"].as_str().unwrap_or_default();
        let by = if agent == "person" {
            By::Person
        } else if agent.starts_with("aws-controllers-k8s/") {
            By::Ack
        } else {
            By::Clonewarden
        };
        Some(Self {
            op: op.to_owned(),
            region: call["region"].as_str()?.to_owned(),
            parameters: call["parameters"].to_string(),
            // Nobody heard the answer of one without a status, but it was carried out.
            done: call["status"] == 200 || call["status"].is_null() && call["fault"] == "lostAnswer",
            by,
        })
    }

    /// Whether it is about this identifier, or about the ARN of it.
    pub(crate) fn names(&self, id: &str) -> bool {
        self.parameters.contains(&format!("\"{id}\"")) || self.parameters.contains(&format!(":{id}\""))
    }
}

fn first<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
