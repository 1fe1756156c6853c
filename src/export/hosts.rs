//! What looks at shared database hosts say in numbers.
//!
//! Contract: six families with a series for each `DatabaseHost`, one of them with one for each state; none that grows with the clones.

use super::metrics::Series;
use crate::{
    model::{
        Snapshot,
        schema::{RowState, Schema},
        usage::Usage,
    },
    policy::Policies,
};
use rust_decimal::{Decimal, prelude::ToPrimitive};

/// Every state, so that a host has a series for each, be it zero.
const STATES: [&str; 5] = ["ready", "making", "dropping", "elsewhere", "unknown"];

/// Everything that is said of hosts.
#[derive(Default)]
pub(super) struct HostFigures<'a> {
    pub(super) schemas: Series<'a, 2>,
    pub(super) room: Series<'a, 1>,
    pub(super) size: Series<'a, 1>,
    pub(super) connections: Series<'a, 1>,
    pub(super) connections_allowed: Series<'a, 1>,
    pub(super) use_counted: Series<'a, 1>,
}

impl<'a> HostFigures<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, policies: &'a Policies) -> Self {
        let mut figures = Self::default();
        let ours = snapshot.cluster_id.as_deref().unwrap_or_default();
        for host in &policies.hosts {
            figures.room.insert([host.name.as_str()], f64::from(host.schemas));
        }
        for (host, facts) in &snapshot.hosts {
            let host = host.as_ref();
            for state in STATES {
                figures.schemas.insert([host, state], 0.0);
            }
            for schema in &facts.schemas {
                *figures.schemas.entry([host, state(schema, ours)]).or_default() += 1.0;
            }
            let bytes: Decimal = facts.schemas.iter().filter(|schema| schema.proven(ours).is_some()).map(|schema| Decimal::from(schema.bytes)).sum();
            figures.size.insert([host], bytes.to_f64().unwrap_or_default());
            figures.connections.insert([host], f64::from(facts.connections));
            figures.connections_allowed.insert([host], f64::from(facts.max_connections));
            match facts.usage {
                Usage::NotAsked => {}
                Usage::Unread(_) | Usage::Read(..) => drop(figures.use_counted.insert([host], f64::from(u8::from(facts.usage.counted().is_some())))),
            }
        }
        figures
    }
}

fn state(schema: &Schema, ours: &str) -> &'static str {
    match &schema.row {
        None => "unknown",
        Some(row) if row.cluster != ours => "elsewhere",
        Some(row) => row.state.map_or("unknown", RowState::word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::schema::{HostFacts, LedgerRow};
    use jiff::Timestamp;
    use std::sync::Arc;

    #[test]
    fn each_schema_counts_once_and_only_ours_have_a_size() {
        let host: Arc<str> = Arc::from("h");
        let schema = |name: &str, cluster: Option<&str>, uid: &str, state| {
            let row = cluster.map(|cluster| LedgerRow {
                cluster: cluster.to_owned(),
                uid: uid.to_owned(),
                namespace: "n".to_owned(),
                clone: "c".to_owned(),
                state,
                made: Timestamp::UNIX_EPOCH,
            });
            Arc::new(Schema { row, there: true, bytes: 100, ..Schema::absent(&host, name.to_owned()) })
        };
        let uid = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let name = crate::model::schema::schema_name(uid).unwrap();
        let schemas = vec![
            schema(&name, Some("ours"), uid, Some(RowState::Ready)),
            schema("wp_theirs", Some("theirs"), uid, Some(RowState::Ready)),
            schema("wp_nobodys", None, "", None),
        ];
        let facts = HostFacts { schemas, connections: 7, max_connections: 90, ..HostFacts::default() };
        let snapshot = Snapshot { hosts: [(host, Arc::new(facts))].into(), cluster_id: Some(Arc::from("ours")), ..Snapshot::default() };
        let policies = Policies { revision: "".into(), policies: Vec::new(), hosts: Vec::new(), prices: Arc::default() };
        let figures = HostFigures::of(&snapshot, &policies);
        let count = |state| figures.schemas.get(&["h", state]).copied();
        assert_eq!(STATES.map(count), [1.0, 0.0, 0.0, 1.0, 1.0].map(Some));
        assert_eq!(figures.use_counted.get(&["h"]), None, "nobody asked");
        assert_eq!((figures.size.get(&["h"]), figures.connections.get(&["h"])), (Some(&100.0), Some(&7.0)));
    }
}
