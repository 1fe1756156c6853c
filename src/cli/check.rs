//! `clonewarden policy test`: runs the fixtures beside the policies.
//!
//! Exit codes: 0 all as expected, 1 not (with `--strict` also where something is tested by nothing), 2 misuse, or policies or
//! fixtures that cannot be read.

use super::{Failure, inputs, lint, output, plan};
use crate::{
    check::{
        self,
        coverage::{Coverage, Item},
    },
    policy::{Policies, Problems, fixture::Fixtures, report},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How often a watched folder is looked at.
const EVERY: Duration = Duration::from_millis(300);

/// `policy test`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder with the policy files and the fixtures (`*_test.yaml`)
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Fail where a rule, limit or budget is hit by no test
    #[arg(long)]
    strict: bool,
    /// How to print what came of it
    #[arg(long, short, value_enum, default_value_t = lint::Output::Text)]
    output: lint::Output,
    /// Run again whenever a file in the folder changes, until interrupted
    #[arg(long)]
    watch: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if !args.watch {
        return once(args);
    }
    loop {
        let seen = seen(&args.folder);
        let end = match once(args) {
            Ok(()) => "ok".to_owned(),
            Err(failure) => failure.to_string(),
        };
        output::aside(&format!("{end}\nwatching `{}`; Ctrl-C ends it\n", args.folder.display()));
        while self::seen(&args.folder) == seen {
            std::thread::sleep(EVERY);
        }
    }
}

/// What a folder looks like from outside: a change of any file is one of this. Editors write in several steps, which at worst is seen
/// as several changes.
fn seen(folder: &Path) -> Option<BTreeMap<PathBuf, (u64, Option<SystemTime>)>> {
    let entries = fs::read_dir(folder).ok()?;
    let about = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let about = fs::metadata(&path).ok()?;
        Some((path, (about.len(), about.modified().ok())))
    });
    Some(about.collect())
}

/// One test, and what came of it.
struct Ran {
    place: String,
    name: String,
    outcome: check::Outcome,
}

fn once(args: &Args) -> Result<(), Failure> {
    let policies = inputs::load(&args.folder)?;
    let fixtures = Fixtures::read(&args.folder).map_err(|problems| Failure::rendered(problems.render(output::error_colours())))?;
    if fixtures.tests.is_empty() {
        let what = format!("there is no test in `{}`: write `kind: PolicyTest` into a file that ends in `_test.yaml`", args.folder.display());
        return Err(Failure::input(anyhow::anyhow!(what)));
    }
    let mut coverage = Coverage::default();
    let ran = |test: &crate::policy::fixture::PolicyTest| {
        let outcome = check::run(test, &policies, &mut coverage);
        Ran { place: output::printable(&format!("{}:{}", test.place.file, test.place.line)), name: test.name.clone(), outcome }
    };
    let ran: Vec<Ran> = fixtures.tests.iter().map(ran).collect();
    let problems = fixtures.report(ran.iter().flat_map(|ran| ran.outcome.problems.clone()).collect());
    let items = coverage.items(&policies);
    let said = match args.output {
        lint::Output::Text => {
            output::data(&text(&ran, &items))?;
            problems.render(output::error_colours())
        }
        lint::Output::Json => {
            output::data(&plan::json(&document(&ran, &items, &problems, &policies))?)?;
            String::new()
        }
        lint::Output::Sarif | lint::Output::Github => {
            lint::print(&problems, args.output)?;
            String::new()
        }
    };
    let untested = args.strict && items.iter().any(|item| !item.hit);
    if problems.count() > 0 || untested { Err(Failure::found(said)) } else { Ok(()) }
}

/// A line a test, then what none of them has hit.
fn text(ran: &[Ran], items: &[Item]) -> String {
    let mut out = String::new();
    for Ran { place, name, outcome } in ran {
        let mark = if outcome.problems.is_empty() { "ok  " } else { "FAIL" };
        let _ = writeln!(out, "{mark}  {place}  {name}  ({} expected)", outcome.expectations);
    }
    let failed = ran.iter().filter(|ran| !ran.outcome.problems.is_empty()).count();
    let hit = items.iter().filter(|item| item.hit).count();
    let _ = writeln!(
        out,
        "\n{} {}, {failed} failed; {hit} of {} rules, limits and budgets hit",
        ran.len(),
        if ran.len() == 1 { "test" } else { "tests" },
        items.len()
    );
    for item in items.iter().filter(|item| !item.hit) {
        let _ = writeln!(out, "hit by no test: {}  policy `{}`, {}", output::printable(&item.place), item.policy, item.what);
    }
    out
}

fn document(ran: &[Ran], items: &[Item], problems: &Problems, policies: &Policies) -> Value {
    let tests: Vec<Value> = ran
        .iter()
        .map(|ran| json!({"name": ran.name, "place": ran.place, "passed": ran.outcome.problems.is_empty(), "expectations": ran.outcome.expectations}))
        .collect();
    let coverage: Vec<Value> =
        items.iter().map(|item| json!({"policy": item.policy, "what": item.what, "place": item.place, "hit": item.hit})).collect();
    let mut document = report::document(problems, Some(policies));
    if let Some(fields) = document.as_object_mut() {
        fields.insert("kind".to_owned(), json!("PolicyTestReport"));
        fields.insert("tests".to_owned(), Value::Array(tests));
        fields.insert("coverage".to_owned(), Value::Array(coverage));
    }
    document
}
