//! Whether another clonewarden acts in this cluster, from a namespace that was not named to us.

use super::{Call, KubeCluster, Lean, Listed, PAGE, lease_from, parse};
use crate::{
    daemon::lease::NAME,
    model::later,
    ports::{ApiError, Cluster},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// A lease that was not renewed for this long is nobody's: it lasts 8 s.
const LIVING: SignedDuration = SignedDuration::from_mins(2);

impl KubeCluster {
    /// The namespace of a lease of our name that somebody renews, other than our own, and who that is.
    ///
    /// # Errors
    /// When leases cannot be listed; in a Pod's account that right is missing on purpose.
    pub async fn acts_elsewhere(&self, now: Timestamp) -> Result<Option<(String, String)>, ApiError> {
        let all = Call::read("list", "leases", "/apis/coordination.k8s.io/v1/leases".to_owned());
        let all = all.query("limit", &PAGE.to_string()).query("fieldSelector", &format!("metadata.name={NAME}"));
        let Listed { items, .. } = parse(&self.api.ask(all).await?)?;
        // By the API server's clock, which the answer tells: ours may be any laptop's.
        let now = self.skew(now).map_or(now, |ahead| later(now, -ahead));
        for Lean(lease) in items.unwrap_or_default() {
            let namespace = lease.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
            let record = lease_from(lease.to_string().as_bytes())?;
            let living = record.renewed.is_some_and(|at| now.duration_since(at) < LIVING);
            if namespace != self.namespace && living && !record.holder.is_empty() {
                return Ok(Some((namespace.to_owned(), record.holder)));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Answer, Fake};
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn only_a_lease_that_somebody_renews_elsewhere_is_another_daemon() {
        let lease = |namespace: &str, holder: &str, renewed: &str| {
            json!({"metadata": {"namespace": namespace, "name": "clonewarden", "resourceVersion": "1"},
                "spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 8}})
        };
        // The server says that it is 16:30.
        let (now, past) = ("2026-02-05T16:29:30.000000Z", "2026-02-05T16:20:00.000000Z");
        let list = |items: &[Value]| Answer::Json(200, json!({"metadata": {"resourceVersion": "9"}, "items": items}));
        let quiet = [lease("ours", "us", now), lease("old", "them", past), lease("given-back", "", now)];
        let (cluster, fake) = Fake::new([list(&quiet), list(&[quiet[1].clone(), lease("theirs", "them", now)])]);
        let at = "2026-02-05T18:00:00Z".parse().unwrap();
        assert_eq!(cluster.acts_elsewhere(at).await, Ok(None));
        assert_eq!(cluster.acts_elsewhere(at).await, Ok(Some(("theirs".to_owned(), "them".to_owned()))));
        assert!(fake.lines()[0].ends_with("&fieldSelector=metadata.name%3Dclonewarden"), "{}", fake.lines()[0]);
    }
}
