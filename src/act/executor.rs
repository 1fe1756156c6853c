//! Carries out a plan, and decides nothing beyond "is this still exactly what the plan saw?".
//!
//! Before the first act, what the plan wants remembered is written (a brake that forgets is no brake). Before each write the
//! fence and the pause are asked, locally. Deletes go first. What was carried out on a form of an object is not repeated on
//! that same form: the next one comes by the watch.

use super::{
    journal::{Ending, Journal},
    keyring::Keyring,
    lane::{self, Lane},
    notify::Notes,
    orphans,
    proof::Roll,
    state::Keeper,
    tries::{CONFLICTS, Tries},
};
use crate::{
    daemon::lease::Fence,
    model::{
        Kind, Meta, Month, Source, State,
        month::{UsageStatus, object_name},
    },
    observe::{store::Store, time_evidence},
    plan::{Action, Decision, Plan, Target, Work, accrual},
    policy::Policies,
    ports::{ApiError, Clock, Cloud, Cluster, DatabaseHost, Pin, Secrets},
    traces::Tracer,
};
use futures::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

/// How many writes are under way at once: what saturates an API server on two cores; more only adds waiting.
pub(super) const AT_ONCE: usize = 64;
/// How many writes other than deletes one round carries out at most, so that a delete that comes due waits for no more than these.
const OTHERS_A_ROUND: usize = 256;

/// What an executor works with.
pub struct Tools {
    /// The API server.
    pub cluster: Arc<dyn Cluster>,
    /// AWS.
    pub cloud: Arc<dyn Cloud>,
    /// The shared database hosts.
    pub hosts: Arc<dyn DatabaseHost>,
    /// Our own Secrets, and those of clones.
    pub secrets: Arc<dyn Secrets>,
    /// The key that credentials are derived under.
    pub keys: Arc<Keyring>,
    /// Our clock.
    pub clock: Arc<dyn Clock>,
    /// The watched objects.
    pub store: Arc<Store>,
    /// The remembered state.
    pub keeper: Arc<Keeper>,
    /// Whether we may write.
    pub fence: Fence,
    /// Notes what is done and how long it takes.
    pub(crate) tracer: Tracer,
    /// The policies in force: a plan by others is not carried out any further.
    pub policies: watch::Receiver<Arc<Policies>>,
    /// Where it is written down.
    pub journal: Arc<Journal>,
    /// Where Events go.
    pub notes: Notes,
    /// Wakes the loop.
    pub wake: Arc<Notify>,
}

/// Everything that writes.
pub struct Executor {
    pub(super) tools: Tools,
    tries: Tries,
    /// Where AWS is asked.
    pub(super) lane: Arc<Lane>,
    /// Where each shared host is.
    pub(super) hosts: Mutex<HashMap<Arc<str>, Arc<Lane>>>,
}

/// What one round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// How often each action ended in each way.
    pub endings: Vec<(Action, Ending)>,
    /// Something is left to do or to try again soon, though nothing may wake us.
    pub again: bool,
    /// What had to be remembered could not be written: nothing was carried out.
    pub forgotten: bool,
}

impl Executor {
    /// An executor that has tried nothing yet.
    #[must_use]
    pub fn new(tools: Tools) -> Self {
        Self { tools, tries: Tries::default(), lane: Arc::default(), hosts: Mutex::default() }
    }

    pub(super) fn may_write(&self) -> bool {
        self.tools.fence.holds() && self.tools.keeper.allows_writes()
    }

    /// Carries out what is effective in the plan, which was made from what was remembered as `base`.
    pub async fn execute(self: &Arc<Self>, plan: &Arc<Plan>, base: &State) -> Round {
        let mut round = self.worked_off();
        if !self.may_write() {
            round.forgotten = true;
            return round;
        }
        if let Err(error) = self.tools.keeper.remember(self.tools.cluster.as_ref(), base, &plan.state).await {
            warn!(%error, "What has to be remembered could not be written; nothing is carried out before it is.");
            round.forgotten = true;
            round.again = true;
            return round;
        }
        self.tries.forget_made(plan);
        let mut left_alone = false;
        let writes = plan.decisions.iter().enumerate();
        let writes = writes.filter(|(_, decision)| decision.effective() && is_write(decision) && !self.tries.covers(decision, &mut left_alone));
        let (slow, writes): (Vec<_>, Vec<_>) = writes.partition(|(_, decision)| lane::is_slow(decision));
        self.send_off(plan, &slow);
        let (deletes, mut others): (Vec<_>, Vec<_>) =
            writes.into_iter().map(|(_, decision)| decision).partition(|decision| decision.action == Action::Delete);
        round.again = left_alone || others.len() > OTHERS_A_ROUND;
        // A clone comes up by its Secret, and that is two short writes: it waits for nothing.
        others.sort_by_key(|decision| !is_secret(decision));
        others.truncate(OTHERS_A_ROUND);
        let rest = others.split_off(others.partition_point(|decision| is_secret(decision)));
        self.work_through(others.into_iter().chain(deletes).chain(rest), AT_ONCE, None, plan, &mut round).await;
        self.tries.forget(plan);
        round
    }

    /// Carries out one after the other, so many at once.
    pub(super) async fn work_through<'p>(
        &self,
        mut waiting: impl Iterator<Item = &'p Decision>,
        at_once: usize,
        roll: Option<&Roll>,
        plan: &Plan,
        round: &mut Round,
    ) {
        let mut under_way: FuturesUnordered<_> = waiting.by_ref().take(at_once).map(|decision| self.carry_out(decision, roll, plan)).collect();
        while let Some((decision, ending)) = under_way.next().await {
            under_way.extend(waiting.next().map(|next| self.carry_out(next, roll, plan)));
            self.settle(decision, plan, &ending).await;
            round.again |= matches!(ending, Ending::Conflict(_) | Ending::Failed(_) | Ending::Stopped);
            if !is_refresh(decision, &ending) {
                round.endings.push((decision.action, ending));
            }
        }
    }

    pub(super) async fn carry_out<'p>(&self, decision: &'p Decision, roll: Option<&Roll>, plan: &Plan) -> (&'p Decision, Ending) {
        if !self.stands(plan) {
            return (decision, Ending::Stopped);
        }
        let begun = self.tools.tracer.now();
        let ending = self.act(decision, roll, plan).await;
        if !is_refresh(decision, &ending) {
            self.tools.tracer.acted(plan, decision, begun, ending.word());
        }
        (decision, ending)
    }

    /// Whether what a plan rests on still stands. A round of many deletes takes seconds: it must when each of them is sent.
    pub(super) fn stands(&self, plan: &Plan) -> bool {
        let clock = || time_evidence(self.tools.cluster.as_ref(), self.tools.cloud.as_ref(), self.tools.clock.now()).complete;
        self.may_write() && self.tools.policies.borrow().revision == plan.revision && clock()
    }

    async fn act(&self, decision: &Decision, roll: Option<&Roll>, plan: &Plan) -> Ending {
        if let (Target::Cloud(resource), Some(tags)) = (&decision.target, decision.tags()) {
            return self.tag(resource, tags).await;
        }
        match (&decision.target, &decision.work) {
            (Target::Secret(clone), Some(Work::Secret(record))) => return self.make_secret(clone, *record, plan).await,
            (_, Some(Work::Key(proof))) => return self.make_key(*proof).await,
            _ => {}
        }
        if let Some(course) = decision.course() {
            return match (&decision.target, &course.parting) {
                (_, Some(parting)) if decision.action == Action::Delete => self.end(decision, course, parting, roll, plan).await,
                (Target::Orphan(record), _) => self.close(record, course).await,
                _ => match self.record(decision, course).await {
                    Err(ApiError::NotFound) if course.record.is_none() => {
                        Ending::Failed("the CRD of Orphan is not installed: `clonewarden crds | kubectl apply -f -`".to_owned())
                    }
                    written => orphans::ending(written),
                },
            };
        }
        match (&decision.target, &decision.work) {
            (Target::Schema(schema), Some(Work::Make(row))) => return self.make_schema(schema, row, plan).await,
            (Target::Schema(schema), None) if decision.action == Action::Delete => return self.end_schema(schema, roll, plan).await,
            (Target::Source(Source::Host(host)), Some(Work::Note(memories))) => return self.note_use(host, memories).await,
            (Target::Clone(_), Some(Work::Unused(judged))) if decision.action == Action::Delete => {
                if let Err(ending) = self.is_still_unused(judged, plan).await {
                    return ending;
                }
            }
            _ => {}
        }
        let written = match (&decision.target, decision.action) {
            (Target::Clone(clone), Action::Delete) => {
                let deleted = self.tools.cluster.delete(&pin(Kind::Clone, &clone.meta)).await;
                if deleted.is_ok() {
                    self.tools.store.deleted_by_us(&clone.meta.uid, accrual::reaped(decision, &self.tools.policies.borrow()));
                }
                deleted
            }
            (Target::Clone(clone), _) => match decision.write() {
                Some(write) => self.tools.cluster.annotate(&pin(Kind::Clone, &clone.meta), &write.annotations()).await,
                None => return Ending::Done,
            },
            (Target::Usage(namespace, month), _) => match &decision.work {
                Some(Work::Count(Some(record), status)) => self.tools.cluster.set_status(&pin(Kind::Usage, &record.meta), &json!(status)).await,
                Some(Work::Count(None, status)) => self.tools.cluster.create(Kind::Usage, usage_object(namespace, *month, status)).await,
                _ => return Ending::Done,
            },
            (Target::Quota(quota), Action::Delete) => self.tools.cluster.delete(&pin(quota.kind, &quota.meta)).await,
            (Target::Quota(_) | Target::Absent(..), _) => match &decision.work {
                Some(Work::Apply(object)) => self.apply(&decision.target, object).await,
                _ => return Ending::Done,
            },
            (Target::Orphan(orphan), Action::Unmark) if orphans::forgets(decision) => return self.forget_gone(orphan).await,
            (Target::Orphan(orphan), Action::Unmark) => self.tools.cluster.delete(&pin(Kind::Orphan, &orphan.meta)).await,
            _ => return Ending::Done,
        };
        orphans::ending(written)
    }

    /// Makes an object of ours, or brings exactly the one that was judged to what it should say.
    async fn apply(&self, target: &Target, object: &Value) -> Result<(), ApiError> {
        match target {
            Target::Quota(quota) => self.tools.cluster.apply(quota.kind, object, Some(&pin(quota.kind, &quota.meta))).await,
            Target::Absent(kind, _) => {
                let made = self.tools.cluster.apply(*kind, object, None).await;
                if made.is_ok() {
                    self.tries.note_made(target.key());
                }
                made
            }
            _ => Ok(()),
        }
    }

    /// Writes down how it ended; after many conflicts on one object, reads it.
    pub(super) async fn settle(&self, decision: &Decision, plan: &Plan, ending: &Ending) {
        let at = self.tools.clock.now();
        if *ending == Ending::Stopped {
            return;
        }
        let noted = self.tries.note(decision, ending);
        if noted.read {
            self.read_again(decision, at).await;
        }
        self.say_refusal(decision, ending, noted.failures, at).await;
        if !noted.news || is_refresh(decision, ending) {
            return;
        }
        self.tools.journal.acted(decision, plan, &self.tools.policies.borrow(), at, ending, self.tools.tracer.trace_of(plan));
        let (subject, id) = (decision.target.display(), decision.id());
        let code = decision.reason.code();
        match ending {
            Ending::Done => {
                info!(action = decision.action.word(), target = %subject, code, decision = id, "{}", decision.reason.message(at));
                self.tools.notes.send(decision, &plan.revision, at);
            }
            Ending::Begun => {
                info!(action = decision.action.word(), target = %subject, code, decision = id, "The first of its steps is done, the rest follows.")
            }
            Ending::Gone => info!(action = decision.action.word(), target = %subject, code, decision = id, "It was gone already."),
            Ending::Conflict(detail) => {
                info!(action = decision.action.word(), target = %subject, code, decision = id, detail, "It is not what was judged any more; it is judged anew.")
            }
            Ending::Failed(detail) => {
                warn!(action = decision.action.word(), target = %subject, code, decision = id, detail, "It could not be carried out; it is tried again.")
            }
            Ending::Stopped => {}
        }
    }

    /// The watch does not seem to bring the present form of an object: it is read once.
    async fn read_again(&self, decision: &Decision, at: Timestamp) {
        let record = decision.course().and_then(|course| course.record.as_ref());
        let (kind, meta) = match (&decision.target, record) {
            (Target::Clone(clone) | Target::Secret(clone), _) => (Kind::Clone, &clone.meta),
            // What is written first is the `Orphan`, whatever it is about.
            (_, Some(record)) => (Kind::Orphan, &record.meta),
            _ => return,
        };
        let (namespace, name) = (meta.namespace(), meta.name());
        warn!(%kind, namespace, name, "{CONFLICTS} conflicts in a row: the object is read once.");
        match self.tools.cluster.get(kind, namespace, name).await {
            Ok(found) => self.tools.store.settle(kind, meta, found.as_ref(), at),
            Err(error) => warn!(%error, namespace, name, "The object could not be read."),
        }
    }
}

/// Whether all that was written is that the same has been seen once more, or what was seen of what goes on every day.
fn is_refresh(decision: &Decision, ending: &Ending) -> bool {
    let noted = matches!(decision.work, Some(Work::Note(_) | Work::Count(..)));
    *ending == Ending::Done && (noted || decision.course().is_some_and(|course| course.is_refresh()))
}

/// Whether it makes the Secret of a clone.
pub(super) fn is_secret(decision: &Decision) -> bool {
    matches!(decision.work, Some(Work::Secret(_)))
}

/// Whether carrying out the decision writes anything.
fn is_write(decision: &Decision) -> bool {
    match decision.action {
        Action::Delete | Action::Unmark => true,
        _ => decision.writes(),
    }
}

/// The `CloneUsage` of a namespace and a month.
fn usage_object(namespace: &str, month: Month, status: &UsageStatus) -> Value {
    json!({
        "apiVersion": Kind::Usage.api_version(),
        "kind": Kind::Usage.name(),
        "metadata": {"name": object_name(namespace, month)},
        "spec": {"namespace": namespace, "month": month.to_string()},
        "status": status,
    })
}

pub(super) fn pin(kind: Kind, meta: &Meta) -> Pin {
    Pin {
        kind,
        namespace: meta.namespace().to_owned(),
        name: meta.name().to_owned(),
        uid: meta.uid.to_string(),
        resource_version: meta.resource_version.to_string(),
    }
}
