//! Whatever stands in a journal, it is a line, something else, or damaged. Whatever stands in a trace: each line is an arrival, nothing or an error with words; an arrival is read back as it is written; and whoever
//! comes gets an answer, and whoever is let in has an end.
#![no_main]

use clonewarden::{
    model::{
        Span,
        journal::{Found, Line},
    },
    policy::{Policies, load_files},
    simulate::{
        Setting, Simulation,
        setting::Retry,
        trace::{Reader, write},
    },
};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const POLICY: &str = "\
apiVersion: clonewarden.io/v1alpha1
kind: ClonePolicy
metadata: {name: p}
spec:
  mode: enforce
  namespaces: {names: [n, wordpress-staging]}
  limits: {clones: 4, dedicatedDatabases: 1, clonesPerOwner: 2}
  quota: {requests.cpu: 1}
  budget: {monthly: \"0.10\", atLimit: share}
  databases:
    - {name: critical, when: \"clone.labels['clonewarden.io/critical'] == 'true'\", use: dedicated, classes: [db.t3.micro]}
    - {name: rest, use: shared, hosts: [h]}
---
apiVersion: clonewarden.io/v1alpha1
kind: DatabaseHost
metadata: {name: h}
spec: {endpoint: h.example, schemas: 3, credentialsDir: /h}
";

static POLICIES: LazyLock<Policies> = LazyLock::new(|| load_files(vec![("p.yaml".into(), POLICY.into())]).expect("a policy"));
static SETTING: LazyLock<Setting> =
    LazyLock::new(|| Setting { retry: Some(Retry { every: Span::minutes(5), patience: Span::minutes(20) }), orphans: 500, ..Setting::default() });

fuzz_target!(|bytes: &[u8]| {
    if let Found::Line(line, text) = Line::find(bytes) {
        assert!(text.len() <= bytes.len() && serde_json::to_vec(&line).is_ok());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (mut reader, mut simulation, mut came) = (Reader::default(), Simulation::new(&POLICIES, &SETTING), 0);
    for line in text.lines() {
        match reader.read(line) {
            Ok(None) => assert!(line.trim().is_empty()),
            Ok(Some(arrival)) => {
                assert_eq!(Reader::default().read(&write(&arrival)), Ok(Some(arrival.clone())));
                simulation.arrive(&arrival);
                came += 1;
            }
            Err(bad) => {
                assert!(!bad.message.is_empty());
                assert!(bad.column.is_none_or(|column| column <= line.len() + 1));
            }
        }
    }
    let (figures, ()) = simulation.finish();
    assert_eq!((figures.arrivals, figures.admitted + figures.turned_away() + figures.ungoverned), (came, came));
    assert_eq!(figures.expired + figures.deleted, figures.admitted);
});
