//! The ConfigMap `clonewarden-state`: pause, brakes, populations, since when a namespace is enforced.
//!
//! Contract: written by compare-and-swap, so that a person's `pause` or `brake release` and the daemon's own writes never undo
//! each other. While the state cannot be read nothing is done: it may say `paused`.

use crate::{
    model::State,
    ports::{ApiError, Cluster, Stored},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The name of the ConfigMap, in the daemon's namespace.
pub const NAME: &str = "clonewarden-state";
/// The key in it.
pub const KEY: &str = "state.json";

/// Why the state could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The API server did not do it.
    #[error("ConfigMap `{NAME}`: {0}")]
    Api(#[from] ApiError),
    /// It holds something else than a state.
    #[error(
        "ConfigMap `{NAME}`, key `{KEY}`, does not parse ({0}); restore it, or delete it to begin anew: every late end then gets its grace again"
    )]
    Malformed(String),
}

/// A state with the version it was read at; `None`: there is no ConfigMap yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versioned {
    /// What is remembered.
    pub state: State,
    /// The version to replace it by compare-and-swap.
    pub version: Option<String>,
}

/// Reads the state.
///
/// # Errors
/// When the API server does not answer, or the ConfigMap holds something else.
pub async fn load(cluster: &dyn Cluster) -> Result<Versioned, StateError> {
    parse(cluster.read_state(NAME).await?)
}

fn parse(stored: Option<Stored>) -> Result<Versioned, StateError> {
    let Some(stored) = stored else { return Ok(Versioned::default()) };
    let state = match stored.data.get(KEY) {
        // The ConfigMap is there and says nothing: that is no empty state, it may have said `paused`.
        None => return Err(StateError::Malformed("the key is missing".to_owned())),
        Some(text) => serde_json::from_str(text).map_err(|error| StateError::Malformed(error.to_string()))?,
    };
    Ok(Versioned { state, version: Some(stored.resource_version) })
}

/// Writes the state if it is still the one that was read.
///
/// # Errors
/// [`ApiError::Conflict`] when somebody wrote in between; or when the API server does not answer.
pub async fn save(cluster: &dyn Cluster, state: &State, version: Option<&str>) -> Result<Versioned, StateError> {
    let text = serde_json::to_string_pretty(state).map_err(|error| StateError::Malformed(error.to_string()))?;
    let stored = cluster.write_state(NAME, BTreeMap::from([(KEY.to_owned(), text)]), version).await?;
    Ok(Versioned { state: state.clone(), version: Some(stored.resource_version) })
}

/// The state as the daemon last read or wrote it, and whether it still knows it.
#[derive(Default)]
pub struct Keeper {
    kept: Mutex<Kept>,
    /// One read or write at a time: an answer that was overtaken must not pass for the present.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    known: Option<Versioned>,
    trouble: Option<StateError>,
    /// When it was last read or written.
    at: Option<Instant>,
}

/// How old what is known may be for a write to rely on it. It is read every second.
const FRESH: Duration = Duration::from_secs(10);

impl Keeper {
    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as it was last known; `None`: it was never read.
    pub fn state(&self) -> Option<State> {
        self.kept().known.as_ref().map(|known| known.state.clone())
    }

    /// Why the state is not known at present.
    pub fn trouble(&self) -> Option<StateError> {
        self.kept().trouble.clone()
    }

    /// Whether writes are allowed as far as the state says: it is known, and it does not say `paused`.
    pub fn allows_writes(&self) -> bool {
        let kept = self.kept();
        let fresh = kept.at.is_some_and(|at| at.elapsed() < FRESH);
        fresh && kept.trouble.is_none() && kept.known.as_ref().is_some_and(|known| known.state.paused.is_none())
    }

    /// Reads it again; whether it has changed.
    pub async fn refresh(&self, cluster: &dyn Cluster) -> bool {
        let _turn = self.turn.lock().await;
        self.read(cluster).await
    }

    async fn read(&self, cluster: &dyn Cluster) -> bool {
        let read = cluster.read_state(NAME).await;
        let mut kept = self.kept();
        if let (Ok(Some(stored)), None, Some(known)) = (&read, &kept.trouble, &kept.known)
            && known.version.as_deref() == Some(stored.resource_version.as_str())
        {
            kept.at = Some(Instant::now());
            return false;
        }
        match read.map_err(StateError::from).and_then(parse) {
            Ok(read) => {
                let changed = kept.known.as_ref() != Some(&read) || kept.trouble.is_some();
                *kept = Kept { known: Some(read), trouble: None, at: Some(Instant::now()) };
                changed
            }
            Err(error) => {
                let changed = kept.trouble.as_ref() != Some(&error);
                kept.trouble = Some(error);
                changed
            }
        }
    }

    /// Remembers `next`, which was derived from `base`.
    ///
    /// # Errors
    /// When the state is not `base` any more (a person paused it or released a brake), or could not be written. What is known
    /// is then read again before the next try.
    pub async fn remember(&self, cluster: &dyn Cluster, base: &State, next: &State) -> Result<(), StateError> {
        let _turn = self.turn.lock().await;
        let known = self.kept().known.clone().unwrap_or_default();
        if known.state != *base {
            return Err(ApiError::Conflict("it has changed since the plan was made".to_owned()).into());
        }
        if base == next && known.version.is_some() {
            return Ok(());
        }
        match save(cluster, next, known.version.as_deref()).await {
            Ok(saved) => {
                *self.kept() = Kept { known: Some(saved), trouble: None, at: Some(Instant::now()) };
                Ok(())
            }
            Err(error) => {
                self.read(cluster).await;
                Err(error)
            }
        }
    }
}
