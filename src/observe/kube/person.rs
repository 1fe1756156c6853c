//! The API server as one person sees it: with that person's own credentials, within a namespace or all of them, and with the
//! server's own words where it warns or refuses. Beside it stands [`super::KubeCluster`], which is the daemon's view.
//!
//! Contract: what is written carries the uid and the version of what was seen, and is sent once. A write may take as long as the
//! API server gives its webhooks, so that somebody who creates a clone while the lease moves is served all the same.

use super::{
    Lean, Listed, METADATA_LIST, PAGE,
    answer::Problem,
    call::{Body, Call, READ, Transport, in_namespace, object, parse},
    config, secret_from, trim, watch,
};
use crate::{
    model::Kind,
    ports::{ApiError, Pin, StoredSecret, WatchEvent},
};
use futures::stream::BoxStream;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// How long a write may take: the API server gives up on a request after 34 s.
const PATIENCE: Duration = Duration::from_secs(35);

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// Objects of a kind.
    Objects(Kind),
    /// The Events by which the job controller says why it could not create a Pod.
    Refusals,
}

impl Subject {
    /// The resource, as in a URL and in RBAC.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Objects(kind) => kind.plural(),
            Self::Refusals => "events",
        }
    }

    fn kind(self) -> Option<Kind> {
        match self {
            Self::Objects(kind) => Some(kind),
            Self::Refusals => None,
        }
    }
}

/// Which objects are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) subject: Subject,
    /// Where; `None`: in all namespaces.
    pub(crate) namespace: Option<String>,
    /// Only those with this label.
    pub(crate) label: Option<String>,
    /// Only those with this field.
    pub(crate) field: Option<String>,
}

impl Scope {
    /// Every object of a kind that has to do with clones.
    pub(crate) fn all(kind: Kind, namespace: Option<&str>) -> Self {
        let label = kind.selector().map(str::to_owned);
        Self { subject: Subject::Objects(kind), namespace: namespace.map(str::to_owned), label, field: None }
    }

    fn path(&self) -> Result<String, ApiError> {
        let prefix = match self.subject {
            Subject::Objects(kind) => super::call::prefix(kind),
            Subject::Refusals => "/api/v1".to_owned(),
        };
        match &self.namespace {
            Some(namespace) => in_namespace(&prefix, namespace, self.subject.plural(), None),
            None => Ok(format!("{prefix}/{}", self.subject.plural())),
        }
    }

    fn selected(&self, mut call: Call) -> Call {
        if let Some(label) = &self.label {
            call = call.query("labelSelector", label);
        }
        if let Some(field) = &self.field {
            call = call.query("fieldSelector", field);
        }
        call
    }
}

/// The objects of a scope, and the version from which a watch goes on.
#[derive(Debug, Default)]
pub(crate) struct List {
    pub(crate) items: Vec<Value>,
    pub(crate) version: String,
}

/// Whether a write is carried out, or only judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    Real,
    Dry,
}

impl Run {
    fn on(self, call: Call) -> Call {
        match self {
            Self::Real => call,
            Self::Dry => call.query("dryRun", "All"),
        }
    }
}

/// Somebody with a kubeconfig, or a Pod with a service account.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    api: Transport,
    namespace: String,
}

impl Person {
    /// Connects by the kubeconfig or as the Pod's service account. What is not said to be in another namespace is in `namespace`,
    /// by default that of the context. Nothing is sent yet.
    pub(crate) async fn connect(context: Option<&str>, namespace: Option<&str>) -> anyhow::Result<Self> {
        let config = config::load(context).await?;
        let known = [namespace.unwrap_or_default(), config.default_namespace.as_str(), "default"];
        let namespace = known.into_iter().find(|name| !name.is_empty()).unwrap_or("default").to_owned();
        Ok(Self::by(Transport::new(config::client(&config)?), namespace))
    }

    #[cfg(test)]
    pub(crate) fn over(client: super::Client, namespace: String) -> Self {
        Self::by(Transport::new(client), namespace)
    }

    /// Somebody who asks by this way.
    pub(super) fn by(api: Transport, namespace: String) -> Self {
        Self { api: api.listening(), namespace }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What the API server has warned of since this was last asked.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.api.take_warnings()
    }

    /// Every page of a list, by consistent reads. One that became too old between two pages is begun anew, once.
    pub(crate) async fn list(&self, scope: &Scope) -> Result<List, Problem> {
        match self.list_once(scope).await {
            Err(problem) if problem.error == ApiError::Expired => self.list_once(scope).await,
            other => other,
        }
    }

    async fn list_once(&self, scope: &Scope) -> Result<List, Problem> {
        let (mut list, mut next) = (List::default(), String::new());
        loop {
            let mut call = Call::read("list", scope.subject.plural(), scope.path()?).query("limit", &PAGE.to_string());
            call = scope.selected(call);
            if !next.is_empty() {
                call = call.query("continue", &next);
            }
            let kind = scope.subject.kind();
            if kind.is_some_and(Kind::metadata_only) {
                call = call.metadata(METADATA_LIST);
            }
            let Listed { kind: form, metadata, items } = parse(&self.api.ask(call).await?)?;
            let items = match items {
                Some(items) => items,
                None if form == METADATA_LIST => Vec::new(),
                None => return Err(ApiError::Unavailable("a list without items".to_owned()).into()),
            };
            list.items.extend(items.into_iter().map(|Lean(item)| match kind {
                Some(kind) => trim(kind, item),
                None => item,
            }));
            list.version = metadata.resource_version;
            if metadata.next.is_empty() {
                return Ok(list);
            }
            next = metadata.next;
        }
    }

    /// What happens to the objects of a scope from a version on. The stream ends when the server ends it.
    pub(crate) fn watch(&self, scope: &Scope, version: &str) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
        let path = match scope.path() {
            Ok(path) => path,
            Err(error) => return Box::pin(futures::stream::once(std::future::ready(Err(error)))),
        };
        let call = scope.selected(watch::watching(Call::read("watch", scope.subject.plural(), path), version));
        watch::follow(self.api.clone(), scope.subject.kind(), call, version)
    }

    /// A clone of the own namespace; `None` if there is none of that name.
    pub(crate) async fn clone_named(&self, name: &str) -> Result<Option<Value>, Problem> {
        let call = Call::read("get", Kind::Clone.plural(), object(Kind::Clone, &self.namespace, name)?);
        match self.api.ask(call).await {
            Ok(answer) => Ok(Some(parse(&answer)?)),
            Err(problem) if problem.is_absence_of(Kind::Clone.group(), Kind::Clone.plural(), name) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// What the Secret of this name in the own namespace holds; `None` if there is none.
    pub(crate) async fn secret_named(&self, name: &str) -> Result<Option<StoredSecret>, Problem> {
        let path = in_namespace("/api/v1", &self.namespace, "secrets", Some(name))?;
        match self.api.ask(Call::read("get", "secrets", path)).await {
            Ok(answer) => Ok(Some(secret_from(&answer)?)),
            Err(problem) if problem.is_absence_of("", "secrets", name) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Who this is to the API server.
    pub(crate) async fn user(&self) -> Result<String, Problem> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews".to_owned();
        let call = Call::write("create", "selfsubjectreviews", path, Body::Json(review), READ);
        let answer: Value = parse(&self.api.ask(call).await?)?;
        let user = answer.pointer("/status/userInfo/username").and_then(Value::as_str).filter(|user| !user.is_empty());
        Ok(user.ok_or_else(|| ApiError::Unavailable("the API server does not say who asks".to_owned()))?.to_owned())
    }

    /// The labels of the own namespace.
    pub(crate) async fn namespace_labels(&self) -> Result<BTreeMap<String, String>, Problem> {
        let call = Call::read("get", "namespaces", object(Kind::Namespace, "", &self.namespace)?).metadata("PartialObjectMetadata");
        let found: Value = parse(&self.api.ask(call).await?)?;
        let labels = found.pointer("/metadata/labels").cloned().unwrap_or_default();
        Ok(serde_json::from_value(labels).unwrap_or_default())
    }

    /// Creates a clone in the own namespace and returns it as it was stored.
    pub(crate) async fn create(&self, clone: Value, run: Run) -> Result<Value, Problem> {
        let path = in_namespace(&super::call::prefix(Kind::Clone), &self.namespace, Kind::Clone.plural(), None)?;
        let call = Call::write("create", Kind::Clone.plural(), path, Body::Json(clone), PATIENCE);
        Ok(parse(&self.api.ask(run.on(call)).await?)?)
    }

    /// Sets (`Some`) or removes (`None`) annotations of exactly the pinned clone, and returns it as it was stored. A dry run changes
    /// nothing, so any version of the clone will do for it.
    pub(crate) async fn annotate(&self, pin: &Pin, changes: &BTreeMap<&'static str, Option<String>>, run: Run) -> Result<Value, Problem> {
        let metadata = match run {
            Run::Real => json!({"uid": pin.uid, "resourceVersion": pin.resource_version, "annotations": changes}),
            Run::Dry => json!({"uid": pin.uid, "annotations": changes}),
        };
        let path = object(pin.kind, &pin.namespace, &pin.name)?;
        let call = Call::write("patch", pin.kind.plural(), path, Body::Merge(json!({"metadata": metadata})), PATIENCE);
        Ok(parse(&self.api.ask(run.on(call)).await?)?)
    }

    /// Deletes exactly the pinned object.
    pub(crate) async fn delete(&self, pin: &Pin) -> Result<(), Problem> {
        crate::act::kube::delete(&self.api, pin).await
    }
}

#[cfg(test)]
mod tests;
