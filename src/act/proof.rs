//! What is judged by absence is proved again, right before: nobody living owns it, nobody else claims it, and it still is what the
//! plan saw. Nothing here decides; whatever is not exactly so ends the attempt.

use crate::{
    model::{Child, Kind, child::Claim, cloud::CloudResource, evidence::CloudList, names},
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

/// Every clone and every object that stands for a database, listed anew by quorum reads: one look for all orphans of a round.
pub(super) struct Roll {
    called: Instant,
    uids: HashSet<String>,
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
        Ok(Self { called, uids, claims })
    }

    /// Whether it was called too long ago to say who lives.
    pub(super) fn is_old(&self) -> bool {
        self.called.elapsed() > FRESH
    }

    /// Whether what is to go is an orphan still.
    pub(super) async fn proves(&self, cluster: &dyn Cluster, cloud: &dyn Cloud, decision: &Decision, course: &Course) -> Result<(), Unproved> {
        self.of_owner(cluster, &course.owner).await?;
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
                self.of_database(resource)?;
                still_is(cloud, resource).await
            }
            // Whose it is says its row, which is read again where it is dropped.
            Target::Schema(_) => Ok(()),
            _ => Err(Unproved::Otherwise("it is nothing that can be left behind".to_owned())),
        }
    }

    /// Whether a clone of this UID lives.
    pub(super) fn lives(&self, uid: &str) -> bool {
        self.uids.contains(uid)
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
        let claims = |other: &&Child| {
            other.database.as_ref().is_some_and(|claim| {
                claim.arn.as_deref() == Some(resource.arn.as_str())
                    || claim.identifier.as_ref() == resource.id && (other.kind == Kind::DbCluster) == (resource.kind() == Kind::DbCluster.name())
            })
        };
        self.claims()?.iter().find(claims).map_or(Ok(()), |claim| Err(Unproved::Otherwise(format!("{} {} claims it", claim.kind, claim.meta.path()))))
    }
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
    let Some(now) = cloud.describe(judged.list, &judged.region, &judged.id).await? else { return Err(Unproved::Gone) };
    if now.is_going() {
        return Err(Unproved::Gone);
    }
    let same = now.arn == judged.arn && now.resource_id == judged.resource_id && now.created == judged.created && now.tags == judged.tags;
    if !same {
        return Err(Unproved::Otherwise("AWS describes it otherwise than before: ARN, resource id, creation time or tags".to_owned()));
    }
    if now.status != judged.status || sorted(&now.members) != sorted(&judged.members) {
        return Err(Unproved::Otherwise(format!("AWS says `{}` now, not `{}`", now.status, judged.status)));
    }
    if judged.is_database() {
        if now.protected != Some(false) {
            return Err(Unproved::Otherwise("its deletion protection is on".to_owned()));
        }
        let kin = cloud.kin(judged.list, &judged.region, &judged.id).await?;
        if let Some(other) = kin.iter().find(|kin| !kin.resource_id.is_empty() && kin.resource_id != judged.resource_id) {
            return Err(Unproved::Restored(format!("{} is of another resource ({}): somebody restored it", other.what, other.resource_id)));
        }
    } else if now.tag(names::TAG_SNAPSHOT) != Some(now.id.as_str()) {
        return Err(Unproved::Otherwise("its tag does not say that it is ours".to_owned()));
    } else if let Some(source) = &judged.snapshot_of {
        // What is restored from it at the last moment is proved by nothing else.
        let of = if judged.list == CloudList::ClusterSnapshots { CloudList::Clusters } else { CloudList::Instances };
        if cloud.describe(of, &judged.region, source).await?.is_some_and(|there| !there.is_going()) {
            return Err(Unproved::Otherwise(format!("`{source}` is there, and may have been restored from it")));
        }
    }
    Ok(())
}

/// No sweep knows what an object stands for: then there must be nothing. What has been made since was never judged.
async fn nothing_there(cloud: &dyn Cloud, kind: Kind, claim: &Claim) -> Result<(), Unproved> {
    let list = if kind == Kind::DbCluster { CloudList::Clusters } else { CloudList::Instances };
    let region = claim.arn.as_deref().and_then(|arn| arn.split(':').nth(3));
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
