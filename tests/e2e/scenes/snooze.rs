//! Somebody extends a clone after the plan was made and before it is carried out: the extension wins. The same for a keep.

use crate::harness::{
    clones::{Clones, Seen},
    gate::GatedLoop,
    install::Install,
    stage::Stage,
    wait::until,
};
use anyhow::{Result, ensure};
use clonewarden::{model::names, ports::ApiError};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::{sync::Arc, time::Duration};

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "snooze").await?;
    install.govern("snooze", &["snooze"], "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 2h, warnings: [], grace: 5s}")?;
    let clones = Clones::in_new_namespace(&stage.admin, "snooze").await?;
    let mut daemon = GatedLoop::start(&install).await?;

    let later = Timestamp::from_second(Timestamp::now().as_second())?.checked_add(SignedDuration::from_mins(30))?;
    let extended = overtaken(&mut daemon, &clones, "extended", names::EXTEND_UNTIL, &later.to_string()).await?;
    let kept = overtaken(&mut daemon, &clones, "kept", names::KEEP, "true").await?;

    until("the extended end is announced, and none on the kept one", Duration::from_secs(30), async || {
        let (extended, kept) = (clones.one("extended").await?, clones.one("kept").await?);
        ensure!(extended.expires_at() == Some(later), "announced: {:?}, extended until {later}", extended.expires_at());
        ensure!(kept.announcement().is_empty(), "on the kept one: {:?}", kept.announcement());
        Ok(())
    })
    .await?;
    daemon.none_waits()?;
    daemon.end().await?;
    install.until_deleted_exactly(&[]).await?;
    for before in [extended, kept] {
        let now = clones.one(before.name()).await?;
        ensure!(now.uid() == before.uid() && !now.is_terminating(), "{} did not survive", before.name());
    }
    clones.clear().await?;
    Ok(String::new())
}

/// A clone whose delete stands at the gate while somebody annotates it; the API server refuses the delete.
async fn overtaken(daemon: &mut GatedLoop, clones: &Clones, name: &str, key: &str, value: &str) -> Result<Seen> {
    let clone = clones.create(name, Some(5), &json!({})).await?;
    let mut held = daemon.next().await?;
    // Until the watch has shown the change, the loop tries the one before again, and is refused again.
    while held.pin.uid != clone.uid() {
        let (other, answer) = (held.pin.name.clone(), held.let_go().await?);
        ensure!(matches!(answer, Err(ApiError::Conflict(_))), "the API server answered {answer:?} to the delete of {other}, which has been changed");
        held = daemon.next().await?;
    }
    let changed = clones.annotate(name, key, value).await?;
    let answer = held.let_go().await?;
    ensure!(matches!(answer, Err(ApiError::Conflict(_))), "the API server answered {answer:?} to the delete of a form that is not there any more");
    Ok(changed)
}
