//! A node of the cluster, trimmed to what it costs and what there is of it to share.

use super::{
    kind::Kind,
    meta::{self, Meta, Unreadable},
    quantity::Quantity,
    shared::shared,
};
use serde_json::Value;
use std::sync::Arc;

/// The label for the instance type, by the cloud provider.
const TYPE: &str = "node.kubernetes.io/instance-type";
/// The label for the region, by the cloud provider.
const REGION: &str = "topology.kubernetes.io/region";
/// The labels that say that a node is of spare capacity, each with its word: of EKS' node groups, of Karpenter.
const SPOT: [(&str, &str); 2] = [("eks.amazonaws.com/capacityType", "SPOT"), ("karpenter.sh/capacity-type", "spot")];

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Box<str>,
    /// Its instance type, such as `t3.large`; `None`: nobody says it.
    pub instance_type: Option<Arc<str>>,
    /// The region that it is in.
    pub region: Option<Arc<str>>,
    /// Whether it is of spare capacity.
    pub spot: bool,
    /// How much CPU Pods may ask for on it.
    pub cpu: Quantity,
    /// How much memory Pods may ask for on it.
    pub memory: Quantity,
    /// How many Pods there may be on it.
    pub pods: Quantity,
}

impl Node {
    /// Reads a node from the API server's JSON.
    ///
    /// # Errors
    /// Where its identity or age cannot be read.
    pub fn read(object: &Value) -> Result<Self, Unreadable> {
        let meta = Meta::read(Kind::Node, object)?;
        let label = |key| meta::label(object, key).filter(|text| !text.is_empty());
        let room = |resource: &str| object.pointer(&format!("/status/allocatable/{resource}")).and_then(Value::as_str).and_then(Quantity::parse);
        Ok(Self {
            name: meta.name().into(),
            instance_type: label(TYPE).map(shared),
            region: label(REGION).map(shared),
            spot: SPOT.iter().any(|(key, word)| label(key) == Some(word)),
            cpu: room("cpu").unwrap_or_default(),
            memory: room("memory").unwrap_or_default(),
            pods: room("pods").unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_says_what_it_is_and_what_it_has() {
        let node = |labels: Value| {
            let metadata = json!({"name": "n", "uid": "u", "creationTimestamp": "2026-02-05T14:30:22Z", "labels": labels});
            Node::read(&json!({"metadata": metadata, "status": {"allocatable": {"cpu": "1930m", "memory": "7Gi", "pods": "35"}}})).unwrap()
        };
        let plain = node(json!({TYPE: "t3.large", REGION: "us-east-1", "eks.amazonaws.com/capacityType": "ON_DEMAND"}));
        assert_eq!((plain.instance_type.as_deref(), plain.region.as_deref(), plain.spot), (Some("t3.large"), Some("us-east-1"), false));
        assert_eq!((plain.cpu, plain.memory), (Quantity::parse("1930m").unwrap(), Quantity::parse("7Gi").unwrap()));
        assert_eq!(plain.pods, Quantity::whole(35));
        assert!(node(json!({"eks.amazonaws.com/capacityType": "SPOT"})).spot && node(json!({"karpenter.sh/capacity-type": "spot"})).spot);
    }
}
