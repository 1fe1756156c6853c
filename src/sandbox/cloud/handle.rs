//! A process' way to AWS: [`Cloud`] in memory, with faults of its own, in the same life as its [`SandboxCluster`].
//!
//! Contract: as for the cluster: what AWS accepts has happened, whatever the caller is told, and a call whose future is dropped has
//! either had its whole effect or none.

use super::{
    faults::{CloudCall, CloudFate, CloudFaults, CloudLevels},
    thing::Thing,
};
use crate::{
    model::{cloud::CloudResource, evidence::CloudList},
    ports::{Clock, Cloud, CloudError, Farewell, Kin, Sweep},
    sandbox::{
        cluster::{Inner, SandboxCluster, lock},
        history::{Actor, Issue},
        world::World,
    },
};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// For how long the `Date` of an answer tells the time.
const DATE_TELLS: SignedDuration = SignedDuration::from_mins(10);

/// A handle on AWS. Clones of it are the same handle.
#[derive(Clone)]
pub struct SandboxCloud {
    inner: Arc<Way>,
}

struct Way {
    process: Arc<Inner>,
    /// The process' own clock.
    clock: Arc<dyn Clock>,
    regions: Vec<Arc<str>>,
    faults: Mutex<CloudFaults>,
    /// The `Date` of the last answer that carried one, and when it arrived.
    date: Mutex<Option<(Timestamp, Instant)>>,
}

impl SandboxCloud {
    /// The way to these regions of the process that has this handle on the cluster and this clock.
    #[must_use]
    pub fn new(cluster: &SandboxCluster, clock: Arc<dyn Clock>, regions: &[&str], seed: u64) -> Self {
        let regions = regions.iter().map(|region| Arc::from(*region)).collect();
        let faults = Mutex::new(CloudFaults::new(seed));
        Self { inner: Arc::new(Way { process: Arc::clone(&cluster.inner), clock, regions, faults, date: Mutex::default() }) }
    }

    /// From now on this much goes wrong between this process and AWS.
    pub fn set_faults(&self, levels: CloudLevels) {
        lock(&self.inner.faults).set_levels(levels);
    }

    /// The next call of this kind meets this fate.
    pub fn script(&self, call: CloudCall, fate: CloudFate) {
        lock(&self.inner.faults).script(call, fate);
    }

    async fn call<T: Send + 'static>(
        &self,
        call: CloudCall,
        effect: impl FnOnce(&mut World, &Issue) -> Result<T, CloudError> + Send + 'static,
    ) -> Result<T, CloudError> {
        let way = &self.inner;
        let process = &way.process;
        let issue = process.world().issue(process.actor());
        let dies = process.faults().dies();
        let fate = dies.map_or_else(|| lock(&way.faults).fate(call), CloudFate::Crash);
        match fate {
            CloudFate::Through => way.answer(effect(&mut process.world(), &issue)),
            CloudFate::Slow(before, after) => {
                process.wait(before).await;
                let result = effect(&mut process.world(), &issue);
                process.wait(after).await;
                way.answer(result)
            }
            CloudFate::Refused(error) => way.answer(Err(error)),
            CloudFate::LostRequest(patience) => way.give_up(patience).await,
            CloudFate::LostAnswer(patience) => {
                drop(effect(&mut process.world(), &issue));
                way.give_up(patience).await
            }
            CloudFate::Straggler(patience, late) => {
                let process = Arc::clone(process);
                tokio::spawn(async move {
                    process.wait(late).await;
                    drop(effect(&mut process.world(), &issue));
                });
                way.give_up(patience).await
            }
            CloudFate::Crash(effective) => {
                process.faults().kill();
                if effective {
                    drop(effect(&mut process.world(), &issue));
                }
                std::future::pending().await
            }
        }
    }

    async fn list(&self, region: &Arc<str>, list: CloudList) -> Result<Vec<CloudResource>, CloudError> {
        let (way, region) = (Arc::clone(&self.inner), Arc::clone(region));
        self.call(CloudCall::List(list), move |world, _| Ok(way.distorted(world, &region, list))).await
    }
}

impl Way {
    async fn give_up<T>(&self, patience: Duration) -> Result<T, CloudError> {
        self.process.wait(patience).await;
        Err(CloudError::Unavailable("the operation timed out".to_owned()))
    }

    /// Every answer, an error too, may carry a `Date`.
    fn answer<T>(&self, result: Result<T, CloudError>) -> Result<T, CloudError> {
        let wrong = lock(&self.faults).date();
        if let Some(wrong) = wrong {
            let second = Timestamp::from_second(self.process.truth.now().as_second()).unwrap_or(Timestamp::MIN);
            *lock(&self.date) = Some((second.checked_add(wrong).unwrap_or(second), Instant::now()));
        }
        result
    }

    /// One list, with what may be wrong with it though it looks whole.
    fn distorted(&self, world: &World, region: &str, list: CloudList) -> Vec<CloudResource> {
        let mut faults = lock(&self.faults);
        let moment = world.now().checked_sub(faults.age()).unwrap_or(Timestamp::MIN);
        let mut things = world.aws.list_at(region, list, moment);
        if faults.forgets_newest()
            && let Some(newest) = things.iter().map(|thing| thing.serial).max()
        {
            things.retain(|thing| thing.serial != newest);
        }
        let shortage = faults.shortage();
        if shortage > 0 {
            things.retain(|_| !faults.chance(shortage));
        }
        let untagged = faults.untagged();
        let described = |thing: &Arc<Thing>| {
            let mut seen = world.aws.described(thing);
            if untagged && faults.chance(500) {
                seen.tags = Some(BTreeMap::new());
            }
            seen
        };
        things.iter().map(described).collect()
    }
}

impl Cloud for SandboxCloud {
    fn regions(&self) -> &[Arc<str>] {
        &self.inner.regions
    }

    fn sweep<'a>(&'a self, region: &'a Arc<str>) -> BoxFuture<'a, Sweep> {
        Box::pin(async move {
            let begun = self.inner.clock.now();
            let mut lists = BTreeMap::new();
            for list in CloudList::ALL {
                lists.insert(list, self.list(region, list).await);
            }
            Sweep { region: Arc::clone(region), account: None, begun, lists }
        })
    }

    fn describe<'a>(&'a self, list: CloudList, region: &'a str, id: &'a str) -> BoxFuture<'a, Result<Option<CloudResource>, CloudError>> {
        let (way, region, id) = (Arc::clone(&self.inner), region.to_owned(), id.to_owned());
        Box::pin(self.call(CloudCall::Describe, move |world, _| {
            let untagged = lock(&way.faults).untagged();
            let found = world.aws.get(&region, list, &id).map(|thing| world.aws.described(thing));
            Ok(found.map(|seen| if untagged { CloudResource { tags: Some(BTreeMap::new()), ..seen } } else { seen }))
        }))
    }

    fn kin<'a>(&'a self, list: CloudList, region: &'a str, id: &'a str) -> BoxFuture<'a, Result<Vec<Kin>, CloudError>> {
        let (region, id) = (region.to_owned(), id.to_owned());
        Box::pin(self.call(CloudCall::Kin, move |world, _| Ok(world.aws.kin(&region, list, &id))))
    }

    fn delete<'a>(&'a self, resource: &'a CloudResource, farewell: Farewell<'a>) -> BoxFuture<'a, Result<(), CloudError>> {
        let (region, list, id) = (resource.region.to_string(), resource.list, resource.id.clone());
        let snapshot = match farewell {
            Farewell::Snapshot(snapshot) => Some(snapshot.to_owned()),
            Farewell::Nothing => None,
        };
        Box::pin(self.call(CloudCall::Delete, move |world, issue| {
            let farewell = snapshot.as_deref().map_or(Farewell::Nothing, Farewell::Snapshot);
            world.aws.delete(issue, (&region, list, &id), farewell)
        }))
    }

    fn tag<'a>(&'a self, resource: &'a CloudResource, tags: &'a BTreeMap<String, String>) -> BoxFuture<'a, Result<(), CloudError>> {
        let (region, list, id) = (resource.region.to_string(), resource.list, resource.id.clone());
        let tags: BTreeMap<String, Option<String>> = tags.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
        Box::pin(self.call(CloudCall::Tag, move |world, issue| world.aws.tag(issue, (&region, list, &id), &tags)))
    }

    fn skew(&self, now: Timestamp) -> Option<SignedDuration> {
        let (date, arrived) = (*lock(&self.inner.date))?;
        let passed = SignedDuration::try_from(self.inner.process.truth.since(arrived)).ok().filter(|passed| *passed <= DATE_TELLS)?;
        Some(now.duration_since(date.checked_add(passed).ok()?))
    }
}

impl Inner {
    /// Who this process is in the history.
    fn actor(&self) -> Actor {
        Actor::Daemon(Arc::clone(&self.id))
    }
}
