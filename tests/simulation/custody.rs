//! The promises about what dead clones leave behind, named `A1` to `A8`: what a daemon may take away in AWS and in the cluster, and
//! what must be gone in the end.
//!
//! ```text
//! A1  it is proven ours, its clone is dead, and nobody restored it      A5  a final snapshot was asked for
//! A2  it is enforced, soaked and seen often enough                     A6  only our own snapshots go, after their date
//! A3  no protection, no veto                                           A7  nothing that costs money is left, nor said to be gone
//! A4  nothing in the cluster stands for it                             A8  nothing else is touched
//! ```

use crate::{
    estate::{self, Claim, text},
    oracle::{Broken, LAG, Oracle, SKEW, WATCH_LAG, seconds},
    rules::Rule,
};
use clonewarden::{
    model::{Kind, evidence::CloudList, names},
    sandbox::{
        cloud::thing::{CloudWrite, Deed, Origin, Thing},
        history::{Verb, Write},
        world::World,
    },
};
use serde_json::Value;

/// The id of our cluster in tags.
pub(crate) const CLUSTER: &str = "sim";
/// How long what is proved right before a delete may be old when that is sent: the calls between take their time.
const PROVED: i64 = 75;
type Judged = Result<(), (&'static str, String)>;

fn wrong<T>(promise: &'static str, what: impl Into<String>) -> Result<T, (&'static str, String)> {
    Err((promise, what.into()))
}

/// Whether what stands on a resource says that it is the database of a clone of ours.
pub(crate) fn is_proven(thing: &Thing) -> bool {
    let (Some(id), Some(uid)) = (thing.tag(names::TAG_CLONE_ID), thing.tag(names::TAG_CLONE_UID)) else { return false };
    thing.tag(names::TAG_CLUSTER) == Some(CLUSTER) && !uid.is_empty() && thing.seen.id == format!("{id}-{}", uid.get(..8).unwrap_or(uid))
}

pub(crate) fn uid(thing: &Thing) -> &str {
    thing.tag(names::TAG_CLONE_UID).unwrap_or_default()
}

pub(crate) fn namespace(thing: &Thing) -> &str {
    thing.tag(names::TAG_NAMESPACE).unwrap_or_default()
}

/// The clone that it was made for, as a path.
pub(crate) fn clone_path(thing: &Thing) -> String {
    format!("{}/{}", namespace(thing), thing.tag(names::TAG_CLONE_ID).unwrap_or_default())
}

impl Oracle {
    /// Judges one change in AWS, if a daemon made it.
    pub(crate) fn judge_cloud(&mut self, write: &CloudWrite) -> Result<(), Broken> {
        let clonewarden::sandbox::history::Actor::Daemon(daemon) = &write.issue.by else { return Ok(()) };
        let Some(thing) = write.thing() else { return Ok(()) };
        let sent = seconds(write.issue.at);
        let holder = write.issue.lease.as_ref();
        let judged = if !holder.is_some_and(|lease| lease.held_by(daemon, write.issue.at)) {
            wrong("I7", "the lease is not its own")
        } else if self.paused_throughout(sent) {
            wrong("I2", "everything is paused")
        } else {
            match &write.deed {
                Deed::Delete(last) if thing.is_database() => self.judge_database(daemon, write, thing, last.as_deref(), sent),
                Deed::Delete(_) => self.judge_snapshot(daemon, thing, sent),
                Deed::Tag => self.judge_tags(write),
                _ => wrong("A8", "it makes and protects nothing"),
            }
        };
        if let (Deed::Delete(last), Ok(())) = (&write.deed, &judged) {
            self.estate.deleted += 1;
            self.estate.asked.extend(last.clone());
        }
        judged
            .map_err(|(promise, what)| Broken { promise, what: format!("{daemon} at {}: {:?} of {}: {what}", write.at, write.deed, thing.seen.arn) })
    }

    fn judge_database(&self, daemon: &str, write: &CloudWrite, thing: &Thing, last: Option<&str>, sent: i64) -> Judged {
        if self.estate.shared.within(sent - LAG, sent).all(|shared| *shared) && self.estate.shared.now().is_some() {
            return wrong("A1", "another cluster uses our id");
        }
        if !is_proven(thing) {
            return wrong("A1", format!("nothing proves that it is ours: {:?}", thing.seen.tags));
        }
        if thing.origin == Origin::Restored {
            return wrong("A1", "somebody restored it");
        }
        if self.estate.lived(uid(thing), sent, sent) {
            return wrong("A1", "its clone lives");
        }
        if self.estate.namesake(&clone_path(thing), sent - PROVED, sent) {
            return wrong("A1", format!("{} lives", clone_path(thing)));
        }
        let list = thing.seen.list;
        if let Some(Claim { path, .. }) = self.estate.claimed(list == CloudList::Clusters, &thing.seen.id, &thing.seen.arn, sent - PROVED, sent) {
            return wrong("A4", format!("{path} stands for it"));
        }
        if let Some(foreign) = write.members.iter().find(|member| !is_proven(member) || uid(member) != uid(thing)) {
            return wrong("A1", format!("{} in it is not ours", foreign.seen.id));
        }
        // On whichever Orphan: the object that stood for it, or for the cluster that it is in, may be gone.
        let home = thing.seen.cluster.as_deref().map(|id| ("DBCluster", id));
        let ours = |mark: &&estate::Mark| {
            let about = (mark.about.0.as_str(), mark.about.1.as_str());
            about == (thing.seen.kind(), thing.seen.id.as_str()) || Some(about) == home
        };
        let stands = |mark: &&estate::Mark| mark.until > sent && mark.keep.within(sent - PROVED, sent).all(|keep| *keep) && mark.keep.now().is_some();
        if let Some(mark) = self.estate.marks.iter().filter(ours).find(stands) {
            return wrong("A3", format!("{:?} is kept", mark.about));
        }
        self.soaked(daemon, &thing.seen.arn, Some(&thing.seen.resource_id), namespace(thing), sent)?;
        if thing.seen.cluster.is_none() && last.is_none() && !self.goes_without(daemon, &thing.seen.arn, namespace(thing), sent) {
            return wrong("A5", "no final snapshot was asked for");
        }
        Ok(())
    }

    /// A deletion that AWS refused because of protection: it was there to be seen.
    pub(crate) fn judge_refused(&self, write: &CloudWrite) -> Result<(), Broken> {
        let clonewarden::sandbox::history::Actor::Daemon(daemon) = &write.issue.by else { return Ok(()) };
        let sent = seconds(write.issue.at);
        let Some(thing) = write.thing() else { return Ok(()) };
        let since = self.protected_since.get(&thing.serial).copied().unwrap_or(i64::MIN);
        if since > sent - PROVED {
            return Ok(());
        }
        Err(Broken { promise: "A3", what: format!("{daemon} at {}: deletion of {}: it is protected since {since}", write.at, thing.seen.arn) })
    }

    fn judge_snapshot(&self, daemon: &str, thing: &Thing, sent: i64) -> Judged {
        let id = thing.seen.id.as_str();
        if thing.tag(names::TAG_SNAPSHOT) != Some(id) || !self.estate.asked.contains(id) || thing.origin != Origin::Final {
            return wrong("A6", format!("it is not ours: {:?}", thing.seen.tags));
        }
        if thing.tag(names::TAG_CLUSTER) != Some(CLUSTER) {
            return wrong("A6", "it belongs to another cluster");
        }
        let until = thing.tag(names::TAG_EXPIRES_AT).and_then(|date| date.parse::<jiff::Timestamp>().ok()).map(seconds);
        let taken = thing.seen.created.map_or(i64::MAX, seconds);
        let least = self.candidates(daemon, namespace(thing), sent).iter().map(|rule| rule.kept_for).min().unwrap_or(i64::MAX);
        if until.is_none_or(|until| until > sent + SKEW) || taken.saturating_add(least) > sent + 2 * SKEW + PROVED {
            return wrong("A6", format!("it is kept until {until:?}, was taken {taken}, and now is {sent}"));
        }
        self.soaked(daemon, &thing.seen.arn, None, namespace(thing), sent)
    }

    fn judge_tags(&self, write: &CloudWrite) -> Judged {
        let (Some(before), Some(after)) = (&write.before, &write.after) else { return wrong("A8", "there was nothing") };
        if before.is_database() || before.origin != Origin::Final || !self.estate.asked.contains(&before.seen.id) {
            return wrong("A8", "it is no final snapshot of ours");
        }
        const OURS: [&str; 8] = [
            names::TAG_REGION,
            names::TAG_SNAPSHOT,
            names::TAG_EXPIRES_AT,
            names::TAG_POLICY,
            names::TAG_CLUSTER,
            names::TAG_CLONE_ID,
            names::TAG_CLONE_UID,
            names::TAG_NAMESPACE,
        ];
        let changed = after.seen.tags.iter().flatten().find(|(key, value)| before.tag(key) != Some(value) && !OURS.contains(&key.as_str()));
        changed.map_or(Ok(()), |(key, _)| wrong("A8", format!("the tag {key} is none of ours")))
    }

    /// Under some rule that the daemon may have gone by, it is enforced, and it was marked for long enough, and nobody keeps it.
    fn soaked(&self, daemon: &str, key: &str, resource_id: Option<&str>, namespace: &str, sent: i64) -> Judged {
        let candidates = self.candidates(daemon, namespace, sent);
        let enforced: Vec<&&Rule> = candidates.iter().filter(|rule| rule.enforce).collect();
        if enforced.is_empty() {
            return wrong("A2", format!("no policy enforces anything in {namespace}"));
        }
        let Some(mark) = self.estate.mark(key).filter(|mark| mark.from <= sent && mark.until >= sent - LAG) else {
            return wrong("A2", "it was never marked");
        };
        if resource_id.is_some_and(|id| id != mark.resource_id) {
            return wrong("A2", "what was marked is another one of that identifier");
        }
        if mark.keep.within(self.heard_of(daemon, Kind::Orphan, sent), sent).all(|keep| *keep) && mark.keep.now().is_some() {
            return wrong("A3", "its Orphan is kept");
        }
        let noticed = self.noticed(namespace).unwrap_or(i64::MIN);
        let since = mark.from.max(noticed);
        let enough = |rule: &&&Rule| since.saturating_add(rule.soak) <= sent + 2 * SKEW && mark.observations >= rule.observations;
        if !enforced.iter().any(enough) {
            let rules: Vec<(i64, i64)> = enforced.iter().map(|rule| (rule.soak, rule.observations)).collect();
            return wrong(
                "A2",
                format!("marked {}, enforced after {noticed}, seen {} times, needed {rules:?}, now {sent}", mark.from, mark.observations),
            );
        }
        Ok(())
    }

    /// Whether a policy wants no final snapshot, or a person let it go without.
    fn goes_without(&self, daemon: &str, key: &str, namespace: &str, sent: i64) -> bool {
        let released = self.estate.mark(key).is_some_and(|mark| mark.release.within(sent - WATCH_LAG, sent).any(|code| code == "SnapshotImpossible"));
        released || self.candidates(daemon, namespace, sent).iter().any(|rule| !rule.final_snapshot)
    }

    /// Judges what a daemon wrote on an object that a clone left behind.
    pub(crate) fn judge_child(&self, daemon: &str, kind: Kind, write: &Write) -> Judged {
        let Some(object) = write.before.as_deref() else { return wrong("A8", "there was nothing") };
        let sent = seconds(write.issue.at);
        let (uid, version) = (text(object, "/metadata/uid"), text(object, "/metadata/resourceVersion"));
        if write.pin.as_ref().is_none_or(|pin| (pin.0.as_str(), pin.1.as_str()) != (uid, version)) {
            return wrong("I3", format!("its preconditions are {:?}", write.pin));
        }
        let owner = estate::owner(kind, object);
        if owner.is_empty() || self.estate.lived(owner, sent, sent) {
            return wrong("A1", format!("its owner is {owner}, and lives"));
        }
        let name = object["metadata"]["labels"]["kro.run/instance-name"].as_str().unwrap_or_default();
        if self.estate.namesake(&format!("{}/{name}", write.namespace), sent - PROVED, sent) {
            return wrong("A1", format!("{}/{name} lives", write.namespace));
        }
        self.soaked(daemon, uid, None, &write.namespace, sent)?;
        match write.verb {
            Verb::Delete if matches!(kind, Kind::DbInstance | Kind::DbCluster) => self.judge_farewell(daemon, object, write, sent),
            Verb::Delete => Ok(()),
            _ => judge_told(kind, object, write.after.as_deref()),
        }
    }

    /// An object that stands for a database takes that along: ACK must have been told to take a final snapshot.
    fn judge_farewell(&self, daemon: &str, object: &Value, write: &Write, sent: i64) -> Judged {
        let annotation = |key: &str| object["metadata"]["annotations"][key].as_str();
        let retained = annotation(names::ACK_DELETION_POLICY) == Some("retain") || annotation(names::ACK_READ_ONLY) == Some("true");
        let member = object.pointer("/spec/dbClusterIdentifier").is_some() && object.pointer("/spec/dbInstanceIdentifier").is_some();
        let told = annotation(names::ACK_SKIP_SNAPSHOT) == Some("false") && annotation(names::ACK_FINAL_SNAPSHOT).is_some();
        let made = !text(object, "/status/ackResourceMetadata/arn").is_empty();
        let uid = text(object, "/metadata/uid");
        if !made || retained || member || told || self.goes_without(daemon, uid, &write.namespace, sent) {
            return Ok(());
        }
        wrong("A5", "ACK will take no final snapshot")
    }

    /// A database that is said to be gone is gone.
    pub(crate) fn judge_gone(&self, world: &World) -> Result<(), Broken> {
        for mark in self.estate.marks.iter().filter(|mark| mark.phase == "Deleted" && mark.until == i64::MAX && !mark.resource_id.is_empty()) {
            let there =
                world.aws.things().find(|thing| thing.is_database() && thing.seen.arn == mark.key && thing.seen.resource_id == mark.resource_id);
            if let Some(thing) = there {
                return Err(Broken { promise: "A7", what: format!("{} is said to be gone, and is {}", mark.key, thing.seen.status) });
            }
        }
        Ok(())
    }
}

/// The only thing that is ever written on an object of ACK's.
fn judge_told(kind: Kind, before: &Value, after: Option<&Value>) -> Judged {
    let Some(after) = after.filter(|_| matches!(kind, Kind::DbInstance | Kind::DbCluster)) else { return wrong("A8", "it has no business there") };
    let stripped = |object: &Value| {
        let mut rest = object.clone();
        if let Some(metadata) = rest["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.retain(|key, _| key != names::ACK_SKIP_SNAPSHOT && key != names::ACK_FINAL_SNAPSHOT);
            }
        }
        rest
    };
    if stripped(before) != stripped(after) {
        return wrong("A8", "it changed more than what ACK is told about the final snapshot");
    }
    if after["metadata"]["annotations"][names::ACK_SKIP_SNAPSHOT] != "false" {
        return wrong("A5", "it tells ACK to take no final snapshot");
    }
    Ok(())
}
