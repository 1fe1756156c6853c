//! `clonewarden apply`: carries out what somebody has approved of a plan, with the rights of whoever calls it.
//!
//! Contract: nothing is done but the decisions of the document that are the very same in a plan made anew; who approved them is written down
//! before the first of them is carried out, and how it ended after the last. While writes are paused nothing is done.

mod gate;
mod report;
#[cfg(test)]
mod tests;

use self::report::{Report, Row};
use super::{Failure, inputs, live, output};
use crate::{
    act::{
        approvals::{self, ApprovalsError},
        executor::{Executor, Tools},
        journal::{Ending, Journal},
        notify::Notes,
        state::Keeper,
    },
    approve::{self, Document, Fate, Fault, Outcome},
    daemon::{lease::Fence, run::SystemClock},
    model::{
        Source, Span, State,
        approval::{Approval, ApprovalEnd, MOST_APPROVED},
    },
    observe::{kube::person::Person, store::Store},
    plan::{Plan, accrual, decision, plan},
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

/// How often it is looked whether somebody has paused everything meanwhile, or rolled out other policies.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether there is a place to write down who approved.
const PLACE_TRIES: usize = 5;
/// How long the Events about what was done may take to be written. They are a courtesy.
const EVENTS_WITHIN: Duration = Duration::from_secs(10);

/// `apply`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The document that `plan -o json` wrote, with what is not approved taken out of it; `-`: standard input
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// The folder with the policy files, or one of them alone; they must be those that the plan was made by
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR")]
    policies: PathBuf,
    /// How old the plan may be
    #[arg(long, env = "CLONEWARDEN_MAX_AGE", value_name = "DURATION", default_value = "1h")]
    max_age: Span,
    /// Why it is all right; it is kept with who approved
    #[arg(long, value_name = "TEXT", value_parser = inputs::reason)]
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
    gate::held(cluster.as_ref()).await?;
    gate::not_paused(&snapshot.state)?;
    gate::in_force(&snapshot.state, asked)?;
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
        report.fail();
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
        // As they stand in the document; what they cost is ours to say.
        decisions: rows
            .iter()
            .filter(|row| row.outcome == Outcome::WouldApply)
            .zip(&chosen)
            .map(|(row, decision)| row.approved(decision, accrual::price(decision, &plan, &asked.policies, at, true)))
            .collect(),
        told: false,
        ended: None,
    };
    let noted = note(cluster.as_ref(), clock.as_ref(), &approval).await;
    noted.map_err(|error| unwritten("who approved cannot be written down, so nothing is carried out", error))?;
    let (endings, state) = by_the_executor(&cluster, &clock, &asked.policies, Plan { decisions: chosen, ..plan }).await;
    let carried = rows.iter_mut().filter(|row| row.outcome == Outcome::WouldApply);
    for (row, ending) in carried.zip(&endings) {
        tell(row, ending, state.as_ref(), &asked.policies.revision.hash);
    }
    report.approval = Some(approval.id.clone());
    report.rows = rows;
    report.fail();
    let end = ApprovalEnd {
        at: clock.now(),
        outcomes: report.counts().into_iter().map(|(outcome, count)| (outcome.word().to_owned(), count)).collect(),
        told: false,
    };
    let each = report.rows.iter().map(|row| (row.entry.id.clone(), row.outcome.word().to_owned())).collect();
    let written = approvals::change(cluster.as_ref(), |known| known.end(&approval.id, &end, &each));
    if let Err(error) = written.await {
        report.failure = Some(unwritten("what was done is done, but how it ended cannot be written down", error));
    }
    Ok(report)
}

/// Writes down who approved. A daemon that has just taken the lease is given the time to make the place for it.
async fn note(cluster: &dyn Cluster, clock: &dyn Clock, approval: &Approval) -> Result<(), ApprovalsError> {
    for _ in 0..PLACE_TRIES {
        match approvals::change(cluster, |known| known.note(approval.clone())).await {
            Err(ApprovalsError::Missing) => clock.sleep(LOOK_EVERY).await,
            noted => return noted,
        }
    }
    Err(ApprovalsError::Missing)
}

fn unwritten(what: &'static str, error: ApprovalsError) -> Failure {
    Failure::failed(anyhow!(error).context(what))
}

/// Carries the approved decisions out by the daemon's own executor; how each ended, and the state as it was known last.
async fn by_the_executor(cluster: &Arc<dyn Cluster>, clock: &Arc<dyn Clock>, policies: &Arc<Policies>, plan: Plan) -> (Vec<Ending>, Option<State>) {
    let keeper = Arc::new(Keeper::default());
    keeper.refresh(cluster.as_ref()).await;
    // Read once more, after it was written down who approved: a pause and other policies are seen that have come until then.
    let state = keeper.state();
    if state.as_ref().and_then(|state| state.policies.as_deref()) != Some(policies.revision.hash.as_ref()) {
        return (vec![Ending::Stopped; plan.decisions.len()], state);
    }
    // No lease: what one person writes is pinned to what was judged.
    let fence = Fence::open();
    let watching = tokio::spawn({
        let (keeper, cluster, clock, fence) = (Arc::clone(&keeper), Arc::clone(cluster), Arc::clone(clock), fence.clone());
        let revision = Arc::clone(&policies.revision.hash);
        async move {
            loop {
                clock.sleep(LOOK_EVERY).await;
                keeper.refresh(cluster.as_ref()).await;
                if keeper.state().is_some_and(|state| state.policies.as_deref() != Some(revision.as_ref())) {
                    fence.close();
                }
            }
        }
    });
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
        // The daemon has the journal; it learns of this by the approval.
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
fn tell(row: &mut Row, ending: &Ending, state: Option<&State>, revision: &str) {
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
            let why = match state {
                Some(state) if state.paused.is_some() => "every write was paused meanwhile",
                Some(state) if state.policies.as_deref() != Some(revision) => "the daemon acts by other policies meanwhile",
                _ => "the state or the time was not known any more",
            };
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
    /// The command fails where something that could have been carried out was not.
    fn fail(&mut self) {
        if self.rows.iter().any(|row| row.outcome.is_failure()) {
            self.failure = Some(Failure::found(String::new()));
        }
    }

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
