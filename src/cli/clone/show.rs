//! How clones are shown: a table for people, a document for programs, names for other commands.

use super::super::{Failure, output, plan, table::relative};
use crate::lifecycle::Summary;
use anyhow::Context;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write;

/// How to print it
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// A document
    Json,
    /// The same document as YAML
    Yaml,
    /// `wordpressclone.kro.run/NAME`
    Name,
}

/// The flag for it.
#[derive(Debug, clap::Args)]
pub(super) struct Output {
    /// How to print it
    #[arg(long = "output", short = 'o', env = "CLONEWARDEN_OUTPUT", value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
}

/// One clone for programs.
fn document(shown: &Summary) -> Result<Value, Failure> {
    let mut document = json!({"apiVersion": "clonewarden.io/v1alpha1", "kind": "Clone"});
    let fields = serde_json::to_value(shown).context("cannot write the clone as JSON").map_err(Failure::failed)?;
    if let (Some(document), Value::Object(fields)) = (document.as_object_mut(), fields) {
        document.extend(fields);
    }
    Ok(document)
}

/// The form in which every command takes it: `wordpressclone.kro.run/NAME`.
pub(super) fn full_name(name: &str) -> String {
    format!("wordpressclone.kro.run/{name}")
}

/// One clone, in the words of `human` where a person reads it.
pub(super) fn one(shown: &Summary, format: Format, human: &str) -> Result<(), Failure> {
    output::data(&match format {
        Format::Table => human.to_owned(),
        Format::Json => plan::json(&document(shown)?)?,
        Format::Yaml => plan::yaml(&document(shown)?)?,
        Format::Name => full_name(&shown.name) + "\n",
    })
}

/// Many clones.
pub(super) fn many(all: &[Summary], format: Format, namespaces: bool, now: Timestamp) -> Result<(), Failure> {
    let list = || {
        let items = all.iter().map(document).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, Failure>(json!({"apiVersion": "clonewarden.io/v1alpha1", "kind": "CloneList", "items": items}))
    };
    output::data(&match format {
        Format::Table => table(all, namespaces, now, output::width()),
        Format::Json => plan::json(&list()?)?,
        Format::Yaml => plan::yaml(&list()?)?,
        Format::Name => all.iter().fold(String::new(), |text, shown| text + &full_name(&shown.name) + "\n"),
    })
}

/// A line a clone; the reasons stand last, where a narrow terminal may cut them.
fn table(all: &[Summary], namespaces: bool, now: Timestamp, limit: Option<usize>) -> String {
    let heading = ["NAMESPACE", "NAME", "STATE", "AGE", "END", "OWNER", "DATABASE", "WHY"].map(str::to_owned);
    let rows: Vec<[String; 8]> = std::iter::once(heading).chain(all.iter().map(|shown| row(shown, now))).collect();
    let columns = if namespaces { 0..8 } else { 1..8 };
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default();
    let mut out = String::new();
    for row in &rows {
        let cells = columns.clone().filter_map(|column| Some(format!("{:1$}", row.get(column)?, width(column))));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "{}", limit.map_or_else(|| line.clone(), |limit| cut(line.trim_end(), limit)).trim_end());
    }
    out
}

fn row(shown: &Summary, now: Timestamp) -> [String; 8] {
    let end = match (shown.kept, shown.expires_at) {
        (true, _) => "kept".to_owned(),
        (false, Some(end)) => relative(end, now) + if shown.unused_since.is_some() { " (unused)" } else { "" },
        (false, None) => "-".to_owned(),
    };
    let age = crate::model::duration::roughly(now.duration_since(shown.created_at).max(jiff::SignedDuration::ZERO));
    let owner = shown.owner.clone().unwrap_or_else(|| "-".to_owned());
    [shown.namespace.clone(), shown.name.clone(), shown.state.to_owned(), age, end, owner, shown.database.clone(), shown.why.join("; ")]
        .map(|cell| output::printable(&cell))
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str) -> Summary {
        Summary {
            namespace: "staging".into(),
            name: name.into(),
            uid: "u".into(),
            state: "broken",
            why: vec!["Job `x`: Job failed: a\u{1b}[2J".into(), "KRO reports an error".into()],
            created_at: "2026-02-05T14:30:22Z".parse().unwrap(),
            expires_at: Some("2026-02-05T16:30:22Z".parse().unwrap()),
            unused_since: None,
            kept: false,
            owner: Some("ada@example.com".into()),
            database: "shared".into(),
            url: None,
            secret: "s".into(),
        }
    }

    #[test]
    fn a_table_says_how_clones_are_and_when_they_end() {
        let now = "2026-02-05T15:00:22Z".parse().unwrap();
        let kept = Summary { kept: true, state: "works", why: Vec::new(), owner: None, ..shown("clone-20260205-143022") };
        let text = table(&[shown("clone-1"), kept.clone()], false, now, None);
        let expected = "NAME                   STATE   AGE  END         OWNER            DATABASE  WHY\n\
                        clone-1                broken  30m  in 1h30m    ada@example.com  shared    Job `x`: Job failed: a\\u{1b}[2J; KRO reports an error\n\
                        clone-20260205-143022  works   30m  kept        -                shared\n";
        assert_eq!(text, expected.replace("in 1h30m    ", "in 1h30m  ").replace("END         ", "END       ").replace("kept        ", "kept      "));
        let unused = Summary { unused_since: Some(now), ..shown("clone-1") };
        assert!(table(&[unused], false, now, None).contains("  in 1h30m (unused)  "));
        assert!(table(&[kept], true, now, Some(30)).lines().all(|line| line.chars().count() <= 30));
        assert!(table(&[], true, now, None).starts_with("NAMESPACE  NAME"));
    }

    #[test]
    fn a_document_says_whose_form_it_has() {
        let document = document(&shown("clone-1")).unwrap();
        assert_eq!((document["kind"].as_str(), document["expiresAt"].as_str()), (Some("Clone"), Some("2026-02-05T16:30:22Z")));
        assert_eq!(full_name("clone-1"), "wordpressclone.kro.run/clone-1");
    }
}
