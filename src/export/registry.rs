//! One registry: everything the daemon says in numbers, gathered for `/metrics` and for whoever ships them elsewhere.
//!
//! Contract: every series that tells of the present plan is replaced whole with each plan, and nobody ever gathers half of one.
//! What ages between two plans is measured when it is gathered ([`super::present`]). Nothing here fails a decision or stands
//! before a write.

use super::{
    billing,
    cloudwatch::Tallied,
    figures::{Bounds, Figures, number, seconds},
    metrics::{self, Definition, Families, Series, TABLE},
    present::Present,
    process::Process,
};
use crate::{
    act::{
        executor::Round,
        journal::{Ending, Tally},
    },
    admission::review::{Phase, outcome_of},
    daemon::warden::Watcher,
    model::Snapshot,
    notices,
    plan::{Action, Plan, admit::Verdict},
    policy::{Mode, Policies},
    ports::{Clock, Guard},
};
use jiff::{SignedDuration, Timestamp};
use prometheus::{Registry, TextEncoder, proto::MetricFamily};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::watch;

/// The type of what [`Metrics::render`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Namespaces with series of their own: each has about a dozen.
const NAMESPACES: usize = 200;
/// The actions that write, each with a series from the start so that the first failure is a rise from zero.
const WRITES: [Action; 7] = [Action::Keep, Action::Warn, Action::Delete, Action::Mark, Action::Unmark, Action::Create, Action::Update];
/// How carrying out can end.
const OUTCOMES: [&str; 5] = ["done", "gone", "conflict", "failed", "stopped"];

/// Something that sets metrics right before they are gathered.
type Setter = Box<dyn Fn(&Metrics) + Send + Sync>;

/// Every metric of this process.
pub struct Metrics {
    registry: Registry,
    pub(super) families: Families,
    clock: Arc<dyn Clock>,
    policies: watch::Receiver<Arc<Policies>>,
    clones_at_most: usize,
    present: Mutex<Present>,
    sources: RwLock<Vec<Setter>>,
}

impl Metrics {
    /// Makes and registers every metric. `policies` are those in force; at most `clones_at_most` clones get a series of their
    /// own (0: none ever; where there are more, none).
    ///
    /// # Errors
    /// When the table of metrics contradicts itself, which the tests exclude.
    pub fn new(clock: Arc<dyn Clock>, policies: watch::Receiver<Arc<Policies>>, clones_at_most: usize) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let families = Families::register(&registry)?;
        let present = Mutex::new(Present::new(clock.now()));
        let metrics = Self { registry, families, clock, policies, clones_at_most, present, sources: RwLock::default() };
        let families = &metrics.families;
        families.build_info.set(&[env!("CARGO_PKG_VERSION")], 1.0);
        for flag in [&families.leader, &families.paused, &families.policy_broken] {
            flag.set(&[], 0.0);
        }
        families.events_dropped.add(&[], 0.0);
        for action in WRITES {
            for outcome in OUTCOMES {
                families.actions.add(&[action.word(), outcome], 0.0);
            }
        }
        families.page_requests.add(&["page", "ok"], 0.0);
        Ok(metrics)
    }

    /// Calls `source` whenever metrics are gathered, to set those that nobody tells us about: the lease, requests, Events.
    /// It must not block, nor gather or add sources itself.
    pub fn before_gathering(&self, source: impl Fn(&Self) + Send + Sync + 'static) {
        self.sources.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(source));
    }

    /// Whether this process holds the lease.
    pub fn leader(&self, holds: bool) {
        self.families.leader.set(&[], flag(holds));
    }

    /// Whether the policy folder as it stands cannot be loaded.
    pub fn policies_broken(&self, broken: bool) {
        self.families.policy_broken.set(&[], flag(broken));
    }

    /// How far our clock is ahead of the API server's, if that is known.
    pub fn clock_skew(&self, skew: Option<SignedDuration>) {
        match skew {
            Some(skew) => self.families.clock_skew.set(&[], skew.as_secs_f64()),
            None => self.families.clock_skew.clear(),
        }
    }

    /// The loop `name` did its work last at that time. To be said again whenever metrics are gathered ([`Metrics::before_gathering`]):
    /// one that is not heard of any more is none.
    pub fn last_success(&self, name: &str, at: Timestamp) {
        self.families.loop_success.set(&[name], seconds(at));
    }

    /// How many Events have been dropped since the start.
    pub fn events_dropped(&self, total: u64) {
        self.families.events_dropped.raise(&[], whole(total));
    }

    /// What became of the lines of the journal since the start.
    pub fn journal(&self, tally: &Tally) {
        let Tally { output, written, lost, failures, rotation_failures } = *tally;
        for (outcome, total) in [("written", written), ("lost", lost)] {
            self.families.journal_lines.raise(&[output, outcome], whole(total));
        }
        for (what, total) in [("write", failures), ("rotate", rotation_failures)] {
            self.families.journal_failures.raise(&[output, what], whole(total));
        }
    }

    /// What became of the notifications for a receiver since the start.
    pub(crate) fn notices(&self, tally: &notices::Tally<'_>) {
        let (families, receiver) = (&self.families, tally.receiver);
        tally.outcomes.iter().for_each(|(outcome, total)| families.notices.raise(&[receiver, outcome], whole(*total)));
        tally.lost.iter().for_each(|(severity, total)| families.notices_lost.raise(&[receiver, severity], whole(*total)));
        families.notices_late.set(&[receiver], whole(tally.late));
        families.notices_restarts.raise(&[receiver], whole(tally.restarts));
    }

    /// What became of the spans since the start.
    pub(crate) fn spans(&self, outcome: &str, total: u64) {
        self.families.spans.raise(&[outcome], whole(total));
    }

    /// A review was answered.
    pub fn reviewed(&self, phase: Phase, verdict: &Verdict, took: Duration) {
        let (outcome, code) = outcome_of(verdict);
        self.review_ended(phase, outcome, code, took);
    }

    /// A review was handed on to the holder of the lease, who answered it.
    pub fn review_forwarded(&self, phase: Phase, took: Duration) {
        self.review_ended(phase, "forwarded", "", took);
    }

    fn review_ended(&self, phase: Phase, outcome: &str, code: &str, took: Duration) {
        self.families.reviews.add(&[phase.word(), outcome, code], 1.0);
        self.families.review_duration.observe(&[phase.word()], took.as_secs_f64());
    }

    /// A request to the HTTP API was answered. `route` is one of few that stand in the code.
    pub fn service_request(&self, route: &str, status: u16, took: Duration) {
        self.families.service_requests.add(&[route, &status.to_string()], 1.0);
        self.families.service_duration.observe(&[route], took.as_secs_f64());
    }

    /// A request for the page or its JSON was answered.
    pub(crate) fn page_request(&self, route: &str, outcome: &str) {
        self.families.page_requests.add(&[route, outcome], 1.0);
    }

    /// How many requests to the HTTP API wait for a clone.
    pub fn service_waits(&self, waits: usize) {
        self.families.service_waits.set(&[], number(waits));
    }

    /// Until when the certificate of the webhook is valid, if it has one.
    pub fn certificate_expires(&self, at: Option<Timestamp>) {
        match at {
            Some(at) => self.families.certificate_expires.set(&[], seconds(at)),
            None => self.families.certificate_expires.clear(),
        }
    }

    /// Which guards of the API server narrow what we may do; a guard of which that is not known has no value.
    pub fn guarded(&self, seen: impl Iterator<Item = (Guard, Option<bool>)>) {
        let known = seen.filter_map(|(guard, guarded)| Some(([guard.word()], flag(guarded?))));
        self.families.guarded.replace(&known.collect());
    }

    /// How many places are promised.
    pub fn reservations(&self, promised: u64) {
        self.families.reservations.set(&[], whole(promised));
    }

    /// How many requests of one kind ended in one way since the start.
    pub fn api_requests(&self, verb: &str, resource: &str, outcome: &str, total: u64) {
        self.families.api_requests.raise(&[verb, resource, outcome], whole(total));
    }

    /// How often AWS was asked one thing and answered in one way since the start.
    pub fn aws_requests(&self, operation: &str, outcome: &str, total: u64) {
        self.families.aws_requests.raise(&[operation, outcome], whole(total));
    }

    /// How many requests to Cost Explorer ended in one way since the start.
    pub fn billing_calls(&self, outcome: &str, total: u64) {
        self.families.billing_calls.raise(&[outcome], whole(total));
    }

    /// What became of what was sent to CloudWatch.
    pub fn cloudwatch(&self, tally: &Tallied) {
        tally.set(&self.families);
    }

    /// Every metric as it is now. Takes milliseconds, reads `/proc` and waits for a plan that is just being counted: not for a
    /// task that others wait for.
    #[must_use]
    pub fn gather(&self) -> Vec<MetricFamily> {
        let process = Process::read();
        // From here on nobody else sets what is about to be gathered.
        let present = self.present();
        present.set_loops(&self.families);
        for source in self.sources.read().unwrap_or_else(PoisonError::into_inner).iter() {
            source(self);
        }
        self.set_policies();
        self.set_process(&process);
        present.set_ages(&self.families, self.clock.now());
        self.registry.gather()
    }

    /// Every metric as it is now, in the text format of Prometheus ([`CONTENT_TYPE`]). See [`Metrics::gather`].
    ///
    /// # Errors
    /// When a family has no series, which the registry never gives.
    pub fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.gather())
    }

    /// Every metric there is.
    #[must_use]
    pub fn definitions() -> &'static [Definition] {
        TABLE
    }

    /// The text of `docs/metrics.md`.
    #[must_use]
    pub fn documentation() -> String {
        metrics::page()
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        // A panic while it was held leaves figures of two plans side by side; the next plan replaces them.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_policies(&self) {
        let policies = Arc::clone(&self.policies.borrow());
        let mut series = Series::new();
        let commit = policies.revision.commit.as_deref().unwrap_or_default();
        for policy in &policies.policies {
            let mode = if policy.mode == Mode::Enforce { "enforce" } else { "audit" };
            series.insert([policy.name.as_ref(), mode, policies.revision.hash.as_ref(), commit], 1.0);
        }
        self.families.policy_info.replace(&series);
    }

    fn set_process(&self, process: &Process) {
        if let Some(cpu) = process.cpu {
            self.families.process_cpu.raise(&[], cpu);
        }
        let gauges = [
            (&self.families.process_memory, process.memory),
            (&self.families.process_open, process.open),
            (&self.families.process_most, process.most),
            (&self.families.process_start, process.start),
        ];
        for (gauge, value) in gauges {
            if let Some(value) = value {
                gauge.set(&[], value);
            }
        }
    }

    /// Replaces everything that tells of a plan.
    fn set_plan(&self, figures: &Figures<'_>, plan: &Plan) {
        let families = &self.families;
        families.decisions.replace(&figures.decisions);
        families.holds.replace(&figures.holds);
        families.clones.replace(&figures.clones);
        families.announced.replace(&figures.announced);
        families.warned.replace(&figures.warned);
        families.overdue.replace(&figures.overdue);
        families.limit_allowed.replace(&figures.limit_allowed);
        families.limit_used.replace(&figures.limit_used);
        families.namespaces_merged.set(&[], number(figures.own.merged));
        families.clones_ungoverned.set(&[], figures.ungoverned);
        families.clone_expires.replace(&figures.expires);
        families.clones_left_out.set(&[], number(figures.left_out));
        families.orphans.replace(&figures.orphans);
        families.orphans_cost.replace(&figures.orphans_cost);
        families.brake_on.replace(&figures.brake_on);
        families.host_schemas.replace(&figures.hosts.schemas);
        families.host_room.replace(&figures.hosts.room);
        families.host_size.replace(&figures.hosts.size);
        families.host_connections.replace(&figures.hosts.connections);
        families.host_connections_allowed.replace(&figures.hosts.connections_allowed);
        families.host_use_counted.replace(&figures.hosts.use_counted);
        let money = &figures.money;
        families.cost.replace(&money.per_hour);
        families.cost_unallocated.replace(&money.unallocated);
        families.cost_accrued.replace(&money.accrued);
        families.cost_estimated.replace(&money.estimated);
        families.cost_committed.replace(&money.committed);
        families.cost_forecast.replace(&money.forecast);
        families.budget.replace(&money.budget);
        families.saved.replace(&money.saved);
        families.cost_counted.replace(&money.through);
        families.brake_waiting.replace(&figures.brake_waiting);
        figures.capacity.set(families);
        families.paused.set(&[], flag(plan.state.paused.is_some()));
        families.plan_wakeup.clear();
        if let Some(next) = plan.next_wakeup {
            families.plan_wakeup.set(&[], seconds(next));
        }
    }

    fn set_evidence(&self, plan: &Plan) {
        let families = &self.families;
        families.evidence_complete.clear();
        families.evidence_absent.clear();
        for (source, evidence) in plan.evidence.iter() {
            let name = source.to_string();
            families.evidence_complete.set(&[&name], flag(evidence.complete));
            families.evidence_absent.set(&[&name], flag(evidence.absent));
        }
    }

    fn count_round(&self, round: &Round) {
        for (action, ending) in &round.endings {
            self.families.actions.add(&[action.word(), Ending::word(ending)], 1.0);
        }
    }
}

impl Watcher for Metrics {
    fn planned(&self, snapshot: &Arc<Snapshot>, plan: &Arc<Plan>, round: Option<&Round>, took: Duration) {
        let now = self.clock.now();
        let policies = Arc::clone(&self.policies.borrow());
        let figures = Figures::of(snapshot, plan, &policies, Bounds { namespaces: NAMESPACES, clones: self.clones_at_most });
        self.families.plan_duration.observe(&[], took.as_secs_f64());
        let mut present = self.present();
        billing::set(&self.families, snapshot, &figures.own);
        self.set_plan(&figures, plan);
        self.set_evidence(plan);
        present.replace(&figures, plan);
        if let Some(round) = round {
            self.count_round(round);
            if !round.forgotten {
                present.done("act", now);
            }
            for late in present.lateness.after(snapshot, plan, round, now) {
                self.families.lateness.observe(&[], late);
            }
        }
        // A plan that could not be carried out because nothing could be remembered is no success.
        if round.is_none_or(|round| !round.forgotten) {
            present.done("plan", now);
        }
    }
}

fn flag(set: bool) -> f64 {
    if set { 1.0 } else { 0.0 }
}

/// Exact up to 2^53.
fn whole(total: u64) -> f64 {
    let (high, low) = (total >> 32, total & u64::from(u32::MAX));
    let part = |bits: u64| f64::from(u32::try_from(bits).unwrap_or(u32::MAX));
    part(high) * 4_294_967_296.0 + part(low)
}
