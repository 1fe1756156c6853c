//! Every query of every dashboard, asked of a real Prometheus that scrapes the daemon.
//!
//! The daemon is `clonewarden demo`: its real loop over a cluster in memory. What the demo cannot have (a webhook, AWS, the bill) stands
//! on panels that say what they need; those are asked of a second Prometheus that scrapes these metrics as the table has them.

use crate::{
    dashboards::{committed, definition, queries},
    file, promql,
    promql::{as_sent, in_legend, selectors},
};
use clonewarden::export::{
    dashboards::{ALL, Shape},
    metrics::{Definition, TABLE, Type},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::{Read, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The demo takes 38 s, and by the middle of it all has been seen; the rest is for a machine that has other things to do.
const WITHIN: Duration = Duration::from_secs(60);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that goes with the test, and what it says.
struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let out = fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}; apt-get install prometheus"));
        Self { child, log }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Where it listens, which it says itself: nobody can have taken the port meanwhile.
    fn address(&mut self, before: &str) -> SocketAddr {
        let begin = Instant::now();
        loop {
            let said = self.said();
            let after = said.split(before).nth(1).and_then(|rest| rest.split(['/', '\n']).next());
            if let Some(address) = after.filter(|_| said.ends_with('\n')).and_then(|text| text.parse().ok()) {
                return address;
            }
            assert!(self.child.try_wait().unwrap().is_none() && begin.elapsed() < WITHIN, "`{before}` was not said: {said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Prometheus with the rules that ship, none of which waits before it fires.
struct Prometheus {
    address: SocketAddr,
    since: SystemTime,
    running: Running,
}

impl Prometheus {
    fn scraping(target: SocketAddr, folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let rules = crate::read("deploy/monitoring/rules.yaml");
        let at_once: Vec<_> = rules.lines().filter(|line| !line.trim_start().starts_with("for: ")).collect();
        fs::write(folder.join("rules.yaml"), at_once.join("\n")).unwrap();
        let settings = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "clonewarden", "static_configs": [{"targets": [target.to_string()]}], "honor_labels": true}],
        });
        fs::write(folder.join("prometheus.yaml"), settings.to_string()).unwrap();
        Self::started("prometheus.yaml", folder)
    }

    fn started(settings: &str, folder: &Path) -> Self {
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={settings}"));
        command.args(["--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"]).current_dir(folder);
        let since = SystemTime::now();
        let mut running = Running::start(command, folder.join("log"));
        let address = running.address("msg=\"Listening on\" address=");
        Self { address, since, running }
    }

    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let form: Vec<_> = parameters.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
        let answer = get(self.address, &format!("{path}?{}", form.join("&")));
        let body: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"));
        // Until it has read its own storage it has nothing to say.
        let starts = body.is_null();
        assert!(starts || body["status"] == "success", "{parameters:?}: {body}");
        body["data"].clone()
    }

    /// The series that a query has had since the start with a number in them, as a panel shows them.
    fn series(&self, query: &str) -> Vec<Value> {
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
        let (start, end) = (seconds(self.since), seconds(SystemTime::now()));
        let data = self.ask("/api/v1/query_range", &[("query", query), ("start", &start), ("end", &end), ("step", "1")]);
        let number = |point: &Value| point[1].as_str().and_then(|text| text.parse::<f64>().ok()).is_some_and(f64::is_finite);
        let mut series = data["result"].as_array().cloned().unwrap_or_default();
        series.retain(|one| one["values"].as_array().is_some_and(|points| points.iter().any(number)));
        series
    }
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

/// The body of an answer; `null` where the server is not ready.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    if answer.starts_with("HTTP/1.0 503") {
        return "null".to_owned();
    }
    answer.split_once("\r\n\r\n").expect("an answer with a body").1.to_owned()
}

/// Serves these metrics, made up: each with every value of a label that a query matches and one more; counters rise with each scrape.
fn serve(metrics: BTreeMap<&'static str, &'static Definition>, matched: BTreeMap<(String, String), BTreeSet<String>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (scrape, stream) in (1_u32..).zip(listener.incoming()) {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 4_096]);
            let mut page = String::new();
            for line in metrics.values() {
                let _ = writeln!(page, "# TYPE {} {}", line.name, line.kind.word());
                for labels in combinations(line, &matched) {
                    write_series(&mut page, line, &labels, scrape);
                }
            }
            let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n{page}");
        }
    });
    address
}

fn combinations(line: &Definition, matched: &BTreeMap<(String, String), BTreeSet<String>>) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    for label in line.labels {
        let mut values = matched.get(&(line.name.to_owned(), (*label).to_owned())).cloned().unwrap_or_default();
        values.insert("another".to_owned());
        let with =
            |labels: &Vec<String>| values.iter().map(|value| [labels.as_slice(), &[format!("{label}=\"{value}\"")]].concat()).collect::<Vec<_>>();
        all = all.iter().flat_map(with).collect();
    }
    all
}

fn write_series(page: &mut String, line: &Definition, labels: &[String], scrape: u32) {
    let name = line.name;
    if line.kind == Type::Histogram {
        let bounds = line.buckets.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for bound in bounds {
            let _ = writeln!(page, "{name}_bucket{{{}}} {scrape}", [labels, &[format!("le=\"{bound}\"")]].concat().join(","));
        }
        for part in ["sum", "count"] {
            let _ = writeln!(page, "{name}_{part}{{{}}} {scrape}", labels.join(","));
        }
    } else {
        let _ = writeln!(page, "{name}{{{}}} {scrape}", labels.join(","));
    }
}

/// The metrics that panels ask for which the demo cannot fill, and the values that they match.
fn made_up() -> SocketAddr {
    let (mut metrics, mut matched) = (BTreeMap::new(), BTreeMap::<_, BTreeSet<String>>::new());
    for (_, _, query) in queries().filter(|(_, panel, _)| !panel.needs.is_empty()) {
        for selector in selectors(&query.whole()) {
            let line = definition(&selector.metric).expect("a metric of ours");
            metrics.insert(line.name, line);
            for (label, values) in selector.matchers {
                let plain = values.split('|').filter(|value| value.chars().all(char::is_alphanumeric)).map(str::to_owned);
                matched.entry((line.name.to_owned(), label)).or_default().extend(plain);
            }
        }
    }
    serve(metrics, matched)
}

/// What the demo answers at `/metrics`, once there is a plan, and beside it every other metric, made up.
pub(crate) fn scraped() -> String {
    let folder = Folder(std::env::temp_dir().join(format!("clonewarden-scraped-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_clonewarden"));
    command.args(["demo", "--listen", "127.0.0.1:0", "--policies"]).arg(file("policies"));
    let mut demo = Running::start(command, folder.0.join("demo"));
    let address = demo.address("Metrics while it runs: http://");
    let begin = Instant::now();
    loop {
        let said = get(address, "/metrics");
        if said.contains("\nclonewarden_clones{") {
            let others = TABLE.iter().filter(|line| !said.contains(&format!("# TYPE {} ", line.name)));
            return others.fold(said.clone(), |mut page, line| {
                let _ = writeln!(page, "# HELP {} {}\n# TYPE {0} {}", line.name, line.help, line.kind.word());
                write_series(&mut page, line, &line.labels.iter().map(|label| format!("{label}=\"x\"")).collect::<Vec<_>>(), 1);
                page
            });
        }
        assert!(begin.elapsed() < WITHIN, "{said}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn every_query_of_every_panel_returns_data() {
    let folder = Folder(std::env::temp_dir().join(format!("clonewarden-dashboards-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_clonewarden"));
    command.args(["demo", "--listen", "127.0.0.1:0", "--policies"]).arg(file("policies"));
    let mut demo = Running::start(command, folder.0.join("demo"));
    let ours = Prometheus::scraping(demo.address("Metrics while it runs: http://"), &folder.0.join("ours"));
    let theirs = Prometheus::scraping(made_up(), &folder.0.join("theirs"));

    let mut open = Vec::new();
    for (place, panel, query) in queries() {
        let labels = if panel.shape == Shape::Table { Vec::new() } else { in_legend(query.legend) };
        let of = if panel.needs.is_empty() { &ours } else { &theirs };
        open.push((place.clone(), as_sent(query.expression), labels, of));
        if query.or_zero {
            open.push((place, as_sent(&query.whole()), Vec::new(), of));
        }
    }
    for dashboard in ALL {
        let alerts = &committed(dashboard)["annotations"]["list"][0]["expr"];
        open.push((format!("{}, its alerts", dashboard.name), alerts.as_str().unwrap().to_owned(), vec!["alertname", "severity"], &ours));
    }
    let asked = open.len();
    let begin = Instant::now();
    while !open.is_empty() {
        open.retain(|(place, query, labels, of)| {
            let series = of.series(query);
            for (label, one) in labels.iter().flat_map(|label| series.iter().map(move |one| (label, one))) {
                assert!(one["metric"].get(label).is_some(), "{place}: `{label}` of the legend is not in {}: {query}", one["metric"]);
            }
            series.is_empty()
        });
        let over = demo.child.try_wait().unwrap().is_some() || begin.elapsed() > WITHIN;
        let without: Vec<_> = open.iter().map(|(place, query, ..)| format!("\n  {place}: {query}")).collect();
        assert!(!over || open.is_empty(), "{} of {asked} queries had no data until the end of the demo:{}", open.len(), without.concat());
        std::thread::sleep(Duration::from_secs(1));
    }
    // What can be chosen from.
    for (dashboard, variable) in ALL.iter().flat_map(|dashboard| dashboard.variables.iter().map(move |variable| (dashboard, variable))) {
        let values = ours.ask(&format!("/api/v1/label/{}/values", variable.label), &[("match[]", variable.metric)]);
        assert!(values.as_array().is_some_and(|values| values.len() > 1), "{}, variable `{}`: {values}", dashboard.name, variable.label);
    }
    println!("{asked} queries had data within {:.0?}", begin.elapsed());
}

/// The two commands of the README, at an address that is free.
#[test]
fn the_demo_can_be_watched_by_a_prometheus_with_the_configuration_that_ships() {
    let shipped = crate::read("deploy/monitoring/prometheus-demo.yml");
    let fixed = crate::yaml("deploy/monitoring/prometheus-demo.yml")["scrape_configs"][0]["static_configs"][0]["targets"][0].clone();
    let fixed = fixed.as_str().expect("an address");
    let command = format!("CLONEWARDEN_LISTEN={fixed} make demo");
    for page in [&shipped, &crate::read("README.md")] {
        assert!(page.contains(&command) && page.contains("--config.file=deploy/monitoring/prometheus-demo.yml"), "no `{command}` in: {page}");
    }
    let folder = Folder(std::env::temp_dir().join(format!("clonewarden-watched-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_clonewarden"));
    command.args(["demo", "--listen", "127.0.0.1:0", "--policies"]).arg(file("policies"));
    let mut demo = Running::start(command, folder.0.join("demo"));
    let settings = shipped.replace(fixed, &demo.address("Metrics while it runs: http://").to_string());
    fs::write(folder.0.join("prometheus-demo.yml"), settings).unwrap();
    fs::copy(file("deploy/monitoring/rules.yaml"), folder.0.join("rules.yaml")).unwrap();
    let prometheus = Prometheus::started("prometheus-demo.yml", &folder.0);
    let begin = Instant::now();
    while prometheus.series("clonewarden_leader == 1").is_empty() || prometheus.series("max by (state) (clonewarden_clones)").is_empty() {
        assert!(begin.elapsed() < WITHIN, "nothing was scraped: {}", prometheus.running.said());
        std::thread::sleep(Duration::from_millis(500));
    }
    let rules = prometheus.ask("/api/v1/rules", &[]);
    let loaded = rules["groups"].as_array().into_iter().flatten().filter_map(|group| group["rules"].as_array().map(Vec::len)).sum::<usize>();
    assert_eq!(loaded, crate::rules().len());
}

#[test]
fn a_variable_that_is_forgotten_is_seen() {
    assert_eq!(promql::as_sent("a{b=~\"$policy|\"}[$__rate_interval]"), "a{b=~\".*|\"}[1m]");
    assert!(std::panic::catch_unwind(|| promql::as_sent("a{b=\"$c\"}")).is_err());
}
