//! What lists autoscalers, for the metrics alone.

use super::ApiError;
use crate::model::autoscaler::Autoscaler;
use futures::future::BoxFuture;

/// The `HorizontalPodAutoscaler`s of the cluster.
pub trait Autoscalers: Send + Sync {
    /// All of them, or the first few thousand: they are shown, and nothing is decided by them.
    fn autoscalers(&self) -> BoxFuture<'_, Result<Vec<Autoscaler>, ApiError>>;
}
