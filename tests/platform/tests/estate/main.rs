//! `deploy/estate`: what the platform around the daemon consists of. The API server takes all of it, who reaches whom is as it is said, and
//! Argo CD has nothing to do with clones.
//!
//! Run by `clonewarden-platform run -- cargo test -p clonewarden-platform -- --ignored`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by a panic, and so do its helpers")]

mod argocd;
#[path = "../common/aws.rs"]
#[expect(dead_code, reason = "the tests of RDS need more of it")]
mod aws;
#[path = "../common/mod.rs"]
mod common;
mod databases;
#[path = "../common/definition.rs"]
mod definition;
mod docs;
mod live;
mod reach;
mod rights;

use clonewarden_platform::Platform;
use serde_json::Value;

/// The two namespaces of clones, as their environments are called.
const ENVIRONMENTS: [&str; 2] = ["staging", "production"];

/// What kustomize makes of a folder of `deploy/estate`, as documents and as objects.
fn rendered(platform: &Platform, folder: &str) -> (String, Vec<Value>) {
    let documents = platform.kubectl(&["kustomize", &definition::deploy("estate").join(folder).to_string_lossy()]).unwrap();
    let objects = serde_saphyr::from_multiple(&documents).unwrap();
    (documents, objects)
}

/// The example in docs/gitops.md: the Application for the daemon itself.
fn example() -> String {
    let page = std::fs::read_to_string(definition::deploy("../docs/gitops.md")).unwrap();
    page.split_once("```yaml\n").unwrap().1.split_once("```").unwrap().0.to_owned()
}
