//! Makes a trace: arrivals at random times, as many as a rate says, with a mix of lives, owners and namespaces.
//!
//! Contract: the same recipe gives the same trace. Arrivals are a Poisson process: what somebody does says nothing about when the next
//! one comes. A working day is made by leaving out of a steady stream.

use super::trace::{Arrival, Labels};
use crate::{
    model::{Span, names},
    rng::Rng,
};
use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use std::sync::Arc;

/// Outside of working hours so many of a thousand come that would come within them.
const AT_NIGHT: u64 = 100;

/// When people come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// At any hour alike.
    #[default]
    Steady,
    /// From Monday to Friday between 8 and 18 o'clock (UTC); a tenth of that at other times.
    WorkingDay,
}

/// Things with their weights.
pub type Mix<T> = Vec<(T, u64)>;

/// What a trace is made from.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The first moment.
    pub start: Timestamp,
    /// How long it goes on.
    pub lasts: Span,
    /// At most so many arrivals; 0: as many as come.
    pub most: u64,
    /// Arrivals an hour; in working hours, if there are any.
    pub per_hour: f64,
    /// When people come.
    pub shape: Shape,
    /// Namespaces.
    pub namespaces: Mix<Arc<str>>,
    /// How long clones are to live; `None`: they do not say.
    pub ttl: Mix<Option<Span>>,
    /// So many of a thousand are labelled as critical.
    pub critical: u16,
    /// So many of a thousand are deleted by their people before their end.
    pub early: u16,
    /// How many people there are.
    pub owners: u64,
    /// Where the numbers come from.
    pub seed: u64,
}

/// The arrivals of a recipe, one by one.
#[derive(Debug)]
pub struct Maker {
    recipe: Recipe,
    rng: Rng,
    /// Seconds since the start, with their fractions: whole ones would lose those that come in the same second.
    at: f64,
    made: u64,
    owners: Vec<Arc<str>>,
    critical: Arc<Labels>,
    usual: Arc<Labels>,
}

impl Maker {
    /// Begins a trace.
    #[must_use]
    pub fn new(recipe: Recipe) -> Self {
        let owners = (1..=recipe.owners.clamp(1, 100_000)).map(|number| format!("person-{number}").into()).collect();
        let critical = Arc::new(Labels::from([(names::CRITICAL.to_owned(), "true".to_owned())]));
        Self { rng: Rng::new(recipe.seed), at: 0.0, made: 0, owners, critical, usual: Arc::default(), recipe }
    }

    /// The time until the next arrival of a steady stream, in seconds.
    fn pause(&mut self) -> f64 {
        // 53 bits and never zero, whose logarithm there is not.
        let uniform = ((self.rng.bits() >> 11) as f64 + 1.0) / 9_007_199_254_740_993.0;
        -uniform.ln() * 3_600.0 / self.recipe.per_hour
    }

    fn is_awake(&mut self, at: Timestamp) -> bool {
        if self.recipe.shape == Shape::Steady {
            return true;
        }
        let time = at.to_zoned(TimeZone::UTC);
        let weekend = matches!(time.weekday(), Weekday::Saturday | Weekday::Sunday);
        let works = !weekend && (8..18).contains(&time.hour());
        works || self.rng.below(1_000) < AT_NIGHT
    }
}

impl Iterator for Maker {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let usable = self.recipe.per_hour.is_finite() && self.recipe.per_hour > 0.0;
        if !usable || (self.recipe.most > 0 && self.made >= self.recipe.most) {
            return None;
        }
        let at = loop {
            self.at += self.pause();
            if self.at >= self.recipe.lasts.as_secs() as f64 {
                return None;
            }
            let at = Timestamp::from_second(self.recipe.start.as_second().checked_add(self.at as i64)?).ok()?;
            if self.is_awake(at) {
                break at;
            }
        };
        self.made = self.made.saturating_add(1);
        let namespace = pick(&mut self.rng, &self.recipe.namespaces)?;
        let ttl = pick(&mut self.rng, &self.recipe.ttl).flatten();
        let owner = Arc::clone(self.rng.pick(&self.owners)?);
        let labels = Arc::clone(if self.rng.chance(self.recipe.critical) { &self.critical } else { &self.usual });
        let early = self.rng.chance(self.recipe.early);
        let whole = ttl.map_or(7_200, Span::as_secs).unsigned_abs();
        let uses = i64::try_from(self.rng.between(1, whole.max(1))).ok().filter(|_| early).map(Span::seconds);
        Some(Arrival { at, namespace, name: None, owner, ttl, labels, dedicated: None, class: None, uses })
    }
}

fn pick<T: Clone>(rng: &mut Rng, mix: &Mix<T>) -> Option<T> {
    let mut left = rng.below(mix.iter().fold(0_u64, |sum, (_, weight)| sum.saturating_add(*weight)));
    for (thing, weight) in mix {
        if left < *weight {
            return Some(thing.clone());
        }
        left = left.saturating_sub(*weight);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::trace::{Reader, write};

    fn recipe() -> Recipe {
        Recipe {
            start: "2026-02-02T00:00:00Z".parse().unwrap(),
            lasts: Span::hours(24 * 28),
            most: 0,
            per_hour: 30.0,
            shape: Shape::Steady,
            namespaces: vec![("wordpress-production".into(), 9), ("wordpress-staging".into(), 1)],
            ttl: vec![(Some(Span::hours(2)), 3), (None, 1)],
            critical: 200,
            early: 500,
            owners: 20,
            seed: 7,
        }
    }

    fn share(of: &[Arrival], is: impl Fn(&Arrival) -> bool) -> f64 {
        of.iter().filter(|arrival| is(arrival)).count() as f64 / of.len() as f64
    }

    #[test]
    fn a_recipe_gives_one_trace_and_what_it_says() {
        let made: Vec<Arrival> = Maker::new(recipe()).collect();
        assert_eq!(made, Maker::new(recipe()).collect::<Vec<_>>());
        assert_ne!(made, Maker::new(Recipe { seed: 8, ..recipe() }).collect::<Vec<_>>());
        // 20,160 on average; a hundred and forty is one deviation.
        assert!((19_600..20_700).contains(&made.len()), "{}", made.len());
        for (what, is, about) in [
            ("staging", share(&made, |arrival| &*arrival.namespace == "wordpress-staging"), 0.1),
            ("critical", share(&made, |arrival| !arrival.labels.is_empty()), 0.2),
            ("no TTL", share(&made, |arrival| arrival.ttl.is_none()), 0.25),
            ("early", share(&made, |arrival| arrival.uses.is_some()), 0.5),
            ("of one of 20", share(&made, |arrival| &*arrival.owner == "person-7"), 0.05),
        ] {
            assert!((is - about).abs() < 0.02, "{what}: {is}");
        }
        let mut reader = Reader::default();
        for arrival in &made {
            assert_eq!(reader.read(&write(arrival)).unwrap().as_ref(), Some(arrival));
        }
        assert_eq!(Maker::new(Recipe { most: 100, ..recipe() }).count(), 100);
        assert_eq!(Maker::new(Recipe { per_hour: 0.0, ..recipe() }).count(), 0);
    }

    #[test]
    fn on_working_days_people_come_by_day() {
        let made: Vec<Arrival> = Maker::new(Recipe { shape: Shape::WorkingDay, ..recipe() }).collect();
        let by_day = share(&made, |arrival| {
            let time = arrival.at.to_zoned(TimeZone::UTC);
            (8..18).contains(&time.hour()) && time.weekday().to_monday_one_offset() <= 5
        });
        // 50 of the 168 hours of a week at full rate, the others at a tenth.
        assert!((by_day - 50.0 / 61.8).abs() < 0.03, "{by_day}");
    }
}
