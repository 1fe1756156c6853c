//! Notices a population that collapsed: most objects missing from a complete list without having been seen to go. That is what
//! a half-restored API server, a wrong kubeconfig or a reinstalled CRD looks like; whatever is judged by absence then waits.

use super::{Draft, Target, reason::Reason};
use crate::model::{Kind, Snapshot, Source, State, snapshot::Origin, state::Population};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Fewer objects than this come and go together in everyday life.
const SMALLEST: usize = 10;
/// How many members are kept at most; larger populations are sampled by their hash, which leaves proportions as they are.
const SAMPLE: usize = 4_096;

/// Compares the clones with the last known population; returns whether it has collapsed.
pub(super) fn check(snapshot: &Snapshot, state: &mut State, now: Timestamp, draft: &mut Draft) -> bool {
    let source = Source::Objects(Kind::Clone);
    if snapshot.origin == Origin::Files {
        return false;
    }
    let key = source.to_string();
    if snapshot.evidence.lack(&source, now).is_some() {
        return state.populations.get(&key).is_some_and(|known| known.collapsed.is_some());
    }
    let Some(known) = state.populations.get_mut(&key) else {
        state.populations.insert(key, take(snapshot));
        return false;
    };
    let members = parse(&known.members);
    let sampled = |hash: &u32| hash.checked_rem(known.one_in).is_none_or(|rest| rest == 0);
    let live: BTreeSet<u32> = snapshot.clones.iter().map(|clone| clone.meta.uid_hash).filter(sampled).collect();
    let mut missing: BTreeSet<u32> = members.difference(&live).copied().collect();
    if !missing.is_empty() {
        // After a storm tens of thousands are remembered: they are looked at only where somebody is missing.
        for gone in &snapshot.departed {
            missing.remove(&crate::model::meta::short_hash(&gone.uid));
        }
    }
    let missing = missing.len();
    if known.count >= SMALLEST && missing.saturating_mul(2) > members.len() {
        known.collapsed.get_or_insert(now);
        let all = missing.saturating_mul(usize::try_from(known.one_in).unwrap_or(1));
        draft.alert(None, Target::Source(source), Reason::Collapsed(known.count, all.min(known.count)));
        return true;
    }
    known.collapsed = None;
    // Written anew only when it has changed by more than a little: the state is not a mirror.
    let changed = live.symmetric_difference(&members).count();
    if changed > (members.len() / 10).max(4) || known.count.abs_diff(snapshot.clones.len()) > (known.count / 10).max(4) {
        *known = take(snapshot);
    }
    false
}

fn take(snapshot: &Snapshot) -> Population {
    let one_in = u32::try_from(snapshot.clones.len() / SAMPLE).unwrap_or(u32::MAX).saturating_add(1);
    let sampled = |hash: &u32| hash.checked_rem(one_in).is_none_or(|rest| rest == 0);
    let hashes: BTreeSet<u32> = snapshot.clones.iter().map(|clone| clone.meta.uid_hash).filter(sampled).collect();
    let members = hashes.iter().map(|hash| format!("{hash:08x}")).collect();
    Population { count: snapshot.clones.len(), members, one_in, collapsed: None }
}

fn parse(members: &str) -> BTreeSet<u32> {
    let digits = members.as_bytes().chunks(8);
    digits.filter_map(|eight| u32::from_str_radix(std::str::from_utf8(eight).ok()?, 16).ok()).collect()
}
