//! Which lines are asked for.

use crate::{
    cli::inputs,
    model::{Span, journal::Line},
};
use anyhow::anyhow;
use jiff::Timestamp;
use serde_json::Value;

/// The flags. None of them is a variable: `CLONEWARDEN_NAMESPACE` is the daemon's own.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Wanted {
    /// About this clone, or what was made for it: NAMESPACE/NAME, its name, or its uid
    #[arg(long, value_name = "CLONE")]
    clone: Option<String>,
    /// About clones of this owner
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// About this namespace, or something in it
    #[arg(long, short, value_name = "NS")]
    namespace: Option<String>,
    /// By this policy
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// For one of these reasons, such as Expired
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    reason: Vec<String>,
    /// One of these actions, such as delete
    #[arg(long, value_name = "ACTION", value_delimiter = ',')]
    action: Vec<String>,
    /// One of these events, such as acted
    #[arg(long, value_name = "EVENT", value_delimiter = ',')]
    event: Vec<String>,
    /// That ended in one of these ways, such as failed
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',')]
    outcome: Vec<String>,
    /// From then on: a moment (2026-02-05T16:30:22Z), or so long ago (2h)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Until then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// The same, checked.
#[derive(Debug, Default)]
pub(super) struct Filter {
    clone: Option<String>,
    owner: Option<String>,
    namespace: Option<String>,
    policy: Option<String>,
    reasons: Vec<String>,
    actions: Vec<String>,
    events: Vec<String>,
    outcomes: Vec<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Wanted {
    /// Checks what was asked for, as of now.
    pub(super) fn settle(&self, now: Timestamp) -> anyhow::Result<Filter> {
        let moment = |flag: &str, text: &Option<String>| {
            text.as_deref().map(|text| moment(text, now).map_err(|why| anyhow!("{flag}: `{text}` {why}"))).transpose()
        };
        let (since, until) = (moment("--since", &self.since)?, moment("--until", &self.until)?);
        if since.zip(until).is_some_and(|(since, until)| since > until) {
            return Err(anyhow!("--since is after --until: no line can match"));
        }
        Ok(Filter {
            clone: self.clone.clone(),
            owner: self.owner.clone(),
            namespace: self.namespace.clone(),
            policy: self.policy.clone(),
            reasons: self.reason.clone(),
            actions: self.action.clone(),
            events: self.event.clone(),
            outcomes: self.outcome.clone(),
            since,
            until,
        })
    }
}

fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(ago) = text.parse::<Span>() {
        return now.checked_sub(ago.get()).map_err(|_| "is too long ago".to_owned());
    }
    inputs::moment(text).map_err(|_| "is neither a date with an offset, such as 2026-02-05T16:30:22Z, nor a duration, such as 2h".to_owned())
}

impl Filter {
    /// Whether a line is one of those.
    pub(super) fn takes(&self, line: &Line) -> bool {
        let one_of = |wanted: &[String], said: Option<&str>| {
            wanted.is_empty() || said.is_some_and(|said| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(said)))
        };
        let whose = line.clone.as_ref();
        self.since.is_none_or(|since| line.time >= since)
            && self.until.is_none_or(|until| line.time <= until)
            && one_of(&self.events, Some(&line.event))
            && one_of(&self.actions, line.action.as_deref())
            && one_of(&self.outcomes, line.outcome.as_deref())
            && one_of(&self.reasons, line.reason.as_ref().map(|reason| reason.code.as_str()))
            && self.policy.as_ref().is_none_or(|policy| line.policy.as_ref() == Some(policy) || is_named(line, "ClonePolicy", policy))
            && self.owner.as_ref().is_none_or(|owner| whose.is_some_and(|whose| whose.owner.as_ref() == Some(owner)))
            && self.namespace.as_ref().is_none_or(|namespace| is_in(line, namespace))
            && self.clone.as_ref().is_none_or(|clone| is_about(line, clone))
    }
}

fn is_named(line: &Line, kind: &str, name: &str) -> bool {
    line.target("kind") == kind && line.target("name") == name
}

fn is_in(line: &Line, namespace: &str) -> bool {
    let whose = line.clone.as_ref().and_then(|clone| clone.namespace.as_deref());
    whose == Some(namespace) || line.target("namespace") == namespace || is_named(line, "Namespace", namespace)
}

/// Whether a line is about a clone, or about what was made for it. Older lines say of the latter only the UID, and that elsewhere.
fn is_about(line: &Line, wanted: &str) -> bool {
    let is = |namespace: Option<&str>, name: Option<&str>, uid: Option<&str>| match wanted.split_once('/') {
        Some(path) => namespace.zip(name) == Some(path),
        None => name == Some(wanted) || uid == Some(wanted),
    };
    let some = |text: &'_ str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let whose = line.clone.as_ref().is_some_and(|clone| is(clone.namespace.as_deref(), clone.name.as_deref(), clone.uid.as_deref()));
    let (namespace, name, uid) = (some(line.target("namespace")), some(line.target("name")), some(line.target("uid")));
    let itself = is(namespace.as_deref(), name.as_deref(), uid.as_deref());
    let owner = line.target.get("owner").and_then(Value::as_object);
    let owner = |field: &str| owner.and_then(|owner| owner.get(field)).and_then(Value::as_str);
    let fact = line.reason.as_ref().and_then(|reason| reason.facts.get("ownerUid")).and_then(Value::as_str);
    whose || itself || is(namespace.as_deref(), owner("name"), owner("uid")) || (fact.is_some() && fact == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::journal::Found;

    const CLONE: &str = r#"{"time":"2026-02-05T16:30:22Z","event":"acted","version":1,"action":"delete","policy":"p","target":{"kind":"WordPressClone","namespace":"n","name":"c","uid":"u"},"reason":{"code":"Expired"},"clone":{"namespace":"n","name":"c","uid":"u","owner":"ada"},"outcome":"done"}"#;
    const DATABASE: &str = r#"{"time":"2026-02-05T17:30:22Z","event":"acted","version":1,"action":"mark","target":{"kind":"DBInstance","id":"c-u"},"reason":{"code":"OwnerGone"},"clone":{"namespace":"n","name":"c","uid":"u"},"outcome":"failed"}"#;
    const OLD: &str = r#"{"time":"2026-02-05T18:30:22Z","event":"decided","action":"hold","target":{"kind":"Secret","namespace":"n","name":"s","owner":{"name":"c","uid":"u"}},"reason":{"code":"CredentialsMissing"}}"#;
    const PAUSE: &str = r#"{"time":"2026-02-05T19:30:22Z","event":"paused","version":1,"facts":{"reason":"why"}}"#;

    /// Which of the four lines match.
    fn taken(args: &Wanted) -> String {
        let filter = args.settle("2026-02-05T20:00:00Z".parse().unwrap()).unwrap();
        let lines = [("c", CLONE), ("d", DATABASE), ("o", OLD), ("p", PAUSE)];
        let takes = |text: &str| matches!(Line::find(text.as_bytes()), Found::Line(line, _) if filter.takes(&line));
        lines.into_iter().filter(|(_, text)| takes(text)).map(|(name, _)| name).collect()
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn each_flag_takes_what_it_says() {
        assert_eq!(taken(&Wanted::default()), "cdop");
        for clone in ["n/c", "c", "u"] {
            assert_eq!(taken(&Wanted { clone: text(clone), ..Wanted::default() }), "cdo", "{clone}");
        }
        assert_eq!(taken(&Wanted { clone: text("m/c"), ..Wanted::default() }), "");
        assert_eq!(taken(&Wanted { owner: text("ada"), ..Wanted::default() }), "c");
        assert_eq!(taken(&Wanted { namespace: text("n"), ..Wanted::default() }), "cdo");
        assert_eq!(taken(&Wanted { policy: text("p"), ..Wanted::default() }), "c");
        assert_eq!(taken(&Wanted { reason: vec!["expired".into(), "OwnerGone".into()], ..Wanted::default() }), "cd");
        assert_eq!(taken(&Wanted { action: vec!["hold".into()], ..Wanted::default() }), "o");
        assert_eq!(taken(&Wanted { event: vec!["paused".into(), "decided".into()], ..Wanted::default() }), "op");
        assert_eq!(taken(&Wanted { outcome: vec!["failed".into()], ..Wanted::default() }), "d");
        assert_eq!(taken(&Wanted { since: text("2h"), ..Wanted::default() }), "op");
        assert_eq!(taken(&Wanted { since: text("2026-02-05T17:30:22Z"), until: text("1h"), ..Wanted::default() }), "do");
        for (since, until, said) in [("1h", "2h", "--since is after"), ("soon", "1h", "--since: `soon` is neither"), ("3h", "x", "--until: `x`")] {
            let args = Wanted { since: text(since), until: text(until), ..Wanted::default() };
            assert!(args.settle("2026-02-05T20:00:00Z".parse().unwrap()).unwrap_err().to_string().contains(said), "{said}");
        }
    }
}
