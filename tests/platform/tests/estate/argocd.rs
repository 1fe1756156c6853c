//! Argo CD: by what it tells what is its own, what it does not even look at, and what it must not take away.
//!
//! Its own logic does not run here. What does is the API server with its kinds (`live.rs`); this is that the objects say what the docs say.

use std::collections::BTreeSet;
use std::fs;

use clonewarden_platform::Platform;
use serde_json::Value;

use crate::definition::deploy;
use crate::{ENVIRONMENTS, example, rendered};

/// Kinds that come and go without Git.
const NOT_OF_GIT: [(&str, &str); 4] =
    [("kro.run", "WordPressClone"), ("internal.kro.run", "GraphRevision"), ("clonewarden.io", "Orphan"), ("clonewarden.io", "CloneUsage")];
/// Kinds that a clone is made of, and that no Application has in Git.
const OF_CLONES: [(&str, &str); 4] = [("kro.run", "WordPressClone"), ("batch", "Job"), ("", "ConfigMap"), ("", "Secret")];
/// With these goes what nobody gets back.
const PRECIOUS: [&str; 4] = ["Namespace", "DBSubnetGroup", "DBInstance", "DBCluster"];

fn one<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind && object["metadata"]["name"] == name).collect();
    assert_eq!(found.len(), 1, "{kind} {name}");
    found[0]
}

/// What `resource.exclusions` of Argo CD's settings leaves out, as group and kind.
fn excluded(settings: &Value) -> BTreeSet<(String, String)> {
    let rules: Vec<Value> = serde_saphyr::from_str(settings["data"]["resource.exclusions"].as_str().unwrap()).unwrap();
    let texts = |value: &Value| value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let pairs = rules.iter().flat_map(|rule| {
        assert!(rule.get("clusters").is_none(), "{rule}");
        texts(&rule["apiGroups"]).into_iter().flat_map(|group| texts(&rule["kinds"]).into_iter().map(move |kind| (group.clone(), kind)))
    });
    pairs.collect()
}

fn group(object: &Value) -> &str {
    object["apiVersion"].as_str().unwrap().split_once('/').map_or("", |(group, _)| group)
}

/// Whether a list of the project names this kind.
fn listed(list: &Value, group: &str, kind: &str, name: &str) -> bool {
    list.as_array().unwrap().iter().any(|rule| {
        let pattern = rule.get("name").and_then(Value::as_str);
        let fits = pattern.is_none_or(|pattern| pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start)));
        rule["group"] == group && rule["kind"] == kind && fits
    })
}

fn annotation<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"]["annotations"][name].as_str().unwrap_or_default()
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn argo_cd_does_not_look_at_clones() {
    let platform = Platform::attach().unwrap();
    let (_, objects) = rendered(&platform, "argocd");
    let settings = one(&objects, "ConfigMap", "argocd-cm");
    assert_eq!(settings["data"]["application.resourceTrackingMethod"], "annotation");
    let ours = excluded(settings);
    let defaults = fs::read_to_string(platform.copied("argo-cd", "config").unwrap().join("argocd-cm.yaml")).unwrap();
    let defaults = excluded(&serde_saphyr::from_str(&defaults).unwrap());
    assert!(defaults.len() > 20, "{defaults:?}");
    let added: BTreeSet<_> = NOT_OF_GIT.into_iter().map(|(group, kind)| (group.to_owned(), kind.to_owned())).collect();
    // Exactly what Argo CD leaves out by itself, since the setting replaces that, and our kinds.
    assert_eq!(ours, defaults.union(&added).cloned().collect());
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn applications_bring_what_their_project_allows_and_no_clone() {
    let platform = Platform::attach().unwrap();
    let (_, objects) = rendered(&platform, "argocd");
    let project = one(&objects, "AppProject", "wordpress-clones");
    let (cluster, namespaced) = (&project["spec"]["clusterResourceWhitelist"], &project["spec"]["namespaceResourceWhitelist"]);
    for (group, kind) in OF_CLONES.into_iter().chain(NOT_OF_GIT) {
        assert!(!listed(namespaced, group, kind, "any") && !listed(cluster, group, kind, "any"), "{kind}");
    }
    // It would list every clone as an orphan, to be deleted by a click.
    assert!(project["spec"].get("orphanedResources").is_none());

    for (environment, branch) in ENVIRONMENTS.into_iter().zip(["staging", "main"]) {
        let name = format!("wordpress-{environment}");
        let application = one(&objects, "Application", &name);
        let spec = &application["spec"];
        assert!(application["metadata"].get("finalizers").is_none(), "to delete it would delete what it brought");
        assert_eq!(spec["project"], project["metadata"]["name"]);
        assert_eq!(spec["source"]["targetRevision"], branch);
        assert!(project["spec"]["sourceRepos"].as_array().unwrap().contains(&spec["source"]["repoURL"]));
        assert!(project["spec"]["destinations"].as_array().unwrap().contains(&spec["destination"]));
        assert_eq!(spec["syncPolicy"]["automated"], serde_json::json!({"prune": true, "selfHeal": true, "allowEmpty": false}));

        let folder = spec["source"]["path"].as_str().unwrap().strip_prefix("deploy/estate/").unwrap();
        assert!(deploy("estate").join(folder).join("kustomization.yaml").is_file(), "{folder}");
        for object in rendered(&platform, folder).1 {
            let (kind, called) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
            let allowed = match object["metadata"].get("namespace") {
                Some(namespace) => *namespace == name && listed(namespaced, group(&object), kind, called),
                None => listed(cluster, group(&object), kind, called),
            };
            assert!(allowed, "{name} brings {kind} {called}, which its project forbids");
            let kept = annotation(&object, "argocd.argoproj.io/sync-options") == "Prune=false,Delete=false";
            assert_eq!(kept, PRECIOUS.contains(&kind), "{kind} {called}");
        }
    }
}

/// The Application for the daemon itself, which docs/gitops.md shows, and the project that it is in: what every overlay brings is allowed,
/// and nothing is that no overlay brings.
#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn the_daemon_s_own_project_allows_what_it_consists_of_and_no_more() {
    let platform = Platform::attach().unwrap();
    let (_, objects) = rendered(&platform, "argocd");
    let project = one(&objects, "AppProject", "clonewarden");
    let application: Value = serde_saphyr::from_str(&example()).unwrap();
    assert_eq!(application["spec"]["project"], project["metadata"]["name"]);
    assert_eq!(project["spec"]["sourceRepos"], serde_json::json!([application["spec"]["source"]["repoURL"]]));
    assert_eq!(project["spec"]["destinations"], serde_json::json!([application["spec"]["destination"]]));
    assert!(project["spec"].get("orphanedResources").is_none());

    let (cluster, namespaced) = (&project["spec"]["clusterResourceWhitelist"], &project["spec"]["namespaceResourceWhitelist"]);
    let mut brought: BTreeSet<(String, String, String)> = BTreeSet::new();
    for overlay in ["one-cluster", "staging", "production"] {
        for object in rendered(&platform, &format!("../overlays/{overlay}")).1 {
            let (kind, called) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
            let allowed = match object["metadata"].get("namespace") {
                Some(namespace) => namespace == "clonewarden" && listed(namespaced, group(&object), kind, called),
                None => listed(cluster, group(&object), kind, called),
            };
            assert!(allowed, "{overlay} brings {kind} {called}, which the project forbids");
            brought.insert((group(&object).to_owned(), kind.to_owned(), called.to_owned()));
        }
    }
    for rule in cluster.as_array().unwrap().iter().chain(namespaced.as_array().unwrap()) {
        let list = serde_json::json!([rule]);
        assert!(brought.iter().any(|(group, kind, called)| listed(&list, group, kind, called)), "nothing needs {rule}");
    }
    // No name of somebody else's.
    for rule in cluster.as_array().unwrap() {
        assert!(rule["name"].as_str().unwrap().contains("clonewarden"), "{rule}");
    }
}

#[test]
#[ignore = "needs the platform: clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored"]
fn shared_databases_are_those_of_the_policies_and_nobody_takes_them_away() {
    let platform = Platform::attach().unwrap();
    let (_, all) = rendered(&platform, ".");
    // Argo CD's label of old: whatever carries it could be pruned by an installation that still goes by it.
    assert!(all.iter().all(|object| object.pointer("/metadata/labels/app.kubernetes.io~1instance").is_none()));
    for (environment, kind, field) in [("staging", "DBInstance", "dbInstanceIdentifier"), ("production", "DBCluster", "dbClusterIdentifier")] {
        let text = fs::read_to_string(deploy(&format!("../policies/{environment}.yaml"))).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let policy = documents.iter().find(|document| document["kind"] == "ClonePolicy").unwrap();
        assert_eq!(policy["spec"]["namespaces"]["names"], serde_json::json!([format!("wordpress-{environment}")]));
        let host = documents.iter().find(|document| document["kind"] == "DatabaseHost").unwrap();
        let name = host["metadata"]["name"].as_str().unwrap();
        let database = one(&all, kind, name);
        assert_eq!(database["spec"][field], name);
        assert!(host["spec"]["rds"].as_object().unwrap().values().any(|id| id == name), "{host}");
        assert_eq!(database["spec"]["deletionProtection"], true);
    }
    for database in all.iter().filter(|object| group(object) == "rds.services.k8s.aws") {
        assert_eq!(annotation(database, "services.k8s.aws/deletion-policy"), "retain", "{database}");
        let tags = database["spec"]["tags"].as_array().into_iter().flatten();
        let ours = tags.filter(|tag| ["CloneId", "CloneUid", "Namespace", "Cluster"].iter().any(|key| tag["key"] == *key));
        assert_eq!(ours.count(), 0, "it would look like a clone's: {database}");
    }
}
