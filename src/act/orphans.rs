//! Carries out what is decided about orphans: their `Orphan` objects, their end, and the tags of their final snapshots.
//!
//! The end of an orphan is several steps, each of which may be the last one of this process. What is about to be asked for is
//! written on the `Orphan` first, so that whoever goes on knows it: above all the name of the final snapshot.

use super::{
    executor::{Executor, pin},
    journal::Ending,
    proof::{Roll, Unproved},
};
use crate::{
    model::{
        Kind,
        cloud::{self, CloudResource},
        evidence::CloudList,
        names,
        orphan::{self, OrphanRecord},
    },
    plan::{
        Action, Decision, Plan, Reason, Target,
        orphans::{Course, GONE, Parting},
        render,
    },
    ports::{ApiError, CloudError, Farewell, Pin},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tracing::info;

/// Whether a decision is the end of something that was left behind.
pub(super) fn is_end(decision: &Decision) -> bool {
    decision.action == Action::Delete && decision.course().is_some()
}

/// Whether AWS is asked before it is carried out, or something is asked of it.
pub(super) fn asks_aws(decision: &Decision) -> bool {
    let closes = matches!(decision.target, Target::Orphan(_)) && decision.course().is_some();
    is_end(decision) || decision.tags().is_some() || closes || forgets(decision)
}

/// Whether an `Orphan` goes because a sweep does not show any more what it is about in AWS. A veto would go with it.
pub(super) fn forgets(decision: &Decision) -> bool {
    let in_aws = matches!(&decision.target, Target::Orphan(record) if record.in_aws());
    in_aws && decision.action == Action::Unmark && decision.reason == Reason::NoOrphan(GONE)
}

impl Executor {
    /// Writes on the `Orphan` what it should say.
    pub(super) async fn record(&self, decision: &Decision, course: &Course) -> Result<(), ApiError> {
        let status = serde_json::to_value(&course.status).map_err(|error| ApiError::Unavailable(error.to_string()))?;
        match &course.record {
            Some(record) => self.tools.cluster.set_status(&pin(Kind::Orphan, &record.meta), &status).await,
            None => match self.tools.cluster.create(Kind::Orphan, orphan_object(decision, course, status)).await {
                Err(ApiError::Conflict(_)) => self.is_recorded(decision).await,
                other => other,
            },
        }
    }

    /// Whether the `Orphan` that is there already is about the same thing: then the watch just has not brought it yet. It may never: what
    /// it told of it was lost, and until the next list, an hour away, nothing would be done about what costs money.
    async fn is_recorded(&self, decision: &Decision) -> Result<(), ApiError> {
        let name = orphan::object_name(decision.target.kind(), &decision.target.key());
        let Some(object) = self.tools.cluster.get(Kind::Orphan, "", &name).await? else { return Ok(()) };
        match OrphanRecord::read(&object) {
            Ok(there) if there.key == decision.target.key() => {
                self.tools.store.found(Kind::Orphan, &object);
                Ok(())
            }
            // Not a conflict, which is tried again at once: nothing changes before somebody does that.
            _ => Err(ApiError::Refused { code: 409, message: format!("the Orphan `{name}` is about something else: delete it") }),
        }
    }

    /// Ends one orphan, one step further than it is.
    pub(super) async fn end(&self, decision: &Decision, course: &Course, parting: &Parting, roll: Option<&Roll>, plan: &Plan) -> Ending {
        let Some(roll) = roll else {
            return Ending::Failed("the clones could not be listed anew: nothing that is judged by absence goes".to_owned());
        };
        let Some(record) = &course.record else { return Ending::Conflict("it has no Orphan".to_owned()) };
        match roll.proves(self.tools.cluster.as_ref(), self.tools.cloud.as_ref(), decision, course).await {
            Ok(()) => {}
            Err(Unproved::Gone) => return Ending::Gone,
            Err(Unproved::Otherwise(why)) => return Ending::Conflict(why),
            Err(Unproved::Restored(why)) => {
                let status = json!(course.restored(&why));
                if self.may_write()
                    && let Err(error) = self.tools.cluster.set_status(&pin(Kind::Orphan, &record.meta), &status).await
                {
                    return ending(Err(error));
                }
                return Ending::Conflict(why);
            }
            Err(Unproved::Unknown(why)) => return Ending::Failed(why),
        }
        if !self.may_write() {
            return Ending::Stopped;
        }
        // Also where it says that already: a veto that has come since is a conflict.
        if let Err(error) = self.tools.cluster.set_status(&pin(Kind::Orphan, &record.meta), &json!(course.status)).await {
            return ending(Err(error));
        }
        // Asking and writing took their time: the lease, a person or another policy may have said otherwise meanwhile.
        if !self.stands(plan) {
            return Ending::Stopped;
        }
        if roll.is_old() {
            return Ending::Failed("asking AWS took so long that the clones have to be listed anew".to_owned());
        }
        match &decision.target {
            Target::Child(child) => match parting.snapshot.as_ref().filter(|_| parting.tell_ack) {
                Some(id) => {
                    let told = [(names::ACK_SKIP_SNAPSHOT, Some("false".to_owned())), (names::ACK_FINAL_SNAPSHOT, Some(id.clone()))];
                    match self.tools.cluster.annotate(&pin(child.kind, &child.meta), &BTreeMap::from(told)).await {
                        Ok(()) => Ending::Begun,
                        Err(error) => ending(Err(error)),
                    }
                }
                None => ending(self.tools.cluster.delete(&pin(child.kind, &child.meta)).await),
            },
            Target::Cloud(resource) => {
                let farewell = parting.snapshot.as_deref().map_or(Farewell::Nothing, Farewell::Snapshot);
                cloud_ending(self.tools.cloud.delete(resource, farewell).await)
            }
            Target::Schema(schema) => self.drop_schema(schema).await,
            _ => Ending::Failed("it is nothing that can be left behind".to_owned()),
        }
    }

    /// Writes on the `Orphan` why its end does not come about, in the words of whoever refuses it, and takes that back once it is
    /// not refused any more. Only from the second refusal in a row on: the first may be a watch that lags.
    pub(super) async fn say_refusal(&self, decision: &Decision, ending: &Ending, failures: u32, at: Timestamp) {
        let Some(record) = decision.course().filter(|_| is_end(decision)).and_then(|course| course.record.as_ref()) else { return };
        let said = record.status.as_ref().and_then(|status| status.refusal());
        let refused = match ending {
            Ending::Failed(words) if failures > 1 => Some(words.as_str()),
            // It may only be that the watch lags: that does not take the place of what AWS has said.
            Ending::Conflict(words) if failures > 1 && said.is_none() => Some(words.as_str()),
            Ending::Done | Ending::Begun | Ending::Gone => None,
            _ => return,
        };
        if said == refused || !self.may_write() {
            return;
        }
        let written = async {
            let Some(object) = self.tools.cluster.get(Kind::Orphan, "", record.meta.name()).await? else { return Ok(()) };
            let Ok(present) = OrphanRecord::read(&object) else { return Ok(()) };
            let Some(mut status) = present.status.as_deref().cloned() else { return Ok(()) };
            if present.meta.uid != record.meta.uid || !status.refuse(refused, at) {
                return Ok(());
            }
            self.tools.cluster.set_status(&pin(Kind::Orphan, &present.meta), &json!(status)).await
        };
        if let Err(error) = written.await {
            info!(%error, orphan = record.meta.name(), "Why its end does not come about could not be written on it.");
        }
    }

    /// Says of a final snapshot that it is ours.
    pub(super) async fn tag(&self, resource: &CloudResource, tags: &BTreeMap<String, String>) -> Ending {
        cloud_ending(self.tools.cloud.tag(resource, tags).await)
    }

    /// Writes that an orphan is gone, once AWS has said so itself.
    pub(super) async fn close(&self, record: &OrphanRecord, course: &Course) -> Ending {
        // What was restored to its identifier since is something else.
        let it = |there: &CloudResource| record.resource_id.as_deref().is_none_or(|id| id == there.resource_id);
        if let Some(otherwise) = self.is_not_gone(record, it).await {
            return otherwise;
        }
        if !self.may_write() {
            return Ending::Stopped;
        }
        ending(self.tools.cluster.set_status(&pin(Kind::Orphan, &record.meta), &json!(course.status)).await)
    }

    /// Takes an `Orphan` away of what is gone, once AWS has said so itself: a list that is whole may lack one item all the same.
    pub(super) async fn forget_gone(&self, record: &OrphanRecord) -> Ending {
        if let Some(otherwise) = self.is_not_gone(record, |_| true).await {
            return otherwise;
        }
        if !self.may_write() {
            return Ending::Stopped;
        }
        ending(self.tools.cluster.delete(&pin(Kind::Orphan, &record.meta)).await)
    }

    /// What AWS says against it, asked for the one thing that an `Orphan` is about.
    async fn is_not_gone(&self, record: &OrphanRecord, is_it: impl Fn(&CloudResource) -> bool) -> Option<Ending> {
        let list = CloudList::ALL.into_iter().find(|list| cloud::kind(*list) == record.kind.as_ref());
        if let (Some(list), Some(id)) = (list, record.id.as_deref()) {
            let regions: Vec<_> = match &record.region {
                Some(region) => vec![region],
                None => self.tools.cloud.regions().iter().collect(),
            };
            for region in regions {
                match self.tools.cloud.describe(list, region, id).await {
                    Ok(Some(there)) if is_it(&there) => return Some(Ending::Conflict(format!("AWS still describes it: `{}`", there.status))),
                    Ok(_) => {}
                    Err(error) => return Some(Ending::Failed(format!("AWS: {error}"))),
                }
            }
        }
        None
    }
}

pub(super) fn ending(written: Result<(), ApiError>) -> Ending {
    match written {
        Ok(()) => Ending::Done,
        Err(ApiError::NotFound) => Ending::Gone,
        Err(ApiError::Conflict(detail)) => Ending::Conflict(detail),
        Err(error) => Ending::Failed(error.to_string()),
    }
}

fn cloud_ending(asked: Result<(), CloudError>) -> Ending {
    match asked {
        Ok(()) => Ending::Done,
        Err(CloudError::NotFound) => Ending::Gone,
        Err(error) => Ending::Failed(format!("AWS: {error}")),
    }
}

/// The object that an Event about something in AWS is written on: its `Orphan`.
pub(super) fn about(decision: &Decision) -> Option<Pin> {
    decision.course()?.record.as_ref().map(|record| pin(Kind::Orphan, &record.meta))
}

/// The `Orphan` object that records a mark.
fn orphan_object(decision: &Decision, course: &Course, status: Value) -> Value {
    let kind = decision.target.kind();
    let mut target = render::target(&decision.target);
    if let Some(target) = target.as_object_mut() {
        target.remove("resourceVersion");
        target.retain(|_, value| value.as_str() != Some(""));
        if let Target::Child(child) = &decision.target
            && let Some(claim) = &child.database
        {
            target.insert("id".to_owned(), json!(claim.identifier));
            let region = course.database.as_ref().map(|database| database.region.to_string()).or_else(|| claim.place().map(str::to_owned));
            target.extend(region.map(|region| ("region".to_owned(), json!(region))));
        }
    }
    let mut owner = json!({"uid": course.owner.uid});
    if let Some(owner) = owner.as_object_mut() {
        owner.extend((!course.owner.namespace.is_empty()).then(|| ("namespace".to_owned(), json!(course.owner.namespace))));
        owner.extend(course.owner.name.as_ref().map(|name| ("name".to_owned(), json!(name))));
    }
    json!({
        "apiVersion": Kind::Orphan.api_version(),
        "kind": Kind::Orphan.name(),
        "metadata": {"name": orphan::object_name(kind, &decision.target.key())},
        "spec": {"id": decision.target.display(), "target": target, "owner": owner, "policy": decision.policy},
        "status": status,
    })
}
