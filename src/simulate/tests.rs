//! A simulation decides what a cluster would decide: the same trace through the webhook's own function and full plans, on objects as the
//! API server would hold them, gives the same answers and the same ends.

use super::{Arrival, Setting, Simulation, Watch, setting::Retry};
use crate::{
    model::{Evidence, Kind, Quantity, Snapshot, Source, Span, WordPressClone, clone::host_address, names, schema::HostRoom, schema::schema_name},
    plan::{
        Action, Decision, Target, Work, Write,
        admit::{Asked, Newcomer, Operation, Request, Residents, Town, Verdict, mutate},
        plan,
    },
    policy::{Policies, load_files},
};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const START: i64 = 1_770_000_000;
const SPACES: [&str; 2] = ["blue", "green"];
/// The host where those live whose host nobody chose; it is one of the policies'.
const PLATFORM: &str = "one.example";

/// What happened: the answer to a try, or an end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happened {
    Tried { at: i64, number: u64, answer: Result<(String, Vec<String>), String> },
    Ended { at: i64, number: u64, by_people: bool },
}

#[derive(Default)]
struct Log(Vec<Happened>);

impl Watch for Log {
    fn tried(&mut self, number: u64, at: i64, answer: Result<&Asked, &str>) {
        let answer = answer.map(|asked| (format!("{:?}", asked.claim), asked.warnings.clone())).map_err(str::to_owned);
        self.0.push(Happened::Tried { at, number, answer });
    }

    fn ended(&mut self, number: u64, at: i64, by_people: bool) {
        self.0.push(Happened::Ended { at, number, by_people });
    }
}

fn simulated(policies: &Policies, setting: &Setting, arrivals: &[Arrival]) -> Vec<Happened> {
    let mut simulation = Simulation::watched(policies, setting, Log::default());
    arrivals.iter().for_each(|arrival| simulation.arrive(arrival));
    let (figures, Log(mut log)) = simulation.finish();
    assert_eq!(figures.admitted + figures.turned_away(), arrivals.len() as u64);
    assert_eq!(figures.expired + figures.deleted, figures.admitted, "everybody who came is gone");
    log.sort();
    log
}

/// A cluster with a webhook and a daemon, as slow as they are, and with nobody in it.
struct Cluster<'a> {
    policies: &'a Policies,
    setting: &'a Setting,
    now: i64,
    clones: BTreeMap<String, (u64, Value)>,
    state: crate::model::State,
    /// When people delete a clone.
    uses: BTreeMap<String, i64>,
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
            let changed =
                plan.decisions.iter().filter(|decision| decision.effective()).fold(false, |changed, decision| self.carry_out(decision) || changed);
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
        let clone = WordPressClone::read(&object).unwrap();
        let Some(host) = clone.database.host() else { return };
        let kept = self.policies.hosts.iter().any(|known| known.credentials_dir.is_some() && known.address() == **host);
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
            let address = host.address();
            let left = self.left.iter().filter(|(at, ..)| *at == address).map(|(_, name, _)| name.clone());
            let own = clones
                .iter()
                .filter(|clone| clone.database.host().is_some_and(|at| **at == address))
                .filter_map(|clone| schema_name(&clone.meta.uid));
            hosts.insert(address.clone(), HostRoom { names: own.chain(left).collect(), ..HostRoom::default() });
        }
        let platform = BTreeMap::from([("sharedDatabase.host", PLATFORM.to_owned())]);
        let (namespaces, needs) = (Arc::new(self.setting.namespaces.clone()), self.setting.needs.clone());
        Residents { clones, namespaces, needs, platform, hosts, ..Residents::default() }
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
            self.clones.insert(path.clone(), (number, self.stored(&request, &verdict, number)));
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

fn planned(policies: &Policies, setting: &Setting, arrivals: &[Arrival]) -> Vec<Happened> {
    let mut cluster = Cluster {
        policies,
        setting,
        now: START - 1,
        clones: BTreeMap::new(),
        state: crate::model::State::default(),
        uses: BTreeMap::new(),
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

fn policies(rules: &[String; 2]) -> Policies {
    let host = |name: &str, schemas: u32, more: &str| {
        format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: {name}}}\nspec: {{endpoint: {name}.example, schemas: {schemas}{more}}}\n---\n"
        )
    };
    let hosts = host("one", 3, ", credentialsDir: /one") + &host("two", 2, "");
    let policy = |(name, rules): (&str, &String)| {
        format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: {name}}}\nspec:\n  mode: enforce\n  namespaces: {{names: [{name}]}}\n{rules}---\n"
        )
    };
    let text = hosts + &SPACES.into_iter().zip(rules).map(policy).collect::<String>();
    load_files(vec![("all.yaml".to_owned(), text.into())]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The rules of one policy.
fn rules() -> impl Strategy<Value = String> {
    let ttl = prop_oneof![
        Just("  ttl: {minimum: 15m, default: 2h, maximum: 4h}\n"),
        Just("  ttl: {minimum: 1h, default: 1h, maximum: 1h, warnings: []}\n"),
        Just(""),
    ];
    let limits = prop_oneof![
        Just(""),
        Just("  limits: {clones: 3}\n"),
        Just("  limits: {clones: 4, dedicatedDatabases: 1, clonesPerOwner: 2, overflow: reap-newest}\n"),
        Just("  limits: {clonesPerOwner: 1}\n"),
        Just("  limits: {dedicatedDatabases: 0}\n"),
    ];
    let quota = prop_oneof![2 => Just(""), 1 => Just("  quota: {requests.cpu: \"1\"}\n"), 1 => Just("  quota: {cpu: \"2\", pods: \"3\"}\n")];
    let databases = prop_oneof![
        Just(""),
        Just("  databases:\n  - {name: all, use: shared, hosts: [two, one]}\n"),
        Just(
            "  databases:\n  - {name: critical, when: \"clone.labels['clonewarden.io/critical'] == 'true'\", use: dedicated, classes: [db.t3.micro, db.t3.small]}\n  - {name: rest, use: shared, hosts: [one]}\n"
        ),
        Just(
            "  databases:\n  - {name: room, when: \"hosts.one.free > 1 || clone.owner == 'ada'\", use: shared, hosts: [one]}\n  - {name: long, when: \"clone.spec.ttlSeconds >= 7200\", use: dedicated, serverless: {minACU: 0.5, maxACU: 2}}\n"
        ),
        Just(
            "  databases:\n  - {name: odd, when: \"1 / (size(clone.owner) - 3) > 0\", use: dedicated, classes: [db.t3.small]}\n  - {name: rest, when: \"clone.name.endsWith('1')\", use: shared, hosts: [two]}\n"
        ),
    ];
    let soak = prop_oneof![Just(""), Just("  orphans: {soak: 10m}\n")];
    (ttl, limits, quota, databases, soak).prop_map(|(ttl, limits, quota, databases, soak)| [ttl, limits, quota, databases, soak].concat())
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let one = (
        prop_oneof![3 => 0i64..1_200, 1 => Just(0), 1 => Just(3_600)],
        0..2_usize,
        proptest::option::weighted(0.2, 0..2_u8),
        prop_oneof![Just("ada"), Just("eve"), Just("robin")],
        proptest::option::of(prop_oneof![Just(600i64), Just(3_600), Just(7_200), Just(100_000)]),
        any::<bool>(),
        proptest::option::of(any::<bool>()),
        proptest::option::of(prop_oneof![Just("db.t3.small"), Just("db.m5.large")]),
        proptest::option::weighted(0.3, prop_oneof![Just(900i64), Just(3_600), Just(5_000)]),
    );
    proptest::collection::vec(one, 1..14).prop_map(|all| {
        let mut at = START;
        all.into_iter()
            .map(|(pause, space, name, owner, ttl, critical, dedicated, class, uses)| {
                at += pause;
                let labels = critical.then(|| (names::CRITICAL.to_owned(), "true".to_owned()));
                Arrival {
                    at: Timestamp::from_second(at).unwrap(),
                    namespace: SPACES[space].into(),
                    name: name.map(|name| format!("site-{name}").into()),
                    owner: owner.into(),
                    ttl: ttl.map(Span::seconds),
                    labels: Arc::new(labels.into_iter().collect()),
                    dedicated,
                    class: class.map(Into::into),
                    uses: uses.map(Span::seconds),
                }
            })
            .collect()
    })
}

fn setting(retry: bool) -> Setting {
    let needs = BTreeMap::from([("requests.cpu", "250m"), ("pods", "1")].map(|(name, amount)| (name.to_owned(), Quantity::parse(amount).unwrap())));
    let retry = retry.then(|| Retry { every: Span::minutes(7), patience: Span::minutes(30) });
    Setting { needs, host: Some(host_address(PLATFORM, None)), retry, ..Setting::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Who gets in, what they get, what they are told, when they end: as by the webhook and by full plans.
    #[test]
    fn a_simulation_decides_what_a_cluster_decides(blue in rules(), green in rules(), arrivals in arrivals(), retry in any::<bool>()) {
        let (policies, setting) = (policies(&[blue, green]), setting(retry));
        prop_assert_eq!(simulated(&policies, &setting, &arrivals), planned(&policies, &setting, &arrivals));
    }

    /// Money is conserved: what the curve comes to is what the clones and what they left behind have cost.
    #[test]
    fn the_curve_is_the_bill(blue in rules(), green in rules(), arrivals in arrivals(), orphans in 0u16..1_000) {
        let policies = policies(&[blue, green]);
        let setting = Setting { orphans, ..setting(true) };
        let mut simulation = Simulation::new(&policies, &setting);
        arrivals.iter().for_each(|arrival| simulation.arrive(arrival));
        let (figures, ()) = simulation.finish();
        prop_assert_eq!(super::report::area(&figures).normalize(), figures.costs.and(figures.orphan_costs).total.normalize());
        prop_assert_eq!(figures.curve.points.iter().map(|point| point.clone_seconds).sum::<u64>(), figures.clone_seconds);
    }
}
