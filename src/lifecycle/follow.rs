//! What happens to a clone and to what it is made of, by list and watch: one task a kind, until nobody listens any more.
//!
//! Contract: a kind that may not be listed or watched is said so once and left; one that does not answer is asked for again. What
//! comes after [`News::Listed`] is newer than that list.

use crate::{
    model::{Kind, names},
    observe::kube::person::{Person, Scope, Subject},
    ports::{ApiError, WatchEvent},
};
use futures::StreamExt;
use serde_json::Value;
use std::time::Duration;
use tokio::{sync::mpsc, task::JoinSet};

/// How long after an error it is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Something that was learned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// These are all there are.
    Listed(Subject, Vec<Value>),
    /// This one is there, new or changed.
    Applied(Subject, Value),
    /// This one is gone.
    Gone(Subject, Value),
    /// They cannot be seen, and why.
    Unseen(Subject, String, Lasts),
}

/// How long something is not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lasts {
    /// A right is missing: nobody asks again.
    ForGood,
    /// No answer came: it is asked again.
    ForNow,
}

/// The tasks; they end when this is dropped.
pub(crate) struct Follow {
    news: mpsc::UnboundedReceiver<News>,
    _tasks: JoinSet<()>,
}

impl Follow {
    pub(crate) fn start(person: &Person, scopes: &[Scope]) -> Self {
        let (tell, news) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for scope in scopes {
            tasks.spawn(one(person.clone(), scope.clone(), tell.clone()));
        }
        Self { news, _tasks: tasks }
    }

    /// What is next, and everything else that is known by then; `None` when no task is left, so that nothing more will come.
    pub(crate) async fn next(&mut self) -> Option<Vec<News>> {
        let mut all = vec![self.news.recv().await?];
        while let Ok(more) = self.news.try_recv() {
            all.push(more);
        }
        Some(all)
    }
}

/// The clone itself.
pub(crate) fn clone_itself(namespace: &str, name: &str) -> Scope {
    let field = Some(format!("metadata.name={name}"));
    Scope { subject: Subject::Objects(Kind::Clone), namespace: Some(namespace.to_owned()), label: None, field }
}

/// The objects of one kind that the clone with this UID was expanded into.
pub(crate) fn children(kind: Kind, namespace: &str, uid: &str) -> Scope {
    let key = if kind == Kind::Pod { names::CLONE_UID } else { names::KRO_INSTANCE_ID };
    let label = Some(format!("{key}={uid}"));
    Scope { subject: Subject::Objects(kind), namespace: Some(namespace.to_owned()), label, field: None }
}

/// Why Jobs of the namespace were refused a Pod.
pub(crate) fn refusals(namespace: &str) -> Scope {
    let field = Some("involvedObject.kind=Job,reason=FailedCreate".to_owned());
    Scope { subject: Subject::Refusals, namespace: Some(namespace.to_owned()), label: None, field }
}

async fn one(person: Person, scope: Scope, tell: mpsc::UnboundedSender<News>) {
    let subject = scope.subject;
    // When nobody listens any more this task is ended, so what cannot be told need not be.
    loop {
        let (verb, error, words) = match person.list(&scope).await {
            Ok(list) => {
                let _ = tell.send(News::Listed(subject, list.items));
                let error = watch(&person, &scope, list.version, &tell).await;
                let words = error.to_string();
                ("watch", error, words)
            }
            Err(problem) => {
                let words = problem.words();
                ("list", problem.error, words)
            }
        };
        let lasts = match error {
            // What happened since is in the next list.
            ApiError::Expired => continue,
            // A kind that is not served has no objects. The clones must be.
            ApiError::NotFound if subject != Subject::Objects(Kind::Clone) => {
                let _ = tell.send(News::Listed(subject, Vec::new()));
                return;
            }
            ApiError::Forbidden(_) => Lasts::ForGood,
            _ => Lasts::ForNow,
        };
        let _ = tell.send(News::Unseen(subject, format!("cannot {verb} {}: {words}", subject.plural()), lasts));
        if lasts == Lasts::ForGood {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Follows from a version on, over as many watches as it takes, until one fails.
async fn watch(person: &Person, scope: &Scope, mut version: String, tell: &mpsc::UnboundedSender<News>) -> ApiError {
    let subject = scope.subject;
    loop {
        let mut events = person.watch(scope, &version);
        while let Some(event) = events.next().await {
            let (news, at) = match event {
                Ok(WatchEvent::Applied(object)) => (Some(News::Applied(subject, object.clone())), resource_version(&object)),
                Ok(WatchEvent::Deleted(object)) => (Some(News::Gone(subject, object.clone())), resource_version(&object)),
                Ok(WatchEvent::Bookmark(version)) => (None, Some(version)),
                Err(error) => return error,
            };
            version = at.unwrap_or(version);
            let _ = news.map(|news| tell.send(news));
        }
    }
}

fn resource_version(object: &Value) -> Option<String> {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned)
}
