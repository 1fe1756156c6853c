//! **The table of every metric**: name, type, labels, unit and help stand here once. Registration and `docs/metrics.md` are both
//! made from it, so that neither can lack or misname one.
//!
//! Contract: what a metric is called and what its labels mean never changes. No label holds text that comes from an object, a
//! person or an error; the only names in labels are those of namespaces, policies, AWS' services, receivers of notifications and, bounded, clones.

pub use super::unit::{Type, Unit};

use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, core::Collector};
use std::{collections::HashMap, fmt::Write};

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Definition {
    /// Its whole name.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// Its labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// Its unit.
    pub unit: Unit,
    /// One or two sentences; Prometheus and the docs show them.
    pub help: &'static str,
    /// The upper bounds of a histogram's buckets; empty otherwise.
    pub buckets: &'static [f64],
}

/// How many series a set of label values has, each with its value.
pub(super) type Series<'a, const N: usize> = HashMap<[&'a str; N], f64>;

/// A kind of metric that can be made from a line of the table.
trait Family: Sized {
    const TYPE: Type;
    fn make(line: &Definition) -> prometheus::Result<(Self, Box<dyn Collector>)>;
}

/// Gauges of one name, by labels.
pub(super) struct Gauges(GaugeVec);

/// Counters of one name, by labels.
pub(super) struct Counters(CounterVec);

/// Histograms of one name, by labels.
pub(super) struct Histograms(HistogramVec);

impl Family for Gauges {
    const TYPE: Type = Type::Gauge;
    fn make(line: &Definition) -> prometheus::Result<(Self, Box<dyn Collector>)> {
        let made = GaugeVec::new(Opts::new(line.name, line.help), line.labels)?;
        Ok((Self(made.clone()), Box::new(made)))
    }
}

impl Family for Counters {
    const TYPE: Type = Type::Counter;
    fn make(line: &Definition) -> prometheus::Result<(Self, Box<dyn Collector>)> {
        let made = CounterVec::new(Opts::new(line.name, line.help), line.labels)?;
        Ok((Self(made.clone()), Box::new(made)))
    }
}

impl Family for Histograms {
    const TYPE: Type = Type::Histogram;
    fn make(line: &Definition) -> prometheus::Result<(Self, Box<dyn Collector>)> {
        let made = HistogramVec::new(HistogramOpts::new(line.name, line.help).buckets(line.buckets.to_vec()), line.labels)?;
        Ok((Self(made.clone()), Box::new(made)))
    }
}

// The library's short forms panic when the number of label values is not that of the labels. A metric is never worth that.
impl Gauges {
    pub(super) fn set(&self, labels: &[&str], value: f64) {
        if let Ok(one) = self.0.get_metric_with_label_values(labels) {
            one.set(value);
        }
    }

    /// These series and no others: what is not among them disappears.
    pub(super) fn replace<const N: usize>(&self, series: &Series<'_, N>) {
        self.clear();
        for (labels, value) in series {
            self.set(labels, *value);
        }
    }

    pub(super) fn clear(&self) {
        self.0.reset();
    }
}

impl Counters {
    pub(super) fn add(&self, labels: &[&str], by: f64) {
        if let Ok(one) = self.0.get_metric_with_label_values(labels) {
            one.inc_by(by);
        }
    }

    /// Brings a counter up to a total that is counted elsewhere.
    pub(super) fn raise(&self, labels: &[&str], total: f64) {
        if let Ok(one) = self.0.get_metric_with_label_values(labels) {
            one.inc_by((total - one.get()).max(0.0));
        }
    }
}

impl Histograms {
    pub(super) fn observe(&self, labels: &[&str], value: f64) {
        if let Ok(one) = self.0.get_metric_with_label_values(labels) {
            one.observe(value);
        }
    }
}

macro_rules! metrics {
    ($($field:ident: $family:ident $unit:ident $name:literal [$($label:literal),*] $(buckets $buckets:expr,)? $help:literal;)*) => {
        /// Every metric, in the order of the docs.
        pub const TABLE: &[Definition] = &[$(metrics!(@line $family $unit $name [$($label),*] $(buckets $buckets,)? $help)),*];

        /// Every metric, to be set.
        pub(super) struct Families {
            $(pub(super) $field: $family,)*
        }

        impl Families {
            /// Makes and registers every metric of the table.
            pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
                Ok(Self {
                    $($field: {
                        let line = metrics!(@line $family $unit $name [$($label),*] $(buckets $buckets,)? $help);
                        let (family, collector) = $family::make(&line)?;
                        registry.register(collector)?;
                        family
                    },)*
                })
            }
        }
    };
    (@line $family:ident $unit:ident $name:literal [$($label:literal),*] $(buckets $buckets:expr,)? $help:literal) => {
        Definition {
            name: $name,
            kind: <$family as Family>::TYPE,
            labels: &[$($label),*],
            unit: Unit::$unit,
            help: $help,
            buckets: metrics!(@buckets $($buckets)?),
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:expr) => { $buckets };
}

/// From what nobody notices to what somebody is paged for.
const LATENESS: &[f64] = &[0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0];
/// A plan over a hundred clones takes well under a millisecond, over a hundred thousand a large part of a second.
const PLANNING: &[f64] = &[0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Judging takes well under a millisecond, writing the ledger a few; waiting for a new holder of the lease up to ten seconds.
const REVIEWING: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// From an answer without a question to the API server to the longest wait.
const SERVING: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

metrics! {
    leader: Gauges Flag "clonewarden_leader" []
        "Whether this process holds the lease and so acts.";
    paused: Gauges Flag "clonewarden_paused" []
        "Whether every write is stopped by `clonewarden pause`.";
    loop_success: Gauges Timestamp "clonewarden_loop_last_success_timestamp_seconds" ["loop"]
        "When each loop last did its work: `plan`, `act` (only the holder of the lease), `lease`, `state`, `approvals` (what people had carried out), `sweep/<region>` (a complete sweep over AWS, only by the holder), `look/<host>` (a whole look at a shared host), `mirror/<kind>` (a kind of objects was heard of). `plan`, `lease`, `state` and `sweep/<region>` say since when it is waited for, until it has. An alert on its age is the dead man's switch.";
    plan_duration: Histograms Seconds "clonewarden_plan_duration_seconds" [] buckets PLANNING,
        "How long making a plan took, without carrying it out.";
    plan_wakeup: Gauges Timestamp "clonewarden_plan_next_wakeup_timestamp_seconds" []
        "When the present plan wants to look again if nothing happens before. Absent: it has no such moment.";

    decisions: Gauges Count "clonewarden_decisions" ["action", "code", "policy", "blocked_by"]
        "Decisions of the present plan. `policy` is empty where none governs, `blocked_by` where the daemon carries it out.";
    holds: Gauges Count "clonewarden_holds" ["code", "kind", "policy"]
        "Decisions of the present plan to hold, by why and by what is held.";
    actions: Counters Count "clonewarden_actions_total" ["action", "outcome"]
        "Decisions that were carried out or tried: `done`, `begun` (a step that has to come first), `gone` (already), `conflict` (judged anew), `failed` (tried again), `stopped` (lease lost or paused).";
    lateness: Histograms Seconds "clonewarden_expiry_lateness_seconds" [] buckets LATENESS,
        "How long after a clone's end, announced and computed, the API server had accepted its deletion by the daemon.";

    clones: Gauges Count "clonewarden_clones" ["namespace", "policy", "state"]
        "Governed clones, each in one state, the first that applies: `terminating`, `held`, `kept`, `expiring` (its end has passed or is nearer than the policy's longest warning), `broken` (lives and does not work), `living`.";
    announced: Gauges Count "clonewarden_announced_clones" ["policy"]
        "Clones on which an end is announced.";
    warned: Gauges Count "clonewarden_warned_clones" ["policy"]
        "Clones of which a warning was given before the end.";
    overdue: Gauges Count "clonewarden_overdue_clones" ["policy", "cause"]
        "Clones whose computed end has passed and that nobody has deleted: `due` (being deleted), `grace` (a later end is announced), `audit`, `brake`, `pause` or `held`.";
    overdue_oldest: Gauges Seconds "clonewarden_overdue_oldest_seconds" ["policy", "cause"]
        "How long the oldest of the overdue clones has been so: since its computed end, or since its announced end where that has passed later.";
    limit_allowed: Gauges Count "clonewarden_limit_allowed_clones" ["namespace", "policy", "limit"]
        "How many clones a limit allows in a namespace: `clones`, `dedicatedDatabases` or `clonesPerOwner`.";
    limit_used: Gauges Count "clonewarden_limit_used_clones" ["namespace", "policy", "limit"]
        "How many clones count against a limit; for `clonesPerOwner` those of the owner who has most.";
    namespaces_merged: Gauges Count "clonewarden_merged_namespaces" []
        "Namespaces beyond the bound, the smallest, which stand together under namespace `_other` and without their limits.";
    clones_ungoverned: Gauges Count "clonewarden_clones_ungoverned" []
        "Clones in namespaces that no policy governs: nothing announces their end, and nothing deletes them.";
    clone_expires: Gauges Timestamp "clonewarden_clone_expires_timestamp_seconds" ["namespace", "name"]
        "When each clone ends: the later of the computed and the announced end. Not for clones that are kept or terminating; none at all where there are more than `--clone-metrics`.";
    clones_left_out: Gauges Count "clonewarden_clone_series_left_out" []
        "Clones without a series of their own because there are more than `--clone-metrics`.";

    reviews: Counters Count "clonewarden_admission_reviews_total" ["phase", "outcome", "code"]
        "Reviews of clones that the API server asked for, by webhook (`mutate`, `validate`) and by how they ended: `allowed`, `refused` (with the code), `audit` (let through; enforced it may not have been), `forwarded` (to the holder of the lease, who counts it too).";
    review_duration: Histograms Seconds "clonewarden_admission_review_duration_seconds" ["phase"] buckets REVIEWING,
        "How long a review took, from its last byte to the answer: with the write of the ledger, and with the wait for a holder of the lease where there was none.";
    certificate_expires: Gauges Timestamp "clonewarden_webhook_certificate_expires_timestamp_seconds" []
        "Until when the certificate is valid that the webhook shows at present. Absent: it has none.";
    guarded: Gauges Flag "clonewarden_guarded" ["rule"]
        "Whether the API server refuses this daemon what `deploy/base/guard.yaml` forbids: `deletions` of what is no clone's, `secrets` that are no clone's. Tried every 10 minutes by dry runs. Absent: not known.";
    reservations: Gauges Count "clonewarden_admission_reservations" []
        "Places that are promised to clones which were not seen yet. Only the holder of the lease has any.";

    service_requests: Counters Count "clonewarden_service_requests_total" ["route", "code"]
        "Requests to the HTTP API for services, by what for (`create`, `get`, `extend`, `delete`, `document`, `other`) and by the status of the answer.";
    service_duration: Histograms Seconds "clonewarden_service_request_duration_seconds" ["route"] buckets SERVING,
        "How long a request to the HTTP API took, with what it waited for the API server and, on `get`, for the clone.";
    page_requests: Counters Count "clonewarden_page_requests_total" ["route", "outcome"]
        "Requests for the page (`page`) and for what it shows as JSON (`view`, `clones`), by how they ended: `ok`, `unchanged` (the asker has it), `refused` (no token, or one that does not do), `wrong` (a query or a method that there is not), `unavailable` (no plan yet, nobody says whose the token is, or too much at once), `failed`.";
    service_waits: Gauges Count "clonewarden_service_waits" []
        "Requests to the HTTP API that wait for a clone to work.";

    orphans: Gauges Count "clonewarden_orphans" ["kind", "phase", "policy_known"]
        "Things whose clone is gone, by how far they have come (`Marked`, `Soaking`, `Held`, `Due`, `Deleting`, and `Deleted` for a day as history), and whether a policy that governs them is known.";
    orphans_cost: Gauges UsdPerHour "clonewarden_orphans_cost_usd_per_hour" ["kind", "phase"]
        "What orphans cost at present, by the price book; those that are gone cost nothing, and what has no price counts as nothing.";
    orphans_oldest: Gauges Seconds "clonewarden_orphans_oldest_age_seconds" ["kind", "phase"]
        "How long ago the oldest orphan of a kind and phase was first seen, those that are gone not counted.";
    brake_on: Gauges Flag "clonewarden_brake_on" ["policy"]
        "Whether unannounced ends of the policy wait for `clonewarden brake release`.";
    brake_waiting: Gauges Count "clonewarden_brake_waiting_clones" ["policy"]
        "Clones that wait behind the brake of the policy.";

    host_schemas: Gauges Count "clonewarden_host_schemas" ["host", "state"]
        "What is on a shared database host: schemas of clones (`ready`, `making`, `dropping`), those of clones of other clusters (`elsewhere`), and what is called like one and has no row in the ledger (`unknown`).";
    host_room: Gauges Count "clonewarden_host_schemas_allowed" ["host"]
        "How many schemas a shared database host has room for, as its `DatabaseHost` says.";
    host_size: Gauges Bytes "clonewarden_host_schemas_size_bytes" ["host"]
        "Data and indexes of this cluster's schemas on a shared database host, as the server estimates them.";
    host_connections: Gauges Count "clonewarden_host_connections" ["host"]
        "Connections that a shared database host has, of all users.";
    host_connections_allowed: Gauges Count "clonewarden_host_connections_allowed" ["host"]
        "How many connections a shared database host allows.";
    host_use_counted: Gauges Flag "clonewarden_host_use_counted" ["host"]
        "Whether a shared database host has been seen to count every use of its schemas; where a policy has `idle`. While it is 0, no clone on it ends because nothing uses it.";

    quota_allowed: Gauges Count "clonewarden_quota_allowed" ["namespace", "resource"]
        "What the ResourceQuota `clonewarden` of a namespace allows: `pods`; cores of `requests.cpu` and `limits.cpu`; bytes of `requests.memory`, `limits.memory` and the two of `ephemeral-storage`.";
    quota_used: Gauges Count "clonewarden_quota_used" ["namespace", "resource"]
        "How much of it is used, as the API server counted last.";
    nodes: Gauges Count "clonewarden_nodes" ["capacity"]
        "Nodes of the cluster, of `spot` capacity (by the labels of EKS and Karpenter) or any other, `on_demand`. Absent: nodes are not known.";
    nodes_allocatable: Gauges Count "clonewarden_nodes_allocatable" ["capacity", "resource"]
        "What Pods may ask for on all nodes together, also on those that are cordoned or not ready: `cpu` in cores, `memory` in bytes, `pods`.";
    clones_requested: Gauges Count "clonewarden_clones_requested" ["resource"]
        "What Pods of clones ask for that have not ended, scheduled or not: `cpu` in cores, `memory` in bytes, `pods`. Other Pods are not looked at.";
    autoscalers: Gauges Count "clonewarden_autoscalers" ["namespace"]
        "HorizontalPodAutoscalers in a governed namespace, looked for once a minute. Absent: none, or the daemon may not list them.";
    autoscaler_replicas: Gauges Count "clonewarden_autoscaler_replicas" ["namespace", "which"]
        "Replicas of all of them together: `current`, `desired`, and `most`, above which none goes.";

    cost: Gauges UsdPerHour "clonewarden_cost_usd_per_hour" ["namespace", "part"]
        "What the clones of a namespace cost now, by the price book, as of its last checkpoint: `databases` (or shares of hosts), `storage`, `compute` (shares of nodes), `fixed` (parts of what the platform costs anyway).";
    cost_unallocated: Gauges UsdPerHour "clonewarden_cost_unallocated_usd_per_hour" ["part"]
        "What is paid for now and no clone bears: `compute` (nodes), `hosts` (shared database hosts), `fixed`.";
    cost_accrued: Gauges Usd "clonewarden_cost_accrued_usd" ["namespace", "part"]
        "What the clones of a namespace have cost this month (UTC), up to its last checkpoint.";
    cost_estimated: Gauges Usd "clonewarden_cost_estimated_usd" ["namespace"]
        "How much of what is accrued is estimated, since nobody watched when clones went.";
    cost_committed: Gauges Usd "clonewarden_cost_committed_usd" ["namespace"]
        "What the clones of a namespace will still cost this month if each lives to its end.";
    cost_forecast: Gauges Usd "clonewarden_cost_forecast_usd" ["namespace"]
        "What this month will have cost when it is over: as it has gone until now, and at least what is committed.";
    budget: Gauges Usd "clonewarden_budget_usd" ["namespace", "policy"]
        "What the clones of a namespace may cost a month, as its policy says.";
    saved: Gauges Usd "clonewarden_saved_usd" ["namespace", "why"]
        "What was reaped this month would have cost so much until it would have ended otherwise: `expired`, `idle`, `overLimit`, `orphan`.";
    cost_counted: Gauges Timestamp "clonewarden_cost_counted_timestamp_seconds" ["namespace"]
        "Up to when the costs of a namespace are counted.";

    billing_actual: Gauges Usd "clonewarden_billing_actual_usd" ["month", "service"]
        "What AWS has billed for the days of the month that are over, unblended, by its own name of the service; this month and the last. What is small stands together under `_other`. AWS corrects the last days.";
    billing_namespace: Gauges Usd "clonewarden_billing_namespace_usd" ["month", "namespace"]
        "The same by the namespace that stands on what was billed (the tag of `--billing-tag`). `_untagged`: none does.";
    cost_drift: Gauges Ratio "clonewarden_cost_drift_ratio" ["month", "namespace"]
        "By which share of what AWS has billed for a namespace's databases and their storage the estimate is above it: 0.1 is ten percent too much, -1 is all of it missing. This month counts by the days that are billed. What lies on a shared host is estimated and carries no tag.";
    billing_success: Gauges Timestamp "clonewarden_billing_last_success_timestamp_seconds" []
        "When the bill was asked for that was read last. Absent: none was, or none is asked for.";
    billing_calls: Counters Count "clonewarden_billing_calls_total" ["outcome"]
        "Requests that this process sent to Cost Explorer, by how they ended (as `clonewarden_aws_requests_total`). AWS bills $0.01 for each.";

    evidence_complete: Gauges Flag "clonewarden_evidence_complete" ["source"]
        "Whether everything that a source has was seen. Where it was not, what needs it is held.";
    evidence_absent: Gauges Flag "clonewarden_evidence_absent" ["source"]
        "Whether the API server does not serve the source at all: its CRD is not installed, or gone.";
    evidence_age: Gauges Seconds "clonewarden_evidence_age_seconds" ["source"]
        "How long ago a source was last heard of.";
    clock_skew: Gauges Seconds "clonewarden_clock_skew_seconds" []
        "How far our clock is ahead of the API server's. Absent: unknown, and then nothing ends.";

    policy_info: Gauges Info "clonewarden_policy_info" ["policy", "mode", "revision", "commit"]
        "The policies in force. `revision` is of the whole set; `commit` is empty where the folder has no file `COMMIT`.";
    policy_broken: Gauges Flag "clonewarden_policy_load_failed" []
        "Whether the policy folder as it stands cannot be loaded, so that the last good set stays in force.";
    api_requests: Counters Count "clonewarden_api_requests_total" ["verb", "resource", "outcome"]
        "Requests to the API server. `list` beyond the first of a resource are lists made anew after a broken watch, or once an hour.";
    aws_requests: Counters Count "clonewarden_aws_requests_total" ["operation", "outcome"]
        "Attempts to ask AWS something, by how they ended: `ok`, `not_found`, `state` (its state does not allow it now), `refused`, `forbidden`, `throttled`, `unavailable`, `timeout`, or `cut` (there was an answer, and it was not whole). A call may take several.";
    events_dropped: Counters Count "clonewarden_events_dropped_total" []
        "Kubernetes Events that were not written because too many waited. The journal has what they would have said.";
    journal_lines: Counters Count "clonewarden_journal_lines_total" ["output", "outcome"]
        "Lines of the journal, by where they go (`file`, `stdout`): `written`, or `lost`, since nothing could be written for so long that too many waited.";
    journal_failures: Counters Count "clonewarden_journal_failures_total" ["output", "what"]
        "How often the journal could not be written (`write`; tried again every second), or its files not be rotated (`rotate`; every 30 s). No decision waits for it.";
    notices: Counters Count "clonewarden_notices_total" ["receiver", "outcome"]
        "Notifications by receiver (its name in the file of `--notifications`): `sent`, alone or in a digest; `failed`, the receiver did not take it; `dropped`, it came after the last message of a process that ends; `repeated`, it had been told before. The journal has all of them.";
    notices_lost: Counters Count "clonewarden_notices_lost_total" ["receiver", "severity"]
        "Notifications that were given up or came after the last message of a process that ends, by how urgent they were (`info`, `warning`, `critical`). The journal has them, and the next message that arrives says how many.";
    notices_late: Gauges Count "clonewarden_notices_late" ["receiver"]
        "Critical notifications that the receiver has not taken, and that are tried for a day.";
    notices_restarts: Counters Count "clonewarden_notices_restarts_total" ["receiver"]
        "How often what tells a receiver died and was started again: a bug. What waits for it is kept, and what was under way has failed once.";
    spans: Counters Count "clonewarden_spans_total" ["outcome"]
        "Spans of traces: `sent`; `failed`, the collector did not take them; `dropped`, too many waited.";
    cloudwatch_requests: Counters Count "clonewarden_cloudwatch_requests_total" ["outcome"]
        "Requests that this process sent to CloudWatch, by how they ended: `ok`, `unknown` (nobody said), or not taken: `unsent`, `throttled`, `forbidden`, `refused`, `unavailable`.";
    cloudwatch_datums: Counters Count "clonewarden_cloudwatch_datums_total" ["outcome"]
        "Figures for CloudWatch: `delivered`; `unknown` (sent, and not sent again, since nobody said whether they were taken); `given_back` (not taken: what they counted is in the next ones); `unfit` (no number, or a label that CloudWatch does not take).";
    cloudwatch_series: Gauges Count "clonewarden_cloudwatch_series" []
        "Series that were sent to CloudWatch in this hour (UTC). AWS bills each.";
    cloudwatch_left_out: Gauges Count "clonewarden_cloudwatch_series_left_out" []
        "Series that were not sent to CloudWatch the last time because there are more than `--cloudwatch-series`.";
    cloudwatch_cost: Gauges UsdPerHour "clonewarden_cloudwatch_cost_usd_per_hour" []
        "What these series and the requests that carry them cost in this hour, by AWS' list price.";
    cloudwatch_success: Gauges Timestamp "clonewarden_cloudwatch_last_success_timestamp_seconds" []
        "When CloudWatch last took everything that this process had for it; the start of the process, if it has not. A standby sends nothing, and that is a success. Absent: nothing is to be sent.";
    cloudwatch_restarts: Counters Count "clonewarden_cloudwatch_restarts_total" []
        "How often what sends figures to CloudWatch died and was started again. Nothing else depends on it.";
    build_info: Gauges Info "clonewarden_build_info" ["version"]
        "The version of this process.";

    process_cpu: Counters Seconds "process_cpu_seconds_total" []
        "User and system CPU time of this process.";
    process_memory: Gauges Bytes "process_resident_memory_bytes" []
        "Resident memory of this process.";
    process_open: Gauges Count "process_open_fds" []
        "Open file descriptors of this process.";
    process_most: Gauges Count "process_max_fds" []
        "How many file descriptors this process may open.";
    process_start: Gauges Seconds "process_start_time_seconds" []
        "When this process started, in Unix seconds (UTC).";
}

/// The text of `docs/metrics.md`.
pub(super) fn page() -> String {
    let mut page = include_str!("metrics.head.md").to_owned();
    page.push_str("\n| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n");
    for line in TABLE {
        let labels: Vec<String> = line.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{}` | {} | {} | {} | {} |", line.name, line.kind.word(), labels.join(", "), line.unit.word(), line.help);
    }
    page
}
