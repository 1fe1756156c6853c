//! From what is written (`format`) to what it means (the types of [`crate::policy`]), with every problem on the way.
//!
//! Contract: total. A wrong value is reported and replaced by some value of its type, so that the rest is checked as well; the
//! result counts only if nothing was reported.

mod fixture;
mod host;
mod idle;
mod limit_range;
mod policy;
mod prices;
mod reach;
mod rules;

pub(super) use fixture::{KIND as TEST_KIND, TestSpec, fixture};
pub(super) use host::{ReadHost, host};
pub(super) use policy::{ReadPolicy, policy};
pub(super) use prices::{ReadPrices, prices};

use super::{
    code::Code,
    format::{self, Block},
    forms,
    problem::{Place, Problem, Source},
    scalar::{At, Leaf, List, Mismatch, Scalar},
    yaml::Failure,
};
use rust_decimal::Decimal;
use serde_saphyr::{Location, Spanned};
use std::{collections::BTreeMap, ops::Range};

/// Something, and where it stands.
type Placed<T> = (T, Place);

/// One document while it is being read.
pub(super) struct Lint<'a> {
    source: &'a Source,
    begin: usize,
    end: usize,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Lint<'a> {
    /// A document that stands at `range` of its file.
    pub(super) fn new(source: &'a Source, range: Range<usize>, problems: &'a mut Vec<Problem>) -> Self {
        Self { source, begin: range.start, end: range.end, problems }
    }

    /// Where in the file a place of this document is.
    pub(super) fn place(&self, at: Location) -> Place {
        if at == Location::UNKNOWN {
            return self.start();
        }
        self.source.place(self.range(at))
    }

    /// Where in the file a part of a text is; the whole text if it is not written as it reads, as in a block.
    fn place_in(&self, text: &At<String>, part: Option<Range<usize>>) -> Place {
        let whole = self.range(text.at);
        let written = self.source.text.get(whole.clone()).unwrap_or_default();
        let part = part.filter(|_| text.at != Location::UNKNOWN).and_then(|part| written_part(written, &text.value, part));
        match part {
            Some(part) => self.source.place(whole.start + part.start..whole.start + part.end),
            None => self.place(text.at),
        }
    }

    fn range(&self, at: Location) -> Range<usize> {
        // Offsets are within the document; where the library has none, lines and columns are.
        let span = at.span();
        let bytes = span.byte_offset().zip(span.byte_len());
        let (start, length) = match bytes {
            Some((offset, length)) => (as_usize(offset), as_usize(length)),
            None => {
                let first = self.source.place(self.begin..self.begin).line;
                let offset = self.source.offset(first + at.line().saturating_sub(1), at.column());
                (offset.saturating_sub(self.begin), 0)
            }
        };
        let start = self.begin.saturating_add(start).min(self.end);
        start..start.saturating_add(length).min(self.end)
    }

    /// The first line of the document that says something.
    pub(super) fn start(&self) -> Place {
        let text = self.source.text.get(self.begin..self.end).unwrap_or_default();
        let mut offset = self.begin;
        for line in text.split_inclusive('\n') {
            let bare = line.trim();
            if !bare.is_empty() && !bare.starts_with('#') && bare != "---" {
                return self.source.place(offset..offset + bare.len());
            }
            offset += line.len();
        }
        self.source.place(self.begin..self.begin)
    }

    /// Reports that the library could not read the document.
    pub(super) fn failed(&mut self, failure: Failure) {
        let place = self.place(failure.at);
        self.report(Problem::new(failure.code, place, failure.message).maybe_help(failure.help));
    }

    /// Reports a problem.
    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// How many problems there are by now.
    fn count(&self) -> usize {
        self.problems.len()
    }

    /// Begins a problem at a place of this document.
    fn problem(&self, code: Code, at: Location, message: impl AsRef<str>) -> Problem {
        Problem::new(code, self.place(at), message)
    }

    /// The value of a field; `None` if it is not said, or wrong, which is reported.
    pub(super) fn take<T>(&mut self, path: &str, leaf: Leaf<T>) -> Option<At<T>> {
        let At { value, at } = leaf.0?;
        match value {
            Ok(value) => Some(At { value, at }),
            Err(mismatch) => {
                self.mismatch(path, mismatch, at);
                None
            }
        }
    }

    /// As [`Lint::take`], for a field that must be there; `parent` is where it is missing.
    pub(super) fn need<T>(&mut self, path: &str, leaf: Leaf<T>, parent: &Place) -> Option<At<T>> {
        if !leaf.is_said() {
            self.missing(path, parent);
        }
        self.take(path, leaf)
    }

    /// As [`Lint::take`], for a list; entries that are wrong are reported and left out. With `entries`, there must be some: it
    /// says of what.
    fn take_list<T>(&mut self, path: &str, list: List<T>, entries: Option<&str>) -> Option<Vec<At<T>>> {
        let At { value, at } = list.0?;
        match value {
            Ok(items) => {
                if let Some(entries) = entries.filter(|_| items.is_empty()) {
                    let problem = self.problem(Code::MissingField, at, format!("`{path}` is empty"));
                    self.report(problem.help(format!("name at least one {entries}")));
                }
                Some(items.into_iter().filter_map(|item| self.take(path, item)).collect())
            }
            Err(mismatch) => {
                self.mismatch(path, mismatch, at);
                None
            }
        }
    }

    /// Reports a field that must be there.
    pub(super) fn missing(&mut self, path: &str, parent: &Place) {
        self.report(Problem::new(Code::MissingField, parent.clone(), format!("`{path}` is missing")));
    }

    fn mismatch(&mut self, path: &str, mismatch: Mismatch, at: Location) {
        let problem = match mismatch {
            Mismatch::Type(_, Scalar::Nothing, _) => {
                self.problem(Code::WrongType, at, format!("`{path}` has no value")).help("write a value, or take the line out to have the default")
            }
            Mismatch::Type(wanted, got, help) => self.problem(Code::WrongType, at, format!("`{path}` must be {wanted}, not {got}")).maybe_help(help),
            Mismatch::Value(code, message, help) => self.problem(code, at, message).maybe_help(help),
        };
        self.report(problem);
    }

    /// A name that must be an RFC 1123 label; also with problems it is given back, for others may refer to it.
    fn label(&mut self, what: &str, name: At<String>) -> At<String> {
        if !forms::is_label(&name.value) {
            let message = format!("`{}` is not {what}", name.value);
            let help = "use lower-case letters, digits and `-`, at most 63, with a letter or digit at both ends";
            self.report(self.problem(Code::BadName, name.at, message).help(help));
        }
        name
    }

    /// An amount of money that is not written in tens: YAML reads `0x10` as sixteen, people do not.
    fn plain(&mut self, amount: &At<Decimal>) {
        let written = self.source.text.get(self.range(amount.at)).unwrap_or_default();
        let digits = written.trim_start_matches(['+', '-']);
        if amount.at != Location::UNKNOWN && ["0x", "0X", "0o", "0O", "0b", "0B"].iter().any(|base| digits.starts_with(base)) {
            let message = format!("`{written}` is not a decimal number");
            let help = "write it as `12.50`, without currency, exponent or thousands separator";
            self.report(self.problem(Code::BadValue, amount.at, message).help(help));
        }
    }

    /// A number within bounds; the nearest bound, with a report, if it is not.
    fn within(&mut self, path: &str, number: At<u32>, bounds: std::ops::RangeInclusive<u32>) -> u32 {
        let (low, high) = (*bounds.start(), *bounds.end());
        if !bounds.contains(&number.value) {
            let message = if high == u32::MAX {
                format!("`{path}` must be at least {low}, not {}", number.value)
            } else {
                format!("`{path}` must be between {low} and {high}, not {}", number.value)
            };
            self.report(self.problem(Code::BadValue, number.at, message));
        }
        number.value.clamp(low, high)
    }

    /// Reports what a list says twice.
    fn unique(&mut self, what: &str, items: &[At<String>]) {
        let mut seen: BTreeMap<&str, Location> = BTreeMap::new();
        for item in items {
            if let Some(first) = seen.insert(&item.value, item.at) {
                let message = format!("{what} `{}` is listed twice", item.value);
                let first = self.place(first);
                self.report(self.problem(Code::DuplicateName, item.at, message).related(first, "first listed here"));
            }
        }
    }

    /// What every document has: its name, with the place of that, and its spec, with where it begins; each `None` where it is missing,
    /// which is reported.
    fn head<T>(&mut self, document: format::Document<T>) -> (Option<Placed<String>>, Option<Placed<T>>) {
        let start = self.start();
        let name = self.metadata(document.metadata, &start);
        let spec = document.spec.map(|spec| {
            let here = self.block(&spec);
            (spec.value, here)
        });
        if spec.is_none() {
            self.missing("spec", &start);
        }
        (name, spec)
    }

    fn metadata(&mut self, metadata: Block<format::Metadata>, start: &Place) -> Option<Placed<String>> {
        let Some(metadata) = metadata else {
            self.missing("metadata.name", start);
            return None;
        };
        let parent = self.block(&metadata);
        let name = self.need("metadata.name", metadata.value.name, &parent)?;
        let name = self.label("a name", name);
        let place = self.place(name.at);
        Some((name.value, place))
    }

    /// Where a part of the document begins.
    fn block<T>(&self, block: &Spanned<T>) -> Place {
        self.place(block.referenced)
    }
}

fn as_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Which bytes of a scalar, as it is written, a part of its value comes from. `None` where the two cannot be walked side by side:
/// blocks, lines that are folded, escapes that are not a single character.
fn written_part(written: &str, value: &str, part: Range<usize>) -> Option<Range<usize>> {
    let quote = written.chars().next().filter(|quote| matches!(quote, '"' | '\''));
    let mut rest = written.char_indices().skip(usize::from(quote.is_some())).peekable();
    let (mut start, mut end) = (None, None);
    for (at, c) in value.char_indices() {
        let (from, mut read) = rest.next()?;
        let escaped = (quote == Some('"') && read == '\\') || (quote == Some('\'') && read == '\'');
        if escaped {
            read = rest.next().map(|(_, read)| read).filter(|read| matches!(read, '"' | '\'' | '\\' | '/'))?;
        }
        if read != c {
            return None;
        }
        if at == part.start {
            start = Some(from);
        }
        if at + c.len_utf8() == part.end {
            end = rest.peek().map(|(next, _)| *next).or(Some(written.len()));
        }
    }
    Some(start?..end?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_scalar_are_found_where_they_are_written() {
        let found = |written: &str, value: &str, part: &str| {
            let begin = value.find(part).unwrap();
            written_part(written, value, begin..begin + part.len()).map(|range| written.get(range).unwrap().to_owned())
        };
        assert_eq!(found("clone.nmae == 'ü'", "clone.nmae == 'ü'", "'ü'").as_deref(), Some("'ü'"));
        assert_eq!(found("\"a['x'] == y\"", "a['x'] == y", "y").as_deref(), Some("y"));
        assert_eq!(found("'a[''x''] == y'", "a['x'] == y", "'x'").as_deref(), Some("''x''"));
        assert_eq!(found(r#""a[\"x\"] == y""#, "a[\"x\"] == y", "\"x\"").as_deref(), Some(r#"\"x\""#));
        for (written, value) in [("|\n  a\n", "a\n"), ("\"a\\n\"", "a\n"), ("a\n  b", "a b"), ("*x", "a"), ("", "a")] {
            assert_eq!(found(written, value, "a"), None, "{written}");
        }
    }
}
