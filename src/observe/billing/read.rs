//! Reads an answer of Cost Explorer. Nothing is taken for zero: an amount, a unit or a key that is missing is an error, and so
//! is whatever was not asked for.

use crate::{
    model::bill::{BilledDay, BilledLine},
    ports::{BillPage, BillQuestion},
};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What is asked for: what each hour has really cost the account, before anything is spread over an organisation.
pub(super) const METRIC: &str = "UnblendedCost";
/// Cost Explorer tells ten places.
const PLACES: u32 = 10;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    results_by_time: Vec<ResultByTime>,
    #[serde(default)]
    next_page_token: Token,
}

/// Where to go on. One that is there and says nothing is not one that is not there.
#[derive(Default)]
enum Token {
    #[default]
    None,
    Some(String),
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let token = String::deserialize(deserializer)?;
        if token.is_empty() { Err(serde::de::Error::custom("the token of the next page is empty")) } else { Ok(Self::Some(token)) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultByTime {
    time_period: Period,
    estimated: bool,
    groups: Vec<Group>,
    /// Of an empty day it says zero; of another one it is empty.
    #[serde(default)]
    total: BTreeMap<String, Amount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Period {
    start: Date,
    end: Date,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    keys: Vec<String>,
    metrics: BTreeMap<String, Amount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Amount {
    amount: String,
    unit: String,
}

/// Reads a page.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn page(question: &BillQuestion, body: &[u8]) -> Result<BillPage, String> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let days = answer.results_by_time.into_iter().map(|result| day(question, result)).collect::<Result<_, _>>()?;
    let next = match answer.next_page_token {
        Token::None => None,
        Token::Some(token) => Some(token),
    };
    Ok(BillPage { days, next })
}

fn day(question: &BillQuestion, result: ResultByTime) -> Result<BilledDay, String> {
    let Period { start, end } = result.time_period;
    if start.tomorrow().ok() != Some(end) {
        return Err(format!("from {start} to {end} is not a day"));
    }
    if start < question.from || start >= question.until {
        return Err(format!("nobody asked for {start}"));
    }
    let lines: Vec<BilledLine> = result.groups.into_iter().map(|group| line(question, start, group)).collect::<Result<_, _>>()?;
    // Beside groups there is none; without groups it has to say that there was nothing.
    let total = result.total.get(METRIC).map(|total| usd(total, start)).transpose()?;
    if let Some(total) = total.filter(|total| lines.is_empty() && !total.is_zero()) {
        return Err(format!("{start} came to {total} USD, and nothing says what for"));
    }
    Ok(BilledDay { date: start, estimated: result.estimated, lines })
}

fn line(question: &BillQuestion, day: Date, group: Group) -> Result<BilledLine, String> {
    let [service, tag] = group.keys.as_slice() else { return Err(format!("a group of {day} has {} keys, not 2", group.keys.len())) };
    let namespace = tag.strip_prefix(&*question.tag).and_then(|rest| rest.strip_prefix('$'));
    let namespace = namespace.ok_or_else(|| format!("a group of {day} is not by the tag `{}`", question.tag))?;
    if service.is_empty() {
        return Err(format!("a group of {day} is without a service"));
    }
    let amount = group.metrics.get(METRIC).ok_or_else(|| format!("what `{service}` cost on {day} is missing"))?;
    Ok(BilledLine { service: service.clone(), namespace: namespace.to_owned(), usd: usd(amount, day)? })
}

fn usd(amount: &Amount, day: Date) -> Result<Decimal, String> {
    if amount.unit != "USD" {
        return Err(format!("an amount of {day} is in `{}`, not in USD", amount.unit));
    }
    let text = amount.amount.as_str();
    let number = text.parse().ok().or_else(|| Decimal::from_scientific(text).ok());
    let number: Decimal = number.ok_or_else(|| format!("`{text}` of {day} is no amount"))?;
    Ok(number.round_dp(PLACES).normalize())
}
