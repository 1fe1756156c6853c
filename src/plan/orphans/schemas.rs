//! Schemas on shared hosts whose clone is gone. One whose clone was seen to go follows it; every other is an orphan like any other.

use super::{Case, DeadOwner, Search, hold_source, sky::MADE_SINCE};
use crate::model::{Kind, Snapshot, Source, State, evidence::EvidenceSet, later, schema::schema_name, snapshot::Origin};
use crate::plan::{Action, BlockedBy, Decision, Draft, Reason, Target, doubt::Doubt, ground::cluster_id_doubt, schemas::rows};
use crate::policy::Mode;
use jiff::Timestamp;
use std::{collections::HashMap, sync::Arc};

/// Why a host cannot be judged, if it cannot.
pub(super) fn lack(evidence: &EvidenceSet, host: &str, now: Timestamp) -> Option<(Source, String)> {
    let source = Source::Host(Arc::from(host));
    evidence.lack(&source, now).map(|lack| (source, lack))
}

impl Search<'_, '_> {
    pub(super) fn schemas(&mut self, state: &mut State, draft: &mut Draft) {
        let Some(cluster) = self.snapshot.cluster_id.as_deref().filter(|_| cluster_id_doubt(self.snapshot).is_none()) else { return };
        for (host, facts) in &self.snapshot.hosts {
            let mut of_the_dead = rows(facts, cluster).filter(|(_, row)| !self.live.has(&row.uid)).peekable();
            if of_the_dead.peek().is_none() {
                continue;
            }
            if let Some(doubt) = self.shared_by_row(cluster, state) {
                hold_source(Source::Host(Arc::clone(host)), Reason::Doubtful(doubt), draft);
                continue;
            }
            if let Some((source, lack)) = lack(&self.snapshot.evidence, host, draft.now) {
                hold_source(source.clone(), Reason::EvidenceMissing(source, lack), draft);
                continue;
            }
            let of_the_dead: Vec<_> = of_the_dead.collect();
            let needed = needed(self.snapshot);
            for (schema, row) in of_the_dead {
                let target = Target::Schema(Arc::clone(schema));
                let owner = DeadOwner {
                    uid: row.uid.as_str().into(),
                    namespace: row.namespace.as_str().into(),
                    name: Some(row.clone.as_str()).filter(|name| !name.is_empty()).map(Into::into),
                };
                let agrees = schema_name(&row.uid).as_deref() == Some(schema.name.as_str());
                // A name has not all of a UID, and a row may have been written by anybody.
                let needed = needed.get(schema.name.as_str());
                let namesake = format!("{}/{}", row.namespace, row.clone);
                let seen_to_go = self.departed.contains_key(row.uid.as_str());
                let unmarked = self.snapshot.origin == Origin::Live && !self.known.contains_key(target.key().as_str());
                if agrees && needed.is_none() && seen_to_go && unmarked && self.follows_its_clone(&target, &owner, draft) {
                    continue;
                }
                let accepted = self.snapshot.state.cluster_id_accepted.contains(&schema.key());
                let doubt = if accepted {
                    Some(Doubt::ClusterIdShared(schema.key().into()))
                } else if !agrees {
                    Some(Doubt::RowDisagrees(row.uid.as_str().into()))
                } else if let Some(by) = needed {
                    Some(Doubt::Claimed((*by).into()))
                } else {
                    self.live.has_path(&namesake).then(|| Doubt::NamesakeLives(namesake.into()))
                };
                self.conclude(Case { target, owner, doubt, kept_until: None, policy: None }, draft);
            }
        }
    }

    /// A row with our id that was written while we watched, for a clone that we never saw: another cluster uses our id, and its living
    /// clones are not in our live set. What was found so in AWS holds here, too.
    fn shared_by_row(&self, cluster: &str, state: &mut State) -> Option<Doubt> {
        if let (None, Some(since)) = (&state.cluster_id_shared, self.snapshot.watched_since) {
            let unseen = |uid: &str| !self.live.has(uid) && !self.snapshot.departed.iter().any(|gone| gone.uid.as_ref() == uid);
            let all = self.snapshot.hosts.values().flat_map(|facts| rows(facts, cluster));
            let mut strangers = all.filter(|(_, row)| row.made > later(since, MADE_SINCE) && unseen(&row.uid)).map(|(schema, _)| schema.key());
            state.cluster_id_shared = strangers.find(|key| !state.cluster_id_accepted.contains(key));
        }
        state.cluster_id_shared.as_deref().map(|what| Doubt::ClusterIdShared(what.into()))
    }

    /// Its clone has ended, and was seen to: no soak, and no surprise. In audit it stays. Where nobody is known to govern, or where
    /// nothing was enforced yet when the clone went, it is an orphan: what audit has kept goes as announced as anything else.
    fn follows_its_clone(&mut self, target: &Target, owner: &DeadOwner, draft: &mut Draft) -> bool {
        let Some((policy, since, mode)) = self.governing(&owner.namespace, &[]) else { return false };
        let gone = self.departed.get(owner.uid.as_ref()).copied();
        if since.is_some_and(|since| gone.is_none_or(|gone| gone < since)) {
            return false;
        }
        self.judged.insert(target.key());
        let target = target.clone();
        if let Some(lack) = self.ground.clock_lack() {
            draft.decisions.push(Decision::new(Action::Hold, Some(&policy.name), target, Reason::ClockUntrusted(lack.to_owned())));
            return true;
        }
        // Somebody may keep it, and an `Orphan` that is not seen says nothing.
        let vetoes = Source::Objects(Kind::Orphan);
        if let Some(lack) = self.snapshot.evidence.lack(&vetoes, draft.now) {
            draft.decisions.push(Decision::new(Action::Hold, Some(&policy.name), target, Reason::EvidenceMissing(vetoes, lack)));
            return true;
        }
        let blocked_by = (mode == Mode::Audit).then_some(BlockedBy::Audit);
        let decision = Decision::new(Action::Delete, Some(&policy.name), target, Reason::CloneEnded(owner.uid.clone()));
        draft.decisions.push(Decision { blocked_by, ..decision });
        true
    }
}

/// Which living clone needs the schema of which name.
fn needed(snapshot: &Snapshot) -> HashMap<String, &str> {
    let unreadable = snapshot.unreadable.iter().filter(|object| object.kind == Kind::Clone);
    let unreadable = unreadable.filter_map(|object| Some((object.uid.as_deref()?, object.name.as_str())));
    let clones = snapshot.clones.iter().map(|clone| (clone.meta.uid.as_ref(), clone.meta.path().as_ref()));
    clones.chain(unreadable).filter_map(|(uid, by)| Some((schema_name(uid)?, by))).collect()
}
