//! `clonewarden apply`: carries out what somebody has approved of a plan, with the rights of whoever calls it.
//!
//! Contract: nothing is done but the decisions of the document that are the very same in a plan made anew; who approved them is written into
//! the daemon's state before the first of them is carried out, and how it ended after the last. While writes are paused nothing is done.

mod report;
#[cfg(test)]
mod tests;

use self::report::{Report, Row};
use super::{Failure, inputs, live, output, pause};
use crate::{
    act::{
        executor::{Executor, Tools},
        journal::{Ending, Journal},
        notify::Notes,
        state::Keeper,
    },
    approve::{self, Document, Fate, Fault, Outcome},
    daemon::{lease::Fence, run::SystemClock},
    model::{
        Source, Span, State,
        state::{Approval, ApprovalEnd, MOST_APPROVED},
    },
    observe::{kube::person::Person, store::Store},
    plan::{Plan, decision, plan},
    policy::Policies,
    ports::{ApiError, Clock, Cluster, NoCloud, NoHosts, NoSecrets},
    traces::Tracer,
};
use anyhow::anyhow;
use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// How often it is looked whether somebody has paused everything meanwhile.
const PAUSED_EVERY: Duration = Duration::from_secs(1);
/// How long the Events about what was done may take to be written. They are a courtesy.
const EVENTS_WITHIN: Duration = Duration::from_secs(10);

/// `apply`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The document that `plan -o json` wrote, with what is not approved taken out of it; `-`: standard input
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// The folder with the policy files; they must be those that the plan was made by
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR")]
    policies: PathBuf,
    /// How old the plan may be
    #[arg(long, env = "CLONEWARDEN_MAX_AGE", value_name = "DURATION", default_value = "1h")]
    max_age: Span,
    /// Why it is all right; it is kept with who approved
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: Option<String>,
    /// Say what would be carried out, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// The id of this cluster, as it stands in AWS tags; default: the uid of the namespace kube-system
    #[arg(long, env = "CLONEWARDEN_CLUSTER_ID", value_name = "ID", value_parser = inputs::cluster_id)]
    cluster_id: Option<String>,
    /// How to print what became of each decision
    #[arg(long, short, env = "CLONEWARDEN_OUTPUT", value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    daemon: live::Daemon,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Output {
    /// For people: one line a decision
    Table,
    /// For programs
    Json,
}

/// A reason is kept in the daemon's state, which has its bounds.
fn words(text: &str) -> Result<String, String> {
    const LONGEST: usize = 1_000;
    if text.trim().is_empty() || text.len() > LONGEST {
        return Err(format!("write something, in {LONGEST} bytes at most"));
    }
    Ok(text.to_owned())
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let name = args.plan.display().to_string();
    let document = Document::read(&read(&args.plan)?).map_err(|fault| refused(&name, &fault))?;
    let policies = inputs::load(&args.policies)?;
    if document.revision != policies.revision.hash.as_ref() {
        return Err(Failure::input(anyhow!(
            "`{name}` was made by other policies: by revision {}, and `{}` is revision {}; plan anew by these, or give those",
            output::printable(&document.revision),
            args.policies.display(),
            policies.revision
        )));
    }
    approve::dated(&document, SystemClock.now(), args.max_age.get()).map_err(|why| Failure::input(anyhow!("`{name}` {why}; make a plan anew")))?;
    let asked = Asked {
        document,
        policies: Arc::new(policies),
        reason: args.reason.clone(),
        dry_run: args.dry_run,
        cluster_id: args.cluster_id.clone(),
        name,
    };
    let report = args.daemon.ask(|cluster| async move {
        let by = who().await?;
        carry_out(cluster, Arc::new(SystemClock), by, &asked).await
    })?;
    output::data(&match args.output {
        Output::Table => report.table(output::colours()),
        Output::Json => super::plan::json(&report.document())?,
    })?;
    report.failure.map_or(Ok(()), Err)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(approve::LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::input(anyhow!(error).context(format!("cannot read the plan `{}`", path.display()))))?;
    Ok(bytes)
}

fn refused(name: &str, fault: &Fault) -> Failure {
    let message = output::printable(&fault.message);
    Failure::rendered(format!("error: {message}\n  --> {name}:{}:{}\n  help: {}", fault.line, fault.column, fault.help))
}

/// How the API server calls whoever asks.
async fn who() -> Result<String, Failure> {
    let person = Person::connect(None, None).await.map_err(Failure::input)?;
    let user = person.user().await;
    user.map_err(|problem| {
        Failure::failed(anyhow!(problem.error).context("who approves is not known, so nothing is carried out: the API server does not say it"))
    })
}

/// What is to be carried out.
struct Asked {
    document: Document,
    policies: Arc<Policies>,
    reason: Option<String>,
    dry_run: bool,
    cluster_id: Option<String>,
    /// How the document is called.
    name: String,
}

/// Judges what was approved once more, and carries out what is judged the same.
async fn carry_out(cluster: Arc<dyn Cluster>, clock: Arc<dyn Clock>, by: String, asked: &Asked) -> Result<Report, Failure> {
    let document = &asked.document;
    let at = clock.now();
    let snapshot = live::look(cluster.as_ref(), asked.cluster_id.as_deref(), at).await?;
    not_paused(&snapshot.state)?;
    in_force(&snapshot.state, asked)?;
    if let Some(lack) = snapshot.evidence.lack(&Source::Time, at) {
        return Err(Failure::failed(anyhow!("nothing is carried out by a clock that cannot be trusted: {lack}")));
    }
    let plan = plan(&snapshot, &asked.policies, at);
    let fates = approve::weigh(document, &plan, &snapshot).map_err(|(entry, message)| refused(&asked.name, &document.fault(entry, message)))?;
    let mut chosen = Vec::new();
    let mut rows: Vec<Row> = document
        .entries
        .iter()
        .zip(fates)
        .map(|(entry, fate)| match fate {
            Fate::Settled(outcome, why) => Row { entry: entry.clone(), outcome, why },
            Fate::Apply(decision) => {
                let why = format!("{}: {}", decision.reason.code(), decision.reason.message(at));
                chosen.push(*decision);
                Row { entry: entry.clone(), outcome: Outcome::WouldApply, why }
            }
        })
        .collect();
    let mut report = Report {
        at,
        by,
        plan: document.now,
        revision: document.revision.clone(),
        dry_run: asked.dry_run,
        approval: None,
        rows: Vec::new(),
        failure: None,
    };
    if chosen.len() > MOST_APPROVED {
        return Err(Failure::input(anyhow!(
            "{} decisions at once are too many to write down who approved each: {MOST_APPROVED} at most; cut `{}` in pieces",
            chosen.len(),
            asked.name
        )));
    }
    if asked.dry_run || chosen.is_empty() {
        report.rows = rows;
        return Ok(report);
    }
    let approval = Approval {
        id: decision::digest(&[&report.by, &clock.now().to_string(), &document.digest()]),
        at,
        by: report.by.clone(),
        reason: asked.reason.clone(),
        plan: document.now,
        policy_revision: document.revision.clone(),
        count: chosen.len(),
        // As they stand in the document.
        decisions: rows.iter().filter(|row| row.outcome == Outcome::WouldApply).map(Row::approved).collect(),
        told: false,
        ended: None,
    };
    approved(cluster.as_ref(), &approval, &plan.state, asked).await?;
    let (endings, state) = by_the_executor(&cluster, &clock, &asked.policies, Plan { decisions: chosen, ..plan }).await;
    let carried = rows.iter_mut().filter(|row| row.outcome == Outcome::WouldApply);
    for (row, ending) in carried.zip(&endings) {
        tell(row, ending, state.as_ref());
    }
    report.approval = Some(approval.id.clone());
    report.rows = rows;
    if report.rows.iter().any(|row| row.outcome.is_failure()) {
        report.failure = Some(Failure::found(String::new()));
    }
    let end = ApprovalEnd {
        at: clock.now(),
        outcomes: report.counts().into_iter().map(|(outcome, count)| (outcome.word().to_owned(), count)).collect(),
        told: false,
    };
    let each = report.rows.iter().map(|row| (row.entry.id.clone(), row.outcome.word().to_owned())).collect();
    let written = pause::change(cluster.as_ref(), |state| {
        let known = state.approvals.iter().any(|known| known.id == approval.id && known.ended.is_none());
        (known && state.end_approval(&approval.id, end.clone(), &each), ())
    });
    if let Err(failure) = written.await {
        output::aside(&failure.to_string());
        report.failure = Some(Failure::failed(anyhow!("how it ended could not be written into the daemon's state; what was done is done")));
    }
    Ok(report)
}

/// What is approved is judged by the policies that the daemon acts by, and not by those of some checkout.
fn in_force(state: &State, asked: &Asked) -> Result<(), Failure> {
    let ours = &asked.policies.revision;
    match &state.policies {
        Some(acted_by) if **acted_by != *ours.hash => Err(Failure::input(anyhow!(
            "the daemon acts by policies of revision {}, and `{}` was made by {ours}; take the files that are rolled out, and plan anew",
            output::printable(acted_by),
            asked.name
        ))),
        _ => Ok(()),
    }
}

fn not_paused(state: &State) -> Result<(), Failure> {
    let Some(pause) = &state.paused else { return Ok(()) };
    let by = if pause.by.is_empty() { String::new() } else { format!(" by {}", output::printable(&pause.by)) };
    Err(Failure::failed(anyhow!(
        "every write is paused since {}{by}: {}; nothing is carried out until `clonewarden resume`",
        pause.since,
        output::printable(&pause.reason)
    )))
}

/// Writes down who approved what, before anything of it is done.
///
/// What is announced in audit must not count once it is enforced, though no daemon has seen the audit: `enforce` was interrupted there.
async fn approved(cluster: &dyn Cluster, approval: &Approval, judged: &State, asked: &Asked) -> Result<(), Failure> {
    let noted = pause::change(cluster, |state| {
        let stopped = not_paused(state).and_then(|()| in_force(state, asked));
        if stopped.is_err() {
            return (false, stopped);
        }
        state.enforced_since.retain(|namespace, _| judged.enforced_since.contains_key(namespace));
        // A write without an answer may have happened.
        let new = !state.approvals.iter().any(|known| known.id == approval.id);
        if new {
            state.note_approval(approval.clone());
        }
        (new, Ok(()))
    });
    noted.await?
}

/// Carries the approved decisions out by the daemon's own executor; how each ended, and the state as it was known last.
async fn by_the_executor(cluster: &Arc<dyn Cluster>, clock: &Arc<dyn Clock>, policies: &Arc<Policies>, plan: Plan) -> (Vec<Ending>, Option<State>) {
    let keeper = Arc::new(Keeper::default());
    keeper.refresh(cluster.as_ref()).await;
    let watching = tokio::spawn({
        let (keeper, cluster, clock) = (Arc::clone(&keeper), Arc::clone(cluster), Arc::clone(clock));
        async move {
            loop {
                clock.sleep(PAUSED_EVERY).await;
                keeper.refresh(cluster.as_ref()).await;
            }
        }
    });
    // No lease: what one person writes is pinned to what was judged.
    let fence = Fence::open();
    let (notes, mut noting) = Notes::start(Arc::clone(cluster), Arc::clone(clock), fence.clone(), Arc::default());
    let (_keep, policies) = watch::channel(Arc::clone(policies));
    let executor = Executor::new(Tools {
        cluster: Arc::clone(cluster),
        cloud: Arc::new(NoCloud),
        hosts: Arc::new(NoHosts),
        secrets: Arc::new(NoSecrets),
        keys: Arc::default(),
        clock: Arc::clone(clock),
        store: Arc::new(Store::default()),
        keeper: Arc::clone(&keeper),
        fence,
        tracer: Tracer::default(),
        policies,
        // The daemon has the journal; it learns of this by the state.
        journal: Arc::new(Journal::to(std::io::sink())),
        notes,
        wake: Arc::new(Notify::new()),
    });
    let endings = executor.carry_out_approved(&plan).await;
    watching.abort();
    // The last sender of Events goes with it.
    drop(executor);
    if tokio::time::timeout(EVENTS_WITHIN, &mut noting).await.is_err() {
        noting.abort();
    }
    (endings, keeper.state())
}

/// Says how a decision ended that was carried out.
fn tell(row: &mut Row, ending: &Ending, state: Option<&State>) {
    let (outcome, why) = match ending {
        Ending::Done | Ending::Begun => (Outcome::Done, None),
        Ending::Gone => (Outcome::Gone, Some("it was gone when it was to be done".to_owned())),
        Ending::Conflict(why) => {
            (Outcome::Conflict, Some(format!("it changed after it had been judged anew, and was left alone ({why}); make a plan anew")))
        }
        Ending::Failed(why) => match forbidden(why) {
            Some(words) => (Outcome::Forbidden, Some(words.to_owned())),
            None if why.starts_with(NO_ANSWER) => (Outcome::Failed, Some(format!("{why}; it may have happened all the same: make a plan anew"))),
            None => (Outcome::Failed, Some(why.clone())),
        },
        Ending::Stopped => {
            let paused = state.is_some_and(|state| state.paused.is_some());
            let why = if paused { "every write was paused meanwhile" } else { "the state or the time was not known any more" };
            (Outcome::NotTried, Some(why.to_owned()))
        }
    };
    row.outcome = outcome;
    if let Some(why) = why {
        row.why = why;
    }
}

/// How an answer begins that never came.
const NO_ANSWER: &str = "no answer: ";

/// The API server's words, where it forbids something.
fn forbidden(detail: &str) -> Option<&str> {
    let prefix = ApiError::Forbidden(String::new()).to_string();
    detail.strip_prefix(prefix.as_str())
}

impl Report {
    /// How many decisions ended in each way.
    fn counts(&self) -> BTreeMap<Outcome, usize> {
        let mut counts = BTreeMap::new();
        for row in &self.rows {
            let count: &mut usize = counts.entry(row.outcome).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }
}
