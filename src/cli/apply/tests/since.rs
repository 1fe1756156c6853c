//! What has come between the plan and the moment that it is carried out.

use super::*;

/// It may have been kept for a while: whoever took that back counts on being told anew.
#[tokio::test(start_paused = true)]
async fn a_clone_that_was_touched_since_is_looked_at_once_more() {
    let scene = Scene::due(&["one", "two"]).await;
    let asked = scene.asked().await;
    for value in [Some("true"), None] {
        scene.cluster.world().annotate_clone(&("staging".to_owned(), "one".to_owned()), names::KEEP, value).unwrap();
    }
    let report = scene.apply(&asked).await.unwrap();
    assert_eq!(outcomes(&report), [("staging/one".to_owned(), Outcome::Otherwise), ("staging/two".to_owned(), Outcome::Done)]);
    assert_eq!(scene.living(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_daemon_does_not_act_by_is_no_policy_to_approve_by() {
    let scene = Scene::due(&["one"]).await;
    let asked = scene.asked().await;
    let mut read = state::load(&scene.cluster).await.unwrap();
    read.state.policies = Some("sha256:another".to_owned());
    state::save(&scene.cluster, &read.state, read.version.as_deref()).await.unwrap();
    let failure = scene.apply(&asked).await.err().unwrap();
    assert!(failure.code == 2 && failure.to_string().contains("revision sha256:another"), "{failure}");
    assert_eq!((scene.living().len(), scene.approvals().await.len()), (1, 0));
}

/// No daemon has lived through the audit, and so none has noted that `enforce` was interrupted.
#[tokio::test(start_paused = true)]
async fn what_is_announced_in_audit_interrupts_what_was_enforced_before() {
    let scene = Scene::with(AUDIT, &["one"]).await;
    scene.pass(61).await;
    assert!(state::load(&scene.cluster).await.unwrap().state.enforced_since.contains_key("staging"));
    let asked = scene.asked().await;
    assert_eq!(outcomes(&scene.apply(&asked).await.unwrap()), [("staging/one".to_owned(), Outcome::Done)]);
    assert!(state::load(&scene.cluster).await.unwrap().state.enforced_since.is_empty());
}
