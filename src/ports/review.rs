//! Asking the API server who somebody is, and what they may do.

use super::ApiError;
use futures::future::BoxFuture;
use std::collections::BTreeMap;

/// Who somebody is, by the API server's word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asker {
    /// The user name.
    pub username: String,
    /// The API server's own id of the user.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// What else the API server knows of the user.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Asks the API server about people. Nothing is stored by it, and every call has a timeout of its own.
pub trait Reviewer: Send + Sync + 'static {
    /// Whose token this is; `None`: nobody's. The token is sent to the API server and goes nowhere else.
    fn who<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Asker>, ApiError>>;

    /// Whether they may list clones in a namespace (`None`: in all of them).
    fn may_list_clones<'a>(&'a self, who: &'a Asker, namespace: Option<&'a str>) -> BoxFuture<'a, Result<bool, ApiError>>;
}
