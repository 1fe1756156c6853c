//! What the kernel says about this process, from `/proc/self`. Where a file is missing or strange the figure is left out.

use std::{fs, path::Path};

/// The figures of the standard `process_…` metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    /// User and system time, in seconds.
    pub(super) cpu: Option<f64>,
    /// Resident memory, in bytes.
    pub(super) memory: Option<f64>,
    /// Open file descriptors.
    pub(super) open: Option<f64>,
    /// How many may be open.
    pub(super) most: Option<f64>,
    /// When it started, in Unix seconds.
    pub(super) start: Option<f64>,
}

/// The type of the entry of the auxiliary vector that says how many clock ticks a second has.
const AT_CLKTCK: u64 = 17;
/// What that is on every Linux there is.
const USUAL_TICKS: f64 = 100.0;

impl Process {
    /// Reads them. Takes well under a millisecond.
    pub(super) fn read() -> Self {
        let own = Path::new("/proc/self");
        let text = |path: &Path| fs::read_to_string(path).ok();
        let ticks = fs::read(own.join("auxv")).ok().and_then(|vector| ticks_a_second(&vector)).unwrap_or(USUAL_TICKS);
        let stat = text(&own.join("stat"));
        let stat = stat.as_deref().and_then(Stat::parse);
        let boot = text(Path::new("/proc/stat")).and_then(|text| field(&text, "btime "));
        // One of them is the descriptor by which the folder is read.
        let open = fs::read_dir(own.join("fd")).ok().map(|files| files.count().saturating_sub(1));
        Self {
            cpu: stat.as_ref().map(|stat| stat.cpu / ticks),
            memory: text(&own.join("status")).and_then(|text| field(&text, "VmRSS:")).map(|kibibytes| kibibytes * 1_024.0),
            open: open.map(super::figures::number),
            most: text(&own.join("limits")).and_then(|text| field(&text, "Max open files")),
            start: boot.zip(stat.as_ref()).map(|(boot, stat)| boot + stat.start / ticks),
        }
    }
}

/// Times of `/proc/self/stat`, in clock ticks.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu: f64,
    start: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the name in parentheses, which may hold anything, more parentheses included.
        let (_, rest) = text.rsplit_once(") ")?;
        let field = |number: usize| rest.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse::<f64>().ok();
        Some(Self { cpu: field(14)? + field(15)?, start: field(22)? })
    }
}

/// The first number after `key` at the beginning of a line.
fn field(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Looks it up in the auxiliary vector: pairs of machine words, type and value.
fn ticks_a_second(vector: &[u8]) -> Option<f64> {
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().ok().map(usize::from_ne_bytes);
    let pair = vector.chunks_exact(WORD * 2).find_map(|pair| {
        let (kind, value) = pair.split_at_checked(WORD)?;
        (u64::try_from(word(kind)?).ok()? == AT_CLKTCK).then(|| word(value)).flatten()
    })?;
    u32::try_from(pair).ok().filter(|ticks| *ticks > 0).map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) R 9) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 12345 1000000 200";
        assert_eq!(Stat::parse(text), Some(Stat { cpu: 300.0, start: 12_345.0 }));
        assert_eq!(Stat::parse("42 (short) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn fields_are_found_by_their_name() {
        assert_eq!(field("VmPeak:\t 9 kB\nVmRSS:\t  1234 kB\n", "VmRSS:"), Some(1_234.0));
        assert_eq!(field("Max open files            unlimited            unlimited\n", "Max open files"), None);
        assert_eq!(field("cpu 1\nbtime 1770000000\n", "btime "), Some(1_770_000_000.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_every_figure() {
        let process = Process::read();
        assert!(process.memory.unwrap() > 1_000_000.0, "{process:?}");
        assert!(process.open.unwrap() >= 3.0, "{process:?}");
        assert!(process.cpu.unwrap() >= 0.0, "{process:?}");
        let now = jiff::Timestamp::now().as_duration().as_secs_f64();
        let age = now - process.start.unwrap();
        assert!((-5.0..86_400.0).contains(&age), "{process:?}");
    }
}
