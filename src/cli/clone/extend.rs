//! `clonewarden clone extend`: moves the end of a clone further away, and says the new end and the ceiling.
//!
//! How that is done, and where the ceiling is known from: [`crate::lifecycle::extend`]. With `--policies DIR` it is computed from those
//! files.

use super::{Failure, Place, output};
use crate::{
    cli::{inputs, table::relative},
    lifecycle::{
        self,
        extend::{Announced, Bounds, Extended, HowFar, extend},
    },
    model::{Span, WordPressClone, ceil_to_second},
    observe::kube::person::Person,
    policy::{Governing, Policies},
};
use anyhow::anyhow;
use jiff::Timestamp;
use std::path::PathBuf;

/// `clone extend`
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("how far").required(true))]
pub(in crate::cli) struct Args {
    /// The clone
    #[arg(value_name = "CLONE", value_parser = super::name)]
    clone: String,
    /// By how much, from its present end on, e.g. 2h
    #[arg(long, value_name = "DURATION", group = "how far")]
    by: Option<Span>,
    /// Until when (RFC 3339, e.g. 2026-02-05T18:00:00Z)
    #[arg(long, value_name = "TIME", value_parser = inputs::moment, group = "how far")]
    until: Option<Timestamp>,
    /// Take the ceiling from the policy files in this folder; default: the webhook is asked for it
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR")]
    policies: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let policies = args.policies.as_deref().map(inputs::load).transpose()?;
    let how_far = match (args.by, args.until) {
        (Some(by), _) => HowFar::By(by),
        (None, Some(until)) => HowFar::Until(ceil_to_second(until)),
        (None, None) => return Err(Failure::input(anyhow!("say how far: `--by` or `--until`"))),
    };
    let said = args.place.ask(|person| async move {
        let object = lifecycle::existing(&person, &args.clone).await?;
        let bounds = match &policies {
            Some(policies) => Some(by_files(&person, &lifecycle::read(&object)?, policies).await?),
            None => None,
        };
        let extended = extend(&person, object, how_far, bounds).await?;
        extended.warnings.iter().for_each(|warning| output::warning(warning));
        Ok(text(&args.clone, &extended, lifecycle::now()))
    })?;
    output::data(&said)
}

/// The ceiling by policy files.
async fn by_files(person: &Person, clone: &WordPressClone, policies: &Policies) -> Result<Bounds, Failure> {
    // Without its labels a namespace is still governed by its name.
    let labels = person.namespace_labels().await.ok();
    match policies.governing(person.namespace(), labels.as_ref()) {
        Governing::Policy(policy) => Ok(Bounds::of(clone, policy)),
        Governing::Conflict(one, other) => {
            Err(Failure::failed(anyhow!("policies `{}` and `{}` both govern `{}`", one.name, other.name, person.namespace())))
        }
        Governing::Nobody => {
            let unread = if labels.is_none() { ", as far as its name says: its labels cannot be read" } else { "" };
            output::note(&format!("no policy in these files governs `{}`{unread}", person.namespace()));
            Ok(Bounds::default())
        }
    }
}

/// What is said at the end.
fn text(name: &str, extended: &Extended, now: Timestamp) -> String {
    let Extended { until, bounds, end, announced, .. } = extended;
    let at = |at: Timestamp| format!("{at} ({})", relative(at, now));
    let clamped = if end < until { format!("; asked for was {until}, which is past its ceiling") } else { String::new() };
    let end = at(*end);
    let mut text = match announced {
        Announced::Kept => format!("{name} is kept; without that it lives until {end}{clamped}\n"),
        Announced::Audit => format!("{name} would live until {end}{clamped}: its policy is in audit and ends nothing\n"),
        Announced::Yes | Announced::Otherwise(_) => format!("{name} lives until {end}{clamped}\n"),
        Announced::NotYet => format!("{name} is extended until {end}{clamped}; the daemon has not announced that yet\n"),
    };
    text += &match bounds.ceiling {
        Some(ceiling) => format!("ceiling: {}, the longest that its policy allows; `clone keep` goes beyond\n", at(ceiling)),
        None => "ceiling: not known, since no webhook of clonewarden's answered; `--policies DIR` tells\n".to_owned(),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_770_300_000 + 60 * minutes).unwrap()
    }

    #[test]
    fn the_new_end_and_the_ceiling_are_said() {
        let told = |until: i64, ceiling: Option<i64>, announced| {
            let bounds = Bounds { ceiling: ceiling.map(at), audit: false };
            let granted = ceiling.map_or(at(until), |ceiling| at(until).min(at(ceiling)));
            let end = if let Announced::Otherwise(end) = announced { end } else { granted };
            text("c", &Extended { until: at(until), bounds, end, announced, warnings: Vec::new() }, at(0))
        };
        let text = told(180, Some(300), Announced::Yes);
        assert!(text.starts_with(&format!("c lives until {} (in 3h)\nceiling: {} (in 5h)", at(180), at(300))), "{text}");
        let text = told(600, Some(300), Announced::Yes);
        assert!(text.starts_with(&format!("c lives until {} (in 5h); asked for was {}", at(300), at(600))), "{text}");
        let text = told(600, None, Announced::Otherwise(at(300)));
        assert!(text.contains("past its ceiling") && text.contains("--policies"), "{text}");
        assert!(told(180, Some(300), Announced::NotYet).contains("has not announced"));
        assert!(told(180, Some(300), Announced::Kept).starts_with("c is kept"));
    }
}
