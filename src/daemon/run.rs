//! `clonewarden run`: settings, policies, listener, cluster; then the engine until a signal, a lost lease or a dead part.

use super::{
    autoscalers,
    billing::Asking,
    engine::{Ended, Engine, Vitals},
    guard, lease,
    reload::{self, Following, Start},
    schedule,
    settings::Settings,
    shell::{Shell, Shown},
    shipping,
};
use crate::{
    act::journal::Journal,
    admission::{self, Admission, Shared},
    api::{self, Opened},
    model::Kind,
    notices::{Notices, config::Config},
    observe::{billing::CostExplorer, kube::KubeCluster, rds::RdsCloud, schemas::MySqlHosts},
    plan,
    ports::{Clock, Cloud, CloudError, Cluster, NoCloud},
};
use anyhow::{Context, bail};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The clock of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time).boxed()
    }
}

/// Connects to AWS, if any of its regions is governed.
///
/// # Errors
/// The credentials belong to another account than the one that was given. While the account cannot be asked for, nothing in AWS
/// is known and nothing there is done; that is no reason not to govern clones.
pub async fn connect_cloud(settings: &Settings) -> Result<Option<RdsCloud>, CloudError> {
    if settings.aws_regions.is_empty() {
        if settings.aws_account.is_some() {
            info!("No region is given (--aws-regions), so nothing in AWS is governed and --aws-account means nothing.");
        }
        return Ok(None);
    }
    let rds = RdsCloud::connect(&settings.aws_regions, settings.aws_account.as_deref(), Arc::new(SystemClock)).await;
    let regions = settings.aws_regions.join(",");
    match tokio::time::timeout(ACCOUNT, rds.check_account()).await {
        Ok(Ok(account)) => info!(account, regions, "Talking to AWS."),
        Ok(Err(wrong @ CloudError::Elsewhere(_))) => return Err(wrong),
        Ok(Err(error)) => warn!(%error, regions, "AWS does not say whose credentials these are; until it does, nothing in AWS is known."),
        Err(_) => warn!(regions, "AWS does not answer; until it does, nothing in AWS is known."),
    }
    Ok(Some(rds))
}

/// How long the start waits to hear whose credentials these are. A wrong account must not go unnoticed for a slow answer, and
/// clones must not wait for AWS; every sweep asks again.
const ACCOUNT: Duration = Duration::from_secs(15);

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// When something is wrong before it starts (the address, the journal), or when it had to end: the lease was lost, or a part
/// of it died. The process must then end too, so that another one acts.
pub async fn run(settings: Settings, start: Start, kube: KubeCluster, rds: Option<RdsCloud>) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let kube = Arc::new(kube);
    let cluster: Arc<dyn Cluster> = Arc::<KubeCluster>::clone(&kube);
    let journal = Arc::new(open_journal(&settings)?);
    let written = Arc::clone(&journal);
    let (sweep, wake) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let stop = CancellationToken::new();
    let vitals = Vitals::default();
    let Start { read: reload::Read { folder, policies }, problems } = start;
    info!(revision = %policies.revision, policies = policies.policies.len(), "The policies are loaded.");
    let (set_policies, policies) = watch::channel(Arc::new(policies));
    let (set_broken, broken) = watch::channel(problems.is_some());
    let shown = Shown {
        clock: Arc::clone(&clock),
        cluster: Arc::clone(&cluster),
        vitals: vitals.clone(),
        policies: policies.clone(),
        broken,
        clone_metrics: settings.clone_metrics,
        journal: Arc::clone(&journal),
        reviewer: Some(Arc::<KubeCluster>::clone(&kube)),
        page_token_always: settings.page_token_always,
    };
    let shell = Shell::start(settings.listen, shown, stop.clone()).await?;
    let requests = kube.requests();
    shell.metrics().before_gathering(move |metrics| {
        for (request, count) in requests.counts() {
            metrics.api_requests(request.verb, request.resource, request.outcome, count);
        }
    });

    let told = Arc::clone(&journal);
    shell.metrics().before_gathering(move |metrics| told.tallies().iter().for_each(|tally| metrics.journal(tally)));
    let attempts = rds.as_ref().map(RdsCloud::attempts);
    if let Some(attempts) = attempts {
        shell.metrics().before_gathering(move |metrics| {
            for (attempt, count) in attempts.counts() {
                metrics.aws_requests(attempt.operation, attempt.outcome, count);
            }
        });
    }
    if let Some(collector) = settings.traces.clone() {
        vitals.tracer.start(collector).map_err(|error| anyhow::anyhow!("--otlp-endpoint: {error}"))?;
    }
    let tracer = vitals.tracer.clone();
    shell.metrics().before_gathering(move |metrics| tracer.counts().into_iter().for_each(|(outcome, count)| metrics.spans(outcome, count)));
    let notices = open_notices(&settings, &vitals)?;
    if let Some(notices) = notices.clone() {
        journal.tell(Arc::<Notices>::clone(&notices));
        shell.metrics().before_gathering(move |metrics| notices.tallies().for_each(|tally| metrics.notices(&tally)));
    }
    let cloud: Arc<dyn Cloud> = match rds {
        Some(rds) => Arc::new(rds),
        None => Arc::new(NoCloud),
    };

    let alarm = schedule::start(settings.sweep_every, Arc::clone(&sweep), Arc::clone(&wake)).await?;
    let mut asking = match settings.bills {
        None => None,
        Some(bills) => {
            let (explorer, asked) = (CostExplorer::connect().await, Arc::new(Notify::new()));
            schedule::add_billing(&alarm, bills.every, Arc::clone(&asked)).await?;
            let attempts = explorer.attempts();
            shell.metrics().before_gathering(move |metrics| {
                for (attempt, count) in attempts.counts() {
                    metrics.billing_calls(attempt.outcome, count);
                }
            });
            let (cluster, clock, wake) = (Arc::clone(&cluster), Arc::clone(&clock), Arc::clone(&wake));
            let account = settings.aws_account.as_deref().map(Arc::from);
            let asking = Asking { billing: Arc::new(explorer), cluster, clock, vitals: vitals.clone(), bills, account, asked, wake };
            Some(tokio::spawn(asking.run()))
        }
    };
    let shipping = match &settings.figures {
        None => None,
        Some(figures) => Some(shipping::start(figures, shell.metrics(), &clock, &vitals).await),
    };
    let following = Following {
        path: settings.policies.clone(),
        clock: Arc::clone(&clock),
        cluster: Arc::clone(&cluster),
        fence: vitals.fence.clone(),
        keeper: Arc::clone(&vitals.keeper),
        policies: set_policies,
        broken: set_broken,
        journal: Arc::clone(&journal),
        wake: Arc::clone(&wake),
    };
    let follower = tokio::spawn(following.run(folder, problems));
    tokio::spawn(stop_on_signal(stop.clone())?);
    let looking = autoscalers::Looking {
        cluster: Arc::<KubeCluster>::clone(&kube),
        clock: Arc::clone(&clock),
        store: Arc::clone(&vitals.store),
        policies: policies.clone(),
    };
    let looking = tokio::spawn(looking.run(Arc::clone(shell.metrics())));
    let guarded = tokio::spawn(guard::watch(Arc::<KubeCluster>::clone(&kube), Arc::clone(&clock), Arc::clone(shell.metrics())));
    let cluster_id = match settings.cluster_id {
        Some(id) => Some(id),
        None => cluster_id(cluster.as_ref()).await,
    };
    let identity = identity();
    let close = CancellationToken::new();
    let mut webhook = match &settings.webhook {
        None => None,
        Some(webhook) => {
            let shared = Shared {
                cluster: Arc::clone(&cluster),
                vault: Arc::<KubeCluster>::clone(&kube),
                clock: Arc::clone(&clock),
                vitals: vitals.clone(),
                policies: policies.clone(),
                identity: identity.clone(),
                namespace: kube.namespace().to_owned(),
                metrics: Arc::clone(shell.metrics()),
            };
            Some(admission::open(webhook, shared, stop.clone(), close.clone())?)
        }
    };
    let mut api = match &settings.api {
        None => None,
        Some(api) => {
            let shared =
                api::Shared { clock: Arc::clone(&clock), vitals: vitals.clone(), policies: policies.clone(), metrics: Arc::clone(shell.metrics()) };
            Some(api::open(api, shared, stop.clone(), close.clone()).await?)
        }
    };
    let address = settings.webhook.as_ref().map(|webhook| webhook.advertise.to_string()).unwrap_or_default();
    let watcher = shell.watcher();
    let last = (Arc::clone(&cluster), vitals.leader.clone());
    let tracer = vitals.tracer.clone();
    let engine = Engine {
        cluster,
        cloud,
        hosts: Arc::new(MySqlHosts::new(settings.database_ca)),
        secrets: Arc::<KubeCluster>::clone(&kube),
        sweep_every: settings.sweep_every.get().unsigned_abs(),
        sweep,
        clock,
        identity,
        address,
        cluster_id,
        policies,
        planner: plan::plan,
        wake,
        journal,
        watcher,
        vitals,
    };
    let ended = tokio::select! {
        ended = engine.run(stop.clone()) => ended,
        () = died(webhook.as_mut()) => Ended::TaskDied("admission"),
        () = ended(api.as_mut()) => Ended::TaskDied("API"),
        () = asked(asking.as_mut()) => Ended::TaskDied("billing"),
    };
    if let Some(webhook) = webhook {
        let following = tokio::spawn(async move { lease::follow(last.0.as_ref(), &last.1).await });
        if ended == Ended::Stopped {
            // Reviews still come here until everybody has heard that we go; whoever holds the lease by now judges them.
            tokio::time::sleep(LINGER).await;
        }
        close.cancel();
        webhook.close().await;
        following.abort();
    }
    stop.cancel();
    close.cancel();
    if let Some(api) = api {
        api.close().await;
    }
    follower.abort();
    looking.abort();
    guarded.abort();
    if let Some(shipping) = shipping {
        shipping.end(ended == Ended::Stopped).await;
    }
    if let Some(asking) = asking {
        asking.abort();
    }
    shell.end().await;
    let last_notices = async {
        if let Some(notices) = notices {
            notices.close(LAST_LINES).await;
        }
    };
    tokio::join!(last_notices, tracer.close(LAST_LINES));
    // A disk that hangs must not hold up whoever takes over.
    if let Err(error) = tokio::task::spawn_blocking(move || written.close(LAST_LINES)).await {
        warn!(%error, "The last lines of the journal may be missing.");
    }
    match ended {
        Ended::Stopped => {
            info!("Stopped.");
            Ok(())
        }
        Ended::LeaseLost => bail!("the lease was lost: this process ends, so that only one acts"),
        Ended::TaskDied(part) => bail!("the {part} task died: this is a bug; the process ends rather than run without it"),
    }
}

/// How long reviews are still handed on after the lease was given back: about what it takes until no new ones come.
const LINGER: Duration = Duration::from_secs(3);

/// How long the last lines of the journal may take, and the last notifications and spans.
const LAST_LINES: Duration = Duration::from_secs(3);

async fn died(webhook: Option<&mut Admission>) {
    match webhook {
        Some(webhook) => webhook.ended().await,
        None => std::future::pending().await,
    }
}

async fn ended(api: Option<&mut Opened>) {
    match api {
        Some(api) => api.ended().await,
        None => std::future::pending().await,
    }
}

async fn asked(asking: Option<&mut JoinHandle<()>>) {
    match asking {
        // It ends by a panic alone.
        Some(asking) => drop(asking.await),
        None => std::future::pending().await,
    }
}

fn open_notices(settings: &Settings, vitals: &Vitals) -> anyhow::Result<Option<Arc<Notices>>> {
    let Some(file) = &settings.notifications else { return Ok(None) };
    let config = Config::read(file).map_err(|problems| anyhow::anyhow!("--notifications: {}", problems.join("; ")))?;
    Ok(Some(Arc::new(Notices::start(config, vitals.fence.clone()).map_err(|error| anyhow::anyhow!("--notifications: {error}"))?)))
}

fn open_journal(settings: &Settings) -> anyhow::Result<Journal> {
    let place = settings.journal.file.as_ref().map_or_else(|| "standard output".to_owned(), |kept| format!("`{}`", kept.path.display()));
    Journal::open(&settings.journal).with_context(|| format!("the journal cannot be written to {place}"))
}

/// The default cluster id: the UID of the kube-system namespace. Without one nothing in AWS is ours, which is safe.
async fn cluster_id(cluster: &dyn Cluster) -> Option<Arc<str>> {
    match cluster.get(Kind::Namespace, "", "kube-system").await {
        Ok(Some(namespace)) => namespace.pointer("/metadata/uid").and_then(serde_json::Value::as_str).map(Arc::from),
        Ok(None) => None,
        Err(error) => {
            warn!(%error, "The namespace kube-system cannot be read; without --cluster-id nothing in AWS is taken for ours.");
            None
        }
    }
}

/// A name in the Lease that no other process has: two with one name would both hold it.
fn identity() -> String {
    let host = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_else(|_| "clonewarden".to_owned());
    format!("{host}_{}_{}", std::process::id(), Timestamp::now().as_microsecond())
}

fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened for")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: finishing what is under way, then releasing the lease."),
            _ = interrupt.recv() => info!("Interrupted: finishing what is under way, then releasing the lease."),
        }
        stop.cancel();
    })
}
