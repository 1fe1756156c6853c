//! When what is renewed. Pure: it is told what the Secret holds, what the API server was seen to trust, and the time.
//!
//! **Invariant: at every moment every certificate that some replica serves verifies under every CA bundle that a client has.**
//! A client is the API server, which has the `caBundle` that it was last given, or another replica, which has the bundle of the
//! Secret as it was some seconds ago. Therefore
//!
//! 1. a new CA first only joins the bundle, in front; nothing is signed by it;
//! 2. it signs once *every* `caBundle` has held it for [`SETTLED`] without a break: as long as API servers take to hear of a
//!    change, and replicas to read the Secret. Nobody knows whether that is tomorrow. Until then the old CA keeps its key
//!    and goes on signing; only the CA that nobody trusts yet must wait;
//! 3. the old CA leaves the bundle [`OVERLAP`] after the last certificate of it was replaced, when no replica serves one any more.
//!
//! Where nothing that is served verifies anyway (the first start, an end that was slept through), nothing is waited for.

use super::{issue::BACKDATED, x509::Validity};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long a CA must have been in every `caBundle` before anything is signed by it. Replicas read the Secret every 10 s, and
/// an API server of several hears of a change by a watch, within seconds.
pub(super) const SETTLED: Duration = Duration::from_secs(30);
/// How long a CA is trusted after the last of its certificates was replaced. A replica that could not read the Secret for that
/// long has lost more than its certificate.
pub(super) const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// What a certificate of an older CA must gain to be worth making: such a CA nears its own end, and so do its certificates.
const WORTH: SignedDuration = SignedDuration::from_hours(24);

/// A CA of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) id: String,
    pub(super) dates: Validity,
    /// Its key is there.
    pub(super) signs: bool,
}

/// The certificate that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    /// The CA that signed it.
    pub(super) by: String,
    pub(super) dates: Validity,
    /// It carries every name that is wanted.
    pub(super) named: bool,
}

/// What there is: CAs, newest first, and what is served. Both only as far as they can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) cas: Vec<Authority>,
    pub(super) serving: Option<Served>,
}

/// What to do. Everything but `Keep` is one write of the Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, for now.
    Keep,
    /// Make a serving certificate, signed by this CA of the bundle. Signed by the first, the others lose their keys.
    IssueServing { by: usize },
    /// Make a CA and put it in front. Whether it signs a serving certificate at once, because none that is served is any good.
    NewCa { serving_too: bool },
    /// Trust these CAs only.
    Forget { only: BTreeSet<String> },
}

/// For how long each CA was seen in every `caBundle` without a break.
pub(super) type Held = BTreeMap<String, Duration>;

/// The next step.
pub(super) fn next(view: &View, held: &Held, now: Timestamp) -> Step {
    let good = view.serving.as_ref().filter(|served| served.dates.holds(now));
    let good = good.filter(|served| view.cas.iter().any(|ca| ca.id == served.by && ca.dates.holds(now)));
    let Some(newest) = view.cas.first().filter(|ca| ca.signs && ca.dates.holds(now) && !is_old(ca.dates, now)) else {
        return Step::NewCa { serving_too: good.is_none() };
    };
    let wanting = good.is_none_or(|served| !served.named || is_old(served.dates, now));
    if wanting || good.is_some_and(|served| served.by != newest.id) {
        let trusted = |ca: &Authority| held.get(&ca.id).is_some_and(|time| *time >= SETTLED);
        let by = view.cas.iter().position(|ca| ca.signs && ca.dates.holds(now) && trusted(ca));
        return match (by, good) {
            (Some(0), _) => Step::IssueServing { by: 0 },
            (Some(by), Some(served)) if wanting && (!served.named || gains(view, by, served)) => Step::IssueServing { by },
            (Some(by), None) => Step::IssueServing { by },
            (None, None) => Step::IssueServing { by: 0 },
            // The newest CA is not trusted everywhere yet, and what is served will do.
            (_, Some(served)) => forget(view, newest, served, now),
        };
    }
    good.map_or(Step::Keep, |served| forget(view, newest, served, now))
}

/// Lets CAs go that nobody needs.
fn forget(view: &View, newest: &Authority, served: &Served, now: Timestamp) -> Step {
    let issued = served.dates.from.checked_add(BACKDATED).unwrap_or(Timestamp::MAX);
    let over = served.by == newest.id && issued.checked_add(OVERLAP).is_ok_and(|over| over <= now);
    let needed = |ca: &&Authority| ca.id == newest.id || ca.id == served.by || (!over && now <= ca.dates.to);
    let only: BTreeSet<String> = view.cas.iter().filter(needed).map(|ca| ca.id.clone()).collect();
    if only.len() < view.cas.len() { Step::Forget { only } } else { Step::Keep }
}

fn gains(view: &View, by: usize, served: &Served) -> bool {
    let worth = served.dates.to.checked_add(WORTH).unwrap_or(Timestamp::MAX);
    view.cas.get(by).is_some_and(|ca| ca.dates.to >= worth)
}

/// Whether two thirds of its life are over.
fn is_old(dates: Validity, now: Timestamp) -> bool {
    let (life, lived) = (dates.to.duration_since(dates.from), now.duration_since(dates.from));
    lived.as_secs() >= life.as_secs() / 3 * 2
}

/// Remembers since when the API server was seen to trust which CA. By a monotonic clock, so that no clock that jumps makes
/// anybody believe that a bundle is old enough; and only in this process: a new holder of the lease begins to look anew.
#[derive(Debug, Default)]
pub(super) struct Sightings(BTreeMap<String, Duration>);

impl Sightings {
    /// These CAs are in every `caBundle` at this moment (of any monotonic clock).
    pub(super) fn saw(&mut self, everywhere: &BTreeSet<String>, at: Duration) {
        self.0.retain(|id, _| everywhere.contains(id));
        for id in everywhere {
            self.0.entry(id.clone()).or_insert(at);
        }
    }

    /// Nobody knows what the API server trusts now: what was seen before proves nothing any more.
    pub(super) fn saw_nothing(&mut self) {
        self.0.clear();
    }

    /// For how long each was seen by then.
    pub(super) fn held(&self, at: Duration) -> Held {
        self.0.iter().map(|(id, since)| (id.clone(), at.saturating_sub(*since))).collect()
    }
}

#[cfg(test)]
mod tests;
