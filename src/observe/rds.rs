//! RDS behind [`Cloud`]: connecting, and everything that reads. What writes is in [`crate::act::rds`].
//!
//! Contract:
//! - A list is `Ok` only if every page of it was read whole, by a reader of our own ([`xml`]) and by the SDK's, to the same end:
//!   the SDK alone takes an answer that was cut short for a shorter one.
//! - What AWS always says of a database must be there ([`whole`]), and be in the account and region that were asked. One item of
//!   which that is not so spoils its list, and no other list.
//! - Absence is said only where AWS itself says, by its own code, that this very thing is not there.
//! - Reads are repeated by the SDK, a few times and with random waits. What changes something is sent once: the answer to a
//!   repetition (*not found*, *already deleting*) would hide that the first one was carried out.
//! - Between sweeps nothing is kept but the account and the time.

mod account;
mod call;
mod counts;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod fault;
mod table;
#[cfg(test)]
mod tests;
mod whole;
mod xml;

pub use self::counts::{Attempt, Attempts};
pub(crate) use self::{
    call::{Limits, Line, Witness},
    xml::Element,
};

use self::{
    account::Account,
    table::{Question, Table},
    whole::Place,
};
use crate::{
    model::{cloud::CloudResource, evidence::CloudList},
    ports::{Clock, Cloud, CloudError, Farewell, Kin, Sweep},
};
use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_rds::config::{RuntimeComponents, SharedHttpClient};
use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{self, rustls_provider::CryptoMode},
};
use futures::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
    time::Instant,
};

/// How long a call that changes something may take.
const WRITE: Duration = Duration::from_secs(10);

/// RDS in the regions that are governed.
pub struct RdsCloud {
    regions: Vec<Arc<str>>,
    places: Vec<Region>,
    sts: aws_sdk_sts::Client,
    account: Account,
    line: Line,
    clock: Arc<dyn Clock>,
    pages: usize,
}

/// RDS in one region.
pub(crate) struct Region {
    pub(super) name: Arc<str>,
    /// Repeats what got no answer.
    pub(super) reads: aws_sdk_rds::Client,
    /// Sends everything once.
    pub(crate) writes: aws_sdk_rds::Client,
    pub(crate) line: Line,
}

impl fmt::Debug for RdsCloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RdsCloud").field("regions", &self.regions).field("account", &self.account).finish_non_exhaustive()
    }
}

impl RdsCloud {
    /// Finds credentials and endpoints by the SDK's own variables and files. Nothing is sent to AWS yet. `account` is the one
    /// that it must be; by default it is the one that AWS says first.
    pub async fn connect(regions: &[Arc<str>], account: Option<&str>, clock: Arc<dyn Clock>) -> Self {
        let limits = Limits::default();
        let http = http(ProxyConfig::from_env());
        // With a region said, the machine is not asked for one.
        let first = regions.first().map_or_else(|| "us-east-1".to_owned(), ToString::to_string);
        let shared = aws_config::defaults(BehaviorVersion::latest()).region(aws_config::Region::new(first)).http_client(http).load().await;
        Self::over(&shared, regions, account, clock, limits)
    }

    /// Uses a configuration that was made elsewhere, within these limits.
    pub(crate) fn over(shared: &SdkConfig, regions: &[Arc<str>], account: Option<&str>, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(limits.connect).read_timeout(limits.read).operation_attempt_timeout(limits.attempt).build();
        // What changes something has ended long before another process may hold the lease and judge the same.
        let writing = timeouts.to_builder().operation_timeout(WRITE.min(limits.call)).build();
        let retries = RetryConfig::standard().with_max_attempts(limits.attempts).with_initial_backoff(limits.backoff);
        let line = Line::new(limits.call);
        let place = |name: &Arc<str>| {
            let region = aws_sdk_rds::config::Region::new(name.to_string());
            let config = aws_sdk_rds::config::Builder::from(shared).region(region).timeout_config(timeouts.clone());
            Region {
                name: Arc::clone(name),
                reads: aws_sdk_rds::Client::from_conf(config.clone().retry_config(retries.clone()).build()),
                writes: aws_sdk_rds::Client::from_conf(config.timeout_config(writing.clone()).retry_config(RetryConfig::disabled()).build()),
                line: line.clone(),
            }
        };
        let sts = aws_sdk_sts::config::Builder::from(shared).timeout_config(timeouts.clone()).retry_config(retries.clone());
        Self {
            regions: regions.to_vec(),
            places: regions.iter().map(place).collect(),
            sts: aws_sdk_sts::Client::from_conf(sts.build()),
            account: Account::new(account.map(str::to_owned)),
            line: line.clone(),
            clock,
            pages: limits.pages,
        }
    }

    /// What was asked of AWS so far.
    #[must_use]
    pub fn attempts(&self) -> Arc<Attempts> {
        Arc::clone(&self.line.attempts)
    }

    /// One of the regions that are governed.
    pub(crate) fn region(&self, name: &str) -> Result<&Region, CloudError> {
        let found = self.places.iter().find(|region| &*region.name == name);
        found.ok_or_else(|| CloudError::Elsewhere(format!("the region `{name}` is not one of those that are governed (`--aws-regions`)")))
    }

    /// Whether what was judged is in our account and in a region that is governed, under the identifier that it had.
    pub(crate) async fn locate(&self, resource: &CloudResource) -> Result<&Region, CloudError> {
        let region = self.region(&resource.region)?;
        plain(&resource.id)?;
        let account = self.check_account().await?;
        whole::located(&resource.arn, whole::part(resource.list), &resource.id, Place { account: &account, region: &region.name })?;
        Ok(region)
    }

    /// Every page of a list, in one pass.
    async fn every(&self, region: &Region, table: Table, question: Question<'_>) -> Result<Vec<Element>, CloudError> {
        let not_whole = |why: &str| Err(CloudError::NotWhole(why.to_owned()));
        let (mut items, mut keys, mut markers, mut marker) = (Vec::new(), HashSet::new(), HashSet::new(), None);
        for _ in 0..self.pages {
            let page = region.page(table, question, marker.take()).await?;
            let empty = page.items.is_empty();
            for (key, item) in page.items {
                // Of one life there may be several backups, but never two databases or snapshots of one identifier.
                if let (Table::Swept(_), Some(twice)) = (table, keys.replace(key)) {
                    return Err(CloudError::NotWhole(format!("`{twice}` is in the list twice")));
                }
                items.push(item);
            }
            let Some(next) = page.marker else { return Ok(items) };
            if empty {
                return not_whole("a page is empty and not the last one");
            }
            if !markers.insert(next.clone()) {
                return not_whole("its pages go in a circle");
            }
            marker = Some(next);
        }
        not_whole("it has too many pages")
    }

    async fn list(&self, region: &Region, list: CloudList, question: Question<'_>, account: &str) -> Result<Vec<CloudResource>, CloudError> {
        let place = Place { account, region: &region.name };
        let items = self.every(region, Table::Swept(list), question).await?;
        items.iter().map(|item| whole::resource(list, item, place)).collect()
    }

    async fn sweep_region(&self, region: &Arc<str>) -> Sweep {
        let begun = self.clock.now();
        let known = match self.region(region) {
            Ok(place) => self.check_account().await.map(|account| (place, account)),
            Err(error) => Err(error),
        };
        let mut lists = BTreeMap::new();
        for list in CloudList::ALL {
            let found = match &known {
                Ok((place, account)) => self.list(place, list, Question::default(), account).await,
                Err(error) => Err(error.clone()),
            };
            lists.insert(list, found);
        }
        let account = known.ok().map(|(_, account)| Arc::from(account));
        Sweep { region: Arc::clone(region), account, begun, lists }
    }

    async fn describe_one(&self, list: CloudList, region: &str, id: &str) -> Result<Option<CloudResource>, CloudError> {
        let region = self.region(region)?;
        plain(id)?;
        let account = self.check_account().await?;
        let question = Question { id: Some(id), ..Question::default() };
        let mut found = match self.list(region, list, question, &account).await {
            Err(CloudError::NotFound) => return Ok(None),
            found => found?,
        };
        match (found.pop(), found.len()) {
            (Some(one), 0) if one.id == id => Ok(Some(one)),
            _ => Err(CloudError::NotWhole(format!("it is not about `{id}` alone"))),
        }
    }

    async fn kin_of(&self, list: CloudList, region: &str, id: &str) -> Result<Vec<Kin>, CloudError> {
        let region = self.region(region)?;
        plain(id)?;
        let (snapshots, backups, prefix) = match list {
            CloudList::Instances => (CloudList::Snapshots, Table::InstanceBackups, "DBInstance"),
            CloudList::Clusters => (CloudList::ClusterSnapshots, Table::ClusterBackups, "DBCluster"),
            CloudList::Snapshots | CloudList::ClusterSnapshots => return Err(unsent("of a snapshot nothing is left")),
        };
        let account = self.check_account().await?;
        let mut kin = BTreeMap::new();
        // Without a type AWS promises the manual and the automated ones; those of AWS Backup have to be asked for.
        for kind in [None, Some("awsbackup")] {
            for snapshot in self.list(region, snapshots, Question { id: None, of: Some(id), kind }, &account).await? {
                if snapshot.snapshot_of.as_deref() != Some(id) {
                    return Err(CloudError::NotWhole(format!("`{}` was not taken of `{id}`", snapshot.id)));
                }
                kin.insert(snapshot.arn, Kin { what: format!("snapshot {}", snapshot.id), resource_id: snapshot.resource_id });
            }
        }
        let mut kin: Vec<Kin> = kin.into_values().collect();
        let backups = match self.every(region, backups, Question { of: Some(id), ..Question::default() }).await {
            Err(CloudError::NotFound) => Vec::new(),
            backups => backups?,
        };
        for item in &backups {
            kin.push(whole::backup(prefix, id, item).map_err(CloudError::NotWhole)?);
        }
        Ok(kin)
    }
}

/// HTTP with ring under it. What the SDK builds by default would bring a second provider of cryptography.
pub(crate) fn http(proxy: ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build()
    })
}

/// An identifier as RDS knows them. An empty one would ask for everything, and AWS takes an ARN where it takes an identifier.
pub(crate) fn plain(id: &str) -> Result<(), CloudError> {
    let name = id.strip_prefix("rds:").or_else(|| id.strip_prefix("awsbackup:")).unwrap_or(id);
    let plain = !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain { Ok(()) } else { Err(unsent("no identifier that RDS can have")) }
}

/// Something that is not even sent.
pub(crate) fn unsent(message: &str) -> CloudError {
    CloudError::Refused { code: "NotSent".to_owned(), message: message.to_owned() }
}

impl Cloud for RdsCloud {
    fn regions(&self) -> &[Arc<str>] {
        &self.regions
    }

    fn sweep<'a>(&'a self, region: &'a Arc<str>) -> BoxFuture<'a, Sweep> {
        self.sweep_region(region).boxed()
    }

    fn describe<'a>(&'a self, list: CloudList, region: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<CloudResource>, CloudError>> {
        self.describe_one(list, region, id).boxed()
    }

    fn kin<'a>(&'a self, list: CloudList, region: &'a str, id: &'a str) -> BoxFuture<'a, Result<Vec<Kin>, CloudError>> {
        self.kin_of(list, region, id).boxed()
    }

    fn delete<'a>(&'a self, resource: &'a CloudResource, farewell: Farewell<'a>) -> BoxFuture<'a, Result<(), CloudError>> {
        crate::act::rds::delete(self, resource, farewell).boxed()
    }

    fn tag<'a>(&'a self, resource: &'a CloudResource, tags: &'a BTreeMap<String, String>) -> BoxFuture<'a, Result<(), CloudError>> {
        crate::act::rds::tag(self, resource, tags).boxed()
    }

    fn skew(&self, now: Timestamp) -> Option<SignedDuration> {
        self.line.clock.skew(now, Instant::now())
    }
}
