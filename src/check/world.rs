//! From a fixture to what the engine judges. What is given in short is written out as the API server would have it, and read as that.
//!
//! The world of a fixture is whole: what is not in it is not there, unless the fixture says that it is `unknown`.

use crate::{
    model::{
        Evidence, Kind, Month, Snapshot, Source,
        evidence::CloudList,
        month::{OwnerCosts, UsageStatus, object_name},
        names,
    },
    observe::files,
    plan::{
        admit::{Operation, Request, Residents, budget::Money},
        money,
    },
    policy::{
        Code, Policies,
        fixture::{Creation, GivenClone, PolicyTest, Said},
        problem::{Place, Problem},
    },
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Who makes a clone where the fixture does not say.
const SOMEBODY: &str = "somebody";

/// One look at the world of a test.
pub(super) fn snapshot(test: &PolicyTest, policies: &Policies) -> Result<Snapshot, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut objects: Vec<Value> = Vec::new();
    for (number, clone) in test.clones.iter().enumerate() {
        objects.push(living(clone, number, test.now, policies, &mut problems));
    }
    objects.extend(test.spent.iter().map(|(namespace, usd)| ledger(namespace, *usd, test.now)));
    objects.extend(test.objects.iter().map(|(object, _)| object.clone()));
    let broken =
        |place: &Place, why: &str| Problem::new(Code::BadValue, place.clone(), format!("the world of test `{}` cannot be read: {why}", test.name));
    let mut snapshot = if objects.is_empty() {
        Snapshot::default()
    } else {
        // Alone as well, since then it is known which one is meant.
        for (object, place) in &test.objects {
            let alone = files::read_objects("given", vec![object.clone()], test.now, None);
            problems.extend(alone.into_iter().flat_map(|read| read.notes).map(|note| broken(place, &note)));
        }
        match files::read_objects("given", objects, test.now, test.cluster_id.as_deref()) {
            Ok(read) => read.snapshot,
            Err(error) => {
                problems.push(broken(&test.place, &error.to_string()));
                Snapshot::default()
            }
        }
    };
    whole(&mut snapshot, test);
    for (name, place) in &test.unknown {
        let known = snapshot.evidence.iter().map(|(source, _)| source.clone()).find(|source| source.to_string() == *name);
        match known {
            Some(source) => snapshot.evidence.insert(source, Evidence::incomplete(test.now, "the test says so")),
            None => {
                let known: Vec<String> = snapshot.evidence.iter().map(|(source, _)| source.to_string()).collect();
                let problem = Problem::new(Code::BadValue, place.clone(), format!("there is no source `{name}`"));
                problems.push(problem.help(format!("there are: {}", known.join(", "))));
            }
        }
    }
    if problems.is_empty() { Ok(snapshot) } else { Err(problems) }
}

/// Says of everything that it was listed.
fn whole(snapshot: &mut Snapshot, test: &PolicyTest) {
    snapshot.origin = crate::model::snapshot::Origin::Files;
    snapshot.cluster_id = test.cluster_id.as_deref().map(Arc::from);
    let swept = test.region.iter().flat_map(|region| CloudList::ALL.map(|list| Source::Cloud(Arc::from(region.as_str()), list)));
    let asked: Vec<Source> = Kind::ALL.into_iter().map(Source::Objects).chain([Source::Time]).chain(swept).collect();
    for source in asked {
        if snapshot.evidence.get(&source).is_none() {
            snapshot.evidence.insert(source, Evidence::complete(test.now));
        }
    }
}

/// A clone that lives, as the API server has it.
fn living(clone: &GivenClone, number: usize, now: Timestamp, policies: &Policies, problems: &mut Vec<Problem>) -> Value {
    let created = now.checked_sub(clone.age.get()).unwrap_or(Timestamp::MIN);
    let mut object = written(&clone.namespace, &clone.name, &clone.said);
    let mut put = |pointer: &str, key: &str, value: Value| {
        if let Some(fields) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
            fields.insert(key.to_owned(), value);
        }
    };
    put("/metadata", "uid", json!(format!("{:08x}-0000-4000-8000-000000000001", number.saturating_add(1))));
    put("/metadata", "resourceVersion", json!("1"));
    put("/metadata", "creationTimestamp", json!(created));
    if let Some(owner) = &clone.said.owner {
        put("/metadata/annotations", names::OWNER, json!(owner));
    }
    if let Some(end) = clone.announced {
        put("/metadata/annotations", names::EXPIRES_AT, json!(end));
        put("/metadata/annotations", names::ANNOUNCED_AT, json!(created));
    }
    if let Some((name, place)) = &clone.host {
        match policies.hosts.iter().find(|host| host.name == *name) {
            Some(host) => put("/spec", "sharedDatabase", json!({"host": host.address()})),
            None => {
                let known: Vec<String> = policies.hosts.iter().map(|host| format!("`{}`", host.name)).collect();
                let problem = Problem::new(Code::UnknownHost, place.clone(), format!("there is no host `{name}`"));
                problems.push(problem.help(format!("the policies know: {}", known.join(", "))));
            }
        }
    }
    object
}

/// What somebody sends who makes a clone like that.
pub(super) fn request(creation: &Creation, name: &str) -> Request {
    Request {
        operation: Operation::Create,
        namespace: creation.namespace.clone(),
        name: name.to_owned(),
        user: creation.said.owner.clone().unwrap_or_else(|| SOMEBODY.to_owned()),
        dry_run: false,
        object: written(&creation.namespace, name, &creation.said),
        old: Value::Null,
    }
}

fn written(namespace: &str, name: &str, said: &Said) -> Value {
    let mut spec = Map::from_iter([("cloneId".to_owned(), json!(name)), ("sourceUrl".to_owned(), json!("https://example.com"))]);
    spec.extend(said.ttl.map(|ttl| ("ttlSeconds".to_owned(), json!(ttl.as_secs()))));
    spec.extend(said.dedicated.map(|wish| ("useDedicatedDatabase".to_owned(), json!(wish))));
    spec.extend(said.class.as_ref().map(|class| ("databaseSize".to_owned(), json!(class))));
    json!({
        "apiVersion": Kind::Clone.api_version(), "kind": names::CLONE_KIND,
        "metadata": {"namespace": namespace, "name": name, "labels": said.labels, "annotations": said.annotations},
        "spec": spec,
    })
}

/// The ledger of a namespace of which so much is spent this month.
fn ledger(namespace: &str, usd: rust_decimal::Decimal, now: Timestamp) -> Value {
    let month = Month::of(now);
    let mut spent = OwnerCosts::default();
    spent.accrued.total = usd;
    let status = UsageStatus { accrued_through: Some(now), owners: vec![spent], ..UsageStatus::default() };
    let name = object_name(namespace, month);
    json!({
        "apiVersion": Kind::Usage.api_version(), "kind": Kind::Usage.name(),
        "metadata": {"name": name, "uid": format!("usage-{namespace}"), "resourceVersion": "1", "creationTimestamp": month.start()},
        "spec": {"namespace": namespace, "month": month.to_string()},
        "status": status,
    })
}

/// Who takes up room, as the webhook would count them.
pub(super) fn residents(snapshot: &Snapshot, policies: &Policies, now: Timestamp) -> Residents {
    let definition = snapshot.definitions.iter().find(|definition| definition.makes_clones);
    let known = |kind: &Kind| snapshot.evidence.get(&Source::Objects(*kind)).is_some_and(|evidence| evidence.complete);
    let listed = [Kind::DbInstance, Kind::DbCluster, Kind::Definition, Kind::ResourceQuota, Kind::Usage];
    let of_kind = |kind: Kind| snapshot.children.iter().filter(move |child| child.kind == kind);
    let mut pods: BTreeMap<String, usize> = BTreeMap::new();
    for pod in of_kind(Kind::Pod) {
        let count = pods.entry(pod.meta.namespace().to_owned()).or_default();
        *count = count.saturating_add(1);
    }
    let (unread_ledgers, unread): (Vec<_>, Vec<_>) =
        snapshot.unreadable.iter().filter(|object| matches!(object.kind, Kind::Usage | Kind::Clone)).partition(|object| object.kind == Kind::Usage);
    let money = Money {
        at: now,
        tariff: Arc::new(money::tariff(snapshot, policies, now)),
        usages: snapshot.usages.clone(),
        unreadable: unread_ledgers.into_iter().map(|object| object.name.clone()).collect(),
        departed: Vec::new(),
    };
    Residents {
        clones: snapshot.clones.clone(),
        unreadable: unread.into_iter().map(|object| format!("{}/{}", object.namespace, object.name)).collect(),
        databases: of_kind(Kind::DbInstance).chain(of_kind(Kind::DbCluster)).cloned().collect(),
        namespaces: Arc::new(snapshot.namespaces.clone()),
        needs: definition.map(|definition| definition.needs.clone()).unwrap_or_default(),
        platform: definition.map(|definition| definition.platform.clone()).unwrap_or_default(),
        quotas: snapshot.quotas.iter().filter(|quota| quota.kind == Kind::ResourceQuota).cloned().collect(),
        pods,
        unlisted: listed.into_iter().filter(|kind| !known(kind)).collect(),
        money: Some(Arc::new(money)),
        ..Residents::default()
    }
}

/// The object with a patch of the webhook: it adds and removes fields of mappings.
pub(super) fn patched(object: &Value, patch: &[Value]) -> Value {
    let mut object = object.clone();
    for change in patch {
        let Some((parent, key)) = change.get("path").and_then(Value::as_str).and_then(|path| path.rsplit_once('/')) else { continue };
        let key = key.replace("~1", "/").replace("~0", "~");
        let Some(fields) = object.pointer_mut(parent).and_then(Value::as_object_mut) else { continue };
        match change.get("value") {
            Some(value) => drop(fields.insert(key, value.clone())),
            None => drop(fields.shift_remove(&key)),
        }
    }
    object
}
