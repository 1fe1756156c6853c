//! A clone is deleted and made again under its name after the plan was made and before it is carried out: the new one lives.

use crate::harness::{clones::Clones, gate::GatedLoop, install::Install, stage::Stage};
use anyhow::{Result, ensure};
use clonewarden::ports::ApiError;
use serde_json::json;
use std::sync::Arc;

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "rebirth").await?;
    install.govern("rebirth", &["rebirth"], "mode: enforce\nttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}")?;
    let clones = Clones::in_new_namespace(&stage.admin, "rebirth").await?;
    let mut daemon = GatedLoop::start(&install).await?;
    let old = clones.create("again", Some(5), &json!({})).await?;

    let held = daemon.next().await?;
    ensure!(held.pin.uid == old.uid(), "the plan wants to delete uid {}, not {}", held.pin.uid, old.uid());
    clones.delete("again").await?;
    let new = clones.create("again", Some(3600), &json!({})).await?;
    ensure!(new.uid() != old.uid(), "it is the same object");
    let answer = held.let_go().await?;
    ensure!(matches!(answer, Err(ApiError::Conflict(_))), "the API server answered {answer:?} to the delete of what is not there any more");

    // Judged anew: the new one is announced, and the loop goes on with others.
    let announced = clones.until_announced(&["again"]).await?;
    ensure!(announced.iter().all(|clone| clone.uid() == new.uid() && !clone.is_terminating()), "{announced:?}");
    let next = clones.create("next", Some(5), &json!({})).await?;
    let held = daemon.next().await?;
    ensure!(held.pin.uid == next.uid(), "the next delete is of {}, not of `next`", held.pin.name);
    held.let_go().await??;
    install.until_deleted_exactly(&["rebirth/next".to_owned()]).await?;
    ensure!(clones.one("again").await?.uid() == new.uid(), "the new one is gone");
    daemon.none_waits()?;
    daemon.end().await?;
    clones.clear().await?;
    Ok(String::new())
}
