//! Whatever stands in a policy file or a test: it is read, or every problem has a place in that file and can be shown in every form.
#![no_main]

use clonewarden::policy::{Problems, fixture::Fixtures, lint_files, report};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let linted = lint_files(vec![("p.yaml".into(), bytes.to_vec())]);
    assert_eq!(linted.policies.is_some(), linted.problems.errors() == 0);
    shown(&linted.problems);
    if let Err(problems) = Fixtures::of_files(vec![("p_test.yaml".into(), bytes.to_vec())]) {
        shown(&problems);
    }
});

fn shown(problems: &Problems) {
    let any = problems.count() > 0;
    assert_eq!(!problems.to_string().is_empty(), any);
    assert_eq!(!report::github(problems).is_empty(), any);
    let log = report::sarif(problems);
    assert_eq!(log["runs"][0]["results"].as_array().is_some_and(|results| !results.is_empty()), any);
}
