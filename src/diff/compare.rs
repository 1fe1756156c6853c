//! Both sides, clone by clone.

use super::{
    Altered, Change, Cost, Denied, Diff, End, Exceeded, Handover, Held, Impact, Moved, PolicyDiff, Shift, Warned,
    house::Played,
    money::{Desk, Sum},
    side::{Fate, Side},
};
use crate::{
    model::{Database, Kind, Reading, Snapshot, Source, WordPressClone},
    plan::{Action, Plan, Reason, Target, brake},
    policy::{Governing, Mode, Policies},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

type Rows = BTreeMap<Arc<str>, (PolicyDiff, Sum)>;

pub(super) fn compare(snapshot: &Snapshot, old: &Policies, new: &Policies, now: Timestamp) -> Diff {
    let revisions = Change { from: old.revision.clone(), to: new.revision.clone() };
    let mut diff = Diff {
        now,
        revisions,
        same: true,
        clones: snapshot.clones.len(),
        complete: true,
        policies: Vec::new(),
        hosts: Vec::new(),
        prices: false,
        cost: Cost::default(),
        notes: Vec::new(),
    };
    if old.mean_the_same(new) {
        return diff;
    }
    let from = Side::judge(snapshot, old, now);
    let to = Side::judge(snapshot, new, now);
    let to = match unannounced(snapshot, &from, &to) {
        Some(flipped) => Side::judge(&flipped, new, now),
        None => to,
    };
    let sides = Change { from, to };
    let desk = Desk::of(&sides, now);
    let (mut rows, mut all) = (rows(old, new), Sum::default());
    for (place, clone) in snapshot.clones.iter().enumerate() {
        let fates = Change { from: sides.from.fate(place), to: sides.to.fate(place) };
        let share = desk.share(clone, place, &sides);
        let policy = Change { from: fates.from.policy_name(), to: fates.to.policy_name() };
        if policy.from.or(policy.to).is_some() {
            all.add(&share, Change { from: true, to: true });
        }
        for (name, counted) in [(policy.from, Change { from: true, to: policy.is_none() }), (policy.to, Change { from: false, to: true })] {
            let Some((row, sum)) = name.and_then(|name| rows.get_mut(name)) else { continue };
            if counted.from || !policy.is_none() {
                row.clones.from = row.clones.from.saturating_add(usize::from(counted.from));
                row.clones.to = row.clones.to.saturating_add(usize::from(counted.to));
                sum.add(&share, counted);
            }
        }
        let Some((row, _)) = policy.to.or(policy.from).and_then(|name| rows.get_mut(name)) else { continue };
        life(clone, fates, now, &mut row.impact);
        if let (Some(from), Some(to)) = (sides.from.played.get(place), sides.to.played.get(place)) {
            again(clone, Change { from, to }, Change { from: old, to: new }, &mut row.impact);
        }
    }
    hand_over(snapshot, &sides, &mut rows);
    limits(&sides, &mut rows);
    removed(snapshot, &sides, &mut rows);
    brakes(&sides, &mut rows);
    diff.notes = notes(snapshot, &sides, now);
    let unread = snapshot.unreadable.iter().any(|object| object.kind == Kind::Clone);
    let held = (0..snapshot.clones.len()).any(|place| sides.to.fate(place).is(Action::Hold) && sides.from.fate(place).is(Action::Hold));
    diff.complete = !unread && !held && snapshot.evidence.lack(&Source::Objects(Kind::Clone), now).is_none();
    let known = desk.is_known();
    let closed = rows.into_values().map(|(row, sum)| PolicyDiff { cost: sum.close(known), ..row });
    diff.policies =
        closed.filter(|row| !row.mode.is_none() || !row.fields.is_empty() || row.impact != Impact::default() || !row.cost.usd.is_none()).collect();
    diff.cost = all.close(known);
    diff.hosts = hosts(old, new);
    diff.prices = !old.prices.asks_the_same(&new.prices);
    diff.same = false;
    diff
}

/// The same world without the announcements that do not count once the new policies are in force: those of clones that were not under
/// `enforce` until then. `None`: there are none. A daemon that lives through the edit knows since when it enforces; files do not tell.
fn unannounced(snapshot: &Snapshot, from: &Side<'_>, to: &Side<'_>) -> Option<Snapshot> {
    let newly = |place: usize| {
        let enforced = |side: &Side<'_>| side.fate(place).policy.is_some_and(|policy| policy.mode == Mode::Enforce);
        enforced(to) && !enforced(from)
    };
    let said = |clone: &WordPressClone| clone.announced_at != Reading::Absent || clone.expires_at != Reading::Absent;
    if !snapshot.clones.iter().enumerate().any(|(place, clone)| said(clone) && newly(place)) {
        return None;
    }
    let mut flipped = snapshot.clone();
    for (_, clone) in flipped.clones.iter_mut().enumerate().filter(|(place, clone)| said(clone) && newly(*place)) {
        let clone = Arc::make_mut(clone);
        (clone.announced_at, clone.expires_at) = (Reading::Absent, Reading::Absent);
    }
    Some(flipped)
}

/// A row for each policy of either set.
fn rows(old: &Policies, new: &Policies) -> Rows {
    let find = |policies: &Policies, name: &Arc<str>| policies.policies.iter().find(|policy| policy.name == *name).cloned();
    let names: BTreeSet<&Arc<str>> = old.policies.iter().chain(&new.policies).map(|policy| &policy.name).collect();
    let row = |name: &Arc<str>| {
        let policy = Change { from: find(old, name), to: find(new, name) };
        let fields = match (&policy.from, &policy.to) {
            (Some(from), Some(to)) => from.unlike(to),
            _ => Vec::new(),
        };
        let mode = Change { from: policy.from.map(|policy| policy.mode), to: policy.to.map(|policy| policy.mode) };
        PolicyDiff { name: Arc::clone(name), mode, fields, ..PolicyDiff::default() }
    };
    names.into_iter().map(|name| (Arc::clone(name), (row(name), Sum::default()))).collect()
}

/// What becomes of a clone's life.
fn life(clone: &WordPressClone, fates: Change<Fate<'_>>, now: Timestamp, impact: &mut Impact) {
    let path = || Arc::clone(clone.meta.path());
    let end = Change { from: fates.from.end(), to: fates.to.end() };
    let passed = |fate: &Fate<'_>| {
        let end = fate.end()?;
        Some(End { clone: path(), end, goes: fate.goes(now), cause: fate.cause(), only_said: fate.is_said() })
    };
    let doom = Change { from: fates.from.doom(now), to: fates.to.doom(now) };
    if doom.to > doom.from {
        impact.reaped.extend(passed(&fates.to));
    }
    if doom.to < doom.from {
        impact.spared.extend(passed(&fates.from));
    }
    let nearer = match (end.from, end.to) {
        (Some(from), Some(to)) => to.cmp(&from),
        (None, Some(_)) => std::cmp::Ordering::Less,
        (Some(_), None) => std::cmp::Ordering::Greater,
        (None, None) => std::cmp::Ordering::Equal,
    };
    let shift = || Shift { clone: path(), end, cause: if end.to.is_some() { fates.to.cause() } else { fates.from.cause() } };
    match nearer {
        std::cmp::Ordering::Less => impact.sooner.push(shift()),
        std::cmp::Ordering::Greater => impact.later.push(shift()),
        std::cmp::Ordering::Equal => {}
    }
    let Some(reason) = fates.to.reason() else { return };
    if fates.to.is(Action::Warn) && !fates.from.is(Action::Warn) {
        let end = fates.to.goes(now);
        impact.warned.push(Warned { clone: path(), code: reason.code(), end, only_said: fates.to.is_said() });
    }
    if fates.to.is(Action::Hold) && !fates.from.is(Action::Hold) {
        impact.held.push(Held { clone: path(), code: reason.code(), message: reason.message(now) });
    }
}

/// What becomes of the next clone that is like this one.
fn again(clone: &WordPressClone, played: Change<&Played>, policies: Change<&Policies>, impact: &mut Impact) {
    let path = || Arc::clone(clone.meta.path());
    let denied = |played: &Played| {
        let refusal = played.refusal.as_ref()?;
        Some(Denied { clone: path(), code: refusal.code(), message: refusal.to_string(), only_said: played.only_said })
    };
    match played.to.denied().cmp(&played.from.denied()) {
        std::cmp::Ordering::Greater => impact.denied.extend(denied(played.to)),
        std::cmp::Ordering::Less => impact.admitted.extend(denied(played.from)),
        std::cmp::Ordering::Equal => {}
    }
    if let (Some(from), Some(to)) = (&played.from.database, &played.to.database)
        && from != to
    {
        let mut database = Change { from: words(from, policies.from), to: words(to, policies.to) };
        if database.is_none() {
            // A host of the same name at another address.
            database = Change { from: addressed(database.from, from), to: addressed(database.to, to) };
        }
        impact.moved.push(Moved { clone: path(), database });
    }
}

fn words(database: &Database, policies: &Policies) -> String {
    match database {
        Database::Shared(None) => "shared on the platform's host".to_owned(),
        Database::Shared(Some(address)) => {
            let host = policies.hosts.iter().find(|host| host.address() == address);
            format!("shared on {}", host.map_or(&**address, |host| host.name.as_str()))
        }
        Database::Dedicated(class) => format!("dedicated {class}"),
        Database::Serverless(least, most) => format!("serverless {least} to {most} ACU"),
    }
}

fn addressed(words: String, database: &Database) -> String {
    match database.host() {
        Some(address) => format!("{words} ({address})"),
        None => words,
    }
}

/// Namespaces whose clones another policy governs, under both.
fn hand_over(snapshot: &Snapshot, sides: &Change<Side<'_>>, rows: &mut Rows) {
    let mut place = 0_usize;
    for clones in snapshot.clones.chunk_by(|one, next| one.meta.namespace() == next.meta.namespace()) {
        let fates = Change { from: sides.from.fate(place), to: sides.to.fate(place) };
        place = place.saturating_add(clones.len());
        let policy = Change { from: fates.from.policy_name().cloned(), to: fates.to.policy_name().cloned() };
        let Some(first) = clones.first().filter(|_| !policy.is_none()) else { continue };
        let handover = Handover { namespace: first.meta.namespace().into(), policy, clones: clones.len() };
        for name in [&handover.policy.from, &handover.policy.to].into_iter().flatten() {
            if let Some((row, _)) = rows.get_mut(name) {
                row.impact.handed_over.push(handover.clone());
            }
        }
    }
}

/// Limits that more live under than they allow.
fn limits(sides: &Change<Side<'_>>, rows: &mut Rows) {
    let over = |plan: &Plan| -> Vec<(Option<Arc<str>>, Exceeded)> {
        let alerts = plan.decisions.iter().filter_map(|decision| match (&decision.target, &decision.reason) {
            (Target::Namespace(namespace), Reason::OverLimit(limit, count, allowed)) => {
                let exceeded = Exceeded { namespace: Arc::clone(namespace), limit: limit.clone(), count: *count, allowed: *allowed };
                Some((decision.policy.clone(), exceeded))
            }
            _ => None,
        });
        alerts.collect()
    };
    let before = over(&sides.from.plan);
    for (policy, exceeded) in over(&sides.to.plan) {
        if before.iter().any(|(_, known)| (&known.namespace, &known.limit) == (&exceeded.namespace, &exceeded.limit)) {
            continue;
        }
        if let Some((row, _)) = policy.and_then(|policy| rows.get_mut(&policy)) {
            row.impact.exceeded.push(exceeded);
        }
    }
}

/// What goes beside clones.
fn removed(snapshot: &Snapshot, sides: &Change<Side<'_>>, rows: &mut Rows) {
    let goes = |plan: &'_ Plan| {
        let deletes = plan.decisions.iter().enumerate().filter(|(_, decision)| decision.action == Action::Delete);
        let others = deletes.filter(|(_, decision)| !matches!(decision.target, Target::Clone(_)));
        others.map(|(at, decision)| (at, decision.target.key())).collect::<Vec<_>>()
    };
    let before: HashSet<String> = goes(&sides.from.plan).into_iter().map(|(_, key)| key).collect();
    for (at, _) in goes(&sides.to.plan).into_iter().filter(|(_, key)| !before.contains(key)) {
        let Some(decision) = sides.to.plan.decisions.get(at) else { continue };
        // What no policy wants any more stands under the one that did.
        let wanted = || {
            let namespace = decision.target.meta()?.namespace();
            match sides.from.policies.governing(namespace, snapshot.namespaces.get(namespace)) {
                Governing::Policy(policy) => Some(&policy.name),
                Governing::Nobody | Governing::Conflict(..) => None,
            }
        };
        if let Some((row, _)) = decision.policy.as_ref().or_else(wanted).and_then(|policy| rows.get_mut(policy)) {
            row.impact.removed.push((decision.target.kind(), decision.target.display()));
        }
    }
}

fn brakes(sides: &Change<Side<'_>>, rows: &mut Rows) {
    let (mut from, mut to) = (sides.from.brakes(), sides.to.brakes());
    for (name, (row, _)) in rows {
        let mut brake = Change { from: from.remove(name).unwrap_or_default(), to: to.remove(name).unwrap_or_default() };
        let before = sides.from.policy(name).map(|policy| policy.brake);
        brake.to.loosened = !brake.to.over && before.is_some_and(|before| brake::exceeds(before, brake.to.surprises, brake.to.clones));
        if brake.from.over != brake.to.over || brake.from.surprises != brake.to.surprises {
            row.impact.brake = Some(brake);
        }
    }
}

fn hosts(old: &Policies, new: &Policies) -> Vec<Altered> {
    let before: BTreeMap<&str, _> = old.hosts.iter().map(|host| (host.name.as_str(), host)).collect();
    let after: BTreeMap<&str, _> = new.hosts.iter().map(|host| (host.name.as_str(), host)).collect();
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    let altered = names.into_iter().filter_map(|name| match (before.get(name), after.get(name)) {
        (None, _) => Some(Altered::Added(name.to_owned())),
        (_, None) => Some(Altered::Removed(name.to_owned())),
        (Some(from), Some(to)) => (!from.means_the_same(to)).then(|| Altered::Changed(name.to_owned())),
    });
    altered.collect()
}

fn clones(count: usize) -> String {
    if count == 1 { "1 clone".to_owned() } else { format!("{count} clones") }
}

/// What is not known, and what is not judged.
fn notes(snapshot: &Snapshot, sides: &Change<Side<'_>>, now: Timestamp) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(pause) = &snapshot.state.paused {
        notes.push(format!("the daemon is paused since {}: nothing goes until it is resumed", pause.since));
    }
    let lack = |kind: Kind| snapshot.evidence.lack(&Source::Objects(kind), now);
    if let Some(lack) = lack(Kind::Clone) {
        notes.push(format!("not every clone is known: `clones`: {lack}"));
    }
    let mut held: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    for place in 0..snapshot.clones.len() {
        let fate = sides.to.fate(place);
        let Some(reason) = fate.reason().filter(|_| fate.is(Action::Hold) && sides.from.fate(place).is(Action::Hold)) else { continue };
        let (count, _) = held.entry(reason.code()).or_insert_with(|| (0, reason.message(now)));
        *count = count.saturating_add(1);
    }
    for (code, (count, message)) in held {
        notes.push(format!("{} held under both ({code}), not compared by their ends: {message}", clones(count)));
    }
    let unreadable = snapshot.unreadable.iter().filter(|object| object.kind == Kind::Clone).count();
    if unreadable > 0 {
        notes.push(format!("{} that cannot be read: they live on, and are not compared", clones(unreadable)));
    }
    let cut = snapshot.clones.iter().filter(|clone| clone.marks.cut).count();
    if cut > 0 {
        notes.push(format!("{} with more labels and annotations than are looked at: conditions may find less there", clones(cut)));
    }
    let policies = || sides.from.policies.policies.iter().chain(&sides.to.policies.policies);
    if let Some(lack) = lack(Kind::Usage).filter(|_| policies().any(|policy| policy.budget.is_some())) {
        notes.push(format!("what this month has cost is not known ({lack}): budgets are held against what newcomers would cost alone"));
    }
    let needs = snapshot.definitions.iter().any(|definition| definition.makes_clones && !definition.needs.is_empty());
    if !needs && policies().any(|policy| !policy.quota.is_empty()) {
        notes.push("what the Pod of a clone needs is not known (no ResourceGraphDefinition says it): nobody is refused by a quota here".to_owned());
    }
    for policy in &sides.to.policies.policies {
        let Some(before) = sides.from.policy(&policy.name).filter(|before| before.ttl.default != policy.ttl.default) else { continue };
        if snapshot.clones.iter().any(|clone| matches!(clone.ttl, Reading::Value(seconds) if seconds == before.ttl.default.as_secs())) {
            notes.push(format!(
                "`ttl.default` of policy `{}` goes from {} to {}: clones that were given the old one carry it as their own and keep it",
                policy.name, before.ttl.default, policy.ttl.default
            ));
        }
    }
    let lacks: BTreeSet<&String> = [&sides.from, &sides.to].into_iter().filter_map(|side| side.plan.tariff.lack.as_ref()).collect();
    notes.extend(lacks.into_iter().map(|lack| format!("what clones cost is not known: {lack}")));
    notes
}
