//! Who may see what, by the API server's word, remembered for a short while.
//!
//! Contract: nobody sees anything that was not affirmed; an API server that does not answer lets nobody in. What is remembered is
//! bounded, is known by a hash of the token (with the namespace, where the answer is about that alone), and lasts [`GOOD`] or [`BAD`] from
//! when the question was put. Strangers, of whom there may be any number, take no room from those who may look, and nobody takes more by
//! asking for namespaces that are not there. Neither token nor name is logged.

use crate::{
    observe::kube::callers::Token,
    ports::{ApiError, Reviewer},
};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
/// How many good answers are remembered, and how many bad ones.
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
    good: Known,
    bad: Known,
    turns: Semaphore,
}

/// Answers, by what was asked, each with until when it stands.
#[derive(Default)]
struct Known(Mutex<HashMap<[u8; 32], (Permit, Instant)>>);

impl Permits {
    pub(super) fn new(reviewer: Arc<dyn Reviewer>) -> Self {
        Self { reviewer, good: Known::default(), bad: Known::default(), turns: Semaphore::new(AT_ONCE) }
    }

    /// What the owner of this token may see; a namespace that they ask for suffices if they may not see all.
    pub(super) async fn of(&self, token: &Token, namespace: Option<&str>) -> Result<Permit, ApiError> {
        let key = |namespace: Option<&str>| -> [u8; 32] {
            Sha256::new().chain_update(token.print()).chain_update(namespace.unwrap_or_default()).finalize().into()
        };
        // What is true of a token stands under the token alone, whatever namespace it came with.
        let (whole, part) = (key(None), key(namespace));
        let known = || match (self.known(&whole), namespace) {
            (Some(permit @ (Permit::All | Permit::Nobody)), _) => Some(permit),
            (permit, None) => permit,
            (_, Some(_)) => self.known(&part),
        };
        if let Some(known) = known() {
            return Ok(known);
        }
        let busy = || ApiError::Unavailable("too many tokens are being reviewed".to_owned());
        let _turn = timeout(TURN, self.turns.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
        // Somebody with the same token may have had the turn before.
        if let Some(known) = known() {
            return Ok(known);
        }
        // The right may be taken away while the answer is on its way.
        let asked = Instant::now();
        let permit = self.ask(token, namespace).await?;
        match permit {
            Permit::All => self.good.remember(whole, &permit, asked + GOOD),
            Permit::Only(_) => self.good.remember(part, &permit, asked + GOOD),
            Permit::Nobody => self.bad.remember(whole, &permit, asked + BAD),
            Permit::Denied => self.bad.remember(part, &permit, asked + BAD),
        }
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
        self.good.of(key).or_else(|| self.bad.of(key))
    }
}

impl Known {
    fn answers(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Permit, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, key: &[u8; 32]) -> Option<Permit> {
        self.answers().get(key).filter(|(_, until)| *until > Instant::now()).map(|(permit, _)| permit.clone())
    }

    fn remember(&self, key: [u8; 32], permit: &Permit, until: Instant) {
        let now = Instant::now();
        let mut answers = self.answers();
        if answers.len() >= REMEMBERED {
            answers.retain(|_, (_, until)| *until > now);
        }
        // So many at once are hardly people: the oldest answer is asked for anew.
        if answers.len() >= REMEMBERED
            && let Some(oldest) = answers.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| *key)
        {
            answers.remove(&oldest);
        }
        answers.insert(key, (permit.clone(), until));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ports::Asker;
    use futures::{FutureExt, future::BoxFuture};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Knows `all` (may list everywhere), `one` (in the namespace `a`), `none` (nowhere); `down` is never answered, nor whether `half` may
    /// list; `hang` is waited for without an end.
    #[derive(Default)]
    pub(in crate::web) struct Book(pub(in crate::web) Mutex<Vec<String>>);

    impl Reviewer for Book {
        fn who<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Asker>, ApiError>> {
            self.0.lock().unwrap().push(format!("who {token}"));
            let known = ["all", "one", "none", "half"].contains(&token);
            if token == "hang" {
                return std::future::pending().boxed();
            }
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
            let answer = if who.username == "half" { Err(ApiError::Unavailable("no route".to_owned())) } else { Ok(may) };
            std::future::ready(answer).boxed()
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
    async fn whoever_looks_at_many_namespaces_is_asked_about_once_and_takes_no_room_from_others() {
        let book = Arc::new(Book::default());
        let permits = Permits::new(Arc::<Book>::clone(&book));
        for number in 0..REMEMBERED + 100 {
            assert_eq!(permits.of(&token("all"), Some(&format!("no-{number}"))).await.unwrap(), Permit::All);
            assert_eq!(permits.of(&token("stranger"), Some(&format!("no-{number}"))).await.unwrap(), Permit::Nobody);
        }
        assert_eq!((permits.good.answers().len(), permits.bad.answers().len(), book.0.lock().unwrap().len()), (1, 1, 3));
        // What is denied in one namespace, or in all, is not denied in another.
        for number in 0..REMEMBERED + 100 {
            assert_eq!(permits.of(&token("one"), Some(&format!("no-{number}"))).await.unwrap(), Permit::Denied);
        }
        assert_eq!(permits.of(&token("one"), None).await.unwrap(), Permit::Denied);
        assert_eq!(permits.of(&token("one"), Some("a")).await.unwrap(), Permit::Only("a".into()));
        assert_eq!((permits.good.answers().len(), permits.bad.answers().len()), (2, REMEMBERED));
        book.0.lock().unwrap().clear();
        permits.of(&token("one"), None).await.unwrap();
        assert_eq!(*book.0.lock().unwrap(), [] as [String; 0], "the newest answer is remembered although there are so many");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_taken_away_stops_within_a_minute_of_the_question() {
        /// Takes its time, and takes everything away once it is told to.
        #[derive(Default)]
        struct Slow(AtomicBool);
        const SLOW: Duration = Duration::from_secs(7);
        impl Reviewer for Slow {
            fn who<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Asker>, ApiError>> {
                let asker = Asker { username: token.to_owned(), ..Asker::default() };
                let asker = Some(asker).filter(|_| !self.0.load(Ordering::Relaxed));
                async move {
                    tokio::time::sleep(SLOW).await;
                    Ok(asker)
                }
                .boxed()
            }
            fn may_list_clones<'a>(&'a self, _: &'a Asker, _: Option<&'a str>) -> BoxFuture<'a, Result<bool, ApiError>> {
                std::future::ready(Ok(true)).boxed()
            }
        }
        let slow = Arc::new(Slow::default());
        let permits = Permits::new(Arc::<Slow>::clone(&slow));
        let asked = Instant::now();
        assert_eq!(permits.of(&token("ada"), None).await.unwrap(), Permit::All);
        slow.0.store(true, Ordering::Relaxed);
        tokio::time::sleep_until(asked + GOOD - Duration::from_secs(1)).await;
        assert_eq!(permits.of(&token("ada"), None).await.unwrap(), Permit::All, "it is remembered");
        tokio::time::sleep_until(asked + GOOD).await;
        assert_eq!(permits.of(&token("ada"), None).await.unwrap(), Permit::Nobody);
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_lets_nobody_in_and_is_not_remembered() {
        let book = Arc::new(Book::default());
        let permits = Permits::new(Arc::<Book>::clone(&book));
        for _ in 0..2 {
            assert!(matches!(permits.of(&token("down"), None).await, Err(ApiError::Unavailable(_))));
            assert!(matches!(permits.of(&token("half"), Some("a")).await, Err(ApiError::Unavailable(_))));
        }
        assert_eq!(book.0.lock().unwrap().len(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_fill_no_memory() {
        let book = Arc::new(Book::default());
        let permits = Permits::new(Arc::<Book>::clone(&book));
        for number in 0..REMEMBERED + 100 {
            permits.of(&token(&format!("stranger{number}")), None).await.unwrap();
        }
        assert_eq!(permits.bad.answers().len(), REMEMBERED);
        // Meanwhile those who may look are remembered all the same.
        permits.of(&token("all"), None).await.unwrap();
        book.0.lock().unwrap().clear();
        permits.of(&token("all"), None).await.unwrap();
        assert_eq!(*book.0.lock().unwrap(), [] as [String; 0], "strangers had it forgotten");
        tokio::time::advance(BAD).await;
        permits.of(&token("stranger"), None).await.unwrap();
        assert_eq!((permits.good.answers().len(), permits.bad.answers().len()), (1, 1));
    }
}
