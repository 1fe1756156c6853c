//! A `HorizontalPodAutoscaler`, trimmed to what is shown of it. Nothing is decided by it.

use serde_json::Value;

/// One autoscaler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Autoscaler {
    /// The namespace that it is in.
    pub namespace: String,
    /// How many replicas there are, as it last counted.
    pub current: u32,
    /// How many it wants.
    pub desired: u32,
    /// More than these it never wants.
    pub most: u32,
}

impl Autoscaler {
    /// Reads one from the API server's JSON (`autoscaling/v2`); `None` if it does not say where it is. One that its controller has
    /// not looked at yet has no replicas.
    #[must_use]
    pub fn read(object: &Value) -> Option<Self> {
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).filter(|name| !name.is_empty())?.to_owned();
        let count = |place: &str| object.pointer(place).and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok()).unwrap_or_default();
        Some(Self {
            namespace,
            current: count("/status/currentReplicas"),
            desired: count("/status/desiredReplicas"),
            most: count("/spec/maxReplicas"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_that_nobody_has_looked_at_has_no_replicas() {
        let read = |object: Value| Autoscaler::read(&object);
        let one = read(json!({"metadata": {"namespace": "a"}, "spec": {"maxReplicas": 5}, "status": {"currentReplicas": 2, "desiredReplicas": 3}}));
        assert_eq!(one, Some(Autoscaler { namespace: "a".to_owned(), current: 2, desired: 3, most: 5 }));
        let young = read(json!({"metadata": {"namespace": "a"}, "spec": {"maxReplicas": -5}}));
        assert_eq!(young, Some(Autoscaler { namespace: "a".to_owned(), current: 0, desired: 0, most: 0 }));
        assert_eq!(read(json!({"metadata": {"namespace": ""}})), None);
    }
}
