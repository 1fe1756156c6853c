//! A whole set of files: what must hold between documents, wherever they stand.

use super::{
    Policies, Revision,
    code::Code,
    doubts,
    format::{API_VERSION, Document, Header, HostSpec, PolicySpec, PriceSpec},
    forms,
    lint::{self, Lint, ReadHost, ReadPolicy, ReadPrices},
    prices,
    problem::{Place, Problem, Source},
    yaml,
};
use crate::cost::book::PriceBook;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The kinds of documents.
const KINDS: [&str; 3] = ["ClonePolicy", "DatabaseHost", "PriceBook"];
/// More documents than this in a file are no policies any more.
const MOST_DOCUMENTS: usize = 500;

/// What has been read so far.
#[derive(Default)]
pub(super) struct Set {
    policies: Vec<ReadPolicy>,
    hosts: Vec<ReadHost>,
    prices: Vec<ReadPrices>,
    /// Names of hosts whose documents were begun, readable or not.
    declared: BTreeSet<String>,
    /// Whether a document was so broken that it may have been a host.
    unknown: bool,
    /// Whether any document was, or may have been, a policy.
    any_policy: bool,
    pub(super) problems: Vec<Problem>,
}

impl Set {
    /// Reads every document of a file.
    pub(super) fn read(&mut self, source: &Source) {
        let documents = yaml::documents(&source.text);
        for (index, (begin, text)) in documents.iter().enumerate() {
            let range = *begin..begin + text.len();
            if index >= MOST_DOCUMENTS {
                let message = format!("the file holds more than {MOST_DOCUMENTS} documents");
                let problem = Problem::new(Code::TooComplex, source.place(*begin..*begin), message);
                self.problems.push(problem.help("split it into several files"));
                return;
            }
            self.document(source, range, text);
        }
    }

    /// A file that could not be read as text: anything may have been in it.
    pub(super) fn broken(&mut self, problem: Problem) {
        (self.unknown, self.any_policy) = (true, true);
        self.problems.push(problem);
    }

    fn document(&mut self, source: &Source, range: std::ops::Range<usize>, text: &str) {
        let header = match yaml::read::<Option<Header>>(text) {
            // An explicit `null`.
            Ok(None) => return,
            Ok(Some(header)) => header,
            Err(failure) => {
                Lint::new(source, range, &mut self.problems).failed(failure);
                (self.unknown, self.any_policy) = (true, true);
                return;
            }
        };
        let mut lint = Lint::new(source, range, &mut self.problems);
        let name = header.metadata.and_then(|metadata| metadata.value.name.0).and_then(|name| name.value.ok());
        match kind(&mut lint, header.api_version, header.kind) {
            Some("ClonePolicy") => {
                self.any_policy = true;
                match yaml::read::<Document<PolicySpec>>(text) {
                    Ok(document) => self.policies.extend(lint::policy(&mut lint, document)),
                    Err(failure) => lint.failed(failure),
                }
            }
            Some("PriceBook") => match yaml::read::<Document<PriceSpec>>(text) {
                Ok(document) => self.prices.extend(lint::prices(&mut lint, document)),
                Err(failure) => lint.failed(failure),
            },
            Some(_) => {
                self.declared.extend(name);
                match yaml::read::<Document<HostSpec>>(text) {
                    Ok(document) => self.hosts.extend(lint::host(&mut lint, document)),
                    Err(failure) => lint.failed(failure),
                }
            }
            None => (self.unknown, self.any_policy) = (true, true),
        }
    }

    /// Checks what holds between documents.
    pub(super) fn check(&mut self) {
        if !self.any_policy {
            let help = "write at least one `kind: ClonePolicy` into a file that ends in `.yaml`";
            self.problems.push(Problem::new(Code::NoPolicy, Place::whole(""), "there is no policy here").help(help));
        }
        let policies = self.policies.iter().map(|read| (&*read.policy.name, &read.name));
        let namespaces = self.policies.iter().flat_map(|read| read.namespaces.iter().map(move |(name, place)| (read, name, place)));
        let mut found = twice(policies, "policy");
        found.extend(twice(self.hosts.iter().map(|read| (&*read.host.name, &read.name)), "host"));
        found.extend(twice(self.prices.iter().map(|read| (read.name.0.as_str(), &read.name.1)), "price book"));
        found.extend(twice_priced(&self.prices));
        found.extend(clashes(namespaces));
        found.extend(doubts::overlaps(&self.policies));
        self.problems.extend(found);
        self.check_hosts();
        // What things cost, and who wants which host, is known only once nothing is wrong with what says so.
        if self.problems.iter().all(|problem| problem.code.is_warning()) {
            let prices = prices::overlaid(self.prices.iter().map(|read| read.book.clone()).collect());
            self.problems.extend(doubts::unused(&self.policies, &self.hosts));
            self.problems.extend(doubts::small_budgets(&self.policies, &self.hosts, &prices));
        }
    }

    fn check_hosts(&mut self) {
        // A host that seems to be missing may be in the document that could not be read.
        if self.unknown {
            return;
        }
        let missing = self.policies.iter().flat_map(|read| &read.hosts).filter(|(name, _)| !self.declared.contains(name));
        // Comparing names is the dear part; beyond a hundred problems nobody looks at it.
        let problems: Vec<Problem> = missing
            .enumerate()
            .map(|(index, (name, place))| {
                let near = (index < 100).then(|| forms::nearest(name, self.declared.iter().map(String::as_str))).flatten();
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add a `kind: DatabaseHost` with the name `{name}` to these files"),
                };
                Problem::new(Code::UnknownHost, place.clone(), format!("there is no host `{name}`")).help(help)
            })
            .collect();
        self.problems.extend(problems);
    }

    /// The policies, once nothing is wrong with them.
    pub(super) fn finish(self, revision: Revision) -> Policies {
        let mut policies: Vec<_> = self.policies.into_iter().map(|read| Arc::new(read.policy)).collect();
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        let mut hosts: Vec<_> = self.hosts.into_iter().map(|read| read.host).collect();
        hosts.sort_by(|a, b| a.name.cmp(&b.name));
        let prices = prices::overlaid(self.prices.into_iter().map(|read| read.book).collect());
        Policies { revision, policies, hosts, prices }
    }

    /// The price books alone.
    pub(super) fn into_prices(self) -> PriceBook {
        let mut all = PriceBook::default();
        self.prices.into_iter().for_each(|read| all.overlay(read.book));
        all
    }
}

/// Which kind of document it is, if it is one of ours.
fn kind<'k>(lint: &mut Lint<'_>, version: super::scalar::Leaf<String>, kind: super::scalar::Leaf<String>) -> Option<&'k str> {
    let start = lint.start();
    let version = lint.need("apiVersion", version, &start);
    let kind = lint.need("kind", kind, &start);
    let (version, kind) = (version?, kind?);
    let known = KINDS.into_iter().find(|known| **known == kind.value);
    if known.is_none() {
        let place = lint.place(kind.at);
        let help = match forms::nearest(&kind.value, KINDS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}; other files do not belong into this folder", yaml::list(&KINDS)),
        };
        lint.report(Problem::new(Code::UnknownKind, place, format!("there is no kind `{}` here", kind.value)).help(help));
    }
    if version.value != API_VERSION && known.is_some() {
        let place = lint.place(version.at);
        let message = format!("`{}` is not a version that this release reads", version.value);
        lint.report(Problem::new(Code::UnknownKind, place, message).help(format!("write `apiVersion: {API_VERSION}`")));
        return None;
    }
    known
}

/// Names that two documents of a kind have.
fn twice<'a>(names: impl Iterator<Item = (&'a str, &'a Place)>, what: &str) -> Vec<Problem> {
    let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, place) in names {
        match first.get(name) {
            None => {
                first.insert(name, place);
            }
            Some(before) => {
                let problem = Problem::new(Code::DuplicateName, place.clone(), format!("there are two {} called `{name}`", plural(what)));
                problems.push(problem.related((*before).clone(), "the first one").help("give each its own name, or take one out"));
            }
        }
    }
    problems
}

fn plural(what: &str) -> &str {
    match what {
        "policy" => "policies",
        "host" => "hosts",
        _ => "price books",
    }
}

/// Regions that two price books are about: which of the two counts would depend on the names of their files.
fn twice_priced(books: &[ReadPrices]) -> Vec<Problem> {
    let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
    let regions = books.iter().map(|read| (read.region.0.as_str(), &read.region.1)).filter(|(region, _)| !region.is_empty());
    let again = regions.filter_map(|(region, place)| Some((region, place, first.insert(region, place)?)));
    again
        .map(|(region, place, before)| {
            let problem = Problem::new(Code::DuplicateName, place.clone(), format!("there are two price books for `{region}`"));
            problem.related(before.clone(), "the first one").help("put the figures of a region into one book")
        })
        .collect()
}

/// Namespaces that two policies name.
fn clashes<'a>(names: impl Iterator<Item = (&'a ReadPolicy, &'a String, &'a Place)>) -> Vec<Problem> {
    let mut first: BTreeMap<&str, (&ReadPolicy, &Place)> = BTreeMap::new();
    let mut problems = Vec::new();
    for (policy, name, place) in names {
        match first.get(name.as_str()) {
            None => {
                first.insert(name, (policy, place));
            }
            // Twice in one list has been reported with the list.
            Some((other, _)) if std::ptr::eq(*other, policy) => {}
            Some((other, before)) => {
                let message = format!("namespace `{name}` is governed by two policies, `{}` and `{}`", other.policy.name, policy.policy.name);
                let problem = Problem::new(Code::NamespaceClash, place.clone(), message).related((*before).clone(), "named here first");
                problems.push(problem.help("a namespace belongs to at most one policy; take it out of one of them"));
            }
        }
    }
    problems
}
