//! Waits until a clone works, and knows meanwhile what is in its way, as soon as that is known.

use super::{
    Trouble,
    follow::Follow,
    read,
    view::{self, Fate, View},
};
use crate::{
    model::{Kind, WordPressClone},
    observe::kube::person::{Person, Scope},
    plan::working::{State, Told},
};
use serde_json::Value;
use std::future::Future;

/// How much is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// That it works, or is known never to.
    Work,
    /// That its state is known, whatever it is.
    Sight,
}

/// Why the waiting is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It works.
    Works,
    /// It is worth no more waiting: why.
    Hopeless(String),
    /// Whoever waits has waited long enough, or its state is all that was asked for.
    Enough,
    /// Nothing more will be heard.
    Silence,
    /// Somebody has deleted it.
    Gone,
    /// Somebody has deleted it, and there is another one of its name, with this UID.
    Another(String),
}

/// What is known of the clone at the end.
#[derive(Debug)]
pub(crate) struct Waited {
    pub(crate) clone: WordPressClone,
    pub(crate) told: Told,
    /// How it was when it was last known; `None`: not enough was ever heard.
    pub(crate) state: Option<State>,
    /// Why it would not be seen if its Job were refused a Pod.
    pub(crate) blind: Option<String>,
    pub(crate) end: End,
}

/// Who is told on the way.
pub(crate) trait Listener: Send {
    /// The clone is so now.
    fn state(&mut self, state: &State);
    /// That a Job is refused a Pod would not be seen, for this reason.
    fn blind(&mut self, why: &str);
}

/// Nobody is told.
pub(crate) struct Nobody;

impl Listener for Nobody {
    fn state(&mut self, _: &State) {}
    fn blind(&mut self, _: &str) {}
}

/// Waits until the clone works or is known never to, or until `enough`.
pub(crate) async fn wait(
    person: &Person,
    object: &Value,
    what: For,
    enough: impl Future<Output = ()> + Send,
    listener: &mut dyn Listener,
) -> Result<Waited, Trouble> {
    let (clone, told) = (read(object)?, Told::read(object));
    let scopes = view::needed(&clone);
    let mut enough = std::pin::pin!(enough);
    let mut waited = Waited { clone, told, state: None, blind: None, end: End::Enough };
    let secrets = tokio::select! {
        // One that has its own needs nobody else's word.
        secrets = async { waited.told.has_secret || makes_secrets(person).await } => secrets,
        () = &mut enough => return Ok(waited),
    };
    let mut view = View::new(&waited.clone, &waited.told, &scopes, secrets);
    let mut follow = Follow::start(person, &scopes);
    loop {
        let news = tokio::select! {
            biased;
            news = follow.next() => news,
            () = &mut enough => return Ok(waited),
        };
        let ended = news.is_none();
        news.into_iter().flatten().for_each(|news| view.hear(news));
        match &view.fate {
            Fate::Here(clone, told) => (waited.clone, waited.told) = (clone.as_ref().clone(), told.as_ref().clone()),
            Fate::Another(other) => return Ok(Waited { end: End::Another(other.clone()), ..waited }),
            Fate::Gone => {
                let end = gone(person, &waited.clone).await;
                return Ok(Waited { end, ..waited });
            }
        }
        if let Some(why) = view.refusals_unseen.as_ref().filter(|_| waited.blind.is_none()) {
            listener.blind(why);
            waited.blind = Some(why.clone());
        }
        let Some(state) = view.state(super::now()) else { continue };
        if waited.state.as_ref() != Some(&state) {
            listener.state(&state);
        }
        let end = verdict(&view, &waited.clone, &state);
        waited.state = Some(state);
        match end {
            Some(end) => return Ok(Waited { end, ..waited }),
            None if ended => return Ok(Waited { end: End::Silence, ..waited }),
            None if what == For::Sight => return Ok(waited),
            None => {}
        }
    }
}

/// Why it is no longer worth waiting, if it is not.
fn verdict(view: &View, clone: &WordPressClone, state: &State) -> Option<End> {
    match state {
        State::Works => Some(End::Works),
        State::Broken { for_good: true, why } => Some(End::Hopeless(format!("will not work: {}", why.join("; ")))),
        State::Terminating(_) => {
            let since = clone.meta.terminating.map(|since| format!(" since {since}")).unwrap_or_default();
            let why = clone.unused_since.value().map(|since| format!(", and nothing had used its database since {since:.0}")).unwrap_or_default();
            Some(End::Hopeless(format!("is being deleted{since}{why}: it will not work any more")))
        }
        State::Unknown(unseen) if view.is_blind() => Some(End::Hopeless(format!("may work or not: {}", unseen.join("; ")))),
        _ => None,
    }
}

/// Somebody has deleted it; KRO may have made another one of its name at once.
async fn gone(person: &Person, clone: &WordPressClone) -> End {
    let found = person.clone_named(clone.meta.name()).await.ok().flatten();
    let other = found.as_ref().and_then(|found| found.pointer("/metadata/uid")).and_then(Value::as_str);
    other.map_or(End::Gone, |other| End::Another(other.to_owned()))
}

/// Whether somebody makes Secrets for the clones of this namespace: one of them says so. Where that cannot be seen nobody waits for
/// one; a Pod whose Secret is missing says so itself.
async fn makes_secrets(person: &Person) -> bool {
    let list = person.list(&Scope::all(Kind::Clone, Some(person.namespace()))).await;
    list.is_ok_and(|list| list.items.iter().any(|object| Told::read(object).has_secret))
}
