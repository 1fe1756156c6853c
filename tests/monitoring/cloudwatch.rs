//! What CloudWatch is watched with: its alarms are the alerts of the rules, and its dashboards ask only for what is sent, in the form
//! that AWS documents (CloudWatch API reference, *Dashboard body structure and syntax*). No package has a schema of that body: for
//! cfn-lint and the SDKs it is a text.

use crate::{file, read, rules, yaml};
use clonewarden::export::{
    cloudwatch::{
        CHOSEN,
        signals::{LEFT_OUT, LOOPS, SIGNALS, WANTED},
    },
    dashboards::cloudwatch::{Ask, BOARDS},
    metrics::{TABLE, Type},
};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

/// Alarms on what was counted within a period, which is the range of the rule's `increase`.
const WITHIN: [(&str, u64, u64); 3] =
    [("ClonewardenActionsFailing", 1_800, 1), ("ClonewardenJournalFailing", 900, 2), ("ClonewardenNoticesLost", 3_600, 1)];

fn alarms() -> BTreeMap<String, Value> {
    let template = yaml("deploy/monitoring/cloudwatch-alarms.yaml");
    let resources = template["Resources"].as_object().unwrap();
    resources.iter().map(|(name, resource)| (name.clone(), resource["Properties"].clone())).collect()
}

/// `15m` in seconds.
fn seconds(text: &str) -> u64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        other => panic!("{other}"),
    };
    number.parse::<u64>().unwrap() * unit
}

/// What a rule compares with, and how, as an alarm says it.
fn threshold(alert: &str, expression: &str) -> (&'static str, f64) {
    match alert {
        // The shares are computed where they are sent.
        "ClonewardenCapNear" | "ClonewardenHostFull" => {
            assert!(expression.contains(">= 0.9 * "), "{alert}");
            return ("GreaterThanOrEqualToThreshold", 0.9);
        }
        // An alarm has one threshold: it stays on where the next one begins.
        "ClonewardenBudgetNear" => {
            assert!(expression.ends_with("> 0.8 <= 1"), "{alert}");
            return ("GreaterThanThreshold", 0.8);
        }
        // How many there are, instead of each.
        "ClonewardenEvidenceMissing" => {
            assert!(expression.contains("== 0 unless"), "{alert}");
            return ("GreaterThanThreshold", 0.0);
        }
        "ClonewardenNobodyActs" | "ClonewardenUnguarded" => {
            assert!(expression.ends_with("== 0"), "{alert}");
            return ("LessThanThreshold", 1.0);
        }
        _ => {}
    }
    let operators = ['>', '<', '='];
    let (_, value) = expression.rsplit_once(operators).unwrap();
    let value: f64 = value.split('*').map(|factor| factor.trim().parse::<f64>().unwrap()).product();
    let how = match expression.rmatches(operators).next().unwrap() {
        ">" => "GreaterThanThreshold",
        "<" => "LessThanThreshold",
        _ => "GreaterThanOrEqualToThreshold",
    };
    (how, value)
}

#[test]
fn every_alert_is_an_alarm_with_its_threshold_its_wait_and_its_page() {
    let (alarms, pages) = (alarms(), read("docs/runbooks.md"));
    let mut expected = BTreeSet::new();
    for rule in rules() {
        let alert = rule["alert"].as_str().unwrap();
        if LEFT_OUT.iter().any(|(name, _)| *name == alert) {
            assert!(pages.contains(&format!("`{alert}`")), "the runbooks say that {alert} is no alarm");
            continue;
        }
        expected.insert(alert.to_owned());
        let alarm = alarms.get(alert).unwrap_or_else(|| panic!("{alert} is no alarm"));
        let signal = SIGNALS.iter().find(|signal| signal.alert == alert).unwrap_or_else(|| panic!("{alert} has no signal"));
        assert_eq!((&alarm["AlarmName"], &alarm["MetricName"]), (&alert.into(), &"clonewarden_signal".into()));
        assert_eq!(alarm["Dimensions"], serde_json::json!([{"Name": "alert", "Value": alert}]), "{alert}");
        let words: Vec<&str> = rule["expr"].as_str().unwrap().split_whitespace().collect();
        let (how, value) = threshold(alert, &words.join(" "));
        assert_eq!((alarm["ComparisonOperator"].as_str().unwrap(), alarm["Threshold"].as_f64().unwrap()), (how, value), "{alert}");
        let (period, periods) = (alarm["Period"].as_u64().unwrap(), alarm["EvaluationPeriods"].as_u64().unwrap());
        let within = WITHIN.iter().find(|(name, ..)| *name == alert);
        assert_eq!(signal.counts, within.is_some(), "{alert}");
        match within {
            Some((_, range, times)) => assert_eq!((period, periods, &alarm["Statistic"]), (*range, *times, &"Sum".into()), "{alert}"),
            None => {
                assert_eq!(period * periods, seconds(rule["for"].as_str().unwrap()).max(60), "{alert}: it waits as long as the rule");
                // A level has to be beyond it all the time.
                let whole = if how == "LessThanThreshold" { "Maximum" } else { "Minimum" };
                assert_eq!(alarm["Statistic"], whole, "{alert}");
            }
        }
        // What AWS takes.
        assert!(period % 60 == 0 && period * periods <= if period >= 3_600 { 7 * 86_400 } else { 86_400 }, "{alert}");
        let page = format!("${{Runbooks}}#{}", alert.to_lowercase());
        assert!(alarm["AlarmDescription"]["Fn::Sub"].as_str().unwrap().ends_with(&page), "{alert}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        let topic = match severity {
            "critical" => "CriticalTopic",
            "warning" => "WarningTopic",
            _ => "InfoTopic",
        };
        assert_eq!(alarm["AlarmActions"]["Fn::If"][1][0]["Ref"], topic, "{alert}");
        let silence = ["ClonewardenNobodyActs", "ClonewardenSilent"].contains(&alert);
        assert_eq!(alarm["TreatMissingData"] == "breaching", silence, "{alert}: only where silence is the message");
    }
    assert_eq!(alarms.keys().cloned().collect::<BTreeSet<_>>(), expected, "no other alarm");
    assert_eq!(SIGNALS.len(), expected.len(), "no other signal");
}

#[test]
fn signals_leave_out_what_the_rules_leave_out() {
    let of = |alert: &str| rules().into_iter().find(|rule| rule["alert"] == alert).unwrap()["expr"].as_str().unwrap().to_owned();
    let loops = format!("{{loop=~\"{}\"}}", LOOPS.join("|"));
    assert!(of("ClonewardenSilent").contains(&loops), "{loops}");
    let wanted = format!("code!~\"{}\"", WANTED.join("|"));
    assert!(of("ClonewardenHoldLasting").contains(&wanted), "{wanted}");
}

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_clonewarden")).arg("dashboards").args(arguments).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// After a change: `clonewarden dashboards NAME --cloudwatch Clonewarden > dashboards/cloudwatch/NAME.json` for each.
#[test]
fn what_is_committed_for_cloudwatch_is_what_is_printed_and_what_aws_documents() {
    for board in BOARDS {
        let name = format!("dashboards/cloudwatch/{}.json", board.name);
        let text = printed(&[board.name, "--cloudwatch", "Clonewarden"]);
        assert!(text == read(&name), "{name} is not what `clonewarden dashboards {} --cloudwatch Clonewarden` prints", board.name);
        let wrong = body(&serde_json::from_str(&text).unwrap());
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
    assert_eq!(std::fs::read_dir(file("dashboards/cloudwatch")).unwrap().count(), BOARDS.len());
    let elsewhere = printed(&["overview", "--cloudwatch", "Mine", "--region", "eu-west-1"]);
    assert!(
        elsewhere.contains("eu-west-1") && elsewhere.contains("Mine") && !elsewhere.contains("us-east-1") && !elsewhere.contains("\"Clonewarden\"")
    );
}

#[test]
fn every_widget_asks_for_what_is_sent() {
    for board in BOARDS {
        for ask in board.widgets.iter().flat_map(|widget| widget.asks) {
            if let Ask::Signal(alert) = ask {
                assert!(SIGNALS.iter().any(|signal| signal.alert == *alert && !signal.counts), "{}: {alert}", board.name);
                continue;
            }
            let metric = ask.of().unwrap();
            assert!(CHOSEN.contains(&metric), "{}: {metric} is not sent", board.name);
            let line = TABLE.iter().find(|line| line.name == metric).unwrap();
            if let Ask::Each { by, only: (label, _), stat, .. } = ask {
                assert!([by, label].iter().all(|label| label.is_empty() || line.labels.contains(label)), "{}: {metric}", board.name);
                assert_eq!(by.is_empty(), line.labels.is_empty(), "{}: {metric} is called by a label", board.name);
                let fits = match line.kind {
                    Type::Gauge => *stat == "Maximum",
                    Type::Counter => *stat == "Sum",
                    Type::Histogram => *stat == "p99",
                };
                assert!(fits, "{}: {stat} of {metric}", board.name);
            }
        }
    }
}

#[test]
fn a_body_that_aws_would_refuse_is_seen() {
    let good: Value = serde_json::from_str(&read("dashboards/cloudwatch/overview.json")).unwrap();
    for (pointer, value) in [
        ("/widgets/1/properties/region", Value::Null),
        ("/widgets/1/properties/view", "gauges".into()),
        ("/widgets/1/properties/period", 61.into()),
        ("/widgets/1/properties/colour", "red".into()),
        ("/widgets/1/width", 25.into()),
        ("/widgets/1/type", "metrics".into()),
        ("/widgets/2/properties/metrics/0/0/expression", "SEARCH(".into()),
        ("/widgets/1/properties/metrics/0", serde_json::json!(["Clonewarden"])),
        ("/periodOverride", "never".into()),
        ("/widgets/1/properties/metrics/1/4/id", "q1".into()),
    ] {
        let mut bad = good.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        match bad.pointer_mut(parent).unwrap() {
            Value::Object(fields) => drop(fields.insert(field.to_owned(), value)),
            Value::Array(all) => all[field.parse::<usize>().unwrap()] = value,
            other => panic!("{other}"),
        }
        assert!(!body(&bad).is_empty(), "{pointer}");
    }
}

/// What is wrong with a body, by the fields that AWS documents and the values that it takes.
fn body(body: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let Some(fields) = known(body, "the body", &["start", "end", "periodOverride", "variables", "widgets"], &mut wrong) else { return wrong };
    if !["auto", "inherit"].contains(&fields["periodOverride"].as_str().unwrap_or_default()) {
        wrong.push("periodOverride".to_owned());
    }
    let widgets = fields["widgets"].as_array().cloned().unwrap_or_default();
    if widgets.is_empty() || widgets.len() > 500 {
        wrong.push("widgets".to_owned());
    }
    for (number, widget) in widgets.iter().enumerate() {
        let place = format!("widget {number}");
        let Some(fields) = known(widget, &place, &["type", "x", "y", "width", "height", "properties"], &mut wrong) else { continue };
        let size = |field: &str| fields.get(field).and_then(Value::as_u64).unwrap_or(u64::MAX);
        if size("x") > 23
            || size("y") > 100_000
            || !(1..=24).contains(&size("width"))
            || !(1..=1_000).contains(&size("height"))
            || size("x") + size("width") > 24
        {
            wrong.push(format!("{place}: it has no place in the grid"));
        }
        match fields["type"].as_str() {
            Some("text") => drop(known(&fields["properties"], &place, &["markdown", "background"], &mut wrong)),
            Some("metric") => metric(&fields["properties"], &place, &mut wrong),
            other => wrong.push(format!("{place}: a {other:?}")),
        }
    }
    wrong
}

fn metric(properties: &Value, place: &str, wrong: &mut Vec<String>) {
    let known_fields = [
        "accountId",
        "annotations",
        "liveData",
        "legend",
        "metrics",
        "period",
        "region",
        "stat",
        "title",
        "view",
        "stacked",
        "sparkline",
        "timezone",
        "yAxis",
        "table",
        "labels",
        "setPeriodToTimeRange",
        "singleValueFullPrecision",
        "trend",
    ];
    let Some(fields) = known(properties, place, &known_fields, wrong) else { return };
    let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
    if !["timeSeries", "singleValue", "gauge", "bar", "pie", "table"].contains(&text("view")) {
        wrong.push(format!("{place}: its view"));
    }
    if text("region").split('-').count() < 3 || text("title").is_empty() {
        wrong.push(format!("{place}: it needs a region and a title"));
    }
    let period = fields.get("period").and_then(Value::as_u64).unwrap_or_default();
    if ![1, 5, 10, 30].contains(&period) && (period == 0 || period % 60 != 0) {
        wrong.push(format!("{place}: its period"));
    }
    let mut ids = BTreeSet::new();
    for one in fields.get("metrics").and_then(Value::as_array).into_iter().flatten() {
        let parts = one.as_array().cloned().unwrap_or_default();
        let Some((options, name)) = parts.split_last() else {
            wrong.push(format!("{place}: an empty metric"));
            continue;
        };
        let allowed = ["color", "expression", "id", "label", "period", "region", "stat", "visible", "yAxis", "accountId"];
        let Some(options) = known(options, place, &allowed, wrong) else { continue };
        let id = options.get("id").and_then(Value::as_str).unwrap_or_default();
        if !id.starts_with(|c: char| c.is_ascii_lowercase())
            || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            || !ids.insert(id.to_owned())
        {
            wrong.push(format!("{place}: the id `{id}`"));
        }
        match options.get("expression").and_then(Value::as_str) {
            Some(expression) => {
                let search = expression.strip_prefix("SUM(").and_then(|inner| inner.strip_suffix(')')).unwrap_or(expression);
                let fits =
                    search.starts_with("SEARCH('{\"") && search.ends_with(", 60)") && search.matches('\'').count() == 4 && search.len() <= 1_024;
                if !name.is_empty() || !fits {
                    wrong.push(format!("{place}: the expression {expression}"));
                }
            }
            // A namespace, a name, and pairs of labels.
            None => {
                if name.len() < 2 || name.len() % 2 != 0 || !name.iter().all(Value::is_string) {
                    wrong.push(format!("{place}: the metric {name:?}"));
                }
            }
        }
    }
    if ids.is_empty() {
        wrong.push(format!("{place}: it asks for nothing"));
    }
}

/// The fields of an object, of which none may be unknown.
fn known<'v>(value: &'v Value, place: &str, fields: &[&str], wrong: &mut Vec<String>) -> Option<&'v Map<String, Value>> {
    let Some(object) = value.as_object() else {
        wrong.push(format!("{place}: {value} is no object"));
        return None;
    };
    wrong.extend(object.keys().filter(|field| !fields.contains(&field.as_str())).map(|field| format!("{place}: AWS knows no `{field}`")));
    Some(object)
}
