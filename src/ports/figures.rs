//! The narrow trait between the daemon and a service that keeps figures over time, such as CloudWatch.

use futures::future::BoxFuture;
use jiff::Timestamp;
use std::fmt;

/// What a figure is called: a name, and labels in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId {
    /// The metric.
    pub name: String,
    /// Its labels: name and value. CloudWatch calls them dimensions.
    pub labels: Vec<(String, String)>,
}

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        write!(f, "{}{{{}}}", self.name, labels.join(","))
    }
}

/// What a figure is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Something that the service has no word for: USD, a share, 0 or 1.
    Other,
}

/// What is said of a moment.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// One value: what is so, or by how much a counter has grown.
    One(f64),
    /// Values and how often each came, none of them never, each value once.
    Spread(Vec<(f64, u64)>),
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum {
    /// What it is called.
    pub id: SeriesId,
    /// Of when it is.
    pub at: Timestamp,
    /// What it is measured in.
    pub measure: Measure,
    /// What it says.
    pub said: Said,
}

/// Why figures were not put away. The first two say whether they may be sent again without being counted twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// They were certainly not taken: no connection, no credentials, or the service said so. They may be sent again.
    #[error("{message}")]
    NotTaken {
        /// Why, as one of few words: `unsent`, `throttled`, `forbidden`, `refused`, `unavailable`.
        why: &'static str,
        /// What was said.
        message: String,
    },
    /// They were sent, and nobody said whether they were taken.
    #[error("{0}")]
    Unknown(String),
}

/// Keeps figures over time.
pub trait FigureStore: Send + Sync + 'static {
    /// Puts figures away, all or none: at most as many, and as large, as one request of the service may be. Sends them once.
    fn put<'a>(&'a self, figures: &'a [Datum]) -> BoxFuture<'a, Result<(), PutError>>;
}
