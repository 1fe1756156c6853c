//! `DatabaseHost`: a server on which several clones live, as the rest of the program knows it.

use crate::model::clone::host_address;
use rust_decimal::Decimal;
use std::sync::Arc;

/// A server on which several clones live, each in its own schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseHost {
    /// `metadata.name`.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// The line of its `metadata.name`.
    pub line: u64,
    /// Where it listens: `spec.endpoint` and `spec.port`.
    pub endpoint: Endpoint,
    /// How many schemas it has room for.
    pub schemas: u32,
    /// Where the daemon finds user and password.
    pub credentials_dir: Option<String>,
    /// What it is in AWS.
    pub rds: Option<RdsHost>,
    /// What it costs, USD an hour, where AWS is not to be asked.
    pub cost_per_hour: Option<Decimal>,
}

/// What a shared host is in AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RdsHost {
    /// An RDS instance.
    Instance(String),
    /// An Aurora cluster.
    Cluster(String),
}

impl DatabaseHost {
    /// `endpoint:port`, as the clones that live on it name it.
    #[must_use]
    pub fn address(&self) -> &Arc<str> {
        self.endpoint.address()
    }
}

/// A host name with its port, and its address as clones name it: that is asked for with each of them, so it is put together once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    port: u16,
    address: Arc<str>,
}

impl Endpoint {
    /// Such an endpoint.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Self { address: host_address(&host, Some(port)).into(), host, port }
    }

    /// The host name, as the policy says it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, as the clones that live there name it.
    #[must_use]
    pub fn address(&self) -> &Arc<str> {
        &self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_clones_say() {
        for (host, port, address) in
            [("DB.example.com.", 3306, "db.example.com:3306"), ("10.0.0.7", 3307, "10.0.0.7:3307"), ("::1", 3306, "[::1]:3306")]
        {
            let endpoint = Endpoint::new(host, port);
            assert_eq!((endpoint.host(), endpoint.port(), endpoint.address().as_ref()), (host, port, address));
            assert_eq!(**endpoint.address(), host_address(&endpoint.address, None));
        }
    }
}
