//! A copy of `deploy/` and `policies/` that overlays can be put into, and what kustomize and Helm make of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clonewarden_platform::Platform;
use serde_json::Value;

/// The overlays that ship, and the policies that each takes.
pub(crate) const OVERLAYS: [(&str, &[&str]); 3] =
    [("one-cluster", &["staging", "production"]), ("staging", &["staging"]), ("production", &["production"])];

/// What `helm` is called with for an overlay that ships: the values beside it, and its policies.
pub(crate) fn shipped(overlay: &str) -> Vec<String> {
    let (_, policies) = OVERLAYS.into_iter().find(|(name, _)| *name == overlay).unwrap();
    let files = policies.iter().flat_map(|policy| ["--set-file".to_owned(), format!("policies.{policy}\\.yaml=policies/{policy}.yaml")]);
    ["--values".to_owned(), format!("deploy/chart/values-{overlay}.yaml")].into_iter().chain(files).collect()
}

/// The copy; gone when this is dropped.
pub(crate) struct Tree {
    folder: PathBuf,
    platform: Platform,
}

impl Tree {
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        // Links stay links: the chart's lead to the base.
        let copied = Command::new("cp").arg("-a").args([repository.join("deploy"), repository.join("policies")]).arg(&folder).status().unwrap();
        assert!(copied.success());
        Self { folder, platform: Platform::attach().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// An overlay on one that ships, in enforce and with the API.
    pub(crate) fn enforced(&self, cluster: &str) -> String {
        let text = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../{cluster}]\n\
             components: [../../components/enforce, ../../components/api]\n"
        );
        let name = format!("deploy/overlays/{cluster}-enforced");
        fs::create_dir_all(self.path(&name)).unwrap();
        fs::write(self.path(&name).join("kustomization.yaml"), text).unwrap();
        name
    }

    /// The documents that kustomize makes of a folder.
    pub(crate) fn kustomize(&self, folder: &str) -> String {
        self.platform.kubectl(&["kustomize", &self.path(folder).to_string_lossy()]).unwrap()
    }

    /// Helm, in the folder of the copy.
    pub(crate) fn helm(&self, args: &[&str]) -> Output {
        let mut command = Command::new(self.platform.program("helm"));
        command.args(args).current_dir(&self.folder).env("KUBECONFIG", self.platform.kubeconfig());
        for (variable, folder) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")] {
            command.env(variable, self.path(&format!("helm/{folder}")));
        }
        command.output().unwrap()
    }

    /// What Helm printed, which must have succeeded.
    pub(crate) fn helm_ok(&self, args: &[&str]) -> String {
        let output = self.helm(args);
        assert!(output.status.success(), "helm {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The documents of the chart with these arguments.
    pub(crate) fn template(&self, namespace: &str, args: &[&str]) -> String {
        let fixed = ["template", "clonewarden", "deploy/chart", "--namespace", namespace, "--set", "namespace.create=true"];
        self.helm_ok(&[&fixed, args].concat())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The objects of a stream by kind, namespace and name. What has no order has one here, and what only the chart says is left out: that
/// Helm is to leave CRDs, the namespace and the policies alone.
pub(crate) fn objects(documents: &str) -> BTreeMap<String, Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(documents).unwrap();
    let mut objects = BTreeMap::new();
    for mut object in all.into_iter().filter(|object| !object.is_null()) {
        let metadata = object["metadata"].as_object_mut().unwrap();
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            assert!(annotations.remove("helm.sh/resource-policy").is_none_or(|policy| policy == "keep"));
            if annotations.is_empty() {
                metadata.remove("annotations");
            }
        }
        sort(&mut object);
        let name = format!("{} {}/{}", object["kind"], object["metadata"]["namespace"], object["metadata"]["name"]).replace('"', "");
        assert!(objects.insert(name.clone(), object).is_none(), "{name} is there twice");
    }
    objects
}

/// Lists of things that have names mean the same in any order.
fn sort(value: &mut Value) {
    match value {
        Value::Array(all) => {
            all.iter_mut().for_each(sort);
            if all.iter().all(|one| one["name"].is_string()) {
                all.sort_by_key(|one| one["name"].to_string());
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(sort),
        _ => {}
    }
}
