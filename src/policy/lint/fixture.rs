//! `PolicyTest`: a world in short, and what is expected of it.

use super::Lint;
use crate::{
    model::Span,
    policy::{
        Mode,
        code::Code,
        fixture::{Creation, Expectation, GivenClone, PolicyTest, Said, Wanted},
        format::{API_VERSION, Block, Document, Header},
        forms,
        problem::{Place, Problem, Source},
        scalar::{At, Choice, Entries, Leaf, List, Mismatch, Read, Scalar},
        yaml,
    },
};
use jiff::Timestamp;
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, ops::Range};

/// The kind of the documents.
pub(in crate::policy) const KIND: &str = "PolicyTest";
/// More clones than this at once prove nothing more.
const MOST_AT_ONCE: u32 = 1_000;

/// `spec` of a `PolicyTest`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["now"]))]
pub(in crate::policy) struct TestSpec {
    /// The mode that all policies are judged under. Default: enforce, so that a test holds before the flip and after it.
    mode: Leaf<Mode>,
    /// The moment that is decided about, with an offset from UTC.
    now: Leaf<Timestamp>,
    /// The world. What is not in it is not there.
    #[schemars(with = "Option<Given>")]
    given: Block<Given>,
    /// Clones that somebody tries to make, one after the other.
    #[schemars(with = "Option<Vec<NewClone>>")]
    create: Block<Vec<Spanned<NewClone>>>,
    /// What is decided about what is given.
    #[schemars(with = "Option<Vec<Decided>>")]
    expect: Block<Vec<Spanned<Decided>>>,
}

/// `spec.given`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Given {
    /// The id of the cluster, as it stands in AWS tags.
    cluster_id: Leaf<String>,
    /// A region of AWS that was swept: with it things have prices.
    region: Leaf<String>,
    /// Sources that are not known, as a plan calls them: `clones`, `time`, `rds/us-east-1`.
    unknown: List<String>,
    /// USD that a namespace has spent of this month.
    spent: Option<Entries<Decimal>>,
    /// Clones, in short.
    #[schemars(with = "Option<Vec<Living>>")]
    clones: Block<Vec<Spanned<Living>>>,
    /// Whatever `kubectl get -o yaml` or `aws rds describe-…` writes.
    #[schemars(with = "Option<Vec<Value>>")]
    objects: Block<Vec<Spanned<Value>>>,
}

/// One of `spec.given.clones`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["name", "age"]))]
struct Living {
    /// `namespace/name`.
    name: Leaf<String>,
    /// How long ago it was made.
    age: Leaf<Span>,
    /// The end that has been announced on it since.
    announced: Leaf<Timestamp>,
    /// The DatabaseHost that it lives on.
    host: Leaf<String>,
    /// `spec.ttlSeconds`, as a duration.
    ttl: Leaf<Span>,
    /// Whose it is.
    owner: Leaf<String>,
    /// Its labels.
    labels: Option<Entries<String>>,
    /// Its annotations.
    annotations: Option<Entries<String>>,
    /// `spec.useDedicatedDatabase`.
    dedicated: Leaf<bool>,
    /// `spec.databaseSize`.
    class: Leaf<String>,
}

/// One of `spec.create`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
#[schemars(extend("required" = ["name", "expect"]))]
struct NewClone {
    /// `namespace/name`; of several, what comes before their numbers.
    name: Leaf<String>,
    /// How many, each of which is to be answered as expected. Default: 1.
    count: Leaf<u32>,
    /// `spec.ttlSeconds`, as a duration.
    ttl: Leaf<Span>,
    /// Who makes it.
    owner: Leaf<String>,
    /// Its labels.
    labels: Option<Entries<String>>,
    /// Its annotations.
    annotations: Option<Entries<String>>,
    /// `spec.useDedicatedDatabase`.
    dedicated: Leaf<bool>,
    /// `spec.databaseSize`.
    class: Leaf<String>,
    /// What whoever makes it is answered.
    #[schemars(with = "Answer")]
    expect: Block<Answer>,
}

/// `expect` of one of `spec.create`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Answer {
    /// Whether it is let in.
    admitted: Leaf<bool>,
    /// The code of the refusal.
    refusal: Leaf<String>,
    /// How long it is to live.
    ttl: Leaf<Span>,
    /// Which sort of database it gets.
    database: Leaf<DatabaseWord>,
    /// The DatabaseHost that it is put on.
    host: Leaf<String>,
    /// The instance class that it gets.
    class: Leaf<String>,
    /// The placement rule that decides.
    rule: Leaf<String>,
    /// Words that stand in what the caller is told.
    says: Leaf<String>,
}

/// One of `spec.expect`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Decided {
    /// The clone that it is about, `namespace/name`.
    clone: Leaf<String>,
    /// The kind of what it is about, as a plan calls it, where that is no clone.
    kind: Leaf<String>,
    /// The name of that, as a plan calls it.
    name: Leaf<String>,
    /// What is to be done; `none`: nothing is decided about it.
    action: Leaf<ActionWord>,
    /// The code of the reason.
    reason: Leaf<String>,
    /// Where the end comes from: `default`, `requested`, `loweredToMaximum` and so on.
    cause: Leaf<String>,
    /// When the end is.
    end: Leaf<Timestamp>,
    /// What holds the decision back: `audit`, `brake` or `pause`.
    blocked_by: Leaf<String>,
    /// Words that stand in the sentence.
    says: Leaf<String>,
}

/// What may be decided; `none`: nothing is.
#[derive(Debug, Clone, Copy)]
struct ActionWord(&'static str);

impl Choice for ActionWord {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self("none")),
        ("keep", Self("keep")),
        ("warn", Self("warn")),
        ("delete", Self("delete")),
        ("hold", Self("hold")),
        ("mark", Self("mark")),
        ("unmark", Self("unmark")),
        ("create", Self("create")),
        ("update", Self("update")),
        ("alert", Self("alert")),
    ];
}

/// Which sort of database a clone gets.
#[derive(Debug, Clone, Copy)]
struct DatabaseWord(&'static str);

impl Choice for DatabaseWord {
    const WORDS: &'static [(&'static str, Self)] =
        &[("shared", Self("shared")), ("dedicated", Self("dedicated")), ("serverless", Self("serverless"))];
}

impl Read for Timestamp {
    fn read(scalar: Scalar) -> Result<Self, Mismatch> {
        let Scalar::Text(text) = scalar else { return Err(Mismatch::Type("a moment such as `2026-02-05T16:30:22Z`", scalar, None)) };
        text.parse().map_err(|_| {
            let help = "write it as `2026-02-05T16:30:22Z`, with an offset from UTC".to_owned();
            Mismatch::Value(Code::BadValue, format!("`{text}` is not a moment"), Some(help))
        })
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "examples": ["2026-02-05T16:30:22Z"]})
    }
}

/// Reads one document of a fixture; what is wrong with it is reported.
pub(in crate::policy) fn fixture(source: &Source, range: Range<usize>, text: &str, problems: &mut Vec<Problem>) -> Option<PolicyTest> {
    let mut lint = Lint::new(source, range, problems);
    let lint = &mut lint;
    let header = match yaml::read::<Option<Header>>(text) {
        Ok(header) => header?,
        Err(failure) => {
            lint.failed(failure);
            return None;
        }
    };
    if !is_ours(lint, header) {
        return None;
    }
    let document = match yaml::read::<Document<TestSpec>>(text) {
        Ok(document) => document,
        Err(failure) => {
            lint.failed(failure);
            return None;
        }
    };
    let (name, spec) = lint.head(document);
    let (spec, here) = spec?;
    let mode = lint.take("mode", spec.mode).map_or(Mode::Enforce, |mode| mode.value);
    let now = lint.need("now", spec.now, &here);
    let given = spec.given.map(|block| block.value).unwrap_or_default();
    let cluster_id = lint.take("given.clusterId", given.cluster_id).map(|id| id.value);
    let region = lint.take("given.region", given.region).map(|region| region.value);
    let unknown = lint.take_list("given.unknown", given.unknown, Some("source")).unwrap_or_default();
    let unknown = unknown.into_iter().map(|name| (name.value, lint.place(name.at))).collect();
    let spent = given.spent.into_iter().flat_map(|Entries(entries)| entries.value);
    let spent =
        spent.filter_map(|(namespace, usd)| Some((lint.take("given.spent", namespace)?.value, lint.take("given.spent", usd)?.value))).collect();
    let clones = given.clones.into_iter().flat_map(|block| block.value).filter_map(|clone| living(lint, clone)).collect();
    let objects = given.objects.into_iter().flat_map(|block| block.value);
    let objects = objects.map(|object| (lint.block(&object), object.value)).map(|(place, object)| (object, place)).collect();
    let creations: Vec<Creation> = spec.create.into_iter().flat_map(|block| block.value).filter_map(|clone| creation(lint, clone)).collect();
    let expectations: Vec<Expectation> = spec.expect.into_iter().flat_map(|block| block.value).filter_map(|entry| expectation(lint, entry)).collect();
    let (name, place) = name?;
    if creations.is_empty() && expectations.is_empty() && lint.count() == 0 {
        let problem = Problem::new(Code::MissingField, place.clone(), format!("test `{name}` expects nothing"));
        lint.report(problem.help("write what is to come of it under `expect` or `create`"));
    }
    Some(PolicyTest { name, place, mode, now: now?.value, cluster_id, region, unknown, spent, clones, objects, creations, expectations })
}

fn is_ours(lint: &mut Lint<'_>, header: Header) -> bool {
    let start = lint.start();
    let version = lint.need("apiVersion", header.api_version, &start);
    let kind = lint.need("kind", header.kind, &start);
    let (Some(version), Some(kind)) = (version, kind) else { return false };
    if kind.value != KIND {
        let problem = lint.problem(Code::UnknownKind, kind.at, format!("there is no kind `{}` here", kind.value));
        lint.report(problem.help(format!("a `*_test.yaml` holds `kind: {KIND}` alone; policies go into files of other names")));
    } else if version.value != API_VERSION {
        let message = format!("`{}` is not a version that this release reads", version.value);
        let problem = lint.problem(Code::UnknownKind, version.at, message);
        lint.report(problem.help(format!("write `apiVersion: {API_VERSION}`")));
    } else {
        return true;
    }
    false
}

/// `namespace/name`, and where it stands.
fn path(lint: &mut Lint<'_>, field: &str, said: Leaf<String>, parent: &Place) -> Option<(String, String, Place)> {
    let said = lint.need(field, said, parent)?;
    let parts = said.value.split_once('/').filter(|(namespace, name)| forms::is_label(namespace) && forms::is_label(name));
    let Some((namespace, name)) = parts else {
        let problem = lint.problem(Code::BadName, said.at, format!("`{}` is not the name of a clone", said.value));
        lint.report(problem.help("write it as `namespace/name`"));
        return None;
    };
    Some((namespace.to_owned(), name.to_owned(), lint.place(said.at)))
}

fn living(lint: &mut Lint<'_>, clone: Spanned<Living>) -> Option<GivenClone> {
    let here = lint.block(&clone);
    let clone = clone.value;
    let path = path(lint, "given.clones.name", clone.name, &here);
    let age = lint.need("given.clones.age", clone.age, &here);
    let announced = lint.take("given.clones.announced", clone.announced).map(|at| at.value);
    let host = lint.take("given.clones.host", clone.host).map(|host| (host.value, lint.place(host.at)));
    let said = said(lint, (clone.ttl, clone.owner, clone.dedicated, clone.class), clone.labels, clone.annotations);
    let (namespace, name, place) = path?;
    Some(GivenClone { namespace, name, place, age: age?.value, announced, host, said })
}

type Spoken = (Leaf<Span>, Leaf<String>, Leaf<bool>, Leaf<String>);

fn said(lint: &mut Lint<'_>, spoken: Spoken, labels: Option<Entries<String>>, annotations: Option<Entries<String>>) -> Said {
    let (ttl, owner, dedicated, class) = spoken;
    Said {
        ttl: lint.take("ttl", ttl).map(|ttl| ttl.value),
        owner: lint.take("owner", owner).map(|owner| owner.value),
        labels: entries(lint, "labels", labels),
        annotations: entries(lint, "annotations", annotations),
        dedicated: lint.take("dedicated", dedicated).map(|dedicated| dedicated.value),
        class: lint.take("class", class).map(|class| class.value),
    }
}

fn entries(lint: &mut Lint<'_>, field: &str, said: Option<Entries<String>>) -> BTreeMap<String, String> {
    let pairs = said.into_iter().flat_map(|Entries(entries)| entries.value);
    pairs.filter_map(|(key, value)| Some((lint.take(field, key)?.value, lint.take(field, value)?.value))).collect()
}

fn creation(lint: &mut Lint<'_>, clone: Spanned<NewClone>) -> Option<Creation> {
    let here = lint.block(&clone);
    let clone = clone.value;
    let path = path(lint, "create.name", clone.name, &here);
    let count = lint.take("create.count", clone.count).map_or(1, |count| lint.within("create.count", count, 1..=MOST_AT_ONCE));
    let said = said(lint, (clone.ttl, clone.owner, clone.dedicated, clone.class), clone.labels, clone.annotations);
    let mut wanted = Vec::new();
    match clone.expect {
        None => lint.missing("create.expect", &here),
        Some(block) => {
            let answer = block.value;
            want(lint, &mut wanted, "admitted", answer.admitted, bool::to_string);
            want(lint, &mut wanted, "refusal", answer.refusal, String::clone);
            want(lint, &mut wanted, "ttl", answer.ttl, Span::to_string);
            want(lint, &mut wanted, "database", answer.database, |word| word.0.to_owned());
            want(lint, &mut wanted, "host", answer.host, String::clone);
            want(lint, &mut wanted, "class", answer.class, String::clone);
            want(lint, &mut wanted, "rule", answer.rule, String::clone);
            want(lint, &mut wanted, "says", answer.says, String::clone);
        }
    }
    let (namespace, name, place) = path?;
    Some(Creation { namespace, name, place, count, said, wanted })
}

fn expectation(lint: &mut Lint<'_>, entry: Spanned<Decided>) -> Option<Expectation> {
    let here = lint.block(&entry);
    let entry = entry.value;
    let mut wanted = Vec::new();
    want(lint, &mut wanted, "action", entry.action, |word| word.0.to_owned());
    want(lint, &mut wanted, "reason", entry.reason, String::clone);
    want(lint, &mut wanted, "cause", entry.cause, String::clone);
    want(lint, &mut wanted, "end", entry.end, Timestamp::to_string);
    want(lint, &mut wanted, "blockedBy", entry.blocked_by, String::clone);
    want(lint, &mut wanted, "says", entry.says, String::clone);
    if entry.clone.is_said() == (entry.kind.is_said() || entry.name.is_said()) {
        let problem = Problem::new(Code::Contradiction, here, "an expectation is about either a `clone` or a `kind` and a `name`");
        lint.report(problem.help("write `clone: namespace/name`, or `kind: Job` and `name: namespace/name`, as a plan calls it"));
        return None;
    }
    if entry.clone.is_said() {
        let (namespace, name, place) = path(lint, "expect.clone", entry.clone, &here)?;
        let kind = crate::model::names::CLONE_KIND.to_owned();
        return Some(Expectation { kind, name: format!("{namespace}/{name}"), place, wanted });
    }
    let kind = lint.need("expect.kind", entry.kind, &here);
    let name = lint.need("expect.name", entry.name, &here);
    let (kind, At { value: name, at }) = (kind?, name?);
    Some(Expectation { kind: kind.value, name, place: lint.place(at), wanted })
}

fn want<T>(lint: &mut Lint<'_>, wanted: &mut Vec<Wanted>, field: &'static str, said: Leaf<T>, text: impl Fn(&T) -> String) {
    let said = lint.take(field, said);
    wanted.extend(said.map(|said| Wanted { field, value: text(&said.value), place: lint.place(said.at) }));
}
