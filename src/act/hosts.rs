//! Carries out what is decided about schemas on shared hosts, and proves there that nothing uses one. What comes of it is noted at once: the next look may be minutes away.
//!
//! A statement may take longer than a lease is renewed for. What keeps two holders from harm is not the fence, then, but the lock on
//! the name, the row that is read again under it, and that no UID ever lives again.

use super::{
    executor::Executor,
    journal::Ending,
    proof::{Roll, Unproved},
};
use crate::{
    model::{
        credentials::db_password,
        schema::{LedgerRow, Schema, SchemaOrder},
        usage::{HostUse, Memory, Unused, Usage},
    },
    observe::hosts,
    plan::Plan,
    policy,
    ports::HostError,
};

/// How many connections the user of a clone may have at once. WordPress takes one a request; Apache's own limit of workers is far above
/// what a clone with half a CPU serves at once.
const CONNECTIONS: u32 = 20;

impl Executor {
    /// Makes the schema and the user of a clone.
    pub(super) async fn make_schema(&self, schema: &Schema, row: &LedgerRow, plan: &Plan) -> Ending {
        let Some(host) = self.host(&schema.host) else { return Ending::Conflict("its host is not governed any more".to_owned()) };
        let key = match self.key(plan) {
            Ok(key) => key,
            Err(why) => return why,
        };
        let password = db_password(&key, &row.uid);
        let order = SchemaOrder { name: schema.name.clone(), row: row.clone(), password, connections: CONNECTIONS };
        let begun = self.tools.clock.now();
        let made = self.tools.hosts.make_schema(&host, &order).await;
        if made.is_ok() {
            self.tools.store.hosts.made(&host.name, &order, self.tools.clock.now());
        }
        self.host_ending(&host, made, begun)
    }

    /// Drops the schema of a clone that was seen to go, once it is proved anew that it does not live.
    pub(super) async fn end_schema(&self, schema: &Schema, roll: Option<&Roll>, plan: &Plan) -> Ending {
        let Some(roll) = roll.filter(|roll| !roll.is_old()) else {
            return Ending::Failed("the clones have to be listed anew: nothing that is judged by absence goes without".to_owned());
        };
        match roll.of_schema(schema) {
            Ok(()) => {}
            Err(Unproved::Otherwise(why) | Unproved::Restored(why)) => return Ending::Conflict(why),
            Err(Unproved::Unknown(why)) => return Ending::Failed(why),
            Err(Unproved::Gone) => return Ending::Gone,
        }
        if !self.stands(plan) {
            return Ending::Stopped;
        }
        self.drop_schema(schema).await
    }

    /// Drops what has been judged.
    pub(super) async fn drop_schema(&self, schema: &Schema) -> Ending {
        let Some(host) = self.host(&schema.host) else { return Ending::Conflict("its host is not governed any more".to_owned()) };
        let Some(row) = &schema.row else { return Ending::Conflict("it has no row".to_owned()) };
        let begun = self.tools.clock.now();
        let dropped = self.tools.hosts.drop_schema(&host, &schema.name, row).await;
        if matches!(dropped, Ok(()) | Err(HostError::NotFound)) {
            self.tools.store.hosts.dropped(&host.name, &schema.name, self.tools.clock.now());
        }
        self.host_ending(&host, dropped, begun)
    }

    /// Writes down on a host what it has counted.
    pub(super) async fn note_use(&self, host: &str, memories: &[(String, Memory)]) -> Ending {
        let Some(host) = self.host(host) else { return Ending::Conflict("it is not governed any more".to_owned()) };
        let begun = self.tools.clock.now();
        let noted = self.tools.hosts.note_use(&host, memories).await;
        if noted.is_ok() {
            self.tools.store.hosts.remember(&host.name, memories);
        }
        self.host_ending(&host, noted, begun)
    }

    /// Proves by a fresh look that nothing has used a clone's database since that was found. Where that cannot be proved, what was seen
    /// instead is what the next plan is made from.
    pub(super) async fn is_still_unused(&self, judged: &Unused, plan: &Plan) -> Result<(), Ending> {
        let Some(host) = self.host(&judged.host) else {
            return Err(Ending::Conflict("the host of its database is not governed any more".to_owned()));
        };
        let begun = self.tools.clock.now();
        let read = self.tools.hosts.usage(&host).await;
        let of_host = read.as_ref().err().filter(|error| error.is_of_host());
        of_host.into_iter().for_each(|error| self.tools.store.hosts.failed(&host.name, error, begun));
        let usage = hosts::usage_of(read, self.tools.clock.now());
        let proved = match &usage {
            Usage::Read(_, HostUse { uncounted: Some(why), .. }) => {
                Err(Ending::Conflict(format!("`{}` does not count every use any more: {why}", host.name)))
            }
            Usage::Read(_, said) if said.uses.get(&judged.schema).is_some_and(|known| known.is_still(judged)) => Ok(()),
            Usage::Read(..) => Err(Ending::Conflict(format!("something uses its database on `{}`", host.name))),
            Usage::Unread(why) => Err(Ending::Failed(format!("whether something uses its database on `{}` cannot be told: {why}", host.name))),
            Usage::NotAsked => Err(Ending::Stopped),
        };
        self.tools.store.hosts.saw_use(&host.name, usage);
        proved?;
        // That took its time.
        if self.stands(plan) { Ok(()) } else { Err(Ending::Stopped) }
    }

    fn host(&self, name: &str) -> Option<policy::DatabaseHost> {
        let policies = self.tools.policies.borrow();
        hosts::governed(&policies).find(|host| host.name == name).cloned()
    }

    fn host_ending(&self, host: &policy::DatabaseHost, done: Result<(), HostError>, begun: jiff::Timestamp) -> Ending {
        match done {
            Ok(()) => Ending::Done,
            Err(HostError::NotFound) => Ending::Gone,
            Err(HostError::Foreign(why)) => Ending::Conflict(why),
            Err(error) => {
                if error.is_of_host() {
                    self.tools.store.hosts.failed(&host.name, &error, begun);
                }
                Ending::Failed(format!("`{}`: {error}", host.name))
            }
        }
    }
}
