//! What `plan`, `explain` and `policy diff` are asked about: policies from a folder, and a cluster from files or as it lives.

use super::{Failure, live, output};
use crate::{
    model::{Snapshot, approval::LONGEST_REASON, names},
    observe::files,
    policy::{self, Policies, Problems},
};
use anyhow::anyhow;
use jiff::Timestamp;
use std::path::PathBuf;

/// The flags that say what is looked at, and by which rules.
#[derive(Debug, clap::Args)]
pub(super) struct Inputs {
    /// The folder with the policy files, or one of them alone
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR")]
    policies: PathBuf,
    #[command(flatten)]
    world: World,
}

/// The flags that say which cluster is looked at.
#[derive(Debug, clap::Args)]
pub(super) struct World {
    /// Read the cluster from files in this folder, as `kubectl get … -o yaml|json` and `aws rds describe-…` wrote them, instead of asking it
    #[arg(long, env = "CLONEWARDEN_FROM", value_name = "DIR")]
    from: Option<PathBuf>,
    /// Decide as of this moment (RFC 3339, e.g. 2026-02-05T16:30:22Z); default: when the newest of the files was written
    #[arg(long, env = "CLONEWARDEN_NOW", value_name = "TIME", value_parser = moment, requires = "from")]
    now: Option<Timestamp>,
    /// The id of this cluster, as it stands in AWS tags; default: the uid of the namespace kube-system
    #[arg(long, env = "CLONEWARDEN_CLUSTER_ID", value_name = "ID", value_parser = cluster_id)]
    cluster_id: Option<String>,
    #[command(flatten)]
    daemon: live::Daemon,
}

/// What was read: everything that a plan is a function of.
pub(super) struct Given {
    pub(super) snapshot: Snapshot,
    pub(super) policies: Policies,
    pub(super) now: Timestamp,
}

impl Inputs {
    /// Reads policies first: what is wrong with them is found without asking a cluster.
    pub(super) fn read(&self) -> Result<Given, Failure> {
        let policies = load(&self.policies)?;
        let (snapshot, now) = self.world.look()?;
        Ok(Given { snapshot, policies, now })
    }
}

impl World {
    /// One look at the files, or at the cluster, and when that was.
    pub(super) fn look(&self) -> Result<(Snapshot, Timestamp), Failure> {
        let Some(from) = &self.from else { return self.daemon.look(self.cluster_id.as_deref()) };
        let read = files::read_dir(from, self.now, self.cluster_id.as_deref()).map_err(|error| match error {
            files::FilesError::Unparsable(_) => Failure::rendered(error.render(output::error_colours())),
            other => Failure::input(anyhow!(other).context(format!("cannot decide from the files in `{}`", from.display()))),
        })?;
        for note in &read.notes {
            output::note(note);
        }
        Ok((read.snapshot, read.now))
    }
}

/// Why somebody does something, in words. They are kept in the cluster, which has its bounds.
pub(super) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.len() > LONGEST_REASON {
        return Err(format!("write something, in {LONGEST_REASON} bytes at most"));
    }
    Ok(text.to_owned())
}

/// Loads the policies, or says everything that is wrong with them.
pub(super) fn load(folder: &std::path::Path) -> Result<Policies, Failure> {
    policy::load::load_dir(folder).map_err(|problems| refused(&problems))
}

/// Everything that is wrong with the policies, for people.
pub(super) fn refused(problems: &Problems) -> Failure {
    Failure::rendered(problems.render(output::error_colours()))
}

/// A moment, with an offset from UTC: a local time would mean another moment on another machine.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let wrong = "is not an RFC 3339 date with an offset; write it as 2026-02-05T16:30:22Z";
    if text.contains('[') {
        return Err(wrong.to_owned());
    }
    text.parse().map_err(|_| wrong.to_owned())
}

/// The form of a cluster id. One that is a placeholder is let through: the plan says what is wrong with it.
pub(super) fn cluster_id(text: &str) -> Result<String, String> {
    if names::is_cluster_id(text) || names::is_placeholder(text) {
        return Ok(text.to_owned());
    }
    Err("is not a cluster id: letters, digits, `_` and `-`, beginning with a letter or a digit".to_owned())
}
