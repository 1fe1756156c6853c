//! Whatever stands in a policy file: it loads, or every problem has a place in that file and can be shown.
#![no_main]

use clonewarden::policy::load_files;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(problems) = load_files(vec![("p.yaml".into(), bytes.to_vec())]) {
        assert!(!problems.to_string().is_empty());
    }
});
