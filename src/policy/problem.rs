//! What is wrong with a set of policy files, ready for a person (snippets as `rustc` draws them) or for a program (plain fields).
//!
//! Contract: every problem says where it is and what to do next; text from a file is never printed raw, so a policy cannot
//! move the cursor of whoever reviews it.

use super::code::Code;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::{collections::BTreeMap, fmt, ops::Range, sync::Arc};

/// More problems than this are counted, not shown: nobody reads them, and a broken generator can make thousands.
const SHOWN: usize = 100;
/// Longer texts are cut: a message is one sentence.
const LONGEST_TEXT: usize = 400;

/// Snippets of lines longer than this say nothing, and drawing them takes long.
const LONGEST_LINE: usize = 1_000;

/// A stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, relative to the folder; empty for the folder itself.
    pub file: Arc<str>,
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: u64,
    /// The column in characters, from 1; 0 where the file as a whole is meant.
    pub column: u64,
    start: usize,
    end: usize,
}

impl Place {
    /// The file as a whole.
    pub(super) fn whole(file: &str) -> Self {
        Self { file: file.into(), line: 0, column: 0, start: 0, end: 0 }
    }

    fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// Where a stretch lies, in plain numbers for a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The line, from 1.
    pub line: u64,
    /// The column of its first character, from 1.
    pub column: u64,
    /// The column after its last character.
    pub end_column: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem it is.
    pub code: Code,
    /// Where it is.
    pub place: Place,
    /// One sentence.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
    /// Other places that belong to it, and why.
    pub related: Vec<(Place, String)>,
}

impl Problem {
    pub(crate) fn new(code: Code, place: Place, message: impl AsRef<str>) -> Self {
        Self { code, place, message: printable(message.as_ref()), help: None, related: Vec::new() }
    }

    pub(crate) fn help(mut self, help: impl AsRef<str>) -> Self {
        self.help = Some(printable(help.as_ref()));
        self
    }

    pub(super) fn maybe_help(self, help: Option<impl AsRef<str>>) -> Self {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }

    pub(crate) fn related(mut self, place: Place, label: &str) -> Self {
        self.related.push((place, printable(label)));
        self
    }
}

/// A file's text, with what it takes to turn offsets into lines and columns without walking through it each time: places are
/// made by the thousand, and a generated file may be one long line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) name: Arc<str>,
    pub(super) text: Arc<str>,
    /// The offset at which each line begins.
    lines: Vec<usize>,
    /// How many characters begin before each multiple of [`STEP`].
    characters: Vec<usize>,
}

/// The distance between two counts of characters.
const STEP: usize = 256;

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let counts = text.as_bytes().chunks(STEP).scan(0, |total, chunk| {
            *total += count(chunk);
            Some(*total)
        });
        let characters = std::iter::once(0).chain(counts).collect();
        Self { name: name.into(), text: text.into(), lines, characters }
    }

    /// The place of these bytes, cut at the end of their first line: a caret under a whole mapping helps nobody.
    pub(super) fn place(&self, range: Range<usize>) -> Place {
        let start = self.boundary(range.start);
        let line = self.lines.partition_point(|begin| *begin <= start);
        let begin = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let stop = self.lines.get(line).map_or(self.text.len(), |next| next - 1);
        let stop = if stop > start && self.text.as_bytes().get(stop - 1) == Some(&b'\r') { stop - 1 } else { stop };
        let end = self.boundary(range.end.min(stop)).max(start);
        let column = self.characters_before(start) - self.characters_before(begin) + 1;
        Place { file: Arc::clone(&self.name), line: line as u64, column: column as u64, start, end }
    }

    /// The offset at which a line (from 1) and a column (in characters, from 1) begin.
    pub(super) fn offset(&self, line: u64, column: u64) -> usize {
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(begin) = self.lines.get(index).copied() else { return self.text.len() };
        let skip = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        let rest = self.text.get(begin..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        begin + line.char_indices().nth(skip).map_or(line.len(), |(at, _)| at)
    }

    fn characters_before(&self, offset: usize) -> usize {
        let step = offset / STEP;
        let counted = self.characters.get(step).copied().unwrap_or_default();
        counted + self.text.as_bytes().get(step * STEP..offset).map_or(0, count)
    }

    fn boundary(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// Everything that is wrong with a set of files, sorted by place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    folder: Option<String>,
    sources: BTreeMap<Arc<str>, Arc<str>>,
    all: Vec<Problem>,
    errors: usize,
    warnings: usize,
}

impl Problems {
    pub(super) fn new(sources: &[Source], mut all: Vec<Problem>) -> Self {
        all.sort_by(|a, b| a.place.cmp(&b.place).then(a.code.cmp(&b.code)));
        all.dedup();
        let warnings = all.iter().filter(|problem| problem.code.is_warning()).count();
        let errors = all.len() - warnings;
        if all.len() > SHOWN {
            // What keeps the set from loading is shown first.
            all.sort_by_key(|problem| problem.code.is_warning());
            all.truncate(SHOWN);
            all.sort_by(|a, b| a.place.cmp(&b.place).then(a.code.cmp(&b.code)));
        }
        let sources = sources.iter().map(|source| (Arc::clone(&source.name), Arc::clone(&source.text))).collect();
        Self { folder: None, sources, all, errors, warnings }
    }

    /// The same problems, printed with the folder before the file names.
    pub(crate) fn in_folder(mut self, folder: String) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Without those that are only doubts.
    pub(crate) fn without_warnings(mut self) -> Self {
        self.all.retain(|problem| !problem.code.is_warning());
        self.warnings = 0;
        self
    }

    /// The problems, in the order of the files and their lines.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.all.iter()
    }

    /// How many there are, including those that are not kept one by one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.errors + self.warnings
    }

    /// How many of them keep the set from loading.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many of them are only doubts.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// How many are counted and not kept one by one.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.count() - self.all.len()
    }

    /// Whether it is the folder itself that cannot be read, so that nothing is known about the files.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.all.iter().any(|problem| problem.code == Code::Unreadable && problem.place.file.is_empty())
    }

    /// Lines and columns of a place; `None` where the file as a whole is meant.
    #[must_use]
    pub fn region(&self, place: &Place) -> Option<Region> {
        let width = self.sources.get(&place.file).and_then(|text| text.get(place.range())).map_or(0, |text| text.chars().count());
        let end_column = place.column.saturating_add(width as u64);
        (place.line > 0).then_some(Region { line: place.line, column: place.column, end_column })
    }

    /// Renders every problem with its snippet, for a terminal that shows colours or for anything else.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut out: Vec<String> = self.all.iter().map(|problem| self.render_one(problem, &renderer)).collect();
        if self.omitted() > 0 {
            out.push(format!("… and {} more problems", self.omitted()));
        }
        out.join("\n\n")
    }

    fn render_one(&self, problem: &Problem, renderer: &Renderer) -> String {
        let level = if problem.code.is_warning() { Level::WARNING } else { Level::ERROR };
        let title = level.primary_title(&*problem.message).id(problem.code.as_str());
        let mut group = Group::with_title(title);
        let mut places = vec![(&problem.place, AnnotationKind::Primary, None)];
        places.extend(problem.related.iter().map(|(place, label)| (place, AnnotationKind::Context, Some(label.as_str()))));
        // One snippet a file, in the order in which the files come up.
        let mut files: Vec<&Arc<str>> = Vec::new();
        for (place, ..) in &places {
            if !files.contains(&&place.file) {
                files.push(&place.file);
            }
        }
        for file in files {
            let here = || places.iter().filter(|(place, ..)| place.file == *file && place.line > 0);
            let first = here().next().map(|(place, ..)| *place);
            group = match (first, self.sources.get(file)) {
                (Some(_), Some(text)) if here().all(|(place, ..)| line_length(text, place) <= LONGEST_LINE) => {
                    let marks = here().map(|(place, kind, label)| -> Annotation<'_> { kind.span(place.range()).label(*label) });
                    group.element(Snippet::source(&**text).path(self.path(file)).annotations(marks))
                }
                (Some(place), _) => {
                    let (line, column) = (usize::try_from(place.line), usize::try_from(place.column));
                    let origin = Origin::path(self.path(file)).line(line.unwrap_or_default());
                    group.element(origin.char_column(column.unwrap_or_default()))
                }
                (None, _) => group.element(Origin::path(self.path(file))),
            };
        }
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }

    /// The file as it is printed, with its folder before it; for the folder itself that alone.
    #[must_use]
    pub fn path(&self, file: &str) -> String {
        let folder = self.folder.as_deref().map(|folder| folder.trim_end_matches('/'));
        printable(&match folder {
            Some(folder) if file.is_empty() => folder.to_owned(),
            Some(folder) => format!("{folder}/{file}"),
            None if file.is_empty() => "policies".to_owned(),
            None => file.to_owned(),
        })
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

/// How many characters begin in these bytes of a text.
fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// How long the line of a place is.
fn line_length(text: &str, place: &Place) -> usize {
    let (before, after) = text.split_at_checked(place.start).unwrap_or((text, ""));
    let left = before.rsplit('\n').next().unwrap_or_default();
    let right = after.split('\n').next().unwrap_or_default();
    left.len() + right.len()
}

/// A text that can be printed: control characters and those that turn the direction of writing are escaped, and it ends.
fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut out = String::with_capacity(text.len().min(LONGEST_TEXT));
    for (count, c) in text.chars().enumerate() {
        if count >= LONGEST_TEXT {
            out.push('…');
            break;
        }
        if c.is_control() || turns(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_where_a_walk_through_the_text_would_find_them() {
        let text = format!("a\r\nü{}\n\n€{}\r\nend", "é".repeat(700), "x€".repeat(300));
        let source = Source::new("a.yaml", &text);
        for (at, _) in text.char_indices() {
            let before = text.get(..at).unwrap();
            let line = before.rsplit('\n').next().unwrap();
            let place = source.place(at..usize::MAX);
            assert_eq!(place.line, before.matches('\n').count() as u64 + 1, "{at}");
            assert_eq!(place.column, line.chars().count() as u64 + 1, "{at}");
            assert!(!text.get(place.range()).unwrap().contains(['\n', '\r']) || place.start == place.end, "{at}");
            assert_eq!(source.offset(place.line, place.column), at);
        }
        let end = source.place(usize::MAX..usize::MAX);
        assert_eq!((end.line, end.column), (5, 4));
    }

    #[test]
    fn what_is_printed_cannot_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2J\n\u{202e}b"), "a\\u{1b}[2J\\n\\u{202e}b");
        assert_eq!(printable(&"ü".repeat(1_000)).chars().count(), LONGEST_TEXT + 1);
    }
}
