//! A review as a span.

use super::{review::Phase, server::Office};
use crate::traces::Parent;
use axum::http::HeaderMap;
use jiff::Timestamp;
use serde_json::json;

impl Office {
    /// Notes how long a review took, in the trace of whoever asked. Of the object nothing is said: a spec may hold a password.
    pub(super) fn traced(&self, phase: Phase, uid: &str, head: &HeaderMap, begun: Option<Timestamp>, (outcome, code): (&str, &str)) {
        let parent = head.get("traceparent").and_then(|parent| Parent::read(parent.to_str().ok()?));
        let attributes = vec![
            ("admission.uid", json!(uid)),
            ("admission.phase", json!(phase.word())),
            ("admission.code", json!(code)),
            ("outcome", json!(outcome)),
        ];
        self.tracer.happened("admission", begun, parent, attributes, false);
    }
}
