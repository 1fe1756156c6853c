//! The dashboards: what is committed is what the table says, whole and well placed, and asks only for what there is.

use crate::{
    promql::{folds, grouping, in_legend, selectors},
    read,
};
use clonewarden::{
    export::{
        dashboards::{ALL, Dashboard, NAMES, Panel, Query, Shape},
        metrics::{Definition, TABLE, Type},
    },
    plan::Action,
};
use serde_json::Value;
use std::{collections::BTreeSet, process::Command};

/// Labels that Prometheus itself gives.
const SCRAPED: [&str; 2] = ["instance", "job"];
/// Labels of the series that Prometheus makes of alerts.
const ALERTS: [&str; 3] = ["alertname", "alertstate", "severity"];
const ACTIONS: [Action; 9] =
    [Action::Keep, Action::Warn, Action::Delete, Action::Hold, Action::Mark, Action::Unmark, Action::Create, Action::Update, Action::Alert];

pub(crate) fn committed(dashboard: &Dashboard) -> Value {
    serde_json::from_str(&read(&format!("dashboards/grafana/{}.json", dashboard.name))).unwrap()
}

/// Every query of every panel, with where it stands.
pub(crate) fn queries() -> impl Iterator<Item = (String, &'static Panel, &'static Query)> {
    let panels = ALL.iter().flat_map(|dashboard| dashboard.panels().map(move |panel| (dashboard, panel)));
    panels.flat_map(|(dashboard, panel)| panel.queries.iter().map(move |query| (format!("{}, `{}`", dashboard.name, panel.title), panel, query)))
}

/// The line of the table that a series belongs to.
pub(crate) fn definition(metric: &str) -> Option<&'static Definition> {
    let of = |name: &str| TABLE.iter().find(|line| line.name == name);
    let part = || ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end)).and_then(of);
    of(metric).or_else(|| part().filter(|line| line.kind == Type::Histogram))
}

/// After a change of the table: `clonewarden dashboards NAME > dashboards/grafana/NAME.json` for each.
#[test]
fn what_is_committed_is_what_is_printed() {
    let print = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_clonewarden")).arg("dashboards").args(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for name in NAMES {
        assert!(
            print(&[name]) == read(&format!("dashboards/grafana/{name}.json")),
            "dashboards/grafana/{name}.json is not what `clonewarden dashboards {name}` prints"
        );
    }
    let all: Vec<Value> = serde_json::from_str(&print(&[])).unwrap();
    assert_eq!(all, ALL.iter().map(committed).collect::<Vec<_>>());
    let files = std::fs::read_dir(crate::file("dashboards/grafana")).unwrap().count();
    assert_eq!((ALL.len(), files), (NAMES.len(), NAMES.len()), "a file for each dashboard, and no other");
}

#[test]
fn every_dashboard_can_be_imported_anywhere() {
    let mut uids = BTreeSet::new();
    for (dashboard, name) in ALL.iter().zip(NAMES) {
        let json = committed(dashboard);
        assert_eq!((dashboard.name, json["uid"].as_str()), (name, Some(format!("clonewarden-{name}").as_str())));
        assert!(uids.insert(json["uid"].to_string()), "{name}");
        assert!(json.get("id").is_none() && json.get("version").is_none(), "{name}: what a server gives");
        assert_eq!((&json["timezone"], &json["refresh"], &json["tags"][0]), (&"utc".into(), &"30s".into(), &"clonewarden".into()));
        assert_eq!((&json["links"][0]["type"], &json["links"][0]["tags"][0]), (&"dashboards".into(), &"clonewarden".into()));
        let (mut named, mut text) = (0, Vec::new());
        every_value(&json, &mut |key, value| {
            if key == "datasource" && value.is_object() {
                named += 1;
                assert_eq!((&value["type"], &value["uid"]), (&"prometheus".into(), &"${datasource}".into()), "{name}");
            }
            text.extend(value.as_str().map(str::to_owned));
        });
        assert!(named > dashboard.panels().count(), "{name}");
        assert!(!text.iter().any(|text| text.contains("://")), "{name}: an address");
        let variables: Vec<_> = json["templating"]["list"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        for used in text.iter().flat_map(|text| text.split('$').skip(1)) {
            let used = used.trim_start_matches('{').split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next().unwrap();
            let amount = used.starts_with(|letter: char| letter.is_ascii_digit());
            assert!(amount || used.starts_with("__") || variables.contains(&used), "{name}: `{used}` is no variable");
        }
    }
}

fn every_value(value: &Value, see: &mut impl FnMut(&str, &Value)) {
    for (key, inner) in value.as_object().into_iter().flatten() {
        see(key, inner);
        every_value(inner, see);
    }
    for inner in value.as_array().into_iter().flatten() {
        every_value(inner, see);
    }
}

#[test]
fn every_panel_is_whole_and_has_a_place_of_its_own() {
    for dashboard in ALL {
        let (name, json) = (dashboard.name, committed(dashboard));
        let count = dashboard.panels().count();
        assert!((6..=13).contains(&count), "{name} has {count} panels");
        let (mut ids, mut titles, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in json["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()) && titles.insert(title), "{name}, `{title}`: twice");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{name}, `{title}`");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name}, `{title}`: lies on another panel");
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(panel["description"].as_str().unwrap().len() > 12, "{name}, `{title}`: no description");
            assert!(!panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap().is_empty(), "{name}, `{title}`: no unit");
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{name}, `{title}`: no query");
        }
        for panel in dashboard.panels() {
            let series = panel.queries.len() > 1 || matches!(panel.shape, Shape::Lines | Shape::Stack | Shape::States | Shape::Bars | Shape::Table);
            assert!(!series || panel.queries.iter().all(|query| !query.legend.is_empty()), "{name}, `{}`: no legend", panel.title);
            assert!(panel.levels.windows(2).all(|pair| pair[0].0 < pair[1].0), "{name}, `{}`: levels", panel.title);
        }
    }
}

#[test]
fn every_runbook_that_a_panel_names_is_there() {
    let pages = read("docs/runbooks.md");
    let mut any = 0;
    for panel in ALL.iter().flat_map(Dashboard::panels).filter(|panel| !panel.alert.is_empty()) {
        any += 1;
        assert!(pages.contains(&format!("\n## {}\n", panel.alert)), "`{}`: {} has no page", panel.title, panel.alert);
    }
    assert!(any > 20, "{any}");
}

#[test]
fn every_metric_label_and_value_in_a_query_is_one_of_ours() {
    let reasons = read("docs/reasons.md");
    for (place, panel, query) in queries() {
        let whole = query.whole();
        let mut labels: BTreeSet<&str> = SCRAPED.into();
        for selector in selectors(&whole) {
            if selector.metric == "ALERTS" {
                labels.extend(ALERTS);
                assert!(selector.matchers.iter().all(|(label, _)| ALERTS.contains(&label.as_str())), "{place}: {whole}");
                continue;
            }
            let line = definition(&selector.metric).unwrap_or_else(|| panic!("{place}: no metric is called `{}`", selector.metric));
            labels.extend(line.labels);
            labels.extend(selector.metric.ends_with("_bucket").then_some("le"));
            for (label, matched) in &selector.matchers {
                assert!(line.labels.contains(&label.as_str()), "{place}: `{}` has no label `{label}`", line.name);
                for value in matched.split('|').filter(|value| !value.is_empty() && !value.starts_with('$')) {
                    let value = value.strip_suffix(".*").unwrap_or(value);
                    let known = match label.as_str() {
                        "code" => reasons.contains(&format!("\n| `{value}` |")),
                        "action" => ACTIONS.iter().any(|action| action.word() == value),
                        "policy_known" => ["true", "false"].contains(&value),
                        "kind" => value == "WordPressClone",
                        _ => TABLE.iter().any(|line| line.labels.contains(&label.as_str()) && line.help.contains(&format!("`{value}"))),
                    };
                    assert!(known, "{place}: the page on metrics does not know `{label}` = `{value}` of `{}`", line.name);
                }
            }
            let counter = line.kind != Type::Gauge;
            assert!(!counter || whole.contains("rate(") || whole.contains("increase("), "{place}: `{}` only ever rises", line.name);
            for (by, labels, of) in folds(&whole, line.name).into_iter().filter(|_| !counter && !whole.contains("on (instance)")) {
                assert!(["max", "min", "count"].contains(&by), "{place}: every replica has `{}`: {whole}", line.name);
                // A sum of what two series became one in is too small.
                let matched = |label: &str| selector.matchers.iter().any(|(one, value)| one == label && !value.contains(['|', '*', '$']));
                let lost = line.labels.iter().find(|label| of == "sum" && !labels.contains(**label) && !matched(label));
                assert!(lost.is_none(), "{place}: the sum loses `{}` of `{}`: {whole}", lost.unwrap_or(&""), line.name);
            }
        }
        for label in grouping(&whole) {
            assert!(labels.contains(label.as_str()), "{place}: no metric in it has the label `{label}`");
        }
        for label in in_legend(query.legend) {
            assert!(grouping(&whole).contains(label), "{place}: `{label}` in the legend of {whole}");
        }
        assert!(!query.or_zero || panel.queries.len() == 1, "{place}: a zero beside other series");
    }
}

#[test]
fn every_metric_that_a_person_needs_is_on_some_panel() {
    let shown: BTreeSet<_> =
        queries().flat_map(|(_, _, query)| selectors(&query.whole())).filter_map(|one| definition(&one.metric)).map(|line| line.name).collect();
    // What is a detail of one that is shown, or of the process.
    let left_out = [
        "clonewarden_announced_clones",
        "clonewarden_warned_clones",
        "clonewarden_merged_namespaces",
        "clonewarden_clones_ungoverned",
        "clonewarden_clone_series_left_out",
        "clonewarden_guarded",
        "clonewarden_service_waits",
        "clonewarden_brake_waiting_clones",
        "clonewarden_billing_namespace_usd",
        "clonewarden_billing_last_success_timestamp_seconds",
        "clonewarden_evidence_age_seconds",
        "clonewarden_policy_load_failed",
        "clonewarden_events_dropped_total",
        "clonewarden_journal_lines_total",
        "clonewarden_journal_failures_total",
        "clonewarden_notices_total",
        "clonewarden_notices_lost_total",
        "clonewarden_notices_late",
        "clonewarden_notices_restarts_total",
        "clonewarden_spans_total",
        "clonewarden_cloudwatch_requests_total",
        "clonewarden_cloudwatch_datums_total",
        "clonewarden_cloudwatch_series",
        "clonewarden_cloudwatch_series_left_out",
        "clonewarden_cloudwatch_cost_usd_per_hour",
        "clonewarden_cloudwatch_last_success_timestamp_seconds",
        "clonewarden_cloudwatch_restarts_total",
        "clonewarden_build_info",
    ];
    let missing: Vec<_> = TABLE.iter().map(|line| line.name).filter(|name| name.starts_with("clonewarden_") && !shown.contains(name)).collect();
    assert_eq!(missing, left_out);
}
