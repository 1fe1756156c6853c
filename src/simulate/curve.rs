//! How many lived and what they cost, hour by hour, in a space that does not grow: where a trace is longer than there are points, each
//! point stands for twice the time.

use rust_decimal::Decimal;

/// The most points.
const POINTS: usize = 1_024;
/// The seconds of the first points.
const HOUR: i64 = 3_600;

/// What happened in the time of one point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Point {
    /// How long clones lived, together, in seconds.
    pub clone_seconds: u64,
    /// The most that lived at once.
    pub peak: u32,
    /// What they cost, in millionths of a millionth of a dollar.
    pub picos: i128,
}

/// A curve over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curve {
    /// Where it begins: seconds since 1970.
    pub start: i64,
    /// The seconds of each point.
    pub width: i64,
    /// The points.
    pub points: Vec<Point>,
}

impl Curve {
    /// A curve that begins at the hour of this moment.
    #[must_use]
    pub fn from(moment: i64) -> Self {
        Self { start: moment.saturating_sub(moment.rem_euclid(HOUR)), width: HOUR, points: Vec::new() }
    }

    /// From one moment to a later one so many lived, at so much a second.
    pub fn add(&mut self, from: i64, to: i64, living: u32, picos_a_second: i128) {
        let mut from = from.max(self.start);
        while from < to {
            let mut at = self.index(from);
            while at >= POINTS {
                self.halve();
                at = self.index(from);
            }
            if self.points.len() <= at {
                self.points.resize(at.saturating_add(1), Point::default());
            }
            let passed = from.saturating_sub(self.start).rem_euclid(self.width);
            let until = to.min(from.saturating_add(self.width.saturating_sub(passed)));
            let seconds = until.saturating_sub(from);
            if let Some(point) = self.points.get_mut(at) {
                point.clone_seconds = point.clone_seconds.saturating_add(u64::from(living).saturating_mul(seconds.unsigned_abs()));
                point.peak = point.peak.max(living);
                point.picos = point.picos.saturating_add(picos_a_second.saturating_mul(seconds.into()));
            }
            from = until;
        }
    }

    fn index(&self, moment: i64) -> usize {
        usize::try_from(moment.saturating_sub(self.start).div_euclid(self.width)).unwrap_or_default()
    }

    fn halve(&mut self) {
        let pairs = self.points.chunks(2).map(|pair| {
            pair.iter().fold(Point::default(), |sum, point| Point {
                clone_seconds: sum.clone_seconds.saturating_add(point.clone_seconds),
                peak: sum.peak.max(point.peak),
                picos: sum.picos.saturating_add(point.picos),
            })
        });
        self.points = pairs.collect();
        self.width = self.width.saturating_mul(2);
    }
}

impl Point {
    /// How many lived on average, where a point has so many seconds.
    #[must_use]
    pub fn living(&self, width: i64) -> Decimal {
        Decimal::from(self.clone_seconds).checked_div(width.into()).unwrap_or_default().round_dp(2).normalize()
    }

    /// What they cost, USD an hour.
    #[must_use]
    pub fn per_hour(&self, width: i64) -> Decimal {
        let hours = Decimal::from(width).checked_div(HOUR.into()).unwrap_or_default();
        dollars(self.picos).checked_div(hours).unwrap_or_default().round_dp(6).normalize()
    }
}

/// An amount in millionths of a millionth as dollars.
#[must_use]
pub fn dollars(picos: i128) -> Decimal {
    Decimal::try_from_i128_with_scale(picos, 12).unwrap_or(Decimal::MAX)
}

/// The same the other way.
#[must_use]
pub fn picos(dollars: Decimal) -> i128 {
    let mut scaled = dollars.round_dp(12);
    scaled.rescale(12);
    if scaled.scale() == 12 { scaled.mantissa() } else { i128::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_point_is_an_hour_until_there_are_too_many() {
        let mut curve = Curve::from(7_300);
        assert_eq!(curve.start, 7_200);
        curve.add(7_300, 7_200 + 3_600 + 60, 3, 10);
        assert_eq!(curve.points, [Point { clone_seconds: 3 * 3_500, peak: 3, picos: 35_000 }, Point { clone_seconds: 180, peak: 3, picos: 600 }]);
        assert_eq!(curve.points[1].living(3_600).to_string(), "0.05");
        curve.add(7_200 + 1_023 * 3_600, 7_200 + 1_025 * 3_600, 1, 1);
        assert_eq!((curve.width, curve.points.len()), (7_200, 513));
        assert_eq!(dollars(picos("0.0201".parse().unwrap())).normalize().to_string(), "0.0201");
    }

    proptest! {
        /// Nothing is lost by making points wider, however time is cut.
        #[test]
        fn the_sum_is_what_was_added(steps in proptest::collection::vec((0i64..40_000, 0u32..9, 0i128..1_000_000_000), 1..200)) {
            let (mut curve, mut at, mut lived, mut cost) = (Curve::from(1_000), 1_000, 0_u64, 0_i128);
            for (seconds, living, picos) in steps {
                curve.add(at, at + seconds * 50, living, picos);
                (at, lived, cost) = (at + seconds * 50, lived + u64::from(living) * seconds.unsigned_abs() * 50, cost + picos * i128::from(seconds) * 50);
            }
            prop_assert_eq!(curve.points.iter().map(|point| point.clone_seconds).sum::<u64>(), lived);
            prop_assert_eq!(curve.points.iter().map(|point| point.picos).sum::<i128>(), cost);
            prop_assert!(curve.points.len() <= POINTS);
        }
    }
}
