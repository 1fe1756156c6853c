//! Follows the policy folder. A set that loads takes its place whole; one that does not leaves the last good set in force.
//!
//! The folder is read every few seconds and compared by content: a mounted ConfigMap changes by swapping a link, which watches
//! on files miss.

use crate::{
    policy::{Policies, load},
    ports::Clock,
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};
use tracing::{error, info};

/// How often the folder is read.
const EVERY: Duration = Duration::from_secs(5);

/// Follows `folder` for ever. `broken` is told whether the folder as it stands can be loaded.
pub async fn follow(folder: PathBuf, clock: Arc<dyn Clock>, policies: watch::Sender<Arc<Policies>>, broken: watch::Sender<bool>, wake: Arc<Notify>) {
    let mut last_problem = String::new();
    loop {
        clock.sleep(EVERY).await;
        let path = folder.clone();
        let Ok(loaded) = tokio::task::spawn_blocking(move || load::load_dir(&path)).await else { continue };
        match loaded {
            Ok(set) => {
                let changed = policies.borrow().revision != set.revision;
                broken.send_if_modified(std::mem::take);
                last_problem.clear();
                if changed {
                    info!(revision = %set.revision, "The policies have changed and are in force.");
                    policies.send_replace(Arc::new(set));
                    wake.notify_one();
                }
            }
            Err(problems) => {
                let problem = problems.to_string();
                if problem != last_problem {
                    error!("The policies cannot be loaded; the last good set stays in force.\n{problem}");
                    last_problem = problem;
                    broken.send_replace(true);
                    wake.notify_one();
                }
            }
        }
    }
}
