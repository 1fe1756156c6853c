//! What stands in a `*_test.yaml`: a world, and what the policies beside it are to make of it. Reading alone; `check` runs them.
//!
//! Contract: as strict as policies, with the same problems. Objects are kept as they are written: there is one reader for those.

use super::{
    Mode,
    code::Code,
    folder::{is_test_file, read_dir},
    lint, load,
    problem::{Place, Problem, Problems, Source},
    yaml,
};
use crate::model::Span;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// The fixtures of a folder, with the texts that problems are shown in.
#[derive(Debug, Default)]
pub struct Fixtures {
    /// The tests, in the order of files and lines.
    pub tests: Vec<PolicyTest>,
    folder: Option<String>,
    sources: Vec<Source>,
}

/// One test: a `kind: PolicyTest`.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyTest {
    /// `metadata.name`.
    pub name: String,
    /// Where that stands.
    pub place: Place,
    /// The mode that all policies are judged under.
    pub mode: Mode,
    /// The moment that is decided about.
    pub now: Timestamp,
    /// The id of the cluster in AWS, if one is given.
    pub cluster_id: Option<String>,
    /// The region of AWS that was swept, if one was.
    pub region: Option<String>,
    /// Sources of evidence that are not known, and where that is said.
    pub unknown: Vec<(String, Place)>,
    /// What this month has cost by then, USD by namespace.
    pub spent: BTreeMap<String, Decimal>,
    /// Clones, in short.
    pub clones: Vec<GivenClone>,
    /// Anything that `kubectl get -o yaml` or `aws rds describe-…` writes.
    pub objects: Vec<(Value, Place)>,
    /// Clones that somebody tries to make, one after the other.
    pub creations: Vec<Creation>,
    /// What is to be decided.
    pub expectations: Vec<Expectation>,
}

/// What a clone says, wherever it is given in short.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Said {
    /// `spec.ttlSeconds`.
    pub ttl: Option<Span>,
    /// `clonewarden.io/owner`; of a clone that is made, who makes it.
    pub owner: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// `spec.useDedicatedDatabase`.
    pub dedicated: Option<bool>,
    /// `spec.databaseSize`.
    pub class: Option<String>,
}

/// A clone that lives.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenClone {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where that stands.
    pub place: Place,
    /// How long ago it was made.
    pub age: Span,
    /// The end that is announced on it, since it was made.
    pub announced: Option<Timestamp>,
    /// The `DatabaseHost` that it lives on, and where that is said.
    pub host: Option<(String, Place)>,
    /// What it says.
    pub said: Said,
}

/// A clone that somebody tries to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Creation {
    /// Its namespace.
    pub namespace: String,
    /// Its name; of several, what comes before their numbers.
    pub name: String,
    /// Where that stands.
    pub place: Place,
    /// How many of them, each of which is to be answered as expected.
    pub count: u32,
    /// What it says.
    pub said: Said,
    /// What it is to be answered.
    pub wanted: Vec<Wanted>,
}

/// What is to be decided about one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Its kind, as a plan says it.
    pub kind: String,
    /// Its name, as a plan says it.
    pub name: String,
    /// Where that stands.
    pub place: Place,
    /// What is to be decided.
    pub wanted: Vec<Wanted>,
}

/// One thing that is expected, as it would be printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The field of the fixture.
    pub field: &'static str,
    /// What it says, in the one form that there is for it.
    pub value: String,
    /// Where it stands.
    pub place: Place,
}

impl Fixtures {
    /// Reads the `*_test.yaml` of a folder.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read(dir: &Path) -> Result<Self, Problems> {
        let folder = Some(dir.display().to_string());
        match read_dir(dir, &is_test_file) {
            Ok((files, unread)) => Self::gather(folder, files, unread),
            Err(error) => {
                let problem = Problem::new(Code::Unreadable, Place::whole(""), format!("the folder cannot be read: {error}"));
                Self::gather(folder, Vec::new(), vec![problem])
            }
        }
    }

    /// Reads fixtures from files in memory: name and bytes.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn of_files(files: Vec<(String, Vec<u8>)>) -> Result<Self, Problems> {
        Self::gather(None, files, Vec::new())
    }

    fn gather(folder: Option<String>, files: Vec<(String, Vec<u8>)>, mut problems: Vec<Problem>) -> Result<Self, Problems> {
        let mut fixtures = Self { folder, ..Self::default() };
        for (name, bytes) in files {
            fixtures.file(&name, &bytes, &mut problems);
        }
        if problems.is_empty() { Ok(fixtures) } else { Err(fixtures.report(problems)) }
    }

    fn file(&mut self, name: &str, bytes: &[u8], problems: &mut Vec<Problem>) {
        let (source, problem) = load::source(name, bytes);
        match (problem, &source) {
            (Some(problem), _) => problems.push(problem),
            (None, Some(source)) => {
                for (begin, text) in yaml::documents(&source.text) {
                    self.tests.extend(lint::fixture(source, begin..begin + text.len(), text, problems));
                }
            }
            (None, None) => {}
        }
        self.sources.extend(source);
    }

    /// Problems of these files, ready to be shown.
    #[must_use]
    pub fn report(&self, problems: Vec<Problem>) -> Problems {
        let report = Problems::new(&self.sources, problems);
        match &self.folder {
            Some(folder) => report.in_folder(folder.clone()),
            None => report,
        }
    }
}
