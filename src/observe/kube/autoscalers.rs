//! Lists autoscalers, for the metrics. It is no kind that is watched: no decision has evidence of it, and none may ever wait for it.

use super::{Call, KubeCluster, Lean, Listed, PAGE, parse};
use crate::{
    model::autoscaler::Autoscaler,
    ports::{ApiError, Autoscalers},
};
use futures::{FutureExt, future::BoxFuture};
use std::time::Duration;

/// Where they are, in all namespaces.
const ALL: &str = "/apis/autoscaling/v2/horizontalpodautoscalers";
/// How many pages are read: what bounds memory where a cluster is full of them.
const PAGES: usize = 4;
/// How long a page may take. Nobody waits for it.
const LIMIT: Duration = Duration::from_secs(10);

impl Autoscalers for KubeCluster {
    fn autoscalers(&self) -> BoxFuture<'_, Result<Vec<Autoscaler>, ApiError>> {
        async move {
            let (mut all, mut next) = (Vec::new(), String::new());
            for _ in 0..PAGES {
                let mut call = Call::read("list", "horizontalpodautoscalers", ALL.to_owned()).query("limit", &PAGE.to_string()).within(LIMIT);
                if !next.is_empty() {
                    call = call.query("continue", &next);
                }
                let Listed { metadata, items, .. } = parse(&self.api.ask(call).await?)?;
                all.extend(items.unwrap_or_default().iter().filter_map(|Lean(object)| Autoscaler::read(object)));
                next = metadata.next;
                if next.is_empty() {
                    break;
                }
            }
            Ok(all)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Answer, Fake};
    use super::*;
    use serde_json::json;

    fn list(names: &[&str], next: &str) -> Answer {
        let one = |name: &&str| json!({"metadata": {"namespace": name, "name": "web"}, "spec": {"maxReplicas": 3}});
        let items: Vec<_> = names.iter().map(one).collect();
        Answer::Json(200, json!({"metadata": {"resourceVersion": "9", "continue": next}, "items": items}))
    }

    #[tokio::test]
    async fn autoscalers_are_listed_by_pages_and_not_without_end() {
        let (cluster, fake) = Fake::new([list(&["a", "b"], "more"), list(&["c"], "")]);
        let found = cluster.autoscalers().await.unwrap();
        assert_eq!(found.iter().map(|one| one.namespace.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(fake.lines()[1], format!("GET {ALL}?limit=500&continue=more"));
        let (cluster, fake) = Fake::new((0..9).map(|_| list(&["a"], "more")));
        assert_eq!((cluster.autoscalers().await.unwrap().len(), fake.lines().len()), (PAGES, PAGES));
        let (cluster, _) = Fake::new([Answer::Text(403, "")]);
        assert!(matches!(cluster.autoscalers().await, Err(ApiError::Forbidden(_))));
    }
}
