//! Schemas on shared hosts: one for each clone that lives there, made before its Pod needs it; and their end, when the clone has
//! been seen to go. What is left of a clone that nobody saw go is an orphan (`orphans/schemas.rs`).
//!
//! Only where the host has been looked at, and the row in its ledger and the name agree. What has no row of this cluster's is never
//! made over, whatever it is called.

use super::{
    Action, BlockedBy, Decision, Draft, Reason, Target, Work,
    credentials::Lack,
    doubt::Doubt,
    ground::{Ground, Standing, cluster_id_doubt},
};
use crate::model::{
    Snapshot, Source, WordPressClone,
    schema::{HostFacts, LedgerRow, RowState, Schema, schema_name},
};
use crate::policy::{ClonePolicy, DatabaseHost, Mode};
use std::{collections::HashMap, sync::Arc};

/// A clone, and who governs it.
type Governed<'a> = (&'a Arc<WordPressClone>, &'a Arc<ClonePolicy>);

/// Gives every clone that lives on a shared host its schema. `key_is_usable`: the key that passwords are derived under is the one that
/// the clones' Secrets were made with.
pub(super) fn keep(snapshot: &Snapshot, ground: &Ground<'_>, key_is_usable: bool, draft: &mut Draft) {
    let mut there: HashMap<&str, Vec<Governed<'_>>> = HashMap::new();
    if snapshot.hosts.is_empty() {
        return;
    }
    for (clone, standing) in ground.clones() {
        if let (Some(address), Some(Standing::Governed(policy, _)), None) = (clone.database.host(), standing, clone.meta.terminating) {
            there.entry(address).or_default().push((clone, policy));
        }
    }
    for host in &ground.policies.hosts {
        let (Some((name, facts)), Some(clones)) = (snapshot.hosts.get_key_value(host.name.as_str()), there.get(host.address().as_ref())) else {
            continue;
        };
        let source = Source::Host(Arc::clone(name));
        let hold = |reason| Decision::new(Action::Hold, None, Target::Source(source.clone()), reason);
        if let Some(doubt) = cluster_id_doubt(snapshot) {
            draft.decisions.push(hold(Reason::Doubtful(doubt)));
            continue;
        }
        if let Some(lack) = snapshot.evidence.lack(&source, draft.now) {
            draft.decisions.push(hold(Reason::EvidenceMissing(source.clone(), lack)));
            continue;
        }
        let cluster = snapshot.cluster_id.as_deref().unwrap_or_default();
        let by_name: HashMap<&str, &Arc<Schema>> = facts.schemas.iter().map(|schema| (schema.name.as_str(), schema)).collect();
        for (clone, policy) in clones {
            let Some(schema) = schema_name(&clone.meta.uid) else { continue };
            let found = by_name.get(schema.as_str()).copied();
            let decision = of_living(clone, policy, host, cluster, found, draft.now);
            // In audit nothing is made, so nothing waits for a key either.
            draft.decisions.extend(decision.map(|decision| match decision.work {
                Some(_) if !key_is_usable && decision.effective() => {
                    Decision::new(Action::Hold, decision.policy.as_ref(), decision.target, Reason::Credentials(Lack::Waits))
                }
                _ => decision,
            }));
        }
    }
}

/// What is decided about the schema of one clone that lives; `None`: it is as it should be.
fn of_living(
    clone: &WordPressClone,
    policy: &ClonePolicy,
    host: &DatabaseHost,
    cluster: &str,
    found: Option<&Arc<Schema>>,
    now: jiff::Timestamp,
) -> Option<Decision> {
    let decision = |action, schema, reason| Decision::new(action, Some(&policy.name), Target::Schema(schema), reason);
    if let Some(schema) = found {
        let Some(row) = schema.proven(cluster).filter(|row| row.uid == clone.meta.uid.as_ref()) else {
            return Some(decision(Action::Hold, Arc::clone(schema), Reason::Doubtful(Doubt::SchemaForeign(words(schema).into()))));
        };
        if row.state == Some(RowState::Ready) && schema.there && schema.user {
            return None;
        }
    }
    let name = schema_name(&clone.meta.uid)?;
    let row = LedgerRow {
        cluster: cluster.to_owned(),
        uid: clone.meta.uid.to_string(),
        namespace: clone.meta.namespace().to_owned(),
        clone: clone.meta.name().to_owned(),
        state: None,
        made: now,
    };
    let target = found.cloned().unwrap_or_else(|| Arc::new(Schema::absent(&Arc::from(host.name.as_str()), name)));
    let blocked_by = (policy.mode == Mode::Audit).then_some(BlockedBy::Audit);
    let made = decision(Action::Create, target, Reason::SchemaMissing(clone.meta.path().as_ref().into()));
    Some(Decision { blocked_by, ..made.with(Work::Make(Arc::new(row))) })
}

/// Whose a schema is that is not ours.
pub(super) fn words(schema: &Schema) -> String {
    match &schema.row {
        None => "has no row in the host's ledger".to_owned(),
        Some(row) => format!("has a row of the cluster `{}` and the clone {}", row.cluster, row.uid),
    }
}

/// The rows on a host that are this cluster's, with what is under their names.
pub(super) fn rows<'a>(facts: &'a HostFacts, cluster: &str) -> impl Iterator<Item = (&'a Arc<Schema>, &'a LedgerRow)> {
    facts.schemas.iter().filter_map(move |schema| Some((schema, schema.row.as_ref().filter(|row| row.cluster == cluster)?)))
}

#[cfg(test)]
mod tests;
