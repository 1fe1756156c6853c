//! What AWS has billed, by Cost Explorer: asked page by page, whole or not at all, and never for more money than was said.
//!
//! Contract:
//! - Every request takes one call from the purse before it is sent, also one that repeats another: AWS bills each.
//! - An answer has every day that was asked for, each group of it once, in USD. What lacks one is no answer.
//! - Nothing that is decided about a clone or a database depends on it.

mod explorer;
mod read;
#[cfg(test)]
mod tests;

pub use explorer::CostExplorer;

use crate::{
    model::{Evidence, Snapshot, Source, bill::BilledDay},
    ports::{BillPage, BillQuestion, Billing, Clock, CloudError},
};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp, civil::Date};
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

/// How often a page is asked for that gets no answer.
const TRIES: u32 = 3;
/// The wait before the second try; before the third it is twice that. Cost Explorer takes few requests a second.
const BACKOFF: Duration = Duration::from_secs(2);
/// The most pages of an answer, whatever may be spent.
const PAGES: usize = 50;
/// How long a bill is good for, beside the time between two of them: AWS brings it up to date at least once a day.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// What calls are paid from.
pub trait Purse: Sync {
    /// Takes a call from it, for good.
    ///
    /// # Errors
    /// There is none left, or it could not be written down, and why. Then nothing may be sent.
    fn spend(&self) -> BoxFuture<'_, Result<(), String>>;
}

/// Why a bill could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// No call is left, or it could not be counted.
    #[error("{0}")]
    Unpaid(String),
    /// AWS did not tell it.
    #[error("Cost Explorer: {0}")]
    Cloud(#[from] CloudError),
}

/// Asks for every page.
///
/// # Errors
/// What was read until then is of no use.
pub async fn collect(billing: &dyn Billing, question: &BillQuestion, purse: &dyn Purse, clock: &dyn Clock) -> Result<Vec<BilledDay>, Unread> {
    let not_whole = |why: String| Err(CloudError::NotWhole(why).into());
    let (mut days, mut token, mut tokens) = (BTreeMap::new(), None, HashSet::new());
    for _ in 0..PAGES {
        let page = patiently(billing, question, token.as_deref(), purse, clock).await?;
        for day in page.days {
            if let Err(why) = put(&mut days, day) {
                return not_whole(why);
            }
        }
        let Some(next) = page.next else {
            return match missing(question, &days) {
                Some(day) => not_whole(format!("{day} is missing in it")),
                None => Ok(days.into_values().collect()),
            };
        };
        if !tokens.insert(next.clone()) {
            return not_whole("its pages go in a circle".to_owned());
        }
        token = Some(next);
    }
    not_whole("it has too many pages".to_owned())
}

async fn patiently(
    billing: &dyn Billing,
    question: &BillQuestion,
    token: Option<&str>,
    purse: &dyn Purse,
    clock: &dyn Clock,
) -> Result<BillPage, Unread> {
    let mut wait = BACKOFF;
    for _ in 1..TRIES {
        purse.spend().await.map_err(Unread::Unpaid)?;
        match billing.page(question, token).await {
            Err(CloudError::Unavailable(_)) => clock.sleep(wait).await,
            told => return Ok(told?),
        }
        wait = wait.saturating_mul(2);
    }
    purse.spend().await.map_err(Unread::Unpaid)?;
    Ok(billing.page(question, token).await?)
}

/// Adds a day, or what a further page says of one.
fn put(days: &mut BTreeMap<Date, BilledDay>, day: BilledDay) -> Result<(), String> {
    let known = days.entry(day.date).or_insert_with(|| BilledDay { date: day.date, estimated: false, lines: Vec::new() });
    known.estimated |= day.estimated;
    known.lines.extend(day.lines);
    let mut seen = HashSet::new();
    match known.lines.iter().find(|line| !seen.insert((&line.service, &line.namespace))) {
        Some(twice) => Err(format!("`{}` for `{}` is told twice of {}", twice.service, twice.namespace, day.date)),
        None => Ok(()),
    }
}

fn missing(question: &BillQuestion, days: &BTreeMap<Date, BilledDay>) -> Option<Date> {
    let mut day = question.from;
    while day < question.until {
        if !days.contains_key(&day) {
            return Some(day);
        }
        day = day.tomorrow().ok()?;
    }
    None
}

/// Adds to a snapshot what is remembered of bills, where they are asked for every so often, since then.
pub(super) fn add_to(snapshot: &mut Snapshot, every: Duration, since: Timestamp) {
    let remembered = snapshot.state.billing.as_ref();
    let reason = remembered.and_then(|billing| billing.reason.clone());
    let bill = remembered.and_then(|billing| billing.bill.clone());
    let evidence = match (reason, &bill) {
        (Some(reason), _) => Evidence::incomplete(remembered.and_then(|billing| billing.asked).unwrap_or(since), reason),
        (None, None) => Evidence::incomplete(since, "Cost Explorer has not answered yet"),
        (None, Some(bill)) => {
            let every = SignedDuration::try_from(every).unwrap_or(GOOD_FOR);
            Evidence { valid_for: GOOD_FOR.saturating_add(every), ..Evidence::complete(bill.asked_at) }
        }
    };
    snapshot.evidence.insert(Source::Billing, evidence);
    snapshot.bill = bill;
}
