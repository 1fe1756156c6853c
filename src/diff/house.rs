//! Every clone that lives played again as a newcomer, in the order of creation, in a house that is empty at first.
//!
//! Contract: the rules are admission's ([`Newcomer`]); what is here only counts. What a clone asked for is what its spec says now. Where a
//! rule has chosen its database that is not known, and it counts as one that asks for none of its own, unless a condition looks at the
//! wish. In a namespace in audit, and in nobody's, everybody is let in and gets what they ask for.

use crate::{
    cost::{accrual, tariff::Tariff},
    model::{Database, Kind, Month, Quantity, Snapshot, WordPressClone, clone::host_address, marks::Marks, names},
    plan::{
        accrual::Rates,
        admit::{self, Count, Newcomer, Of, Refusal, Rule},
    },
    policy::{ClonePolicy, Condition, Governing, Mode, Policies, Reads},
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What became of a clone as a newcomer.
#[derive(Debug, Clone, Default)]
pub(super) struct Played {
    /// Where its data would be; `None`: it is not let in, or nobody judges it.
    pub(super) database: Option<Database>,
    /// Why it is not let in, or would not be.
    pub(super) refusal: Option<Box<Refusal>>,
    /// Whether that is only said.
    pub(super) only_said: bool,
}

impl Played {
    /// 0: it is let in; 1: it is, though the policy would refuse it; 2: it is refused.
    pub(super) fn denied(&self) -> u8 {
        match &self.refusal {
            None => 0,
            Some(_) if self.only_said => 1,
            Some(_) => 2,
        }
    }
}

/// A namespace.
struct Place<'a> {
    namespace: &'a str,
    labels: Option<&'a BTreeMap<String, String>>,
    governing: Governing<'a>,
    reads: Reads,
    /// Whether any condition looks at the clone at all.
    conditional: bool,
    clones: usize,
    dedicated: usize,
    owners: HashMap<&'a str, usize>,
    /// What the ledger says of this month, USD.
    accrued: Decimal,
    /// What those will cost this month at most who were let in, USD.
    committed: Decimal,
}

/// What conditions look at.
#[derive(PartialEq, Eq, Hash)]
struct Shape<'a> {
    place: usize,
    marks: Option<*const Marks>,
    wish: Wish<'a>,
    name: Option<&'a str>,
    owner: Option<&'a str>,
    ttl: Option<i64>,
    source: Option<&'a str>,
}

/// What a clone asks for: whether a database of its own, of which class, with which capacity.
type Wish<'a> = (Option<bool>, Option<&'a str>, Option<(Decimal, Decimal)>);

/// Who lives where, while newcomers come.
struct House<'a> {
    rates: Rates<'a>,
    needs: BTreeMap<String, Quantity>,
    /// The platform's own host.
    platform: Option<String>,
    places: Vec<Place<'a>>,
    hosts: HashMap<Arc<str>, usize>,
    now: Timestamp,
}

/// The count from the point of view of one newcomer.
struct View<'h, 'a> {
    house: &'h House<'a>,
    place: &'h Place<'a>,
    host: Option<&'h str>,
}

/// Plays every clone of a snapshot that is not going already; the answers stand in its order.
pub(super) fn play(snapshot: &Snapshot, policies: &Policies, tariff: &Tariff, now: Timestamp) -> Vec<Played> {
    let mut house = House::empty(snapshot, policies, tariff, now);
    let mut place_of = Vec::with_capacity(snapshot.clones.len());
    for (id, clones) in snapshot.clones.chunk_by(|one, next| one.meta.namespace() == next.meta.namespace()).enumerate() {
        place_of.extend(std::iter::repeat_n(id, clones.len()));
    }
    let mut order: Vec<usize> = (0..snapshot.clones.len()).collect();
    order.sort_by(|one, other| {
        let key = |place: &usize| snapshot.clones.get(*place).map(|clone| (clone.meta.created, &clone.meta.uid));
        key(one).cmp(&key(other))
    });
    let mut played = vec![Played::default(); snapshot.clones.len()];
    let mut rules = HashMap::new();
    for at in order {
        let (Some(clone), Some(place), Some(answer)) = (snapshot.clones.get(at), place_of.get(at), played.get_mut(at)) else { continue };
        // A lifetime that nobody understands is refused whatever the policy says.
        if clone.meta.terminating.is_none() && clone.ttl.unreadable().is_none() {
            *answer = house.knock(clone, *place, policies, &mut rules);
        }
    }
    played
}

impl<'a> House<'a> {
    fn empty(snapshot: &'a Snapshot, policies: &'a Policies, tariff: &'a Tariff, now: Timestamp) -> Self {
        let definition = snapshot.definitions.iter().find(|definition| definition.makes_clones);
        let platform = definition.and_then(|definition| definition.platform.get("sharedDatabase.host"));
        let month = Month::of(now);
        let place = |namespace: &'a str| {
            let labels = snapshot.namespaces.get(namespace);
            let governing = policies.governing(namespace, labels);
            let conditions = match &governing {
                Governing::Policy(policy) => policy.databases.as_slice(),
                _ => &[],
            };
            let conditions = || conditions.iter().filter_map(|rule| rule.when.as_ref());
            let reads = conditions().map(Condition::reads).fold(Reads::default(), Reads::and);
            let ledger = snapshot.usages.iter().find(|record| record.namespace == namespace && record.month == month);
            Place {
                namespace,
                labels,
                reads,
                conditional: conditions().next().is_some(),
                governing,
                clones: 0,
                dedicated: 0,
                owners: HashMap::new(),
                accrued: ledger.map(|record| accrual::accrued(&record.status)).unwrap_or_default(),
                committed: Decimal::ZERO,
            }
        };
        let namespaces = snapshot.clones.chunk_by(|one, next| one.meta.namespace() == next.meta.namespace());
        Self {
            rates: Rates::of(tariff),
            needs: definition.map(|definition| definition.needs.clone()).unwrap_or_default(),
            platform: platform.filter(|host| !host.is_empty() && !names::is_placeholder(host)).map(|host| host_address(host, None)),
            places: namespaces.filter_map(|clones| Some(place(clones.first()?.meta.namespace()))).collect(),
            hosts: HashMap::new(),
            now,
        }
    }

    fn knock(&mut self, clone: &'a WordPressClone, id: usize, policies: &Policies, rules: &mut HashMap<Shape<'a>, Rule>) -> Played {
        let Some(place) = self.places.get(id) else { return Played::default() };
        let policy = match place.governing {
            Governing::Nobody => return Played::default(),
            Governing::Policy(policy) => policy,
            Governing::Conflict(one, other) => {
                let namespace = place.namespace.to_owned();
                let refusal = Refusal::Conflict { namespace, one: one.name.to_string(), other: other.name.to_string() };
                let only_said = [one, other].iter().all(|policy| policy.mode == Mode::Audit);
                return Played { refusal: Some(Box::new(refusal)), only_said, database: None };
            }
        };
        let only_said = policy.mode == Mode::Audit;
        let asked = self.judge(clone, id, policy, policies, rules);
        let (database, usd, refusal) = match asked {
            Ok(asked) if !only_said => {
                let database = match (asked.database, asked.host) {
                    (Database::Shared(None), host) => Database::Shared(host),
                    (database, _) => database,
                };
                (Some(database), asked.usd, None)
            }
            Ok(asked) => (Some(self.unruled(clone)), asked.usd, None),
            Err(refusal) => (only_said.then(|| self.unruled(clone)), Decimal::ZERO, Some(Box::new(refusal))),
        };
        if let Some(database) = &database {
            self.settle(id, clone, database, usd);
        }
        Played { database, refusal, only_said }
    }

    fn judge(
        &self,
        clone: &'a WordPressClone,
        id: usize,
        policy: &ClonePolicy,
        policies: &Policies,
        rules: &mut HashMap<Shape<'a>, Rule>,
    ) -> Result<admit::Asked, Refusal> {
        let Some(place) = self.places.get(id) else { return Err(Refusal::NotReviewed) };
        let reads = place.reads;
        let wish = wish(clone, reads);
        let view = View { house: self, place, host: self.platform.as_deref().or(clone.database.host().map(AsRef::as_ref)) };
        let owner = clone.owner.as_deref().unwrap_or_default();
        let ttl = clone.ttl.value().copied();
        let newcomer = Newcomer {
            namespace: place.namespace,
            name: clone.meta.name(),
            owner,
            labels: &clone.marks.labels,
            annotations: &clone.marks.annotations,
            source_url: clone.source_url.as_deref(),
            ttl,
            dedicated: wish.0,
            class: wish.1,
            capacity: wish.2,
        };
        if reads.hosts || reads.budget {
            return newcomer.admit(&newcomer.rule(policy, policies, &view), policy, policies, &view);
        }
        let shape = Shape {
            place: id,
            marks: place.conditional.then_some(Arc::as_ptr(&clone.marks)),
            wish: if reads.wish { wish } else { (None, None, None) },
            name: reads.name.then_some(clone.meta.name()),
            owner: reads.owner.then_some(owner),
            ttl: if reads.ttl { ttl } else { None },
            source: if reads.source { clone.source_url.as_deref() } else { None },
        };
        let rule = rules.entry(shape).or_insert_with(|| newcomer.rule(policy, policies, &view));
        newcomer.admit(rule, policy, policies, &view)
    }

    /// What a clone gets where no rule speaks.
    fn unruled(&self, clone: &WordPressClone) -> Database {
        match &clone.database {
            own if own.is_dedicated() && !clone.marks.placed => own.clone(),
            Database::Shared(Some(host)) if self.platform.is_none() && !clone.marks.placed => Database::Shared(Some(Arc::clone(host))),
            _ => Database::Shared(self.platform.as_deref().map(Arc::from)),
        }
    }

    fn settle(&mut self, id: usize, clone: &'a WordPressClone, database: &Database, usd: Decimal) {
        let Some(place) = self.places.get_mut(id) else { return };
        place.clones = place.clones.saturating_add(1);
        place.dedicated = place.dedicated.saturating_add(usize::from(database.is_dedicated()));
        place.committed = place.committed.saturating_add(usd);
        if let Some(owner) = clone.owner.as_deref() {
            let count = place.owners.entry(owner).or_default();
            *count = count.saturating_add(1);
        }
        if let Some(address) = database.host() {
            let count = self.hosts.entry(Arc::clone(address)).or_default();
            *count = count.saturating_add(1);
        }
    }
}

fn wish(clone: &WordPressClone, reads: Reads) -> Wish<'_> {
    match &clone.database {
        _ if clone.marks.placed && !reads.wish => (None, None, None),
        Database::Shared(_) => (Some(false), None, None),
        Database::Dedicated(class) => (Some(true), Some(class), None),
        Database::Serverless(least, most) => (Some(true), None, Some((*least, *most))),
    }
}

impl Count for View<'_, '_> {
    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.place.labels
    }

    fn clones(&self) -> usize {
        self.place.clones
    }

    /// Nobody goes while newcomers come.
    fn leaving(&self, _: Of<'_>) -> usize {
        0
    }

    fn owned_by(&self, owner: &str) -> usize {
        self.place.owners.get(owner).copied().unwrap_or_default()
    }

    fn dedicated(&self) -> usize {
        self.place.dedicated
    }

    fn on_host(&self, address: &str) -> usize {
        self.house.hosts.get(address).copied().unwrap_or_default()
    }

    fn is_down(&self, _: &str) -> bool {
        false
    }

    /// Other Pods are not looked at.
    fn used_by_others(&self, _: &str, _: Quantity) -> Quantity {
        Quantity::default()
    }

    fn needs(&self) -> &BTreeMap<String, Quantity> {
        &self.house.needs
    }

    /// What is not in an empty house need not be listed.
    fn is_listed(&self, _: Kind) -> bool {
        true
    }

    fn namespace(&self) -> &str {
        self.place.namespace
    }

    fn host(&self) -> Option<String> {
        self.host.map(str::to_owned)
    }

    fn purse(&self, _: &ClonePolicy) -> Option<admit::Purse> {
        let spent = admit::budget::Spent { accrued: self.place.accrued, committed: self.place.committed };
        Some(admit::Purse { at: self.house.now, month_ends: Month::of(self.house.now).end(), spent })
    }

    fn at_most(&self, database: &Database) -> Decimal {
        self.house.rates.of_database(database).at_most
    }

    fn is_priced(&self, database: &Database) -> bool {
        self.house.rates.of_database(database).known
    }
}
