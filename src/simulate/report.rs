//! What came of a trace, as a document.

use super::{curve::dollars, tally::Figures};
use crate::{
    cost::rates::HOURS_A_MONTH,
    model::{duration::human, month::Costs},
};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// One set of policies, and what came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The folder of the policies.
    pub folder: String,
    /// Their revision.
    pub revision: String,
    /// What came of it.
    pub figures: Figures,
}

/// An amount for a whole simulation, as one for a month of 730 hours; what is beyond counting is the most that can be counted.
#[must_use]
pub fn a_month(usd: Decimal, figures: &Figures) -> Decimal {
    if figures.hours().is_zero() {
        return Decimal::ZERO;
    }
    let hour = usd.checked_div(figures.hours());
    hour.and_then(|hour| hour.checked_mul(HOURS_A_MONTH)).map_or(Decimal::MAX, |month| month.round_dp(2).normalize())
}

/// A moment, of seconds since 1970.
#[must_use]
pub fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or_default()
}

/// A length of time as people write it.
#[must_use]
pub fn length(seconds: i64) -> String {
    human(SignedDuration::from_secs(seconds))
}

impl Outcome {
    /// As a document, the curve included.
    #[must_use]
    pub fn document(&self) -> Value {
        let of = &self.figures;
        let denied: Vec<Value> = of
            .denied
            .iter()
            .map(|((code, field), denied)| {
                let mut out = Map::from_iter([("code".to_owned(), json!(code))]);
                if !field.is_empty() {
                    out.insert("field".to_owned(), json!(field));
                }
                out.insert("arrivals".to_owned(), json!(denied.arrivals));
                out.insert("tries".to_owned(), json!(denied.tries));
                Value::Object(out)
            })
            .collect();
        let points: Vec<Value> = (of.curve.points.iter().zip(0_i64..))
            .map(|(point, number)| {
                let begins = of.curve.start.saturating_add(number.saturating_mul(of.curve.width));
                let width = of.curve.width;
                json!({"from": moment(begins), "living": text(point.living(width)), "peak": point.peak, "usdPerHour": text(point.per_hour(width))})
            })
            .collect();
        let waits = json!({
            "clones": of.waited(),
            "meanSeconds": of.mean_wait(),
            "p95Seconds": of.usual_wait(),
            "longestSeconds": of.waits.keys().next_back(),
        });
        json!({
            "folder": self.folder,
            "policyRevision": self.revision,
            "arrivals": of.arrivals,
            "ungoverned": of.ungoverned,
            "admitted": of.admitted,
            "warned": of.warned,
            "turnedAway": of.turned_away(),
            "denied": denied,
            "waits": waits,
            "ended": {"expired": of.expired, "deletedByPeople": of.deleted},
            "peak": {"clones": of.peak, "at": moment(of.peak_at)},
            "orphans": of.orphans,
            "cloneHours": text(Decimal::new(i64::try_from(of.clone_seconds).unwrap_or(i64::MAX), 0).checked_div(Decimal::from(3_600)).unwrap_or_default().round_dp(2)),
            "simulatedHours": text(of.hours().round_dp(2)),
            "usd": {"clones": costs(of.costs), "orphans": costs(of.orphan_costs), "platform": self.bill(|usd| usd.round_dp(4))},
            "usdPerMonth": {
                "clones": costs(of.costs.times(self.factor())),
                "orphans": costs(of.orphan_costs.times(self.factor())),
                "platform": self.bill(|usd| a_month(usd, of)),
            },
            "unpriced": of.unpriced,
            "curve": {"seconds": of.curve.width, "points": points},
        })
    }

    fn factor(&self) -> Decimal {
        HOURS_A_MONTH.checked_div(self.figures.hours()).unwrap_or_default()
    }

    fn bill(&self, with: impl Fn(Decimal) -> Decimal) -> Value {
        let bill = &self.figures.bill;
        let hosts: Map<String, Value> = bill.hosts.iter().map(|(name, usd)| (name.clone(), json!(text(with(*usd))))).collect();
        json!({
            "total": text(with(bill.total())), "fixed": text(with(bill.fixed)), "nodes": text(with(bill.nodes)), "hosts": hosts,
            "databases": text(with(bill.databases)),
        })
    }
}

fn costs(costs: Costs) -> Value {
    let costs = costs.rounded();
    json!({
        "total": text(costs.total), "databases": text(costs.databases), "storage": text(costs.storage), "compute": text(costs.compute),
        "fixed": text(costs.fixed),
    })
}

/// As everywhere, money is a decimal text.
fn text(amount: Decimal) -> String {
    amount.normalize().to_string()
}

/// What the curve comes to, USD.
#[must_use]
pub fn area(figures: &Figures) -> Decimal {
    dollars(figures.curve.points.iter().fold(0_i128, |sum, point| sum.saturating_add(point.picos)))
}
