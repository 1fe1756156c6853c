//! The query of a request: which clones, and how many.

use super::view::{Filter, clones};

/// How many letters a value may have: the longest that a name, an owner or a place may be.
const LONGEST: usize = 600;

/// Reads a query.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn read(query: Option<&str>) -> Result<Filter, String> {
    let mut filter = Filter { limit: clones::USUAL, ..Filter::default() };
    let mut said = std::collections::BTreeSet::new();
    for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = decoded(value).filter(|value| value.chars().count() <= LONGEST);
        let value = value.ok_or_else(|| format!("`{}` has a value that cannot be read, or is too long", plain(key)))?;
        if !said.insert(key.to_owned()) {
            return Err(format!("`{}` is there twice: say it once", plain(key)));
        }
        let text = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match key {
            "namespace" => filter.namespace = text,
            "owner" => filter.owner = text,
            "q" => filter.text = text,
            "after" => filter.after = text,
            "limit" => {
                let wrong = || format!("`limit` is a number from 1 to {}", clones::MOST);
                let digits = Some(&value).filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
                filter.limit = digits.and_then(|value| value.parse().ok()).filter(|limit| (1..=clones::MOST).contains(limit)).ok_or_else(wrong)?;
            }
            _ => return Err(format!("there is no parameter `{}`: there are `namespace`, `owner`, `q`, `limit` and `after`", plain(key))),
        }
    }
    Ok(filter)
}

fn plain(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).take(40).collect()
}

/// Undoes what a form does to a text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(rest.next()?)?.checked_mul(16)?.checked_add(digit(rest.next()?)?)?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_what_a_form_sends_and_nothing_else() {
        let filter = read(Some("namespace=a&owner=ada%40example.com&q=two+words%21&limit=7&after=12%3Aa%2Fb&")).unwrap();
        let text = |text: &str| Some(text.to_owned());
        let expected = Filter { namespace: text("a"), owner: text("ada@example.com"), text: text("two words!"), limit: 7, after: text("12:a/b") };
        assert_eq!(filter, expected);
        assert_eq!(read(Some("namespace=&q=+")).unwrap(), Filter { limit: clones::USUAL, ..Filter::default() }, "an empty form asks for all");
        let long = format!("q={}", "x".repeat(LONGEST + 1));
        assert!(read(Some(&format!("q={}", "%C3%A9".repeat(LONGEST)))).is_ok(), "what is counted are letters");
        for wrong in [
            "limit=0",
            "limit=%2B5",
            "limit=",
            "limit=1.0",
            "limit=1001",
            "limit=-1",
            "q=%zz",
            "q=%f",
            "q=%ff",
            "q=a&q=b",
            "nope=1",
            "%3Cscript%3E=1",
            &long,
        ] {
            assert!(read(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
