//! Whether, where and how often figures are sent to CloudWatch. They cost money, so nobody sends any who did not say so.

use super::Check;
use crate::{export::cloudwatch::MOST_SERIES, model::Span};
use std::{sync::Arc, time::Duration};

/// Where figures are sent, how often, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// The namespace of CloudWatch.
    pub namespace: String,
    /// The region.
    pub region: Arc<str>,
    /// How often.
    pub every: Duration,
    /// The most series in an hour (UTC); AWS bills each.
    pub series: usize,
}

/// The flags, from wherever they were said.
pub(super) struct Wanted {
    pub(super) namespace: Option<String>,
    pub(super) region: Option<String>,
    pub(super) every: Option<String>,
    pub(super) series: Option<String>,
}

impl Wanted {
    pub(super) fn settle(self, check: &mut Check, regions: &[Arc<str>]) -> Option<Figures> {
        let said = self.region.is_some() || self.every.is_some() || self.series.is_some();
        let Some(namespace) = self.namespace else {
            check.that(!said, || "--cloudwatch-…: without --cloudwatch-namespace nothing is sent to CloudWatch".to_owned());
            return None;
        };
        let plain = namespace.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_/#".contains(&byte));
        check.that(plain && (1..=255).contains(&namespace.len()), || {
            format!("--cloudwatch-namespace: `{namespace}` is no namespace: 1 to 255 letters, digits, `.`, `-`, `_`, `/` and `#`")
        });
        check.that(!namespace.starts_with("AWS/"), || format!("--cloudwatch-namespace: `{namespace}` is AWS' own; take one such as Clonewarden"));
        let region = self.region.map(Arc::from).or_else(|| regions.first().cloned());
        match &region {
            Some(region) => check.that(is_region(region), || format!("--cloudwatch-region: `{region}` is no region; write it as us-east-1")),
            None => check.that(false, || "--cloudwatch-region is missing: the region to send figures to, as there are no --aws-regions".to_owned()),
        }
        let every: Option<Span> = check.parse("--cloudwatch-every", self.every, "1m", "a duration such as 1m");
        if let Some(every) = every {
            // The alarms look at minutes.
            check.that((1..=60).contains(&every.as_secs()), || format!("--cloudwatch-every: `{every}` is not from 1s to 1m"));
        }
        let series = check.parse("--cloudwatch-series", self.series, "200", "a number of series, such as 200");
        if let Some(series) = series {
            check.that((1..=MOST_SERIES).contains(&series), || format!("--cloudwatch-series: `{series}` is not from 1 to {MOST_SERIES}"));
        }
        Some(Figures { namespace, region: region?, every: every?.get().unsigned_abs(), series: series? })
    }
}

/// Two letters, words, and a digit: `us-east-1`, `us-gov-west-1`.
pub(super) fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.as_slice() {
        [country, words @ .., number] => {
            country.len() == 2 && !words.is_empty() && letters(country) && words.iter().all(letters) && matches!(number.as_bytes(), [b'0'..=b'9'])
        }
        _ => false,
    }
}
