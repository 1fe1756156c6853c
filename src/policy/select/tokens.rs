//! The words of a condition, cut before the CEL parser sees the text.
//!
//! Contract: what [`scan`] lets through is short and shallow. The parser, the interpreter and the destructor of a tree all
//! recurse, some with frames of kilobytes; the parser's own limit counts brackets but not chains such as `a.b.c…`, so both are
//! bounded here, where nothing recurses. The words also tell where in the text a node of the tree stands.

use super::Broken;
use std::ops::Range;

/// Longer texts are no conditions any more.
pub(super) const LONGEST: usize = 2_000;
/// The most words. A chain of them all is as deep as a tree can get before [`super::check`] looks at it.
pub(super) const MOST_WORDS: usize = 200;
/// The most brackets and `?` that may be open at a time. In a debug build the parser needs 130 KiB of stack for each, and a thread
/// has 2 MiB; the parser's own limit of 96 comes long after the end of that.
pub(super) const MOST_OPEN: usize = 8;
/// CEL reserves `namespace`, and conditions have a variable of that name. The parser is given this word in its place, as long as
/// the other so that every offset stays where it was.
pub(super) const STAND_IN: &str = "namespac_";
const NAMESPACE: &str = "namespace";

/// What a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// A name or a keyword.
    Name,
    /// A text in quotes.
    Text,
    /// A number or a sign.
    Other,
}

/// A word and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) sort: Sort,
    pub(super) range: Range<usize>,
}

/// A text that may be given to the parser.
#[derive(Debug)]
pub(super) struct Words<'t> {
    text: &'t str,
    words: Vec<Word>,
    /// What the parser is to read: `text` with [`STAND_IN`].
    pub(super) readable: String,
}

impl<'t> Words<'t> {
    /// The word that stands at, or next after, an offset.
    pub(super) fn at(&self, offset: usize) -> Option<(usize, &Word)> {
        self.words.iter().enumerate().find(|(_, word)| word.range.end > offset)
    }

    /// A word by its number.
    pub(super) fn get(&self, index: usize) -> Option<&Word> {
        self.words.get(index)
    }

    /// How a word is written.
    pub(super) fn written(&self, word: &Word) -> &'t str {
        self.text.get(word.range.clone()).unwrap_or_default()
    }

    /// The last character, where a text ends too early.
    pub(super) fn end(&self) -> Range<usize> {
        let end = self.words.last().map_or(0, |word| word.range.end);
        let last = self.text.get(..end).and_then(|text| text.chars().next_back()).map_or(0, char::len_utf8);
        end - last..end
    }

    /// The offset of a line (from 1) and a column (in characters, from 1).
    pub(super) fn offset(&self, line: usize, column: usize) -> usize {
        let begin: usize = self.text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let rest = self.text.get(begin..).unwrap_or_default();
        begin + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
    }
}

/// Cuts a text into words, or says why it is no condition.
pub(super) fn scan(text: &str) -> Result<Words<'_>, Broken> {
    if text.len() > LONGEST {
        let help = "split the rule in several: the first one that matches wins";
        return Err(Broken::new(format!("the condition is longer than {LONGEST} bytes")).help(help));
    }
    let (mut words, mut readable, mut at, mut open) = (Vec::new(), String::with_capacity(text.len()), 0, Vec::new());
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (sort, length) = first(rest).map_err(|what| Broken::new(what).at(at..text.len()))?;
        let range = at..at + length;
        let written = text.get(range.clone()).unwrap_or_default();
        let Some(sort) = sort else {
            readable.push_str(written);
            at = range.end;
            continue;
        };
        let field = words.last().is_some_and(|last: &Word| text.get(last.range.clone()) == Some("."));
        match (sort, written) {
            (Sort::Name, STAND_IN) if !field => {
                return Err(Broken::unknown("variable", STAND_IN, Some(NAMESPACE)).at(range));
            }
            (Sort::Name, NAMESPACE) if !field => readable.push_str(STAND_IN),
            _ => readable.push_str(written),
        }
        match written {
            "(" | "[" | "{" | "?" => open.push(written),
            // A `?` ends with the bracket around it; that is later than it need be, and no harm.
            ")" | "]" | "}" => while open.pop() == Some("?") {},
            _ => {}
        }
        at = range.end;
        words.push(Word { sort, range: range.clone() });
        if open.len() > MOST_OPEN || words.len() > MOST_WORDS {
            let help = "split the rule in several: the first one that matches wins";
            let message = if open.len() > MOST_OPEN {
                format!("more than {MOST_OPEN} brackets or `?` are open here")
            } else {
                format!("the condition has more than {MOST_WORDS} words and signs")
            };
            return Err(Broken::new(message).help(help).at(range));
        }
    }
    if words.is_empty() {
        return Err(Broken::new("the condition is empty").help("take the line out: a rule without `when` always matches"));
    }
    Ok(Words { text, words, readable })
}

/// What a text begins with (`None`: nothing that counts), and how long that is.
fn first(text: &str) -> Result<(Option<Sort>, usize), String> {
    let Some(c) = text.chars().next() else { return Ok((None, 0)) };
    let while_ = |test: fn(char) -> bool| text.find(|c| !test(c)).unwrap_or(text.len());
    if c.is_whitespace() {
        return Ok((None, while_(char::is_whitespace)));
    }
    if text.starts_with("//") {
        return Ok((None, text.find('\n').unwrap_or(text.len())));
    }
    let prefix = while_(is_word);
    let (word, after) = text.split_at_checked(prefix).unwrap_or((text, ""));
    let raw = matches!(word, "r" | "R" | "br" | "bR" | "Br" | "BR");
    if after.starts_with(['"', '\'']) && (raw || matches!(word, "" | "b" | "B")) {
        return Ok((Some(Sort::Text), prefix + quoted(after, raw)?));
    }
    if c.is_ascii_digit() {
        // `1.5` is one word, `1.size()` is not, and `1e-5` may be three: they are only counted.
        let digits = after.strip_prefix('.').filter(|digits| digits.starts_with(|c: char| c.is_ascii_digit()));
        let fraction = digits.map(|digits| 1 + digits.find(|c| !is_word(c)).unwrap_or(digits.len()));
        return Ok((Some(Sort::Other), prefix + fraction.unwrap_or_default()));
    }
    if prefix > 0 {
        return Ok((Some(Sort::Name), prefix));
    }
    let pair = ["==", "!=", "<=", ">=", "&&", "||"].into_iter().any(|pair| text.starts_with(pair));
    Ok((Some(Sort::Other), if pair { 2 } else { c.len_utf8() }))
}

/// How long the text in quotes is that this begins with, the quotes included.
fn quoted(text: &str, raw: bool) -> Result<usize, String> {
    let triple = ["'''", "\"\"\""].into_iter().find(|quote| text.starts_with(quote));
    let quote = triple.or_else(|| text.get(..1)).unwrap_or_default();
    let mut at = quote.len();
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(quote) {
            return Ok(at + quote.len());
        }
        let mut characters = rest.chars();
        let c = characters.next().unwrap_or_default();
        if triple.is_none() && matches!(c, '\n' | '\r') {
            break;
        }
        at += c.len_utf8();
        if c == '\\' && !raw {
            at += characters.next().map_or(0, char::len_utf8);
        }
    }
    Err(format!("the text that begins here is not closed: `{quote}` is missing"))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let words = scan(text).unwrap_or_else(|broken| panic!("{text}: {broken:?}"));
        words.words.iter().map(|word| words.written(word)).collect()
    }

    #[test]
    fn words_are_what_cel_reads() {
        assert_eq!(words("clone.labels['a/b'] == \"x\""), ["clone", ".", "labels", "[", "'a/b'", "]", "==", "\"x\""]);
        assert_eq!(words("1.5>=-2 // no (((( here\n&& r'\\' != '\\''"), ["1.5", ">=", "-", "2", "&&", "r'\\'", "!=", "'\\''"]);
        assert_eq!(words("'''it's\n('''+br\"(\" ü"), ["'''it's\n('''", "+", "br\"(\"", "ü"]);
        assert_eq!(words("0\u{a81}0"), ["0", "\u{a81}", "0"]);
        assert_eq!(words("1.size()"), ["1", ".", "size", "(", ")"]);
    }

    #[test]
    fn only_the_variable_has_a_stand_in() {
        let text = "namespace.name == 'namespace' && clone.namespace != namespace.labels['namespace'] // namespace";
        let readable = scan(text).unwrap().readable;
        assert_eq!(readable, "namespac_.name == 'namespace' && clone.namespace != namespac_.labels['namespace'] // namespace");
        assert_eq!(readable.len(), text.len());
        assert!(scan("namespac_.name == ''").is_err());
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_refused() {
        let refused = |text: &str| scan(text).map(drop).unwrap_err().message;
        for text in ["(".repeat(100_000), format!("{}1{}", "(".repeat(900), ")".repeat(900)), "[".repeat(17), "a ? ".repeat(17)] {
            assert!(refused(&text).contains(if text.len() > LONGEST { "longer than" } else { "are open here" }), "{text}");
        }
        assert!(refused(&"a.".repeat(150)).contains("words"));
        assert!(refused("clone.name == 'x").contains("not closed") && refused("'a\nb'").contains("not closed"));
        assert!(refused(" // nothing").contains("empty"));
        assert!(scan(&"() ".repeat(60)).is_ok() && scan(&format!("{}{}", "(".repeat(MOST_OPEN), ")".repeat(MOST_OPEN))).is_ok());
    }

    #[test]
    fn places_count_characters_and_offsets_bytes() {
        let words = scan("'ü' ==\n 'é' + b").unwrap();
        assert_eq!((words.offset(1, 5), words.offset(2, 2), words.offset(9, 9)), (5, 9, 17));
        assert_eq!(words.at(5).map(|(index, word)| (index, words.written(word))), Some((1, "==")));
        assert_eq!(words.end(), 16..17);
    }
}
