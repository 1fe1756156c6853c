//! What AWS bills, as far as the daemon asks: one page of one question a call. Each call costs money, so whoever asks counts them.

use super::CloudError;
use crate::model::bill::BilledDay;
use futures::future::BoxFuture;
use jiff::civil::Date;
use std::sync::Arc;

/// What is asked for: what every day has cost, by service and by the value of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillQuestion {
    /// The first day (UTC).
    pub from: Date,
    /// The first day that is not asked for.
    pub until: Date,
    /// The key of the cost allocation tag.
    pub tag: Arc<str>,
    /// The account. The one that pays for an organisation is told the bills of all of its accounts, unless it says which.
    pub account: Arc<str>,
}

/// A page of the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BillPage {
    /// Days, in USD. A day may go on on the next page.
    pub days: Vec<BilledDay>,
    /// Where to go on; `None`: this was the last page.
    pub next: Option<String>,
}

/// Cost Explorer.
pub trait Billing: Send + Sync + 'static {
    /// Sends one request, once: nothing is repeated. It has a timeout of its own.
    ///
    /// # Errors
    /// No answer, or one that is not whole: an amount that is missing, or in another currency.
    fn page<'a>(&'a self, question: &'a BillQuestion, token: Option<&'a str>) -> BoxFuture<'a, Result<BillPage, CloudError>>;
}
