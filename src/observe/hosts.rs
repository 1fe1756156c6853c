//! What looks at shared database hosts have found: of each host the last whole answer, with how well it is known.
//!
//! A look that fails keeps what was known, marked incomplete: missing is not empty. One host that fails holds only itself.

use super::sweeps::valid_for;
use crate::{
    model::{
        Evidence, Snapshot, Source,
        schema::{HostFacts, HostRoom, LedgerRow, RowState, Schema, SchemaOrder},
        usage::{HostUse, Memory, Usage},
    },
    policy::{self, Policies},
    ports::HostError,
};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tracing::warn;

/// The last looks. Every method takes the lock for a moment.
#[derive(Default)]
pub struct Hosts(Mutex<BTreeMap<Arc<str>, Known>>);

struct Known {
    address: Arc<str>,
    evidence: Evidence,
    facts: Arc<HostFacts>,
    /// When the last look that came to an end began.
    success: Option<Timestamp>,
    /// What has been done there since the last look began; a look that began before it does not show it.
    since: BTreeMap<String, (Timestamp, Arc<Schema>)>,
}

/// The hosts that the daemon keeps schemas on: those for which it has credentials.
pub fn governed(policies: &Policies) -> impl Iterator<Item = &policy::DatabaseHost> {
    policies.hosts.iter().filter(|host| host.credentials_dir.is_some())
}

/// What comes of reading what a host has counted, which was done then.
#[must_use]
pub fn usage_of(read: Result<HostUse, HostError>, at: Timestamp) -> Usage {
    read.map_or_else(|error| Usage::Unread(error.to_string()), |said| Usage::read(said, at))
}

impl Hosts {
    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These hosts are governed: of one that has not been looked at nothing is known, which is not that there is nothing. What was
    /// known of others, or under another address, is forgotten.
    pub fn expect(&self, policies: &Policies, now: Timestamp) {
        let mut held = self.held();
        held.retain(|name, known| governed(policies).any(|host| host.name == name.as_ref() && *host.address() == known.address));
        for host in governed(policies) {
            held.entry(Arc::from(host.name.as_str())).or_insert_with(|| Known {
                address: Arc::clone(host.address()),
                evidence: Evidence::incomplete(now, "no look at it has ended yet"),
                facts: Arc::default(),
                success: None,
                since: BTreeMap::new(),
            });
        }
    }

    /// Takes in a look that began then; looks are made every `every`.
    pub fn take(&self, host: &policy::DatabaseHost, begun: Timestamp, found: Result<HostFacts, HostError>, every: Duration) {
        let mut held = self.held();
        let Some(known) = held.get_mut(host.name.as_str()).filter(|known| known.address == *host.address()) else { return };
        match found {
            Ok(mut facts) => {
                // What was done while it was under way may not be in it.
                known.since.retain(|_, (at, _)| *at >= begun);
                known.since.values().for_each(|(_, schema)| put(&mut facts, schema));
                known.evidence = Evidence { valid_for: valid_for(every), ..Evidence::complete(begun) };
                known.facts = Arc::new(facts);
                known.success = Some(begun);
            }
            Err(error) => {
                warn!(host = host.name, %error, "A look at a database host did not come to an end; what is there is held.");
                known.evidence = Evidence::incomplete(begun, error.to_string());
            }
        }
    }

    /// Something could not be done there, for a reason that keeps everything else from being done, too.
    pub fn failed(&self, host: &str, error: &HostError, now: Timestamp) {
        if let Some(known) = self.held().get_mut(host) {
            known.evidence = Evidence::incomplete(now, error.to_string());
        }
    }

    /// A schema was made.
    pub fn made(&self, host: &str, order: &SchemaOrder, now: Timestamp) {
        let row = LedgerRow { state: Some(RowState::Ready), ..order.row.clone() };
        self.done(host, &order.name, now, |schema| Schema { row: Some(row), there: true, user: true, ..schema });
    }

    /// A schema was dropped, or was found to be gone.
    pub fn dropped(&self, host: &str, name: &str, now: Timestamp) {
        self.done(host, name, now, |schema| Schema { row: None, there: false, user: false, bytes: 0, connections: 0, last_write: None, ..schema });
    }

    /// What a host has counted was written down there.
    pub fn remember(&self, host: &str, memories: &[(String, Memory)]) {
        if let Some(known) = self.held().get_mut(host) {
            Arc::make_mut(&mut known.facts).usage.remember(memories);
        }
    }

    /// What has been counted there was read once more, beside the looks.
    pub fn saw_use(&self, host: &str, usage: Usage) {
        if let Some(known) = self.held().get_mut(host) {
            Arc::make_mut(&mut known.facts).usage = usage;
        }
    }

    fn done(&self, host: &str, name: &str, now: Timestamp, change: impl FnOnce(Schema) -> Schema) {
        let mut held = self.held();
        let Some((key, _)) = held.get_key_value(host) else { return };
        let key = Arc::clone(key);
        let Some(known) = held.get_mut(host) else { return };
        let before = known.facts.schemas.iter().find(|schema| schema.name == name).map(|schema| schema.as_ref().clone());
        let schema = Arc::new(change(before.unwrap_or_else(|| Schema::absent(&key, name.to_owned()))));
        put(Arc::make_mut(&mut known.facts), &schema);
        known.since.insert(name.to_owned(), (now, schema));
    }

    /// Whether something is not known of one of them, so that it is worth another look soon.
    #[must_use]
    pub fn lacking(&self) -> bool {
        self.held().values().any(|known| !known.evidence.complete)
    }

    /// Whether something is not known of this one.
    #[must_use]
    pub fn lacks(&self, host: &str) -> bool {
        self.held().get(host).is_none_or(|known| !known.evidence.complete)
    }

    /// Adds to a snapshot what is known of the hosts.
    pub fn add_to(&self, snapshot: &mut Snapshot) {
        for (name, known) in &*self.held() {
            snapshot.evidence.insert(Source::Host(Arc::clone(name)), known.evidence.clone());
            snapshot.hosts.insert(Arc::clone(name), Arc::clone(&known.facts));
        }
    }

    /// What each has room for, by its address.
    #[must_use]
    pub fn rooms(&self) -> BTreeMap<String, HostRoom> {
        let room = |known: &Known| HostRoom {
            names: known.facts.schemas.iter().map(|schema| schema.name.clone()).collect(),
            lack: if known.evidence.complete { None } else { known.evidence.reason.clone() },
        };
        self.held().values().map(|known| (known.address.to_string(), room(known))).collect()
    }

    /// When the last whole look at each began.
    #[must_use]
    pub fn successes(&self) -> Vec<(Arc<str>, Timestamp)> {
        self.held().iter().filter_map(|(name, known)| Some((Arc::clone(name), known.success?))).collect()
    }
}

/// Puts a schema in its place; one of which there is nothing leaves none.
fn put(facts: &mut HostFacts, schema: &Arc<Schema>) {
    let place = facts.schemas.binary_search_by(|there| there.name.cmp(&schema.name));
    match (place, schema.is_nothing()) {
        (Ok(at), true) => drop(facts.schemas.remove(at)),
        (Ok(at), false) => facts.schemas.get_mut(at).into_iter().for_each(|there| Arc::clone(schema).clone_into(there)),
        (Err(at), false) => facts.schemas.insert(at, Arc::clone(schema)),
        (Err(_), true) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(300);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn policies(port: u16) -> Policies {
        let text = format!(
            "apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: h}}\n\
             spec: {{endpoint: db.example.com, port: {port}, schemas: 5, credentialsDir: /etc/h}}\n---\n\
             apiVersion: clonewarden.io/v1alpha1\nkind: DatabaseHost\nmetadata: {{name: nobodys}}\nspec: {{endpoint: x.example.com, schemas: 5}}\n---\n\
             apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {{name: p}}\nspec: {{namespaces: {{names: [n]}}}}\n"
        );
        policy::load_files(vec![("h.yaml".to_owned(), text.into_bytes())]).unwrap()
    }

    fn order(uid: &str) -> SchemaOrder {
        let row = LedgerRow {
            cluster: "c".to_owned(),
            uid: uid.to_owned(),
            namespace: "n".to_owned(),
            clone: "x".to_owned(),
            state: None,
            made: Timestamp::UNIX_EPOCH,
        };
        SchemaOrder {
            name: crate::model::schema::schema_name(uid).unwrap(),
            row,
            password: crate::model::credentials::SecretText::new("secret".to_owned()),
            connections: 1,
        }
    }

    fn look(hosts: &Hosts) -> (Option<String>, Vec<String>) {
        let mut snapshot = Snapshot::default();
        hosts.add_to(&mut snapshot);
        let lack = snapshot.evidence.lack(&Source::Host(Arc::from("h")), at("2026-02-05T14:03:00Z"));
        (lack, snapshot.hosts.values().flat_map(|facts| facts.schemas.iter().map(|schema| schema.name.clone())).collect())
    }

    #[test]
    fn a_failed_look_keeps_what_was_known_and_says_that_it_failed() {
        let (hosts, policies) = (Hosts::default(), policies(3306));
        hosts.expect(&policies, at("2026-02-05T14:00:00Z"));
        assert_eq!(look(&hosts).0.as_deref(), Some("no look at it has ended yet"));
        assert_eq!(hosts.rooms().keys().collect::<Vec<_>>(), ["db.example.com:3306"], "one without credentials is nobody's");
        let host = governed(&policies).next().unwrap();
        let name = "wp_0f8fad5bd9cb469fa16570867728";
        let schema = Arc::new(Schema { there: true, ..Schema::absent(&Arc::from("h"), name.to_owned()) });
        let facts = HostFacts { schemas: vec![schema], ..HostFacts::default() };
        hosts.take(host, at("2026-02-05T14:00:00Z"), Ok(facts), EVERY);
        assert_eq!(look(&hosts), (None, vec![name.to_owned()]));
        assert!(!hosts.lacking());
        hosts.take(host, at("2026-02-05T14:01:00Z"), Err(HostError::ReadOnly("words".to_owned())), EVERY);
        assert_eq!(look(&hosts), (Some("it is read-only: words".to_owned()), vec![name.to_owned()]));
        assert!(hosts.lacking() && hosts.lacks("h"));
        assert_eq!(hosts.successes(), [(Arc::from("h"), at("2026-02-05T14:00:00Z"))]);
        // Under another address it is another host.
        hosts.expect(&self::policies(3307), at("2026-02-05T14:02:00Z"));
        assert_eq!(look(&hosts), (Some("no look at it has ended yet".to_owned()), vec![]));
    }

    #[test]
    fn what_is_done_while_a_look_is_under_way_is_not_forgotten() {
        let (hosts, policies) = (Hosts::default(), policies(3306));
        hosts.expect(&policies, at("2026-02-05T14:00:00Z"));
        let host = governed(&policies).next().unwrap();
        let order = order("0f8fad5b-d9cb-469f-a165-70867728950e");
        hosts.made("h", &order, at("2026-02-05T14:00:30Z"));
        hosts.take(host, at("2026-02-05T14:00:00Z"), Ok(HostFacts::default()), EVERY);
        assert_eq!(look(&hosts).1.join(" "), order.name, "the look began before it was made");
        let seen = HostFacts {
            schemas: vec![Arc::new(Schema { there: true, ..Schema::absent(&Arc::from("h"), order.name.clone()) })],
            ..HostFacts::default()
        };
        hosts.dropped("h", &order.name, at("2026-02-05T14:02:00Z"));
        hosts.take(host, at("2026-02-05T14:01:00Z"), Ok(seen), EVERY);
        assert_eq!(look(&hosts).1, Vec::<String>::new(), "the look began before it was dropped");
        hosts.made("h", &order, at("2026-02-05T14:02:10Z"));
        hosts.take(host, at("2026-02-05T14:02:30Z"), Ok(HostFacts::default()), EVERY);
        assert_eq!(look(&hosts).1, Vec::<String>::new(), "a later look shows that it is not there");
    }
}
