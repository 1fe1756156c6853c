//! A million lives under the policies that are shipped: how long a simulation takes, and that its memory does not grow with the trace.
//!
//! A third of the clones is deleted by its people before its end; as many come as the policies let in, nearly. `made`: arrivals come out of
//! the maker; `read`: as lines of a file, as for the command. Each row is a process of its own; the last column is the peak of its memory
//! against that of the row with a tenth of the lives.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a bench fails by a panic")]

use clonewarden::{
    model::{Quantity, Span},
    policy::load_dir,
    simulate::{
        Arrival, Setting, Simulation,
        make::{Maker, Recipe, Shape},
        setting::Retry,
        trace,
    },
};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    process::Command,
    time::Instant,
};

/// Says to a process which row it is.
const ROW: &str = "CLONEWARDEN_BENCH_ROW";
/// How many lives, and whether they are read from a file.
const CASES: [(u64, bool); 4] = [(100_000, false), (1_000_000, false), (100_000, true), (1_000_000, true)];

fn main() {
    if let Some(row) = std::env::var(ROW).ok().and_then(|row| row.parse::<usize>().ok()) {
        return measure(CASES[row].0, CASES[row].1);
    }
    println!(
        "{:>9} {:>8} {:>10} {:>8} {:>9} {:>9} {:>8} {:>8}  aim",
        "lives", "arrivals", "admitted", "peak", "wall ms", "CPU ms", "peak MiB", "ratio"
    );
    let own = std::env::current_exe().expect("the path of this bench");
    let mut before = 0.0;
    for (row, (lives, _)) in CASES.iter().enumerate() {
        let ran = Command::new(&own).env(ROW, row.to_string()).output().expect("a process");
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "row {row}: {} {}", ran.status, String::from_utf8_lossy(&ran.stderr));
        let (line, peak) = said.trim_end().rsplit_once(' ').expect("a figure");
        let peak: f64 = peak.parse().expect("a number");
        let (ratio, aim) = if *lives > 100_000 { (format!("{:.2}", peak / before), "≤ 2,000 ms; ratio ≤ 1.1") } else { ("-".to_owned(), "") };
        println!("{line} {peak:>8.1} {ratio:>8}  {aim}");
        before = peak;
    }
}

fn measure(lives: u64, from_file: bool) {
    let policies = load_dir(Path::new("policies")).expect("the policies that are shipped");
    let needs =
        [("requests.cpu", "250m"), ("requests.memory", "512Mi")].map(|(name, text)| (name.to_owned(), Quantity::parse(text).expect("an amount")));
    let retry = Some(Retry { every: Span::minutes(5), patience: Span::hours(1) });
    let setting = Setting { needs: needs.into(), retry, ..Setting::default() };
    let file = std::env::temp_dir().join(format!("clonewarden-bench-{}.jsonl", std::process::id()));
    if from_file {
        let mut out = BufWriter::new(File::create(&file).expect("a file"));
        Maker::new(recipe(lives)).for_each(|arrival| writeln!(out, "{}", trace::write(&arrival)).expect("a line"));
    }
    let (begun, cpu) = (Instant::now(), cpu_millis());
    let mut simulation = Simulation::new(&policies, &setting);
    let mut arrive = |arrival: &Arrival| simulation.arrive(arrival);
    if from_file {
        let (mut reader, mut lines, mut line) =
            (trace::Reader::default(), BufReader::with_capacity(256 << 10, File::open(&file).expect("a file")), String::new());
        while lines.read_line(&mut line).expect("a line") > 0 {
            arrive(&reader.read(line.trim_end()).expect("an arrival").expect("one a line"));
            line.clear();
        }
    } else {
        Maker::new(recipe(lives)).for_each(|arrival| arrive(&arrival));
    }
    let (figures, ()) = simulation.finish();
    let (wall, cpu) = (begun.elapsed().as_secs_f64() * 1e3, cpu_millis() - cpu);
    let _ = fs::remove_file(&file);
    assert_eq!(figures.arrivals, lives, "everybody came");
    let how = if from_file { "read" } else { "made" };
    println!("{lives:>9} {how:>8} {:>10} {:>8} {wall:>9.0} {cpu:>9.0} {:.1}", figures.admitted, figures.peak, peak_mib());
}

fn recipe(lives: u64) -> Recipe {
    Recipe {
        start: "2026-02-02T00:00:00Z".parse().expect("a date"),
        lasts: Span::hours(24 * 366 * 50),
        most: lives,
        per_hour: 40.0,
        shape: Shape::Steady,
        namespaces: vec![("wordpress-production".into(), 9), ("wordpress-staging".into(), 1)],
        ttl: vec![(Some(Span::minutes(30)), 2), (Some(Span::hours(2)), 7), (None, 1)],
        critical: 100,
        early: 333,
        owners: 200,
        seed: 7,
    }
}

/// CPU time of this thread so far.
fn cpu_millis() -> f64 {
    let times = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    times.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or_default() / 1e6
}

/// The most memory that this process ever had.
fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1_024.0
}
