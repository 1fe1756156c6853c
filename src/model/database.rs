//! The database of a clone: which of the three it has, by its spec.

use super::{
    clone::{shared_host, wants_dedicated},
    shared::shared,
};
use rust_decimal::Decimal;
use serde_json::Value;
use std::sync::Arc;

/// The instance class of a dedicated database where neither clone nor policy says one; the RGD's own default.
/// Source: `deploy/kro/wordpress-clone.yaml`, after the original design's `db.t3.micro`.
pub const USUAL_CLASS: &str = "db.t3.micro";

/// What a clone keeps its data in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Database {
    /// A schema on the shared host of this address, as [`host_address`](super::clone::host_address) writes it; `None`: on the one
    /// that the RGD names.
    Shared(Option<Arc<str>>),
    /// An instance of its own, of this class.
    Dedicated(Arc<str>),
    /// An Aurora Serverless v2 cluster of its own, with its least and most capacity in ACU.
    Serverless(Decimal, Decimal),
}

impl Database {
    /// Reads it from a clone's JSON, as the RGD does.
    #[must_use]
    pub fn read(clone: &Value) -> Self {
        if !wants_dedicated(clone) {
            return Self::Shared(shared_host(clone).map(|host| shared(&host)));
        }
        match capacity(clone) {
            Some((least, most)) => Self::Serverless(least, most),
            None => Self::Dedicated(shared(clone.pointer("/spec/databaseSize").and_then(Value::as_str).unwrap_or(USUAL_CLASS))),
        }
    }

    /// Whether nobody else lives on it.
    #[must_use]
    pub fn is_dedicated(&self) -> bool {
        !matches!(self, Self::Shared(_))
    }

    /// The address of the shared host, where the clone names one.
    #[must_use]
    pub fn host(&self) -> Option<&Arc<str>> {
        match self {
            Self::Shared(host) => host.as_ref(),
            _ => None,
        }
    }
}

/// `spec.serverless` of a clone: its least and most capacity.
pub(crate) fn capacity(clone: &Value) -> Option<(Decimal, Decimal)> {
    let units = |field: &str| clone.pointer(field).and_then(Value::as_f64).and_then(|number| Decimal::try_from(number).ok());
    units("/spec/serverless/minACU").zip(units("/spec/serverless/maxACU"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_database_is_what_the_rgd_makes_of_the_spec() {
        let read = |spec: Value| Database::read(&json!({"spec": spec}));
        let serverless = json!({"minACU": 0.5, "maxACU": 4});
        assert_eq!(read(json!({"serverless": serverless, "databaseSize": "db.m5.large"})), Database::Shared(None), "it asks for none of its own");
        let host = read(json!({"sharedDatabase": {"host": "DB.example.com"}}));
        assert_eq!(host.host().map(AsRef::as_ref), Some("db.example.com:3306"));
        assert_eq!(read(json!({"useDedicatedDatabase": true})), Database::Dedicated(USUAL_CLASS.into()));
        assert_eq!(read(json!({"useDedicatedDatabase": true, "databaseSize": "db.t3.small"})), Database::Dedicated("db.t3.small".into()));
        let own = read(json!({"useDedicatedDatabase": true, "databaseSize": "db.t3.small", "serverless": serverless}));
        assert_eq!(own, Database::Serverless("0.5".parse().unwrap(), "4".parse().unwrap()));
        assert!(own.is_dedicated() && !host.is_dedicated());
    }
}
