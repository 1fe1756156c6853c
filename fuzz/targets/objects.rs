//! Whatever JSON an object of the cluster is: reading it ends, and one that cannot be read says what is wrong.
#![no_main]

use clonewarden::model::{Child, Kind, WordPressClone};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(object) = serde_json::from_slice(bytes) else { return };
    if let Err(unreadable) = WordPressClone::read(&object) {
        assert!(!unreadable.problem.is_empty());
    }
    for kind in Kind::CHILDREN {
        let _ = Child::read(kind, &object);
    }
});
