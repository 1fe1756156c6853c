//! What AWS has billed, day by day, as Cost Explorer tells it: by service, and by the namespace that stands on what cost it.
//!
//! Contract: a day that was not told is not there; it is not zero. The sums of a month are exact: its services together, and its
//! namespaces with what carries none, are each its whole. Everything is bounded, since it is remembered in `clonewarden-state`.

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// The services that a month names; the others stand together.
const SERVICES: usize = 20;
/// The namespaces that a month names; the others stand together.
const NAMESPACES: usize = 100;
/// What those are called that are not named.
pub const OTHERS: &str = "_other";
/// AWS corrects what it has billed for so many days.
const SETTLES: i32 = 14;
/// How much of the reason for a failure is remembered.
const CUT: usize = 300;

/// One day as Cost Explorer tells it (UTC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledDay {
    /// The day.
    pub date: Date,
    /// AWS says that it is not final.
    pub estimated: bool,
    /// What it was billed for; nothing: the day is told, and nothing was billed.
    pub lines: Vec<BilledLine>,
}

/// What one service has billed for one namespace on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BilledLine {
    /// The service, as AWS calls it.
    pub service: String,
    /// The value of the tag; empty: there is none on what cost it.
    pub namespace: String,
    /// USD, unblended, to ten places as AWS tells it; negative: a credit.
    pub usd: Decimal,
}

/// What was billed in the months that matter: this one, and the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    /// When the first question was asked that this is the answer to (UTC).
    pub asked_at: Timestamp,
    /// The sum of each day that was told.
    pub days: BTreeMap<Date, Sum>,
    /// The sums of each month, by `yyyy-mm`: of its days that were told.
    pub months: BTreeMap<String, BilledMonth>,
}

/// What a day or a month came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sum {
    /// USD.
    pub usd: Decimal,
    /// AWS says of it, or of a part of it, that it is not final.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// What a month came to, in its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BilledMonth {
    /// All of it.
    pub sum: Sum,
    /// USD by service.
    pub services: BTreeMap<String, Decimal>,
    /// USD by namespace.
    pub namespaces: BTreeMap<String, Decimal>,
    /// USD that no namespace stands on.
    pub untagged: Decimal,
}

/// The days to ask for on the day `today`: from the first of the month in which AWS may still correct something, until `today`,
/// which is not over and not asked for. Months are whole, so that their sums need nothing that was told before.
#[must_use]
pub fn span(today: Date) -> (Date, Date) {
    let unsettled = today.checked_sub(SETTLES.days()).unwrap_or(today);
    (unsettled.first_of_month(), today)
}

/// The month of a day, as it is written: `2026-02`.
#[must_use]
pub fn month_of(date: Date) -> String {
    format!("{:04}-{:02}", date.year(), date.month())
}

impl Bill {
    /// Adds up what was told. Of `before` the month before the last day that was told stays, if nothing was told of it now: it is
    /// settled.
    #[must_use]
    pub fn of(asked_at: Timestamp, told: &[BilledDay], before: Option<&Self>) -> Self {
        let mut bill = Self { asked_at, days: BTreeMap::new(), months: BTreeMap::new() };
        for day in told {
            let sum = Sum { usd: total(day.lines.iter().map(|line| line.usd)), estimated: day.estimated };
            bill.days.insert(day.date, sum);
            let month = bill.months.entry(month_of(day.date)).or_default();
            month.sum = Sum { usd: month.sum.usd.saturating_add(sum.usd), estimated: month.sum.estimated || sum.estimated };
            for line in &day.lines {
                add(&mut month.services, &line.service, line.usd);
                match line.namespace.as_str() {
                    "" => month.untagged = month.untagged.saturating_add(line.usd),
                    name => add(&mut month.namespaces, if may_be_namespace(name) { name } else { OTHERS }, line.usd),
                }
            }
        }
        for month in bill.months.values_mut() {
            bound(&mut month.services, SERVICES);
            bound(&mut month.namespaces, NAMESPACES);
        }
        bill.keep(before);
        bill
    }

    /// The first moment of a month that is not billed yet; `None`: nothing was told of it.
    #[must_use]
    pub fn through(&self, month: &str) -> Option<Timestamp> {
        let last = self.days.keys().rfind(|day| month_of(**day) == month)?;
        Some(last.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }

    /// What was billed for a namespace in a month, and until when; `None`: its tag is not in the bill.
    #[must_use]
    pub fn of_namespace(&self, month: &str, namespace: &str) -> Option<(Decimal, Timestamp)> {
        let usd = self.months.get(month)?.namespaces.get(namespace)?;
        Some((*usd, self.through(month)?))
    }

    fn keep(&mut self, before: Option<&Self>) {
        let Some(last) = self.days.keys().next_back().and_then(|day| day.first_of_month().yesterday().ok()) else { return };
        let (name, Some(before)) = (month_of(last), before) else { return };
        if let (false, Some(month)) = (self.months.contains_key(&name), before.months.get(&name)) {
            self.months.insert(name.clone(), month.clone());
            self.days.extend(before.days.iter().filter(|(day, _)| month_of(**day) == name));
        }
    }
}

/// A tag may hold anything; only what can be the name of a namespace is passed on.
fn may_be_namespace(name: &str) -> bool {
    name.len() <= 63 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn total(amounts: impl Iterator<Item = Decimal>) -> Decimal {
    amounts.fold(Decimal::ZERO, Decimal::saturating_add)
}

fn add(sums: &mut BTreeMap<String, Decimal>, name: &str, usd: Decimal) {
    match sums.get_mut(name) {
        Some(sum) => *sum = sum.saturating_add(usd),
        None => {
            sums.insert(name.to_owned(), usd);
        }
    }
}

/// Names the largest, and puts the others together.
fn bound(sums: &mut BTreeMap<String, Decimal>, most: usize) {
    if sums.len() <= most {
        return;
    }
    let mut sizes: Vec<(Decimal, String)> = std::mem::take(sums).into_iter().map(|(name, usd)| (usd, name)).collect();
    sizes.sort_by(|(one, first), (other, second)| other.abs().cmp(&one.abs()).then_with(|| first.cmp(second)));
    for ((usd, name), at) in sizes.into_iter().zip(0..) {
        let others = at >= most.saturating_sub(1) || name == OTHERS;
        add(sums, if others { OTHERS } else { &name }, usd);
    }
}

/// What is remembered of asking for bills: each question costs money, also that of another process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Billing {
    /// The day (UTC) whose calls are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<Date>,
    /// How many calls were made on it. Written before each is sent.
    pub calls: u32,
    /// When a bill was last asked for, whatever came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Timestamp>,
    /// Since when no bill could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacking_since: Option<Timestamp>,
    /// Why the last one could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The last one that could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bill: Option<Arc<Bill>>,
}

impl Billing {
    /// Takes one of the calls that may be made in a day; whether there was one left. A clock that goes back to a day that is over
    /// does not bring its calls back.
    #[must_use]
    pub fn spend(&mut self, today: Date, at_most: u32) -> bool {
        if self.day.is_none_or(|day| day < today) {
            self.day = Some(today);
            self.calls = 0;
        }
        // Two days ahead is no clock that goes back over midnight: whatever wrote that was wrong, and its calls count for today.
        if self.day.is_some_and(|day| today.tomorrow().is_ok_and(|tomorrow| day > tomorrow)) {
            self.day = Some(today);
        }
        let left = self.calls < at_most;
        if left {
            self.calls = self.calls.saturating_add(1);
        }
        left
    }

    /// Whether a call is left of those that may be made in a day.
    #[must_use]
    pub fn has_left(&self, today: Date, at_most: u32) -> bool {
        self.clone().spend(today, at_most)
    }

    /// Whether it is time to ask again, where that is done every so often. What was asked ahead of now was dated by a wrong clock.
    #[must_use]
    pub fn is_due(&self, now: Timestamp, every: SignedDuration) -> bool {
        // An alarm may come a little early.
        let nearly = every.saturating_sub(every.checked_div(10).unwrap_or_default());
        self.asked.is_none_or(|asked| now.duration_since(asked) >= nearly || asked.duration_since(now) > every)
    }

    /// A bill was read.
    pub fn read(&mut self, bill: Bill) {
        self.lacking_since = None;
        self.reason = None;
        self.bill = Some(Arc::new(bill));
    }

    /// None could be read, and why.
    pub fn failed(&mut self, now: Timestamp, reason: &str) {
        self.lacking_since.get_or_insert(now);
        self.reason = Some(reason.chars().take(CUT).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(date: &str, lines: &[(&str, &str, &str)]) -> BilledDay {
        let line = |(service, namespace, usd): &(&str, &str, &str)| BilledLine {
            service: (*service).into(),
            namespace: (*namespace).into(),
            usd: usd.parse().unwrap(),
        };
        BilledDay { date: date.parse().unwrap(), estimated: date.ends_with('9'), lines: lines.iter().map(line).collect() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn months_are_asked_for_as_a_whole_while_they_can_change() {
        let asked = |today: &str| {
            let (from, until) = span(today.parse().unwrap());
            format!("{from} {until}")
        };
        assert_eq!(asked("2026-11-28"), "2026-11-01 2026-11-28");
        assert_eq!(asked("2026-11-15"), "2026-11-01 2026-11-15");
        assert_eq!(asked("2026-11-14"), "2026-10-01 2026-11-14");
        assert_eq!(asked("2026-01-01"), "2025-12-01 2026-01-01", "the first day of a month asks for the last one");
    }

    #[test]
    fn the_parts_of_a_month_are_its_whole() {
        let told = [
            day("2026-11-27", &[("RDS", "a", "1.0000000001"), ("RDS", "", "0.5"), ("EC2", "", "2")]),
            day("2026-11-28", &[]),
            day("2026-11-29", &[("RDS", "a", "3"), ("RDS", "Somebody <somebody@example.com>", "0.25"), ("Tax", "", "-0.25")]),
        ];
        let bill = Bill::of(at("2026-11-30T00:00:00Z"), &told, None);
        let month = &bill.months["2026-11"];
        assert_eq!(month.sum, Sum { usd: "6.5000000001".parse().unwrap(), estimated: true });
        assert_eq!(total(month.services.values().copied()), month.sum.usd);
        assert_eq!(total(month.namespaces.values().copied()) + month.untagged, month.sum.usd);
        assert_eq!(bill.days[&"2026-11-28".parse().unwrap()], Sum::default(), "an empty day is told, and is zero");
        assert_eq!(bill.days.len(), 3);
        let text = serde_json::to_string(&bill).unwrap();
        assert_eq!(serde_json::from_str::<Bill>(&text).unwrap(), bill, "{text}");
    }

    #[test]
    fn small_ones_stand_together_and_nothing_is_lost() {
        let names: Vec<String> = (0..150).map(|n| format!("n{n:03}")).collect();
        let lines: Vec<_> = names.iter().map(|name| ("RDS", name.as_str(), "0.01")).chain([("RDS", "large", "5"), ("RDS", OTHERS, "9")]).collect();
        let bill = Bill::of(at("2026-11-30T00:00:00Z"), &[day("2026-11-27", &lines)], None);
        let month = &bill.months["2026-11"];
        assert!(month.namespaces.len() <= NAMESPACES && month.namespaces.contains_key("large"));
        assert_eq!(total(month.namespaces.values().copied()), month.sum.usd);
    }

    #[test]
    fn a_settled_month_stays_until_the_next_one_is_over() {
        let october = Bill::of(at("2026-11-14T06:00:00Z"), &[day("2026-10-31", &[("RDS", "a", "7")]), day("2026-11-13", &[("RDS", "a", "1")])], None);
        let november = Bill::of(at("2026-11-15T06:00:00Z"), &[day("2026-11-13", &[("RDS", "a", "2")])], Some(&october));
        assert_eq!(november.months["2026-10"].sum.usd, Decimal::from(7));
        assert_eq!(november.months["2026-11"].sum.usd, Decimal::TWO, "what was corrected takes the place of what was told before");
        let december = Bill::of(at("2026-12-15T06:00:00Z"), &[day("2026-12-13", &[])], Some(&november));
        assert_eq!(december.months.keys().map(String::as_str).collect::<Vec<_>>(), ["2026-11", "2026-12"]);
    }

    #[test]
    fn calls_are_counted_by_day_and_a_clock_that_goes_back_gives_none_back() {
        let mut billing = Billing::default();
        let (first, second): (Date, Date) = ("2026-11-27".parse().unwrap(), "2026-11-28".parse().unwrap());
        assert!(billing.spend(first, 2) && billing.spend(first, 2) && !billing.spend(first, 2));
        assert!(billing.spend(second, 1) && !billing.spend(second, 1) && !billing.spend(first, 1));
        assert!(!Billing::default().spend(first, 0));
    }

    #[test]
    fn a_clock_that_was_wrong_for_one_call_ends_no_calls_for_ever() {
        let mut billing = Billing::default();
        let day = |text: &str| text.parse::<Date>().unwrap();
        assert!(billing.spend(day("2027-11-27"), 2) && billing.spend(day("2026-11-27"), 2));
        assert!(!billing.has_left(day("2026-11-27"), 2), "what was asked that day counts for this one");
        assert!(billing.has_left(day("2026-11-28"), 2));
    }

    #[test]
    fn a_failure_is_dated_by_its_first_time_and_forgotten_with_the_next_bill() {
        let mut billing = Billing::default();
        billing.failed(at("2026-11-27T00:00:00Z"), "throttled");
        billing.failed(at("2026-11-28T00:00:00Z"), &"x".repeat(1_000));
        assert_eq!((billing.lacking_since, billing.reason.as_ref().unwrap().len()), (Some(at("2026-11-27T00:00:00Z")), CUT));
        billing.read(Bill::of(at("2026-11-28T00:00:00Z"), &[], None));
        assert_eq!((billing.lacking_since, &billing.reason), (None, &None));
        let every = SignedDuration::from_hours(6);
        billing.asked = Some(at("2026-11-28T00:00:00Z"));
        let due = |now: &str| billing.is_due(at(now), every);
        assert_eq!((due("2026-11-28T05:00:00Z"), due("2026-11-28T05:59:59Z"), due("2026-11-27T00:00:00Z")), (false, true, true));
    }
}
