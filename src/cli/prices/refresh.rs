//! `clonewarden prices refresh`: the figures of the price book as AWS' price list has them today.

use super::super::{
    Failure, inputs,
    output::{self, printable},
};
use crate::{
    cost::{
        book::{PriceBook, Table},
        listing::Lookup,
    },
    observe::pricing::{PriceList, SOURCE},
    policy::prices,
};
use anyhow::Context;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;
use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The region whose names are looked up where the book knows nothing of another.
const HOME: &str = "us-east-1";

/// `prices refresh`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The folder with the policy files, whose `PriceBook`s say what the figures are at present
    #[arg(long, env = "CLONEWARDEN_POLICIES", value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The region; one that the book does not know gets the names of us-east-1
    #[arg(long, value_name = "REGION", default_value = HOME)]
    region: String,
    /// Where AWS' answers are kept for the day; default: clonewarden/prices in the cache folder of the user
    #[arg(long, env = "CLONEWARDEN_PRICES_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
    /// The file that the `PriceBook` is written to; default: standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What became of one figure.
struct Looked {
    table: Table,
    name: String,
    before: Option<Decimal>,
    now: Result<Decimal, String>,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let book = match &args.policies {
        Some(folder) => inputs::load(folder)?.prices,
        None => prices::built_in(),
    };
    if !is_region(&args.region) {
        return Err(Failure::input(anyhow::anyhow!("`{}` is no region; write it as us-east-1", printable(&args.region))));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start").map_err(Failure::failed)?;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let looked = runtime.block_on(async {
        let list = PriceList::connect(args.cache.clone().or_else(own_cache), today).await;
        look(&list, &book, &args.region).await
    });
    let looked = looked.map_err(Failure::failed)?;
    tell(&looked);
    let found = looked.iter().filter(|one| one.now.is_ok()).count();
    if found == 0 {
        return Err(Failure::failed(anyhow::anyhow!("the price list has none of the figures: nothing is written")));
    }
    let document = document(&looked, &args.region, today);
    match &args.output {
        None => output::data(&document),
        Some(path) => write(path, &document),
    }
}

/// Looks every figure up; one that gets no answer ends it all, so that no book is half of today.
async fn look(list: &PriceList, book: &Arc<PriceBook>, region: &str) -> anyhow::Result<Vec<Looked>> {
    let names = if book.knows(region) { region } else { HOME };
    let mut looked = Vec::new();
    for (_, table, name, _) in book.figures().filter(|(of, ..)| *of == names) {
        let now = match Lookup::of(region, table, name) {
            None => Err("is not in the price list".to_owned()),
            Some(lookup) => {
                let products = list.products(&lookup.query).await;
                let products = products.with_context(|| format!("the price list does not tell `{name}` in `{}`", table.word()))?;
                lookup.price(&products)
            }
        };
        looked.push(Looked { table, name: name.to_owned(), before: book.usd(region, table, name), now });
    }
    Ok(looked)
}

/// What changed, and what could not be found.
fn tell(looked: &[Looked]) {
    let mut same = 0_usize;
    for Looked { table, name, before, now } in looked {
        let what = format!("{} {name}", table.word());
        match (before, now) {
            (Some(before), Ok(now)) if before == now => same = same.saturating_add(1),
            (Some(before), Ok(now)) => output::progress(&format!("{what}: {before} → {now}{}", percent(*before, *now))),
            (None, Ok(now)) => output::progress(&format!("{what}: {now}, which was not known")),
            (Some(before), Err(why)) => output::note(&format!("{what}: {why}; {before} stands")),
            (None, Err(why)) => output::note(&format!("{what}: {why}")),
        }
    }
    output::progress(&format!("{same} of {} figures are what they were", looked.len()));
}

fn percent(before: Decimal, now: Decimal) -> String {
    match crate::cost::drift(now, before) {
        Some(ratio) => format!(" ({:+} %)", ratio.saturating_mul(Decimal::ONE_HUNDRED).round_dp(1).normalize()),
        None => String::new(),
    }
}

/// A `PriceBook` with what was found. What was not is left out, so that the figure beneath it stands.
fn document(looked: &[Looked], region: &str, today: Date) -> String {
    let mut tables: BTreeMap<Table, Vec<(&str, Decimal)>> = BTreeMap::new();
    for one in looked {
        if let Ok(usd) = one.now {
            tables.entry(one.table).or_default().push((&one.name, usd));
        }
    }
    let mut out = format!(
        "# What AWS' price list says of {region}, on demand, in USD: written by `clonewarden prices refresh`.\n\
         apiVersion: clonewarden.io/v1alpha1\nkind: PriceBook\nmetadata: {{name: price-list-{region}}}\nspec:\n  region: {region}\n  tables:\n"
    );
    for (table, figures) in tables {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "    - of: {}\n      asOf: {today}\n      source: {SOURCE}\n      usd:", table.word());
        for (name, usd) in figures {
            let _ = writeln!(out, "        {name}: \"{usd}\"");
        }
    }
    out
}

fn write(path: &Path, document: &str) -> Result<(), Failure> {
    let new = path.with_extension("new");
    let written = fs::write(&new, document).and_then(|()| fs::rename(&new, path));
    written.with_context(|| format!("cannot write `{}`", path.display())).map_err(Failure::failed)
}

/// The cache folder of the user, where there is one.
fn own_cache() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
    Some(folder.join("clonewarden/prices"))
}

/// What can be a region. It goes into a question and into a document.
fn is_region(text: &str) -> bool {
    text.len() <= 32 && text.contains('-') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::load_files;

    #[test]
    fn what_is_written_can_be_read_and_takes_the_place_of_what_it_names() {
        let looked = [
            Looked { table: Table::RdsMysql, name: "db.t3.micro".into(), before: None, now: Ok("0.018".parse().unwrap()) },
            Looked { table: Table::RdsMysql, name: "db.t3.small".into(), before: None, now: Err("no".into()) },
            Looked { table: Table::Eks, name: "control-plane".into(), before: None, now: Ok("0.1".parse().unwrap()) },
        ];
        let text = document(&looked, "us-east-1", "2026-11-28".parse().unwrap());
        let policy = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [n]}}\n";
        let read = load_files(vec![("p.yaml".to_owned(), policy.into()), ("prices.yaml".to_owned(), text.into())]).unwrap();
        let figure = |table, name: &str| {
            let found = read.prices.figures().find(|(_, of, called, _)| (*of, *called) == (table, name)).unwrap().3;
            (found.usd.to_string(), found.as_of.to_string(), found.source.to_string())
        };
        assert_eq!(figure(Table::RdsMysql, "db.t3.micro"), ("0.018".to_owned(), "2026-11-28".to_owned(), SOURCE.to_owned()));
        assert_eq!(figure(Table::RdsMysql, "db.t3.small").0, "0.034", "what was not found stands");
        assert_eq!(figure(Table::Eks, "control-plane").0, "0.1");
    }

    #[test]
    fn changes_are_told_in_percent() {
        let of = |before: &str, now: &str| percent(before.parse().unwrap(), now.parse().unwrap());
        assert_eq!((of("0.02", "0.021"), of("0.02", "0.01"), of("0", "1")), (" (+5 %)".to_owned(), " (-50 %)".to_owned(), String::new()));
    }
}
