//! The ConfigMap `clonewarden-approvals`: who had what carried out, for the journal.
//!
//! Contract: the holder of the lease makes it, so that an approver needs no more than to change it; everybody writes by compare-and-swap.
//! Nothing is decided by what it says.

use crate::{
    model::approval::{Approvals, Forgotten, Full},
    ports::{ApiError, Cluster, Stored},
};
use std::collections::BTreeMap;

/// The name of the ConfigMap, in the daemon's namespace.
pub const NAME: &str = "clonewarden-approvals";
/// The key in it.
pub const KEY: &str = "approvals.json";
/// How often a write is tried again when somebody else has written in between, or the answer was lost.
const TRIES: usize = 5;

/// Why the approvals could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalsError {
    /// The API server did not do it.
    #[error("ConfigMap `{NAME}`: {0}")]
    Api(#[from] ApiError),
    /// It is not there.
    #[error("there is no ConfigMap `{NAME}`; the daemon makes it within seconds once it holds the lease, see `clonewarden_leader`")]
    Missing,
    /// There is no room for another one.
    #[error("ConfigMap `{NAME}` is full of approvals that the journal has yet to have; wait until the daemon has written them down, and try again")]
    Full,
    /// It is not there any more.
    #[error("ConfigMap `{NAME}` does not have this approval any more: somebody has taken it out")]
    Forgotten,
    /// It holds something else.
    #[error("ConfigMap `{NAME}`, key `{KEY}`, does not parse ({0}); restore it, or delete it: the daemon makes it anew")]
    Malformed(String),
}

impl From<Full> for ApprovalsError {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

impl From<Forgotten> for ApprovalsError {
    fn from(Forgotten: Forgotten) -> Self {
        Self::Forgotten
    }
}

/// Reads them; `None`: there is no ConfigMap.
///
/// # Errors
/// When the API server does not answer, or the ConfigMap holds something else.
pub async fn load(cluster: &dyn Cluster) -> Result<Option<Approvals>, ApprovalsError> {
    Ok(read(cluster).await?.map(|(approvals, _)| approvals))
}

/// Makes the ConfigMap, with nothing in it.
///
/// # Errors
/// When the API server does not do it: [`ApiError::Conflict`] where somebody was quicker.
pub async fn make(cluster: &dyn Cluster) -> Result<(), ApprovalsError> {
    write(cluster, &Approvals::default(), None).await
}

/// Changes them by compare-and-swap, as often as somebody writes in between; `edit` says whether there is anything to write. It may be asked
/// about its own doing: a write without an answer may have happened.
///
/// # Errors
/// When there is no such ConfigMap, or it cannot be read or written; and what `edit` says.
pub async fn change<E>(cluster: &dyn Cluster, edit: impl Fn(&mut Approvals) -> Result<bool, E>) -> Result<(), ApprovalsError>
where
    ApprovalsError: From<E>,
{
    let mut last = ApprovalsError::Missing;
    for _ in 0..TRIES {
        let (mut approvals, version) = read(cluster).await?.ok_or(ApprovalsError::Missing)?;
        if !edit(&mut approvals)? {
            return Ok(());
        }
        match write(cluster, &approvals, Some(&version)).await {
            Err(error @ ApprovalsError::Api(ApiError::Conflict(_) | ApiError::Unavailable(_))) => last = error,
            ended => return ended,
        }
    }
    Err(last)
}

async fn read(cluster: &dyn Cluster) -> Result<Option<(Approvals, String)>, ApprovalsError> {
    let Some(Stored { data, resource_version }) = cluster.read_state(NAME).await? else { return Ok(None) };
    let text = data.get(KEY).ok_or_else(|| ApprovalsError::Malformed("the key is missing".to_owned()))?;
    let mut approvals: Approvals = serde_json::from_str(text).map_err(|error| ApprovalsError::Malformed(error.to_string()))?;
    approvals.cut();
    Ok(Some((approvals, resource_version)))
}

async fn write(cluster: &dyn Cluster, approvals: &Approvals, version: Option<&str>) -> Result<(), ApprovalsError> {
    let text = serde_json::to_string(approvals).map_err(|error| ApprovalsError::Malformed(error.to_string()))?;
    cluster.write_state(NAME, BTreeMap::from([(KEY.to_owned(), text)]), version).await?;
    Ok(())
}
