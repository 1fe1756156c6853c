//! How a metric behaves and what it counts, in words and in names.

/// How a value behaves over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// It goes up and down.
    Gauge,
    /// It only goes up, from zero at the start of the process.
    Counter,
    /// How often values fell below each bound, since the start of the process.
    Histogram,
}

impl Type {
    /// The word in the text format and in the docs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things: what the name says.
    Count,
    /// 0 (no) or 1 (yes).
    Flag,
    /// Always 1: the labels are the message.
    Info,
    /// Seconds that pass.
    Seconds,
    /// A moment, in seconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// Bytes.
    Bytes,
    /// USD.
    Usd,
    /// USD an hour.
    UsdPerHour,
    /// A share.
    Ratio,
}

impl Unit {
    /// What the name of such a metric ends with, before `_total`; empty: nothing.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Count | Self::Flag => "",
            Self::Info => "_info",
            Self::Seconds => "_seconds",
            Self::Timestamp => "_timestamp_seconds",
            Self::Bytes => "_bytes",
            Self::Usd => "_usd",
            Self::UsdPerHour => "_usd_per_hour",
            Self::Ratio => "_ratio",
        }
    }

    /// The word in the docs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Flag => "0 or 1",
            Self::Info => "1",
            Self::Seconds => "seconds",
            Self::Timestamp => "Unix seconds (UTC)",
            Self::Bytes => "bytes",
            Self::Usd => "USD",
            Self::UsdPerHour => "USD an hour",
            Self::Ratio => "1 is 100 %",
        }
    }
}
