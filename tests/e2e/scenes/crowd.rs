//! A hundred clones at once in a namespace whose limit and quota fit them. Each gets Secret, schema and user, and its user gets
//! nowhere else; all leave and nothing is left; a name that is deleted and made again at once gets all of it anew, whoever kills the
//! daemon in between.
//!
//! How long it took until each worked is said, and asserted nowhere: `make bench` plays this scene for its figures.

use crate::harness::{
    clones::{Clones, Seen},
    daemon::Daemon,
    door::{self, Balancer},
    install::Install,
    mariadb,
    stage::{CLUSTER_ID, Stage},
    wait::until,
};
use anyhow::{Context, Result, ensure};
use clonewarden::{model::schema::RowState, ports::DatabaseHost};
use clonewarden_platform::MariaDb;
use futures::{StreamExt, TryStreamExt, stream};
use mysql_async::prelude::Queryable;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

const NAMESPACE: &str = "crowd";
/// As the original platform has it in production.
const CROWD: usize = 100;
/// How many are deleted and made again while the daemon is killed, and how often it is.
const AGAIN: usize = 20;
const KILLS: usize = 3;
/// Within the five minutes of the original design, and of a scene.
const WITHIN: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(250);
/// How many clients are under way at once.
const IN_FLIGHT: usize = 32;

/// When each clone had what, after its creation was asked for.
#[derive(Default)]
struct Came {
    /// Job, Service, Ingress, ConfigMap and a running Pod: what KRO and the controllers do.
    platform: BTreeMap<String, f64>,
    /// That, and its Secret and its schema.
    works: BTreeMap<String, f64>,
}

struct Ground {
    stage: Arc<Stage>,
    install: Install,
    clones: Clones,
    mariadb: MariaDb,
    balancer: Balancer,
}

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, NAMESPACE).await?;
    let clones = Clones::in_new_namespace(&stage.admin, NAMESPACE).await?;
    let mariadb = mariadb::server()?;
    install.share(&mariadb::document(&mariadb, 200))?;
    install.govern(
        NAMESPACE,
        &[NAMESPACE],
        &format!(
            "mode: enforce\nttl: {{minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}}\norphans: {{soak: 3s, observations: 2}}\n\
             limits: {{clones: {CROWD}, clonesPerOwner: {CROWD}}}\nquota: {{requests.cpu: \"25\", requests.memory: 50Gi, pods: {CROWD}}}\n\
             brake: {{deletes: 1000, percent: 100}}\ndatabases: [{{name: all, use: shared, hosts: [shared]}}]"
        ),
    )?;
    let balancer = Balancer::start().await?;
    door::register(&install, balancer.address, &[NAMESPACE]).await?;
    let ground = Ground { stage, install, clones, mariadb, balancer };
    let outcome = ground.live().await;
    door::unregister(&ground.stage, &ground.install).await?;
    ground.clones.clear().await?;
    outcome
}

fn name(number: usize) -> String {
    format!("clone-{number:03}")
}

impl Ground {
    async fn live(&self) -> Result<String> {
        let daemon = self.start().await?;
        let quota = format!("/api/v1/namespaces/{NAMESPACE}/resourcequotas/clonewarden");
        until("the quota is there", WITHIN, || self.stage.admin.get(&quota)).await?;
        let numbers: Vec<usize> = (0..CROWD).collect();
        let begun = Instant::now();
        let (first, came) = futures::try_join!(self.create(&numbers), self.watch(begun))?;
        let refused = self.try_create(CROWD).await?.err().context("one more than the limit is let in")?;
        ensure!(refused.contains("LimitReached"), "one more is refused for another reason: {refused}");
        self.log_in(&first).await.context("who gets in where")?;
        let passwords = self.passwords().await?;
        let (daemon, again) = self.again(daemon, &first).await.context("made again")?;
        self.log_in(&again).await.context("who gets in where, made again")?;
        let renewed = self.passwords().await?;
        for clone in &again {
            ensure!(!passwords.values().any(|before| Some(before) == renewed.get(clone.uid())), "{} has the password of another", clone.name());
        }
        let all = self.clones.all().await?;
        ensure!(all.len() == CROWD, "{} live", all.len());
        self.clones.delete_all(&all.iter().map(Seen::name).collect::<Vec<_>>()).await?;
        self.until_nothing_is_left(&all).await?;
        daemon.stop().await?;
        Ok(came.told())
    }

    async fn start(&self) -> Result<Daemon> {
        let ca = self.mariadb.ca.display().to_string();
        let daemon = self.install.start_with_webhook(&["--database-ca", &ca, "--sweep-every", "1s"])?;
        daemon.until_leading().await?;
        self.balancer.serve(&[daemon.webhook.context("it answers no reviews")?]);
        until("the webhook answers", WITHIN, async || self.dry_run().await).await?;
        Ok(daemon)
    }

    fn object(number: usize) -> serde_json::Value {
        let name = name(number);
        json!({
            "apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": {"namespace": NAMESPACE, "name": name},
            "spec": {"cloneId": name, "sourceUrl": "https://example.com"},
        })
    }

    async fn dry_run(&self) -> Result<()> {
        let path = self.clones.path("");
        let made = self.stage.admin.try_create(&format!("{}?dryRun=All", path.trim_end_matches('/')), &Self::object(CROWD + 1)).await?;
        // Whatever it answers: that there is no room is an answer, too.
        match made {
            Ok(_) => Ok(()),
            Err((_, words)) if words.contains("denied the request") => Ok(()),
            Err((code, words)) => anyhow::bail!("{code}: {words}"),
        }
    }

    /// The clone, or the words with which it is refused.
    async fn try_create(&self, number: usize) -> Result<Result<serde_json::Value, String>> {
        let path = self.clones.path("");
        Ok(self.stage.admin.try_create(path.trim_end_matches('/'), &Self::object(number)).await?.map_err(|(_, words)| words))
    }

    /// Creates all of these at once; one that is told to try again does.
    async fn create(&self, numbers: &[usize]) -> Result<Vec<Seen>> {
        let create = |number: usize| async move {
            until(&format!("{} is created", name(number)), WITHIN, async || match self.try_create(number).await? {
                Ok(_) => Ok(()),
                Err(words) if words.contains("already exists") => Ok(()),
                Err(words) => anyhow::bail!("{words}"),
            })
            .await
        };
        stream::iter(numbers.to_vec()).map(create).buffer_unordered(CROWD).try_collect::<()>().await?;
        let wanted: BTreeSet<String> = numbers.iter().copied().map(name).collect();
        let all = self.clones.all().await?;
        Ok(all.into_iter().filter(|clone| wanted.contains(clone.name())).collect())
    }

    /// The UIDs of the clones whose schema and user are there.
    async fn ready(&self) -> Result<BTreeSet<String>> {
        let facts = mariadb::adapter(&self.mariadb).look(&mariadb::host(&self.mariadb, self.mariadb.port)).await?;
        let ready = facts.schemas.iter().filter(|schema| schema.there && schema.user);
        let rows = ready.filter_map(|schema| schema.proven(CLUSTER_ID)).filter(|row| row.state == Some(RowState::Ready));
        Ok(rows.map(|row| row.uid.clone()).collect())
    }

    /// The password of the database in each clone's Secret, by the UID of the clone.
    async fn passwords(&self) -> Result<BTreeMap<String, String>> {
        let mut found = BTreeMap::new();
        for secret in self.stage.admin.list(&format!("/api/v1/namespaces/{NAMESPACE}/secrets")).await? {
            let owner = secret.pointer("/metadata/ownerReferences/0/uid").and_then(serde_json::Value::as_str);
            let (Some(owner), Some(encoded)) = (owner, secret["data"]["db-password"].as_str()) else { continue };
            let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded)?;
            found.insert(owner.to_owned(), String::from_utf8(bytes)?);
        }
        Ok(found)
    }

    /// Looks until every clone works, and notes when each came to do so.
    async fn watch(&self, begun: Instant) -> Result<Came> {
        let mut came = Came::default();
        while came.works.len() < CROWD {
            let (parts, secrets, ready) = futures::try_join!(self.clones.parts(), self.passwords(), self.ready())?;
            let at = begun.elapsed();
            let mut up: BTreeMap<&str, usize> = BTreeMap::new();
            parts.iter().filter(|part| part.up).for_each(|part| *up.entry(part.clone.as_str()).or_default() += 1);
            for (uid, _) in up.into_iter().filter(|(_, up)| *up >= 5) {
                came.platform.entry(uid.to_owned()).or_insert(at.as_secs_f64());
                if secrets.contains_key(uid) && ready.contains(uid) {
                    came.works.entry(uid.to_owned()).or_insert(at.as_secs_f64());
                }
            }
            ensure!(at < WITHIN, "after {at:.0?} only {} clones work, of {} that KRO has made", came.works.len(), came.platform.len());
            tokio::time::sleep(LOOK).await;
        }
        Ok(came)
    }

    async fn until_work(&self, clones: &[Seen]) -> Result<()> {
        until(&format!("{} clones have Secret and schema", clones.len()), WITHIN, async || {
            let (secrets, ready) = futures::try_join!(self.passwords(), self.ready())?;
            let lacks = clones.iter().filter(|clone| !secrets.contains_key(clone.uid()) || !ready.contains(clone.uid()));
            let lacks: Vec<&str> = lacks.map(Seen::name).collect();
            ensure!(lacks.is_empty(), "not {}", lacks.join(", "));
            Ok(())
        })
        .await?;
        self.clones.until_up(clones).await.map(drop)
    }

    /// Each user gets into its own schema, and into no other of all that there are.
    async fn log_in(&self, clones: &[Seen]) -> Result<()> {
        let passwords = self.passwords().await?;
        let mut others: Vec<String> = self.clones.all().await?.iter().map(Seen::schema).collect();
        let like: Vec<String> = clones.iter().take(3).map(|clone| clone.schema().replace('_', "X")).collect();
        for schema in &like {
            self.mariadb.sql(&format!("CREATE DATABASE {schema}; CREATE TABLE {schema}.t (a INT)"))?;
        }
        others.extend(like.iter().cloned().chain(["clonewarden", "mysql"].map(str::to_owned)));
        let others = &others;
        let users: Vec<(String, String)> =
            clones.iter().map(|clone| (clone.schema(), passwords.get(clone.uid()).cloned().unwrap_or_default())).collect();
        let log_in = |(schema, password): (String, String)| async move {
            let mut client = mariadb::client(&self.mariadb, &schema, &password).await?;
            client.query_drop(format!("CREATE TABLE {schema}.mine (a INT); INSERT INTO {schema}.mine VALUES (1)")).await?;
            for other in others.iter().filter(|other| **other != schema) {
                ensure!(client.query_drop(format!("USE `{other}`")).await.is_err(), "the user of {schema} gets into {other}");
            }
            let seen: Vec<String> = client.query("SHOW DATABASES").await?;
            let seen: Vec<_> = seen.into_iter().filter(|seen| *seen != "information_schema").collect();
            ensure!(seen == [schema.clone()], "the user of {schema} sees {seen:?}");
            client.disconnect().await?;
            anyhow::Ok(())
        };
        stream::iter(users).map(log_in).buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
        for schema in &like {
            self.mariadb.sql(&format!("DROP DATABASE {schema}"))?;
        }
        Ok(())
    }

    /// Some are deleted and made again under the same names, half of them at once, while the schemas of those before them are dropped,
    /// and half right before the daemon is killed. Before that the old schemas have gone: a daemon that finds one of a clone it never
    /// saw, beside a living clone of its name, leaves it to a person.
    async fn again(&self, mut daemon: Daemon, first: &[Seen]) -> Result<(Daemon, Vec<Seen>)> {
        let old = first.get(..AGAIN).context("too few")?;
        let mut new: Vec<Seen> = Vec::new();
        for some in old.chunks(AGAIN.div_ceil(KILLS)) {
            let names: Vec<&str> = some.iter().map(Seen::name).collect();
            self.clones.delete_all(&names).await?;
            let numbers: Vec<usize> = names.iter().filter_map(|name| name.rsplit_once('-')?.1.parse().ok()).collect();
            let (at_once, then) = numbers.split_at(numbers.len() / 2);
            new.extend(self.create(at_once).await?);
            self.until_dropped(some).await?;
            new.extend(self.create(then).await?);
            tokio::time::sleep(Duration::from_millis(40 * new.len() as u64)).await;
            daemon.kill()?;
            daemon = self.start().await?;
        }
        ensure!(new.len() == AGAIN, "{} were made again", new.len());
        let before: BTreeSet<&str> = old.iter().map(Seen::uid).collect();
        ensure!(!new.iter().any(|clone| before.contains(clone.uid())), "the same UID came again");
        self.until_work(&new).await?;
        self.until_dropped(old).await?;
        Ok((daemon, new))
    }

    async fn until_dropped(&self, clones: &[Seen]) -> Result<()> {
        until(&format!("the schemas and users of {} clones are gone", clones.len()), WITHIN, async || {
            let facts = mariadb::adapter(&self.mariadb).look(&mariadb::host(&self.mariadb, self.mariadb.port)).await?;
            let gone: BTreeSet<String> = clones.iter().map(Seen::schema).collect();
            let left: Vec<_> = facts.schemas.iter().filter(|schema| gone.contains(&schema.name)).map(|schema| schema.name.as_str()).collect();
            ensure!(left.is_empty(), "left: {}", left.join(", "));
            Ok(())
        })
        .await
    }

    async fn until_nothing_is_left(&self, clones: &[Seen]) -> Result<()> {
        let uids: Vec<&str> = clones.iter().map(Seen::uid).collect();
        self.clones.until_swept(&uids).await?;
        self.until_dropped(clones).await?;
        until("their Secrets are gone", WITHIN, async || {
            let left = self.passwords().await?;
            ensure!(left.is_empty(), "{} are left", left.len());
            Ok(())
        })
        .await
    }
}

impl Came {
    fn told(&self) -> String {
        let share = |mut all: Vec<f64>, share: f64| {
            all.sort_by(f64::total_cmp);
            all.get(((all.len().max(1) - 1) as f64 * share).round() as usize).copied().unwrap_or_default()
        };
        let more: Vec<f64> = self.works.iter().map(|(uid, works)| works - self.platform.get(uid).unwrap_or(works)).collect();
        let works: Vec<f64> = self.works.values().copied().collect();
        let platform: Vec<f64> = self.platform.values().copied().collect();
        format!(
            "{} at once: each works p50 {:.1} s, p99 {:.1} s after all were asked for; KRO and the controllers alone p99 {:.1} s; more than they p99 {:.1} s",
            works.len(),
            share(works.clone(), 0.5),
            share(works, 0.99),
            share(platform, 0.99),
            share(more, 0.99),
        )
    }
}
