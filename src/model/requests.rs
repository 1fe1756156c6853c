//! What a Pod asks its node for: CPU and memory that the scheduler sets aside.
//!
//! Contract: figures for people; nothing is decided by them. What cannot be read counts as nothing.

use super::{kind::Kind, quantity::Quantity};
use serde_json::Value;

/// What one Pod asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requests {
    /// CPU, in cores.
    pub cpu: Quantity,
    /// Memory, in bytes.
    pub memory: Quantity,
}

impl Requests {
    /// Reads what a Pod asks for; `None` for another kind, and for a Pod that has ended: nothing is set aside for it any more.
    #[must_use]
    pub fn read(kind: Kind, object: &Value) -> Option<Self> {
        let phase = object.pointer("/status/phase").and_then(Value::as_str);
        if kind != Kind::Pod || matches!(phase, Some("Succeeded" | "Failed")) {
            return None;
        }
        Some(Self { cpu: asked(object, "cpu"), memory: asked(object, "memory") })
    }
}

/// As the scheduler counts: containers run side by side, with the init containers that stay (`restartPolicy: Always`); the other init
/// containers run before them, one at a time.
fn asked(pod: &Value, resource: &str) -> Quantity {
    let of = |container: &Value| amount(container.pointer(&format!("/resources/requests/{resource}")));
    let list = |place: &str| pod.pointer(place).and_then(Value::as_array).into_iter().flatten();
    let (mut beside, mut before) = (Quantity::default(), Quantity::default());
    for container in list("/spec/initContainers") {
        if container.get("restartPolicy").and_then(Value::as_str) == Some("Always") {
            beside = beside.and(of(container));
        } else {
            before = before.max(beside.and(of(container)));
        }
    }
    let together = list("/spec/containers").fold(beside, |sum, container| sum.and(of(container)));
    together.max(before).and(amount(pod.pointer(&format!("/spec/overhead/{resource}"))))
}

fn amount(value: Option<&Value>) -> Quantity {
    let text = match value {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.clone(),
        _ => return Quantity::default(),
    };
    Quantity::parse(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(cpu: &str) -> Value {
        json!({"resources": {"requests": {"cpu": cpu, "memory": "128Mi"}}})
    }

    fn cpu(spec: Value, phase: &str) -> Option<Quantity> {
        Requests::read(Kind::Pod, &json!({"spec": spec, "status": {"phase": phase}})).map(|requests| requests.cpu)
    }

    #[test]
    fn a_pod_asks_for_what_the_scheduler_sets_aside() {
        let millis = |count: u32| Quantity::parse(&format!("{count}m"));
        assert_eq!(cpu(json!({"containers": [container("250m"), container("100m")]}), "Running"), millis(350));
        assert_eq!(cpu(json!({"containers": [container("1")], "initContainers": [container("2"), container("500m")]}), "Pending"), millis(2_000));
        let mut stays = container("300m");
        stays["restartPolicy"] = json!("Always");
        let spec = json!({"containers": [container("1")], "initContainers": [stays, container("900m")], "overhead": {"cpu": "50m"}});
        assert_eq!(cpu(spec, "Running"), millis(1_350));
        assert_eq!(cpu(json!({"containers": [{}, {"resources": {"requests": {"cpu": 2}}}, container("lots")]}), "Running"), millis(2_000));
        for ended in ["Succeeded", "Failed"] {
            assert_eq!(cpu(json!({"containers": [container("1")]}), ended), None, "{ended}");
        }
        assert_eq!(Requests::read(Kind::Job, &json!({"spec": {"containers": [container("1")]}})), None);
    }
}
