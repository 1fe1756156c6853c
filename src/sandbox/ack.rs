//! ACK's RDS controller: makes in AWS what `DBInstance` and `DBCluster` objects ask for, and takes it away with them.
//!
//! It has ACK's traps: it lets an object go as soon as AWS has accepted the deletion, it gives up for good where AWS refuses, it
//! makes a database anew that somebody deleted in AWS, and an identifier that was edited makes it forget the old database.

use super::{
    children,
    cloud::thing::{ACCOUNT, Order, Origin, Thing},
    history::Issue,
    json,
    world::World,
};
use crate::{
    model::{Kind, evidence::CloudList, names},
    ports::{CloudError, Farewell},
    rng::Rng,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// The region in which ACK works.
pub const REGION: &str = "us-east-1";
/// The tags that ACK puts on by itself: version and namespace.
const VERSION_TAG: &str = "services.k8s.aws/controller-version";
const NAMESPACE_TAG: &str = "services.k8s.aws/namespace";

/// The controller.
#[derive(Debug, Clone)]
pub struct Ack {
    rng: Rng,
    /// It does not run, or has no credentials.
    pub down: bool,
    /// Creations whose answer is lost, in thousandths: AWS has made the database, and ACK believes that it has not.
    pub loses_creations: u16,
    /// How often ACK looks whether AWS still has what it made, in thousandths of its steps.
    pub looks_again: u16,
}

/// One object on its way through the controller.
struct Work<'a> {
    world: &'a mut World,
    issue: &'a Issue,
    kind: Kind,
    object: Arc<Value>,
}

impl Ack {
    /// A controller that works, and looks at everything in every step.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), down: false, loses_creations: 0, looks_again: 1_000 }
    }

    /// One object; whether there is something left to do.
    pub(super) fn step(&mut self, world: &mut World, issue: &Issue, kind: Kind, object: &Arc<Value>) -> bool {
        if self.down {
            return true;
        }
        let mut work = Work { world, issue, kind, object: Arc::clone(object) };
        if json::terminating(object) {
            work.take_away();
            return false;
        }
        work.see_to(self)
    }
}

impl Work<'_> {
    fn list(&self) -> CloudList {
        if self.kind == Kind::DbCluster { CloudList::Clusters } else { CloudList::Instances }
    }

    fn id(&self) -> String {
        let field = if self.kind == Kind::DbCluster { "/spec/dbClusterIdentifier" } else { "/spec/dbInstanceIdentifier" };
        json::text(&self.object, field).to_owned()
    }

    fn finalizer(&self) -> &'static str {
        if self.kind == Kind::DbCluster { children::ACK_CLUSTER } else { children::ACK }
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        json::entry(&self.object, "annotations", key)
    }

    fn change(&mut self, edit: impl FnOnce(&mut Value)) {
        let object = Arc::clone(&self.object);
        let at = (json::text(&object, "/metadata/namespace"), json::text(&object, "/metadata/name"));
        drop(self.world.change(self.issue, self.kind, at, None, edit));
    }

    /// What the object says that it has, if ACK ever made it.
    fn arn(&self) -> &str {
        json::text(&self.object, "/status/ackResourceMetadata/arn")
    }

    fn thing(&self) -> Option<Arc<Thing>> {
        self.world.aws.get(REGION, self.list(), &self.id()).cloned()
    }

    /// It gives up until somebody edits the spec. `spec` is remembered in the place of the generation.
    fn give_up(&mut self, why: &str) {
        let condition = json!([{"type": "ACK.Terminal", "status": "True", "message": why}]);
        let spec = self.object.get("spec").map(ToString::to_string);
        self.change(|object| {
            json::set(object, &["status"], "conditions", Some(condition));
            json::set(object, &["status"], "gaveUpOn", spec.map(Value::from));
        });
    }

    fn gave_up(&self) -> bool {
        let on = self.object.pointer("/status/gaveUpOn").and_then(Value::as_str);
        on.is_some() && on == self.object.get("spec").map(ToString::to_string).as_deref()
    }

    /// Somebody has deleted the object.
    fn take_away(&mut self) {
        let finalizer = self.finalizer();
        if !json::has_finalizer(&self.object, finalizer) {
            return;
        }
        let retained = self.annotation(names::ACK_DELETION_POLICY) == Some("retain") || self.annotation(names::ACK_READ_ONLY) == Some("true");
        // What it never made, it does not delete.
        let there = self.thing().filter(|thing| thing.seen.arn == self.arn());
        let Some(there) = there.filter(|_| !retained) else { return self.change(|object| json::drop_finalizer(object, finalizer)) };
        if there.seen.is_going() || self.gave_up() {
            return;
        }
        let wanted = self.annotation(names::ACK_SKIP_SNAPSHOT) == Some("false");
        let snapshot = self.annotation(names::ACK_FINAL_SNAPSHOT).filter(|_| wanted).map(str::to_owned);
        let farewell = snapshot.as_deref().map_or(Farewell::Nothing, Farewell::Snapshot);
        match self.world.aws.delete(self.issue, (REGION, self.list(), &there.seen.id), farewell) {
            // AWS has only accepted it: the database is there for minutes yet, and nothing in the cluster says so.
            Ok(()) | Err(CloudError::NotFound) => self.change(|object| json::drop_finalizer(object, finalizer)),
            Err(CloudError::Refused { code, message }) => self.give_up(&format!("{code}: {message}")),
            Err(_) => {}
        }
    }

    /// The object lives: so should its database. Whether there is something left to do.
    fn see_to(&mut self, ack: &mut Ack) -> bool {
        if self.annotation(names::ACK_READ_ONLY) == Some("true") || self.gave_up() {
            return false;
        }
        let finalizer = self.finalizer();
        if !json::has_finalizer(&self.object, finalizer) {
            self.change(|object| json::add_finalizer(object, finalizer));
            return true;
        }
        let Some(thing) = self.thing() else {
            let lost = !self.arn().is_empty() && self.arn().ends_with(&format!(":{}", self.id()));
            if lost && !ack.rng.chance(ack.looks_again) {
                return true;
            }
            return self.make(ack);
        };
        if self.arn() != thing.seen.arn {
            self.give_up("Resource already exists in AWS, and is not managed by ACK");
            return false;
        }
        self.copy_status(&thing);
        self.sync_tags(&thing);
        false
    }

    fn make(&mut self, ack: &mut Ack) -> bool {
        let text = |path: &str| Some(json::text(&self.object, path).to_owned()).filter(|text| !text.is_empty());
        let order = Order {
            region: Arc::from(REGION),
            id: self.id(),
            tags: self.tags(),
            cluster: text("/spec/dbClusterIdentifier").filter(|_| self.kind == Kind::DbInstance),
            protected: self.object.pointer("/spec/deletionProtection") == Some(&Value::Bool(true)),
            copy_tags: self.object.pointer("/spec/copyTagsToSnapshot") == Some(&Value::Bool(true)),
            class: text("/spec/dbInstanceClass"),
            engine: text("/spec/engine"),
        };
        match self.world.aws.create(self.issue, self.list(), order, Origin::Made) {
            Ok(_) if ack.rng.chance(ack.loses_creations) => {
                let finalizer = self.finalizer();
                self.change(|object| json::drop_finalizer(object, finalizer));
                true
            }
            Ok(thing) => {
                self.copy_status(&thing);
                false
            }
            Err(CloudError::Refused { code, message }) => {
                self.give_up(&format!("{code}: {message}"));
                false
            }
            Err(_) => true,
        }
    }

    /// The tags that the database should have: those of the spec, and ACK's own.
    fn tags(&self) -> BTreeMap<String, String> {
        let tags = self.object.pointer("/spec/tags").and_then(Value::as_array);
        let pair = |tag: &Value| (json::text(tag, "/key").to_owned(), json::text(tag, "/value").to_owned());
        let own = [(VERSION_TAG, "rds-v1.11.1"), (NAMESPACE_TAG, json::text(&self.object, "/metadata/namespace"))];
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        tags.into_iter().flatten().map(pair).chain(own).collect()
    }

    /// Tags that ACK does not know it takes away, once the database can be changed.
    fn sync_tags(&mut self, thing: &Thing) {
        let wanted = self.tags();
        if thing.seen.status != "available" || thing.seen.tags.as_ref() == Some(&wanted) {
            return;
        }
        let there = thing.seen.tags.iter().flatten().map(|(key, _)| (key.clone(), None));
        let changes: BTreeMap<String, Option<String>> = there.chain(wanted.into_iter().map(|(key, value)| (key, Some(value)))).collect();
        drop(self.world.aws.tag(self.issue, (REGION, self.list(), &thing.seen.id), &changes));
    }

    fn copy_status(&mut self, thing: &Thing) {
        let seen = &thing.seen;
        let mut status = json!({"ackResourceMetadata": {"arn": seen.arn, "region": REGION, "ownerAccountID": ACCOUNT}});
        let (word, host) = if self.kind == Kind::DbCluster { ("status", "cluster-x") } else { ("dbInstanceStatus", "x") };
        json::set(&mut status, &[], word, Some(seen.status.as_str().into()));
        let known = self.object.pointer("/status/endpoint").cloned();
        let address = format!("{}.{host}.{REGION}.rds.amazonaws.com", seen.id);
        let fresh = (seen.status == "available")
            .then(|| if self.kind == Kind::DbCluster { json!(address) } else { json!({"address": address, "port": 3306}) });
        if let Some(endpoint) = known.or(fresh) {
            json::set(&mut status, &[], "endpoint", Some(endpoint));
        }
        self.change(|object| json::set(object, &[], "status", Some(status)));
    }
}
