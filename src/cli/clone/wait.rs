//! `clonewarden clone wait`: returns when a clone works, and says meanwhile what is in its way, as soon as that is known.

use super::{
    Failure, Place, existing,
    follow::Follow,
    made_again, output, patience, read,
    show::{self, Output, Shown},
    view::{self, Fate, View},
};
use crate::{
    cli::live,
    model::{Kind, Span, WordPressClone},
    observe::kube::person::{Person, Scope},
    plan::working::{State, Told},
};
use anyhow::anyhow;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A database of its own takes 5 to 15 minutes.
pub(super) const TIMEOUT: Span = Span::minutes(20);

/// `clone wait`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The clone
    #[arg(value_name = "CLONE", value_parser = super::name)]
    clone: String,
    /// How long; what is in its way then is the failure
    #[arg(long, value_name = "DURATION", default_value_t = TIMEOUT)]
    timeout: Span,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    args.place.ask(|person| async move {
        let object = existing(&person, &args.clone).await?;
        let (works, words) = wait(&person, object, patience(args.timeout)).await?;
        show::one(&works, args.output.format, &words)
    })
}

/// Waits until the clone works; returns it as it is then, and the words for a person.
pub(super) async fn wait(person: &Person, object: Value, patience: Duration) -> Result<(Shown, String), Failure> {
    let (clone, told) = (read(&object)?, Told::read(&object));
    let (name, uid) = (clone.meta.name(), clone.meta.uid.as_ref());
    let scopes = view::needed(&clone);
    let mut view = View::new(&clone, &told, &scopes, makes_secrets(person).await);
    let mut follow = Follow::start(person, &scopes);
    let begun = Instant::now();
    let mut progress = Progress { name: name.to_owned(), begun, last: None, blind: false };
    loop {
        let Ok(news) = timeout_at(begun + patience, follow.next()).await else {
            let why = progress.last.as_ref().map_or_else(|| "it was not seen at all".to_owned(), sentence);
            let after = crate::model::duration::human(jiff::SignedDuration::try_from(patience).unwrap_or_default());
            return Err(Failure::failed(anyhow!("clone `{name}` does not work after {after}: {}", output::printable(&why))));
        };
        let ended = news.is_none();
        news.into_iter().flatten().for_each(|news| view.hear(news));
        match &view.fate {
            Fate::Here(..) => {}
            Fate::Another(other) => return Err(made_again(name, uid, other)),
            Fate::Gone => return Err(gone(person, name, uid).await),
        }
        progress.tell_blindness(&view);
        let Some(state) = view.state(live::now()) else { continue };
        progress.tell(&state);
        match verdict(&view, &state) {
            Verdict::Works(clone, told) => {
                let secret = format!("; credentials: Secret `{}`", told.secret);
                let url = told.url.as_deref().unwrap_or("no address is known");
                let words = format!("{name} works: {url}{secret}\n");
                return Ok((Shown::new(clone, told, &state), words));
            }
            Verdict::Hopeless(why) => return Err(Failure::failed(anyhow!("clone `{name}` {}", output::printable(&why)))),
            // Nothing more will be heard.
            Verdict::Wait if ended => return Err(Failure::failed(anyhow!("clone `{name}`: {}", output::printable(&sentence(&state))))),
            Verdict::Wait => {}
        }
    }
}

/// Whether it is worth waiting on.
enum Verdict<'a> {
    Works(&'a WordPressClone, &'a Told),
    Wait,
    Hopeless(String),
}

fn verdict<'a>(view: &'a View, state: &State) -> Verdict<'a> {
    match (state, &view.fate) {
        (State::Works, Fate::Here(clone, told)) => Verdict::Works(clone, told),
        (State::Broken { for_good: true, why }, _) => Verdict::Hopeless(format!("will not work: {}", why.join("; "))),
        (State::Terminating(_), Fate::Here(clone, _)) => {
            let since = clone.meta.terminating.map(|since| format!(" since {since}")).unwrap_or_default();
            let why = clone.unused_since.value().map(|since| format!(", and nothing had used its database since {since:.0}")).unwrap_or_default();
            Verdict::Hopeless(format!("is being deleted{since}{why}: it will not work any more"))
        }
        (State::Unknown(unseen), _) if view.is_blind() => Verdict::Hopeless(format!("may work or not: {}", unseen.join("; "))),
        _ => Verdict::Wait,
    }
}

/// A state in a few words.
fn sentence(state: &State) -> String {
    if state.why().is_empty() { state.word().to_owned() } else { format!("{}: {}", state.word(), state.why().join("; ")) }
}

/// Somebody has deleted it; KRO may have made another one of its name at once.
async fn gone(person: &Person, name: &str, uid: &str) -> Failure {
    let found = person.clone_named(name).await.ok().flatten();
    match found.as_ref().and_then(|found| found.pointer("/metadata/uid")).and_then(Value::as_str) {
        Some(other) => made_again(name, uid, other),
        None => Failure::failed(anyhow!("clone `{name}` was deleted while it was waited for")),
    }
}

/// Whether somebody makes Secrets for the clones of this namespace: one of them says so. Where that cannot be seen nobody waits for
/// one; a Pod whose Secret is missing says so itself.
async fn makes_secrets(person: &Person) -> bool {
    let list = person.list(&Scope::all(Kind::Clone, Some(person.namespace()))).await;
    list.is_ok_and(|list| list.items.iter().any(|object| Told::read(object).has_secret))
}

/// What is told on the way.
struct Progress {
    name: String,
    begun: Instant,
    last: Option<State>,
    blind: bool,
}

impl Progress {
    /// Tells a state that is another one than the last.
    fn tell(&mut self, state: &State) {
        if self.last.as_ref() != Some(state) {
            output::progress(&format!("{} ({}s) {}", self.name, self.begun.elapsed().as_secs(), sentence(state)));
            self.last = Some(state.clone());
        }
    }

    /// Tells, once, that the reason for a missing Pod would not be seen.
    fn tell_blindness(&mut self, view: &View) {
        if let Some(why) = view.refusals_unseen.as_ref().filter(|_| !self.blind) {
            output::note(&format!("{why}; if its Job is refused a Pod, the reason is not seen"));
            self.blind = true;
        }
    }
}
