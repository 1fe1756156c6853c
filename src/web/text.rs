//! Text for a page: what comes from an object, a person or AWS can neither become markup nor turn or hide what stands beside it.
//!
//! Contract: every `{{ … }}` of a template goes through [`Escaped`] (askama.toml says so), so none can be forgotten. The other functions
//! put numbers and dates into words and are called by templates.

use crate::{cost, model::duration::roughly};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;
use std::fmt::{self, Write};

/// Writes text so that a browser shows it as it is. Controls and what changes the direction or the width of text are shown as what
/// they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Escaped;

impl askama::filters::Escaper for Escaped {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        for c in string.chars() {
            match c {
                '<' => dest.write_str("&lt;")?,
                '>' => dest.write_str("&gt;")?,
                '&' => dest.write_str("&amp;")?,
                '"' => dest.write_str("&quot;")?,
                '\'' => dest.write_str("&#39;")?,
                // A page has no use for a carriage return, and no object a line.
                '\n' | '\t' => dest.write_char(' ')?,
                c if is_treacherous(c) => write!(dest, "\u{27e8}U+{:04X}\u{27e9}", u32::from(c))?,
                c => dest.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Whether a character is not seen, or changes how others are.
pub(crate) fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// How long until then, or since: `in 25m`, `3m12s ago`.
pub(super) fn from_now(at: &Timestamp, now: &Timestamp) -> String {
    let left = at.duration_since(*now);
    if left.is_positive() { format!("in {}", roughly(left)) } else { format!("{} ago", roughly(-left)) }
}

/// A moment for people, to the second.
pub(super) fn moment(at: &Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The time of day.
pub(super) fn hour(at: &Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}

/// Money for people.
pub(super) fn usd(usd: &Decimal) -> String {
    cost::dollars(*usd)
}

/// What something costs an hour: less than a cent matters.
pub(super) fn hourly(usd: &Decimal) -> String {
    format!("${}/h", usd.round_dp(4).normalize())
}

/// The first digits of a revision, by which people tell two apart.
pub(super) fn short(revision: &str) -> String {
    let revision = revision.strip_prefix("sha256:").unwrap_or(revision);
    let (hash, note) = revision.split_once('+').map_or((revision, String::new()), |(hash, note)| (hash, format!("+{note}")));
    hash.chars().take(12).chain(note.chars()).collect()
}

/// `1 clone`, `2 clones`.
pub(super) fn many(count: impl fmt::Display, one: &str, more: &str) -> String {
    let count = count.to_string();
    let what = if count == "1" { one } else { more };
    format!("{count} {what}")
}

/// A share of a bar that is 100 wide, as SVG takes it.
pub(super) fn within(percent: &Decimal) -> String {
    percent.clamp(&Decimal::ZERO, &Decimal::ONE_HUNDRED).round_dp(1).normalize().to_string()
}

/// A fact as a person reads it: a text without its quotes.
pub(super) fn fact(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(fact).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

/// What is bounded, for people.
pub(super) fn limit(what: &str) -> &str {
    match what {
        "dedicatedDatabases" => "own databases",
        "clonesPerOwner" => "most of one owner",
        other => other,
    }
}

/// A sentence in parts, and whether each is what somebody wrote: that stands between backticks.
pub(super) fn parts(sentence: &str) -> impl Iterator<Item = (bool, &str)> {
    // One backtick alone quotes nothing.
    let paired = sentence.matches('`').count().is_multiple_of(2);
    let quote = if paired { '`' } else { '\0' };
    sentence.split(quote).enumerate().map(|(place, part)| (!place.is_multiple_of(2), part)).filter(|(_, part)| !part.is_empty())
}

/// A name without the namespace, where that is told beside it.
pub(super) fn local<'a>(name: &'a str, namespace: &Option<String>) -> &'a str {
    let rest = namespace.as_deref().and_then(|namespace| name.strip_prefix(namespace)?.strip_prefix('/'));
    // What is in no namespace, and could not be read, has an empty one.
    rest.unwrap_or(name).trim_start_matches('/')
}

/// A value as a query holds it.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use askama::filters::Escaper;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        Escaped.write_escaped_str(&mut out, text).unwrap();
        out
    }

    #[test]
    fn text_becomes_neither_markup_nor_another_order_of_letters() {
        assert_eq!(escaped("<script>alert('x')&\"</script>"), "&lt;script&gt;alert(&#39;x&#39;)&amp;&quot;&lt;/script&gt;");
        assert_eq!(escaped("invoice\u{202e}gpj.exe"), "invoice⟨U+202E⟩gpj.exe");
        assert_eq!(escaped("a\u{0}b\u{1b}[2Jc\r\nd"), "a⟨U+0000⟩b⟨U+001B⟩[2Jc⟨U+000D⟩ d");
        assert_eq!(escaped("a\u{200b}\u{2066}\u{feff}\u{e0041}b"), "a⟨U+200B⟩⟨U+2066⟩⟨U+FEFF⟩⟨U+E0041⟩b");
        assert_eq!(escaped("größe 名前 ok"), "größe 名前 ok");
    }

    #[test]
    fn what_somebody_wrote_is_told_from_what_we_say() {
        let split = |text: &str| parts(text).map(|(quoted, part)| format!("{quoted} {part}")).collect::<Vec<_>>();
        assert_eq!(split("`a` says `b`: no"), ["true a", "false  says ", "true b", "false : no"]);
        assert_eq!(split("it's 5 o` clock"), ["false it's 5 o` clock"]);
    }

    #[test]
    fn revisions_are_short_and_amounts_are_whole() {
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short("sha256:0123456789abcdef+enforce"), "0123456789ab+enforce");
        assert_eq!(hourly(&"0.017000".parse().unwrap()), "$0.017/h");
        assert_eq!(within(&"140".parse().unwrap()), "100");
    }
}
