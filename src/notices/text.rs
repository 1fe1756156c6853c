//! What others wrote, made harmless for a message: names, owners, reasons and answers come from objects and from people.
//!
//! Contract: pure. A text is still read as it was written; nothing in it mentions anybody, is a link, shows a picture, ends a line, or turns
//! the direction of writing. For chats the result is safe wherever it is put, also between backticks, and for Slack as for what only
//! takes the same messages: Mattermost and Rocket.Chat read Markdown and plain `@` mentions, Discord `@everyone`.

use crate::web::text::is_treacherous;

/// Not seen, and no part of a name or an address: what stands on both sides of it is not read as one.
const APART: char = '\u{200b}';

/// A text in one line, in which everything that would not be seen is.
#[must_use]
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|letter| show(letter, &mut out));
    out
}

/// The same for a chat.
#[must_use]
pub(super) fn chat(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let quotes = quotes_in_pairs(text);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Neither chat has a way to escape them that the other one does not show.
            '*' => out.push('\u{2217}'),
            '~' => out.push('\u{223c}'),
            '`' if !quotes => out.push('\''),
            // A mention, a channel, the end of a link's words, and what would escape our own marks.
            '@' | '\u{ff20}' | '\u{fe6b}' | '#' | ']' | '\\' => out.extend([letter, APART]),
            ':' if letters.peek() == Some(&'/') => out.extend([letter, APART]),
            '.' if ends_with_www(&out) => out.extend([APART, letter]),
            letter => show(letter, &mut out),
        }
    }
    out
}

fn show(letter: char, out: &mut String) {
    match letter {
        '\n' | '\t' => out.push(' '),
        letter if is_treacherous(letter) => out.push_str(&format!("\u{27e8}U+{:04X}\u{27e9}", u32::from(letter))),
        letter => out.push(letter),
    }
}

fn ends_with_www(text: &str) -> bool {
    let mut last = text.chars().rev();
    last.by_ref().take(3).filter(|letter| letter.eq_ignore_ascii_case(&'w')).count() == 3
        && last.next().is_none_or(|before| !before.is_alphanumeric())
}

/// Whether backticks stand alone and in pairs, as our own sentences have them. Others would begin a block that swallows what follows.
fn quotes_in_pairs(text: &str) -> bool {
    text.matches('`').count().is_multiple_of(2) && !text.contains("``")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_bites_is_left_and_all_of_it_can_be_read() {
        for (bites, safe) in [
            ("<!channel> & <@U1> <https://evil|ok>", "&lt;!channel&gt; &amp; &lt;@\u{200b}U1&gt; &lt;https:\u{200b}//evil|ok&gt;"),
            ("@here @all ada@example.com", "@\u{200b}here @\u{200b}all ada@\u{200b}example.com"),
            ("＠channel", "＠\u{200b}channel"),
            ("[ok](https://evil) ![x](http://e/p.png)", "[ok]\u{200b}(https:\u{200b}//evil) ![x]\u{200b}(http:\u{200b}//e/p.png)"),
            ("[ok][r] [r]: evil", "[ok]\u{200b}[r]\u{200b} [r]\u{200b}: evil"),
            ("WWW.evil.com awww.no", "WWW\u{200b}.evil.com awww.no"),
            ("**a** ~~b~~ ~town #tag", "∗∗a∗∗ ∼∼b∼∼ ∼town #\u{200b}tag"),
            ("`a` is `b`", "`a` is `b`"),
            ("`@all`", "`@\u{200b}all`"),
            ("a ``` b", "a ''' b"),
            ("it's ` one", "it's ' one"),
            ("```@all`", "'''@\u{200b}all'"),
            ("\\`x`", "\\\u{200b}`x`"),
            ("a\nb\tc\rd\u{202e}e\u{200b}f", "a b c⟨U+000D⟩d⟨U+202E⟩e⟨U+200B⟩f"),
            ("größe 名前 db.t3.micro 12:30 a/b_c", "größe 名前 db.t3.micro 12:30 a/b_c"),
        ] {
            assert_eq!(chat(bites), safe, "{bites}");
        }
        assert_eq!(visible("<a>\u{1b}[2J\n\u{2066}@b"), "<a>⟨U+001B⟩[2J ⟨U+2066⟩@b", "for a service nothing else is changed");
    }
}
