//! Writes an annotation on exactly the clone that was seen. Where somebody else, KRO above all, has changed the clone meanwhile it
//! is read again; where the clone is another one by then, nothing is written.

use super::{Cause, Trouble, existing, made_again, pin, read};
use crate::{
    model::WordPressClone,
    observe::kube::person::{Person, Run},
    ports::ApiError,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// How often a write is tried while the clone changes: KRO writes its status several times in a row while it comes up.
const TRIES: usize = 10;

/// Sets (`Some`) or removes (`None`) an annotation and returns the clone as it was stored. `settled` says whether nothing is left to
/// be written on a clone that was read again.
pub(crate) async fn amend(
    person: &Person,
    seen: Value,
    key: &'static str,
    value: Option<String>,
    settled: impl Fn(&WordPressClone) -> bool,
) -> Result<Value, Trouble> {
    let first = read(&seen)?;
    let name = first.meta.name();
    let what = format!("cannot change clone `{name}`");
    let changes = BTreeMap::from([(key, value)]);
    let mut now = read(&seen)?;
    for _ in 0..TRIES {
        let problem = match person.annotate(&pin(&now), &changes, Run::Real).await {
            Ok(stored) => return Ok(stored),
            Err(problem) => problem,
        };
        let unanswered = match &problem.error {
            ApiError::Conflict(_) => false,
            ApiError::Unavailable(_) => true,
            _ => return Err(Trouble::asked(name, what, problem)),
        };
        let object = existing(person, name).await?;
        now = read(&object)?;
        if now.meta.uid != first.meta.uid {
            return Err(made_again(name, &first.meta.uid, &now.meta.uid));
        }
        if settled(&now) {
            return Ok(object);
        }
        if unanswered {
            return Err(Trouble::asked(name, what, problem));
        }
    }
    Err(Trouble::new(Cause::Changing, name, format!("{what}: it changed {TRIES} times meanwhile; try again")))
}
