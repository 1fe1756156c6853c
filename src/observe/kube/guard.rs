//! Asks the API server for what the guard must refuse. Each request is a dry run: let through, it does nothing.

use super::{Body, Call, KubeCluster, WRITE, in_namespace};
use crate::ports::{ApiError, Guard, Guarded};
use futures::{FutureExt, future::BoxFuture};
use serde_json::json;

/// What every refusal of the guard's says, with the revision of its rules: those of another one may forbid less.
const SAYS: &str = "clonewarden's guard 1 (";
/// What those of any revision say.
const ANY: &str = "clonewarden's guard";
/// The ConfigMap that every namespace has. Kubernetes would make it anew.
const NO_CLONES: &str = "kube-root-ca.crt";

impl KubeCluster {
    /// In our own namespace: what is tried is about nobody else's objects.
    fn forbidden(&self, guard: Guard) -> Result<Call, ApiError> {
        let (verb, resource, name, body) = match guard {
            Guard::Deletions => ("delete", "configmaps", Some(NO_CLONES), json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]})),
            Guard::Secrets => {
                ("create", "secrets", None, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "clonewarden-not-ours"}}))
            }
        };
        let path = in_namespace("/api/v1", &self.namespace, resource, name)?;
        Ok(Call::write(verb, resource, path, Body::Json(body), WRITE).query("dryRun", "All"))
    }
}

impl Guarded for KubeCluster {
    fn guarded(&self, guard: Guard) -> BoxFuture<'_, Result<Option<bool>, ApiError>> {
        async move {
            match self.api.ask(self.forbidden(guard)?).await.map_err(ApiError::from) {
                Ok(_) => Ok(Some(false)),
                Err(ApiError::Forbidden(message)) if message.contains(ANY) => Ok(Some(message.contains(SAYS))),
                // A ConfigMap that is not there, or another webhook that takes no dry runs: nothing is known.
                Err(ApiError::Forbidden(_) | ApiError::NotFound | ApiError::Refused { .. } | ApiError::Conflict(_)) => Ok(None),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Answer, Fake, failure};
    use super::*;

    #[tokio::test]
    async fn what_is_tried_is_a_dry_run_and_only_the_guards_own_words_are_taken_for_it() {
        let refused = |message: &str| failure(403, "Forbidden", message, json!({}));
        let answers = [
            refused("policy 'clonewarden-guard' denied request: clonewarden's guard 1 (deploy/base/guard.yaml) lets the daemon touch only …"),
            refused("policy 'clonewarden-guard' denied request: clonewarden's guard (deploy/base/guard.yaml) lets the daemon touch only …"),
            refused("User \"x\" cannot create resource \"secrets\""),
            Answer::Json(200, json!({})),
            failure(400, "BadRequest", "admission webhook \"x\" does not support dry run", json!({})),
        ];
        let (cluster, fake) = Fake::new(answers);
        assert_eq!(cluster.guarded(Guard::Deletions).await, Ok(Some(true)));
        assert_eq!(cluster.guarded(Guard::Deletions).await, Ok(Some(false)), "an older guard forbids less");
        assert_eq!(cluster.guarded(Guard::Secrets).await, Ok(None), "RBAC is not the guard");
        assert_eq!(cluster.guarded(Guard::Deletions).await, Ok(Some(false)));
        assert_eq!(cluster.guarded(Guard::Secrets).await, Ok(None));
        for asked in fake.asked() {
            assert!(asked.line.contains("/namespaces/ours/") && asked.line.ends_with("&dryRun=All"), "{}", asked.line);
        }
        assert_eq!(fake.asked()[0].body["dryRun"], json!(["All"]));
        let (cluster, _) = Fake::new([Answer::Text(503, "")]);
        assert!(cluster.guarded(Guard::Deletions).await.is_err());
    }
}
