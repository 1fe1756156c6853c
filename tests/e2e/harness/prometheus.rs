//! A real Prometheus that scrapes daemons, and a real Alertmanager that hands on what it raises.

use super::{daemon::free_address, metrics, wait::until};
use anyhow::{Context, Result, ensure};
use axum::{Json, Router, extract::State, routing::post};
use clonewarden::{
    export::dashboards::{self, Dashboard, Panel},
    model::names,
};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long either may take to start.
const UP_WITHIN: Duration = Duration::from_secs(30);

/// The two, and whom the second one tells; they are killed when this is dropped.
pub(crate) struct Monitoring {
    prometheus: SocketAddr,
    told: Arc<Mutex<Vec<Value>>>,
    children: Vec<Child>,
}

impl Monitoring {
    /// Starts both in this folder. The rules are those in `deploy/`, but that none of them waits before it fires.
    pub(crate) async fn start(folder: &Path, targets: &[SocketAddr]) -> Result<Self> {
        let (prometheus, alertmanager, cluster, receiver) = (free_address()?, free_address()?, free_address()?, free_address()?);
        let told = Arc::default();
        let listener = tokio::net::TcpListener::bind(receiver).await?;
        let service = Router::new().route("/", post(take)).with_state(Arc::clone(&told));
        tokio::spawn(async move { axum::serve(listener, service).await });

        let rules = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/monitoring/rules.yaml"))?;
        let at_once: String = rules.lines().filter(|line| !line.trim_start().starts_with("for: ")).map(|line| format!("{line}\n")).collect();
        ensure!(at_once.len() < rules.len(), "the rules wait for nothing");
        fs::write(folder.join("rules.yaml"), at_once)?;
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        let settings = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.to_string()]}]}]},
            "scrape_configs": [{"job_name": names::OURSELVES, "static_configs": [{"targets": targets}], "honor_labels": true}],
        });
        fs::write(folder.join("prometheus.yaml"), settings.to_string())?;
        let settings = json!({
            "route": {"receiver": "us", "group_by": ["alertname"], "group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h"},
            "receivers": [{"name": "us", "webhook_configs": [{"url": format!("http://{receiver}/"), "send_resolved": true}]}],
        });
        fs::write(folder.join("alertmanager.yaml"), settings.to_string())?;
        let children = vec![
            spawn(
                "prometheus",
                &[
                    "--config.file=prometheus.yaml".to_owned(),
                    "--storage.tsdb.path=prometheus".to_owned(),
                    format!("--web.listen-address={prometheus}"),
                ],
                folder,
            )?,
            spawn(
                "prometheus-alertmanager",
                &[
                    "--config.file=alertmanager.yaml".to_owned(),
                    "--storage.path=alertmanager".to_owned(),
                    format!("--web.listen-address={alertmanager}"),
                    format!("--cluster.listen-address={cluster}"),
                ],
                folder,
            )?,
        ];
        let monitoring = Self { prometheus, told, children };
        for (name, address) in [("prometheus", prometheus), ("alertmanager", alertmanager)] {
            until(&format!("{name} is ready"), UP_WITHIN, async || {
                let (status, said) = metrics::get(address, "/-/ready").await?;
                ensure!(status == 200, "{status}: {said}");
                Ok(())
            })
            .await?;
        }
        Ok(monitoring)
    }

    /// What an expression gives now: each series with its labels and its value.
    pub(crate) async fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let form: String = form_urlencoded(expression);
        let (status, said) = metrics::get(self.prometheus, &format!("/api/v1/query?query={form}")).await?;
        ensure!(status == 200, "`{expression}`: {status}: {said}");
        let answer: Value = serde_json::from_str(&said)?;
        Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until every panel of a dashboard whose `needs` is one of these shows something; says how many there are.
    pub(crate) async fn until_shown(&self, needs: &[&str]) -> Result<usize> {
        let panels: Vec<&'static Panel> = dashboards::ALL.iter().flat_map(Dashboard::panels).filter(|panel| needs.contains(&panel.needs)).collect();
        ensure!(needs.iter().all(|need| panels.iter().any(|panel| panel.needs == *need)), "no panel needs one of {needs:?}");
        for panel in &panels {
            for query in panel.queries {
                let sent = query.expression.replace("$__rate_interval", "1m");
                until(&format!("`{}` shows something", panel.title), Duration::from_secs(20), async || {
                    ensure!(!self.query(&sent).await?.is_empty(), "`{sent}` has no series");
                    Ok(())
                })
                .await?;
            }
        }
        Ok(panels.len())
    }

    /// The rules that Prometheus could not evaluate, with why.
    pub(crate) async fn sick_rules(&self) -> Result<Vec<String>> {
        let (_, said) = metrics::get(self.prometheus, "/api/v1/rules").await?;
        let answer: Value = serde_json::from_str(&said)?;
        let groups = answer["data"]["groups"].as_array().context("Prometheus has no rules")?;
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
        Ok(rules.filter(|rule| rule["health"] != "ok").map(|rule| format!("{}: {}", rule["name"], rule["lastError"])).collect())
    }

    /// Waits until Alertmanager has told that an alert is in this state (`firing`, `resolved`), and gives it.
    pub(crate) async fn until_told(&self, alert: &str, status: &str) -> Result<Value> {
        until(&format!("Alertmanager tells that {alert} is {status}"), Duration::from_secs(40), async || {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let alerts = told.iter().flat_map(|message| message["alerts"].as_array().into_iter().flatten());
            let found = alerts.rev().find(|one| one["labels"]["alertname"] == alert && one["status"] == status);
            found.cloned().with_context(|| format!("it has told {} times of other things", told.len()))
        })
        .await
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn take(State(told): State<Arc<Mutex<Vec<Value>>>>, Json(message): Json<Value>) {
    told.lock().unwrap_or_else(PoisonError::into_inner).push(message);
}

fn spawn(program: &str, args: &[String], folder: &Path) -> Result<Child> {
    let log = fs::File::create(folder.join(format!("{program}.log")))?;
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("cannot run `{program}`: apt-get install prometheus prometheus-alertmanager"))
}

/// As it stands in a query string.
fn form_urlencoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
