//! What is built: one entry per binary (or set of manifests), and the hash that names its place in the cache.
//!
//! A pin is a Go module folder under `go/` with a committed `go.mod` and `go.sum`. Its hash covers those bytes, the
//! folder's Go sources and every build flag, so one changed pin rebuilds one entry and nothing can drift silently.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ring::digest;

/// Flags of every build: no paths of this machine in the binary, no debug tables.
pub(crate) const BUILD_FLAGS: &[&str] = &["-mod=readonly", "-trimpath", "-buildvcs=false"];
/// Linker flags of every build; a pin adds its own after these.
const LINK_FLAGS: &str = "-s -w";

/// What a cluster of this version says of itself; without it kubectl and clients see `v0.0.0-master`.
const KUBERNETES_VERSION: &str = "-X k8s.io/component-base/version.gitVersion=v1.35.4 \
     -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35";
/// KRO writes this on every object (`kro.run/kro-version`); without it, it says `devel`.
const KRO_VERSION: &str = "-X sigs.k8s.io/release-utils/version.gitVersion=v0.9.3";
/// ACK writes this into the tags of what it makes; without it, it says `rds-unknown`.
const ACK_VERSION: &str = "-X github.com/aws-controllers-k8s/rds-controller/pkg/version.GitVersion=v1.10.1";
/// What a release says it was made by; without it, it says `v4.1`.
const HELM_VERSION: &str = "-X helm.sh/helm/v4/internal/version.version=v4.1.4";
/// Prometheus' operator.
pub(crate) const OPERATOR: &str = "prometheus-operator";

/// Files that a part needs from its module's own source folder, such as its CRDs.
#[derive(Debug)]
pub(crate) struct Copied {
    /// Module whose folder has them; its version is the one in the pin's `go.mod`.
    pub(crate) module: &'static str,
    /// Files or folders inside the module (of a folder, its `*.yaml`).
    pub(crate) from: &'static [&'static str],
    /// Folder in the cache entry they are put in.
    pub(crate) into: &'static str,
}

/// One thing to build.
#[derive(Debug)]
pub(crate) struct Pin {
    /// Name of the binary, and of the cache entry.
    pub(crate) name: &'static str,
    /// Folder under `go/`.
    pub(crate) folder: &'static str,
    /// Package to build; `None` where only files are wanted.
    pub(crate) package: Option<&'static str>,
    /// Linker flags besides the common ones.
    pub(crate) link: &'static str,
    /// Files to take from module folders.
    pub(crate) copied: &'static [Copied],
    /// Whether a folder in `KUBEBUILDER_ASSETS` may bring it instead.
    pub(crate) in_assets: bool,
}

/// Everything that is built, in the order that gets a cluster up soonest. A new part is one entry here and one in
/// `parts::PARTS`.
pub(crate) const PINS: &[Pin] = &[
    Pin { name: "etcd", folder: "etcd", package: Some("."), link: "", copied: &[], in_assets: true },
    Pin {
        name: "kube-apiserver",
        folder: "kubernetes",
        package: Some("k8s.io/kubernetes/cmd/kube-apiserver"),
        link: KUBERNETES_VERSION,
        copied: &[],
        in_assets: true,
    },
    Pin {
        name: "kubectl",
        folder: "kubernetes",
        package: Some("k8s.io/kubernetes/cmd/kubectl"),
        link: KUBERNETES_VERSION,
        copied: &[],
        in_assets: true,
    },
    Pin {
        name: "kube-controller-manager",
        folder: "kubernetes",
        package: Some("k8s.io/kubernetes/cmd/kube-controller-manager"),
        link: KUBERNETES_VERSION,
        copied: &[],
        in_assets: false,
    },
    Pin {
        name: "kube-scheduler",
        folder: "kubernetes",
        package: Some("k8s.io/kubernetes/cmd/kube-scheduler"),
        link: KUBERNETES_VERSION,
        copied: &[],
        in_assets: false,
    },
    Pin {
        name: "kro",
        folder: "kro",
        package: Some("github.com/kubernetes-sigs/kro/cmd/controller"),
        link: KRO_VERSION,
        copied: &[Copied { module: "github.com/kubernetes-sigs/kro", from: &["helm/crds"], into: "crds" }],
        in_assets: false,
    },
    Pin {
        name: "kwok",
        folder: "kwok",
        package: Some("sigs.k8s.io/kwok/cmd/kwok"),
        link: "",
        // Not pod-complete: it ends every Pod of a Job at once, and a clone is a Job.
        copied: &[Copied {
            module: "sigs.k8s.io/kwok",
            from: &[
                "kustomize/stage/node/fast/node-initialize.yaml",
                "kustomize/stage/node/heartbeat/node-heartbeat.yaml",
                "kustomize/stage/pod/fast/pod-ready.yaml",
                "kustomize/stage/pod/fast/pod-delete.yaml",
            ],
            into: "stages",
        }],
        in_assets: false,
    },
    Pin {
        name: "ack-rds",
        folder: "ack-rds",
        package: Some("github.com/aws-controllers-k8s/rds-controller/cmd/controller"),
        link: ACK_VERSION,
        copied: &[Copied { module: "github.com/aws-controllers-k8s/rds-controller", from: &["helm/crds"], into: "crds" }],
        in_assets: false,
    },
    Pin {
        // No part of a cluster: what reads the workflow in deploy/ci.
        name: "actionlint",
        folder: "actionlint",
        package: Some("github.com/rhysd/actionlint/cmd/actionlint"),
        link: "",
        copied: &[],
        in_assets: false,
    },
    // No parts of the platform: kinds of others that `deploy/estate` has objects of, for the API server to know them.
    Pin {
        name: "argo-cd",
        folder: "argo-cd",
        package: None,
        link: "",
        copied: &[
            Copied {
                module: "github.com/argoproj/argo-cd/v3",
                from: &["manifests/crds/application-crd.yaml", "manifests/crds/appproject-crd.yaml"],
                into: "crds",
            },
            Copied { module: "github.com/argoproj/argo-cd/v3", from: &["manifests/base/config/argocd-cm.yaml"], into: "config" },
        ],
        in_assets: false,
    },
    Pin {
        name: "karpenter",
        folder: "karpenter",
        package: None,
        link: "",
        copied: &[Copied { module: "github.com/aws/karpenter-provider-aws", from: &["pkg/apis/crds"], into: "crds" }],
        in_assets: false,
    },
    // No part runs it: a test reads the dashboards with it.
    Pin { name: "grafana", folder: "grafana", package: Some("."), link: "", copied: &[], in_assets: false },
    // What renders, installs and lints deploy/; kustomize is in kubectl.
    Pin { name: "helm", folder: "helm", package: Some("helm.sh/helm/v4/cmd/helm"), link: HELM_VERSION, copied: &[], in_assets: false },
    Pin {
        name: "kube-score",
        folder: "kube-score",
        package: Some("github.com/zegl/kube-score/cmd/kube-score"),
        link: "",
        copied: &[],
        in_assets: false,
    },
    Pin {
        // Only its kinds, for the API server to know them.
        name: OPERATOR,
        folder: "prometheus-operator",
        package: None,
        link: "",
        copied: &[Copied {
            module: "github.com/prometheus-operator/prometheus-operator",
            from: &[
                "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
                "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
            ],
            into: "crds",
        }],
        in_assets: false,
    },
];

impl Pin {
    /// The value of `-ldflags`.
    pub(crate) fn link_flags(&self) -> String {
        format!("{LINK_FLAGS} {}", self.link).trim_end().to_owned()
    }

    /// Name of the cache entry: `<name>-<16 hex digits>`.
    pub(crate) fn cache_key(&self, go: &Path) -> Result<String> {
        let mut inputs = vec![
            ("target".to_owned(), format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH).into_bytes()),
            ("flags".to_owned(), BUILD_FLAGS.join(" ").into_bytes()),
            ("link".to_owned(), self.link_flags().into_bytes()),
            ("package".to_owned(), self.package.unwrap_or("-").as_bytes().to_vec()),
            ("copied".to_owned(), format!("{:?}", self.copied).into_bytes()),
        ];
        inputs.extend(module_files(&go.join(self.folder))?);
        Ok(format!("{}-{}", self.name, hash(&inputs)))
    }
}

/// The bytes that pin a module: `go.mod`, `go.sum` and Go sources, sorted by name.
fn module_files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read the pin folder {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "go.mod" || name == "go.sum" || name.ends_with(".go") {
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push((name, bytes));
        }
    }
    for wanted in ["go.mod", "go.sum"] {
        if !files.iter().any(|(name, _)| name == wanted) {
            bail!("{} has no {wanted}: both are committed, so restore it from Git", folder.display());
        }
    }
    files.sort();
    Ok(files)
}

/// First 16 hex digits of a SHA-256 in which every name and value carries its length, so that no two lists meet.
pub(crate) fn hash(inputs: &[(String, Vec<u8>)]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for (name, bytes) in inputs {
        for part in [name.as_bytes(), bytes] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
    }
    context.finish().as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Where the files are that are copied for this pin.
pub(crate) fn files_of(name: &str, into: &str) -> Result<PathBuf> {
    let pin = PINS.iter().find(|pin| pin.name == name).with_context(|| format!("nothing is pinned under `{name}`"))?;
    Ok(cache_root()?.join(pin.cache_key(&go_folder())?).join(into))
}

/// The folder with the committed pins.
pub(crate) fn go_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("go")
}

/// `${XDG_CACHE_HOME:-$HOME/.cache}/clonewarden/platform`.
pub(crate) fn cache_root() -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set: set one, the built parts go there")?)
            .join(".cache"),
    };
    Ok(cache.join("clonewarden").join("platform"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn the_hash_sees_names_values_and_where_they_end() {
        let base = hash(&pairs(&[("go.mod", "a"), ("go.sum", "b")]));
        assert_eq!(base, hash(&pairs(&[("go.mod", "a"), ("go.sum", "b")])));
        for other in [
            pairs(&[("go.mod", "a"), ("go.sum", "c")]),
            pairs(&[("go.mod", "ab"), ("go.sum", "")]),
            pairs(&[("go.mo", "da"), ("go.sum", "b")]),
            pairs(&[("go.mod", "a")]),
        ] {
            assert_ne!(base, hash(&other), "{other:?}");
        }
        assert_eq!(base.len(), 16);
    }

    #[test]
    fn every_pin_is_there_and_has_a_key_of_its_own() {
        let go = go_folder();
        let mut keys: Vec<_> = PINS.iter().map(|pin| pin.cache_key(&go).unwrap()).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), PINS.len());
    }

    #[test]
    fn one_changed_pin_changes_one_module() {
        let copy = std::env::temp_dir().join(format!("clonewarden-pins-{}", std::process::id()));
        for pin in PINS {
            let (from, to) = (go_folder().join(pin.folder), copy.join(pin.folder));
            fs::create_dir_all(&to).unwrap();
            for (name, bytes) in module_files(&from).unwrap() {
                fs::write(to.join(name), bytes).unwrap();
            }
        }
        let before: Vec<_> = PINS.iter().map(|pin| pin.cache_key(&copy).unwrap()).collect();
        fs::write(copy.join("kro/go.sum"), "changed").unwrap();
        let after: Vec<_> = PINS.iter().map(|pin| pin.cache_key(&copy).unwrap()).collect();
        fs::remove_dir_all(&copy).unwrap();
        for ((pin, before), after) in PINS.iter().zip(before).zip(after) {
            assert_eq!(before != after, pin.folder == "kro", "{}", pin.name);
        }
    }
}
