//! `clonewarden clone wait`: returns when a clone works, and says meanwhile what is in its way, as soon as that is known.

use super::{
    Failure, Place, output, patience,
    show::{self, Output},
};
use crate::{
    lifecycle::{
        self, Summary,
        wait::{End, For, Listener, Waited},
    },
    model::Span,
    observe::kube::person::Person,
    plan::working::State,
};
use anyhow::anyhow;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

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
        let object = lifecycle::existing(&person, &args.clone).await?;
        let (works, words) = wait(&person, object, patience(args.timeout)).await?;
        show::one(&works, args.output.format, &words)
    })
}

/// Waits until the clone works; returns it as it is then, and the words for a person.
pub(super) async fn wait(person: &Person, object: Value, patience: Duration) -> Result<(Summary, String), Failure> {
    let name = lifecycle::read(&object)?.meta.name().to_owned();
    let mut progress = Progress { name: name.clone(), begun: Instant::now() };
    let Waited { clone, told, state, end, .. } =
        lifecycle::wait::wait(person, &object, For::Work, tokio::time::sleep(patience), &mut progress).await?;
    let said = |why: &str| Err(Failure::failed(anyhow!("clone `{name}` {}", output::printable(why))));
    let last = || state.as_ref().map_or_else(|| "it was not seen at all".to_owned(), sentence);
    match end {
        End::Works => {
            let secret = format!("; credentials: Secret `{}`", told.secret);
            let url = told.url.as_deref().unwrap_or("no address is known");
            let words = format!("{name} works: {url}{secret}\n");
            Ok((Summary::new(&clone, &told, &State::Works), words))
        }
        End::Hopeless(why) => said(&why),
        End::Enough => {
            let after = crate::model::duration::human(jiff::SignedDuration::try_from(patience).unwrap_or_default());
            said(&format!("does not work after {after}: {}", last()))
        }
        End::Silence => Err(Failure::failed(anyhow!("clone `{name}`: {}", output::printable(&last())))),
        End::Gone => said("was deleted while it was waited for"),
        End::Another(other) => Err(lifecycle::made_again(&name, &clone.meta.uid, &other).into()),
    }
}

/// A state in a few words.
fn sentence(state: &State) -> String {
    if state.why().is_empty() { state.word().to_owned() } else { format!("{}: {}", state.word(), state.why().join("; ")) }
}

/// What is told on the way.
struct Progress {
    name: String,
    begun: Instant,
}

impl Listener for Progress {
    fn state(&mut self, state: &State) {
        output::progress(&format!("{} ({}s) {}", self.name, self.begun.elapsed().as_secs(), sentence(state)));
    }

    fn blind(&mut self, why: &str) {
        output::note(&format!("{why}; if its Job is refused a Pod, the reason is not seen"));
    }
}
