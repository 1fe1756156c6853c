//! The shipped policies, enforced, through webhook, RGD and KRO together: in staging every clone lives on the one shared host; in
//! production critical clones get a database of their own and the rest share one. And with the daemon down: nobody gets in, and
//! KRO still finishes what somebody deletes.

use crate::harness::{
    clones::Clones,
    door::{self, Balancer},
    install::Install,
    stage::Stage,
    wait::until,
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{fs, path::Path, sync::Arc, time::Duration};

const STAGING: &str = "placement-staging";
const PRODUCTION: &str = "placement-production";
const STAGING_HOST: &str = "staging-mysql.example.us-east-1.rds.amazonaws.com:3306";
const KRO_WITHIN: Duration = Duration::from_secs(60);

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "placement").await?;
    for file in ["staging.yaml", "production.yaml"] {
        let shipped = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(file))?;
        ensure!(shipped.contains("mode: audit"), "policies/{file} does not ship in audit");
        let text = shipped.replace("wordpress-staging", STAGING).replace("wordpress-production", PRODUCTION).replace("mode: audit", "mode: enforce");
        fs::write(install.policies().join(file), text)?;
    }
    let staging = Clones::in_new_namespace(&stage.admin, STAGING).await?;
    let production = Clones::in_new_namespace(&stage.admin, PRODUCTION).await?;
    let balancer = Balancer::start().await?;
    door::register(&install, balancer.address, &[STAGING, PRODUCTION]).await?;
    let outcome = place(&stage, &install, &balancer, &staging, &production).await;
    door::unregister(&stage, &install).await?;
    for clones in [&staging, &production] {
        clones.clear().await?;
    }
    outcome
}

async fn place(stage: &Arc<Stage>, install: &Install, balancer: &Balancer, staging: &Clones, production: &Clones) -> Result<String> {
    let daemon = install.start_with_webhook(&[])?;
    daemon.until_leading().await?;
    balancer.serve(&[daemon.webhook.context("it answers no reviews")?]);
    let critical = json!({"clonewarden.io/critical": "true"});
    until("the webhook answers", Duration::from_secs(30), async || create(stage, STAGING, "s-one", json!({}), json!({})).await.map(drop)).await?;
    let wish = create(stage, STAGING, "s-two", critical.clone(), json!({"useDedicatedDatabase": true})).await?;
    ensure!(wish["spec"]["useDedicatedDatabase"] == false, "in staging nobody has a database of their own: {wish}");
    let plain = create(stage, PRODUCTION, "p-one", json!({}), json!({})).await?;
    let own = create(stage, PRODUCTION, "p-two", critical, json!({"databaseSize": "db.t3.small"})).await?;
    ensure!(own["spec"]["useDedicatedDatabase"] == true && own["spec"]["databaseSize"] == "db.t3.small", "a critical clone: {own}");
    let reason = own["metadata"]["annotations"]["clonewarden.io/placement-reason"].as_str().unwrap_or_default();
    ensure!(reason == "dedicated `db.t3.small`: rule `critical` of policy `production`", "the reason is `{reason}`");
    let shared = plain["spec"]["sharedDatabase"]["host"].as_str().unwrap_or_default().to_owned();
    ensure!(shared.starts_with("production-aurora."), "it lives on `{shared}`");

    for (namespace, name, host) in [(STAGING, "s-one", STAGING_HOST), (STAGING, "s-two", STAGING_HOST), (PRODUCTION, "p-one", &shared)] {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}-db-shared");
        until(&format!("KRO tells {name} where its database is"), KRO_WITHIN, async || {
            let told = stage.admin.get(&path).await?;
            ensure!(told["data"]["WORDPRESS_DB_HOST"] == host, "it is told {}", told["data"]);
            Ok(())
        })
        .await?;
    }
    let database = format!("/apis/rds.services.k8s.aws/v1alpha1/namespaces/{PRODUCTION}/dbinstances/p-two-db");
    until("KRO makes the database of p-two", KRO_WITHIN, async || {
        let made = stage.admin.get(&database).await?;
        ensure!(made["spec"]["dbInstanceClass"] == "db.t3.small", "it is {}", made["spec"]);
        Ok(())
    })
    .await?;

    daemon.stop().await?;
    let refused = create(stage, STAGING, "s-three", json!({}), json!({})).await;
    ensure!(refused.is_err_and(|error| format!("{error:#}").contains("failed calling webhook")), "with the webhook away somebody got in");
    staging.delete("s-one").await.context("with the webhook away KRO cannot finish a deletion")?;
    production.delete("p-one").await.context("with the webhook away KRO cannot finish a deletion")?;
    Ok("4 clones placed; deletions finished without the webhook".to_owned())
}

async fn create(stage: &Stage, namespace: &str, name: &str, labels: Value, spec: Value) -> Result<Value> {
    let mut object = json!({
        "apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"cloneId": name, "sourceUrl": "https://example.com"},
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    stage.admin.create(&format!("/apis/kro.run/v1alpha1/namespaces/{namespace}/wordpressclones"), &object).await
}
