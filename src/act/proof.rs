//! What is judged by absence is proved again, right before: nobody living owns it, nobody else claims it, and it still is what the
//! plan saw. Nothing here decides; whatever is not exactly so ends the attempt.

use crate::{
    model::{
        Child, Kind,
        child::Claim,
        cloud::CloudResource,
        evidence::CloudList,
        names,
        orphan::OrphanRecord,
        schema::{Schema, schema_name},
    },
    plan::{
        Decision, Target,
        orphans::{Course, DeadOwner},
    },
    ports::{ApiError, Cloud, CloudError, Cluster},
};
use serde_json::Value;
use std::{collections::HashSet, time::Duration};
use tokio::time::Instant;

/// How old a roll may be on which something goes. Each orphan of a batch is asked about at AWS before it does, which takes time.
const FRESH: Duration = Duration::from_secs(60);

/// Every clone, every veto and every object that stands for a database, listed anew by quorum reads: one look for all orphans of a
/// round.
pub(super) struct Roll {
    called: Instant,
    uids: HashSet<String>,
    /// The `Orphan`s that somebody keeps.
    vetoes: Vec<OrphanRecord>,
    /// `None`: ACK's kinds are not served, so who claims what cannot be known.
    claims: Option<Vec<Child>>,
}

/// Why something is not proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unproved {
    /// It is not what was judged, or it is no orphan: it is judged anew.
    Otherwise(String),
    /// Somebody restored it to the identifier that it has.
    Restored(String),
    /// It is gone already.
    Gone,
    /// It could not be asked.
    Unknown(String),
}

impl From<ApiError> for Unproved {
    fn from(error: ApiError) -> Self {
        Self::Unknown(error.to_string())
    }
}

impl From<CloudError> for Unproved {
    fn from(error: CloudError) -> Self {
        Self::Unknown(format!("AWS: {error}"))
    }
}

impl Roll {
    /// Calls the roll. A kind of clone that is not served is no empty list.
    pub(super) async fn call(cluster: &dyn Cluster) -> Result<Self, ApiError> {
        let called = Instant::now();
        let clones = all(cluster, Kind::Clone).await?;
        let mut uids = HashSet::with_capacity(clones.len());
        for clone in &clones {
            let uid = clone.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| !uid.is_empty());
            // One of unknown uid may be the owner of anything.
            uids.insert(uid.ok_or_else(|| ApiError::Unavailable("a clone without a uid was listed".to_owned()))?.to_owned());
        }
        let mut vetoes = Vec::new();
        for object in all(cluster, Kind::Orphan).await? {
            let orphan =
                OrphanRecord::read(&object).map_err(|problem| ApiError::Unavailable(format!("an Orphan cannot be read: {}", problem.problem)))?;
            vetoes.extend(Some(orphan).filter(|orphan| orphan.keep));
        }
        let mut claims = Some(Vec::new());
        for kind in [Kind::DbInstance, Kind::DbCluster] {
            let objects = match all(cluster, kind).await {
                Err(ApiError::NotFound) => {
                    claims = None;
                    continue;
                }
                other => other?,
            };
            for object in objects {
                let child =
                    Child::read(kind, &object).map_err(|problem| ApiError::Unavailable(format!("a {kind} cannot be read: {}", problem.problem)))?;
                claims.iter_mut().for_each(|claims| claims.extend(child.clone()));
            }
        }
        Ok(Self { called, uids, vetoes, claims })
    }

    /// Whether it was called too long ago to say who lives.
    pub(super) fn is_old(&self) -> bool {
        self.called.elapsed() > FRESH
    }

    /// Whether what is to go is an orphan still.
    pub(super) async fn proves(&self, cluster: &dyn Cluster, cloud: &dyn Cloud, decision: &Decision, course: &Course) -> Result<(), Unproved> {
        self.of_owner(cluster, &course.owner).await?;
        self.of_vetoes(&decision.target)?;
        let database = match &decision.target {
            Target::Cloud(resource) => Some(resource),
            _ => course.database.as_ref(),
        };
        match &course.home {
            Some(home) => self.of_home(cloud, home, &course.owner).await?,
            None if database.is_some_and(|database| database.cluster.is_some()) => {
                return Err(Unproved::Otherwise("the Aurora cluster that it is in has not been judged".to_owned()));
            }
            None => {}
        }
        match &decision.target {
            Target::Child(child) => {
                by_kro(cluster, child).await?;
                self.of_claim(child)?;
                // ACK deletes that with it.
                let Some(claim) = child.database.as_ref().filter(|claim| !claim.retained) else { return Ok(()) };
                match &course.database {
                    Some(database) => match still_is(cloud, database).await {
                        Err(Unproved::Gone) => Err(Unproved::Otherwise("AWS is deleting its database already".to_owned())),
                        proved => proved,
                    },
                    None => nothing_there(cloud, child.kind, claim).await,
                }
            }
            Target::Cloud(resource) => {
                if resource.is_database() && (course.owner.namespace.is_empty() || course.owner.name.is_none()) {
                    return Err(Unproved::Otherwise("its tags do not say which clone it was made for".to_owned()));
                }
                self.of_database(resource)?;
                still_is(cloud, resource).await
            }
            // Whose it is says its row, which is read again where it is dropped.
            Target::Schema(schema) => self.of_schema(schema),
            _ => Err(Unproved::Otherwise("it is nothing that can be left behind".to_owned())),
        }
    }

    /// No clone lives that needs a schema, and nobody keeps it.
    pub(super) fn of_schema(&self, schema: &Schema) -> Result<(), Unproved> {
        let uid = schema.row.as_ref().map(|row| row.uid.as_str()).unwrap_or_default();
        if uid.is_empty() || self.uids.contains(uid) {
            return Err(Unproved::Otherwise(format!("a clone with the uid `{uid}` lives")));
        }
        // A name has not all of a UID, and a row may have been written by anybody.
        if let Some(uid) = self.uids.iter().find(|uid| schema_name(uid).as_deref() == Some(schema.name.as_str())) {
            return Err(Unproved::Otherwise(format!("the clone with the uid `{uid}` lives, whose schema it is")));
        }
        let key = schema.key();
        match self.vetoes.iter().find(|orphan| orphan.key == key) {
            Some(orphan) => Err(Unproved::Otherwise(format!("somebody keeps it, by the Orphan `{}`", orphan.meta.name()))),
            None => Ok(()),
        }
    }

    /// The owner does not live, and nothing that lives is called like it.
    async fn of_owner(&self, cluster: &dyn Cluster, owner: &DeadOwner) -> Result<(), Unproved> {
        if owner.uid.is_empty() || self.uids.contains(owner.uid.as_ref()) {
            return Err(Unproved::Otherwise(format!("a clone with the uid `{}` lives", owner.uid)));
        }
        let Some(name) = owner.name.as_deref().filter(|_| !owner.namespace.is_empty()) else { return Ok(()) };
        match cluster.get(Kind::Clone, &owner.namespace, name).await? {
            None => Ok(()),
            Some(_) => Err(Unproved::Otherwise(format!("a clone called `{}/{name}` lives", owner.namespace))),
        }
    }

    /// Nobody keeps it, nor the database that it stands for.
    fn of_vetoes(&self, target: &Target) -> Result<(), Unproved> {
        let (key, kind, id) = match target {
            Target::Child(child) => (child.meta.uid.as_ref(), child.kind.name(), child.database.as_ref().map(|claim| claim.identifier.as_ref())),
            Target::Cloud(resource) => (resource.arn.as_str(), resource.kind(), Some(resource.id.as_str())),
            _ => return Ok(()),
        };
        let veto = |orphan: &&OrphanRecord| orphan.key == key || id.is_some() && orphan.kind.as_ref() == kind && orphan.id.as_deref() == id;
        match self.vetoes.iter().find(veto) {
            Some(orphan) => Err(Unproved::Otherwise(format!("somebody keeps it, by the Orphan `{}`", orphan.meta.name()))),
            None => Ok(()),
        }
    }

    /// The Aurora cluster that an instance is in goes too: its protection does not keep AWS from deleting instances, and its past is
    /// theirs.
    async fn of_home(&self, cloud: &dyn Cloud, home: &CloudResource, owner: &DeadOwner) -> Result<(), Unproved> {
        let theirs = |other: &Child| other.owner.as_ref().is_some_and(|its| its.uid == owner.uid);
        if let Some(claim) = self.claims()?.iter().find(|other| claims(other, home) && !theirs(other)) {
            return Err(Unproved::Otherwise(format!("{} {} claims its Aurora cluster", claim.kind, claim.meta.path())));
        }
        if let Some(claim) = self.claims()?.iter().find(|other| claims(other, home) && other.kept) {
            return Err(Unproved::Otherwise(format!("somebody keeps its Aurora cluster, by {} {}", claim.kind, claim.meta.path())));
        }
        let veto = |orphan: &&OrphanRecord| orphan.key == home.arn || orphan.kind.as_ref() == home.kind() && orphan.id.as_deref() == Some(&home.id);
        if let Some(orphan) = self.vetoes.iter().find(veto) {
            return Err(Unproved::Otherwise(format!("somebody keeps its Aurora cluster, by the Orphan `{}`", orphan.meta.name())));
        }
        match is_same(cloud, home).await {
            Err(Unproved::Gone) => Ok(()),
            Err(Unproved::Otherwise(why)) => Err(Unproved::Otherwise(format!("its Aurora cluster: {why}"))),
            Err(other) => Err(other),
            Ok(now) => unprotected_and_of_one_life(cloud, &now).await,
        }
    }

    fn claims(&self) -> Result<&[Child], Unproved> {
        self.claims
            .as_deref()
            .ok_or_else(|| Unproved::Unknown("the API server does not serve ACK's kinds: who claims a database is not known".to_owned()))
    }

    /// No other object stands for the same database.
    fn of_claim(&self, child: &Child) -> Result<(), Unproved> {
        let Some(claim) = &child.database else { return Ok(()) };
        let rival = |other: &&Child| {
            let same = other.database.as_ref().is_some_and(|theirs| {
                theirs.identifier == claim.identifier && other.kind == child.kind || theirs.arn.is_some() && theirs.arn == claim.arn
            });
            same && other.meta.uid != child.meta.uid
        };
        self.claims()?.iter().find(rival).map_or(Ok(()), |rival| Err(Unproved::Otherwise(format!("{} {} claims it", rival.kind, rival.meta.path()))))
    }

    /// No object stands for it at all: else it would go only through that.
    fn of_database(&self, resource: &CloudResource) -> Result<(), Unproved> {
        if !resource.is_database() {
            return Ok(());
        }
        self.claims()?
            .iter()
            .find(|other| claims(other, resource))
            .map_or(Ok(()), |claim| Err(Unproved::Otherwise(format!("{} {} claims it", claim.kind, claim.meta.path()))))
    }
}

/// Whether an object stands for a database.
fn claims(object: &Child, resource: &CloudResource) -> bool {
    object.database.as_ref().is_some_and(|claim| {
        claim.arn.as_deref() == Some(resource.arn.as_str())
            || claim.identifier.as_ref() == resource.id && (object.kind == Kind::DbCluster) == (resource.kind() == Kind::DbCluster.name())
    })
}

/// KRO made it: the API server has noted who applied the object, and a copy of it has not been applied by KRO. Pods are made by
/// the Job controller.
async fn by_kro(cluster: &dyn Cluster, child: &Child) -> Result<(), Unproved> {
    if child.kind == Kind::Pod {
        return Ok(());
    }
    let Some(object) = cluster.get(child.kind, child.meta.namespace(), child.meta.name()).await? else { return Err(Unproved::Gone) };
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    if text("/metadata/uid") != Some(child.meta.uid.as_ref()) || text("/metadata/resourceVersion") != Some(child.meta.resource_version.as_ref()) {
        return Err(Unproved::Otherwise("it is not the object that was judged any more".to_owned()));
    }
    let managers = object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let applied = managers.filter_map(|entry| entry.get("manager")?.as_str()).any(|manager| manager == names::KRO_APPLIER);
    if applied { Ok(()) } else { Err(Unproved::Otherwise("KRO did not apply it: it only carries KRO's labels".to_owned())) }
}

/// The one resource is described again: it is the very one that was judged, and nothing has been done to it that matters; nor does
/// anything tell of an earlier life of its identifier.
async fn still_is(cloud: &dyn Cloud, judged: &CloudResource) -> Result<(), Unproved> {
    let now = is_same(cloud, judged).await?;
    if now.status != judged.status {
        return Err(Unproved::Otherwise(format!("AWS says `{}` now, not `{}`", now.status, judged.status)));
    }
    if sorted(&now.members) != sorted(&judged.members) {
        return Err(Unproved::Otherwise("other instances are in it than before".to_owned()));
    }
    if judged.is_database() {
        return unprotected_and_of_one_life(cloud, &now).await;
    }
    if now.tag(names::TAG_SNAPSHOT) != Some(now.id.as_str()) {
        return Err(Unproved::Otherwise("its tag does not say that it is ours".to_owned()));
    }
    if let Some(source) = &judged.snapshot_of {
        // What is restored from it at the last moment is proved by nothing else.
        let of = if judged.list == CloudList::ClusterSnapshots { CloudList::Clusters } else { CloudList::Instances };
        if cloud.describe(of, &judged.region, source).await?.is_some_and(|there| !there.is_going()) {
            return Err(Unproved::Otherwise(format!("`{source}` is there, and may have been restored from it")));
        }
    }
    Ok(())
}

/// The resource as AWS describes it now, if it is the one that was judged and nobody deletes it.
async fn is_same(cloud: &dyn Cloud, judged: &CloudResource) -> Result<CloudResource, Unproved> {
    let Some(now) = cloud.describe(judged.list, &judged.region, &judged.id).await? else { return Err(Unproved::Gone) };
    if now.is_going() {
        return Err(Unproved::Gone);
    }
    let same = now.arn == judged.arn && now.resource_id == judged.resource_id && now.created == judged.created && now.tags == judged.tags;
    if same && now.cluster == judged.cluster {
        return Ok(now);
    }
    Err(Unproved::Otherwise("AWS describes it otherwise than before: ARN, resource id, creation time, cluster or tags".to_owned()))
}

/// Nobody protects a database, and nobody restored another one to its identifier.
async fn unprotected_and_of_one_life(cloud: &dyn Cloud, database: &CloudResource) -> Result<(), Unproved> {
    if database.protected != Some(false) {
        return Err(Unproved::Otherwise("its deletion protection is on".to_owned()));
    }
    let kin = cloud.kin(database.list, &database.region, &database.id).await?;
    match kin.iter().find(|kin| !kin.resource_id.is_empty() && kin.resource_id != database.resource_id) {
        Some(other) => Err(Unproved::Restored(format!("{} is of another resource ({}): somebody restored it", other.what, other.resource_id))),
        None => Ok(()),
    }
}

/// No sweep knows what an object stands for: then there must be nothing. What has been made since was never judged.
async fn nothing_there(cloud: &dyn Cloud, kind: Kind, claim: &Claim) -> Result<(), Unproved> {
    let list = if kind == Kind::DbCluster { CloudList::Clusters } else { CloudList::Instances };
    let region = claim.place();
    for place in cloud.regions().iter().filter(|place| region.is_none_or(|region| region == place.as_ref())) {
        match cloud.describe(list, place, &claim.identifier).await {
            Ok(None) => {}
            Ok(Some(there)) => return Err(Unproved::Otherwise(format!("AWS has a {} `{}` that no sweep has shown yet", there.kind(), there.id))),
            // A name that RDS takes for nothing is nothing's name.
            Err(CloudError::Refused { code, .. }) if code == "NotSent" => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn sorted(ids: &[String]) -> Vec<&str> {
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable();
    ids
}

async fn all(cluster: &dyn Cluster, kind: Kind) -> Result<Vec<Value>, ApiError> {
    let mut objects = Vec::new();
    let mut next = None;
    loop {
        let page = cluster.list(kind, next, true).await?;
        objects.extend(page.items);
        next = page.next;
        if next.is_none() {
            return Ok(objects);
        }
    }
}

#[cfg(test)]
mod tests;
