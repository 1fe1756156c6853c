//! Whatever is handed back as an approved plan: reading it ends, what is wrong has a line and words, and what is read carries nothing out of
//! a world in which nothing is decided.
#![no_main]

use clonewarden::{
    approve::{Document, Fate, weigh},
    model::Snapshot,
    plan::plan,
    policy::{Policies, load_files},
};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const POLICY: &str = "\
apiVersion: clonewarden.io/v1alpha1
kind: ClonePolicy
metadata: {name: p}
spec: {namespaces: {names: [n]}}
";

static POLICIES: LazyLock<Policies> =
    LazyLock::new(|| load_files(vec![("p.yaml".to_owned(), POLICY.into())]).unwrap_or_else(|problems| panic!("{problems}")));

fuzz_target!(|bytes: &[u8]| {
    let document = match Document::read(bytes) {
        Ok(document) => document,
        Err(fault) => return assert!(fault.line > 0 && fault.column > 0 && !fault.message.is_empty()),
    };
    let snapshot = Snapshot::default();
    let plan = plan(&snapshot, &POLICIES, document.now);
    match weigh(&document, &plan, &snapshot) {
        Ok(fates) => {
            assert_eq!(fates.len(), document.entries.len());
            assert!(fates.iter().all(|fate| matches!(fate, Fate::Settled(..))));
        }
        Err((_, why)) => assert!(!why.is_empty()),
    }
});
