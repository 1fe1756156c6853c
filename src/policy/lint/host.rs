//! `DatabaseHost`: a server on which several clones live.

use super::{Lint, prices::MOST_AN_HOUR};
use crate::policy::{
    DatabaseHost, Endpoint, RdsHost,
    code::Code,
    format::{self, Block},
    forms,
    problem::{Place, Problem},
    scalar::At,
};

/// A host with the place of its name.
pub(in crate::policy) struct ReadHost {
    pub(in crate::policy) host: DatabaseHost,
    pub(in crate::policy) name: Place,
}

/// Reads a host; `None` if something is wrong that another document could not refer to anyway.
pub(in crate::policy) fn host(lint: &mut Lint<'_>, document: format::Document<format::HostSpec>) -> Option<ReadHost> {
    let (name, spec) = lint.head(document);
    let (spec, here) = spec?;
    let endpoint = lint.need("endpoint", spec.endpoint, &here).map(|endpoint| checked_endpoint(lint, endpoint));
    let port = lint.take("port", spec.port).map_or(3306, |port| lint.within("port", port, 1..=u32::from(u16::MAX)));
    let schemas = lint.need("schemas", spec.schemas, &here).map(|number| lint.within("schemas", number, 1..=u32::MAX));
    let credentials_dir = lint.take("credentialsDir", spec.credentials_dir);
    if let Some(empty) = credentials_dir.as_ref().filter(|dir| dir.value.trim().is_empty()) {
        let problem = lint.problem(Code::BadValue, empty.at, "`credentialsDir` is empty");
        lint.report(problem.help("name the folder in which the daemon finds the credentials, or take the line out"));
    }
    let rds = rds(lint, spec.rds);
    let cost_per_hour = lint.take("costPerHour", spec.cost_per_hour).map(|cost| {
        lint.plain(&cost);
        if cost.value.is_sign_negative() || cost.value > MOST_AN_HOUR {
            let message = format!("`costPerHour` must be between 0 and {MOST_AN_HOUR} USD, not {}", cost.value);
            lint.report(lint.problem(Code::BadValue, cost.at, message));
        }
        cost.value
    });
    let (name, place) = name?;
    let host = DatabaseHost {
        name,
        file: place.file.to_string(),
        line: place.line,
        endpoint: Endpoint::new(endpoint.unwrap_or_default(), u16::try_from(port).unwrap_or(3306)),
        schemas: schemas.unwrap_or(1),
        credentials_dir: credentials_dir.map(|dir| dir.value),
        rds,
        cost_per_hour,
    };
    Some(ReadHost { host, name: place })
}

fn checked_endpoint(lint: &mut Lint<'_>, endpoint: At<String>) -> String {
    if !forms::is_host(&endpoint.value) {
        let message = match endpoint.value.as_str() {
            "" => "`endpoint` is empty".to_owned(),
            other => format!("`{other}` is not a host name"),
        };
        let problem = lint.problem(Code::BadValue, endpoint.at, message);
        lint.report(problem.help("write the bare name or address; a port goes into `port`"));
    }
    endpoint.value
}

fn rds(lint: &mut Lint<'_>, block: Block<format::Rds>) -> Option<RdsHost> {
    let block = block?;
    let here = lint.block(&block);
    let (said_instance, said_cluster) = (block.value.instance.is_said(), block.value.cluster.is_said());
    if said_instance == said_cluster {
        let message = if said_instance { "`instance` and `cluster` exclude each other" } else { "`rds` says neither `instance` nor `cluster`" };
        let problem = Problem::new(Code::Contradiction, here, message);
        lint.report(problem.help("write `rds: {instance: …}` or `rds: {cluster: …}`, with the identifier in AWS"));
    }
    let instance = lint.take("rds.instance", block.value.instance).map(|name| identifier(lint, name));
    let cluster = lint.take("rds.cluster", block.value.cluster).map(|name| identifier(lint, name));
    instance.map(RdsHost::Instance).or(cluster.map(RdsHost::Cluster))
}

fn identifier(lint: &mut Lint<'_>, name: At<String>) -> String {
    if !forms::is_rds_identifier(&name.value) {
        let message = format!("`{}` is not an identifier in RDS", name.value);
        let problem = lint.problem(Code::BadName, name.at, message);
        lint.report(problem.help("use lower-case letters, digits and single `-`, beginning with a letter and not ending with `-`"));
    }
    name.value
}
