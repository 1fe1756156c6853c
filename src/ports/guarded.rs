//! What asks the API server whether it narrows what we may do.

use super::ApiError;
use futures::future::BoxFuture;

/// The rules of `deploy/base/guard.yaml`, each tried by a request that they refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// What may be deleted and changed.
    Deletions,
    /// Which Secrets may be made.
    Secrets,
}

impl Guard {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Deletions, Self::Secrets];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Deletions => "deletions",
            Self::Secrets => "secrets",
        }
    }
}

/// An API server that may have a guard.
pub trait Guarded: Send + Sync {
    /// Whether this guard refuses us, seen by a request that changes nothing whatever the answer is. `None`: something else refused it.
    ///
    /// # Errors
    /// When there was no answer.
    fn guarded(&self, guard: Guard) -> BoxFuture<'_, Result<Option<bool>, ApiError>>;
}
