//! The ledger of promised places, and the one task that promises them.
//!
//! *Exact* means: at no moment are there more clones in etcd than the policy allows, whatever number of clients create them, and
//! whichever replica dies in the middle. Three rules make it so:
//!
//! 1. A place is promised only after the ledger that says so has been written, by compare-and-swap. Reviews that come together
//!    are written together.
//! 2. A new holder of the lease first writes its term into the ledger: from then on no promise of the last holder can be written,
//!    and so none is given. Only after that does it list the clones, so that each that was let in before is in the list or in the
//!    ledger.
//! 3. A promise stands until its clone is seen, or until [`LAPSE`] after it was given *and* a quorum read of that name does not
//!    find it. The API server gives up on a request after 34 s, so nothing can come of it later. Times are this process's own,
//!    monotonic; a new holder counts from its beginning.

use super::ledger::{KEY, Ledger, NAME};
use crate::{
    act::keyring::Keyring,
    daemon::lease::Fence,
    model::{Kind, names},
    observe::store::Store,
    plan::admit::{self, Claim, Residents, Town, Verdict},
    policy::Policies,
    ports::{ApiError, Cluster, Stored},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

/// How long a promise stands at least. Source: kube-apiserver gives a create 34 s (`requestTimeoutUpperBound`, apiserver
/// `endpoints/handlers/rest.go`); the rest is for a server that is slow to notice.
pub const LAPSE: Duration = Duration::from_secs(60);

/// How many reviews are judged and written together.
const TOGETHER: usize = 64;
/// How many promises may stand at a time. They are written whole, and a ConfigMap holds 1 MiB; in a healthy cluster a promise is
/// settled within a second.
const MOST: usize = 2_000;
/// How often it is looked whether this process holds the lease by now.
const LOOK: Duration = Duration::from_millis(100);
/// How long the list of clones may take with which a term begins.
const LIST: Duration = Duration::from_secs(10);
/// How many promises of which nothing came are looked at in one round: each is a read, and reviews wait meanwhile.
const LOOKED_AT: usize = 16;
/// How soon it is tried again to take the ledger over.
const RETRY: Duration = Duration::from_millis(500);
/// How often promises are looked at that nothing came of.
const TIDY: Duration = Duration::from_secs(5);
/// How often a write is tried whose outcome is not known.
const TRIES: u32 = 3;

/// What the desk says to a review.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It was judged; what it promises is written down.
    Judged(Box<Verdict>),
    /// Another process has to judge it.
    NotHolder,
    /// It cannot be judged now, and why.
    NotNow(String),
}

struct Ask {
    request: admit::Request,
    reply: oneshot::Sender<Answer>,
}

/// The ledger of our term, with what is promised but perhaps not written yet; `None`: it is not our term.
type Book = Arc<Mutex<Option<Ledger>>>;

/// Where reviews are handed in that may promise a place, or rest on one that was promised.
#[derive(Clone)]
pub struct Desk {
    asks: mpsc::Sender<Ask>,
    book: Book,
}

impl Desk {
    /// Has a review of the mutating webhook judged, and what it promises written down.
    pub async fn promise(&self, request: admit::Request) -> Answer {
        let (reply, answer) = oneshot::channel();
        let gone = || Answer::NotNow("this replica is about to end".to_owned());
        match self.asks.send(Ask { request, reply }).await {
            Ok(()) => answer.await.unwrap_or_else(|_| gone()),
            Err(_) => gone(),
        }
    }

    /// Judges a review of the validating webhook. It comes only after the promise was written and answered, so it waits for no
    /// write; and a promise that the next holder has inherited is as good.
    #[must_use]
    pub fn confirm(&self, request: &admit::Request, policies: &Policies, residents: &Residents) -> Answer {
        match open_book(&self.book).as_ref() {
            Some(ledger) => Answer::Judged(Box::new(admit::validate(request, Town { policies, residents, claims: &ledger.claims }))),
            None => Answer::NotHolder,
        }
    }

    /// How many promises stand at present.
    #[must_use]
    pub fn promised(&self) -> u64 {
        open_book(&self.book).as_ref().map_or(0, |ledger| ledger.claims.len() as u64)
    }
}

fn open_book(book: &Book) -> MutexGuard<'_, Option<Ledger>> {
    // A panic while it was held leaves plain data behind.
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the task works with.
pub struct Tools {
    /// The API server.
    pub cluster: Arc<dyn Cluster>,
    /// Whether this process holds the lease.
    pub fence: Fence,
    /// The watched objects.
    pub store: Arc<Store>,
    /// The policies in force.
    pub policies: watch::Receiver<Arc<Policies>>,
    /// Our name in the Lease.
    pub identity: String,
    /// Makes reservations: random, never the same.
    pub random: fn() -> String,
    /// The key that passwords are sealed under.
    pub keys: Arc<Keyring>,
}

/// Starts the task that promises places. It ends when every [`Desk`] is gone.
#[must_use]
pub fn open(tools: Tools) -> (Desk, tokio::task::JoinHandle<()>) {
    let (asks, waiting) = mpsc::channel(4 * TOGETHER);
    let book = Book::default();
    let clerk = Clerk { tools, waiting, term: None, book: Arc::clone(&book) };
    (Desk { asks, book }, tokio::spawn(clerk.run()))
}

/// 128 random bits, as hexadecimal digits.
#[must_use]
pub fn random() -> String {
    let mut bytes = [0_u8; 16];
    // It fails only where the operating system has no randomness; such a reservation is then one of few, and no secret.
    let _ = rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Our term.
struct Term {
    /// The version of the ConfigMap.
    version: String,
    /// How many promises stand in it.
    written: usize,
    /// Since when each promise stands, at the latest.
    since: BTreeMap<Box<str>, Instant>,
    tidied: Instant,
}

struct Clerk {
    tools: Tools,
    waiting: mpsc::Receiver<Ask>,
    term: Option<Term>,
    book: Book,
}

/// A promise that has to be written before it is answered.
type Promised = (Box<str>, Verdict, oneshot::Sender<Answer>);

/// Why nothing could be written.
enum Unwritten {
    /// It is somebody else's term.
    Superseded,
    /// Nobody knows.
    Unknown(String),
}

impl Clerk {
    async fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                taken = self.waiting.recv_many(&mut batch, TOGETHER) => if taken == 0 { return },
                () = sleep(LOOK) => {}
            }
            if !self.tools.fence.holds() {
                self.end_term();
                batch.drain(..).for_each(|ask| drop(ask.reply.send(Answer::NotHolder)));
                continue;
            }
            if self.term.is_none()
                && let Err(problem) = self.take_over().await
            {
                warn!(%problem, "No clone can be let in: the ledger of promised places could not be taken over.");
                batch.drain(..).for_each(|ask| drop(ask.reply.send(Answer::NotNow(problem.clone()))));
                sleep(RETRY).await;
                continue;
            }
            if !batch.is_empty() {
                self.judge(&mut batch).await;
            }
            self.tidy().await;
        }
    }

    fn end_term(&mut self) {
        self.term = None;
        *open_book(&self.book) = None;
    }

    /// Begins a term: first the ledger is ours, then the clones are listed.
    async fn take_over(&mut self) -> Result<(), String> {
        let Tools { cluster, store, identity, .. } = &self.tools;
        let found = cluster.read_state(NAME).await.map_err(|error| format!("ConfigMap `{NAME}`: {error}"))?;
        let before = match &found {
            Some(stored) => Ledger::read(stored).map_err(|problem| {
                format!("{problem}; delete the ConfigMap to begin anew, {} s after the last clone was created", LAPSE.as_secs())
            })?,
            None => Ledger::default(),
        };
        let ledger = before.taken_over(identity);
        let version = found.map(|stored| stored.resource_version);
        let stored = write(cluster.as_ref(), text(&ledger), version.as_deref()).await.map_err(|error| format!("ConfigMap `{NAME}`: {error}"))?;
        timeout(LIST, store.clones_listed_anew()).await.map_err(|_| format!("the clones could not be listed within {} s", LIST.as_secs()))?;
        let begun = Instant::now();
        info!(term = ledger.term, promised = ledger.claims.len(), "The ledger of promised places is taken over.");
        let since = ledger.claims.keys().map(|reservation| (reservation.clone(), begun)).collect();
        self.term = Some(Term { version: stored.resource_version, written: ledger.claims.len(), since, tidied: begun });
        *open_book(&self.book) = Some(ledger);
        Ok(())
    }

    /// Judges a batch in its order, each with what was promised to those before it, and answers once that is written.
    async fn judge(&mut self, batch: &mut Vec<Ask>) {
        let promised = self.promise(batch);
        if promised.is_empty() {
            return;
        }
        let written = self.write_down().await;
        if let Err(Unwritten::Superseded) = written {
            self.end_term();
        }
        for (reservation, verdict, reply) in promised {
            let answer = match &written {
                Ok(()) => Answer::Judged(Box::new(verdict)),
                Err(Unwritten::Superseded) => Answer::NotHolder,
                Err(Unwritten::Unknown(problem)) => Answer::NotNow(problem.clone()),
            };
            let given = written.is_ok();
            // Nothing can come of a promise that nobody was told of. It may stand in the ConfigMap all the same; the next write
            // takes it out, and a next holder lets it lapse.
            if (reply.send(answer).is_err() || !given)
                && let Some(ledger) = open_book(&self.book).as_mut()
            {
                ledger.claims.remove(&reservation);
            }
        }
    }

    /// Enters promises into the book; what promises nothing is answered at once.
    fn promise(&mut self, batch: &mut Vec<Ask>) -> Vec<Promised> {
        let mut book = open_book(&self.book);
        let (Some(term), Some(ledger)) = (self.term.as_mut(), book.as_mut()) else { return Vec::new() };
        let residents = self.tools.store.residents();
        let policies = Arc::clone(&self.tools.policies.borrow());
        term.settle(ledger, &residents);
        let now = Instant::now();
        let mut promised = Vec::new();
        for Ask { request, reply } in batch.drain(..) {
            if reply.is_closed() {
                // Whoever asked has given up.
                continue;
            }
            if ledger.claims.len() >= MOST {
                let why = format!("{MOST} creations are under way and none of those clones was seen yet");
                let _ = reply.send(Answer::NotNow(why));
                continue;
            }
            let reservation: Box<str> = (self.tools.random)().into();
            let town = Town { policies: &policies, residents: &residents, claims: &ledger.claims };
            let Some(verdict) = unharmed(|| admit::mutate(&request, town, &reservation).sealed(&request, self.tools.keys.as_ref())) else {
                let _ = reply.send(Answer::NotNow("judging it failed; the log says where".to_owned()));
                continue;
            };
            match verdict.claim.clone() {
                Some(claim) => {
                    ledger.claims.insert(reservation.clone(), claim);
                    term.since.insert(reservation.clone(), now);
                    promised.push((reservation, verdict, reply));
                }
                None => drop(reply.send(Answer::Judged(Box::new(verdict)))),
            }
        }
        promised
    }

    /// Writes the ledger. A write whose outcome is not known is read back: if the ledger is still of our term, it is written
    /// again on top of whatever of ours came through.
    async fn write_down(&mut self) -> Result<(), Unwritten> {
        let ledger = open_book(&self.book).clone();
        let (Some(term), Some(ledger)) = (self.term.as_mut(), ledger) else { return Err(Unwritten::Superseded) };
        let cluster = self.tools.cluster.as_ref();
        let mut version = Some(term.version.clone());
        let mut problem = String::new();
        for _ in 0..TRIES {
            match write(cluster, text(&ledger), version.as_deref()).await {
                Ok(stored) => {
                    term.version = stored.resource_version;
                    term.written = ledger.claims.len();
                    return Ok(());
                }
                Err(error) => problem = format!("ConfigMap `{NAME}`: {error}"),
            }
            match cluster.read_state(NAME).await {
                // Somebody deleted it: what was promised is all here.
                Ok(None) => version = None,
                Ok(Some(stored)) => match Ledger::read(&stored) {
                    Ok(there) if (&there.holder, there.term) == (&ledger.holder, ledger.term) => version = Some(stored.resource_version),
                    Ok(_) => return Err(Unwritten::Superseded),
                    Err(unreadable) => return Err(Unwritten::Unknown(unreadable)),
                },
                Err(error) => problem = format!("ConfigMap `{NAME}`: {error}"),
            }
        }
        warn!(%problem, "What was promised could not be written down; these clones are not let in now.");
        Err(Unwritten::Unknown(problem))
    }

    /// Lets go of promises that nothing came of, and of those that were kept in the ConfigMap longer than needed.
    async fn tidy(&mut self) {
        let Some(term) = self.term.as_mut().filter(|term| term.tidied.elapsed() >= TIDY) else { return };
        term.tidied = Instant::now();
        let mut due: Vec<(Box<str>, Claim)> = Vec::new();
        if let Some(ledger) = open_book(&self.book).as_mut() {
            term.settle(ledger, &self.tools.store.residents());
            let old = |reservation: &str| term.since.get(reservation).is_none_or(|since| since.elapsed() > LAPSE);
            let old = ledger.claims.iter().filter(|(reservation, _)| old(reservation)).take(LOOKED_AT);
            due.extend(old.map(|(reservation, claim)| (reservation.clone(), claim.clone())));
        }
        for (reservation, claim) in due {
            match self.tools.cluster.get(Kind::Clone, &claim.namespace, &claim.name).await {
                // It is there: the watch will say so.
                Ok(Some(object)) if holds(&object, &reservation) => {}
                Ok(_) => {
                    if let Some(ledger) = open_book(&self.book).as_mut() {
                        ledger.claims.remove(&reservation);
                    }
                }
                // A CRD that is not served is no proof either: what is in etcd comes back with it.
                Err(error) => warn!(%error, clone = %claim.name, "Whether a promised clone came to be cannot be read; its place stays taken."),
            }
        }
        let left = open_book(&self.book).as_ref().map_or(0, |ledger| ledger.claims.len());
        if left < term.written && matches!(self.write_down().await, Err(Unwritten::Superseded)) {
            self.end_term();
        }
    }
}

impl Term {
    fn settle(&mut self, ledger: &mut Ledger, residents: &Residents) {
        ledger.settle(residents);
        self.since.retain(|reservation, _| ledger.claims.contains_key(reservation));
    }
}

fn text(ledger: &Ledger) -> Result<String, ApiError> {
    serde_json::to_string(ledger).map_err(|error| ApiError::Refused { code: 0, message: error.to_string() })
}

/// A judgement that panics (which only a bug can make it do) is none; it must not end the task that judges all others.
pub(super) fn unharmed<T>(judge: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(judge)).ok()
}

async fn write(cluster: &dyn Cluster, text: Result<String, ApiError>, version: Option<&str>) -> Result<Stored, ApiError> {
    cluster.write_state(NAME, BTreeMap::from([(KEY.to_owned(), text?)]), version).await
}

fn holds(object: &Value, reservation: &str) -> bool {
    crate::model::meta::entry(object, "annotations", names::RESERVATION).and_then(Value::as_str) == Some(reservation)
}

#[cfg(test)]
mod tests;
