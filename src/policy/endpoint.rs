//! Where a shared host listens.

use crate::model::clone::host_address;
use std::sync::Arc;

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
