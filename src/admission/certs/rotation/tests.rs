use super::*;
use crate::{
    admission::certs::{
        bundle::Bundle,
        tests::{at, names},
        x509,
    },
    rng::Rng,
};
use rustls::pki_types::CertificateDer;

const DAY: i64 = 86_400;
/// Five years and ninety days, with the hour by which they are backdated.
const CA_DAYS: i64 = 1825;

fn day(days: i64) -> Timestamp {
    Timestamp::from_second(days * DAY).unwrap()
}

fn dates(from: i64, to: i64) -> Validity {
    Validity { from: day(from).checked_sub(BACKDATED).unwrap(), to: day(to) }
}

fn ca(id: &str, from: i64) -> Authority {
    Authority { id: id.to_owned(), dates: dates(from, from + CA_DAYS), signs: true }
}

fn served(by: &str, from: i64) -> Option<Served> {
    Some(Served { by: by.to_owned(), dates: dates(from, from + 90), named: true })
}

fn held(ids: &[(&str, u64)]) -> Held {
    ids.iter().map(|(id, seconds)| ((*id).to_owned(), Duration::from_secs(*seconds))).collect()
}

fn only(ids: &[&str]) -> Step {
    Step::Forget { only: ids.iter().map(|id| (*id).to_owned()).collect() }
}

#[test]
fn what_is_due_is_done() {
    let lost = |ca: Authority| Authority { signs: false, ..ca };
    let unnamed = |served: Option<Served>| served.map(|served| Served { named: false, ..served });
    let new_ca = |serving_too| Step::NewCa { serving_too };
    let issue = |by| Step::IssueServing { by };
    let a = || vec![ca("a", 0)];
    let ba = || vec![ca("b", 1300), ca("a", 0)];
    let cases = [
        // Nothing there, or nothing that is any good: at once.
        ("absent", vec![], None, held(&[]), day(0), new_ca(true)),
        ("the certificate alone is lost", a(), None, held(&[]), day(1), issue(0)),
        ("the key alone is lost", vec![lost(ca("a", 0))], served("a", 0), held(&[]), day(1), new_ca(false)),
        ("key and certificate are lost", vec![lost(ca("a", 0))], None, held(&[]), day(1), new_ca(true)),
        ("of a CA that nobody trusts", a(), served("z", 0), held(&[]), day(1), issue(0)),
        ("slept through its end", a(), served("a", 0), held(&[]), day(91), issue(0)),
        ("slept through the CA's end", a(), served("a", 1700), held(&[("a", 99)]), day(1826), new_ca(true)),
        ("a clock that was ahead", vec![ca("a", 50)], None, held(&[]), day(1), new_ca(true)),
        // An ordinary life.
        ("just made", a(), served("a", 0), held(&[]), day(0), Step::Keep),
        ("not yet two thirds", a(), served("a", 0), held(&[("a", 99)]), day(59), Step::Keep),
        ("two thirds", a(), served("a", 0), held(&[("a", 30)]), day(60), issue(0)),
        ("two thirds, trusted too short", a(), served("a", 0), held(&[("a", 29)]), day(60), Step::Keep),
        ("a name is missing", a(), unnamed(served("a", 0)), held(&[("a", 30)]), day(1), issue(0)),
        // From one CA to the next.
        ("the CA's two thirds", a(), served("a", 1200), held(&[("a", 99)]), day(1217), new_ca(false)),
        ("a new CA waits", ba(), served("a", 1290), held(&[("a", 99), ("b", 29)]), day(1300), Step::Keep),
        ("nobody knows who is trusted", ba(), served("a", 1290), held(&[]), day(1300), Step::Keep),
        ("the old one goes on meanwhile", ba(), served("a", 1290), held(&[("a", 99)]), day(1351), issue(1)),
        ("the old one names what is missing", ba(), unnamed(served("a", 1290)), held(&[("a", 99)]), day(1300), issue(1)),
        ("it would gain nothing", vec![ca("b", 1700), ca("a", 0)], served("a", 1735), held(&[("a", 99)]), day(1800), Step::Keep),
        ("the new one takes over", ba(), served("a", 1290), held(&[("a", 99), ("b", 30)]), day(1300), issue(0)),
        ("nothing served is good, the old one is trusted", ba(), None, held(&[("a", 99)]), day(1300), issue(1)),
        ("nothing served is good, none is trusted", ba(), None, held(&[]), day(1300), issue(0)),
        ("the old one's certificates may still be served", ba(), served("b", 1301), held(&[]), day(1301), Step::Keep),
        ("an hour later", ba(), served("b", 1301), held(&[]), day(1301).checked_add(OVERLAP).unwrap(), only(&["b"])),
        ("one that has ended", vec![ca("b", 1300), ca("a", 1200), ca("z", -600)], served("a", 1290), held(&[]), day(1300), only(&["a", "b"])),
    ];
    for (what, cas, serving, held, now, step) in cases {
        assert_eq!(next(&View { cas, serving }, &held, now), step, "{what}");
    }
}

#[test]
fn a_ca_is_held_from_when_it_was_first_seen_without_a_break() {
    let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    let seconds = Duration::from_secs;
    let mut sightings = Sightings::default();
    sightings.saw(&set(&["a"]), seconds(5));
    sightings.saw(&set(&["a", "b"]), seconds(15));
    assert_eq!(sightings.held(seconds(20)), held(&[("a", 15), ("b", 5)]));
    sightings.saw(&set(&["b"]), seconds(25));
    sightings.saw(&set(&["a", "b"]), seconds(35));
    assert_eq!(sightings.held(seconds(35)), held(&[("a", 0), ("b", 20)]));
    sightings.saw_nothing();
    assert_eq!(sightings.held(seconds(40)), held(&[]));
}

/// A replica: what it read of the Secret last, and when it reads next.
#[derive(Clone, Default)]
struct Replica {
    bundle: Option<Bundle>,
    reads: i64,
}

/// The Secret, an API server that trusts what it was last given, and replicas that read with delays.
struct World {
    rng: Rng,
    now: i64,
    secret: Bundle,
    trusted: Vec<u8>,
    /// When the API server is told of the bundle as it was then.
    patch: Option<(i64, Vec<u8>)>,
    replicas: Vec<Replica>,
    /// Until when a certificate is known to verify under a bundle: signatures are not checked again at every step.
    verified: BTreeMap<(Vec<u8>, Vec<u8>), (Timestamp, Timestamp)>,
    /// How many certificates and CAs there were.
    made: BTreeSet<Vec<u8>>,
    cas: BTreeSet<String>,
}

type Decide = fn(&View, &Held, Timestamp) -> Step;

impl World {
    fn new(seed: u64) -> Self {
        let now = at("2026-02-05T16:30:00Z");
        let secret = Bundle::default().after(Step::NewCa { serving_too: true }, &names(), now).unwrap().unwrap();
        let trusted = secret.material().unwrap().ca;
        let replicas = vec![Replica { bundle: Some(secret.clone()), reads: 0 }; 3];
        let now = now.as_second();
        let (verified, made, cas) = Default::default();
        Self { rng: Rng::new(seed), now, secret, trusted, patch: None, replicas, verified, made, cas }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.now).unwrap()
    }

    /// One turn of the holder, who is the first replica.
    fn lead(&mut self, decide: Decide, sightings: &mut Sightings) {
        let (now, monotonic) = (self.now(), Duration::from_secs(self.now.unsigned_abs()));
        let seen: Vec<_> = x509::certificates(&self.trusted, "").unwrap();
        sightings.saw(&seen.iter().map(|ca| x509::fingerprint(ca)).collect(), monotonic);
        let view = self.secret.view(&names());
        self.cas.extend(view.cas.iter().map(|ca| ca.id.clone()));
        if let Some(next) = self.secret.after(decide(&view, &sightings.held(monotonic), now), &names(), now).unwrap() {
            // As it is read back.
            self.secret = Bundle::read(&next.data().unwrap(), now);
            self.replicas[0].bundle = Some(self.secret.clone());
            for replica in &mut self.replicas[1..] {
                replica.reads = self.now + i64::try_from(self.rng.between(0, 12)).unwrap();
            }
        }
        let wanted = self.secret.material().unwrap().ca;
        if self.patch.is_none() && wanted != self.trusted {
            let longest = *self.rng.pick(&[0, 40, 86_400, 80 * 86_400]).unwrap();
            self.patch = Some((self.now + i64::try_from(self.rng.between(0, longest)).unwrap(), wanted));
        }
    }

    fn others(&mut self) {
        if self.patch.as_ref().is_some_and(|(due, _)| *due <= self.now) {
            self.trusted = self.patch.take().unwrap().1;
        }
        let (now, secret) = (self.now, &self.secret);
        for replica in self.replicas.iter_mut().filter(|replica| replica.reads <= now) {
            replica.bundle = Some(secret.clone());
            replica.reads = i64::MAX;
        }
    }

    /// Everything that is served verifies for everybody.
    fn check(&mut self) -> Result<(), String> {
        let now = self.now();
        let materials: Vec<_> = self.replicas.iter().map(|replica| replica.bundle.as_ref().unwrap().material().unwrap()).collect();
        for served in &materials {
            self.made.insert(served.certificate.clone());
            for bundle in materials.iter().map(|material| &material.ca).chain([&self.trusted]) {
                let key = (served.certificate.clone(), bundle.clone());
                if self.verified.get(&key).is_some_and(|(from, to)| *from <= now && now <= *to) {
                    continue;
                }
                let chain = x509::certificates(&served.certificate, "").unwrap();
                let cas: Vec<CertificateDer<'_>> = x509::certificates(bundle, "").unwrap();
                let by = x509::vouching(&chain, &cas, now).map_err(|flaw| format!("{now}: {flaw}"))?;
                let (leaf, ca) = (x509::validity(&chain[0]).unwrap(), x509::validity(&cas[by]).unwrap());
                self.verified.insert(key, (leaf.from.max(ca.from), leaf.to.min(ca.to)));
            }
        }
        Ok(())
    }

    /// Years of it. Steps are of seconds while something is on its way, else of hours and days.
    fn live(mut self, decide: Decide, years: i64) -> Result<(usize, usize), String> {
        let mut sightings = Sightings::default();
        let end = self.now + years * 365 * DAY;
        while self.now < end {
            self.check()?;
            self.lead(decide, &mut sightings);
            self.check()?;
            // A patch that is late is late by hours; there is nothing to see in every second of them.
            let soon = self.replicas.iter().any(|replica| replica.reads != i64::MAX);
            let near = self.patch.as_ref().is_some_and(|(due, _)| *due - self.now < 60);
            let waits = self.secret.view(&names()).serving.unwrap().by != self.secret.view(&names()).cas[0].id;
            let longest = if soon || near {
                10
            } else if waits {
                40_000
            } else {
                3 * 86_400
            };
            self.now += i64::try_from(self.rng.between(1, longest)).unwrap();
            self.others();
            if self.rng.chance(20) {
                // Another one becomes the holder: it has seen nothing yet.
                sightings = Sightings::default();
            }
        }
        assert!(self.secret.view(&names()).cas.len() <= 2, "CAs that sign nothing are let go");
        Ok((self.made.len(), self.cas.len()))
    }
}

#[test]
fn no_connection_breaks_in_any_rotation() {
    for seed in 0..4 {
        let (certificates, cas) = World::new(seed).live(next, 11).unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
        assert!(certificates >= 55 && cas >= 4, "seed {seed}: {certificates} certificates of {cas} CAs are not what eleven years need");
    }
}

/// A bug for each half of the invariant, which the world above must notice.
#[test]
fn impatience_is_noticed() {
    fn signs_at_once(view: &View, _: &Held, now: Timestamp) -> Step {
        let all: Held = view.cas.iter().map(|ca| (ca.id.clone(), SETTLED)).collect();
        next(view, &all, now)
    }
    fn forgets_at_once(view: &View, held: &Held, now: Timestamp) -> Step {
        let (Some(newest), Some(served)) = (view.cas.first(), &view.serving) else { return next(view, held, now) };
        if view.cas.len() > 1 && served.by == newest.id {
            return Step::Forget { only: [newest.id.clone()].into() };
        }
        next(view, held, now)
    }
    fn replaces_the_ca(view: &View, held: &Held, now: Timestamp) -> Step {
        match next(view, held, now) {
            Step::NewCa { .. } => Step::NewCa { serving_too: true },
            step => step,
        }
    }
    for (what, bug) in [("signs", signs_at_once as Decide), ("forgets", forgets_at_once), ("replaces", replaces_the_ca)] {
        let noticed = (0..3).filter(|seed| World::new(*seed).live(bug, 5).is_err()).count();
        assert!(noticed > 0, "{what}: noticed in {noticed} of 3 worlds");
    }
}
