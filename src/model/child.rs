//! What a clone is expanded into: Job, Service, Ingress, ConfigMaps, Pods and, for some, ACK's database objects.

use super::{
    kind::Kind,
    meta::{self, Meta, Unreadable},
    names,
    quantity::Quantity,
    requests::Requests,
};
use jiff::Timestamp;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// Whether a child does its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Nothing is known to be wrong.
    Fine,
    /// It is not up yet, since when it is known, and why.
    Waiting(Box<str>),
    /// It has failed and will not come up by itself, and why.
    Failed(Box<str>),
}

/// Whose a child is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The clone's UID.
    pub uid: Box<str>,
    /// The clone's name; unknown for Pods, which carry only the UID.
    pub name: Option<Box<str>>,
}

/// One object of a clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// What it is.
    pub kind: Kind,
    /// Which object it is.
    pub meta: Meta,
    /// Whose it is. `None` for a database object that no clone made: it is watched because it may claim an instance.
    pub owner: Option<Owner>,
    /// Its labels say that it was made elsewhere, or it was applied by a person: whoever copies an object copies KRO's labels.
    pub copied: bool,
    /// [`names::KEEP`] as an annotation: somebody's veto, for when its clone is gone.
    pub kept: bool,
    /// Whether it does its work.
    pub health: Health,
    /// Who still has to agree before the object goes.
    pub finalizers: Box<[Arc<str>]>,
    /// What a database object says of the database in AWS.
    pub database: Option<Box<Claim>>,
    /// What a Pod that has not ended asks its node for.
    pub requests: Option<Box<Requests>>,
}

/// The database in AWS that a `DBInstance` or `DBCluster` object stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// `spec.dbInstanceIdentifier` or `spec.dbClusterIdentifier`.
    pub identifier: Box<str>,
    /// `status.ackResourceMetadata.arn`, once ACK knows it.
    pub arn: Option<Box<str>>,
    /// The region that the object's annotation sends ACK to; `None`: the namespace's or the controller's own.
    pub region: Option<Box<str>>,
    /// The value of the cluster tag in `spec.tags`: what the RGD says our cluster is called.
    pub cluster_tag: Option<Box<str>>,
    /// `spec.dbClusterIdentifier` of a `DBInstance`: the Aurora cluster that it is a member of.
    pub cluster: Option<Box<str>>,
    /// Whether `spec.deletionProtection` is set: AWS refuses, and ACK then gives up for good.
    pub protected: bool,
    /// Whether ACK leaves the database alone when the object goes: its policy is to retain it, or it only reads.
    pub retained: bool,
    /// The final snapshot that ACK is told to have taken; `None`: it takes none.
    pub final_snapshot: Option<Box<str>>,
    /// `spec.dbInstanceClass`.
    pub class: Option<Box<str>>,
    /// RDS's word for its state: `creating`, `available`, …
    pub status: Option<Box<str>>,
    /// Whether it has an address: from then on it answers there.
    pub reachable: bool,
}

impl Claim {
    /// The region of the database, where the object says one.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        let told = self.arn.as_deref().and_then(|arn| arn.split(':').nth(3)).filter(|region| !region.is_empty());
        told.or(self.region.as_deref())
    }
}

impl Child {
    /// Reads a child from the API server's JSON; `None` if the object belongs to no clone and claims no database.
    ///
    /// # Errors
    /// Where the identity or the age of the object cannot be read.
    pub fn read(kind: Kind, object: &Value) -> Result<Option<Self>, Unreadable> {
        let owner = owner(kind, object);
        let claims = matches!(kind, Kind::DbInstance | Kind::DbCluster);
        if owner.is_none() && !claims {
            return Ok(None);
        }
        Ok(Some(Self {
            kind,
            meta: Meta::read(kind, object)?,
            copied: copied(kind, object),
            kept: meta::entry(object, "annotations", names::KEEP).is_some_and(names::is_veto),
            owner,
            health: health(kind, object),
            finalizers: meta::finalizers(object),
            database: claims.then(|| Box::new(claim(kind, object))),
            requests: Requests::read(kind, object).map(Box::new),
        }))
    }
}

/// Ownership is what KRO's labels prove, never what a name suggests. A child of another KRO kind is none of ours.
fn owner(kind: Kind, object: &Value) -> Option<Owner> {
    let label = |key| meta::label(object, key).filter(|text| !text.is_empty());
    if kind == Kind::Pod {
        return label(names::CLONE_UID).map(|uid| Owner { uid: uid.into(), name: None });
    }
    let ours = label(names::KRO_INSTANCE_KIND) == Some(names::CLONE_KIND)
        && label(names::KRO_INSTANCE_GROUP).is_none_or(|group| group == names::CLONE_GROUP);
    let uid = label(names::KRO_INSTANCE_ID).filter(|_| ours)?;
    Some(Owner { uid: uid.into(), name: label(names::KRO_INSTANCE_NAME).map(Into::into) })
}

fn copied(kind: Kind, object: &Value) -> bool {
    // Pods of a clone are its Job's, or nobody's once that is gone; who copies a template copies its labels.
    let controllers = object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    let mut controllers = controllers.filter(|owner| owner.get("controller") == Some(&Value::Bool(true)));
    if kind == Kind::Pod && controllers.any(|owner| owner.get("kind").and_then(Value::as_str) != Some("Job")) {
        return true;
    }
    let own = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let elsewhere = meta::label(object, names::KRO_INSTANCE_NAMESPACE).is_some_and(|namespace| namespace != own);
    elsewhere || meta::entry(object, "annotations", names::LAST_APPLIED).is_some()
}

fn health(kind: Kind, object: &Value) -> Health {
    match kind {
        Kind::Job => condition(object, "Failed").map_or(Health::Fine, |why| Health::Failed(format!("Job failed: {why}").into())),
        Kind::Pod => pod_health(object),
        Kind::DbInstance | Kind::DbCluster => {
            if let Some(why) = condition(object, "ACK.Terminal") {
                Health::Failed(format!("ACK gave up: {why}").into())
            } else if let Some(why) = condition(object, "ACK.Recoverable") {
                Health::Waiting(format!("ACK retries: {why}").into())
            } else if let Some(status) = database_status(kind, object).filter(|status| is_down(status)) {
                Health::Waiting(format!("RDS says `{status}`").into())
            } else {
                Health::Fine
            }
        }
        _ => Health::Fine,
    }
}

/// RDS's word for the state of the database that an object stands for.
fn database_status(kind: Kind, object: &Value) -> Option<&str> {
    let field = if kind == Kind::DbCluster { "/status/status" } else { "/status/dbInstanceStatus" };
    object.pointer(field).and_then(Value::as_str).filter(|status| !status.is_empty())
}

/// Whether nothing answers in that state, and nothing will by itself. A backup or a change of settings is no such state.
fn is_down(status: &str) -> bool {
    matches!(status, "failed" | "stopped" | "storage-full") || ["incompatible-", "inaccessible-"].iter().any(|begin| status.starts_with(begin))
}

/// The message of a condition that is true.
fn condition(object: &Value, wanted: &str) -> Option<String> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(wanted))?;
    let is_true = found.get("status").and_then(Value::as_str) == Some("True");
    is_true.then(|| said(Some(found)).unwrap_or("no message").to_owned())
}

fn pod_health(object: &Value) -> Health {
    match object.pointer("/status/phase").and_then(Value::as_str) {
        Some("Running") => match waiting_container(object).or_else(|| unmet(object, "Ready", "is not ready")) {
            Some(why) => Health::Waiting(why.into()),
            None => Health::Fine,
        },
        // A clone's Pod is its site: one that has done its work serves nobody.
        Some("Succeeded") => Health::Failed("Pod has ended by itself, and serves nobody any more".into()),
        Some("Failed") => Health::Failed(said(object.get("status")).map_or_else(|| "Pod failed".into(), |why| format!("Pod failed: {why}").into())),
        _ => {
            let why = waiting_container(object).or_else(|| unmet(object, "PodScheduled", "is not scheduled"));
            Health::Waiting(why.unwrap_or_else(|| "Pod is not running yet".to_owned()).into())
        }
    }
}

/// What a condition that is false says. One that is not there says nothing.
fn unmet(object: &Value, wanted: &str, what: &str) -> Option<String> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    let found = conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(wanted))?;
    let is_false = found.get("status").and_then(Value::as_str) == Some("False");
    is_false.then(|| said(Some(found)).map_or_else(|| format!("Pod {what}"), |why| format!("Pod {what}: {why}")))
}

/// The message of something, else its reason.
fn said(of: Option<&Value>) -> Option<&str> {
    let text = |key| of?.get(key)?.as_str().filter(|text| !text.is_empty());
    text("message").or_else(|| text("reason"))
}

/// Why the first container that waits does so: `CrashLoopBackOff`, `CreateContainerConfigError`, …
fn waiting_container(object: &Value) -> Option<String> {
    let of = |list: &str| object.pointer(list).and_then(Value::as_array).into_iter().flatten();
    let mut containers = of("/status/initContainerStatuses").chain(of("/status/containerStatuses"));
    let waiting = containers.find_map(|container| container.pointer("/state/waiting"))?;
    let said = |key| waiting.get(key).and_then(Value::as_str);
    let reason = said("reason").unwrap_or("waiting");
    Some(said("message").map_or_else(|| format!("container waits: {reason}"), |message| format!("container waits: {reason}: {message}")))
}

fn claim(kind: Kind, object: &Value) -> Claim {
    let field = if kind == Kind::DbCluster { "/spec/dbClusterIdentifier" } else { "/spec/dbInstanceIdentifier" };
    let tags = object.pointer("/spec/tags").and_then(Value::as_array);
    let tag = tags.and_then(|tags| tags.iter().find(|tag| tag.get("key").and_then(Value::as_str) == Some(names::TAG_CLUSTER)));
    let annotation = |key| meta::entry(object, "annotations", key).and_then(Value::as_str);
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty()).map(Into::into);
    let snapshot = annotation(names::ACK_FINAL_SNAPSHOT).filter(|_| annotation(names::ACK_SKIP_SNAPSHOT) == Some("false"));
    // An object that ACK is to adopt into has an empty spec at first: what it stands for is in an annotation.
    let adopted = || {
        let fields: Value = serde_json::from_str(annotation(names::ACK_ADOPTION_FIELDS)?).ok()?;
        let field = field.rsplit('/').next()?;
        Some(fields.get(field)?.as_str()?.into())
    };
    Claim {
        identifier: text(field).or_else(adopted).unwrap_or_default(),
        arn: text("/status/ackResourceMetadata/arn"),
        region: annotation(names::ACK_REGION).map(Into::into),
        cluster_tag: tag.and_then(|tag| tag.get("value")).and_then(Value::as_str).map(Into::into),
        cluster: text("/spec/dbClusterIdentifier").filter(|_| kind == Kind::DbInstance),
        protected: object.pointer("/spec/deletionProtection").is_some_and(|protected| *protected != Value::Bool(false)),
        retained: annotation(names::ACK_DELETION_POLICY) == Some("retain") || annotation(names::ACK_READ_ONLY) == Some("true"),
        final_snapshot: snapshot.map(Into::into),
        class: text("/spec/dbInstanceClass"),
        status: database_status(kind, object).map(Into::into),
        reachable: text(if kind == Kind::DbCluster { "/status/endpoint" } else { "/status/endpoint/address" }).is_some(),
    }
}

/// A KRO `ResourceGraphDefinition`, trimmed to whether it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Whether it is the one that makes clones.
    pub makes_clones: bool,
    /// Why its `Ready` condition is not true, if it says so.
    pub not_ready: Option<Box<str>>,
    /// Since when it is being deleted.
    pub terminating: Option<Timestamp>,
    /// The cluster ids that its templates write into the tags: literals, or placeholders that somebody forgot.
    pub cluster_tags: Vec<String>,
    /// What the Pod of one clone asks for and may use, under the names that a quota has for it (`requests.cpu`); without what is
    /// an expression.
    pub needs: BTreeMap<String, Quantity>,
    /// What the platform gives every clone, by the field of the spec: the defaults of [`PLATFORM`].
    pub platform: BTreeMap<&'static str, String>,
}

/// Fields of a clone that are the platform's to fill in, not the caller's.
pub const PLATFORM: [&str; 3] = ["albDnsName", "image", "sharedDatabase.host"];

impl Definition {
    /// Reads a definition from the API server's JSON.
    ///
    /// # Errors
    /// Where its identity or age cannot be read.
    pub fn read(object: &Value) -> Result<Self, Unreadable> {
        let meta = Meta::read(Kind::Definition, object)?;
        let resources = object.pointer("/spec/resources").and_then(Value::as_array);
        let tags = resources.into_iter().flatten().filter_map(|resource| resource.pointer("/template/spec/tags")?.as_array()).flatten();
        let cluster = tags.filter(|tag| tag.get("key").and_then(Value::as_str) == Some(names::TAG_CLUSTER));
        let cluster = cluster.filter_map(|tag| tag.get("value").and_then(Value::as_str)).map(str::to_owned);
        Ok(Self {
            name: meta.name().to_owned(),
            makes_clones: object.pointer("/spec/schema/kind").and_then(Value::as_str) == Some(names::CLONE_KIND),
            not_ready: super::clone::not_ready(object),
            terminating: meta.terminating,
            cluster_tags: cluster.collect(),
            needs: needs(object),
            platform: platform(object),
        })
    }
}

/// The defaults of the platform's fields, as KRO's SimpleSchema says them: `string | default="…" immutable=true`.
fn platform(definition: &Value) -> BTreeMap<&'static str, String> {
    let default = |field: &'static str| {
        let said = definition.pointer(&format!("/spec/schema/spec/{}", field.replace('.', "/")))?.as_str()?;
        let (_, rest) = said.split_once("default=\"")?;
        let (value, _) = rest.split_once('"')?;
        Some((field, value.to_owned()))
    };
    PLATFORM.into_iter().filter_map(default).collect()
}

/// What the containers of the Jobs in a definition ask for, together.
fn needs(definition: &Value) -> BTreeMap<String, Quantity> {
    let mut needs = BTreeMap::new();
    let resources = definition.pointer("/spec/resources").and_then(Value::as_array).into_iter().flatten();
    let jobs = resources.filter(|resource| resource.pointer("/template/kind").and_then(Value::as_str) == Some("Job"));
    let containers = jobs.filter_map(|job| job.pointer("/template/spec/template/spec/containers")?.as_array()).flatten();
    for container in containers {
        for of in ["requests", "limits"] {
            let amounts = container.pointer(&format!("/resources/{of}")).and_then(Value::as_object);
            for (resource, amount) in amounts.into_iter().flatten() {
                let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
                let Some(amount) = Quantity::parse(&text) else { continue };
                let sum = needs.entry(format!("{of}.{resource}")).or_insert(Quantity::default());
                *sum = sum.and(amount);
            }
        }
    }
    if !needs.is_empty() {
        needs.insert("pods".to_owned(), Quantity::whole(1));
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(labels: &Value, status: &Value) -> Value {
        json!({"metadata": {"namespace": "n", "name": "x", "uid": "u", "creationTimestamp": "2026-02-05T14:30:22Z", "labels": labels}, "status": status})
    }

    #[test]
    fn only_kro_labels_of_our_kind_prove_ownership() {
        let ours = json!({names::KRO_INSTANCE_ID: "uid-1", names::KRO_INSTANCE_KIND: "WordPressClone", names::KRO_INSTANCE_NAME: "clone-1"});
        let child = Child::read(Kind::Job, &object(&ours, &json!({}))).unwrap().unwrap();
        assert_eq!(child.owner.unwrap().uid.as_ref(), "uid-1");
        for foreign in [
            json!({names::KRO_INSTANCE_ID: "uid-1", names::KRO_INSTANCE_KIND: "Database"}),
            json!({names::KRO_INSTANCE_ID: "uid-1"}),
            json!({names::KRO_INSTANCE_KIND: "WordPressClone", names::KRO_INSTANCE_ID: ""}),
            json!({names::KRO_INSTANCE_KIND: "WordPressClone", names::KRO_INSTANCE_GROUP: "other.io", names::KRO_INSTANCE_ID: "uid-1"}),
            json!({"clone-id": "clone-1"}),
        ] {
            assert_eq!(Child::read(Kind::Job, &object(&foreign, &json!({}))), Ok(None), "{foreign}");
        }
    }

    #[test]
    fn a_pod_of_something_else_than_a_job_is_a_copy() {
        for (kind, copied) in [(None, false), (Some("Job"), false), (Some("ReplicaSet"), true), (Some("StatefulSet"), true)] {
            let mut pod = object(&json!({names::CLONE_UID: "uid-1"}), &json!({}));
            pod["metadata"]["ownerReferences"] = kind.map(|kind| json!([{"kind": kind, "name": "x", "controller": true}])).unwrap_or_default();
            assert_eq!(Child::read(Kind::Pod, &pod).unwrap().unwrap().copied, copied, "{kind:?}");
        }
    }

    #[test]
    fn a_database_object_without_owner_is_seen_for_what_it_claims() {
        let mut foreign = object(&json!({}), &json!({"ackResourceMetadata": {"arn": "arn:aws:rds:us-east-1:1:db:x"}}));
        foreign["spec"] = json!({"dbInstanceIdentifier": "x", "tags": [{"key": "Cluster", "value": "c1"}]});
        let child = Child::read(Kind::DbInstance, &foreign).unwrap().unwrap();
        assert_eq!(child.owner, None);
        let claim = child.database.unwrap();
        assert_eq!((claim.identifier.as_ref(), claim.cluster_tag.as_deref()), ("x", Some("c1")));
    }

    #[test]
    fn a_database_says_its_state_and_whether_it_answers() {
        let read = |kind, status: Value| Child::read(kind, &object(&json!({}), &status)).unwrap().unwrap();
        let made = read(Kind::DbInstance, json!({"dbInstanceStatus": "backing-up", "endpoint": {"address": "x"}}));
        assert_eq!(made.health, Health::Fine);
        let claim = made.database.unwrap();
        assert_eq!((claim.status.as_deref(), claim.reachable), (Some("backing-up"), true));
        let full = read(Kind::DbInstance, json!({"dbInstanceStatus": "storage-full", "endpoint": {"address": "x"}}));
        assert_eq!(full.health, Health::Waiting("RDS says `storage-full`".into()));
        let cluster = read(Kind::DbCluster, json!({"status": "creating"})).database.unwrap();
        assert_eq!((cluster.status.as_deref(), cluster.reachable), (Some("creating"), false));
    }

    #[test]
    fn health_says_what_is_wrong() {
        let labels = json!({names::CLONE_UID: "uid-1"});
        let health = |status: Value| Child::read(Kind::Pod, &object(&labels, &status)).unwrap().unwrap().health;
        assert_eq!(health(json!({"phase": "Running"})), Health::Fine);
        assert_eq!(health(json!({"phase": "Failed"})), Health::Failed("Pod failed".into()));
        let waiting = json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError"}}}]});
        assert_eq!(health(waiting), Health::Waiting("container waits: CreateContainerConfigError".into()));
        let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]});
        assert_eq!(health(unscheduled), Health::Waiting("Pod is not scheduled: 0/3 nodes".into()));
        let unready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]});
        assert_eq!(health(unready), Health::Waiting("Pod is not ready: ContainersNotReady".into()));
        assert_eq!(health(json!({"phase": "Failed", "reason": "Evicted"})), Health::Failed("Pod failed: Evicted".into()));
        assert!(matches!(health(json!({"phase": "Succeeded"})), Health::Failed(_)));
    }
}
