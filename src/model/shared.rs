//! Strings that thousands of objects have in common (namespaces, definitions, finalizers), each kept once; and so are other things.
//!
//! Contract: what comes back equals what was given; who holds it cannot tell whether it is shared. Comparing two of them costs
//! no look at memory that is far away, and ten thousand clones hold one `wordpress-staging`.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

/// Below this many nothing is swept.
const FEW: usize = 1_024;

static STRINGS: LazyLock<Mutex<Pool<str>>> = LazyLock::new(Mutex::default);

/// Things of one type, each kept once for as long as somebody holds it.
pub(super) struct Pool<T: ?Sized> {
    all: HashSet<Arc<T>>,
    /// How many were left by the last sweep.
    left: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self { all: HashSet::new(), left: 0 }
    }
}

/// The one copy of a text.
#[must_use]
pub(crate) fn shared(text: &str) -> Arc<str> {
    // A panic while it was held leaves a set of strings behind.
    STRINGS.lock().unwrap_or_else(PoisonError::into_inner).get(text, || Arc::from(text))
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    /// The one copy of a thing; `make` makes it where there is none.
    pub(super) fn get(&mut self, wanted: &T, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        if let Some(known) = self.all.get(wanted) {
            return Arc::clone(known);
        }
        // Names come and go with what bears them: what nobody holds any more is let go before the set doubles.
        if self.all.len() >= self.left.saturating_mul(2).max(FEW) {
            self.all.retain(|known| Arc::strong_count(known) > 1);
            self.left = self.all.len();
        }
        let new = make();
        self.all.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_copy_as_long_as_somebody_holds_it() {
        let mut strings = Pool::<str>::default();
        let mut get = |text: &str| (strings.get(text, || text.into()), strings.all.len());
        let (one, _) = get("wordpress-staging");
        assert!(Arc::ptr_eq(&one, &get("wordpress-staging").0));
        for number in 0..10 * FEW {
            assert_eq!(get(&number.to_string()).0.as_ref(), number.to_string());
        }
        let (same, kept) = get("wordpress-staging");
        assert!(kept <= FEW, "{kept} are kept");
        assert!(Arc::ptr_eq(&one, &same));
    }
}
