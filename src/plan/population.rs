//! Notices a population that collapsed: most objects missing from a complete list without having been seen to go. That is what
//! a half-restored API server, a wrong kubeconfig, a reinstalled CRD or a page of AWS that was cut short looks like; whatever is
//! judged by absence then waits.

use super::{Draft, Target, reason::Reason};
use crate::model::{Kind, Snapshot, Source, State, cloud::CloudResource, meta::short_hash, names, snapshot::Origin, state::Population};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Fewer objects than this come and go together in everyday life.
const SMALLEST: usize = 10;
/// How many members are kept at most; larger populations are sampled by their hash, which leaves proportions as they are.
const SAMPLE: usize = 4_096;

/// The sources whose population has collapsed.
#[derive(Debug, Default)]
pub(super) struct Collapsed(BTreeSet<Source>);

impl Collapsed {
    /// Whether the clones have.
    pub(super) fn clones(&self) -> bool {
        self.contains(&Source::Objects(Kind::Clone))
    }

    pub(super) fn contains(&self, source: &Source) -> bool {
        self.0.contains(source)
    }
}

/// Compares the clones, and what each sweep over AWS found, with the last known population.
pub(super) fn check(snapshot: &Snapshot, state: &mut State, now: Timestamp, draft: &mut Draft) -> Collapsed {
    let mut collapsed = Collapsed::default();
    if snapshot.origin == Origin::Files {
        return collapsed;
    }
    let clones = Source::Objects(Kind::Clone);
    let departed = || snapshot.departed.iter().map(|gone| short_hash(&gone.uid));
    if one(&clones, snapshot.clones.iter().map(|clone| clone.meta.uid_hash), departed, snapshot, state, now, draft) {
        collapsed.0.insert(clones);
    }
    let mut lists: BTreeMap<Source, Vec<u32>> = BTreeMap::new();
    for (source, _) in snapshot.evidence.iter().filter(|(source, _)| matches!(source, Source::Cloud(..))) {
        lists.insert(source.clone(), Vec::new());
    }
    for resource in &snapshot.cloud {
        // Already on its way, or made and taken away by AWS itself: that it is missing next time is no surprise.
        let stays = !resource.is_going() && !resource.automated;
        if let Some(members) = lists.get_mut(&Source::Cloud(resource.region.clone(), resource.list)).filter(|_| stays) {
            members.push(short_hash(member(resource)));
        }
    }
    // A database goes with its clone, and an orphan or a snapshot because we asked for it.
    let excused = || {
        let asked = snapshot.orphans.iter().flat_map(|record| [Some(record.key.as_str()), record.owner.as_deref()]).flatten();
        let ending = snapshot.clones.iter().filter(|clone| clone.meta.terminating.is_some()).map(|clone| clone.meta.uid_hash);
        departed().chain(asked.map(short_hash)).chain(ending).collect::<Vec<_>>().into_iter()
    };
    for (source, members) in lists {
        if one(&source, members.iter().copied(), excused, snapshot, state, now, draft) {
            collapsed.0.insert(source);
        }
    }
    collapsed
}

/// By what a resource is counted: a database of a clone by the clone, since it goes with it.
fn member(resource: &CloudResource) -> &str {
    let uid = resource.tag(names::TAG_CLONE_UID).filter(|uid| resource.is_database() && !uid.is_empty());
    uid.unwrap_or(&resource.arn)
}

/// Whether one source has collapsed.
fn one<I: Iterator<Item = u32>>(
    source: &Source,
    present: impl ExactSizeIterator<Item = u32> + Clone,
    excused: impl Fn() -> I,
    snapshot: &Snapshot,
    state: &mut State,
    now: Timestamp,
    draft: &mut Draft,
) -> bool {
    let key = source.to_string();
    if snapshot.evidence.lack(source, now).is_some() {
        return state.populations.get(&key).is_some_and(|known| known.collapsed.is_some());
    }
    let count = present.len();
    let Some(known) = state.populations.get_mut(&key) else {
        state.populations.insert(key, take(present));
        return false;
    };
    let members = parse(&known.members);
    let sampled = |hash: &u32| hash.checked_rem(known.one_in).is_none_or(|rest| rest == 0);
    let live: BTreeSet<u32> = present.clone().filter(sampled).collect();
    let mut missing: BTreeSet<u32> = members.difference(&live).copied().collect();
    if !missing.is_empty() {
        // After a storm tens of thousands are remembered: they are looked at only where somebody is missing.
        for gone in excused() {
            missing.remove(&gone);
        }
    }
    let missing = missing.len();
    if known.count >= SMALLEST && missing.saturating_mul(2) > members.len() {
        known.collapsed.get_or_insert(now);
        let all = missing.saturating_mul(usize::try_from(known.one_in).unwrap_or(1));
        draft.alert(None, Target::Source(source.clone()), Reason::Collapsed(known.count, all.min(known.count)));
        return true;
    }
    known.collapsed = None;
    // Written anew only when it has changed by more than a little: the state is not a mirror.
    let changed = live.symmetric_difference(&members).count();
    if changed > (members.len() / 10).max(4) || known.count.abs_diff(count) > (known.count / 10).max(4) {
        *known = take(present);
    }
    false
}

fn take(present: impl ExactSizeIterator<Item = u32>) -> Population {
    let count = present.len();
    let one_in = u32::try_from(count / SAMPLE).unwrap_or(u32::MAX).saturating_add(1);
    let sampled = |hash: &u32| hash.checked_rem(one_in).is_none_or(|rest| rest == 0);
    let hashes: BTreeSet<u32> = present.filter(sampled).collect();
    let members = hashes.iter().map(|hash| format!("{hash:08x}")).collect();
    Population { count, members, one_in, collapsed: None }
}

fn parse(members: &str) -> BTreeSet<u32> {
    let digits = members.as_bytes().chunks(8);
    digits.filter_map(|eight| u32::from_str_radix(std::str::from_utf8(eight).ok()?, 16).ok()).collect()
}
