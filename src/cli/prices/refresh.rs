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
use serde_json::Value;
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

/// Names and USD.
type Prices<'a> = Vec<(&'a str, Decimal)>;

/// What became of one figure.
struct Looked {
    table: Table,
    name: String,
    before: Option<Decimal>,
    now: Result<Decimal, String>,
}

pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    if !is_region(&args.region) {
        return Err(Failure::input(anyhow::anyhow!("`{}` is no region; write it as us-east-1", printable(&args.region))));
    }
    let book = present(args)?;
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
    let document = document(&looked, &book, &args.region, today);
    match &args.output {
        None => output::data(&document),
        Some(path) => output::file(path, &document).with_context(|| format!("cannot write `{}`", path.display())).map_err(Failure::failed),
    }
}

/// The figures at present: of the policies, else of the file that is to be replaced, else those that are built in.
fn present(args: &Args) -> Result<Arc<PriceBook>, Failure> {
    let before = args.output.as_ref().map(|path| Ok::<_, Failure>((path, replaced(path, &args.region)?))).transpose()?;
    match (&args.policies, before) {
        (Some(folder), _) => Ok(inputs::load(folder)?.prices),
        (None, Some((path, Some(text)))) => {
            prices::with_file(&path.display().to_string(), &text).map_err(|problems| Failure::rendered(problems.render(output::error_colours())))
        }
        (None, _) => Ok(prices::built_in()),
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

/// A `PriceBook` with what was found. What was not, and whatever else the user's own book says of the region, is carried over with its date
/// and its source: the document may take the place of that book. What is built in is left out, and stands beneath it anyway.
fn document(looked: &[Looked], book: &PriceBook, region: &str, today: Date) -> String {
    let built_in = prices::built_in();
    let mut tables: BTreeMap<(Table, Date, &str), Prices<'_>> = BTreeMap::new();
    for (_, table, name, figure) in book.figures().filter(|(of, ..)| *of == region) {
        let found = looked.iter().any(|one| one.now.is_ok() && (one.table, one.name.as_str()) == (table, name));
        if !found && built_in.figure(region, table, name) != Some(figure) {
            tables.entry((table, figure.as_of, &figure.source)).or_default().push((name, figure.usd));
        }
    }
    for one in looked {
        if let Ok(usd) = one.now {
            tables.entry((one.table, today, SOURCE)).or_default().push((&one.name, usd));
        }
    }
    let mut out = format!(
        "# What AWS' price list says of {region}, on demand, in USD: written by `clonewarden prices refresh`. What it does not say is as it was.\n\
         apiVersion: clonewarden.io/v1alpha1\nkind: PriceBook\nmetadata: {{name: price-list-{region}}}\nspec:\n  region: {region}\n  tables:\n"
    );
    for ((table, as_of, source), figures) in tables {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "    - of: {}\n      asOf: {as_of}\n      source: {}\n      usd:", table.word(), quoted(source));
        for (name, usd) in figures {
            let _ = writeln!(out, "        {}: \"{usd}\"", quoted(name));
        }
    }
    let same = (built_in.said_fixed(region), built_in.spread_over(region)) == (book.said_fixed(region), book.spread_over(region));
    if let Some(costs) = book.said_fixed(region).filter(|_| !same) {
        out += if costs.is_empty() { "  fixed:\n    costs: []\n" } else { "  fixed:\n    costs:\n" };
        for cost in costs {
            let _ = writeln!(out, "      - {{of: {}, name: {}, count: \"{}\"}}", cost.table.word(), quoted(&cost.name), cost.count);
        }
        if let Some(over) = book.spread_over(region) {
            let _ = writeln!(out, "    spreadOver: {over}");
        }
    }
    out
}

/// A text as YAML reads it: a JSON text is one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text of the file that is to be replaced, if there is one. It must hold nothing but a book of that region: all else would be lost.
fn replaced(path: &Path, region: &str) -> Result<Option<String>, Failure> {
    if !path.is_file() {
        return Ok(None);
    }
    let name = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("`{name}`, which is to be replaced, cannot be read")).map_err(Failure::input)?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap_or_else(|_| vec![Value::from("no YAML")]);
    let is_ours = |document: &&Value| {
        let of = document.pointer("/spec/region").and_then(Value::as_str);
        document.is_null() || (document.get("kind").and_then(Value::as_str) == Some("PriceBook") && of == Some(region))
    };
    if documents.iter().all(|document| is_ours(&document)) {
        return Ok(Some(text));
    }
    let help = "give it a file of its own";
    Err(Failure::input(anyhow::anyhow!("`{name}` holds something else than a `PriceBook` of {region}, which would be lost: {help}")))
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
        let text = document(&looked, &prices::built_in(), "us-east-1", "2026-11-28".parse().unwrap());
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
    fn what_the_list_does_not_say_is_carried_over_from_ones_own_book() {
        let policy = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec: {namespaces: {names: [n]}}\n";
        let own = "apiVersion: clonewarden.io/v1alpha1\nkind: PriceBook\nmetadata: {name: ours}\nspec:\n  region: us-east-1\n  tables:\n  \
                   - {of: ec2-spot, asOf: 2026-10-01, source: \"https://example.com/spot\", usd: {t3.large: 0.05}}\n  \
                   - {of: rds-mysql, asOf: 2026-10-02, source: \"https://example.com/contract\", usd: {db.t3.micro: 0.010}}\n  \
                   - {of: eks, asOf: 2026-10-03, source: \"https://example.com/eks\", usd: {control-plane: 0.2}}\n  \
                   fixed: {costs: [{of: eks, name: control-plane, count: 2}], spreadOver: 7}\n";
        let load = |prices: &str| load_files(vec![("p.yaml".to_owned(), policy.into()), ("prices.yaml".to_owned(), prices.into())]).unwrap().prices;
        let book = load(own);
        let found = |table, name: &str, now: Result<&str, &str>| Looked {
            table,
            name: name.into(),
            before: None,
            now: now.map(|usd| usd.parse().unwrap()).map_err(str::to_owned),
        };
        let looked = [
            found(Table::Eks, "control-plane", Ok("0.1")),
            found(Table::Ec2Spot, "t3.large", Err("no")),
            found(Table::RdsMysql, "db.t3.micro", Err("no")),
            found(Table::RdsMysql, "db.t3.small", Err("no")),
        ];
        let text = document(&looked, &book, "us-east-1", "2026-11-28".parse().unwrap());
        let read = load(&text);
        let figure = |table, name: &str| {
            let found = read.figure("us-east-1", table, name).unwrap();
            (found.usd.to_string(), found.as_of.to_string(), found.source.to_string())
        };
        let said = |usd: &str, as_of: &str, source: &str| (usd.to_owned(), as_of.to_owned(), source.to_owned());
        assert_eq!(figure(Table::Ec2Spot, "t3.large"), said("0.05", "2026-10-01", "https://example.com/spot"), "{text}");
        assert_eq!(figure(Table::RdsMysql, "db.t3.micro"), said("0.01", "2026-10-02", "https://example.com/contract"));
        assert_eq!(figure(Table::Eks, "control-plane"), said("0.1", "2026-11-28", SOURCE));
        assert_eq!(read.said_fixed("us-east-1"), book.said_fixed("us-east-1"));
        assert_eq!(read.spread_over("us-east-1"), Some(7));
        assert!(!text.contains("db.t3.small"), "what is built in is not dated as ours: {text}");
    }

    #[test]
    fn what_else_is_in_the_file_is_not_lost() {
        let path = std::env::temp_dir().join(format!("clonewarden-refresh-{}.yaml", std::process::id()));
        let book = "apiVersion: clonewarden.io/v1alpha1\nkind: PriceBook\nmetadata: {name: ours}\nspec:\n  region: us-east-1\n  tables:\n  \
                    - {of: ec2-spot, asOf: 2026-10-01, source: \"https://example.com/spot\", usd: {t3.large: 0.05}}\n";
        let args = |region: &str| Args { policies: None, region: region.to_owned(), cache: None, output: Some(path.clone()) };
        let spot = |book: &PriceBook| book.usd("us-east-1", Table::Ec2Spot, "t3.large").unwrap().to_string();
        assert_eq!(spot(&present(&args(HOME)).unwrap()), "0.0274");
        fs::write(&path, book).unwrap();
        assert_eq!(spot(&present(&args(HOME)).unwrap()), "0.05", "without --policies the file itself says it");
        let said = present(&args("eu-west-1")).unwrap_err();
        assert!(said.code == 2 && said.to_string().contains("holds something else than a `PriceBook` of eu-west-1"), "{said}");
        for other in ["kind: ClonePolicy\n", "{", "text\n"] {
            fs::write(&path, format!("{book}---\n{other}")).unwrap();
            assert_eq!(present(&args(HOME)).unwrap_err().code, 2, "{other}");
        }
        fs::write(&path, "").unwrap();
        assert!(present(&args(HOME)).is_ok());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn changes_are_told_in_percent() {
        let of = |before: &str, now: &str| percent(before.parse().unwrap(), now.parse().unwrap());
        assert_eq!((of("0.02", "0.021"), of("0.02", "0.01"), of("0", "1")), (" (+5 %)".to_owned(), " (-50 %)".to_owned(), String::new()));
    }
}
