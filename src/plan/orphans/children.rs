//! Objects in the cluster whose clone is gone. ACK's objects stand for a database in AWS, which goes with them: they are judged
//! by what the sweeps know of it, too.

use super::{Case, DeadOwner, Search, Verdict, sky::list_of};
use crate::model::{Child, Kind, Source, child::Claim, later, names, snapshot::Origin};
use crate::plan::{
    Action, Decision, Draft, Reason, Target,
    doubt::{Doubt, STUCK_AFTER},
};
use std::sync::Arc;

/// What speaks against judging an object.
enum Objection {
    Doubt(Doubt),
    Lack(Source, String),
}

impl Search<'_, '_> {
    pub(super) fn children(&mut self, kinds: &[Kind], draft: &mut Draft) {
        for child in self.snapshot.children.iter().filter(|child| kinds.contains(&child.kind)) {
            let Some(owner) = &child.owner else { continue };
            if self.live.has(&owner.uid) {
                continue;
            }
            let owner = DeadOwner { uid: owner.uid.clone(), namespace: child.meta.namespace().into(), name: owner.name.clone() };
            self.child(child, owner, draft);
        }
    }

    fn child(&mut self, child: &Arc<Child>, owner: DeadOwner, draft: &mut Draft) {
        if let Some(since) = child.meta.terminating {
            return self.going(child, owner, since, draft);
        }
        if self.follows(&owner.uid, draft) {
            self.judged.insert(child.meta.uid.to_string());
            return;
        }
        let namesake = owner.name.as_ref().map(|name| format!("{}/{name}", owner.namespace)).filter(|path| self.live.has_path(path));
        let objection = match (namesake, &child.database) {
            (Some(path), _) => Some(Objection::Doubt(Doubt::NamesakeLives(path.into()))),
            (None, _) if child.copied => Some(Objection::Doubt(Doubt::CopiedLabels)),
            (None, Some(claim)) if self.snapshot.origin == Origin::Live => self.object_objection(child, claim, &owner),
            (None, _) => None,
        };
        let target = Target::Child(Arc::clone(child));
        let doubt = match objection {
            Some(Objection::Lack(source, lack)) => {
                self.judged.insert(target.key());
                let policy = self.ground.policy_of(&owner.namespace).map(|policy| &policy.name);
                draft.decisions.push(Decision::new(Action::Hold, policy, target, Reason::EvidenceMissing(source, lack)));
                return;
            }
            Some(Objection::Doubt(doubt)) => Some(doubt),
            None => None,
        };
        let verdict = self.conclude(Case { target, owner, doubt, kept_until: None, policy: None }, draft);
        // One that ACK leaves alone does not go with its object: nor do the instances in it.
        let goes = child.kind == Kind::DbCluster && verdict != Verdict::Stays && child.database.as_ref().is_some_and(|claim| !claim.retained);
        self.ready.extend(self.sky.claimed(child).filter(|_| goes).cloned());
    }

    /// What somebody already deletes is no orphan, unless it never comes to an end: databases and load balancers cost money.
    fn going(&mut self, child: &Arc<Child>, owner: DeadOwner, since: jiff::Timestamp, draft: &mut Draft) {
        let target = Target::Child(Arc::clone(child));
        let ours = self.known.get(target.key().as_str()).is_some_and(|record| record.is_asked_for());
        if ours {
            self.judged.insert(target.key());
        }
        let stuck = later(since, STUCK_AFTER);
        if stuck > draft.now {
            return draft.wake_at(stuck);
        }
        let doubt = Some(Doubt::StuckDeleting(since));
        self.conclude(Case { target, owner, doubt, kept_until: None, policy: None }, draft);
    }

    /// What speaks against deleting an object, and with it the database that it stands for.
    fn object_objection(&self, child: &Child, claim: &Claim, owner: &DeadOwner) -> Option<Objection> {
        if let Some(rival) = self.sky.rivals(child) {
            return Some(Objection::Doubt(Doubt::Claimed(format!("{} {}", rival.kind, rival.meta.path()).into())));
        }
        let derived = owner.name.as_deref().map(|name| names::database_identifier(name, &owner.uid));
        if derived.as_deref() != Some(claim.identifier.as_ref()) {
            return Some(Objection::Doubt(Doubt::ClaimsForeign(claim.identifier.clone())));
        }
        // ACK leaves the database alone: then it is judged by itself, once the object is gone.
        if claim.retained {
            return None;
        }
        let region = claim.place();
        let unswept = match region {
            Some(region) => (!self.sky.regions.contains(region)).then(|| region.to_owned()),
            None => self.sky.regions.is_empty().then(|| "AWS".to_owned()),
        };
        if let Some(region) = unswept {
            return Some(Objection::Doubt(Doubt::RegionNotSwept(region.into())));
        }
        if let Some(doubt) = &self.sky.closed {
            return Some(Objection::Doubt(doubt.clone()));
        }
        for swept in self.sky.regions.iter().filter(|swept| region.is_none_or(|region| region == swept.as_ref())) {
            let members = (child.kind == Kind::DbCluster).then(|| self.sky.lack_for(list_of(Kind::DbInstance), swept)).flatten();
            if let Some((source, lack)) = self.sky.lack_for(list_of(child.kind), swept).or(members) {
                return Some(Objection::Lack(source, lack));
            }
        }
        // ACK may act in several accounts; we look into one.
        let account = |arn: &str| arn.split(':').nth(4).map(str::to_owned);
        let ours = self.snapshot.cloud.first().and_then(|resource| account(&resource.arn));
        if let (Some(arn), Some(ours)) = (claim.arn.as_deref(), ours)
            && account(arn).is_some_and(|theirs| theirs != ours)
        {
            return Some(Objection::Doubt(Doubt::ClaimsForeign(arn.into())));
        }
        let found = self.sky.named(list_of(child.kind), &claim.identifier);
        let resource = self.sky.claimed(child);
        match resource {
            // Several of that name, or one of another ARN: which one ACK means cannot be told.
            None if !found.is_empty() => Some(Objection::Doubt(Doubt::ClaimsForeign(claim.identifier.clone()))),
            None => claim.protected.then_some(Objection::Doubt(Doubt::Protected)),
            Some(resource) if !self.sky.is_proven(resource, &owner.uid) => Some(Objection::Doubt(Doubt::ClaimsForeign(resource.id.as_str().into()))),
            Some(resource) if self.sky.is_restored(resource) => Some(Objection::Doubt(Doubt::Restored)),
            Some(resource) => (claim.protected || resource.protected != Some(false)).then_some(Objection::Doubt(Doubt::Protected)),
        }
    }
}
