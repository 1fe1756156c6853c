//! Asks for a clone. Its name is `clone-YYYYMMDD-HHMMSS`; where that is taken, by whoever was faster in the same second, the next one
//! with a number behind it.

use super::{Cause, Trouble};
use crate::{
    model::{Span, names},
    observe::kube::{
        answer::Problem,
        person::{Person, Run},
    },
    ports::ApiError,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// How many names are tried within one second.
const NAMES: u32 = 100;
/// The longest name built from a clone's is the RDS identifier, of which this is left.
pub(crate) const LONGEST: usize = 50;

/// What somebody asks for.
#[derive(Default)]
pub(crate) struct Wish {
    /// Its name; `None`: one by the date.
    pub(crate) name: Option<String>,
    /// The site to clone.
    pub(crate) source_url: String,
    /// Who logs in there.
    pub(crate) source_username: Option<String>,
    /// With which password. Never printed.
    pub(crate) source_password: Option<Zeroizing<String>>,
    /// How long it is wanted.
    pub(crate) ttl: Option<Span>,
    /// Policies may give such a clone a database of its own.
    pub(crate) critical: bool,
    /// Annotations beside it.
    pub(crate) annotations: Vec<(&'static str, String)>,
}

impl Wish {
    pub(crate) fn name_at(&self, now: Timestamp, attempt: u32) -> String {
        self.name.clone().unwrap_or_else(|| name_at(now, attempt))
    }

    /// The object. Children and database are named after `cloneId`, which is the name therefore.
    pub(crate) fn manifest(&self, name: &str, namespace: &str) -> Value {
        let mut metadata = Map::from_iter([("name".to_owned(), json!(name)), ("namespace".to_owned(), json!(namespace))]);
        let mut spec = Map::from_iter([("cloneId".to_owned(), json!(name)), ("sourceUrl".to_owned(), json!(self.source_url))]);
        let mut say = |field: &str, value: Option<Value>| drop(value.map(|value| spec.insert(field.to_owned(), value)));
        say("sourceUsername", self.source_username.as_ref().map(|username| json!(username)));
        say("sourcePassword", self.source_password.as_ref().map(|password| json!(password.as_str())));
        say("ttlSeconds", self.ttl.map(|ttl| json!(ttl.as_secs())));
        if self.critical {
            metadata.insert("labels".to_owned(), json!({names::CRITICAL: "true"}));
        }
        if !self.annotations.is_empty() {
            let annotations = self.annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value)));
            metadata.insert("annotations".to_owned(), annotations.collect::<Map<_, _>>().into());
        }
        json!({"apiVersion": format!("{}/v1alpha1", names::CLONE_GROUP), "kind": names::CLONE_KIND, "metadata": metadata, "spec": spec})
    }
}

/// The name of a clone that is asked for now, at the first attempt or a later one.
fn name_at(now: Timestamp, attempt: u32) -> String {
    let name = now.strftime("clone-%Y%m%d-%H%M%S");
    if attempt == 1 { name.to_string() } else { format!("{name}-{attempt}") }
}

/// A name that the children and the database can be named after.
pub(crate) fn fit(text: &str) -> Result<String, String> {
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

/// Creates the clone and returns it as it was stored.
pub(crate) async fn create(person: &Person, wish: &Wish, now: Timestamp, run: Run) -> Result<Value, Trouble> {
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
        if run == Run::Real && is_unsure(&problem) {
            let what = format!("no answer to the creation of clone `{name}`, which may have been made all the same");
            return Err(Trouble::new(Cause::Unsure(problem), &name, what));
        }
        return Err(Trouble::asked(&name, format!("cannot create clone `{name}`"), problem));
    }
}

/// Whether the clone may have been made although there was no good answer. A failure of the server that is a webhook's no, or its
/// absence, says that nothing was stored.
fn is_unsure(problem: &Problem) -> bool {
    let words = problem.words();
    // Turned away before anything was done.
    let turned_away = problem.code() == Some(429);
    matches!(problem.error, ApiError::Unavailable(_))
        && !turned_away
        && !["denied the request", "failed calling webhook"].iter().any(|sign| words.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::kube::fake::{Answer, Fake, failure};

    fn now() -> Timestamp {
        "2026-02-05T14:30:22Z".parse().unwrap()
    }

    fn wish(name: Option<&str>) -> Wish {
        let name = name.map(str::to_owned);
        Wish { name, source_url: "https://example.com".into(), ttl: Some(Span::minutes(90)), critical: true, ..Wish::default() }
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
        let trouble = create(&person, &wish(Some("mine")), now(), Run::Real).await.unwrap_err();
        assert!(trouble.to_string().contains("already exists"), "{trouble}");
        assert_eq!(fake.lines().len(), 1);
    }

    #[tokio::test]
    async fn without_an_answer_nothing_is_asked_for_twice() {
        let (person, fake) = Fake::person([Answer::Text(504, "")]);
        let trouble = create(&person, &wish(None), now(), Run::Real).await.unwrap_err();
        assert_eq!((matches!(trouble.cause, Cause::Unsure(_)), fake.lines().len()), (true, 1));
        assert!(trouble.to_string().contains("may have been made all the same"), "{trouble}");
        // With a webhook's answer it is known that it was not.
        for words in ["admission webhook \"mutate.clonewarden.io\" denied the request: NotNow: no holder", "Internal error: failed calling webhook"] {
            let (person, _) = Fake::person([failure(503, "ServiceUnavailable", words, json!({}))]);
            let trouble = create(&person, &wish(None), now(), Run::Real).await.unwrap_err();
            assert!(trouble.to_string().starts_with("cannot create clone") && trouble.to_string().ends_with(words), "{trouble}");
        }
    }
}
