//! A cluster with a webhook and a daemon: slow, and right by its parts.

use super::{Happened, PLATFORM, SPACES, START};
use crate::{
    model::{
        Database, Evidence, Kind, Meta, Month, Snapshot, Source, Span, WordPressClone,
        month::{Costs, OwnerCosts, UsageRecord, UsageStatus},
        names,
        schema::{HostRoom, schema_name},
    },
    plan::{
        Action, Decision, Target, Work, Write,
        accrual::Rates,
        admit::{Newcomer, Operation, Request, Residents, Town, Verdict, budget::Money, mutate},
        plan,
    },
    policy::Policies,
    simulate::{Arrival, Setting},
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A cluster with a webhook and a daemon, as slow as they are, and with nobody in it.
struct Cluster<'a> {
    policies: &'a Policies,
    setting: &'a Setting,
    now: i64,
    clones: BTreeMap<String, (u64, Value)>,
    state: crate::model::State,
    /// When people delete a clone.
    uses: BTreeMap<String, i64>,
    /// Who has ever lived: the namespace, the database, from when until when.
    lives: BTreeMap<u64, (String, Database, i64, Option<i64>)>,
    /// Schemas whose clones are gone: the host, the name, until when.
    left: Vec<(String, String, i64)>,
    /// Who comes again: when, after whom, who.
    again: BTreeSet<(i64, u64)>,
    queue: u64,
    waiting: BTreeMap<u64, (u64, usize)>,
    log: Vec<Happened>,
}

impl Cluster<'_> {
    fn at(&self) -> Timestamp {
        Timestamp::from_second(self.now).unwrap()
    }

    fn read(&self) -> Vec<Arc<WordPressClone>> {
        self.clones.values().map(|(_, object)| Arc::new(WordPressClone::read(object).unwrap())).collect()
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot =
            Snapshot { clones: self.read(), state: self.state.clone(), namespaces: self.setting.namespaces.clone(), ..Snapshot::default() };
        for kind in Kind::ALL {
            snapshot.evidence.insert(Source::Objects(kind), Evidence::complete(self.at()));
        }
        snapshot.evidence.insert(Source::Time, Evidence::complete(self.at()));
        snapshot
    }

    /// Plans and carries out until nothing changes any more; says when to look again.
    fn settle(&mut self) -> Option<i64> {
        for _ in 0..10 {
            let plan = plan(&self.snapshot(), self.policies, self.at());
            self.state = plan.state.clone();
            let mut changed = false;
            for decision in plan.decisions.iter().filter(|decision| decision.effective()) {
                changed |= self.carry_out(decision);
            }
            if !changed {
                return plan.next_wakeup.map(|next| next.as_second());
            }
        }
        panic!("the plans do not settle")
    }

    fn carry_out(&mut self, decision: &Decision) -> bool {
        let Target::Clone(clone) = &decision.target else { return false };
        match (decision.action, &decision.work) {
            (Action::Delete, _) => {
                self.gone(clone.meta.path(), false);
                true
            }
            (Action::Warn, Some(Work::Annotate(Write::Announce(end, said, ..)))) => {
                let (_, object) = self.clones.get_mut(&**clone.meta.path()).unwrap();
                object["metadata"]["annotations"][names::EXPIRES_AT] = json!(end);
                object["metadata"]["annotations"][names::ANNOUNCED_AT] = json!(said);
                true
            }
            (Action::Warn, Some(Work::Annotate(Write::Warned(end, before)))) => {
                let (_, object) = self.clones.get_mut(&**clone.meta.path()).unwrap();
                object["metadata"]["annotations"][names::WARNED] = json!(crate::plan::lifetime::warned_text(*end, *before));
                true
            }
            (Action::Hold, _) => panic!("{decision:?}"),
            _ => false,
        }
    }

    fn gone(&mut self, path: &str, by_people: bool) {
        let (number, object) = self.clones.remove(path).unwrap();
        self.uses.remove(path);
        self.log.push(Happened::Ended { at: self.now, number, by_people });
        self.lives.get_mut(&number).unwrap().3 = Some(self.now);
        let clone = WordPressClone::read(&object).unwrap();
        let Some(host) = clone.database.host() else { return };
        let kept = self.policies.hosts.iter().any(|known| known.credentials_dir.is_some() && *known.address() == *host);
        if kept {
            let policy = self.policies.policies.iter().find(|policy| policy.namespaces.contains(clone.meta.namespace(), None)).unwrap();
            let until = self.now + policy.orphans.soak.as_secs();
            self.left.push((host.to_string(), schema_name(&clone.meta.uid).unwrap(), until));
        }
    }

    fn residents(&self) -> Residents {
        let clones = self.read();
        let mut hosts: BTreeMap<String, HostRoom> = BTreeMap::new();
        for host in self.policies.hosts.iter().filter(|host| host.credentials_dir.is_some()) {
            let address = host.address().to_string();
            let left = self.left.iter().filter(|(at, ..)| *at == address).map(|(_, name, _)| name.clone());
            let own = clones
                .iter()
                .filter(|clone| clone.database.host().is_some_and(|at| **at == address))
                .filter_map(|clone| schema_name(&clone.meta.uid));
            hosts.insert(address.clone(), HostRoom { names: own.chain(left).collect(), ..HostRoom::default() });
        }
        let platform = BTreeMap::from([("sharedDatabase.host", PLATFORM.to_owned())]);
        let (namespaces, needs) = (Arc::new(self.setting.namespaces.clone()), self.setting.needs.clone());
        Residents { clones, namespaces, needs, platform, hosts, money: Some(Arc::new(self.money())), ..Residents::default() }
    }

    /// Ledgers that are counted up to this second.
    fn money(&self) -> Money {
        let tariff = Arc::new(self.setting.tariff(self.policies));
        let (rates, month) = (Rates::of(&tariff), Month::of(self.at()));
        let record = |namespace: &str| {
            let theirs = self.lives.values().filter(|(at, ..)| at == namespace);
            let total = theirs.map(|(_, database, from, until)| {
                let seconds = until.unwrap_or(self.now) - (*from).max(month.start().as_second());
                rates.of_database(database).per_second.times(Decimal::from(seconds.max(0)))
            });
            let accrued = total.fold(Costs::default(), Costs::and);
            let owners = vec![OwnerCosts { accrued, ..OwnerCosts::default() }];
            let status = UsageStatus { accrued_through: Some(self.at()), owners, ..UsageStatus::default() };
            Arc::new(UsageRecord { meta: Meta::new("", namespace, "u", "1", self.at()), namespace: namespace.to_owned(), month, status })
        };
        let usages = SPACES.iter().map(|namespace| record(namespace)).collect();
        Money { at: self.at(), usages, unreadable: Vec::new(), departed: Vec::new(), tariff: Arc::clone(&tariff) }
    }

    fn knock(&mut self, number: u64, arrival: &Arrival, index: usize) {
        let name = arrival.name.as_deref().map_or_else(|| format!("clone-{number}"), str::to_owned);
        let path = format!("{}/{name}", arrival.namespace);
        if self.clones.contains_key(&path) {
            return self.log.push(Happened::Tried { at: self.now, number, answer: Err("AlreadyExists".to_owned()) });
        }
        let newcomer = Newcomer {
            namespace: &arrival.namespace,
            name: &name,
            owner: &arrival.owner,
            labels: &arrival.labels,
            annotations: &BTreeMap::new(),
            source_url: None,
            capacity: None,
            ttl: arrival.ttl.map(Span::as_secs),
            dedicated: arrival.dedicated,
            class: arrival.class.as_deref(),
        };
        // What the definition's defaults fill in, the API server has filled in before it asks.
        let mut object = newcomer.object();
        object["spec"]["sharedDatabase"] = json!({"host": PLATFORM});
        let request = Request {
            operation: Operation::Create,
            namespace: arrival.namespace.to_string(),
            name: name.clone(),
            user: arrival.owner.to_string(),
            dry_run: false,
            object,
            old: Value::Null,
        };
        let residents = self.residents();
        let verdict = mutate(&request, Town { policies: self.policies, residents: &residents, claims: &BTreeMap::new() }, "r");
        let answer = match &verdict.refusal {
            Some(refusal) => Err(refusal.code().to_owned()),
            None => Ok((format!("{:?}", verdict.claim.clone().unwrap()), verdict.warnings.clone())),
        };
        let admitted = answer.is_ok();
        self.log.push(Happened::Tried { at: self.now, number, answer });
        if admitted {
            let stored = self.stored(&request, &verdict, number);
            self.lives.insert(number, (arrival.namespace.to_string(), Database::read(&stored), self.now, None));
            self.clones.insert(path.clone(), (number, stored));
            if let Some(uses) = arrival.uses {
                self.uses.insert(path, self.now + uses.as_secs());
            }
        } else if let Some(retry) = self.setting.retry {
            let next = self.now + retry.every.as_secs();
            if next <= arrival.at.as_second() + retry.patience.as_secs() {
                self.queue += 1;
                self.again.insert((next, self.queue));
                self.waiting.insert(self.queue, (number, index));
            }
        }
    }

    fn stored(&self, request: &Request, verdict: &Verdict, number: u64) -> Value {
        let mut object = request.object.clone();
        for change in &verdict.patch {
            let (parent, key) = change["path"].as_str().unwrap().rsplit_once('/').unwrap();
            let key = key.replace("~1", "/").replace("~0", "~");
            let fields = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            match change["op"].as_str().unwrap() {
                "add" => drop(fields.insert(key, change["value"].clone())),
                "remove" => drop(fields.remove(&key)),
                other => panic!("{other}"),
            }
        }
        object["metadata"]["uid"] = json!(format!("{number:08x}-0000-4000-8000-{:012x}", self.now));
        object["metadata"]["resourceVersion"] = json!("1");
        object["metadata"]["creationTimestamp"] = json!(self.at());
        object
    }

    /// What goes by itself or by its people, at this moment.
    fn turn(&mut self) -> Option<i64> {
        let next = self.settle();
        let due: Vec<String> = self.uses.iter().filter(|(_, at)| **at <= self.now).map(|(path, _)| path.clone()).collect();
        due.iter().for_each(|path| self.gone(path, true));
        self.left.retain(|(.., until)| *until > self.now);
        if due.is_empty() { next } else { self.settle() }
    }
}

/// What a cluster makes of a trace.
pub(super) fn planned(policies: &Policies, setting: &Setting, arrivals: &[Arrival]) -> Vec<Happened> {
    let mut cluster = Cluster {
        policies,
        setting,
        now: START - 1,
        clones: BTreeMap::new(),
        state: crate::model::State::default(),
        uses: BTreeMap::new(),
        lives: BTreeMap::new(),
        left: Vec::new(),
        again: BTreeSet::new(),
        queue: 0,
        waiting: BTreeMap::new(),
        log: Vec::new(),
    };
    let mut coming = arrivals.iter().enumerate().peekable();
    loop {
        let mut next = cluster.turn();
        while let Some((at, order)) = cluster.again.first().copied().filter(|(at, _)| *at <= cluster.now) {
            cluster.again.remove(&(at, order));
            let (number, index) = cluster.waiting.remove(&order).unwrap();
            cluster.knock(number, &arrivals[index], index);
            next = cluster.settle();
        }
        while let Some((index, arrival)) = coming.next_if(|(_, arrival)| arrival.at.as_second() <= cluster.now) {
            cluster.knock(index as u64 + 1, arrival, index);
            next = cluster.settle();
        }
        let wakes = [
            next,
            coming.peek().map(|(_, arrival)| arrival.at.as_second()),
            cluster.again.first().map(|(at, _)| *at),
            cluster.uses.values().min().copied(),
            cluster.left.iter().map(|(.., until)| *until).min(),
        ];
        match wakes.into_iter().flatten().filter(|at| *at > cluster.now).min() {
            Some(at) => cluster.now = at,
            None => break,
        }
    }
    cluster.log.sort();
    cluster.log
}
