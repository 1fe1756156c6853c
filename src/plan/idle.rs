//! Clones whose database nothing uses: their end is brought forward, announced with the grace, and taken back when somebody uses it.
//!
//! What a host has counted is evidence like any other, and only one finding ends anything: the host was looked at, it counts, and it
//! says exactly what it said when that was written down ([`crate::model::usage`]). Whatever is not known is use. Where it is not known
//! and such an end stands announced, that is neither taken back nor carried out.

use super::{
    Action, Decision, Draft, Reason, Target, Work,
    ground::{Ground, Standing, cluster_id_doubt},
    lifetime::{self, Lifetime},
};
use crate::model::{
    Snapshot, Source, WordPressClone,
    schema::{RowState, schema_name},
    usage::{HostUse, Memory, Unused, Usage, Use},
};
use crate::policy::{ClonePolicy, Mode, Policies};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What the looks at shared hosts say of the use of clones' databases, by the address of the host.
#[derive(Default)]
pub(super) struct Uses<'a> {
    hosts: HashMap<Arc<str>, HostUsage<'a>>,
    cluster: &'a str,
}

struct HostUsage<'a> {
    name: Arc<str>,
    /// When the look began.
    seen: Timestamp,
    /// Why nothing is known.
    lack: Option<String>,
    /// What it says, and when that had been read.
    said: Option<&'a HostUse>,
    read: Timestamp,
    by_name: HashMap<&'a str, &'a crate::model::Schema>,
}

/// Whether the end of a clone is one of those.
pub(super) enum Idle {
    /// It is not: it is used, or its policy does not ask, or it cannot be told.
    No,
    /// It is, and this has to be so still when it goes.
    Found(Lifetime, Arc<Unused>),
    /// It was, and an end stands announced by it; at present it cannot be told, and why.
    Lost(Lifetime, Source, String),
}

impl<'a> Uses<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, policies: &'a Policies, now: Timestamp) -> Self {
        let mut uses = Self { cluster: snapshot.cluster_id.as_deref().unwrap_or_default(), ..Self::default() };
        if !policies.end_idle_clones() {
            return uses;
        }
        let doubt = cluster_id_doubt(snapshot).map(|doubt| doubt.message());
        for host in policies.hosts.iter().filter(|host| host.credentials_dir.is_some()) {
            let name: Arc<str> = Arc::from(host.name.as_str());
            let source = Source::Host(Arc::clone(&name));
            let evidence = snapshot.evidence.get(&source);
            let facts = snapshot.hosts.get(&name);
            let (said, read, unread) = match facts.map(|facts| &facts.usage) {
                Some(Usage::Read(at, said)) => (Some(said), *at, None),
                Some(Usage::Unread(why)) => (None, now, Some(why.clone())),
                Some(Usage::NotAsked) | None => (None, now, Some("what uses its schemas was not asked for".to_owned())),
            };
            let known = HostUsage {
                name,
                seen: evidence.map_or(now, |evidence| evidence.observed_at).min(now),
                lack: doubt.clone().or_else(|| snapshot.evidence.lack(&source, now)).or(unread),
                said,
                read,
                by_name: facts.iter().flat_map(|facts| &facts.schemas).map(|schema| (schema.name.as_str(), schema.as_ref())).collect(),
            };
            uses.hosts.insert(Arc::clone(host.address()), known);
        }
        uses
    }

    /// Whether the clone ends because nothing uses its database; `announced` is the end that stands announced and counts.
    pub(super) fn judge(&self, clone: &WordPressClone, policy: &ClonePolicy, life: Lifetime, announced: Option<Timestamp>, now: Timestamp) -> Idle {
        let (Some(rule), Some(host)) = (policy.idle, clone.database.host().map(AsRef::as_ref).and_then(|address| self.hosts.get(address))) else {
            return Idle::No;
        };
        let by = |since, seen| lifetime::idle(clone, life, &policy.ttl, rule, since, seen);
        let stands = announced.filter(|end| *end < life.end);
        if let Some(lack) = &host.lack {
            // What is written on the clone says only why that end was announced: nothing ends by it.
            let lost = || by(*clone.unused_since.value()?, now).filter(|idle| stands.is_some_and(|end| idle.end <= end));
            let lost = if policy.mode == Mode::Enforce { lost() } else { None };
            return lost.map_or(Idle::No, |idle| Idle::Lost(idle, Source::Host(Arc::clone(&host.name)), lack.clone()));
        }
        // One that ends before it could be announced ends by itself.
        if stands.is_none() && life.end <= crate::model::later(now, policy.ttl.grace.get()) {
            return Idle::No;
        }
        if host.said.is_none_or(|said| said.uncounted.is_some()) {
            return Idle::No;
        }
        let Some((schema, known)) = self.found(clone, host) else { return Idle::No };
        let Some((since, mark)) = known.unused_since(&clone.meta.uid, host.read).zip(known.mark.clone()) else { return Idle::No };
        by(since, host.seen)
            .map_or(Idle::No, |idle| Idle::Found(idle, Arc::new(Unused { host: Arc::clone(&host.name), schema: schema.to_owned(), mark, since })))
    }

    /// What is known of the use of a clone's schema, which must be ours and whole.
    fn found<'h>(&self, clone: &WordPressClone, host: &'h HostUsage<'a>) -> Option<(&'h str, &'a Use)> {
        let name = schema_name(&clone.meta.uid)?;
        let (name, schema) = host.by_name.get_key_value(name.as_str())?;
        let row = schema.proven(self.cluster).filter(|row| row.uid == clone.meta.uid.as_ref())?;
        let whole = row.state == Some(RowState::Ready) && schema.there && schema.user;
        Some((name, host.said?.uses.get(*name).filter(|_| whole)?))
    }
}

/// Has written down on each host what it has counted of the clones that may end so, and says which hosts do not count.
pub(super) fn remember(ground: &Ground<'_>, draft: &mut Draft) {
    let uses = &ground.uses;
    let mut notes: BTreeMap<&Arc<str>, Vec<(String, Memory)>> = BTreeMap::new();
    let mut uncounted: BTreeMap<&Arc<str>, &str> = BTreeMap::new();
    if uses.hosts.is_empty() {
        return;
    }
    for (clone, standing) in ground.clones() {
        let (Some(Standing::Governed(policy, _)), None) = (standing, clone.meta.terminating) else { continue };
        let Some(host) = clone.database.host().map(AsRef::as_ref).filter(|_| policy.idle.is_some()).and_then(|address| uses.hosts.get(address))
        else {
            continue;
        };
        if host.lack.is_some() {
            continue;
        }
        let uncounts = host.said.and_then(|said| said.uncounted.as_deref());
        uncounted.extend(uncounts.map(|why| (&host.name, why)));
        // In audit nothing is written; and a date that a wrong clock gave would stay.
        if policy.mode == Mode::Audit || !ground.clock_trusted() {
            continue;
        }
        let Some((schema, known)) = uses.found(clone, host) else { continue };
        let memory = if uncounts.is_some() { known.to_forget(host.read) } else { known.to_remember(&clone.meta.uid, host.read) };
        if let Some(memory) = memory {
            notes.entry(&host.name).or_default().push((schema.to_owned(), memory));
        }
    }
    let source = |host: &Arc<str>| Target::Source(Source::Host(Arc::clone(host)));
    for (host, why) in uncounted {
        draft.alert(None, source(host), Reason::UseNotCounted(why.into()));
    }
    for (host, notes) in notes {
        let decision = Decision::new(Action::Update, None, source(host), Reason::UseNoted(notes.len()));
        draft.decisions.push(decision.with(Work::Note(notes.into())));
    }
}

#[cfg(test)]
mod tests;
