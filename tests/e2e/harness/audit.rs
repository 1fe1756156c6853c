//! What a user really did, by the API server's audit log. It is at Metadata level: who, what, which object, when, and how it
//! ended; no bodies, so the preconditions of a delete do not show here (the scenes `rebirth` and `snooze` prove those).

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    pub(crate) user: String,
    pub(crate) verb: String,
    pub(crate) group: String,
    /// With the subresource, as in RBAC: `orphans/status`.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The status of the answer.
    pub(crate) code: u16,
    /// Whether RBAC allowed it.
    pub(crate) allowed: bool,
    /// Whether clonewarden sent it, not a test that uses its account.
    pub(crate) by_clonewarden: bool,
    /// When it came in.
    pub(crate) at: Timestamp,
}

impl Deed {
    /// Whether it was carried out.
    pub(crate) fn done(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Whether nobody can say if it was carried out: who asked was gone before the answer.
    pub(crate) fn cut_off(&self) -> bool {
        self.code == 504
    }

    /// Whether it changes anything that others see, besides the daemon's own lease.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch") && !self.resource.starts_with("selfsubject") && self.resource != "leases"
    }

    /// The object, for messages.
    pub(crate) fn object(&self) -> String {
        format!("{}/{} {}", self.namespace, self.name, self.resource)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<Object>,
    response_status: Option<Status>,
    request_received_timestamp: Timestamp,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

/// Every request so far of users whose name holds `user`, in the order in which they came in.
pub(crate) async fn deeds(log: &Path, user: &str) -> Result<Vec<Deed>> {
    let (log, user) = (log.to_owned(), user.to_owned());
    tokio::task::spawn_blocking(move || read(&log, &user)).await?
}

fn read(log: &Path, user: &str) -> Result<Vec<Deed>> {
    let bytes = std::fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    // A last line may still be in the writing.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let mut deeds = Vec::new();
    for line in whole.lines().filter(|line| line.contains(user)) {
        let line: Line = serde_json::from_str(line).with_context(|| format!("{}: not an audit event: {line}", log.display()))?;
        let code = line.response_status.map_or(0, |status| status.code);
        // A watch that was let in is told of twice; its beginning is when it was asked for.
        let repeated = line.verb == "watch" && code < 300 && line.stage != "ResponseStarted";
        // What daemons and installations try of the guard is no deed.
        let tried = line.request_uri.contains("dryRun=All") && line.request_uri.starts_with("/api/v1/");
        if repeated || tried || !line.user.username.contains(user) {
            continue;
        }
        let Object { api_group, resource, subresource, namespace, name } = line.object_ref.unwrap_or_default();
        deeds.push(Deed {
            user: line.user.username,
            verb: line.verb,
            group: api_group,
            resource: if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") },
            namespace,
            name,
            code,
            allowed: line.annotations.get("authorization.k8s.io/decision").is_some_and(|decision| decision == "allow"),
            by_clonewarden: line.user_agent.starts_with("clonewarden/"),
            at: line.request_received_timestamp,
        });
    }
    deeds.sort_by_key(|deed| deed.at);
    Ok(deeds)
}
