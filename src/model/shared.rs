//! Strings that thousands of objects have in common (namespaces, definitions, finalizers), each kept once.
//!
//! Contract: what comes back equals what was given; who holds it cannot tell whether it is shared. Comparing two of them costs
//! no look at memory that is far away, and ten thousand clones hold one `wordpress-staging`.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// Below this many nothing is swept.
const FEW: usize = 1_024;

static STRINGS: LazyLock<Mutex<Strings>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Strings {
    all: HashSet<Arc<str>>,
    /// How many were left by the last sweep.
    left: usize,
}

/// The one copy of a text.
#[must_use]
pub(crate) fn shared(text: &str) -> Arc<str> {
    // A panic while it was held leaves a set of strings behind.
    STRINGS.lock().unwrap_or_else(PoisonError::into_inner).get(text)
}

impl Strings {
    fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.all.get(text) {
            return Arc::clone(known);
        }
        // Names come and go with what bears them: what nobody holds any more is let go before the set doubles.
        if self.all.len() >= self.left.saturating_mul(2).max(FEW) {
            self.all.retain(|known| Arc::strong_count(known) > 1);
            self.left = self.all.len();
        }
        let new: Arc<str> = Arc::from(text);
        self.all.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_copy_as_long_as_somebody_holds_it() {
        let mut strings = Strings::default();
        let one = strings.get("wordpress-staging");
        assert!(Arc::ptr_eq(&one, &strings.get("wordpress-staging")));
        for number in 0..10 * FEW {
            assert_eq!(strings.get(&number.to_string()).as_ref(), number.to_string());
        }
        assert!(strings.all.len() <= FEW, "{} are kept", strings.all.len());
        assert!(Arc::ptr_eq(&one, &strings.get("wordpress-staging")));
    }
}
