//! Whatever bytes come to the webhook: they are an error, or they get an answer that is a review of the same uid, and a clone
//! that is let in is promised a place.
#![no_main]

use clonewarden::{
    admission::review,
    plan::admit::{self, Operation, Residents, Town},
    policy::{Policies, load_files},
};
use libfuzzer_sys::fuzz_target;
use std::{collections::BTreeMap, sync::LazyLock};

const POLICY: &str = "\
apiVersion: clonewarden.io/v1alpha1
kind: ClonePolicy
metadata: {name: p}
spec:
  mode: enforce
  namespaces: {names: [n, wordpress-staging]}
  limits: {clones: 1, dedicatedDatabases: 1, clonesPerOwner: 1}
  databases:
    - {name: critical, when: \"clone.labels['clonewarden.io/critical'] == 'true'\", use: dedicated, classes: [db.t3.micro]}
    - {name: long, when: \"clone.spec.ttlSeconds > 3600\", use: dedicated, serverless: {minACU: 0.5, maxACU: 4}}
    - {name: rest, use: shared, hosts: [h]}
---
apiVersion: clonewarden.io/v1alpha1
kind: DatabaseHost
metadata: {name: h}
spec: {endpoint: h.example, schemas: 1}
";

static POLICIES: LazyLock<Policies> = LazyLock::new(|| load_files(vec![("p.yaml".into(), POLICY.into())]).expect("a policy"));

fuzz_target!(|bytes: &[u8]| {
    let Ok(read) = review::read(bytes) else { return };
    let Some(request) = read.request else { return };
    let (residents, claims) = (Residents::default(), BTreeMap::new());
    let town = Town { policies: &POLICIES, residents: &residents, claims: &claims };
    for (creates, verdict) in [(request.operation == Operation::Create, admit::mutate(&request, town, "r")), (false, admit::validate(&request, town))]
    {
        let answer = review::answer(&read.uid, &verdict);
        assert_eq!(answer["response"]["uid"], serde_json::json!(read.uid));
        let governed = request.namespace == "n" || request.namespace == "wordpress-staging";
        if creates && governed && !request.dry_run {
            assert_eq!(verdict.claim.is_some(), verdict.refusal.is_none());
        }
    }
});
