//! XML as AWS writes it, read strictly: an answer is whole, or it is an error.
//!
//! The SDK's own reader takes a text that ends in the middle for one that ends there, so that a list cut short is a shorter list
//! and a database without its tags. This one has to see the root element closed and nothing behind it.

use roxmltree::{Document, Node};

/// How deep elements may lie in one another. Answers of RDS go down to about ten; more would be a way to exhaust the stack.
const DEEPEST: usize = 32;

/// One element of an answer: it holds elements or text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Element {
    /// Its name, without a namespace.
    pub(crate) name: String,
    /// Its text; empty if it holds elements.
    pub(crate) text: String,
    /// The elements in it, in their order.
    pub(crate) children: Vec<Self>,
}

impl Element {
    /// The elements of this name in it.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The one element of this name in it; `None` if there is none.
    ///
    /// # Errors
    /// There is more than one, and which of them counts nobody can say.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&Self>, String> {
        let mut found = self.all(name);
        let first = found.next();
        if found.next().is_some() {
            return Err(format!("more than one {name} in {}", self.name));
        }
        Ok(first)
    }

    /// The text of the one element of this name in it; `None` if there is none, or it is empty.
    ///
    /// # Errors
    /// There is more than one, or it holds elements.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, String> {
        let Some(element) = self.one(name)? else { return Ok(None) };
        if !element.children.is_empty() {
            return Err(format!("{name} in {} is not a text", self.name));
        }
        Ok(Some(element.text.as_str()).filter(|text| !text.is_empty()))
    }
}

/// Reads a whole answer.
///
/// # Errors
/// It is not one XML document from the first byte to the last, or holds what AWS never sends. Nothing of it is quoted.
pub(crate) fn parse(body: &[u8]) -> Result<Element, String> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not text".to_owned())?;
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    // A document type, by which entities could be defined, is an error of its own there.
    let document = Document::parse(text).map_err(|_| format!("its {} bytes are not one whole XML document", text.len()))?;
    if document.root().children().any(|node| !node.is_element()) {
        return Err("there is more than one element in it".to_owned());
    }
    read(document.root_element(), 0)
}

fn read(node: Node<'_, '_>, depth: usize) -> Result<Element, String> {
    if depth > DEEPEST {
        return Err("its elements lie too deep in one another".to_owned());
    }
    let name = node.tag_name().name().to_owned();
    let mut element = Element { name, ..Element::default() };
    for child in node.children() {
        if child.is_element() {
            element.children.push(read(child, depth + 1)?);
        } else if child.is_text() {
            element.text.push_str(child.text().unwrap_or_default());
        } else {
            // A comment in the middle of a text would split it in two.
            return Err(format!("{} holds what is neither an element nor a text", element.name));
        }
    }
    if !element.children.is_empty() {
        if !element.text.trim().is_empty() {
            return Err(format!("{} holds text among its elements", element.name));
        }
        element.text.clear();
    }
    Ok(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_it_is_written() {
        let root = parse(b"<?xml version=\"1.0\"?>\n<a xmlns=\"urn:x\">\n <b>1 &amp; 2</b>\n <c/><b/>\n</a>\n").unwrap();
        assert_eq!(root.name, "a");
        assert_eq!(root.children.iter().map(|child| child.name.as_str()).collect::<Vec<_>>(), ["b", "c", "b"]);
        assert_eq!(root.children[0].text, "1 & 2");
        assert_eq!(root.text("c"), Ok(None));
        assert!(root.text("b").unwrap_err().contains("more than one"));
    }

    #[test]
    fn what_is_not_one_whole_document_is_refused() {
        let deep = format!("{}{}", "<a>".repeat(40), "</a>".repeat(40));
        for text in [
            "",
            " ",
            "a",
            "<a>",
            "<a",
            "<a><b></a>",
            "<a></a><b></b>",
            "<a></a>x",
            "<a/>\0",
            "{\"a\": 1}",
            "<a><b>x</b>y</a>",
            "<a>x<!-- y -->z</a>",
            "<a/><!-- y -->",
            "<a><?x y?></a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<a>&unknown;</a>",
            &deep,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"<a>\xff</a>").is_err());
    }
}
