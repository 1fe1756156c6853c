//! Settings of `clonewarden run`: flags, then `CLONEWARDEN_…` variables, then one file, then defaults.
//!
//! Contract: everything is checked before anything starts, and every problem is reported at once.

mod billing;
mod cloudwatch;
mod journal;
mod notices;
mod traces;
mod webhook;

pub use billing::Bills;
pub use cloudwatch::Figures;
use cloudwatch::is_region;
pub use webhook::Webhook;

use crate::{
    act::journal::Outputs,
    model::{Span, names},
    traces::Collector,
};
use clap::Args;
use serde::Deserialize;
use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

/// The flags of `run`, as text: they are checked together with the file.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RunArgs {
    /// The folder with the policy files.
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR")]
    pub policies: Option<String>,
    /// The id of this cluster, as it stands in AWS tags; default: the UID of the kube-system namespace.
    #[arg(long, env = "CLONEWARDEN_CLUSTER_ID", value_name = "ID")]
    pub cluster_id: Option<String>,
    /// Where to serve the page, /healthz, /readyz and /metrics.
    #[arg(long, env = "CLONEWARDEN_LISTEN", value_name = "ADDR")]
    pub listen: Option<String>,
    /// Ask for a token even on the daemon's own machine before the page is shown: true or false.
    #[arg(long, env = "CLONEWARDEN_PAGE_TOKEN_ALWAYS", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub page_token_always: Option<String>,
    /// Where to serve the admission webhook, over TLS; default: not at all.
    #[arg(long, env = "CLONEWARDEN_WEBHOOK_LISTEN", value_name = "ADDR")]
    pub webhook_listen: Option<String>,
    /// Where other replicas reach this one's webhook; default: the Pod's address (POD_IP), else the one of --webhook-listen.
    #[arg(long, env = "CLONEWARDEN_WEBHOOK_ADVERTISE", value_name = "ADDR")]
    pub webhook_advertise: Option<String>,
    /// A mounted certificate (tls.crt, tls.key, ca.crt), as cert-manager makes it; default: clonewarden makes its own.
    #[arg(long, env = "CLONEWARDEN_WEBHOOK_CERTS", value_name = "DIR")]
    pub webhook_certs: Option<String>,
    /// Further names and addresses for the certificate that clonewarden makes, separated by commas.
    #[arg(long, env = "CLONEWARDEN_WEBHOOK_NAMES", value_name = "NAMES")]
    pub webhook_names: Option<String>,
    /// The webhook configurations, mutating and validating, whose caBundle clonewarden keeps; default: clonewarden.
    #[arg(long, env = "CLONEWARDEN_WEBHOOK_CONFIGURATION", value_name = "NAME")]
    pub webhook_configuration: Option<String>,
    /// Where to serve the HTTP API for services, over TLS; default: not at all.
    #[arg(long, env = "CLONEWARDEN_API_LISTEN", value_name = "ADDR")]
    pub api_listen: Option<String>,
    /// A mounted certificate for the API (tls.crt, tls.key); default: the webhook's.
    #[arg(long, env = "CLONEWARDEN_API_CERTS", value_name = "DIR")]
    pub api_certs: Option<String>,
    /// The namespace of Lease and state; default: the Pod's own, else the kubeconfig context's, else `default`.
    #[arg(long, env = "CLONEWARDEN_NAMESPACE", value_name = "NS")]
    pub namespace: Option<String>,
    /// The AWS account that the credentials must belong to; default: the one that AWS says first.
    #[arg(long, env = "CLONEWARDEN_AWS_ACCOUNT", value_name = "ID")]
    pub aws_account: Option<String>,
    /// The AWS regions whose databases are governed, separated by commas; default: no AWS at all.
    #[arg(long, env = "CLONEWARDEN_AWS_REGIONS", value_name = "REGIONS")]
    pub aws_regions: Option<String>,
    /// The most requests to Cost Explorer in a day (UTC), of $0.01 each; default: 0, which is never to ask for the bill.
    #[arg(long, env = "CLONEWARDEN_BILLING_CALLS_PER_DAY", value_name = "N")]
    pub billing_calls_per_day: Option<String>,
    /// How often the bill is asked for: a divisor of a day, in whole hours.
    #[arg(long, env = "CLONEWARDEN_BILLING_EVERY", value_name = "DURATION")]
    pub billing_every: Option<String>,
    /// The cost allocation tag that holds the namespace; default: Namespace.
    #[arg(long, env = "CLONEWARDEN_BILLING_TAG", value_name = "KEY")]
    pub billing_tag: Option<String>,
    /// The namespace of CloudWatch that figures are sent to; default: none are sent. They cost money: docs/cloudwatch.md.
    #[arg(long, env = "CLONEWARDEN_CLOUDWATCH_NAMESPACE", value_name = "NAME")]
    pub cloudwatch_namespace: Option<String>,
    /// The region of CloudWatch; default: the first of --aws-regions.
    #[arg(long, env = "CLONEWARDEN_CLOUDWATCH_REGION", value_name = "REGION")]
    pub cloudwatch_region: Option<String>,
    /// How often figures are sent: from 1s to 1m.
    #[arg(long, env = "CLONEWARDEN_CLOUDWATCH_EVERY", value_name = "DURATION")]
    pub cloudwatch_every: Option<String>,
    /// The most series that are sent in an hour, of about $0.30 a month each; default: 200.
    #[arg(long, env = "CLONEWARDEN_CLOUDWATCH_SERIES", value_name = "N")]
    pub cloudwatch_series: Option<String>,
    /// The certificates by which shared database hosts are trusted (PEM), such as the AWS CA bundle.
    #[arg(long, env = "CLONEWARDEN_DATABASE_CA", value_name = "FILE")]
    pub database_ca: Option<String>,
    /// How often everything is looked at even if nothing happens: a divisor of an hour, in whole minutes.
    #[arg(long, env = "CLONEWARDEN_SWEEP_EVERY", value_name = "DURATION")]
    pub sweep_every: Option<String>,
    /// The journal: a file to append to, or `-` for standard output.
    #[arg(long, env = "CLONEWARDEN_JOURNAL", value_name = "FILE")]
    pub journal: Option<String>,
    /// From which size on the journal's file is put aside (FILE.1, FILE.2, …), such as 64Mi.
    #[arg(long, env = "CLONEWARDEN_JOURNAL_SIZE", value_name = "SIZE")]
    pub journal_size: Option<String>,
    /// How many files of the journal are kept, the one that is written among them.
    #[arg(long, env = "CLONEWARDEN_JOURNAL_FILES", value_name = "N")]
    pub journal_files: Option<String>,
    /// Write the journal to standard output, too, where it goes to a file: true or false.
    #[arg(long, env = "CLONEWARDEN_JOURNAL_STDOUT", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub journal_stdout: Option<String>,
    /// The file that says who is told what, by Slack or a webhook; default: nobody is.
    #[arg(long, env = "CLONEWARDEN_NOTIFICATIONS", value_name = "FILE")]
    pub notifications: Option<String>,
    /// Where traces are sent: an OTLP collector that takes HTTP, such as http://collector:4318; default: nowhere.
    #[arg(long, env = "CLONEWARDEN_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<String>,
    /// Which share of the traces is sent, from 0 to 1; default: all.
    #[arg(long, env = "CLONEWARDEN_OTLP_SAMPLE", value_name = "RATIO")]
    pub otlp_sample: Option<String>,
    /// The form of the logs on standard error: text or json.
    #[arg(long, env = "CLONEWARDEN_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What to log, e.g. `info` or `clonewarden=debug,warn`.
    #[arg(long, env = "CLONEWARDEN_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// The most clones that get a metric of their own; 0: none.
    #[arg(long, env = "CLONEWARDEN_CLONE_METRICS", value_name = "N")]
    pub clone_metrics: Option<String>,
    /// A YAML file with the same settings, its keys in camelCase.
    #[arg(long, env = "CLONEWARDEN_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<String>,
}

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The folder with the policy files.
    pub policies: PathBuf,
    /// The id of this cluster; `None`: the UID of the kube-system namespace.
    pub cluster_id: Option<Arc<str>>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whether even the daemon's own machine has to show a token for the page.
    pub page_token_always: bool,
    /// The admission webhook, if it is to be served.
    pub webhook: Option<Webhook>,
    /// The HTTP API for services, if it is to be served.
    pub api: Option<Api>,
    /// The namespace of Lease and state, if it was given.
    pub namespace: Option<String>,
    /// The AWS account that the credentials must belong to, if it was given.
    pub aws_account: Option<String>,
    /// The AWS regions that are governed; none: there is no AWS.
    pub aws_regions: Vec<Arc<str>>,
    /// How often the bill is asked for, if it is.
    pub bills: Option<Bills>,
    /// Where figures are sent, if they are.
    pub figures: Option<Figures>,
    /// The certificates by which shared database hosts are trusted.
    pub database_ca: PathBuf,
    /// How often everything is looked at.
    pub sweep_every: Span,
    /// Where the journal is written.
    pub journal: Outputs,
    /// The file that says who is told what, if anybody is.
    pub notifications: Option<PathBuf>,
    /// Where traces are sent, if they are.
    pub traces: Option<Collector>,
    /// Whether logs are JSON.
    pub json_logs: bool,
    /// The filter of the logs.
    pub log: String,
    /// The most clones that get a metric of their own.
    pub clone_metrics: usize,
}

/// Where and how the HTTP API for services is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    /// Where to listen.
    pub listen: SocketAddr,
    /// A folder with a mounted certificate; `None`: the webhook's.
    pub certs: Option<PathBuf>,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled(pub Vec<String>);

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the settings cannot be used:", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Unsettled {}

/// Where the AWS CA bundle is in our image, and where others put theirs.
const DATABASE_CA: &str = "/etc/clonewarden/database-ca.pem";
/// The defaults' own noise is turned down: the Kubernetes client logs every refused request as an error, the AWS SDK every renewal
/// of its credentials.
const LOG: &str = "info,kube_client=off,tokio_cron_scheduler=warn,aws_config=warn,aws_smithy_runtime=warn";

impl RunArgs {
    /// Merges flags and environment with the file and checks the result. Reads the file and looks whether folders exist;
    /// changes nothing.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn settle(self) -> Result<Settings, Unsettled> {
        let mut problems = Vec::new();
        let file = self.config.as_deref().map(read_file).transpose().unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let file = file.unwrap_or_default();
        let mut check = Check { problems };

        let policies = check.required("--policies", self.policies.or(file.policies), "the folder with the policy files");
        let policies = check.folder("--policies", policies);
        let cluster_id = self.cluster_id.or(file.cluster_id).and_then(|id| {
            let valid = names::is_cluster_id(&id);
            check.that(valid, || format!("--cluster-id: `{id}` is no cluster id: letters, digits, `-` and `_`, and no placeholder"));
            valid.then(|| Arc::from(id))
        });
        let listen = check.parse("--listen", self.listen.or(file.listen), "0.0.0.0:8080", "an address and a port such as 0.0.0.0:8080");
        let page_token_always = self.page_token_always.or(file.page_token_always);
        let page_token_always = check.parse::<bool>("--page-token-always", page_token_always, "false", "true or false").unwrap_or_default();
        let sweep_every = check.parse::<Span>("--sweep-every", self.sweep_every.or(file.sweep_every), "5m", "a duration such as 5m");
        if let Some(every) = sweep_every {
            let seconds = every.as_secs();
            let divides = seconds >= 1 && (60_i64.checked_rem(seconds) == Some(0) || seconds % 60 == 0 && 3_600_i64.checked_rem(seconds) == Some(0));
            check.that(divides, || format!("--sweep-every: `{every}` divides neither a minute nor an hour; take 30s, 1m, 5m, 10m, 15m, 30m or 1h"));
        }
        let format = self.log_format.or(file.log_format).unwrap_or_else(|| "text".to_owned());
        check.that(matches!(format.as_str(), "text" | "json"), || format!("--log-format: `{format}` is neither text nor json"));
        let log = self.log.or(file.log).unwrap_or_else(|| LOG.to_owned());
        let filter = tracing_subscriber::EnvFilter::try_new(&log);
        check.that(filter.is_ok(), || format!("--log: `{log}` is no filter; write it as `info` or `clonewarden=debug,warn`"));
        let clone_metrics = check.parse("--clone-metrics", self.clone_metrics.or(file.clone_metrics), "1000", "a number");
        let webhook = webhook::Wanted {
            listen: self.webhook_listen.or(file.webhook_listen),
            advertise: self.webhook_advertise.or(file.webhook_advertise),
            certs: self.webhook_certs.or(file.webhook_certs),
            names: self.webhook_names.or(file.webhook_names),
            configuration: self.webhook_configuration.or(file.webhook_configuration),
        };
        let webhook = webhook.settle(&mut check);
        let api = check.api(self.api_listen.or(file.api_listen), self.api_certs.or(file.api_certs), webhook.is_some());
        let aws_account = self.aws_account.or(file.aws_account);
        if let Some(account) = &aws_account {
            let valid = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
            check.that(valid, || format!("--aws-account: `{account}` is no account: it has 12 digits, such as 123456789012"));
        }
        let aws_regions = check.regions(&self.aws_regions.or(file.aws_regions).unwrap_or_default());
        let bills = billing::Wanted {
            calls_per_day: self.billing_calls_per_day.or(file.billing_calls_per_day),
            every: self.billing_every.or(file.billing_every),
            tag: self.billing_tag.or(file.billing_tag),
        };
        let bills = bills.settle(&mut check, !aws_regions.is_empty());
        let figures = cloudwatch::Wanted {
            namespace: self.cloudwatch_namespace.or(file.cloudwatch_namespace),
            region: self.cloudwatch_region.or(file.cloudwatch_region),
            every: self.cloudwatch_every.or(file.cloudwatch_every),
            series: self.cloudwatch_series.or(file.cloudwatch_series),
        };
        let figures = figures.settle(&mut check, &aws_regions);
        let namespace = self.namespace.or(file.namespace);
        let database_ca = self.database_ca.or(file.database_ca).unwrap_or_else(|| DATABASE_CA.to_owned());
        let journal = journal::Wanted {
            place: self.journal.or(file.journal),
            size: self.journal_size.or(file.journal_size),
            files: self.journal_files.or(file.journal_files),
            stdout: self.journal_stdout.or(file.journal_stdout),
        };
        let journal = journal.settle(&mut check);
        let traces = traces::Wanted { endpoint: self.otlp_endpoint.or(file.otlp_endpoint), sample: self.otlp_sample.or(file.otlp_sample) };
        let traces = traces.settle(&mut check, |name| std::env::var(name).ok().filter(|text| !text.is_empty()));
        let notifications = notices::settle(self.notifications.or(file.notifications), &mut check);

        match (policies, listen, sweep_every, clone_metrics, check.problems) {
            (Some(policies), Some(listen), Some(sweep_every), Some(clone_metrics), problems) if problems.is_empty() => Ok(Settings {
                policies,
                cluster_id,
                listen,
                page_token_always,
                webhook,
                api,
                namespace,
                aws_account,
                aws_regions,
                bills,
                figures,
                database_ca: PathBuf::from(database_ca),
                sweep_every,
                journal,
                notifications,
                traces,
                json_logs: format == "json",
                log,
                clone_metrics,
            }),
            (.., problems) => Err(Unsettled(problems)),
        }
    }
}

struct Check {
    problems: Vec<String>,
}

impl Check {
    fn that(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.problems.push(problem());
        }
    }

    fn required(&mut self, flag: &str, value: Option<String>, what: &str) -> Option<String> {
        self.that(value.is_some(), || format!("{flag} is missing: {what}"));
        value
    }

    fn folder(&mut self, flag: &str, folder: Option<String>) -> Option<PathBuf> {
        let folder = folder.map(PathBuf::from);
        if let Some(missing) = folder.as_ref().filter(|folder| !folder.is_dir()) {
            self.problems.push(format!("{flag}: `{}` is not a folder", missing.display()));
        }
        folder
    }

    fn api(&mut self, listen: Option<String>, certs: Option<String>, webhook: bool) -> Option<Api> {
        let certs = self.folder("--api-certs", certs);
        let Some(listen) = listen else {
            self.that(certs.is_none(), || "--api-certs: without --api-listen there is no API to be set up".to_owned());
            return None;
        };
        let listen = self.parse("--api-listen", Some(listen), "", "an address and a port such as 0.0.0.0:8443")?;
        self.that(certs.is_some() || webhook, || {
            "--api-listen: it needs a certificate; mount one and say --api-certs, or serve the webhook (--webhook-listen), whose own will do"
                .to_owned()
        });
        Some(Api { listen, certs })
    }

    fn regions(&mut self, text: &str) -> Vec<Arc<str>> {
        let mut regions: Vec<Arc<str>> = Vec::new();
        for region in text.split(',').map(str::trim).filter(|region| !region.is_empty()) {
            self.that(is_region(region), || format!("--aws-regions: `{region}` is no region; write it as us-east-1"));
            self.that(!regions.iter().any(|known| **known == *region), || format!("--aws-regions: `{region}` is there twice"));
            regions.push(Arc::from(region));
        }
        regions
    }

    fn parse<T: std::str::FromStr>(&mut self, flag: &str, value: Option<String>, default: &str, what: &str) -> Option<T> {
        let text = value.unwrap_or_else(|| default.to_owned());
        let parsed = text.parse().ok();
        self.that(parsed.is_some(), || format!("{flag}: `{text}` is not {what}"));
        parsed
    }
}

fn read_file(path: &str) -> Result<RunArgs, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("--config: `{path}` cannot be read: {error}"))?;
    if text.trim().is_empty() {
        return Ok(RunArgs::default());
    }
    serde_saphyr::from_str(&text).map_err(|error| format!("--config: `{path}` does not parse: {error}"))
}

#[cfg(test)]
mod tests;
