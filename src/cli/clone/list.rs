//! `clonewarden clone list`: every clone with how it is, when it ends and whose it is.

use super::{
    Failure, Place, output, refused,
    show::{self, Output},
};
use crate::{
    lifecycle::{self, Summary},
    model::{Child, Kind, WordPressClone},
    observe::kube::person::{Person, Scope},
    plan::working::{Sight, Told},
    ports::ApiError,
};
use futures::future::join_all;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// `clone list`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The clones of all namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let all = args.all_namespaces;
    let format = args.output.format;
    args.place.ask(|person| async move {
        let namespace = (!all).then(|| person.namespace().to_owned());
        let now = lifecycle::now();
        let shown = list(&person, namespace.as_deref(), now).await?;
        if shown.is_empty() {
            let place = namespace.map_or_else(|| "in any namespace".to_owned(), |namespace| format!("in `{namespace}`"));
            output::note(&format!("there are no clones {place}"));
        }
        show::many(&shown, format, all, now)
    })
}

async fn list(person: &Person, namespace: Option<&str>, now: Timestamp) -> Result<Vec<Summary>, Failure> {
    let clones = person.list(&Scope::all(Kind::Clone, namespace)).await.map_err(|problem| refused("cannot list clones", problem))?;
    let mut clones: Vec<(WordPressClone, Told)> = clones
        .items
        .iter()
        .filter_map(|object| match WordPressClone::read(object) {
            Ok(clone) => Some((clone, Told::read(object))),
            Err(unreadable) => {
                output::note(&format!("clone `{}` cannot be read: {}", unreadable.name, unreadable.problem));
                None
            }
        })
        .collect();
    clones.sort_by(|(one, _), (other, _)| (one.meta.namespace(), one.meta.name()).cmp(&(other.meta.namespace(), other.meta.name())));
    let databases = [Kind::DbInstance, Kind::DbCluster].into_iter().filter(|_| clones.iter().any(|(clone, _)| clone.database.is_dedicated()));
    // Of those that are being deleted everything that is left is told.
    let rest =
        [Kind::Service, Kind::Ingress, Kind::ConfigMap].into_iter().filter(|_| clones.iter().any(|(clone, _)| clone.meta.terminating.is_some()));
    let kinds: Vec<Kind> = [Kind::Job, Kind::Pod].into_iter().chain(databases).chain(rest).collect();
    let lists = join_all(kinds.iter().map(|kind| async { person.list(&Scope::all(*kind, namespace)).await })).await;
    let (mut children, mut unseen): (Vec<Child>, _) = (Vec::new(), BTreeMap::new());
    for (kind, list) in kinds.into_iter().zip(lists) {
        match list {
            Ok(list) => children.extend(list.items.iter().filter_map(|object| Child::read(kind, object).ok().flatten())),
            // Not served: there are none.
            Err(problem) if problem.error == ApiError::NotFound => {}
            Err(problem) => {
                let why = format!("cannot list {}", kind.plural());
                output::note(&format!("{why}: {}", problem.words()));
                unseen.insert(kind, why);
            }
        }
    }
    let mut of: BTreeMap<&str, Vec<&Child>> = BTreeMap::new();
    for child in &children {
        if let Some(owner) = &child.owner {
            of.entry(&owner.uid).or_default().push(child);
        }
    }
    let awaited = |namespace: &str| clones.iter().any(|(clone, told)| told.has_secret && clone.meta.namespace() == namespace);
    let shown = clones.iter().map(|(clone, told)| {
        let children = of.get(clone.meta.uid.as_ref()).cloned().unwrap_or_default();
        let secret_awaited = !told.has_secret && awaited(clone.meta.namespace());
        let sight = Sight { clone, told, children, unseen: &unseen, refused: None, secret_awaited };
        Summary::new(clone, told, &sight.state(now))
    });
    Ok(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::names,
        observe::kube::fake::{Answer, Fake, failure},
    };
    use serde_json::{Value, json};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_770_300_000 + seconds).unwrap()
    }

    fn object(name: &str, uid: &str, labels: Value, status: Value) -> Value {
        json!({"metadata": {"namespace": "a", "name": name, "uid": uid, "creationTimestamp": at(0), "labels": labels}, "status": status})
    }

    fn items(items: Value) -> Answer {
        Answer::Json(200, json!({"metadata": {"resourceVersion": "9"}, "items": items}))
    }

    fn two() -> Answer {
        let active = json!({"state": "ACTIVE"});
        items(json!([object("two", "u2", json!({}), active.clone()), object("one", "u1", json!({}), active)]))
    }

    fn jobs() -> Answer {
        let of = |uid: &str| json!({names::KRO_INSTANCE_ID: uid, names::KRO_INSTANCE_KIND: "WordPressClone"});
        let failed = json!({"conditions": [{"type": "Failed", "status": "True", "message": "backoff"}]});
        items(json!([object("j1", "j1", of("u1"), json!({})), object("j2", "j2", of("u2"), failed)]))
    }

    #[tokio::test]
    async fn each_clone_is_as_its_own_children_are() {
        let pods = items(json!([object("p1", "p1", json!({names::CLONE_UID: "u1"}), json!({"phase": "Running"}))]));
        let (person, _) = Fake::person([two(), jobs(), pods]);
        let shown = list(&person, Some("a"), at(10)).await.unwrap();
        let states: Vec<_> = shown.iter().map(|shown| (shown.name.as_str(), shown.state)).collect();
        assert_eq!(states, [("one", "works"), ("two", "broken")]);
    }

    #[tokio::test]
    async fn a_right_that_is_missing_is_not_taken_for_nothing_there() {
        let (person, _) = Fake::person([two(), jobs(), failure(403, "Forbidden", "pods is forbidden", json!({}))]);
        let shown = list(&person, Some("a"), at(1_000)).await.unwrap();
        assert_eq!((shown[0].state, shown[0].why.as_slice()), ("unknown", ["cannot list pods".to_owned()].as_slice()));
        let (person, _) = Fake::person([failure(403, "Forbidden", "no", json!({}))]);
        assert_eq!(list(&person, None, at(0)).await.unwrap_err().code, 1);
    }
}
