//! What services do with clones, over HTTP with real tokens: create by a key, wait, read credentials, extend, delete. RBAC and
//! admission judge the service; whoever may not read a Secret is not told what is in it; no token or password stands in a log. And
//! schemathesis tries the whole of it against its own OpenAPI document.

use super::secrecy::forms;
use crate::harness::{
    clones::Clones,
    daemon::{self, Daemon},
    door::{self, Balancer},
    install::Install,
    prometheus::Monitoring,
    service::Service,
    stage::{CLONEWARDEN, Stage, manifests},
    tried::Trial,
    wait::until,
};
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clonewarden::{
    export::dashboards::{API_SERVER, SERVICE, WEBHOOK, WEBHOOK_OR_SERVICE},
    model::names,
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

const NAMESPACE: &str = "services";
/// Where schemathesis has rights.
const TRIED: &str = "services-tried";
/// The site's password: the search has to find it nowhere.
const PASSWORD: &str = "tr0ub4dor-and-three";
const WITHIN: Duration = Duration::from_secs(60);
/// How long each of the two runs of schemathesis goes on.
const TRIED_FOR: &str = "15";
const CLONES: &str = "/api/v1/clones";
/// A check of schemathesis: a clone that was deleted takes its time, `202`, and a GET goes on until it is gone.
const SLOW: &str = "use_after_free";

pub(crate) async fn play(stage: Arc<Stage>) -> Result<String> {
    let install = Install::new(&stage, "services").await?;
    let rules = "mode: enforce\nttl: {minimum: 1m, default: 1h, maximum: 2h}\nlimits: {clonesPerOwner: 2}";
    install.govern(NAMESPACE, &[NAMESPACE], rules)?;
    install.govern(TRIED, &[TRIED], "mode: enforce\nlimits: {clonesPerOwner: 5}")?;
    let clones = Clones::in_new_namespace(&stage.admin, NAMESPACE).await?;
    let tried = Clones::in_new_namespace(&stage.admin, TRIED).await?;
    let balancer = Balancer::start().await?;
    door::register(&install, balancer.address, &[NAMESPACE, TRIED]).await?;
    let outcome = serve(&stage, &install, &balancer, &clones).await;
    door::unregister(&stage, &install).await?;
    clones.clear().await?;
    tried.clear().await?;
    outcome
}

/// Who plays, each with a token.
struct Cast {
    api: SocketAddr,
    ca: PathBuf,
    tokens: Vec<String>,
    /// May do everything with clones, and read their Secrets.
    shop: Service,
    /// May not read Secrets.
    reader: Service,
    /// May do nothing.
    poor: Service,
    /// Has no token.
    nobody: Service,
    /// Has a token of nobody's.
    liar: Service,
}

async fn serve(stage: &Arc<Stage>, install: &Install, balancer: &Balancer, clones: &Clones) -> Result<String> {
    let api = daemon::free_address()?;
    let daemon = install.start_with_webhook(&["--api-listen", &api.to_string()])?;
    daemon.until_leading().await?;
    let monitoring = Monitoring::start(&install.file(""), &[daemon.address]).await?;
    balancer.serve(&[daemon.webhook.context("it answers no reviews")?]);
    let cast = cast(stage, install, api).await?;
    until("the webhook answers", WITHIN, async || {
        let dry = format!("/apis/kro.run/v1alpha1/namespaces/{NAMESPACE}/wordpressclones?dryRun=All");
        let spec = json!({"cloneId": "probe", "sourceUrl": "https://example.com"});
        let probe = json!({"apiVersion": "kro.run/v1alpha1", "kind": "WordPressClone", "metadata": {"name": "probe"}, "spec": spec});
        stage.admin.create(&dry, &probe).await
    })
    .await?;
    refused(&cast).await?;
    let (name, up) = created(stage, &cast, clones).await?;
    let secrets = read(stage, &cast, clones, &name).await?;
    extended(&cast, clones, &name).await?;
    limited(&cast).await?;
    deleted(&cast, clones, &name).await?;
    let tried = tried(stage, install, &cast, &daemon).await?;
    judged(stage, install, &cast).await?;
    let searched = searched(&daemon, &cast, secrets).await?;
    let shown = monitoring.until_shown(&[WEBHOOK, SERVICE, WEBHOOK_OR_SERVICE, API_SERVER]).await?;
    daemon.stop().await?;
    Ok(format!("created and working in {:.1} s; {tried}; {searched} searches; {shown} panels show it", up.as_secs_f64()))
}

/// Service accounts with the rights that ship, some of them, or none.
async fn cast(stage: &Arc<Stage>, install: &Install, api: SocketAddr) -> Result<Cast> {
    let role = manifests("people.yaml")?.into_iter().next().context("people.yaml is empty")?;
    let mut objects = vec![role];
    objects.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "clone-secrets", "namespace": NAMESPACE},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
    }));
    for account in ["shop", "reader", "poor"] {
        objects.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": NAMESPACE}}));
    }
    for (namespace, account, kind, role) in [
        (NAMESPACE, "shop", "ClusterRole", "clonewarden-people"),
        (NAMESPACE, "shop", "Role", "clone-secrets"),
        (NAMESPACE, "reader", "ClusterRole", "clonewarden-people"),
        (TRIED, "shop", "ClusterRole", "clonewarden-people"),
    ] {
        objects.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": format!("{account}-{role}"), "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
        }));
    }
    stage.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).await?;
    let mut tokens = Vec::new();
    for account in ["shop", "reader", "poor"] {
        tokens.push(stage.kubectl(&["create", "token", account, "-n", NAMESPACE, "--duration=1h"]).await?.trim().to_owned());
    }
    let secret = format!("/api/v1/namespaces/{}/secrets/clonewarden-webhook", install.namespace);
    let secret = until("the webhook has its certificate", WITHIN, async || stage.admin.get(&secret).await).await?;
    let trusted = STANDARD.decode(secret["data"]["ca.crt"].as_str().context("there is no CA")?)?;
    let ca = install.file("ca.crt");
    std::fs::write(&ca, &trusted)?;
    let service = |token: Option<&str>| Service::new(api, &trusted, token);
    let [shop, reader, poor] = tokens.as_slice() else { bail!("too few tokens") };
    let cast = Cast {
        api,
        ca,
        shop: service(Some(shop))?,
        reader: service(Some(reader))?,
        poor: service(Some(poor))?,
        nobody: service(None)?,
        liar: service(Some("bm90LWEtdG9rZW4"))?,
        tokens: tokens.clone(),
    };
    until("they have their rights", WITHIN, async || {
        for service in [&cast.shop, &cast.reader] {
            service.get(&format!("{CLONES}/{NAMESPACE}/none")).await?.problem(404, "NoClone")?;
        }
        Ok(())
    })
    .await?;
    Ok(cast)
}

fn wish() -> Value {
    json!({"namespace": NAMESPACE, "sourceUrl": "https://example.com", "sourceUsername": "ada", "sourcePassword": PASSWORD, "ttl": "90m"})
}

/// Without a token, with one of nobody's, without rights; and what makes no sense.
async fn refused(cast: &Cast) -> Result<()> {
    let one = format!("{CLONES}/{NAMESPACE}/none");
    cast.nobody.get(&one).await?.problem(401, "Unauthorized")?;
    cast.nobody.post(CLONES, &[], &wish()).await?.problem(401, "Unauthorized")?;
    cast.liar.get(&one).await?.problem(401, "Unauthorized")?;
    cast.liar.post(CLONES, &[("idempotency-key", "k")], &wish()).await?.problem(401, "Unauthorized")?;
    let says = cast.poor.get(&one).await?.problem(403, "Forbidden")?;
    let words = format!("\"system:serviceaccount:{NAMESPACE}:poor\" cannot get resource \"wordpressclones\"");
    ensure!(says.contains(&words), "it says {says}");
    let says = cast.poor.post(CLONES, &[], &wish()).await?.problem(403, "Forbidden")?;
    ensure!(says.contains("cannot create resource"), "it says {says}");
    // Another's rights are not to be had by asking for them.
    let more = [("impersonate-user", "system:admin"), ("impersonate-group", "system:masters")];
    cast.poor.post(CLONES, &more, &wish()).await?.problem(403, "Forbidden")?;
    let elsewhere = json!({"namespace": "kube-system", "sourceUrl": "https://example.com"});
    cast.shop.post(CLONES, &[], &elsewhere).await?.problem(403, "Forbidden")?;
    let mut odd = wish();
    odd["keep"] = json!(true);
    let says = cast.shop.post(CLONES, &[], &odd).await?.problem(400, "BadRequest")?;
    ensure!(says.contains("`keep`") && !says.contains(PASSWORD), "it says {says}");
    let document = cast.nobody.get("/api/v1/openapi.json").await?.with(200)?;
    let printed = std::process::Command::new(CLONEWARDEN).args(["api", "openapi"]).output()?;
    ensure!(document == serde_json::from_slice::<Value>(&printed.stdout)?, "another document is served than is printed");
    Ok(())
}

/// One clone by one key, however often and at whatever moment it is asked for; and it is waited for.
async fn created(stage: &Arc<Stage>, cast: &Cast, clones: &Clones) -> Result<(String, Duration)> {
    let begun = Instant::now();
    let key = [("idempotency-key", "order-17")];
    let body = wish();
    let asked = futures::future::join_all((0..8).map(|_| cast.shop.post(CLONES, &key, &body))).await;
    let mut made = Vec::new();
    for came in asked {
        let came = came?;
        ensure!([200, 201].contains(&came.status), "{}: {}", came.status, came.body);
        made.push((came.status, came.body["name"].clone(), came.body["uid"].clone()));
    }
    ensure!(made.iter().filter(|(status, ..)| *status == 201).count() == 1, "{made:?}");
    ensure!(made.iter().all(|(_, name, uid)| (name, uid) == (&made[0].1, &made[0].2)), "{made:?}");
    let name = made[0].1.as_str().context("it has no name")?.to_owned();
    ensure!(clones.all().await?.len() == 1, "one key made {} clones", clones.all().await?.len());
    let other = json!({"namespace": NAMESPACE, "sourceUrl": "https://example.org"});
    cast.shop.post(CLONES, &key, &other).await?.problem(422, "KeyReused")?;

    let works = cast.shop.get(&format!("{CLONES}/{NAMESPACE}/{name}?wait=120s")).await?.with(200)?;
    ensure!(works["ready"] == true && works["state"] == "works", "it says {works}");
    let up = begun.elapsed();
    let stored = stage.admin.get(&clones.path(&name)).await?;
    let owner = format!("system:serviceaccount:{NAMESPACE}:shop");
    ensure!(stored["metadata"]["annotations"][names::OWNER] == owner.as_str(), "whose it is: {}", stored["metadata"]["annotations"]);
    let text = stored.to_string();
    ensure!(!text.contains(PASSWORD) && !text.contains("order-17"), "the clone says {text}");
    Ok((name, up))
}

/// The credentials are those of the Secret, for whoever may read it.
async fn read(stage: &Arc<Stage>, cast: &Cast, clones: &Clones, name: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let path = format!("{CLONES}/{NAMESPACE}/{name}");
    let seen = clones.one(name).await?;
    let secret = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{}", names::secret_name(name, seen.uid()));
    let secret = until("the Secret is made", WITHIN, async || stage.admin.get(&secret).await).await?;
    let answer = until("it is told", WITHIN, async || {
        let answer = cast.shop.get(&path).await?.with(200)?;
        ensure!(answer["password"].is_string() && answer["url"].is_string(), "it says {answer}");
        Ok(answer)
    })
    .await?;
    let mut secrets = vec![("the source's password".to_owned(), PASSWORD.as_bytes().to_vec())];
    for (key, field) in [("username", "username"), ("password", "password"), ("api-key", "apiKey"), ("db-password", "")] {
        let held = STANDARD.decode(secret["data"][key].as_str().with_context(|| format!("it holds no {key}"))?)?;
        ensure!(field.is_empty() || answer[field].as_str().is_some_and(|said| said.as_bytes() == held), "{field} is another one");
        if key != "username" {
            secrets.push((key.to_owned(), held));
        }
    }
    ensure!(forms(&secrets[3].1).iter().all(|form| !answer.to_string().contains(form)), "the database's password is told");
    let less = cast.reader.get(&path).await?.with(200)?;
    ensure!(less["username"].is_null() && less["password"].is_null() && less["apiKey"].is_null(), "who may not read the Secret is told {less}");
    let note = less["notes"].to_string();
    ensure!(note.contains("may not read the Secret") && note.contains("cannot get resource"), "it notes {note}");
    ensure!(less["state"] == answer["state"] && less["url"] == answer["url"], "{less}");
    Ok(secrets)
}

async fn extended(cast: &Cast, clones: &Clones, name: &str) -> Result<()> {
    clones.until_announced(&[name]).await?;
    let path = format!("{CLONES}/{NAMESPACE}/{name}/extend");
    let created = clones.one(name).await?.created()?;
    let after = |minutes: i64| Ok::<_, anyhow::Error>(json!(created.checked_add(jiff::SignedDuration::from_mins(minutes))?));
    let more = cast.shop.post(&path, &[], &json!({"by": "15m"})).await?.with(200)?;
    ensure!((&more["expiresAt"], &more["ceiling"], &more["announced"]) == (&after(105)?, &after(120)?, &json!("yes")), "it says {more}");
    let far = cast.reader.post(&path, &[], &json!({"by": "30d"})).await?.with(200)?;
    ensure!(far["expiresAt"] == after(120)? && far["askedFor"] != far["expiresAt"], "it says {far}");
    cast.poor.post(&path, &[], &json!({"by": "15m"})).await?.problem(403, "Forbidden")?;
    cast.shop.post(&path, &[], &json!({"until": "2020-01-01T00:00:00Z"})).await?.problem(409, "Passed")?;
    Ok(())
}

/// Admission's refusal comes through, with its code; and the key of a clone that is there is not refused for want of room.
async fn limited(cast: &Cast) -> Result<()> {
    let plain = json!({"namespace": NAMESPACE, "name": "second", "sourceUrl": "https://example.com"});
    cast.shop.post(CLONES, &[], &plain).await?.with(201)?;
    let third = json!({"namespace": NAMESPACE, "sourceUrl": "https://example.com"});
    let says = cast.shop.post(CLONES, &[("idempotency-key", "third")], &third).await?.problem(403, "LimitReached")?;
    let words = format!("2 of 2 clones of `system:serviceaccount:{NAMESPACE}:shop` are in `{NAMESPACE}`");
    ensure!(says.contains("denied the request: LimitReached: ") && says.contains(&words), "it says {says}");
    cast.shop.post(CLONES, &[("idempotency-key", "order-17")], &wish()).await?.with(200)?;
    cast.shop.post(CLONES, &[], &plain).await?.problem(409, "NameTaken")?;
    let path = format!("{CLONES}/{NAMESPACE}/second");
    cast.poor.delete(&path).await?.problem(403, "Forbidden")?;
    cast.shop.delete(&path).await?.with(202)?;
    Ok(())
}

/// Deleted, seen to go, and not made again by its key.
async fn deleted(cast: &Cast, clones: &Clones, name: &str) -> Result<()> {
    let path = format!("{CLONES}/{NAMESPACE}/{name}");
    clones.annotate(name, names::KEEP, "true").await?;
    cast.shop.delete(&path).await?.problem(409, "Kept")?;
    clones.annotate(name, names::KEEP, "false").await?;
    let going = cast.shop.delete(&path).await?.with(202)?;
    ensure!(going["state"] == "terminating", "it says {going}");
    cast.shop.post(CLONES, &[("idempotency-key", "order-17")], &wish()).await?.problem(409, "KeySpent")?;
    until("a GET says that it is gone", WITHIN, async || cast.shop.get(&path).await?.problem(404, "NoClone")).await?;
    clones.until_gone(&[name]).await?;
    let says = until("its key says so too", WITHIN, async || {
        cast.shop.post(CLONES, &[("idempotency-key", "order-17")], &wish()).await?.problem(409, "KeySpent")
    })
    .await?;
    ensure!(says.contains("was seen to go at"), "it says {says}");
    Ok(())
}

/// Schemathesis: anything that the document allows, and much that it does not; then what it allows, in the namespace that there is.
/// Where the document lies it says so.
async fn tried(stage: &Arc<Stage>, install: &Install, cast: &Cast, daemon: &Daemon) -> Result<String> {
    let done = async || {
        let metrics = daemon.metrics().await?;
        let count = |(route, code)| metrics.sum("clonewarden_service_requests_total", &[("route", route), ("code", code)]);
        anyhow::Ok([("create", "201"), ("get", "200"), ("extend", "200"), ("delete", "202")].map(count))
    };
    let before = done().await?;
    let there = json!({"namespace": TRIED, "name": "tried", "sourceUrl": "https://example.com"});
    until("there is a clone to be found", WITHIN, async || cast.shop.post(CLONES, &[], &there).await?.with(201)).await?;
    let served = format!("https://{}/api/v1/openapi.json", cast.api);
    let trial = Trial { stage, install, url: format!("https://{}", cast.api), ca: Some(&cast.ca), token: &cast.tokens[0], head: None };
    let mut words = Vec::new();
    for (mode, here) in [("all", None), ("positive", Some(TRIED))] {
        let args = ["--mode", mode, "--max-time", TRIED_FOR, "--exclude-checks", SLOW];
        words.push(format!("{mode}: {}", trial.finds_nothing(&served, &args, here).await?));
    }
    // It was done, too, not only refused.
    let after = done().await?;
    ensure!(before.iter().zip(&after).all(|(before, after)| after > before), "nothing was done: {before:?}, then {after:?}");
    let mut lie = cast.nobody.get("/api/v1/openapi.json").await?.with(200)?;
    lie["components"]["schemas"]["Problem"]["properties"]["status"]["maximum"] = json!(402);
    trial.notices(&lie, "402").await?;
    Ok(words.join(", "))
}

/// What was asked for a service was asked by it: the daemon itself never made, read or deleted anything for one.
async fn judged(stage: &Arc<Stage>, install: &Install, cast: &Cast) -> Result<()> {
    let events = stage.parts(|platform| platform.audit_events()).await?;
    let of = |event: &&Value, user: &str| event["user"]["username"] == user && event["stage"] == "ResponseComplete";
    let shop = format!("system:serviceaccount:{NAMESPACE}:shop");
    let agent = |event: &&Value| event["userAgent"].as_str().is_some_and(|agent| agent.starts_with("clonewarden-api/"));
    ensure!(events.iter().filter(|event| of(event, &shop) && agent(event)).count() > 20, "the service is not in the audit log");
    let ours: Vec<&Value> = events.iter().filter(|event| of(event, &install.user)).collect();
    ensure!(!ours.iter().any(agent), "the daemon asked for a caller with its own token");
    ensure!(events.iter().filter(agent).all(|event| event["impersonatedUser"].is_null() && event["user"]["username"] != "system:anonymous"));
    let read =
        |event: &&&Value| event["objectRef"]["namespace"] == NAMESPACE && event["objectRef"]["resource"] == "secrets" && event["verb"] == "get";
    ensure!(ours.iter().find(read).is_none(), "the daemon read a Secret of a clone");
    ensure!(cast.tokens.len() == 3, "there are {} tokens", cast.tokens.len());
    Ok(())
}

/// No token, password or key stands in what the daemon said.
async fn searched(daemon: &Daemon, cast: &Cast, mut secrets: Vec<(String, Vec<u8>)>) -> Result<usize> {
    for token in &cast.tokens {
        secrets.push(("a token".to_owned(), token.clone().into_bytes()));
        // Its signature alone would do.
        let signature = token.rsplit('.').next().unwrap_or_default();
        secrets.push(("the signature of a token".to_owned(), signature.as_bytes().to_vec()));
    }
    secrets.push(("an idempotency key".to_owned(), b"order-17".to_vec()));
    let mut places = vec![("log and journal".to_owned(), daemon.said()?)];
    for page in ["/metrics", "/healthz", "/readyz"] {
        places.push((page.to_owned(), daemon.page(page).await?.1));
    }
    ensure!(places[0].1.contains("A service was answered"), "the log says nothing of services: nothing was searched");
    let mut searches = 0;
    for (place, text) in &places {
        for (what, secret) in &secrets {
            for form in forms(secret) {
                ensure!(!text.contains(&form), "{what} stands in {place}");
                searches += 1;
            }
        }
    }
    Ok(searches)
}
