//! What happens in the demo, minute by minute: clones arrive, are warned, expire, are snoozed and kept, leave something behind,
//! and at one point the evidence goes missing.

use super::narrator::Narrator;
use crate::{
    model::{Kind, evidence::CloudList, names},
    policy::{ClonePolicy, Mode, Policies},
    ports::Clock,
    sandbox::{ack::REGION, clock::SandboxClock, cluster::SandboxCluster, platform::Platform},
};
use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};

const STAGING: &str = "wordpress-staging";
const PRODUCTION: &str = "wordpress-production";
/// How often the platform (KRO and the controllers) does its work.
const STEP: Duration = Duration::from_secs(3);

pub(super) struct Story {
    cluster: SandboxCluster,
    clock: SandboxClock,
    policies: watch::Sender<Arc<Policies>>,
    wake: Arc<Notify>,
    narrator: Arc<Narrator>,
    begin: Timestamp,
    platform: Platform,
}

impl Story {
    pub(super) fn new(
        cluster: SandboxCluster,
        clock: SandboxClock,
        policies: watch::Sender<Arc<Policies>>,
        wake: Arc<Notify>,
        narrator: Arc<Narrator>,
    ) -> anyhow::Result<Self> {
        let begin = clock.now();
        let story = Self { cluster, clock, policies, wake, narrator, begin, platform: Platform::new(1) };
        for namespace in [STAGING, PRODUCTION] {
            story.cluster.world().create_namespace(namespace, &BTreeMap::new()).context("a namespace of the demo")?;
        }
        story.cluster.world().create_definition("wordpress-clone", "demo-cluster").context("the demo's definition")?;
        Ok(story)
    }

    pub(super) async fn tell(mut self) -> anyhow::Result<()> {
        self.scene("Three clones of customer sites are there. The policies are as shipped: `mode: audit`.");
        self.arrive(STAGING, "clone-anna", &json!({"ttlSeconds": 1_200}))?;
        self.arrive(STAGING, "clone-ben", &json!({"ttlSeconds": 3_000}))?;
        self.arrive(PRODUCTION, "clone-shop", &json!({"ttlSeconds": 2_400, "useDedicatedDatabase": true}))?;
        self.until(22).await;
        self.scene("In audit nothing is touched. Now somebody sets `mode: enforce` in Git.");
        self.enforce();
        self.until(26).await;
        self.scene("Ben still needs his clone: `kubectl annotate … clonewarden.io/extend-until=…` (one hour more).");
        let later = (self.clock.now() + SignedDuration::from_mins(80)).to_string();
        self.annotate(STAGING, "clone-ben", names::EXTEND_UNTIL, &later)?;
        self.scene("And the shop must stay: `clonewarden.io/keep: \"true\"`.");
        self.annotate(PRODUCTION, "clone-shop", names::KEEP, "true")?;
        self.until(30).await;
        self.scene("Two more arrive; one of them with an extension that nobody can read.");
        self.arrive(STAGING, "clone-dora", &json!({"ttlSeconds": 1_500}))?;
        self.arrive(STAGING, "clone-emil", &json!({"ttlSeconds": 1_200}))?;
        self.annotate(STAGING, "clone-emil", names::EXTEND_UNTIL, "next tuesday")?;
        self.until(38).await;
        self.scene("A clone with a database of its own is torn out by force (finalizers stripped), past KRO: all of it stays behind, and costs.");
        self.arrive(PRODUCTION, "clone-finn", &json!({"ttlSeconds": 7_200, "useDedicatedDatabase": true}))?;
        self.until(45).await;
        self.nightly_snapshot()?;
        self.tear_out(PRODUCTION, "clone-finn")?;
        self.until(50).await;
        self.scene("Somebody deletes KRO's ResourceGraphDefinition. What cannot be seen through is held.");
        self.cluster.world().remove(Kind::Definition, &key("", "wordpress-clone")).context("removing the definition")?;
        self.until(62).await;
        self.scene("It is back. A colleague restores the nightly snapshot of finn's database, to rescue a table: AWS hands our tags on.");
        self.cluster.world().create_definition("wordpress-clone", "demo-cluster").context("the demo's definition")?;
        self.cluster.world().rescue(REGION, "nightly-finn", "rescued-table").context("the rescue copy")?;
        self.until(80).await;
        self.scene("What finn left has been an orphan for an hour by now. It is proved again, and goes: the database with a final snapshot.");
        self.until(125).await;
        Ok(())
    }

    fn scene(&self, text: &str) {
        self.narrator.scene(self.clock.now(), text);
    }

    fn arrive(&self, namespace: &str, name: &str, spec: &serde_json::Value) -> anyhow::Result<()> {
        let created = self.cluster.world().create_clone(namespace, name, spec.clone(), &BTreeMap::new());
        created.with_context(|| format!("creating {name}")).map(drop)
    }

    fn annotate(&self, namespace: &str, name: &str, annotation: &str, value: &str) -> anyhow::Result<()> {
        self.cluster.world().annotate_clone(&key(namespace, name), annotation, Some(value)).with_context(|| format!("annotating {name}"))
    }

    fn tear_out(&self, namespace: &str, name: &str) -> anyhow::Result<()> {
        let mut world = self.cluster.world();
        world.remove(Kind::Clone, &key(namespace, name)).with_context(|| format!("deleting {name}"))?;
        world.strip_finalizers(Kind::Clone, &key(namespace, name)).with_context(|| format!("stripping {name}"))
    }

    /// A snapshot of the database of the clone that is about to be torn out, tags and all.
    fn nightly_snapshot(&self) -> anyhow::Result<()> {
        let mut world = self.cluster.world();
        let found = world.aws.things().find(|thing| thing.seen.list == CloudList::Instances && thing.tag(names::TAG_CLONE_ID) == Some("clone-finn"));
        let id = found.map(|thing| thing.seen.id.clone()).context("finn's database")?;
        world.take_snapshot((REGION, CloudList::Instances, &id), "nightly-finn", true).context("the nightly snapshot").map(drop)
    }

    /// As if the policy files had changed: the same set, enforced.
    fn enforce(&self) {
        let set = Arc::clone(&self.policies.borrow());
        let enforced = |policy: &Arc<ClonePolicy>| Arc::new(ClonePolicy { mode: Mode::Enforce, ..ClonePolicy::clone(policy) });
        let policies = set.policies.iter().map(enforced).collect();
        self.policies.send_replace(Arc::new(Policies {
            revision: format!("{}+enforce", set.revision.hash).into(),
            policies,
            hosts: set.hosts.clone(),
            prices: Arc::clone(&set.prices),
        }));
        self.wake.notify_one();
    }

    /// Lets time pass up to that minute; the platform works meanwhile.
    async fn until(&mut self, minute: i64) {
        let end = self.begin + SignedDuration::from_mins(minute);
        while self.clock.now() < end {
            self.platform.step(&mut self.cluster.world());
            self.clock.sleep(STEP).await;
        }
    }
}

fn key(namespace: &str, name: &str) -> (String, String) {
    (namespace.to_owned(), name.to_owned())
}
