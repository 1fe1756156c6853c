//! Durations as people write them: `90m`, `2h`, `7d`, `2w`.

use jiff::{SignedDuration, Span as JiffSpan, SpanRelativeTo, Unit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A positive length of time with the units weeks, days (of 24 hours), hours, minutes and seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(SignedDuration);

/// Why a text is not a [`Span`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: {why}; write it as `90m`, `2h`, `7d` or `2w`")]
pub struct BadSpan {
    text: String,
    why: &'static str,
}

impl Span {
    /// A span of so many seconds.
    #[must_use]
    pub const fn seconds(seconds: i64) -> Self {
        Self(SignedDuration::from_secs(seconds))
    }

    /// A span of so many minutes.
    #[must_use]
    pub const fn minutes(minutes: i64) -> Self {
        Self(SignedDuration::from_mins(minutes))
    }

    /// A span of so many hours.
    #[must_use]
    pub const fn hours(hours: i64) -> Self {
        Self(SignedDuration::from_hours(hours))
    }

    /// The span as a signed duration, which is never negative.
    #[must_use]
    pub const fn get(self) -> SignedDuration {
        self.0
    }

    /// The whole seconds of the span.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.as_secs()
    }
}

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let bad = |why| BadSpan { text: text.to_owned(), why };
        let bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
        if bare {
            return Err(bad("the unit is missing"));
        }
        let span: JiffSpan = text.parse().map_err(|_| bad("it does not parse"))?;
        if span.get_years() != 0 || span.get_months() != 0 {
            return Err(bad("months and years have no fixed length"));
        }
        let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| bad("it is too long"))?;
        if !length.is_positive() {
            return Err(bad("it must be more than zero"));
        }
        if length.subsec_nanos() != 0 {
            return Err(bad("the smallest unit is a second"));
        }
        // Longer than a human plans; and additions to any date of this century stay within the calendar.
        if length > SignedDuration::from_hours(24 * 366 * 100) {
            return Err(bad("it is longer than a hundred years"));
        }
        Ok(Self(length))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&human(self.0))
    }
}

/// A signed duration as people write it, largest unit days: `2h`, `1h30m`, `3d4h`.
#[must_use]
pub fn human(length: SignedDuration) -> String {
    let sign = if length.is_negative() { "-" } else { "" };
    let mut rest = length.as_secs().unsigned_abs();
    let mut out = String::from(sign);
    for (name, size) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            out.push_str(&format!("{count}{name}"));
        }
    }
    if out == sign { "0s".to_owned() } else { out }
}

/// As [`human`], but only the two largest units, for a reader who wants the size of it.
#[must_use]
pub fn roughly(length: SignedDuration) -> String {
    let unit = if length.abs() >= SignedDuration::from_hours(24) {
        Unit::Hour
    } else if length.abs() >= SignedDuration::from_hours(1) {
        Unit::Minute
    } else {
        Unit::Second
    };
    let step = match unit {
        Unit::Hour => 3_600,
        Unit::Minute => 60,
        _ => 1,
    };
    human(SignedDuration::from_secs(length.as_secs() / step * step))
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_spans_in_many_ways() {
        for (text, seconds) in [("90m", 5_400), ("2h", 7_200), ("7d", 604_800), ("2w", 1_209_600), ("1h30m", 5_400), ("1d 12h", 129_600)] {
            assert_eq!(text.parse::<Span>().unwrap().as_secs(), seconds, "{text}");
        }
    }

    #[test]
    fn what_is_no_span_says_why() {
        for (text, why) in [
            ("0s", "more than zero"),
            ("-3h", "more than zero"),
            ("3600", "unit is missing"),
            ("1mo", "no fixed length"),
            ("1y", "no fixed length"),
            ("", "does not parse"),
            ("soon", "does not parse"),
            ("1500ms", "smallest unit"),
            ("200y", "no fixed length"),
            ("99999w", "hundred years"),
        ] {
            let error = text.parse::<Span>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn spans_read_back_as_they_print() {
        for seconds in [1, 59, 60, 3_600, 5_400, 86_400, 90_061] {
            let span = Span::seconds(seconds);
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
    }
}
