//! `clonewarden clone keep`: a wall around a clone, until somebody lifts it.

use super::{Failure, Place, output};
use crate::{
    lifecycle::{amend::amend, existing, read},
    model::{Reading, names},
    observe::kube::person::Person,
};
use anyhow::anyhow;

/// `clone keep`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The clone
    #[arg(value_name = "CLONE", value_parser = super::name)]
    clone: String,
    /// No longer keep it
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let said = args.place.ask(|person| async move { keep(&person, &args.clone, !args.off).await })?;
    output::data(&said)
}

async fn keep(person: &Person, name: &str, on: bool) -> Result<String, Failure> {
    let object = existing(person, name).await?;
    let clone = read(&object)?;
    if on && let Some(since) = clone.meta.terminating {
        return Err(Failure::failed(anyhow!("clone `{name}` is being deleted since {since}: nothing keeps it any more")));
    }
    let wanted = if on { Reading::Value(true) } else { Reading::Absent };
    if clone.keep == wanted {
        return Ok(if on { format!("{name} is kept already\n") } else { format!("{name} was not kept\n") });
    }
    amend(person, object, names::KEEP, on.then(|| "true".to_owned()), |clone| clone.keep == wanted).await?;
    Ok(if on {
        format!("{name} is kept: nothing ends it until `clonewarden clone keep {name} --off`\n")
    } else {
        format!("{name} is no longer kept: an end is announced on it now, at the earliest after the grace of its policy\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::kube::fake::{Answer, Fake, failure};
    use serde_json::{Value, json};

    fn clone(version: &str, uid: &str, annotations: Value) -> Answer {
        let metadata = json!({"namespace": "a", "name": "c", "uid": uid, "resourceVersion": version,
                              "creationTimestamp": "2026-02-05T14:30:22Z", "annotations": annotations});
        Answer::Json(200, json!({"metadata": metadata}))
    }

    fn changed() -> Answer {
        failure(409, "Conflict", "the object has been modified", json!({}))
    }

    #[tokio::test]
    async fn a_clone_that_changes_meanwhile_is_read_again_and_kept() {
        let (person, fake) = Fake::person([clone("1", "u", json!({})), changed(), clone("2", "u", json!({})), clone("3", "u", json!({}))]);
        assert!(keep(&person, "c", true).await.unwrap().starts_with("c is kept"));
        let versions: Vec<_> = fake.asked().iter().map(|asked| asked.body.pointer("/metadata/resourceVersion").cloned()).collect();
        assert_eq!(versions, [None, Some(json!("1")), None, Some(json!("2"))]);
    }

    #[tokio::test]
    async fn a_namesake_is_not_written_to() {
        let (person, _) = Fake::person([clone("1", "u", json!({})), changed(), clone("2", "v", json!({}))]);
        let failure = keep(&person, "c", true).await.unwrap_err().to_string();
        assert!(failure.contains("uid u") && failure.contains("uid v"), "{failure}");
    }

    #[tokio::test]
    async fn a_write_without_an_answer_is_looked_at() {
        let kept = || clone("2", "u", json!({names::KEEP: "true"}));
        let (person, _) = Fake::person([clone("1", "u", json!({})), Answer::Text(500, "away"), kept()]);
        assert!(keep(&person, "c", true).await.unwrap().starts_with("c is kept"));
        let (person, _) = Fake::person([clone("1", "u", json!({})), Answer::Text(500, "away"), clone("1", "u", json!({}))]);
        assert_eq!(keep(&person, "c", true).await.unwrap_err().code, 1);
    }

    #[tokio::test]
    async fn nothing_is_written_where_nothing_changes() {
        let (person, fake) = Fake::person([clone("1", "u", json!({names::KEEP: "true"}))]);
        assert_eq!(keep(&person, "c", true).await.unwrap(), "c is kept already\n");
        assert_eq!(fake.lines().len(), 1);
        // One that is unreadable is lifted too.
        let (person, _) = Fake::person([clone("1", "u", json!({names::KEEP: "maybe"})), clone("2", "u", json!({}))]);
        assert!(keep(&person, "c", false).await.unwrap().contains("no longer kept"));
    }
}
