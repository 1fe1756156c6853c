//! Who may see what, by the API server's word, remembered for a short while.
//!
//! Contract: nobody sees anything that was not affirmed; an API server that does not answer lets nobody in. What is remembered is
//! bounded, is known by a hash of the token, and lasts [`GOOD`] or [`BAD`]. Neither token nor name is logged.

use crate::{
    observe::kube::callers::Token,
    ports::{ApiError, Reviewer},
};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// How long a good answer stands: a right that was taken away is felt within a minute.
pub(super) const GOOD: Duration = Duration::from_secs(60);
/// How long a bad one does: a right that was given is felt at once, and a wrong token cannot be asked about in a loop.
pub(super) const BAD: Duration = Duration::from_secs(5);
/// How many answers are remembered.
const REMEMBERED: usize = 1_024;
/// How many questions are under way at a time. The API server has more to do.
const AT_ONCE: usize = 4;
/// How long somebody waits for a turn.
const TURN: Duration = Duration::from_secs(5);

/// What somebody may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Permit {
    /// Everything.
    All,
    /// This namespace.
    Only(Arc<str>),
    /// Nothing: the token is nobody's.
    Nobody,
    /// Nothing: the right to list clones is missing, in this namespace and in all of them.
    Denied,
}

/// Asks, and remembers.
pub(super) struct Permits {
    reviewer: Arc<dyn Reviewer>,
    known: Mutex<HashMap<[u8; 32], (Permit, Instant)>>,
    turns: Semaphore,
}

impl Permits {
    pub(super) fn new(reviewer: Arc<dyn Reviewer>) -> Self {
        Self { reviewer, known: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }

    /// What the owner of this token may see; a namespace that they ask for suffices if they may not see all.
    pub(super) async fn of(&self, token: &Token, namespace: Option<&str>) -> Result<Permit, ApiError> {
        let key: [u8; 32] = Sha256::new().chain_update(token.print()).chain_update(namespace.unwrap_or_default()).finalize().into();
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let busy = || ApiError::Unavailable("too many tokens are being reviewed".to_owned());
        let _turn = timeout(TURN, self.turns.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
        // Somebody with the same token may have had the turn before.
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let permit = self.ask(token, namespace).await?;
        self.remember(key, &permit);
        Ok(permit)
    }

    async fn ask(&self, token: &Token, namespace: Option<&str>) -> Result<Permit, ApiError> {
        let Some(who) = self.reviewer.who(token.reveal()).await? else { return Ok(Permit::Nobody) };
        if self.reviewer.may_list_clones(&who, None).await? {
            return Ok(Permit::All);
        }
        match namespace {
            Some(namespace) if self.reviewer.may_list_clones(&who, Some(namespace)).await? => Ok(Permit::Only(namespace.into())),
            _ => Ok(Permit::Denied),
        }
    }

    fn known(&self, key: &[u8; 32]) -> Option<Permit> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(_, until)| *until > Instant::now()).map(|(permit, _)| permit.clone())
    }

    fn remember(&self, key: [u8; 32], permit: &Permit) {
        let now = Instant::now();
        let lasts = if matches!(permit, Permit::All | Permit::Only(_)) { GOOD } else { BAD };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (_, until)| *until > now);
        }
        // So many at once are no people: they are asked about each time.
        if known.len() < REMEMBERED {
            known.insert(key, (permit.clone(), now + lasts));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ports::Asker;
    use futures::{FutureExt, future::BoxFuture};

    /// Knows `all` (may list everywhere), `one` (in the namespace `a`), `none` (nowhere); `down` is never answered.
    #[derive(Default)]
    pub(in crate::web) struct Book(pub(in crate::web) Mutex<Vec<String>>);

    impl Reviewer for Book {
        fn who<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Asker>, ApiError>> {
            self.0.lock().unwrap().push(format!("who {token}"));
            let known = ["all", "one", "none"].contains(&token);
            let answer = match token {
                "down" => Err(ApiError::Unavailable("no route".to_owned())),
                "unasked" => Err(ApiError::Forbidden("tokenreviews is forbidden".to_owned())),
                _ => Ok(known.then(|| Asker { username: token.to_owned(), ..Asker::default() })),
            };
            std::future::ready(answer).boxed()
        }

        fn may_list_clones<'a>(&'a self, who: &'a Asker, namespace: Option<&'a str>) -> BoxFuture<'a, Result<bool, ApiError>> {
            self.0.lock().unwrap().push(format!("may {} {}", who.username, namespace.unwrap_or("*")));
            let may = who.username == "all" || who.username == "one" && namespace == Some("a");
            std::future::ready(Ok(may)).boxed()
        }
    }

    fn token(text: &str) -> Token {
        Token::read(format!("Bearer {text}").as_bytes()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_affirmed_is_remembered_and_for_no_longer_than_it_may_be() {
        let book = Arc::new(Book::default());
        let permits = Permits::new(Arc::<Book>::clone(&book));
        for (who, namespace, permit) in [
            ("all", None, Permit::All),
            ("all", Some("b"), Permit::All),
            ("one", None, Permit::Denied),
            ("one", Some("b"), Permit::Denied),
            ("one", Some("a"), Permit::Only("a".into())),
            ("none", Some("a"), Permit::Denied),
            ("stranger", None, Permit::Nobody),
        ] {
            assert_eq!(permits.of(&token(who), namespace).await.unwrap(), permit, "{who} {namespace:?}");
        }
        let asked = || std::mem::take(&mut *book.0.lock().unwrap()).len();
        asked();
        tokio::time::advance(BAD).await;
        permits.of(&token("all"), None).await.unwrap();
        permits.of(&token("one"), Some("a")).await.unwrap();
        assert_eq!(asked(), 0, "good answers last longer");
        permits.of(&token("stranger"), None).await.unwrap();
        assert_eq!(asked(), 1, "bad ones do not");
        tokio::time::advance(GOOD).await;
        permits.of(&token("all"), None).await.unwrap();
        assert_eq!(asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_lets_nobody_in_and_is_not_remembered() {
        let book = Arc::new(Book::default());
        let permits = Permits::new(Arc::<Book>::clone(&book));
        for _ in 0..2 {
            assert!(matches!(permits.of(&token("down"), None).await, Err(ApiError::Unavailable(_))));
        }
        assert_eq!(book.0.lock().unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_fill_no_memory() {
        let permits = Permits::new(Arc::new(Book::default()));
        for number in 0..REMEMBERED + 100 {
            permits.of(&token(&format!("stranger{number}")), None).await.unwrap();
        }
        assert_eq!(permits.known.lock().unwrap().len(), REMEMBERED);
        tokio::time::advance(BAD).await;
        permits.of(&token("all"), None).await.unwrap();
        assert_eq!(permits.known.lock().unwrap().len(), 1);
    }
}
