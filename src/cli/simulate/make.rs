//! `clonewarden simulate make-trace`

use super::{flags::per_mille, places};
use crate::{
    cli::{Failure, inputs, output},
    model::Span,
    simulate::{
        make::{Maker, Mix, Recipe, Shape},
        trace,
    },
};
use anyhow::{Context, anyhow};
use jiff::Timestamp;
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    sync::Arc,
};

/// `simulate make-trace`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write; default: standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Arrivals an hour; on working days, within working hours
    #[arg(long, value_name = "COUNT", default_value = "10", value_parser = rate)]
    per_hour: f64,
    /// When people come
    #[arg(long, value_enum, default_value_t = When::Steady)]
    shape: When,
    /// The first moment (RFC 3339)
    #[arg(long, value_name = "TIME", default_value = "2026-02-02T00:00:00Z", value_parser = inputs::moment)]
    start: Timestamp,
    /// How long it goes on
    #[arg(long = "for", value_name = "DURATION", default_value = "30d")]
    lasts: Span,
    /// At most so many arrivals; 0: as many as come
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    most: u64,
    /// Namespaces, each with its weight: `wordpress-production:9,wordpress-staging:1`
    #[arg(long, value_name = "NAME[:WEIGHT],…", default_value = "wordpress-staging")]
    namespaces: String,
    /// How long clones are to live, each with its weight: `30m:2,2h:7,none:1`; `none`: they do not say
    #[arg(long, value_name = "TTL[:WEIGHT],…", default_value = "2h")]
    ttl: String,
    /// Of a hundred so many are labelled as critical
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = per_mille)]
    critical: u16,
    /// Of a hundred so many are deleted by their people before their end, at any moment of their life
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = per_mille)]
    early: u16,
    /// How many people there are, up to 100,000
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    owners: u64,
    /// The number that all chance comes from: the same one gives the same trace
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum When {
    /// At any hour alike
    Steady,
    /// From Monday to Friday between 8 and 18 o'clock (UTC), and a tenth of that at other times
    WorkingDay,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let namespaces = mix("--namespaces", &args.namespaces, |text| {
        let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if is_name { Ok(Arc::<str>::from(text)) } else { Err("is no name of a namespace".to_owned()) }
    })?;
    let ttl = mix("--ttl", &args.ttl, |text| match text {
        "none" => Ok(None),
        text => text.parse::<Span>().map(Some).map_err(|error| error.to_string()),
    })?;
    let recipe = Recipe {
        start: args.start,
        lasts: args.lasts,
        most: args.most,
        per_hour: args.per_hour,
        shape: if args.shape == When::Steady { Shape::Steady } else { Shape::WorkingDay },
        namespaces,
        ttl,
        critical: args.critical,
        early: args.early,
        owners: args.owners,
        seed: args.seed,
    };
    let ends = args.start.as_second().checked_add(args.lasts.as_secs());
    if !trace::SECONDS.contains(&args.start.as_second()) || ends.is_none_or(|ends| !trace::SECONDS.contains(&ends)) {
        let range = trace::range();
        return Err(Failure::input(anyhow!("--start {} --for {}: the dates of a trace are {range}", args.start, args.lasts)));
    }
    let mut arrivals = Maker::new(recipe).peekable();
    if arrivals.peek().is_none() {
        let help = "ask for a longer time, or for more an hour";
        return Err(Failure::input(anyhow!("--per-hour {} --for {}: nobody comes; {help}", args.per_hour, args.lasts)));
    }
    if let Some(path) = &args.out {
        places::check_trace("--out", path)?;
    }
    let out: Box<dyn Write> = match &args.out {
        None => Box::new(io::stdout().lock()),
        Some(path) => Box::new(File::create(path).with_context(|| format!("`{}` cannot be written", path.display())).map_err(Failure::failed)?),
    };
    let mut out = BufWriter::new(out);
    let mut made = 0_u64;
    let written = arrivals.try_for_each(|arrival| {
        made = made.saturating_add(1);
        writeln!(out, "{}", trace::write(&arrival))
    });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(anyhow::Error::new(error).context("the trace cannot be written")))
        }
        _ => {
            output::note(&format!("{made} arrivals"));
            Ok(())
        }
    }
}

/// Things with their weights; one that says none has 1.
fn mix<T>(flag: &str, text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Mix<T>, Failure> {
    let wrong = |part: &str, why: String| Failure::input(anyhow::anyhow!("{flag}: `{part}` {why}"));
    let each = text.split(',').map(|part| {
        let (thing, weight) = part.split_once(':').unwrap_or((part, "1"));
        let weight = weight.parse::<u64>().ok().filter(|weight| (1..=1_000_000).contains(weight));
        let weight = weight.ok_or_else(|| wrong(part, "has a weight that is no whole number from 1 up".to_owned()))?;
        Ok((read(thing).map_err(|why| wrong(part, why))?, weight))
    });
    each.collect()
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0).ok_or_else(|| "is not a number above zero".to_owned())
}
