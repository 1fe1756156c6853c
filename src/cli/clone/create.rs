//! `clonewarden clone create`: asks for a clone. Its name is `clone-YYYYMMDD-HHMMSS`; where that is taken, by whoever was faster in
//! the same second, the next one with a number behind it.

use super::{
    Failure, Place, output, patience, read, refused,
    show::{self, Format, Output, Shown},
    tell_warnings, wait,
};
use crate::{
    cli::{live, plan},
    model::{Span, names},
    observe::kube::person::{Person, Run},
    plan::working::{State, Told},
    ports::ApiError,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How many names are tried within one second.
const NAMES: u32 = 100;
/// The longest name built from a clone's is the RDS identifier, of which this is left.
const LONGEST: usize = 50;

/// `clone create`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its name; default: clone-YYYYMMDD-HHMMSS, by the clock of this machine in UTC
    #[arg(value_name = "NAME", value_parser = fit)]
    name: Option<String>,
    /// The site to clone
    #[arg(long, value_name = "URL", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    source_url: String,
    /// How long it is wanted, e.g. 90m; default: as the policy says, which also has the last word
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Span>,
    /// Label it as critical: policies may give such a clone a database of its own
    #[arg(long)]
    critical: bool,
    /// Return only when it works
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// With --wait: how long
    #[arg(long, value_name = "DURATION", default_value_t = wait::TIMEOUT, requires = "wait")]
    timeout: Span,
    /// Create nothing: `client` prints what would be sent, `server` has it judged
    #[arg(long, value_enum, value_name = "WHERE")]
    dry_run: Option<DryRun>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DryRun {
    Client,
    Server,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Args { name, source_url, ttl, critical, wait, timeout, dry_run, output: Output { format }, place } = args;
    let wish = Wish { name, source_url, ttl, critical };
    place.ask(|person| async move {
        let now = live::now();
        if dry_run == Some(DryRun::Client) {
            return print(&wish.manifest(&wish.name_at(now, 1), person.namespace()), format);
        }
        let stored = create(&person, &wish, now, if dry_run.is_some() { Run::Dry } else { Run::Real }).await?;
        tell_warnings(&person);
        let shown = shown(&stored)?;
        let dry = if dry_run.is_some() { " (server dry run)" } else { "" };
        let created = format!("{} created{dry}\n", shown.full_name());
        if !wait {
            return show::one(&shown, format, &created);
        }
        // The name is told at once: whoever waits in vain needs it too.
        match format {
            Format::Json | Format::Yaml => output::progress(created.trim_end()),
            Format::Table | Format::Name => show::one(&shown, format, &created)?,
        }
        let (works, words) = wait::wait(&person, stored, patience(timeout)).await?;
        if format == Format::Name { Ok(()) } else { show::one(&works, format, &words) }
    })
}

/// What somebody asks for.
struct Wish {
    name: Option<String>,
    source_url: String,
    ttl: Option<Span>,
    critical: bool,
}

impl Wish {
    fn name_at(&self, now: Timestamp, attempt: u32) -> String {
        self.name.clone().unwrap_or_else(|| name_at(now, attempt))
    }

    /// The object. Children and database are named after `cloneId`, which is the name therefore.
    fn manifest(&self, name: &str, namespace: &str) -> Value {
        let mut object = json!({
            "apiVersion": format!("{}/v1alpha1", names::CLONE_GROUP),
            "kind": names::CLONE_KIND,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"cloneId": name, "sourceUrl": self.source_url},
        });
        let mut set = |part: &str, key: &str, value: Value| {
            if let Some(fields) = object.get_mut(part).and_then(Value::as_object_mut) {
                fields.insert(key.to_owned(), value);
            }
        };
        if let Some(ttl) = self.ttl {
            set("spec", "ttlSeconds", json!(ttl.as_secs()));
        }
        if self.critical {
            set("metadata", "labels", json!({names::CRITICAL: "true"}));
        }
        object
    }
}

/// The name of a clone that is asked for now, at the first attempt or a later one.
fn name_at(now: Timestamp, attempt: u32) -> String {
    let name = now.strftime("clone-%Y%m%d-%H%M%S");
    if attempt == 1 { name.to_string() } else { format!("{name}-{attempt}") }
}

/// A name that the children and the database can be named after.
fn fit(text: &str) -> Result<String, String> {
    let parts = || text.split('-');
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let letter = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if !letter || !parts().all(plain) {
        return Err("lower case letters, digits and single hyphens, beginning with a letter, as in clone-20260205-143022".to_owned());
    }
    if text.len() > LONGEST {
        return Err(format!("it has {} characters, and its database's name leaves {LONGEST}", text.len()));
    }
    Ok(text.to_owned())
}

async fn create(person: &Person, wish: &Wish, now: Timestamp, run: Run) -> Result<Value, Failure> {
    let mut attempt = 1;
    loop {
        let name = wish.name_at(now, attempt);
        let problem = match person.create(wish.manifest(&name, person.namespace()), run).await {
            Ok(stored) => return Ok(stored),
            Err(problem) => problem,
        };
        if problem.is_already_there() && wish.name.is_none() && attempt < NAMES {
            attempt = attempt.saturating_add(1);
            // They were about a clone that was not made.
            drop(person.warnings());
            continue;
        }
        let mut what = format!("cannot create clone `{name}`");
        if matches!(problem.error, ApiError::Unavailable(_)) && run == Run::Real && !was_judged(&problem.words()) {
            what = format!("no answer to the creation of clone `{name}`, which may have been made all the same (`clonewarden clone list`)");
        }
        return Err(refused(&what, &problem));
    }
}

/// Whether a failure of the server is a webhook's no, or its absence: then nothing was stored.
fn was_judged(words: &str) -> bool {
    ["denied the request", "failed calling webhook"].iter().any(|sign| words.contains(sign))
}

/// A clone that was just stored: nothing is known yet of what it is made of.
fn shown(stored: &Value) -> Result<Shown, Failure> {
    Ok(Shown::new(&read(stored)?, &Told::read(stored), &State::Starting(Vec::new())))
}

/// The object as it would be sent.
fn print(object: &Value, format: Format) -> Result<(), Failure> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    output::data(&match format {
        Format::Table | Format::Yaml => plan::yaml(object)?,
        Format::Json => plan::json(object)?,
        Format::Name => show::full_name(name) + "\n",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::kube::fake::{Answer, Fake, failure};

    fn now() -> Timestamp {
        "2026-02-05T14:30:22Z".parse().unwrap()
    }

    fn wish(name: Option<&str>) -> Wish {
        Wish { name: name.map(str::to_owned), source_url: "https://example.com".into(), ttl: Some(Span::minutes(90)), critical: true }
    }

    fn taken() -> Answer {
        failure(409, "AlreadyExists", "wordpressclones.kro.run \"clone-20260205-143022\" already exists", json!({}))
    }

    #[test]
    fn a_name_says_when_and_can_be_built_upon() {
        assert_eq!(name_at(now(), 1), "clone-20260205-143022");
        assert_eq!(name_at(now(), 2), "clone-20260205-143022-2");
        assert!(fit(&name_at(now(), NAMES)).is_ok());
        assert_eq!(fit("clone-a1").unwrap(), "clone-a1");
        let long = "x".repeat(51);
        for odd in ["", "Clone", "1a", "a--b", "a-", "-a", "a_b", "a.b", "ä", long.as_str()] {
            assert!(fit(odd).is_err(), "{odd}");
        }
        // `<name>-<first 8 of the uid>` is an RDS identifier, of at most 63 characters.
        assert!(names::database_identifier(&"x".repeat(LONGEST), "12345678-1234").len() <= 63);
    }

    #[test]
    fn the_object_is_named_as_its_children_will_be() {
        let expected = json!({
            "apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone",
            "metadata": {"name": "c", "namespace": "a", "labels": {"clonewarden.io/critical": "true"}},
            "spec": {"cloneId": "c", "sourceUrl": "https://example.com", "ttlSeconds": 5400},
        });
        assert_eq!(wish(None).manifest("c", "a"), expected);
        let plain = Wish { ttl: None, critical: false, ..wish(None) }.manifest("c", "a");
        // What is not said is the policy's to say.
        assert_eq!(plain["spec"], json!({"cloneId": "c", "sourceUrl": "https://example.com"}));
        assert!(plain["metadata"].get("labels").is_none());
    }

    #[tokio::test]
    async fn whoever_comes_second_gets_the_next_name() {
        let (person, fake) = Fake::person([taken(), taken(), Answer::Json(201, json!({}))]);
        create(&person, &wish(None), now(), Run::Real).await.unwrap();
        let names: Vec<_> =
            fake.asked().iter().map(|asked| (asked.body["metadata"]["name"].clone(), asked.body["spec"]["cloneId"].clone())).collect();
        let expected = ["clone-20260205-143022", "clone-20260205-143022-2", "clone-20260205-143022-3"].map(|name| (json!(name), json!(name)));
        assert_eq!(names, expected);
    }

    #[tokio::test]
    async fn a_name_that_was_asked_for_is_not_another_one() {
        let (person, fake) = Fake::person([taken()]);
        let failure = create(&person, &wish(Some("mine")), now(), Run::Real).await.unwrap_err();
        assert!(failure.to_string().contains("already exists"), "{failure}");
        assert_eq!(fake.lines().len(), 1);
    }

    #[tokio::test]
    async fn without_an_answer_nothing_is_asked_for_twice() {
        let (person, fake) = Fake::person([Answer::Text(504, "")]);
        let failure = create(&person, &wish(None), now(), Run::Real).await.unwrap_err();
        assert_eq!((failure.code, fake.lines().len()), (1, 1));
        assert!(failure.to_string().contains("may have been made all the same"), "{failure}");
        // With a webhook's answer it is known that it was not.
        for words in ["admission webhook \"mutate.clonewarden.io\" denied the request: NotNow: no holder", "Internal error: failed calling webhook"] {
            let (person, _) = Fake::person([failure_of(503, words)]);
            let failure = create(&person, &wish(None), now(), Run::Real).await.unwrap_err().to_string();
            assert!(failure.starts_with("error: cannot create clone") && failure.ends_with(words), "{failure}");
        }
    }

    fn failure_of(code: u16, words: &str) -> Answer {
        failure(code, "ServiceUnavailable", words, json!({}))
    }
}
