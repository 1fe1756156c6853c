//! Clones with databases of their own, the `Orphan`s of what they leave behind, and the violence by which it comes to that.

use super::{
    api::Api,
    aws::{Aws, By, Change, Described, Everything, REGION, STEP_WITHIN},
    clones::{Clones, Seen},
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::model::names;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::task::JoinHandle;

const ORPHANS: &str = "/apis/clonewarden.io/v1alpha1/orphans";

/// What asks for an instance.
pub(crate) fn dedicated() -> Value {
    json!({"useDedicatedDatabase": true})
}

/// What asks for an Aurora cluster and its writer.
pub(crate) fn serverless() -> Value {
    json!({"useDedicatedDatabase": true, "serverless": {"minACU": 0.5, "maxACU": 4}})
}

/// One `Orphan` as it was seen.
#[derive(Debug, Clone)]
pub(crate) struct Orphan(Value);

impl Orphan {
    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// The kind of what was left behind.
    pub(crate) fn kind(&self) -> &str {
        self.text("/spec/target/kind")
    }

    /// Its identifier in AWS, or its name in the cluster.
    pub(crate) fn id(&self) -> &str {
        let id = self.text("/spec/target/id");
        if id.is_empty() { self.text("/spec/target/name") } else { id }
    }

    /// The UID of the clone.
    pub(crate) fn owner(&self) -> &str {
        self.text("/spec/owner/uid")
    }

    /// Whether it is about something in AWS itself.
    pub(crate) fn in_aws(&self) -> bool {
        !self.text("/spec/target/arn").is_empty()
    }

    pub(crate) fn policy(&self) -> &str {
        self.text("/spec/policy")
    }

    pub(crate) fn phase(&self) -> &str {
        self.text("/status/phase")
    }

    /// In which words its end is refused, if it says that it is.
    pub(crate) fn refusal(&self) -> Option<&str> {
        let conditions = self.0.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
        let mut refused = conditions.filter(|condition| condition["type"] == "Refused" && condition["status"] == "True");
        refused.next().and_then(|condition| condition["message"].as_str())
    }

    pub(crate) fn code(&self) -> &str {
        self.text("/status/reason/code")
    }

    pub(crate) fn snapshot(&self) -> &str {
        self.text("/status/finalSnapshot/id")
    }
}

/// Every `Orphan` there is.
pub(crate) async fn orphans(api: &Api) -> Result<Vec<Orphan>> {
    Ok(api.list(ORPHANS).await?.into_iter().map(Orphan).collect())
}

/// Waits until there is an `Orphan` of this in this phase.
pub(crate) async fn until_orphan(api: &Api, kind: &str, id: &str, phase: &str) -> Result<Orphan> {
    until(&format!("the Orphan of {kind} {id} is {phase}"), STEP_WITHIN, async || {
        let all = orphans(api).await?;
        let found = all.iter().find(|orphan| orphan.kind() == kind && orphan.id() == id);
        let found = found.with_context(|| format!("there is none; there are {}", told(&all)))?;
        ensure!(found.phase() == phase, "it is {} ({})", found.phase(), found.code());
        Ok(found.clone())
    })
    .await
}

/// All of them in a few words.
pub(crate) fn told(orphans: &[Orphan]) -> String {
    let each = orphans.iter().map(|orphan| format!("{} {} {} {}", orphan.kind(), orphan.id(), orphan.phase(), orphan.code()));
    each.collect::<Vec<_>>().join(", ")
}

/// Says something on an `Orphan`, as a person would.
pub(crate) async fn annotate(api: &Api, orphan: &Orphan, key: &str, value: Option<&str>) -> Result<()> {
    api.patch(&format!("{ORPHANS}/{}", orphan.name()), &json!({"metadata": {"annotations": {key: value}}})).await?;
    Ok(())
}

/// Takes every `Orphan` away, so that the next scene finds none.
pub(crate) async fn forget(api: &Api) -> Result<()> {
    api.delete(ORPHANS).await
}

impl Seen {
    /// The identifier of its database.
    pub(crate) fn database(&self) -> String {
        names::database_identifier(self.name(), self.uid())
    }
}

impl Clones {
    /// Creates a clone with a database of its own. ACK makes none without the Secret, which is the daemon's to make.
    pub(crate) async fn with_database(&self, name: &str, ttl: u32, wish: &Value) -> Result<Seen> {
        self.create_with(name, Some(ttl), &json!({}), wish).await
    }

    /// The same while no daemon runs: the Secret is made by hand, under the name that the daemon would find it by.
    pub(crate) async fn with_database_by_hand(&self, name: &str, ttl: u32, wish: &Value) -> Result<Seen> {
        let clone = self.with_database(name, ttl, wish).await?;
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": format!("{}-secret", clone.database()), "namespace": self.namespace},
            "stringData": {"db-password": "not-a-secret-here", "username": "admin", "password": "not-a-secret-here"},
        });
        self.api.create(&format!("/api/v1/namespaces/{}/secrets", self.namespace), &secret).await?;
        Ok(clone)
    }

    /// The object in the cluster that stands for the database of a clone: its instance, its cluster or the cluster's writer.
    pub(crate) fn database_path(&self, plural: &str, name: &str) -> String {
        format!("/apis/rds.services.k8s.aws/v1alpha1/namespaces/{}/{plural}/{name}", self.namespace)
    }

    /// The path of the instance object of a dedicated clone.
    pub(crate) fn instance_path(&self, clone: &str) -> String {
        self.database_path("dbinstances", &format!("{clone}-db"))
    }

    /// A clone goes while KRO, which is stopped, does nothing about it: everything that it was made of stays.
    pub(crate) async fn vanish(&self, name: &str) -> Result<()> {
        self.api.delete(&self.path(name)).await?;
        strip(&self.api, &self.path(name)).await?;
        ensure!(self.find(name).await?.is_none(), "{name} is still there without its finalizer");
        Ok(())
    }

    /// A clone is deleted while ACK is stopped, and somebody takes ACK's finalizer off the object that hangs.
    pub(crate) async fn leak(&self, name: &str) -> Result<()> {
        self.api.delete(&self.path(name)).await?;
        let path = self.instance_path(name);
        until(&format!("{path} hangs"), STEP_WITHIN, async || {
            let object = self.api.get(&path).await?;
            ensure!(object["metadata"]["deletionTimestamp"].is_string(), "nobody deletes it");
            Ok(())
        })
        .await?;
        strip(&self.api, &path).await?;
        self.until_gone(&[name]).await
    }
}

/// Takes every finalizer off an object, as people do who have waited long enough.
pub(crate) async fn strip(api: &Api, path: &str) -> Result<()> {
    api.patch(path, &json!({"metadata": {"finalizers": null}})).await?;
    Ok(())
}

/// Everything in AWS that is none of the daemon's business, as it is described now. `remain` compares.
pub(crate) struct Bystanders {
    all: BTreeMap<&'static str, Everything>,
    /// How much had been changed until now.
    since: usize,
}

impl Bystanders {
    /// Remembers these identifiers, of whatever kind they are.
    pub(crate) async fn remember(aws: &Aws, regions: &[&'static str], ids: &[&str]) -> Result<Self> {
        let mut all = BTreeMap::new();
        for region in regions {
            let mut everything = aws.everything(region).await?;
            everything.retain(|(_, id), _| ids.contains(&id.as_str()));
            all.insert(*region, everything);
        }
        let found: Vec<_> = all.values().flat_map(BTreeMap::keys).map(|(_, id)| id.as_str()).collect();
        let missing: Vec<_> = ids.iter().filter(|id| !found.contains(id)).collect();
        ensure!(missing.is_empty(), "not there in the first place: {missing:?}");
        Ok(Self { all, since: aws.changes().await?.len() })
    }

    /// All of them are there as they were, and nobody but a person has asked for anything else since.
    pub(crate) async fn remain(&self, aws: &Aws) -> Result<usize> {
        let mut count = 0;
        let changes = aws.changes().await?.split_off(self.since);
        for (region, before) in &self.all {
            let now = aws.everything(region).await?;
            for ((kind, id), described) in before {
                let is = now.get(&(kind.clone(), id.clone())).with_context(|| format!("{kind} {id} in {region} is gone"))?;
                ensure!(is == described, "{kind} {id} in {region} is not what it was: {is:?}; before: {described:?}");
                let touched = changes.iter().find(|change| change.by != By::Person && change.region == *region && change.names(id));
                ensure!(touched.is_none(), "{kind} {id} in {region} was named by {touched:?}");
                count += 1;
            }
        }
        Ok(count)
    }
}

/// The final snapshots of a database: those that were taken of it and are called like one, whoever asked for them.
pub(crate) async fn snapshots_of(aws: &Aws, kind: &str, id: &str) -> Result<Vec<(String, Described)>> {
    let (snapshots, of) = if kind == "DBCluster" { ("DBClusterSnapshot", "DBClusterIdentifier") } else { ("DBSnapshot", "DBInstanceIdentifier") };
    let everything = aws.everything(REGION).await?;
    let taken = everything.into_iter().filter(|((kind, _), snapshot)| kind == snapshots && snapshot.text(of) == id);
    let named = format!("{id}-final-");
    Ok(taken.filter(|((_, name), _)| name.starts_with(&named)).map(|((_, name), snapshot)| (name, snapshot)).collect())
}

/// Waits until exactly one final snapshot of a database is there, tagged as ours; its identifier.
pub(crate) async fn until_farewell(aws: &Aws, kind: &str, id: &str, uid: &str) -> Result<String> {
    until(&format!("{kind} {id} has left one final snapshot, which is ours"), STEP_WITHIN, async || {
        let taken = snapshots_of(aws, kind, id).await?;
        let [(name, snapshot)] = &taken[..] else { anyhow::bail!("there are {:?}", taken.iter().map(|(id, _)| id).collect::<Vec<_>>()) };
        ensure!(snapshot.tag(names::TAG_SNAPSHOT) == Some(name), "it is not tagged as ours: {snapshot:?}");
        let until: jiff::Timestamp = snapshot.tag(names::TAG_EXPIRES_AT).context("it has no date")?.parse()?;
        ensure!(until > jiff::Timestamp::now(), "its date has passed: {until}");
        ensure!(snapshot.tag(names::TAG_CLONE_UID) == Some(uid), "it is another clone's: {snapshot:?}");
        Ok(name.clone())
    })
    .await
}

/// The deletes of a database that AWS carried out.
pub(crate) fn deletes_of<'c>(changes: &'c [Change], id: &str) -> Vec<&'c Change> {
    changes.iter().filter(|change| change.done && matches!(change.op.as_str(), "DeleteDBInstance" | "DeleteDBCluster") && change.names(id)).collect()
}

impl Stage {
    /// Takes a part down for as long as a scene wants it.
    pub(crate) async fn stop_part(&self, part: &'static str) -> Result<()> {
        self.parts(move |platform| platform.stop(part)).await
    }

    /// Brings it back.
    pub(crate) async fn start_part(&self, part: &'static str) -> Result<()> {
        self.parts(move |platform| platform.restart(part)).await
    }

    /// An empty account in AWS, and no memory of orphans.
    pub(crate) async fn empty_sky(&self) -> Result<Aws> {
        let aws = Aws::of(&self.platform)?;
        aws.reset().await?;
        let earlier = orphans(&self.admin).await?;
        ensure!(earlier.is_empty(), "an earlier scene has left {}", told(&earlier));
        Ok(aws)
    }
}

/// How long a daemon looks at something that it must not touch: several soaks and many sweeps.
pub(crate) const LONG: Duration = Duration::from_secs(8);

/// Somebody who changes a clone twice a second. An observation counts once the watch of the clones was heard again, too: in a cluster
/// in which nothing happens the API server says only once a minute that this is so.
pub(crate) struct Pulse(JoinHandle<()>);

impl Pulse {
    pub(crate) fn on(clones: &Clones, name: &str) -> Self {
        let (clones, name) = (clones.clone(), name.to_owned());
        Self(tokio::spawn(async move {
            for beat in 0_u32.. {
                // One beat may fail: the API server or the clone may be gone for a while.
                let _ = clones.annotate(&name, "example.com/beat", &beat.to_string()).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.abort();
    }
}
