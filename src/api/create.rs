//! A creation, with or without a key that makes it one creation however often it is sent.

use super::{
    Desk,
    idempotency::{Claim, Match},
    problem::{Problem, asked},
};
use crate::{
    lifecycle::{self, Cause, create::Wish},
    observe::kube::person::{Person, Run},
};
use axum::http::StatusCode;
use serde_json::Value;

/// How often it is tried while the clone of that name comes and goes.
const TRIES: usize = 3;

/// A clone that was asked for.
pub(super) struct Created {
    pub(super) object: Value,
    /// Whether this request has made it; else an earlier one with the same key.
    pub(super) anew: bool,
}

/// Creates the clone, or finds the one that the key has made.
pub(super) async fn create(desk: &Desk, person: &Person, mut wish: Wish, key: Option<&str>) -> Result<Created, Problem> {
    let Some(key) = key else {
        let object = lifecycle::create::create(person, &wish, lifecycle::now(), Run::Real).await?;
        return Ok(Created { object, anew: true });
    };
    let user = person.user().await;
    let user = user.map_err(|problem| asked(&problem, format!("cannot ask the API server who has this token: {}", problem.words())))?;
    let claim = Claim::new(&user, person.namespace(), key, &wish);
    let named = wish.name.is_some();
    let name = wish.name.get_or_insert_with(|| claim.name.clone()).clone();
    wish.annotations.push(claim.annotation());
    let mut tries = 0;
    loop {
        // First, since admission may refuse a second one for want of room, which the first one has.
        if let Some(object) = there(person, &name).await? {
            return known(&claim, object);
        }
        if !named && let Some(gone) = desk.store.departed(person.namespace(), &name) {
            return Err(spent(&format!("the clone `{name}` of this key was seen to go at {gone}")));
        }
        let trouble = match lifecycle::create::create(person, &wish, lifecycle::now(), Run::Real).await {
            Ok(object) => return Ok(Created { object, anew: true }),
            Err(trouble) => trouble,
        };
        // The same request, sent at the same moment, may have been faster; or this one was carried out and the answer was lost.
        if let Some(object) = there(person, &name).await? {
            return known(&claim, object);
        }
        tries += 1;
        let taken = matches!(&trouble.cause, Cause::Asked(problem) if problem.is_already_there());
        if !taken || tries >= TRIES {
            return Err(trouble.into());
        }
    }
}

async fn there(person: &Person, name: &str) -> Result<Option<Value>, Problem> {
    let found = person.clone_named(name).await;
    found.map_err(|problem| asked(&problem, format!("cannot look whether the key has made clone `{name}` already: {}", problem.words())))
}

/// A clone of that name is there.
fn known(claim: &Claim, object: Value) -> Result<Created, Problem> {
    let clone = lifecycle::read(&object)?;
    let name = clone.meta.name();
    match (claim.compare(&clone, &object), clone.meta.terminating) {
        (Match::Same, None) => Ok(Created { object, anew: false }),
        (Match::Same, Some(since)) => Err(spent(&format!("the clone `{name}` of this key is being deleted since {since}"))),
        (Match::OtherBody, _) => {
            let detail = format!(
                "this Idempotency-Key has made the clone `{name}` from another body: send that body again, or use another key for another clone"
            );
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "KeyReused", "The key was used for something else", detail))
        }
        (Match::Foreign, _) => {
            let detail = format!("a clone `{name}` is there that was not made by this Idempotency-Key and caller: choose another name");
            Err(Problem::new(StatusCode::CONFLICT, "NameTaken", "The name is taken", detail))
        }
    }
}

fn spent(what: &str) -> Problem {
    let detail = format!("{what}: a key makes one clone; use another key for another one");
    Problem::new(StatusCode::CONFLICT, "KeySpent", "The clone of this key is gone", detail)
}
