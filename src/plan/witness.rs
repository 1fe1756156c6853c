//! What a verdict rests on: the sources that it needs and no others, as well as the plan knows them.

use super::{Action, Decision, Plan, Reason, Target, Work, lifetime::Cause};
use crate::model::{Kind, Source, evidence::Evidence, orphan::status::StatusEvidence};
use crate::policy::Policies;

/// The evidence behind the end of something, its mark or its hold; nothing for any other decision.
#[must_use]
pub fn evidence(decision: &Decision, plan: &Plan, policies: &Policies) -> Vec<StatusEvidence> {
    if !matches!(decision.action, Action::Delete | Action::Hold | Action::Mark) {
        return Vec::new();
    }
    // What was left behind says itself what it is judged by.
    if let Some(course) = decision.course().filter(|course| !course.status.evidence.is_empty()) {
        return course.status.evidence.clone();
    }
    let mut sources = sources(decision, policies);
    sources.dedup();
    sources.iter().filter_map(|source| Some(told(source, plan.evidence.get(source)?))).collect()
}

fn told(source: &Source, evidence: &Evidence) -> StatusEvidence {
    StatusEvidence { source: source.to_string(), complete: evidence.complete, observed_at: evidence.observed_at, reason: evidence.reason.clone() }
}

fn sources(decision: &Decision, policies: &Policies) -> Vec<Source> {
    let objects = Source::Objects;
    match (&decision.reason, &decision.target) {
        (Reason::EvidenceMissing(source, _), _) => vec![source.clone()],
        (Reason::ClockUntrusted(_), _) => vec![Source::Time],
        (Reason::DefinitionGone(_), _) => vec![objects(Kind::Clone), objects(Kind::Definition)],
        (Reason::PolicyConflict(..), _) => vec![objects(Kind::Namespace)],
        (_, Target::Unreadable(object)) => vec![objects(object.kind)],
        (reason, Target::Clone(_)) => {
            let mut sources = vec![objects(Kind::Clone), Source::Time];
            sources.extend(policies.use_selectors().then_some(objects(Kind::Namespace)));
            // Where nobody asked for them there is no evidence of them either.
            sources.push(objects(Kind::Definition));
            match (&decision.work, reason) {
                (Some(Work::Unused(unused)), Reason::Expired(life, _)) if matches!(life.cause, Cause::Idle(..)) => {
                    sources.push(Source::Host(unused.host.clone()));
                }
                _ => {}
            }
            sources
        }
        (_, Target::Cloud(resource)) => {
            let claims = [Kind::DbInstance, Kind::DbCluster].map(objects);
            let sweep = Source::Cloud(resource.region.clone(), resource.list);
            [objects(Kind::Clone), sweep].into_iter().chain(claims).collect()
        }
        (_, Target::Schema(schema)) => vec![objects(Kind::Clone), Source::Host(schema.host.clone())],
        (_, Target::Child(child)) => vec![objects(Kind::Clone), objects(child.kind)],
        (_, Target::Orphan(_)) => vec![objects(Kind::Clone), objects(Kind::Orphan)],
        (_, Target::Quota(quota)) => vec![objects(Kind::Namespace), objects(quota.kind)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Snapshot, WordPressClone};
    use crate::plan::plan;
    use crate::policy::load_files;
    use jiff::Timestamp;
    use serde_json::json;
    use std::sync::Arc;

    fn rested(namespaces: &str, known: &[(Source, bool)]) -> Vec<String> {
        let policy = format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\nspec: {{mode: enforce, namespaces: {namespaces}}}\n"
        );
        let policies = load_files(vec![("p.yaml".to_owned(), policy.into())]).unwrap();
        let now: Timestamp = "2026-02-05T16:30:22Z".parse().unwrap();
        let object = json!({"metadata": {"namespace": "n", "name": "c", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-02-05T14:30:22Z",
            "annotations": {"clonewarden.io/expires-at": "2026-02-05T16:30:22Z", "clonewarden.io/announced-at": "2026-02-05T14:40:00Z"}},
            "spec": {"cloneId": "c", "ttlSeconds": 7200}});
        let mut snapshot = Snapshot { clones: vec![Arc::new(WordPressClone::read(&object).unwrap())], ..Snapshot::default() };
        snapshot.namespaces.insert("n".to_owned(), [("a".to_owned(), "b".to_owned())].into());
        snapshot.state.enforced_since.insert("n".to_owned(), "2026-02-05T14:00:00Z".parse().unwrap());
        for (source, complete) in known {
            let evidence = if *complete { Evidence::complete(now) } else { Evidence::incomplete(now, "a page was missing") };
            snapshot.evidence.insert(source.clone(), evidence);
        }
        let plan = plan(&snapshot, &policies, now);
        let verdict = plan.decisions.iter().find(|decision| matches!(decision.target, Target::Clone(_)) && decision.action != Action::Alert).unwrap();
        let told = evidence(verdict, &plan, &policies);
        let told = told.iter().map(|one| format!("{} {}", one.source, one.complete));
        [verdict.action.word().to_owned()].into_iter().chain(told).collect()
    }

    #[test]
    fn an_end_names_what_it_needs_and_a_hold_what_it_lacks() {
        let kinds = [Kind::Clone, Kind::Namespace, Kind::Pod].map(|kind| (Source::Objects(kind), true));
        let mut known = kinds.to_vec();
        known.push((Source::Time, true));
        assert_eq!(rested("{names: [n]}", &known), ["delete", "clones true", "time true"]);
        let by_labels = "{selector: {matchLabels: {a: b}}}";
        assert_eq!(rested(by_labels, &known), ["delete", "clones true", "time true", "namespaces true"]);
        known.push((Source::Objects(Kind::Namespace), false));
        assert_eq!(rested(by_labels, &known), ["hold", "namespaces false"]);
        known.pop();
        known.push((Source::Time, false));
        assert_eq!(rested("{names: [n]}", &known), ["hold", "time false"]);
    }
}
