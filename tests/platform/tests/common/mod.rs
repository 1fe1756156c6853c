//! What the tests of this folder share.

use std::time::{Duration, Instant};

/// Looks every 50 ms until `look` gives something, and says how long that took; fails with the last state it saw.
pub(crate) fn wait<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, String>) -> (T, Duration) {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return (found, start.elapsed()),
            Err(state) => assert!(start.elapsed() <= within, "{what}: not within {within:?}; last seen: {state}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
