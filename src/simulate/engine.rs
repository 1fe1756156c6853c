//! The queue of events on a virtual clock: clones arrive, end, and leave things behind.
//!
//! Contract: pure, and the same trace gives the same result. It holds who lives, who waits and what is left over, never the trace. What
//! decides is what decides in a cluster: `admit`'s rules let in ([`Newcomer`]), [`lifetime`] and [`judge`] end. Every policy counts as
//! enforced, since what it would do is the question. At one moment what ends goes first, then come those who come again, then new ones.

use super::{
    queue::{Living, Queue, Visit, What},
    setting::{Retry, Setting},
    tally::{Figures, Tally},
    town::{Standing, Town},
    trace::{Arrival, Labels},
};
use crate::{
    model::{CloneState, Database, Meta, Reading, Span, WordPressClone},
    plan::{
        admit::{Asked, Newcomer, Refusal, Rule},
        lifetime::{Step, judge, lifetime},
    },
    policy::{ClonePolicy, DatabaseHost, Policies},
    rng::Rng,
};
use foldhash::{HashMap, HashSet};
use jiff::Timestamp;
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// A trace tells of no annotations.
static NONE: BTreeMap<String, String> = BTreeMap::new();
/// So many answers of conditions are kept.
const KEPT_RULES: usize = 4_096;

/// Who watches each step of a simulation; tests do.
pub trait Watch {
    /// The arrival of that number, from 1, has tried to get in.
    fn tried(&mut self, _number: u64, _at: i64, _answer: Result<(&Newcomer<'_>, &Asked), &str>) {}
    /// The clone of the arrival of that number has ended: by itself, or by its people.
    fn ended(&mut self, _number: u64, _at: i64, _by_people: bool) {}
}

impl Watch for () {}

/// A simulation of one set of policies.
#[derive(Debug)]
pub struct Simulation<'p, W = ()> {
    policies: &'p Policies,
    setting: &'p Setting,
    town: Town<'p>,
    names: HashSet<(usize, Arc<str>)>,
    /// Where the names of those are made up who do not say one.
    made_up: String,
    /// The addresses of the hosts on which the daemon keeps schemas.
    kept: HashSet<Arc<str>>,
    rules: HashMap<Shape, Rule>,
    queue: Queue,
    number: u64,
    tally: Tally,
    /// A clone like every other, on which the dates of one are written.
    probe: WordPressClone,
    rng: Rng,
    /// Who watches.
    pub watch: W,
}

/// What conditions may look at; what they do not look at is left out.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shape {
    place: usize,
    labels: Arc<Labels>,
    dedicated: Option<bool>,
    class: Option<Arc<str>>,
    owner: Option<Arc<str>>,
    ttl: Option<Option<i64>>,
}

impl<'p> Simulation<'p> {
    /// A simulation in which nobody has come yet.
    #[must_use]
    pub fn new(policies: &'p Policies, setting: &'p Setting) -> Self {
        Self::watched(policies, setting, ())
    }
}

impl<'p, W: Watch> Simulation<'p, W> {
    /// The same, watched.
    #[must_use]
    pub fn watched(policies: &'p Policies, setting: &'p Setting, watch: W) -> Self {
        Self {
            policies,
            setting,
            town: Town::default(),
            names: HashSet::default(),
            made_up: String::new(),
            kept: policies.hosts.iter().filter(|host| host.credentials_dir.is_some()).map(DatabaseHost::address).cloned().collect(),
            rules: HashMap::default(),
            queue: Queue::default(),
            number: 0,
            tally: Tally::new(setting.tariff(policies), setting.part_of_nodes()),
            probe: probe(),
            rng: Rng::new(setting.seed),
            watch,
        }
    }

    /// Somebody comes, not earlier than whoever came before.
    pub fn arrive(&mut self, arrival: &Arrival) {
        let at = arrival.at.as_second();
        self.run_until(at);
        self.tally.pass(at);
        self.number = self.number.saturating_add(1);
        self.tally.arrivals = self.number;
        self.knock(Visit { number: self.number, arrival: arrival.clone() }, at);
    }

    /// Lets time run on until nobody lives, and says what came of it.
    pub fn finish(mut self) -> (Figures, W) {
        self.run_until(i64::MAX);
        (self.tally.close(), self.watch)
    }

    fn run_until(&mut self, until: i64) {
        while let Some(due) = self.queue.pop(until) {
            if !matches!(&due.what, What::Vacated(living) if living.left.is_none()) {
                self.tally.pass(due.at);
            }
            match due.what {
                What::End(living) => self.end(living, due.at),
                What::Deleted(living) => self.gone(living, due.at, true),
                What::Vacated(living) => {
                    self.town.vacate(living.place, &living.database);
                    if let Some(rate) = living.left {
                        self.tally.orphan_gone(rate);
                    }
                }
                What::Again(visit) => self.knock(*visit, due.at),
            }
        }
    }

    /// Somebody tries to get in.
    fn knock(&mut self, visit: Visit, now: i64) {
        let Some(id) = self.town.place(&visit.arrival.namespace, self.policies, &self.setting.namespaces) else { return self.tally.ungoverned() };
        let Some(place) = self.town.places.get(id) else { return };
        let policy = match &place.standing {
            Standing::Governed(policy) => Arc::clone(policy),
            Standing::Nobody => return self.tally.ungoverned(),
            Standing::Conflict(refusal) => {
                let code = refusal.code();
                self.watch.tried(visit.number, now, Err(code));
                return self.tally.denied(code, "", true);
            }
        };
        if visit.arrival.name.as_ref().is_some_and(|name| self.names.contains(&(id, Arc::clone(name)))) {
            // The API server's own answer.
            self.watch.tried(visit.number, now, Err("AlreadyExists"));
            return self.tally.denied("AlreadyExists", "", true);
        }
        self.turn_month(id, now, None);
        match self.admit(&visit, id, &policy, now) {
            Ok(asked) => {
                self.tally.admitted(now.saturating_sub(visit.arrival.at.as_second()), !asked.warnings.is_empty());
                self.live(visit, asked, id, &policy, now);
            }
            Err(refusal) => {
                let next = self.setting.retry.and_then(|retry| comes_again(&visit.arrival, retry, &refusal, now));
                self.tally.denied(refusal.code(), field(&refusal), next.is_none());
                if let Some(next) = next {
                    self.queue.push(next, What::Again(Box::new(visit)));
                }
            }
        }
    }

    fn admit(&mut self, visit: &Visit, id: usize, policy: &ClonePolicy, now: i64) -> Result<Asked, Refusal> {
        let arrival = &visit.arrival;
        let mut made_up = std::mem::take(&mut self.made_up);
        let name = match &arrival.name {
            Some(name) => name,
            None => {
                made_up.clear();
                let _ = write!(made_up, "clone-{}", visit.number);
                made_up.as_str()
            }
        };
        let newcomer = Newcomer {
            namespace: &arrival.namespace,
            name,
            owner: &arrival.owner,
            labels: &arrival.labels,
            annotations: &NONE,
            source_url: None,
            capacity: None,
            ttl: arrival.ttl.map(Span::as_secs),
            dedicated: arrival.dedicated,
            class: arrival.class.as_deref(),
        };
        let answer = self.judge(&newcomer, arrival, id, policy, now);
        self.watch.tried(visit.number, now, answer.as_ref().map(|asked| (&newcomer, asked)).map_err(Refusal::code));
        self.made_up = made_up;
        answer
    }

    fn judge(&mut self, newcomer: &Newcomer<'_>, arrival: &Arrival, id: usize, policy: &ClonePolicy, now: i64) -> Result<Asked, Refusal> {
        let Some(place) = self.town.places.get(id) else { return Err(Refusal::NotReviewed) };
        let count = self.town.from(place, self.setting, &self.tally, now);
        let reads = place.reads;
        if reads.name || reads.hosts || reads.budget {
            return newcomer.admit(&newcomer.rule(policy, self.policies, &count), policy, self.policies, &count);
        }
        let shape = Shape {
            place: id,
            labels: Arc::clone(&arrival.labels),
            dedicated: arrival.dedicated,
            class: arrival.class.clone(),
            owner: reads.owner.then(|| Arc::clone(&arrival.owner)),
            ttl: reads.ttl.then_some(newcomer.ttl),
        };
        if let Some(rule) = self.rules.get(&shape) {
            return newcomer.admit(rule, policy, self.policies, &count);
        }
        let rule = newcomer.rule(policy, self.policies, &count);
        let answer = newcomer.admit(&rule, policy, self.policies, &count);
        if self.rules.len() >= KEPT_RULES {
            self.rules.clear();
        }
        self.rules.insert(shape, rule);
        answer
    }

    /// A clone begins to live.
    fn live(&mut self, visit: Visit, asked: Asked, place: usize, policy: &ClonePolicy, now: i64) {
        let Visit { number, arrival } = visit;
        let database = match (asked.database, asked.host) {
            (Database::Shared(None), host) => Database::Shared(host),
            (database, _) => database,
        };
        self.town.settle(place, &arrival.owner, &database);
        if let Some(name) = &arrival.name {
            self.names.insert((place, Arc::clone(name)));
        }
        let created = moment(now);
        self.probe.meta.created = created;
        self.probe.ttl = arrival.ttl.map_or(Reading::Absent, |ttl| Reading::Value(ttl.as_secs()));
        let life = lifetime(&self.probe, &policy.ttl);
        // Seen at once, and its end announced; nothing is known that would move it.
        let announced = match judge(life.end, None, policy.ttl.grace.get(), created) {
            Step::Announce(announced) => announced,
            Step::Wait | Step::Delete { .. } => life.end,
        };
        let rate = self.tally.clone_rate(&database);
        self.tally.born(rate);
        if let Some(purse) = self.town.places.get_mut(place).and_then(|place| place.purse.as_mut()) {
            purse.born(now, self.tally.rate(rate), announced.as_second());
        }
        let deleted = arrival.uses.map(|uses| now.saturating_add(uses.as_secs())).filter(|deleted| *deleted < announced.as_second());
        let (owner, name, end) = (arrival.owner, arrival.name, life.end);
        let living = Box::new(Living { number, place, owner, name, database, rate, created: now, end, announced, left: None });
        match deleted {
            Some(at) => self.queue.push(at, What::Deleted(living)),
            None => self.queue.push(announced.as_second(), What::End(living)),
        }
    }

    /// An announced end has come.
    fn end(&mut self, mut living: Box<Living>, now: i64) {
        let Some(Standing::Governed(policy)) = self.town.places.get(living.place).map(|place| &place.standing) else { return };
        match judge(living.end, Some(living.announced), policy.ttl.grace.get(), moment(now)) {
            Step::Delete { .. } => self.gone(living, now, false),
            Step::Announce(announced) => {
                living.announced = announced;
                self.queue.push(announced.as_second(), What::End(living));
            }
            Step::Wait => self.queue.push(living.announced.as_second(), What::End(living)),
        }
    }

    /// A clone is gone; what it leaves behind goes later.
    fn gone(&mut self, mut living: Box<Living>, now: i64, by_people: bool) {
        self.watch.ended(living.number, now, by_people);
        self.turn_month(living.place, now, Some(&living));
        if let Some(purse) = self.town.places.get_mut(living.place).and_then(|place| place.purse.as_mut()) {
            purse.gone(now, self.tally.rate(living.rate), living.announced.as_second());
        }
        self.town.leave(living.place, &living.owner);
        if let Some(name) = &living.name {
            self.names.remove(&(living.place, Arc::clone(name)));
        }
        self.tally.gone(living.rate, now.saturating_sub(living.created), by_people);
        let soak = match self.town.places.get(living.place).map(|place| &place.standing) {
            Some(Standing::Governed(policy)) => policy.orphans.soak.as_secs(),
            _ => 0,
        };
        let own = living.database.is_dedicated();
        let stays = match living.database.host() {
            // The daemon drops the schemas of those hosts alone whose credentials it has.
            Some(address) => self.kept.contains(address),
            None => own && self.setting.orphans > 0 && self.rng.chance(self.setting.orphans),
        };
        if !stays {
            return self.town.vacate(living.place, &living.database);
        }
        if own {
            let rate = self.tally.orphan_rate(&living.database);
            self.tally.orphaned(rate, soak);
            living.left = Some(rate);
        }
        self.queue.push(now.saturating_add(soak), What::Vacated(living));
    }

    /// Begins a new month in the purse of a place, if one has begun. `going`: who lives there, too, and is not in the queue any more.
    fn turn_month(&mut self, id: usize, now: i64, going: Option<&Living>) {
        let Some(purse) = self.town.places.get_mut(id).and_then(|place| place.purse.as_mut()).filter(|purse| purse.is_over(now)) else { return };
        let living = self.queue.living().chain(going).filter(|living| living.place == id);
        purse.turn(now, living.map(|living| (self.tally.rate(living.rate), living.announced.as_second())));
    }
}

/// When somebody comes again who was turned away; `None`: never.
fn comes_again(arrival: &Arrival, retry: Retry, refusal: &Refusal, now: i64) -> Option<i64> {
    let passes = matches!(refusal, Refusal::LimitReached(_) | Refusal::NoRoom { .. } | Refusal::QuotaFull(_) | Refusal::BudgetSpent(_));
    let next = now.saturating_add(retry.every.as_secs());
    let last = arrival.at.as_second().saturating_add(retry.patience.as_secs());
    (passes && next <= last).then_some(next)
}

/// What of the policy refused.
fn field(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::LimitReached(reached) => reached.field,
        Refusal::QuotaFull(_) => "quota",
        Refusal::NoRoom { .. } => "databases",
        Refusal::BudgetSpent(_) => "budget",
        _ => "",
    }
}

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// A clone that says nothing.
fn probe() -> WordPressClone {
    WordPressClone {
        meta: Meta::new("", "", "", "", Timestamp::UNIX_EPOCH),
        ttl: Reading::Absent,
        extend_until: Reading::Absent,
        keep: Reading::Absent,
        expires_at: Reading::Absent,
        announced_at: Reading::Absent,
        unused_since: Reading::Absent,
        warned: None,
        owner: None,
        clone_id: None,
        credentials: None,
        source_password: None,
        database: Database::Shared(None),
        reservation: None,
        state: CloneState::Unknown,
        not_ready: None,
        finalizers: Box::default(),
        marks: Arc::default(),
        source_url: None,
        definition: None,
    }
}
