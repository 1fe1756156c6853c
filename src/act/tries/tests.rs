//! When something is tried again, and when not.

use super::*;
use crate::{
    act::tries::FIRST_PAUSE,
    model::{cloud::CloudResource, evidence::CloudList},
    plan::{Reason, Target},
};
use std::sync::Arc;

#[test]
fn what_aws_stands_against_leaves_the_others_their_turn() {
    let conflict = Ending::Conflict("AWS says `backing-up` now".to_owned());
    let mut clone = Done::default();
    clone.note("delete/1", &conflict, false);
    assert_eq!((clone.conflicts, clone.not_before), (1, None), "the watch brings the next form at any moment");
    let mut database = Done::default();
    database.note("delete/", &conflict, true);
    let first = database.not_before.unwrap();
    database.note("delete/", &conflict, true);
    assert!(database.not_before.unwrap() > first + FIRST_PAUSE);
    database.note("delete/", &Ending::Done, true);
    assert_eq!((database.conflicts, database.failures, database.not_before), (0, 0, None));
    assert!(database.covers("delete/"));
}

#[test]
fn a_delete_in_aws_is_no_repeat_of_its_mark() {
    let object = serde_json::json!({
        "DBInstanceIdentifier": "a", "DBInstanceArn": "arn:aws:rds:us-east-1:123456789012:db:a", "DbiResourceId": "db-1",
        "DBInstanceStatus": "available", "TagList": [],
    });
    let resource = Arc::new(CloudResource::read(CloudList::Instances, &object).unwrap());
    let of = |action| version(&Decision::new(action, None, Target::Cloud(Arc::clone(&resource)), Reason::OwnerGone("u".into(), false)));
    let mut done = Done { on: Some((of(Action::Mark).into(), Instant::now())), ..Done::default() };
    assert!(done.covers(&of(Action::Mark)) && !done.covers(&of(Action::Delete)));
    done.on = Some((of(Action::Delete).into(), Instant::now()));
    assert!(done.covers(&of(Action::Delete)));
}
