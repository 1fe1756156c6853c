//! A dashboard as Grafana 10 and later import it. Nothing in here names a server: the data source is a variable.

use super::{Dashboard, Panel, Query, Row, Shape, Unit, Variable};
use serde_json::{Map, Value, json};

/// The version of the format: what Grafana 10 writes. Later ones migrate it when they load it.
const SCHEMA_VERSION: u32 = 39;
/// The width of the grid.
const COLUMNS: u32 = 24;
/// What our dashboards are tagged with and find each other by.
const TAG: &str = "clonewarden";
/// The alerts that ship, while they fire.
const FIRING: &str = "ALERTS{alertname=~\"Clonewarden.*\", alertstate=\"firing\"}";

pub(super) fn dashboard(this: &Dashboard) -> Value {
    let mut variables = vec![json!({
        "type": "datasource", "name": "datasource", "label": "data source", "query": "prometheus", "refresh": 1, "hide": 0,
    })];
    variables.extend(this.variables.iter().map(variable));
    json!({
        "uid": this.uid(),
        "title": this.title,
        "description": this.about,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "links": [{
            "type": "dashboards", "title": TAG, "tags": [TAG], "icon": "external link", "tooltip": "", "asDropdown": false,
            "targetBlank": false, "includeVars": true, "keepTime": true,
        }],
        "annotations": {"list": [{
            "name": "alerts", "datasource": source(), "enable": true, "iconColor": "red", "expr": FIRING, "step": "60s",
            "titleFormat": "{{alertname}}", "tagKeys": "severity",
        }]},
        "templating": {"list": variables},
        "panels": panels(this.rows),
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn variable(this: &Variable) -> Value {
    let query = format!("label_values({}, {})", this.metric, this.label);
    json!({
        "type": "query", "name": this.label, "label": this.label, "datasource": source(), "definition": query,
        "query": {"query": query, "refId": this.label}, "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
        "current": {"selected": true, "text": ["All"], "value": ["$__all"]}, "hide": 0,
    })
}

/// Each row's heading and below it its panels, from left to right and top to bottom.
fn panels(rows: &[Row]) -> Vec<Value> {
    let (mut all, mut id, mut y) = (Vec::new(), 0, 0);
    for row in rows {
        id += 1;
        all.push(json!({
            "id": id, "type": "row", "title": row.title, "collapsed": false, "panels": [], "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y},
        }));
        y += 1;
        let mut x = 0;
        for one in row.panels {
            if x + one.width > COLUMNS {
                (x, y) = (0, y + row.height);
            }
            id += 1;
            all.push(panel(one, id, &json!({"h": row.height, "w": one.width, "x": x, "y": y})));
            x += one.width;
        }
        y += row.height;
    }
    all
}

fn panel(this: &Panel, id: u32, place: &Value) -> Value {
    let mut panel = json!({
        "id": id,
        "type": kind(this.shape),
        "title": this.title,
        "description": description(this),
        "datasource": source(),
        "gridPos": place,
        "fieldConfig": {"defaults": defaults(this), "overrides": overrides(this)},
        "options": options(this),
        "targets": this.queries.iter().zip('A'..).map(|(query, letter)| target(query, this.shape, letter)).collect::<Vec<_>>(),
    });
    if this.shape == Shape::Table {
        put(&mut panel, "transformations", transformations(this));
    }
    panel
}

/// What to make of it, what it needs, and where to read on.
fn description(this: &Panel) -> String {
    let needs = format!("Empty without {}.", this.needs);
    let todo = format!("What to do: docs/runbooks.md, {}.", this.alert);
    let empty = !this.needs.is_empty() && !this.queries.iter().all(|query| query.or_zero);
    let parts = [Some(this.about), empty.then_some(&needs), (!this.alert.is_empty()).then_some(&todo)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn kind(shape: Shape) -> &'static str {
    match shape {
        Shape::Stat => "stat",
        Shape::Bars => "bargauge",
        Shape::Lines | Shape::Stack => "timeseries",
        Shape::States => "state-timeline",
        Shape::Table => "table",
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "short",
        Unit::PerSecond => "cps",
        Unit::Seconds => "s",
        Unit::FromNow => "dateTimeFromNow",
        Unit::Bytes => "bytes",
        Unit::Usd => "currencyUSD",
        Unit::Share => "percentunit",
    }
}

fn over_time(shape: Shape) -> bool {
    matches!(shape, Shape::Lines | Shape::Stack | Shape::States)
}

fn target(query: &Query, shape: Shape, letter: char) -> Value {
    let mut target = json!({
        "refId": letter.to_string(), "datasource": source(), "editorMode": "code", "expr": query.whole(), "legendFormat": query.legend,
        "range": over_time(shape), "instant": !over_time(shape),
    });
    if shape == Shape::Table {
        put(&mut target, "format", "table".into());
    }
    target
}

/// How values look: unit, colours, words.
fn defaults(this: &Panel) -> Value {
    let mut steps = vec![json!({"value": null, "color": if this.levels.is_empty() { "text" } else { "green" }})];
    steps.extend(this.levels.iter().map(|(value, colour)| json!({"value": value, "color": colour})));
    let by_level = !this.levels.is_empty() || matches!(this.shape, Shape::Stat | Shape::States);
    let mut defaults = json!({
        "unit": unit(this.unit),
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": if by_level && !matches!(this.shape, Shape::Lines | Shape::Stack) { "thresholds" } else { "palette-classic" }},
        "mappings": mappings(this),
    });
    if this.shape == Shape::Bars {
        put(&mut defaults, "min", 0.into());
        if this.unit == Unit::Share {
            put(&mut defaults, "max", 1.into());
        }
    }
    let custom = match this.shape {
        Shape::Lines => json!({"drawStyle": "line", "lineWidth": 1, "fillOpacity": 5, "showPoints": "never"}),
        Shape::Stack => {
            let stacking = json!({"mode": "normal", "group": "A"});
            json!({"drawStyle": "line", "lineWidth": 1, "fillOpacity": 40, "showPoints": "never", "stacking": stacking})
        }
        Shape::States => json!({"lineWidth": 0, "fillOpacity": 70}),
        Shape::Stat | Shape::Bars | Shape::Table => return defaults,
    };
    put(&mut defaults, "custom", custom);
    defaults
}

/// Adds a field to an object.
fn put(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

fn mappings(this: &Panel) -> Value {
    if this.words.is_empty() {
        return json!([]);
    }
    let words = this.words.iter().zip(0..).map(|((value, word, colour), index)| {
        // The order in the legend.
        ((*value).to_owned(), json!({"text": word, "color": colour, "index": index}))
    });
    json!([{"type": "value", "options": words.collect::<Map<_, _>>()}])
}

/// The columns of a table that have a unit of their own.
fn overrides(this: &Panel) -> Value {
    let own = this.queries.iter().filter_map(|query| Some((query.legend, query.unit?)));
    own.map(|(column, is)| json!({"matcher": {"id": "byName", "options": column}, "properties": [{"id": "unit", "value": unit(is)}]})).collect()
}

fn options(this: &Panel) -> Value {
    let last = json!({"values": false, "calcs": ["lastNotNull"], "fields": ""});
    let tooltip = json!({"mode": "multi", "sort": "desc"});
    match this.shape {
        Shape::Stat => json!({
            "graphMode": "none", "colorMode": "value", "justifyMode": "auto", "textMode": "auto", "wideLayout": true, "showPercentChange": false,
            "percentChangeColorMode": "standard", "orientation": "auto", "reduceOptions": last,
        }),
        Shape::Bars => json!({
            "displayMode": "basic", "valueMode": "color", "namePlacement": "auto", "showUnfilled": true, "sizing": "auto", "minVizWidth": 8,
            "minVizHeight": 16, "maxVizHeight": 40, "orientation": "horizontal", "reduceOptions": last, "legend": legend(false),
        }),
        Shape::Lines | Shape::Stack => json!({"legend": legend(true), "tooltip": tooltip}),
        Shape::States => json!({"showValue": "auto", "rowHeight": 0.8, "mergeValues": true, "legend": legend(true), "tooltip": tooltip}),
        Shape::Table => json!({"frameIndex": 0, "showHeader": true, "cellHeight": "sm"}),
    }
}

fn legend(shown: bool) -> Value {
    json!({"displayMode": "list", "placement": "bottom", "showLegend": shown, "calcs": []})
}

/// One table from all queries, without the time, each column under its heading.
fn transformations(this: &Panel) -> Value {
    let value = |letter: char| if this.queries.len() > 1 { format!("Value #{letter}") } else { "Value".to_owned() };
    let headings: Map<_, _> = this.queries.iter().zip('A'..).map(|(query, letter)| (value(letter), query.legend.into())).collect();
    json!([
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": true}, "indexByName": {}, "renameByName": headings}},
    ])
}
