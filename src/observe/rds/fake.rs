//! AWS in a few lines, for tests: it answers over plain HTTP/1.1 with what a test says, byte by byte, breaks connections, and
//! remembers what it was asked.

use super::{Limits, RdsCloud, http};
use crate::daemon::run::SystemClock;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_rds::config::{Credentials, Region, SharedCredentialsProvider};
use aws_smithy_http_client::proxy::ProxyConfig;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "us-east-1";

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status and a body, framed as it should be.
    Whole(u16, Vec<u8>),
    /// The same with a `Date`.
    Dated(String, Vec<u8>),
    /// Less than the length that was promised, then the end of the connection.
    Short(Vec<u8>),
    /// The connection is reset.
    Reset,
    /// Nothing at all, for a long time.
    Silence,
}

/// A form that was sent.
pub(crate) type Form = BTreeMap<String, String>;

type Script = Arc<dyn Fn(&str, &Form, usize) -> Reply + Send + Sync>;

/// A server that speaks for AWS.
#[derive(Clone)]
pub(crate) struct Aws {
    url: String,
    pub(crate) asked: Arc<Mutex<Vec<Form>>>,
}

impl Aws {
    /// Starts one. The script is told the operation, the form, and how many of this operation came before.
    pub(crate) async fn start(script: impl Fn(&str, &Form, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let aws = Self { url: format!("http://{}", listener.local_addr().unwrap()), asked: Arc::default() };
        let (asked, script): (_, Script) = (Arc::clone(&aws.asked), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&asked), Arc::clone(&script)));
            }
        });
        aws
    }

    /// How often an operation was asked for.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|form| form["Action"] == operation).count()
    }

    pub(crate) fn config(&self) -> SdkConfig {
        let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", Some("token".into()), None, "test");
        self.config_for(SharedCredentialsProvider::new(keys))
    }

    pub(crate) fn config_for(&self, credentials: SharedCredentialsProvider) -> SdkConfig {
        let config = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).region(Region::new(REGION));
        config.endpoint_url(&self.url).http_client(http(ProxyConfig::disabled())).credentials_provider(credentials).build()
    }

    /// A client of it, with limits that a slow machine keeps.
    pub(crate) fn cloud(&self) -> RdsCloud {
        self.within(patient())
    }

    pub(crate) fn within(&self, limits: Limits) -> RdsCloud {
        RdsCloud::over(&self.config(), &[Arc::from(REGION)], Some(ACCOUNT), Arc::new(SystemClock), limits)
    }
}

/// Limits for what must succeed.
pub(crate) fn patient() -> Limits {
    Limits { backoff: Duration::from_millis(1), pages: 5, ..Limits::default() }
}

/// Limits for what never comes.
pub(crate) fn hasty() -> Limits {
    Limits { read: Duration::from_millis(100), attempt: Duration::from_millis(150), call: Duration::from_secs(20), ..patient() }
}

async fn serve(mut stream: TcpStream, asked: Arc<Mutex<Vec<Form>>>, script: Script) {
    let _ = stream.set_nodelay(true);
    while let Some(form) = request(&mut stream).await {
        let operation = form["Action"].clone();
        let before = {
            let mut asked = asked.lock().unwrap();
            let before = asked.iter().filter(|form| form["Action"] == operation).count();
            asked.push(form.clone());
            before
        };
        let (status, date, body, promised) = match script(&operation, &form, before) {
            Reply::Whole(status, body) => (status, None, body, 0),
            Reply::Dated(date, body) => (200, Some(date), body, 0),
            Reply::Short(body) => (200, None, body, 7),
            Reply::Reset => {
                let _ = stream.set_zero_linger();
                return;
            }
            Reply::Silence => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return;
            }
        };
        let date = date.map(|date| format!("Date: {date}\r\n")).unwrap_or_default();
        let mut answer =
            format!("HTTP/1.1 {status} X\r\nContent-Type: text/xml\r\n{date}Content-Length: {}\r\n\r\n", body.len() + promised).into_bytes();
        answer.extend(&body);
        if stream.write_all(&answer).await.is_err() || promised > 0 {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<Form> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        if body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0) {
            let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
            return Some(pairs.map(|(key, value)| (key.to_owned(), value.replace("%3A", ":").replace("%2F", "/"))).collect());
        }
    }
}

/// An answer as RDS frames it.
pub(crate) fn answer(operation: &str, result: &str) -> Vec<u8> {
    format!(
        "<{operation}Response xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\">\n  <{operation}Result>{result}</{operation}Result>\n  \
         <ResponseMetadata><RequestId>94369e1f-3cdf-11ed-b8a0-5d5a3f0f8a3c</RequestId></ResponseMetadata>\n</{operation}Response>"
    )
    .into_bytes()
}

/// One page of a list.
pub(crate) fn page(operation: &str, items: &[String], marker: Option<&str>) -> Reply {
    Reply::Whole(200, page_bytes(operation, items, marker))
}

pub(crate) fn page_bytes(operation: &str, items: &[String], marker: Option<&str>) -> Vec<u8> {
    let list = operation.strip_prefix("Describe").unwrap();
    let marker = marker.map(|marker| format!("<Marker>{marker}</Marker>")).unwrap_or_default();
    answer(operation, &format!("{marker}<{list}>{}</{list}>", items.concat()))
}

/// What goes wrong, as RDS says it.
pub(crate) fn fault(status: u16, code: &str) -> Reply {
    let text = format!(
        "<ErrorResponse xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>AWS says {code}.</Message></Error><RequestId>94369e1f</RequestId></ErrorResponse>"
    );
    Reply::Whole(status, text.into_bytes())
}

/// What everybody else is asked: whose credentials these are; empty lists for the rest.
pub(crate) fn otherwise(operation: &str) -> Reply {
    match operation {
        "GetCallerIdentity" => identity(ACCOUNT),
        _ => page(operation, &[], None),
    }
}

pub(crate) fn identity(account: &str) -> Reply {
    let result = format!("<Arn>arn:aws:iam::{account}:role/warden</Arn><UserId>AIDA</UserId><Account>{account}</Account>");
    Reply::Whole(200, answer("GetCallerIdentity", &result))
}

const TAGS: &str =
    "<TagList><Tag><Key>Cluster</Key><Value>staging</Value></Tag><Tag><Key>CloneUid</Key><Value>6f1c &amp; 0de4</Value></Tag></TagList>";

pub(crate) fn instance(id: &str) -> String {
    format!(
        "<DBInstance><DBInstanceIdentifier>{id}</DBInstanceIdentifier><DbiResourceId>db-{}</DbiResourceId>\
         <DBInstanceArn>arn:aws:rds:{REGION}:{ACCOUNT}:db:{id}</DBInstanceArn><DBInstanceStatus>available</DBInstanceStatus>\
         <Endpoint><Address>{id}.x.{REGION}.rds.amazonaws.com</Address><Port>3306</Port></Endpoint><AllocatedStorage>20</AllocatedStorage>\
         <InstanceCreateTime>2026-02-05T14:30:22.104Z</InstanceCreateTime><DeletionProtection>false</DeletionProtection>\
         <MultiAZ>false</MultiAZ><Engine>mysql</Engine><DBInstanceClass>db.t3.micro</DBInstanceClass>{TAGS}</DBInstance>",
        id.to_uppercase()
    )
}

pub(crate) fn cluster(id: &str) -> String {
    format!(
        "<DBCluster><DBClusterIdentifier>{id}</DBClusterIdentifier><DbClusterResourceId>cluster-{}</DbClusterResourceId>\
         <DBClusterArn>arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{id}</DBClusterArn><Status>available</Status>\
         <ClusterCreateTime>2026-02-05T14:30:22.104Z</ClusterCreateTime><DeletionProtection>true</DeletionProtection>\
         <DBClusterMembers><DBClusterMember><DBInstanceIdentifier>{id}-1</DBInstanceIdentifier><IsClusterWriter>true</IsClusterWriter>\
         </DBClusterMember></DBClusterMembers><ServerlessV2ScalingConfiguration><MinCapacity>0.5</MinCapacity>\
         </ServerlessV2ScalingConfiguration><Engine>aurora-mysql</Engine>{TAGS}</DBCluster>",
        id.to_uppercase()
    )
}

pub(crate) fn snapshot(id: &str, of: &str) -> String {
    format!(
        "<DBSnapshot><DBSnapshotIdentifier>{id}</DBSnapshotIdentifier><DBInstanceIdentifier>{of}</DBInstanceIdentifier>\
         <DBSnapshotArn>arn:aws:rds:{REGION}:{ACCOUNT}:snapshot:{id}</DBSnapshotArn><DbiResourceId>db-{}</DbiResourceId>\
         <Status>available</Status><SnapshotType>{}</SnapshotType><SnapshotCreateTime>2026-02-05T14:30:22.104Z</SnapshotCreateTime>\
         <AllocatedStorage>20</AllocatedStorage><TagList/></DBSnapshot>",
        of.to_uppercase(),
        if id.starts_with("rds:") { "automated" } else { "manual" }
    )
}

pub(crate) fn cluster_snapshot(id: &str, of: &str) -> String {
    format!(
        "<DBClusterSnapshot><DBClusterSnapshotIdentifier>{id}</DBClusterSnapshotIdentifier><DBClusterIdentifier>{of}</DBClusterIdentifier>\
         <DBClusterSnapshotArn>arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:{id}</DBClusterSnapshotArn><Status>available</Status>\
         <SnapshotType>manual</SnapshotType><SnapshotCreateTime>2026-02-05T14:30:22.104Z</SnapshotCreateTime>\
         {TAGS}</DBClusterSnapshot>"
    )
}

pub(crate) fn backup(of: &str, life: &str) -> String {
    format!(
        "<DBInstanceAutomatedBackup><DBInstanceArn>arn:aws:rds:{REGION}:{ACCOUNT}:db:{of}</DBInstanceArn><DbiResourceId>db-{life}</DbiResourceId>\
         <DBInstanceIdentifier>{of}</DBInstanceIdentifier><Status>retained</Status>\
         <DBInstanceAutomatedBackupsArn>arn:aws:rds:{REGION}:{ACCOUNT}:auto-backup:ab-{life}</DBInstanceAutomatedBackupsArn>\
         </DBInstanceAutomatedBackup>"
    )
}
