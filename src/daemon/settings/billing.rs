//! Whether and how often the bill is asked for. It costs money, so nobody gets it who did not say so.

use super::Check;
use crate::model::{Span, names};
use std::sync::Arc;

/// How often the bill is asked for, and for how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bills {
    /// The most requests in a day (UTC); each costs $0.01.
    pub calls_per_day: u32,
    /// How often.
    pub every: Span,
    /// The cost allocation tag that holds the namespace.
    pub tag: Arc<str>,
}

/// The flags, from wherever they were said.
pub(super) struct Wanted {
    pub(super) calls_per_day: Option<String>,
    pub(super) every: Option<String>,
    pub(super) tag: Option<String>,
}

impl Wanted {
    pub(super) fn settle(self, check: &mut Check, has_regions: bool) -> Option<Bills> {
        let said = self.every.is_some() || self.tag.is_some();
        let calls_per_day: u32 = check.parse("--billing-calls-per-day", self.calls_per_day, "0", "a number of calls, such as 12; 0: none")?;
        let every: Span = check.parse("--billing-every", self.every, "6h", "a duration such as 6h")?;
        let seconds = every.as_secs();
        let divides = |whole: i64| whole.checked_rem(seconds) == Some(0);
        let fits = seconds >= 1 && (divides(60) || seconds % 60 == 0 && divides(3_600) || seconds % 3_600 == 0 && divides(86_400));
        check.that(fits, || format!("--billing-every: `{every}` divides neither a minute, an hour nor a day; take 1h, 4h, 6h, 12h or 24h"));
        let tag = self.tag.unwrap_or_else(|| names::TAG_NAMESPACE.to_owned());
        // AWS takes 128 characters; what it groups by stands before a `$` in its answer.
        check.that(!tag.is_empty() && tag.chars().count() <= 128 && !tag.contains('$'), || {
            format!("--billing-tag: `{tag}` is no tag key: 1 to 128 characters, and no `$`")
        });
        if calls_per_day == 0 {
            check.that(!said, || "--billing-…: without --billing-calls-per-day no bill is asked for".to_owned());
            return None;
        }
        check.that(has_regions, || "--billing-calls-per-day: without --aws-regions there is no AWS to be asked".to_owned());
        Some(Bills { calls_per_day, every, tag: Arc::from(tag) })
    }
}
