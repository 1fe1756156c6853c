//! `clonewarden clone delete`: deletes exactly the clone that was seen and, if asked, follows it until everything of it is gone.

use super::{Failure, Place, output, patience, show::full_name, wait};
use crate::{
    lifecycle::{
        delete::delete,
        existing,
        follow::{Follow, News},
        read,
        view::{self, Fate, View},
    },
    model::{Span, WordPressClone},
    observe::kube::person::{Person, Scope, Subject},
    plan::working::{self, Told},
    ports::ApiError,
};
use anyhow::anyhow;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// `clone delete`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The clone
    #[arg(value_name = "CLONE", value_parser = super::name)]
    clone: String,
    /// Return only when all of it is gone: Job, Pods, Service, Ingress, ConfigMaps and the object of its database
    #[arg(long)]
    wait: bool,
    /// With --wait: how long
    #[arg(long, value_name = "DURATION", default_value_t = wait::TIMEOUT, requires = "wait")]
    timeout: Span,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let said = args.place.ask(|person| async move {
        let object = existing(&person, &args.clone).await?;
        let clone = read(&object)?;
        delete(&person, object).await?;
        if !args.wait {
            return Ok(format!("{} is being deleted\n", full_name(&args.clone)));
        }
        follow(&person, &clone, patience(args.timeout)).await
    })?;
    output::data(&said)
}

/// Waits until nothing of the clone is left, as far as this person sees.
async fn follow(person: &Person, clone: &WordPressClone, patience: Duration) -> Result<String, Failure> {
    let name = clone.meta.name();
    let scopes = view::everything(clone);
    let mut view = View::new(clone, &Told::default(), &scopes, false);
    let mut follow = Follow::start(person, &scopes);
    let (begun, mut last) = (Instant::now(), None);
    loop {
        let Ok(news) = timeout_at(begun + patience, follow.next()).await else {
            let after = crate::model::duration::human(jiff::SignedDuration::try_from(patience).unwrap_or_default());
            let left = last.unwrap_or_else(|| "nothing was seen of it".to_owned());
            return Err(Failure::failed(anyhow!("clone `{name}` is not gone after {after}: {}", output::printable(&left))));
        };
        let ended = news.is_none();
        news.into_iter().flatten().for_each(|news| view.hear(news));
        if !view.is_complete() {
            continue;
        }
        let left = left(&view);
        if left.is_empty() {
            // Each kind was watched by itself: what was made before the clone went may be heard of after that.
            if is_gone(person, &scopes, &mut view).await {
                return conclude(clone, &view);
            }
        } else if last.as_ref() != Some(&left) {
            output::progress(&format!("{name} ({}s) {left}", begun.elapsed().as_secs()));
            last = Some(left);
        }
        if ended {
            return conclude(clone, &view);
        }
    }
}

/// What is still there, in a few words; empty: nothing that is seen.
fn left(view: &View) -> String {
    let clone = match &view.fate {
        Fate::Here(clone, _) => vec![held(clone)],
        Fate::Gone | Fate::Another(_) => Vec::new(),
    };
    clone.into_iter().chain(view.left().map(working::left)).collect::<Vec<_>>().join("; ")
}

fn held(clone: &WordPressClone) -> String {
    let by = clone.finalizers.iter().map(|finalizer| format!("`{finalizer}`")).collect::<Vec<_>>().join(", ");
    if by.is_empty() { "the clone is still there".to_owned() } else { format!("the clone is held by its finalizers {by}") }
}

/// Lists anew what is seen: whether all of it is gone now that the clone is.
async fn is_gone(person: &Person, scopes: &[Scope], view: &mut View) -> bool {
    for scope in scopes {
        let Subject::Objects(kind) = scope.subject else { continue };
        if view.unseen.contains_key(&kind) {
            continue;
        }
        match person.list(scope).await {
            Ok(list) => view.hear(News::Listed(scope.subject, list.items)),
            Err(problem) if problem.error == ApiError::NotFound => {}
            // The watch will say so, and why.
            Err(_) => return false,
        }
    }
    left(view).is_empty()
}

/// The last word: what is gone, and what is not known to be.
fn conclude(clone: &WordPressClone, view: &View) -> Result<String, Failure> {
    let name = clone.meta.name();
    let left = left(view);
    if !left.is_empty() {
        return Err(Failure::failed(anyhow!("clone `{name}`: {}", output::printable(&left))));
    }
    if let Fate::Another(uid) = &view.fate {
        output::note(&format!("another clone of the name `{name}` was made meanwhile (uid {uid})"));
    }
    if !view.unseen.is_empty() {
        let unseen = view.unseen.values().cloned().collect::<Vec<_>>().join("; ");
        let unseen = output::printable(&unseen);
        return Err(Failure::failed(anyhow!("clone `{name}` is being deleted; whether all of it is gone is not known: {unseen}")));
    }
    if clone.database.is_dedicated() {
        output::note("AWS may take some minutes more to delete the database itself; clonewarden follows that");
    }
    Ok(format!("{name} is gone, with everything it was made of\n"))
}
