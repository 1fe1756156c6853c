//! What has come between the plan and the moment that it is carried out.

use super::*;
use crate::cli::pause;

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
    scene.remember(|state| state.policies = Some("sha256:another".to_owned())).await;
    let failure = scene.apply(&asked).await.err().unwrap();
    assert!(failure.code == 2 && failure.to_string().contains("revision sha256:another"), "{failure}");
    // After a pause nobody knows by which it will act.
    scene.remember(|state| state.policies = None).await;
    let failure = scene.apply(&asked).await.err().unwrap();
    assert!(failure.code == 2 && failure.to_string().contains("since it was installed or resumed"), "{failure}");
    assert_eq!((scene.living().len(), scene.approvals().await.len()), (1, 0));
}

/// They come into force while the approval is being written.
#[tokio::test(start_paused = true)]
async fn other_policies_in_between_are_seen() {
    let scene = Scene::due(&["one"]).await;
    let asked = scene.asked().await;
    scene.person.script(Call::WriteState, Meets::Slow(Duration::from_secs(2), Duration::ZERO));
    let (applied, ()) = tokio::join!(scene.apply(&asked), async {
        scene.pass(1).await;
        scene.remember(|state| state.policies = Some("sha256:another".to_owned())).await;
    });
    let report = applied.unwrap();
    assert_eq!((outcomes(&report), scene.living().len()), (vec![("staging/one".to_owned(), Outcome::NotTried)], 1));
    assert_eq!(report.rows[0].why, "the daemon acts by other policies meanwhile");
}

/// What is announced in audit must not count once it is enforced, and the daemon has not noted yet that `enforce` was interrupted.
#[tokio::test(start_paused = true)]
async fn where_the_daemon_has_not_seen_the_audit_nothing_is_announced() {
    let scene = Scene::with(AUDIT, &["one"]).await;
    scene.pass(61).await;
    let asked = scene.asked().await;
    let since = scene.now();
    scene.remember(|state| state.enforced_since.extend([("staging".to_owned(), since)])).await;
    let report = scene.apply(&asked).await.unwrap();
    assert_eq!(outcomes(&report), [("staging/one".to_owned(), Outcome::NotTried)]);
    assert!(report.rows[0].why.contains("`staging` is in audit") && scene.approvals().await.is_empty(), "{}", report.rows[0].why);
    assert_eq!(report.failure.as_ref().map(|failure| failure.code), Some(1));
}

/// Who may approve need not be able to make a ConfigMap.
#[tokio::test(start_paused = true)]
async fn where_no_daemon_looks_for_approvals_nothing_is_done() {
    let scene = Scene::due(&["one"]).await;
    let asked = scene.asked().await;
    scene.cluster.world().lose_state(approvals::NAME);
    let failure = scene.apply(&asked).await.err().unwrap();
    assert!(failure.code == 1 && failure.to_string().contains("who approved cannot be written down"), "{failure}");
    assert_eq!((scene.living().len(), approvals::load(&scene.cluster).await.unwrap()), (1, None));
}

/// They come into force while it is at it: what was not sent yet is not sent any more.
#[tokio::test(start_paused = true)]
async fn other_policies_stop_what_has_begun() {
    let names: Vec<String> = (0..200).map(|number| format!("c-{number:03}")).collect();
    let scene = Scene::due(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let asked = scene.asked().await;
    for _ in &names {
        scene.person.script(Call::Delete, Meets::Slow(Duration::ZERO, Duration::from_secs(2)));
    }
    let (applied, ()) = tokio::join!(scene.apply(&asked), async {
        scene.pass(1).await;
        scene.remember(|state| state.policies = Some("sha256:another".to_owned())).await;
    });
    let report = applied.unwrap();
    let count = |outcome| outcomes(&report).iter().filter(|(_, other)| *other == outcome).count();
    let (done, not_tried) = (count(Outcome::Done), count(Outcome::NotTried));
    assert!(done > 0 && not_tried > 0 && done + not_tried == 200 && scene.living().len() == not_tried, "{done} done, {not_tried} not tried");
    assert_eq!(report.failure.as_ref().map(|failure| failure.code), Some(1));
}

/// Whoever scales the daemon to nothing wants everything stopped.
#[tokio::test(start_paused = true)]
async fn where_nobody_holds_the_lease_nothing_is_done() {
    let scene = Scene::due(&["one"]).await;
    let asked = scene.asked().await;
    scene.held_by("").await;
    let failure = scene.apply(&asked).await.err().unwrap();
    assert!(failure.code == 2 && failure.to_string().contains("no daemon holds the lease"), "{failure}");
    assert_eq!((scene.living().len(), scene.approvals().await.len()), (1, 0));
}

/// The pause comes while the approval is being written: the state is read once more, and nothing is done.
#[tokio::test(start_paused = true)]
async fn a_pause_in_between_is_seen() {
    let scene = Scene::due(&["one"]).await;
    let asked = scene.asked().await;
    scene.person.script(Call::WriteState, Meets::Slow(Duration::from_secs(2), Duration::ZERO));
    let applying = scene.apply(&asked);
    let pausing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        pause::set(&scene.cluster, "an outage", "bert", scene.now()).await.unwrap();
    };
    let (applied, ()) = tokio::join!(applying, pausing);
    assert_eq!(outcomes(&applied.unwrap()), [("staging/one".to_owned(), Outcome::NotTried)]);
    assert_eq!((scene.living().len(), scene.approvals().await[0].ended.is_some()), (1, true));
}

/// It comes after that, and before anything was sent.
#[tokio::test(start_paused = true)]
async fn what_was_approved_before_a_pause_is_not_tried_after_it() {
    let scene = Scene::due(&["one"]).await;
    let asked = scene.asked().await;
    scene.person.script(Call::WriteState, Meets::Slow(Duration::ZERO, Duration::from_secs(2)));
    let pausing = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        pause::set(&scene.cluster, "an outage", "bert", scene.now()).await.unwrap();
    };
    let (applied, ()) = tokio::join!(scene.apply(&asked), pausing);
    let report = applied.unwrap();
    assert_eq!(
        (outcomes(&report), report.rows[0].why.as_str()),
        (vec![("staging/one".to_owned(), Outcome::NotTried)], "every write was paused meanwhile")
    );
    assert_eq!((report.failure.map(|failure| failure.code), scene.living().len()), (Some(1), 1));
    assert_eq!(scene.approvals().await[0].ended.as_ref().unwrap().outcomes, BTreeMap::from([("notTried".to_owned(), 1)]));
}

#[tokio::test(start_paused = true)]
async fn who_edits_a_clone_meanwhile_keeps_it() {
    let scene = Scene::due(&["one"]).await;
    let asked = scene.asked().await;
    // It is judged by now, and the approval takes its time.
    scene.person.script(Call::WriteState, Meets::Slow(Duration::from_secs(2), Duration::ZERO));
    let keeping = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene.annotate("one", names::KEEP, "true");
    };
    let (applied, ()) = tokio::join!(scene.apply(&asked), keeping);
    assert_eq!(outcomes(&applied.unwrap()), [("staging/one".to_owned(), Outcome::Conflict)]);
    assert_eq!(scene.living(), ["one"]);
}
