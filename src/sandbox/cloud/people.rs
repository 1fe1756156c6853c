//! What people do in AWS, past the cluster: rescue data, protect it, and leave things lying about.

use super::thing::{Order, Origin, Thing};
use crate::{
    model::evidence::CloudList,
    ports::{CloudError, Farewell},
    sandbox::{history::Actor, world::World},
};
use std::{collections::BTreeMap, sync::Arc};

/// A place as people name it: region, list, identifier.
pub type At<'a> = (&'a str, CloudList, &'a str);

impl World {
    /// Somebody takes a snapshot by hand. With `copy_tags` it looks like the database that it is of.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn take_snapshot(&mut self, of: At<'_>, name: &str, copy_tags: bool) -> Result<Arc<Thing>, CloudError> {
        let issue = self.issue(Actor::Person);
        let tags = self.aws.get(of.0, of.1, of.2).and_then(|thing| thing.seen.tags.clone()).filter(|_| copy_tags);
        self.aws.snapshot(&issue, of, name, Origin::Manual, Some(tags.unwrap_or_default()))
    }

    /// Somebody copies a snapshot, with everything that is written on it.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn copy_snapshot(&mut self, region: &str, snapshot: &str, name: &str) -> Result<Arc<Thing>, CloudError> {
        let issue = self.issue(Actor::Person);
        self.aws.copy(&issue, region, snapshot, name)
    }

    /// Somebody restores a snapshot under an identifier; under the very one of the original, if that is gone.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn rescue(&mut self, region: &str, snapshot: &str, id: &str) -> Result<Arc<Thing>, CloudError> {
        let issue = self.issue(Actor::Person);
        self.aws.restore(&issue, region, snapshot, id)
    }

    /// Somebody switches deletion protection.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn set_protection(&mut self, at: At<'_>, protected: bool) -> Result<(), CloudError> {
        let issue = self.issue(Actor::Person);
        self.aws.protect(&issue, at, protected)
    }

    /// Somebody makes a database that no clone asked for: another team, another cluster, an experiment.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn foreign_database(&mut self, list: CloudList, order: Order) -> Result<Arc<Thing>, CloudError> {
        let issue = self.issue(Actor::Person);
        self.aws.create(&issue, list, order, Origin::Elsewhere)
    }

    /// Somebody adds a reader to an Aurora cluster.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn add_reader(&mut self, region: &str, cluster: &str, id: &str, tags: BTreeMap<String, String>) -> Result<Arc<Thing>, CloudError> {
        let (engine, class) = (Some("aurora-mysql".to_owned()), Some("db.serverless".to_owned()));
        let order =
            Order { region: Arc::from(region), id: id.to_owned(), tags, cluster: Some(cluster.to_owned()), engine, class, ..Order::default() };
        self.foreign_database(CloudList::Instances, order)
    }

    /// Somebody deletes a database or a snapshot in AWS, behind everybody's back.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn delete_in_aws(&mut self, at: At<'_>, farewell: Farewell<'_>) -> Result<(), CloudError> {
        let issue = self.issue(Actor::Person);
        self.aws.delete(&issue, at, farewell)
    }

    /// AWS takes a snapshot by itself, as every night. It has the tags of its database, if those go to snapshots.
    ///
    /// # Errors
    /// As RDS answers.
    pub fn nightly_snapshot(&mut self, of: At<'_>, name: &str) -> Result<Arc<Thing>, CloudError> {
        let issue = self.issue(Actor::Platform);
        self.aws.snapshot(&issue, of, name, Origin::Automated, None)
    }
}
