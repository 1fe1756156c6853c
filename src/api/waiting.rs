//! How many wait at a time. Each wait holds a connection and up to six watches on the API server, for minutes.

use crate::observe::kube::callers::Token;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// All of them.
pub(super) const ALL: usize = 128;
/// Those of one token: nobody waits in everybody's place.
pub(super) const EACH: usize = 16;

/// Who waits, by a hash of the token.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<HashMap<[u8; 32], usize>>>);

/// A place among those who wait; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    waiting: Waiting,
    whose: [u8; 32],
}

impl Waiting {
    fn held(&self) -> MutexGuard<'_, HashMap<[u8; 32], usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait at present.
    pub(super) fn count(&self) -> usize {
        self.held().values().sum()
    }

    /// A place, if there is one: else how many there are, and whether this token has them all.
    pub(super) fn enter(&self, token: &Token) -> Result<Place, String> {
        let whose = token.print();
        let mut held = self.held();
        if held.values().sum::<usize>() >= ALL {
            return Err(format!("{ALL} requests wait already, which is the most of one replica"));
        }
        let own = held.entry(whose).or_default();
        if *own >= EACH {
            return Err(format!("{EACH} requests with this token wait already, which is the most"));
        }
        *own = own.saturating_add(1);
        Ok(Place { waiting: self.clone(), whose })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.waiting.held();
        if let Some(own) = held.get_mut(&self.whose) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                held.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_in_everybody_s_place() {
        let (waiting, token) = (Waiting::default(), |name: &str| Token::read(format!("Bearer {name}").as_bytes()).unwrap());
        let mut places: Vec<_> = (0..EACH).map(|_| waiting.enter(&token("a")).unwrap()).collect();
        assert!(waiting.enter(&token("a")).unwrap_err().contains("with this token"));
        for other in 1..ALL / EACH {
            places.extend((0..EACH).map(|_| waiting.enter(&token(&format!("b{other}"))).unwrap()));
        }
        assert!(waiting.enter(&token("c")).unwrap_err().contains("one replica"));
        places.pop();
        drop(waiting.enter(&token("c")).unwrap());
        places.clear();
        assert_eq!((waiting.count(), waiting.held().len()), (0, 0), "nothing is remembered of who waited");
    }
}
