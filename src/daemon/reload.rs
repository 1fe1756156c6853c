//! Follows the policy folder. A set that loads takes its place whole; one that does not leaves the last good set in force, which the
//! holder of the lease keeps in the cluster, so that a restart finds it too.
//!
//! The folder is read every few seconds and compared by content: a mounted ConfigMap changes by swapping a link, which watches
//! on files miss. It changes as a whole; a plain folder is written file by file, so what stands there counts once it was read twice.

use super::lease::Fence;
use crate::{
    act::{
        journal::Journal,
        policies::{self, KeepError},
        state::{self, Keeper},
    },
    policy::{Folder, Policies, Problem, Problems, folder},
    ports::{Clock, Cluster},
};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

/// How often the folder is read.
const EVERY: Duration = Duration::from_secs(2);

/// How long a plain folder must stand still before a start takes what is in it.
const BETWEEN: Duration = Duration::from_millis(500);
/// How often a start looks at one that does not.
const LOOKS: usize = 20;

/// How many places of problems the journal names.
const PLACES: usize = 20;

/// A set of policies with the files that it was read from.
#[derive(Debug, Clone)]
pub struct Read {
    /// The files.
    pub folder: Folder,
    /// What they mean.
    pub policies: Policies,
}

/// Reads the folder.
///
/// # Errors
/// Everything that keeps it from being used.
pub fn read(folder: &Path) -> Result<Read, Problems> {
    let shown = folder.display().to_string();
    let read = settled(folder).and_then(|folder| Ok(Read { policies: folder.load()?, folder }));
    read.map_err(|problems| problems.in_folder(shown))
}

/// The files of a folder in which nobody is writing, as far as two looks at it can tell.
fn settled(path: &Path) -> Result<Folder, Problems> {
    let mut read = Folder::read(path);
    for _ in 0..LOOKS {
        if folder::changes_at_once(path) {
            break;
        }
        std::thread::sleep(BETWEEN);
        let before = std::mem::replace(&mut read, Folder::read(path));
        if before == read {
            break;
        }
    }
    read
}

/// What a daemon starts with.
#[derive(Debug)]
pub struct Start {
    /// What is in force.
    pub read: Read,
    /// Why that is not what stands in the folder.
    pub problems: Option<Problems>,
}

impl Start {
    /// What was read, or the last good set where that cannot be used.
    ///
    /// # Errors
    /// Everything that is wrong with the folder, where no good set is kept either.
    pub async fn with(read: Result<Read, Problems>, cluster: &dyn Cluster) -> Result<Self, Problems> {
        let problems = match read {
            Ok(read) => return Ok(Self { read, problems: None }),
            Err(problems) => problems,
        };
        let Some(read) = last_good(cluster).await else { return Err(problems) };
        error!(revision = %read.policies.revision, "The policies cannot be loaded; the last good set is in force.\n{problems}");
        Ok(Self { read, problems: Some(problems) })
    }
}

/// The set that was acted by last, if it is kept and loads. An older one is none: it may end what the last one let live.
async fn last_good(cluster: &dyn Cluster) -> Option<Read> {
    let refused = |why: String| error!("The last good policies are not known: {why}.");
    let state = state::load(cluster).await.inspect_err(|error| refused(error.to_string())).ok()?.state;
    let kept = policies::kept(cluster).await.inspect_err(|error| refused(format!("ConfigMap `{}`: {error}", policies::NAME))).ok()?;
    let folder = kept?;
    let Some(acted_by) = state.policies else {
        refused("which were acted by last is not remembered; a pause has that forgotten".to_owned());
        return None;
    };
    let loaded = folder.load().inspect_err(|problems| refused(format!("what ConfigMap `{}` holds does not load\n{problems}", policies::NAME)));
    let policies = loaded.ok()?;
    if *policies.revision.hash != acted_by {
        refused(format!("ConfigMap `{}` holds {}, and {acted_by} was acted by", policies::NAME, policies.revision));
        return None;
    }
    Some(Read { policies, folder })
}

/// What it takes to follow a folder.
pub struct Following {
    /// The folder.
    pub path: PathBuf,
    /// Our clock.
    pub clock: Arc<dyn Clock>,
    /// Where the last good set is kept.
    pub cluster: Arc<dyn Cluster>,
    /// Whether this process is the one that writes.
    pub fence: Fence,
    /// Whether anything is written at all.
    pub keeper: Arc<Keeper>,
    /// The policies in force.
    pub policies: watch::Sender<Arc<Policies>>,
    /// Whether the folder as it stands cannot be loaded.
    pub broken: watch::Sender<bool>,
    /// Where it is written down.
    pub journal: Arc<Journal>,
    /// Wakes the loop.
    pub wake: Arc<Notify>,
}

/// What is known of the folder from one look to the next.
struct Known {
    /// The files in force.
    in_force: Folder,
    /// What was read last.
    last: Option<Folder>,
    /// Why the folder cannot be loaded; empty: it can.
    problem: String,
    /// Whether the files in force are kept, as far as this process knows.
    kept: bool,
    /// Why they are not.
    trouble: Option<KeepError>,
    /// Why the folder could not be loaded at the start, until it is written down: nobody is told before this process holds the lease.
    untold: Option<Problems>,
}

impl Known {
    fn at_start(in_force: Folder, untold: Option<Problems>) -> Self {
        let problem = untold.as_ref().map(Problems::to_string).unwrap_or_default();
        Self { in_force, last: None, problem, kept: false, trouble: None, untold }
    }
}

impl Following {
    /// Follows the folder for ever, beginning with the files in force; `problem`: they are not what stands in the folder, which cannot
    /// be loaded.
    pub async fn run(self, in_force: Folder, problem: Option<Problems>) {
        let mut known = Known::at_start(in_force, problem);
        loop {
            self.keep(&mut known).await;
            self.clock.sleep(EVERY).await;
            self.say_how_it_started(&mut known);
            self.look(&mut known).await;
        }
    }

    async fn look(&self, known: &mut Known) {
        let path = self.path.clone();
        let looked = tokio::task::spawn_blocking(move || (folder::changes_at_once(&path), Folder::read(&path)));
        let Ok((at_once, read)) = looked.await else { return };
        let problems = match read {
            Ok(folder) if folder == known.in_force => {
                known.last = None;
                return self.mended(known);
            }
            // Somebody may be writing there.
            Ok(folder) if !at_once && known.last.as_ref() != Some(&folder) => return known.last = Some(folder),
            Ok(folder) => {
                known.last = Some(folder.clone());
                let loading = folder.clone();
                let Ok(loaded) = tokio::task::spawn_blocking(move || loading.load()).await else { return };
                match loaded {
                    Ok(policies) => return self.take(known, folder, policies),
                    Err(problems) => problems,
                }
            }
            Err(problems) => {
                known.last = None;
                problems
            }
        };
        self.say_broken(known, &problems.in_folder(self.path.display().to_string()));
    }

    fn take(&self, known: &mut Known, folder: Folder, policies: Policies) {
        self.mended(known);
        let before = self.policies.borrow().revision.clone();
        (known.in_force, known.kept, known.trouble) = (folder, false, None);
        info!(revision = %policies.revision, "The policies have changed and are in force.");
        let facts = json!({"from": before.hash, "fromCommit": before.commit, "to": policies.revision.hash, "toCommit": policies.revision.commit});
        self.journal.noted("policiesChanged", self.clock.now(), facts);
        self.policies.send_replace(Arc::new(policies));
        self.wake.notify_one();
    }

    fn mended(&self, known: &mut Known) {
        known.untold = None;
        if !std::mem::take(&mut known.problem).is_empty() {
            info!("The policy folder can be loaded again.");
            self.journal.noted("policiesMended", self.clock.now(), json!({}));
            self.broken.send_replace(false);
        }
    }

    fn say_broken(&self, known: &mut Known, problems: &Problems) {
        let problem = problems.to_string();
        if known.problem != problem {
            error!("The policies cannot be loaded; the last good set stays in force.\n{problem}");
            self.note_broken(problems);
            (known.problem, known.untold) = (problem, None);
            self.broken.send_replace(true);
            self.wake.notify_one();
        }
    }

    /// That the process started with a folder that cannot be loaded is written down by the one that acts, once it does: the log has it
    /// since the start, and of what a standby writes down nobody is told.
    fn say_how_it_started(&self, known: &mut Known) {
        if self.fence.holds()
            && let Some(problems) = known.untold.take()
        {
            self.note_broken(&problems);
        }
    }

    fn note_broken(&self, problems: &Problems) {
        let in_force = self.policies.borrow().revision.hash.clone();
        // Places and codes alone: whatever has strayed into the folder may be anything, a Secret too.
        let place = |problem: &Problem| format!("{}:{}:{} {}", problem.place.file, problem.place.line, problem.place.column, problem.code.as_str());
        let places: Vec<String> = problems.iter().take(PLACES).map(place).collect();
        self.journal.noted("policiesBroken", self.clock.now(), json!({"errors": problems.errors(), "places": places, "inForce": in_force}));
    }

    /// Keeps what is in force, if this process is the one that acts by it.
    async fn keep(&self, known: &mut Known) {
        if known.kept || !self.fence.holds() || !self.keeper.allows_writes() {
            return;
        }
        // Not before it is acted by: until then the one before it is the last that was, and an edit is weighed against that.
        let acted_by = self.keeper.state().and_then(|state| state.policies);
        if acted_by.as_deref() != Some(self.policies.borrow().revision.hash.as_ref()) {
            return;
        }
        match policies::keep(self.cluster.as_ref(), &known.in_force).await {
            Ok(()) => (known.kept, known.trouble) = (true, None),
            Err(error) => {
                if known.trouble.as_ref() != Some(&error) {
                    warn!(%error, "The policies in force are not kept: a restart with a folder that cannot be loaded would not start.");
                }
                // What does not fit will not fit the next time either.
                known.kept = !matches!(error, KeepError::Api(_));
                known.trouble = Some(error);
            }
        }
    }
}

#[cfg(test)]
mod tests;
