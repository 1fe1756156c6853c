//! The ledger of promised places, model-checked: every order of reads, writes, answers, creations, sights, deletions, crashes and
//! lost acknowledgements of two replicas is tried, and in none are there more clones in etcd than the cap.
//!
//! What a replica decides is decided by the product's own functions (`admit::mutate`, `Ledger`); the order in which it reads,
//! writes and answers is written down here as in `src/admission/reservations.rs`. Both replicas may believe that they hold the
//! lease at any time: exactness must not rest on it. Each planted bug breaks one rule of that file, and the checker finds it.

#![expect(clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "a mistake in the model ends the check")]

use clonewarden::{
    admission::ledger::Ledger,
    model::{WordPressClone, names},
    plan::admit::{self, Claim, Operation, Request, Residents, Town},
    policy::{Policies, load_files},
};
use serde_json::{Value, json};
use stateright::{Checker, Model, Property};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

const NAMESPACE: &str = "n";
/// How many clones there may be, under how many names they are asked for, and how often.
const CAP: usize = 1;
const NAMES: u8 = 2;
const ASKS: u8 = 3;
/// How often a replica takes over, an acknowledgement is lost, a clone is deleted, and a replica crashes.
const TERMS: u64 = 2;
const LOSSES: u8 = 1;
const DELETES: u8 = 1;
const CRASHES: u8 = 1;

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// The answer is given before the ledger is written.
    AnswerFirst,
    /// A new holder lists the clones before its term is written.
    ListFirst,
    /// A new holder begins with an empty ledger.
    ForgetPromises,
    /// A promise lapses while its creation may still come.
    LapseEarly,
    /// The ledger is written whatever version it has by now.
    NoCompare,
}

struct World {
    bug: Option<Bug>,
    policies: Policies,
    /// Judgements that were made before: they depend on nothing but who lives, what is promised, and the name.
    judged: Mutex<HashMap<Question, bool>>,
    /// The clones that live, as the product reads them.
    read: Mutex<HashMap<Vec<Born>, Arc<Residents>>>,
}

/// A name and the reservation it was let in on.
type Born = (u8, u8);
/// Who lives, what is promised, and who asks.
type Question = (Vec<Born>, Vec<String>, u8);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    /// The ConfigMap.
    ledger: Ledger,
    version: u8,
    /// What has happened to clones in etcd, in that order: who came and who went.
    history: Vec<(Born, bool)>,
    /// Creations that were answered with yes and may still reach etcd.
    under_way: Vec<Born>,
    replicas: [Replica; 2],
    asked: u8,
    lost: u8,
    deleted: u8,
    crashed: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Replica {
    /// It does not hold the lease; with the bug, it has listed the clones already.
    Standby(Option<usize>),
    /// It has read the ledger, to take it over.
    Reading { version: u8, ledger: Ledger, seen: Option<usize> },
    /// Its term is written; the clones are not listed yet.
    Begun { version: u8, ledger: Ledger },
    /// It judges.
    Holding { version: u8, ledger: Ledger, seen: usize, unwritten: Option<Born> },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    ListEarly(usize),
    Read(usize),
    Begin(usize),
    List(usize),
    Ask(usize, u8),
    Write(usize),
    /// Nothing waits for it: promises that were settled are taken out of the ConfigMap.
    Tidy(usize),
    /// The write happens, and nobody tells.
    WriteUnheard(usize),
    ReadBack(usize),
    /// Nobody knows whether it was written: nobody is told of the promise, and it is taken back.
    GiveUp(usize),
    See(usize),
    Lapse(usize, u8),
    Crash(usize),
    Arrive(Born),
    Fail(Born),
    Delete(u8),
}

fn living(history: &[(Born, bool)]) -> BTreeMap<u8, u8> {
    let mut there = BTreeMap::new();
    for ((name, reservation), came) in history {
        if *came {
            there.insert(*name, *reservation);
        } else {
            there.remove(name);
        }
    }
    there
}

fn residents(living: Vec<Born>) -> Residents {
    let object = |(name, reservation): (u8, u8)| {
        json!({
            "metadata": {"namespace": NAMESPACE, "name": format!("c{name}"), "uid": format!("u{reservation}"), "resourceVersion": "1",
                "creationTimestamp": "2026-02-05T14:30:22Z", "annotations": {names::RESERVATION: reservation.to_string(), names::OWNER: "ada"}},
            "spec": {"cloneId": format!("c{name}")},
        })
    };
    let clones = living.into_iter().map(|born| Arc::new(WordPressClone::read(&object(born)).expect("a clone")));
    Residents { clones: clones.collect(), ..Residents::default() }
}

fn request(name: u8) -> Request {
    let name = format!("c{name}");
    Request {
        operation: Operation::Create,
        namespace: NAMESPACE.into(),
        object: json!({"metadata": {"name": name, "namespace": NAMESPACE}, "spec": {"cloneId": name, "sourceUrl": "https://example.com"}}),
        name,
        user: "ada".into(),
        dry_run: false,
        old: Value::Null,
    }
}

impl World {
    fn new(bug: Option<Bug>) -> Self {
        let policy = format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\nspec: {{mode: enforce, namespaces: {{names: [{NAMESPACE}]}}, limits: {{clones: {CAP}}}}}\n"
        );
        let policies = load_files(vec![("p.yaml".into(), policy.into())]).unwrap_or_else(|problems| panic!("{problems}"));
        Self { bug, policies, judged: Mutex::default(), read: Mutex::default() }
    }

    fn residents(&self, history: &[(Born, bool)]) -> Arc<Residents> {
        let living: Vec<Born> = living(history).into_iter().collect();
        let mut read = self.read.lock().expect("nobody panics");
        Arc::clone(read.entry(living.clone()).or_insert_with(|| Arc::new(residents(living))))
    }

    /// What is answered to a creation, by the product's own judgement.
    fn judge(&self, ledger: &mut Ledger, seen: &[(Born, bool)], name: u8, reservation: u8) -> bool {
        let promised = ledger.claims.iter().map(|(reservation, claim)| format!("{reservation}={}", claim.name)).collect();
        let key = (living(seen).into_iter().collect(), promised, name);
        let town = self.residents(seen);
        let admitted = *self.judged.lock().expect("nobody panics").entry(key).or_insert_with(|| {
            let town = Town { policies: &self.policies, residents: &town, claims: &ledger.claims };
            admit::mutate(&request(name), town, "r").claim.is_some()
        });
        if admitted {
            let claim = Claim {
                namespace: NAMESPACE.into(),
                name: format!("c{name}"),
                owner: "ada".into(),
                dedicated: false,
                host: None,
                ..Claim::default()
            };
            ledger.claims.insert(reservation.to_string().into(), claim);
        }
        admitted
    }

    /// Writes a replica's ledger, if the ConfigMap still has that version.
    fn write(&self, state: &mut State, version: u8, ledger: &Ledger) -> Option<u8> {
        (state.version == version || self.bug == Some(Bug::NoCompare)).then(|| {
            state.version += 1;
            state.ledger = ledger.clone();
            state.version
        })
    }
}

impl Model for World {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            ledger: Ledger::default(),
            version: 0,
            history: Vec::new(),
            under_way: Vec::new(),
            replicas: [Replica::Standby(None), Replica::Standby(None)],
            asked: 0,
            lost: 0,
            deleted: 0,
            crashed: 0,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for (at, replica) in state.replicas.iter().enumerate() {
            match replica {
                Replica::Standby(_) if state.ledger.term >= TERMS => {}
                Replica::Standby(None) if self.bug == Some(Bug::ListFirst) => steps.push(Step::ListEarly(at)),
                Replica::Standby(_) => steps.push(Step::Read(at)),
                Replica::Reading { .. } => steps.push(Step::Begin(at)),
                Replica::Begun { .. } => steps.push(Step::List(at)),
                Replica::Holding { ledger, seen, unwritten, .. } => {
                    if unwritten.is_some() {
                        steps.extend([Step::Write(at), Step::ReadBack(at), Step::GiveUp(at)]);
                        steps.extend((state.lost < LOSSES).then_some(Step::WriteUnheard(at)));
                    } else {
                        steps.extend((0..NAMES).filter(|_| state.asked < ASKS).map(|name| Step::Ask(at, name)));
                        let reservations = ledger.claims.keys().filter_map(|text| text.parse().ok());
                        steps.extend(reservations.map(|reservation| Step::Lapse(at, reservation)));
                        let settled = ledger.term == state.ledger.term && ledger.claims.len() < state.ledger.claims.len();
                        steps.extend(settled.then_some(Step::Tidy(at)));
                    }
                    steps.extend((*seen < state.history.len()).then_some(Step::See(at)));
                    steps.extend((state.crashed < CRASHES).then_some(Step::Crash(at)));
                }
            }
        }
        steps.extend(state.under_way.iter().flat_map(|born| [Step::Arrive(*born), Step::Fail(*born)]));
        steps.extend(living(&state.history).into_keys().filter(|_| state.deleted < DELETES).map(Step::Delete));
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        match step {
            Step::ListEarly(at) => state.replicas[at] = Replica::Standby(Some(state.history.len())),
            Step::Read(at) => {
                let Replica::Standby(seen) = before.replicas[at] else { return None };
                state.replicas[at] = Replica::Reading { version: state.version, ledger: state.ledger.clone(), seen };
            }
            Step::Begin(at) => {
                let Replica::Reading { version, mut ledger, seen } = before.replicas[at].clone() else { return None };
                if self.bug == Some(Bug::ForgetPromises) {
                    ledger.claims.clear();
                }
                let ledger = ledger.taken_over(&at.to_string());
                state.replicas[at] = match self.write(&mut state, version, &ledger) {
                    None => Replica::Standby(None),
                    Some(version) => match seen {
                        Some(seen) => Replica::Holding { version, ledger, seen, unwritten: None },
                        None => Replica::Begun { version, ledger },
                    },
                };
            }
            Step::List(at) => {
                let Replica::Begun { version, ledger } = before.replicas[at].clone() else { return None };
                let mut ledger = ledger;
                ledger.settle(&self.residents(&state.history));
                state.replicas[at] = Replica::Holding { version, ledger, seen: state.history.len(), unwritten: None };
            }
            Step::Crash(at) => {
                state.replicas[at] = Replica::Standby(None);
                state.crashed += 1;
            }
            Step::Arrive((name, reservation)) => {
                state.under_way.retain(|born| *born != (name, reservation));
                if !living(&state.history).contains_key(&name) {
                    state.history.push(((name, reservation), true));
                }
            }
            Step::Fail(born) => state.under_way.retain(|other| *other != born),
            Step::Delete(name) => {
                let reservation = *living(&state.history).get(&name)?;
                state.history.push(((name, reservation), false));
                state.deleted += 1;
            }
            Step::Ask(at, _)
            | Step::Write(at)
            | Step::Tidy(at)
            | Step::WriteUnheard(at)
            | Step::ReadBack(at)
            | Step::GiveUp(at)
            | Step::See(at)
            | Step::Lapse(at, _) => {
                return self.hold(state, at, &step);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never more clones than the cap", |_, state: &State| living(&state.history).len() <= CAP),
            // The model would prove nothing if nobody ever got in, or if no place were ever given twice.
            Property::sometimes("a clone comes to be in a later term", |_, state: &State| {
                state.ledger.term > 1 && living(&state.history).len() == CAP
            }),
            Property::sometimes("a place is given again", |_, state: &State| state.history.iter().filter(|(_, came)| *came).count() > CAP),
        ]
    }
}

impl World {
    /// A step of a replica that holds.
    fn hold(&self, mut state: State, at: usize, step: &Step) -> Option<State> {
        let Replica::Holding { mut version, mut ledger, mut seen, mut unwritten } = state.replicas[at].clone() else { return None };
        match step {
            Step::Ask(_, name) => {
                let reservation = state.asked;
                state.asked += 1;
                if self.judge(&mut ledger, &state.history[..seen], *name, reservation) {
                    unwritten = Some((*name, reservation));
                    if self.bug == Some(Bug::AnswerFirst) {
                        state.under_way.push((*name, reservation));
                    }
                }
            }
            Step::Write(_) => match self.write(&mut state, version, &ledger) {
                Some(written) => {
                    version = written;
                    let born = unwritten.take()?;
                    if self.bug != Some(Bug::AnswerFirst) {
                        state.under_way.push(born);
                    }
                }
                // The next step reads it back: it may be our own write that nobody told us of.
                None => return None,
            },
            Step::Tidy(_) => version = self.write(&mut state, version, &ledger)?,
            Step::WriteUnheard(_) => {
                self.write(&mut state, version, &ledger)?;
                state.lost += 1;
            }
            Step::ReadBack(_) => {
                if (&state.ledger.holder, state.ledger.term) != (&ledger.holder, ledger.term) {
                    state.replicas[at] = Replica::Standby(None);
                    return Some(state);
                }
                if version == state.version {
                    return None;
                }
                version = state.version;
            }
            Step::GiveUp(_) => {
                let (_, reservation) = unwritten.take()?;
                ledger.claims.remove(reservation.to_string().as_str());
            }
            Step::See(_) => {
                seen += 1;
                ledger.settle(&self.residents(&state.history[..seen]));
            }
            Step::Lapse(_, reservation) => {
                let early = self.bug == Some(Bug::LapseEarly);
                if !early && state.under_way.iter().any(|(_, other)| other == reservation) {
                    return None;
                }
                let there = living(&state.history).values().any(|other| other == reservation);
                if !there {
                    ledger.claims.remove(reservation.to_string().as_str());
                }
            }
            _ => return None,
        }
        state.replicas[at] = Replica::Holding { version, ledger, seen, unwritten };
        Some(state)
    }
}

const ALWAYS: &str = "never more clones than the cap";

#[test]
fn no_order_of_events_lets_in_more_than_the_cap() {
    let checker = World::new(None).checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    checker.assert_properties();
    assert!(checker.unique_state_count() > 10_000, "the model has shrunk");
}

#[test]
fn each_planted_bug_is_found() {
    for bug in [Bug::AnswerFirst, Bug::ListFirst, Bug::ForgetPromises, Bug::LapseEarly, Bug::NoCompare] {
        let checker = World::new(Some(bug)).checker().threads(2).finish_when(stateright::HasDiscoveries::AnyOf([ALWAYS].into())).spawn_bfs().join();
        assert!(checker.discovery(ALWAYS).is_some(), "{bug:?} is not found");
    }
}
