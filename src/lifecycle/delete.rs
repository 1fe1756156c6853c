//! Deletes exactly the clone that was seen.

use super::{Cause, Trouble, existing, made_again, pin, read};
use crate::{model::Reading, observe::kube::person::Person, ports::ApiError};
use serde_json::Value;

/// How often a delete is tried while the clone changes.
const TRIES: usize = 10;

/// Deletes exactly this clone. Where it has changed meanwhile it is read again: one that is kept by then stays.
pub(crate) async fn delete(person: &Person, mut object: Value) -> Result<(), Trouble> {
    let first = read(&object)?;
    let name = first.meta.name();
    for _ in 0..TRIES {
        let clone = read(&object)?;
        if clone.meta.uid != first.meta.uid {
            return Err(made_again(name, &first.meta.uid, &clone.meta.uid));
        }
        if clone.meta.terminating.is_some() {
            return Ok(());
        }
        if clone.keep == Reading::Value(true) {
            return Err(Trouble::new(Cause::Kept, name, format!("clone `{name}` is kept")));
        }
        match person.delete(&pin(&clone)).await {
            Ok(()) => return Ok(()),
            Err(problem) => match problem.error {
                ApiError::NotFound => return Ok(()),
                ApiError::Conflict(_) => object = existing(person, name).await?,
                _ => return Err(Trouble::asked(name, format!("cannot delete clone `{name}`"), problem)),
            },
        }
    }
    Err(Trouble::new(Cause::Changing, name, format!("cannot delete clone `{name}`: it changed {TRIES} times meanwhile; try again")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::names,
        observe::kube::fake::{Answer, Fake, failure},
    };
    use serde_json::json;

    fn clone(version: &str, uid: &str, keep: &str) -> Value {
        json!({"metadata": {"namespace": "a", "name": "c", "uid": uid, "resourceVersion": version,
                            "creationTimestamp": "2026-02-05T14:30:22Z", "annotations": {names::KEEP: keep}}})
    }

    fn changed() -> Answer {
        failure(409, "Conflict", "the object has been modified", json!({}))
    }

    #[tokio::test]
    async fn only_what_was_seen_is_deleted() {
        let (person, fake) = Fake::person([changed(), Answer::Json(200, clone("2", "u", "false")), Answer::Json(200, json!({}))]);
        delete(&person, clone("1", "u", "false")).await.unwrap();
        let preconditions: Vec<_> = fake.asked().iter().filter_map(|asked| asked.body.get("preconditions").cloned()).collect();
        assert_eq!(preconditions, [json!({"uid": "u", "resourceVersion": "1"}), json!({"uid": "u", "resourceVersion": "2"})]);

        let (person, fake) = Fake::person([changed(), Answer::Json(200, clone("2", "v", "false"))]);
        assert!(delete(&person, clone("1", "u", "false")).await.unwrap_err().to_string().contains("uid v"));
        assert_eq!(fake.lines().len(), 2, "the namesake is left alone");
    }

    #[tokio::test]
    async fn one_that_is_kept_stays() {
        let (person, fake) = Fake::person([]);
        assert!(delete(&person, clone("1", "u", "true")).await.unwrap_err().to_string().contains("is kept"));
        assert_eq!(fake.lines(), [] as [String; 0]);
        // Also if that came in between.
        let (person, fake) = Fake::person([changed(), Answer::Json(200, clone("2", "u", "true"))]);
        assert!(delete(&person, clone("1", "u", "false")).await.is_err());
        assert_eq!(fake.lines().len(), 2);
    }
}
