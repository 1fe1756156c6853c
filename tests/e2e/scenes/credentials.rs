//! Credentials on the real parts: a dedicated database comes up by the daemon's Secret alone; a clone made again under its name has
//! others; a daemon that was killed in between is finished by the next; in audit nothing is made. And a key that is lost while clones
//! live is never made again.

use crate::harness::{
    aws::REGION,
    clones::{Clones, Seen},
    install::{Install, decisions},
    orphans::dedicated,
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clonewarden::model::names;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const RULES: &str = "ttl: {minimum: 5s, default: 1h, maximum: 1h, warnings: [], grace: 5s}";
const WITHIN: Duration = Duration::from_secs(40);
/// What the Secret of a clone holds, under each key.
type Held = BTreeMap<String, String>;

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let aws = stage.empty_sky().await?;
    let install = Install::without_key(&stage, "credentials").await?;
    install.govern("enforced", &["credentials"], &format!("mode: enforce\n{RULES}"))?;
    install.govern("watched", &["credentials-audit"], &format!("mode: audit\n{RULES}"))?;
    let clones = Clones::in_new_namespace(&stage.admin, "credentials").await?;
    let watched = Clones::in_new_namespace(&stage.admin, "credentials-audit").await?;
    let daemon = install.start_with_aws(&aws, REGION)?;
    daemon.until_leading().await?;

    // The database: nobody but the daemon makes the Secret that ACK waits for.
    let first = clones.with_database("shop", 3_000, &dedicated()).await?;
    let (held, took) = secret_of(&clones, &first).await?;
    let keys: Vec<_> = held.keys().map(String::as_str).collect();
    ensure!(keys == ["api-key", "db-password", "password", "username"], "it holds {keys:?}");
    for key in ["password", "db-password"] {
        let password = &held[key];
        let fits = (8..=41).contains(&password.len()) && password.bytes().all(|byte| byte.is_ascii_graphic() && !b"/\"@".contains(&byte));
        ensure!(fits, "RDS would not take `{key}`: {} characters", password.len());
    }
    recorded(&clones, "shop").await?;
    aws.until_available("DBInstance", &first.database()).await?;

    // The same name again: another clone, other credentials, and the old ones go with their clone.
    clones.delete("shop").await?;
    let again = clones.with_database("shop", 3_000, &dedicated()).await?;
    let (anew, _) = secret_of(&clones, &again).await?;
    let same: Vec<_> = anew.iter().filter(|(key, value)| held[*key] == **value).map(|(key, _)| key).collect();
    ensure!(same.is_empty(), "the clone made again has the old one's {same:?}");
    let old = path(&clones, &first);
    until("the garbage collector takes the Secret of the clone that is gone", WITHIN, async || {
        ensure!(stage.admin.find(&old).await?.is_none(), "it is still there");
        Ok(())
    })
    .await?;

    // Audit.
    let seen = watched.create("plain", Some(3_000), &json!({})).await?;
    let plan = install.plan().await?;
    let all = plan["decisions"].as_array().context("no decisions")?;
    let about = all.iter().find(|decision| decision["target"]["name"] == name(&seen)).context("the plan says nothing of the Secret")?;
    ensure!(about["action"] == "create" && about["blockedBy"] == "audit", "the plan says {about}");
    ensure!(!decisions(&plan, "credentials-audit", "plain").is_empty(), "nor of its clone");
    daemon.until_planned_after(seen.created()?).await?;
    ensure!(stage.admin.find(&path(&watched, &seen)).await?.is_none(), "in audit a Secret was made");

    // Killed the moment the Secret is there. Whether the clone says so by then is chance: the next daemon sees to it.
    let mut killed = daemon;
    let mut between = 0;
    for round in 0..4 {
        let clone = clones.create(&format!("kill-{round}"), Some(3_000), &json!({})).await?;
        let path = path(&clones, &clone);
        while stage.admin.find(&path).await?.is_none() {
            tokio::task::yield_now().await;
        }
        killed.kill()?;
        between += usize::from(clones.one(clone.name()).await?.annotation(names::CREDENTIALS).is_none());
        let before = stage.admin.get(&path).await?;
        killed = install.start_with_aws(&aws, REGION)?;
        killed.until_leading().await?;
        recorded(&clones, clone.name()).await?;
        let after = stage.admin.get(&path).await?;
        ensure!(before["metadata"]["uid"] == after["metadata"]["uid"] && before["data"] == after["data"], "another Secret stands there");
    }

    // The key.
    let key = format!("/api/v1/namespaces/{}/secrets/{}", install.namespace, names::KEY_SECRET);
    let backup = stage.admin.get(&key).await?;
    stage.admin.delete(&key).await?;
    let lost = [("action", "alert"), ("code", "CredentialsKeyLost")];
    killed.until_metric(WITHIN, "clonewarden_decisions", &lost, 1.0).await?;
    let late = clones.create("late", Some(3_000), &json!({})).await?;
    killed.until_metric(WITHIN, "clonewarden_holds", &[("code", "CredentialsHeld")], 1.0).await?;
    killed.stop().await?;
    let next = install.start_with_aws(&aws, REGION)?;
    next.until_leading().await?;
    next.until_metric(WITHIN, "clonewarden_decisions", &lost, 1.0).await?;
    ensure!(stage.admin.find(&key).await?.is_none(), "another key was made");
    ensure!(stage.admin.find(&path(&clones, &late)).await?.is_none(), "a Secret was made without the key");
    let mut restored = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": names::KEY_SECRET}});
    restored["data"] = backup["data"].clone();
    stage.admin.create(&format!("/api/v1/namespaces/{}/secrets", install.namespace), &restored).await?;
    secret_of(&clones, &late).await?;
    next.until_metric(WITHIN, "clonewarden_decisions", &lost, 0.0).await?;

    next.stop().await?;
    clones.clear().await?;
    watched.clear().await?;
    Ok(format!("a clone has its Secret after {} ms; killed 4 times, {between} of them between Secret and annotation", took.as_millis()))
}

fn name(clone: &Seen) -> String {
    format!("{}-secret", clone.database())
}

fn path(clones: &Clones, clone: &Seen) -> String {
    format!("/api/v1/namespaces/{}/secrets/{}", clones.namespace, name(clone))
}

/// What the Secret of a clone holds, and how long it was in coming.
async fn secret_of(clones: &Clones, clone: &Seen) -> Result<(Held, Duration)> {
    let begun = std::time::Instant::now();
    let path = path(clones, clone);
    let secret = until(&format!("{path} is there"), WITHIN, async || clones.api.get(&path).await).await?;
    let took = begun.elapsed();
    let owner = &secret["metadata"]["ownerReferences"][0];
    ensure!(
        owner["uid"] == clone.uid() && owner["kind"] == names::CLONE_KIND && secret["type"] == "Opaque",
        "it is no clone's: {}",
        secret["metadata"]
    );
    let decoded = |value: &Value| anyhow::Ok(String::from_utf8(STANDARD.decode(value.as_str().context("no text")?)?)?);
    let data = secret["data"].as_object().context("it holds nothing")?;
    let held = data.iter().map(|(key, value)| anyhow::Ok((key.clone(), decoded(value)?)));
    Ok((held.collect::<Result<Held>>()?, took))
}

/// Waits until a clone says which Secret was made for it.
async fn recorded(clones: &Clones, clone: &str) -> Result<()> {
    until(&format!("{clone} says that it has its Secret"), WITHIN, async || {
        let seen = clones.one(clone).await?;
        let said = seen.annotation(names::CREDENTIALS);
        ensure!(said == Some(name(&seen).as_str()), "it says {said:?}");
        Ok(())
    })
    .await
}
