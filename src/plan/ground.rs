//! What the verdicts stand on: who governs each namespace, since when it is enforced, and what is not known well enough.

use super::{Decision, Draft, Reason, Target, decision::Action, idle::Uses, lifetime::Enforced, roster::Roster};
use crate::model::{Kind, Snapshot, Source, State, Unreadable, WordPressClone, names, snapshot::Origin};
use crate::policy::{ClonePolicy, Governing, Mode, Namespaces, Policies};
use jiff::Timestamp;
use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Whose a namespace is.
pub(super) enum Standing<'a> {
    /// One policy governs it, enforced or not.
    Governed(&'a Arc<ClonePolicy>, Enforced),
    /// Two do: it is held.
    Conflict(&'a Arc<ClonePolicy>, &'a Arc<ClonePolicy>),
    /// It cannot be known: the source that is missing, and what it lacks.
    Unknown((Source, String)),
}

/// The clones of one namespace, and whose they are (`None`: nobody's).
struct Run<'a> {
    clones: &'a [Arc<WordPressClone>],
    standing: Option<Standing<'a>>,
}

/// The survey of a snapshot that every verdict uses.
pub(super) struct Ground<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) policies: &'a Policies,
    pub(super) now: Timestamp,
    runs: Vec<Run<'a>>,
    roster: OnceCell<Roster<'a>>,
    /// By the UIDs of their clones, the parts that carry somebody's keep.
    kept_parts: HashMap<&'a str, String>,
    enforced_since: BTreeMap<String, Timestamp>,
    clock_lack: Option<String>,
    crd_gone: bool,
    definitions: Definitions<'a>,
    /// What is known of the use of clones' databases.
    pub(super) uses: Uses<'a>,
}

/// What is known of the ResourceGraphDefinitions.
enum Definitions<'a> {
    /// These are there; those of the second list were there and are gone.
    Known(BTreeSet<&'a str>, BTreeSet<&'a str>),
    /// They were there, and the list of them is missing.
    Lacking(String),
    /// Nobody asked.
    NotAsked,
}

impl<'a> Ground<'a> {
    pub(super) fn survey(snapshot: &'a Snapshot, policies: &'a Policies, now: Timestamp) -> Self {
        let clock_lack = snapshot.evidence.lack(&Source::Time, now);
        let mut ground = Self {
            snapshot,
            policies,
            now,
            runs: Vec::new(),
            roster: OnceCell::new(),
            kept_parts: kept_parts(snapshot),
            enforced_since: enforced_since(snapshot, policies, now, clock_lack.is_none()),
            clock_lack,
            crd_gone: snapshot.state.clones_served && snapshot.evidence.of(Kind::Clone).is_some_and(|clones| clones.absent),
            definitions: survey_definitions(snapshot, now),
            uses: Uses::of(snapshot, policies, now),
        };
        // Sorted by `namespace/name`, the clones of a namespace stand together: its policy is looked up once.
        ground.runs = snapshot
            .clones
            .chunk_by(|one, next| one.meta.namespace() == next.meta.namespace())
            .map(|clones| Run { clones, standing: clones.first().and_then(|first| ground.standing(first.meta.namespace())) })
            .collect();
        ground
    }

    /// Every clone with whose it is.
    pub(super) fn clones(&self) -> impl Iterator<Item = (&'a Arc<WordPressClone>, Option<&Standing<'a>>)> {
        self.runs.iter().flat_map(|run| run.clones.iter().map(|clone| (clone, run.standing.as_ref())))
    }

    /// The clones of each governed namespace, with its policy.
    pub(super) fn governed(&self) -> impl Iterator<Item = (&'a Arc<ClonePolicy>, &'a [Arc<WordPressClone>])> {
        self.runs.iter().filter_map(|run| match run.standing {
            Some(Standing::Governed(policy, _)) => Some((policy, run.clones)),
            _ => None,
        })
    }

    /// Every clone that could be read, by its UID.
    pub(super) fn roster(&self) -> &Roster<'a> {
        self.roster.get_or_init(|| Roster::of(&self.snapshot.clones))
    }

    /// The part of a clone, or the database, on which somebody's keep stands: the clone's end would take it along.
    pub(super) fn kept_part(&self, clone: &WordPressClone) -> Option<&str> {
        self.kept_parts.get(clone.meta.uid.as_ref()).map(String::as_str)
    }

    /// Whose a namespace is.
    pub(super) fn standing(&self, namespace: &str) -> Option<Standing<'a>> {
        if self.policies.use_selectors()
            && let Some(lack) = self.snapshot.evidence.lack(&Source::Objects(Kind::Namespace), self.now)
        {
            return Some(Standing::Unknown((Source::Objects(Kind::Namespace), lack)));
        }
        let governing = self.policies.governing(namespace, self.snapshot.namespaces.get(namespace));
        match governing {
            Governing::Nobody => None,
            Governing::Conflict(one, other) => Some(Standing::Conflict(one, other)),
            Governing::Policy(policy) => Some(Standing::Governed(policy, self.enforced(policy, namespace))),
        }
    }

    /// The policy of a namespace, if exactly one is known to govern it.
    pub(super) fn policy_of(&self, namespace: &str) -> Option<&'a Arc<ClonePolicy>> {
        match self.standing(namespace) {
            Some(Standing::Governed(policy, _)) => Some(policy),
            _ => None,
        }
    }

    fn enforced(&self, policy: &ClonePolicy, namespace: &str) -> Enforced {
        match (self.snapshot.origin, policy.mode) {
            (Origin::Files, _) => Enforced::Always,
            (Origin::Live, Mode::Audit) => Enforced::Audited,
            (Origin::Live, Mode::Enforce) => self.enforced_since.get(namespace).map_or(Enforced::No, |since| Enforced::Since(*since)),
        }
    }

    /// Whether what is announced on a clone was said before somebody kept it.
    pub(super) fn is_withdrawn(&self, clone: &WordPressClone) -> bool {
        let kept = if self.snapshot.withdrawn.is_empty() { None } else { self.snapshot.withdrawn.get(&clone.meta.uid) };
        kept.is_some_and(|void| clone.announced_at.value() == Some(void))
    }

    /// Whether `now` is what it seems to be.
    pub(super) fn clock_trusted(&self) -> bool {
        self.clock_lack.is_none()
    }

    /// Why it may not be.
    pub(super) fn clock_lack(&self) -> Option<&str> {
        self.clock_lack.as_deref()
    }

    /// Why no clone may end now, or not this one.
    pub(super) fn no_end(&self, clone: &WordPressClone) -> Option<Reason> {
        if let Some(lack) = &self.clock_lack {
            return Some(Reason::ClockUntrusted(lack.clone()));
        }
        if self.crd_gone {
            return Some(Reason::DefinitionGone(Arc::from("wordpressclones.kro.run")));
        }
        match &self.definitions {
            Definitions::NotAsked => None,
            Definitions::Lacking(lack) => Some(Reason::EvidenceMissing(Source::Objects(Kind::Definition), lack.clone())),
            Definitions::Known(there, gone) => {
                let missing = match clone.definition.as_deref() {
                    // KRO's own label is the proof that it was there.
                    Some(name) => (!there.contains(name)).then_some(name),
                    None => gone.first().copied(),
                };
                missing.map(|name| Reason::DefinitionGone(Arc::from(name)))
            }
        }
    }

    /// What has to be remembered of this survey.
    pub(super) fn remember(&self, state: &mut State) {
        if self.snapshot.origin == Origin::Files {
            return;
        }
        state.policies = Some(self.policies.revision.hash.to_string());
        if self.snapshot.evidence.of(Kind::Clone).is_some_and(|clones| clones.complete) {
            state.clones_served = true;
        }
        if self.snapshot.evidence.of(Kind::Definition).is_some_and(|definitions| definitions.complete) {
            let ours = self.snapshot.definitions.iter().filter(|definition| definition.makes_clones);
            state.definitions.extend(ours.map(|definition| definition.name.clone()));
            // Once one is back, its absence is news again.
            state.definitions_accepted &= state.definitions.is_empty();
        }
        state.enforced_since.clone_from(&self.enforced_since);
    }

    /// Objects that cannot be read are alive and held.
    pub(super) fn hold_unreadable(&self, draft: &mut Draft) {
        for object in &self.snapshot.unreadable {
            let policy = self.policy_of(&object.namespace);
            if object.kind == Kind::Clone && policy.is_none() && self.governed_by_nobody(&object.namespace) {
                continue;
            }
            let reason = Reason::UnreadableObject(object.problem.clone().into());
            let target = Target::Unreadable(Box::new(object.clone()));
            draft.decisions.push(Decision::new(Action::Hold, policy.map(|policy| &policy.name), target, reason));
        }
    }

    fn governed_by_nobody(&self, namespace: &str) -> bool {
        !namespace.is_empty() && self.standing(namespace).is_none()
    }

    /// Everything that lives, by metadata alone, whatever its spec or policy; or why that is not known.
    pub(super) fn live_set(&self) -> Result<LiveSet<'a, '_>, String> {
        if let Some(lack) = self.snapshot.evidence.lack(&Source::Objects(Kind::Clone), self.now) {
            return Err(lack);
        }
        let unreadable = || self.snapshot.unreadable.iter().filter(|object| object.kind == Kind::Clone);
        // One living clone of unknown uid may be the owner of anything.
        let uid =
            |object: &'a Unreadable| object.uid.as_deref().ok_or_else(|| format!("the uid of `{}/{}` cannot be read", object.namespace, object.name));
        let unreadable_uids = unreadable().map(uid).collect::<Result<_, _>>()?;
        let unreadable = unreadable().map(|object| format!("{}/{}", object.namespace, object.name)).collect();
        Ok(LiveSet { roster: self.roster(), unreadable_uids, clones: &self.snapshot.clones, unreadable })
    }
}

/// The clones that live.
pub(super) struct LiveSet<'a, 'g> {
    roster: &'g Roster<'a>,
    unreadable_uids: BTreeSet<&'a str>,
    clones: &'a [Arc<WordPressClone>],
    unreadable: BTreeSet<String>,
}

impl LiveSet<'_, '_> {
    pub(super) fn has(&self, uid: &str) -> bool {
        self.roster.place(uid).is_some() || self.unreadable_uids.contains(uid)
    }

    /// Whether a living clone stands at `namespace/name`; one that cannot be read lives.
    pub(super) fn has_path(&self, path: &str) -> bool {
        self.unreadable.contains(path) || self.clones.binary_search_by(|clone| clone.meta.path().as_ref().cmp(path)).is_ok()
    }
}

fn kept_parts(snapshot: &Snapshot) -> HashMap<&str, String> {
    let objects = snapshot.children.iter().filter(|child| child.kept);
    let objects = objects.filter_map(|child| Some((child.owner.as_ref()?.uid.as_ref(), format!("{} {}", child.kind, child.meta.path()))));
    let databases = snapshot.cloud.iter().filter(|resource| resource.is_kept() && resource.is_database());
    let databases = databases.filter_map(|resource| Some((resource.tag(names::TAG_CLONE_UID)?, format!("{} {}", resource.kind(), resource.arn))));
    databases.chain(objects).collect()
}

fn survey_definitions(snapshot: &Snapshot, now: Timestamp) -> Definitions<'_> {
    let there: BTreeSet<&str> = snapshot.definitions.iter().map(|definition| definition.name.as_str()).collect();
    let gone = || snapshot.state.definitions.iter().map(String::as_str).filter(|name| !there.contains(name)).collect();
    match snapshot.evidence.of(Kind::Definition) {
        None => Definitions::NotAsked,
        Some(_) if snapshot.state.definitions_accepted && there.is_empty() => Definitions::NotAsked,
        // KRO's own CRD is gone, and the definitions with it.
        Some(evidence) if evidence.absent => Definitions::Known(BTreeSet::new(), snapshot.state.definitions.iter().map(String::as_str).collect()),
        Some(evidence) => match evidence.lack(now) {
            None => Definitions::Known(there.clone(), gone()),
            // KRO's own label on a clone remembers a definition, too.
            Some(_) if snapshot.state.definitions.is_empty() && snapshot.clones.iter().all(|clone| clone.definition.is_none()) => {
                Definitions::NotAsked
            }
            Some(lack) => Definitions::Lacking(lack),
        },
    }
}

/// Since when each governed namespace has been under `enforce`, as of now. What cannot be known keeps what was known: a date is
/// taken only from a clock that is trusted, and one that lies ahead of it came from a wrong one.
fn enforced_since(snapshot: &Snapshot, policies: &Policies, now: Timestamp, trusted: bool) -> BTreeMap<String, Timestamp> {
    let before = &snapshot.state.enforced_since;
    if policies.use_selectors() && snapshot.evidence.lack(&Source::Objects(Kind::Namespace), now).is_some() {
        return before.clone();
    }
    let named = policies.policies.iter().flat_map(|policy| match &policy.namespaces {
        Namespaces::Names(names) => names.as_slice(),
        Namespaces::Selector(_) => &[],
    });
    let all: BTreeSet<&String> = named.chain(snapshot.namespaces.keys()).collect();
    let enforced = all.into_iter().filter(|namespace| {
        matches!(policies.governing(namespace, snapshot.namespaces.get(*namespace)), Governing::Policy(policy) if policy.mode == Mode::Enforce)
    });
    let since = |namespace: &String| {
        let known = before.get(namespace).copied();
        if trusted { Some(known.map_or(now, |since| since.min(now))) } else { known }
    };
    enforced.filter_map(|namespace| Some((namespace.clone(), since(namespace)?))).collect()
}

/// Whether the AWS tags of this cluster can be trusted to be ours: the id that was given, against what the RGD writes.
pub(super) fn cluster_id_doubt(snapshot: &Snapshot) -> Option<super::reason::Doubt> {
    use super::reason::Doubt;
    let Some(ours) = snapshot.cluster_id.as_deref() else { return Some(Doubt::ClusterIdUnknown) };
    if !names::is_cluster_id(ours) {
        return Some(Doubt::ClusterIdMismatch(ours.into()));
    }
    let written = snapshot
        .definitions
        .iter()
        .filter(|definition| definition.makes_clones)
        .flat_map(|definition| definition.cluster_tags.iter().map(String::as_str));
    written.filter(|written| *written != ours).map(|other| Doubt::ClusterIdMismatch(other.into())).next()
}
