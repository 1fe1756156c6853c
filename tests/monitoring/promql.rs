//! What a query names, as far as it takes to hold that against the table of metrics. Not a parser: Prometheus has one.

use std::collections::BTreeSet;

/// A series that a query asks for: the metric, and each matcher (label, what is matched).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    pub(crate) matchers: Vec<(String, String)>,
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// Every series that a query asks for.
pub(crate) fn selectors(query: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(begin) = rest.find(is_word) {
        let (_, at) = rest.split_at(begin);
        let (word, after) = at.split_at(at.find(|letter| !is_word(letter)).unwrap_or(at.len()));
        rest = after;
        if let Some(inside) = after.strip_prefix('{') {
            let (inside, after) = inside.split_once('}').expect("a brace that closes");
            found.push(Selector { metric: word.to_owned(), matchers: matchers(inside) });
            rest = after;
        } else if word == "ALERTS" || word.starts_with("clonewarden_") || word.starts_with("process_") {
            found.push(Selector { metric: word.to_owned(), matchers: Vec::new() });
        }
    }
    found
}

fn matchers(inside: &str) -> Vec<(String, String)> {
    let mut parts = inside.split('"');
    let mut all = Vec::new();
    while let (Some(label), Some(value)) = (parts.next(), parts.next()) {
        all.push((label.chars().filter(|letter| is_word(*letter)).collect(), value.to_owned()));
    }
    all
}

/// Every label that a query groups or joins by.
pub(crate) fn grouping(query: &str) -> BTreeSet<String> {
    let lists = ["by (", "on (", "without ("].iter().flat_map(|begin| query.split(begin).skip(1));
    let labels = lists.flat_map(|rest| rest.split(')').next().unwrap_or_default().split(','));
    labels.map(|label| label.trim().to_owned()).collect()
}

/// How the series of all replicas become one: each time that a query names a metric, what it is folded by (`max`), by which labels, and what
/// is made of that (`sum`).
pub(crate) fn folds<'a>(query: &'a str, metric: &str) -> Vec<(&'a str, BTreeSet<&'a str>, &'a str)> {
    let whole = |at: usize| !query.get(at + metric.len()..).is_some_and(|rest| rest.starts_with(is_word));
    let places = query.match_indices(metric).map(|(at, _)| at).filter(|at| whole(*at));
    places
        .map(|at| {
            let (by, labels, before) = call(query.get(..at).unwrap_or_default());
            (by, labels, call(before).0)
        })
        .collect()
}

/// The function whose brackets are open at the end of this text, the labels it groups by, and what stands before it.
fn call(before: &str) -> (&str, BTreeSet<&str>, &str) {
    let Some(before) = before.trim_end().strip_suffix('(') else { return ("", BTreeSet::new(), "") };
    let list = before.trim_end().strip_suffix(')').and_then(|before| before.rsplit_once(" by ("));
    let (before, labels) = list.unwrap_or((before.trim_end(), ""));
    let begin = before.rfind(|letter| !is_word(letter)).map_or(0, |at| at + 1);
    let (before, name) = before.split_at(begin);
    (name, labels.split(',').map(str::trim).filter(|label| !label.is_empty()).collect(), before)
}

/// The labels in a legend (`{{label}}`).
pub(crate) fn in_legend(legend: &str) -> Vec<&str> {
    legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()).map(str::trim).collect()
}

/// A query as Grafana sends it: no variable narrowed down, a minute as the interval of rates and as what is shown.
pub(crate) fn as_sent(query: &str) -> String {
    let sent = query.replace("$__rate_interval", "1m").replace("$__range", "1m").replace("$namespace", ".*").replace("$policy", ".*");
    assert!(!sent.contains('$'), "a variable that is not known: {sent}");
    sent
}

#[test]
fn what_a_query_names_is_seen() {
    let query = "sum by (code, kind) (rate(clonewarden_a_total{code=~\"B|C\", kind!=\"d\"}[1m])) > 0 and on (instance) process_x or ALERTS";
    let matchers = vec![("code".to_owned(), "B|C".to_owned()), ("kind".to_owned(), "d".to_owned())];
    let expected = [("clonewarden_a_total", matchers), ("process_x", vec![]), ("ALERTS", vec![])];
    let expected = expected.map(|(metric, matchers)| Selector { metric: metric.to_owned(), matchers });
    assert_eq!(selectors(query), expected);
    assert_eq!(grouping(query), ["code", "instance", "kind"].map(str::to_owned).into());
    let query = "sum by (a) (max by (a, b) (clonewarden_x)) / max(clonewarden_x{c=\"d\"}) + clonewarden_x_y";
    assert_eq!(folds(query, "clonewarden_x"), [("max", ["a", "b"].into(), "sum"), ("max", [].into(), "")]);
    assert_eq!(folds(query, "clonewarden_x_y"), [("", [].into(), "")]);
    assert_eq!(in_legend("{{a}} of {{ b }}"), ["a", "b"]);
}
