//! The documents about all this: what they name is there.

use std::collections::BTreeSet;
use std::fs;

use crate::definition::deploy;

const PAGES: [&str; 5] = ["aws.md", "comparison.md", "gitops.md", "restore.md", "what-if.md"];
const VERDICTS: [&str; 9] = ["keep", "warn", "delete", "hold", "mark", "unmark", "create", "update", "alert"];

fn page(name: &str) -> String {
    fs::read_to_string(deploy("../docs").join(name)).unwrap()
}

/// What a heading is linked by.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let slug = |heading: &str| {
        let kept = heading.chars().filter(|one| one.is_alphanumeric() || [' ', '-', '_'].contains(one));
        kept.map(|one| if one == ' ' { '-' } else { one.to_ascii_lowercase() }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn links_lead_somewhere() {
    for name in PAGES {
        let text = page(name);
        let links: Vec<_> =
            text.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0).filter(|link| !link.starts_with("https://")).collect();
        assert!(!links.is_empty(), "{name}");
        for link in links {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let there = if file.is_empty() { text.clone() } else { fs::read_to_string(deploy("../docs").join(file)).unwrap_or_default() };
            assert!(!there.is_empty(), "{name}: {link}");
            assert!(anchor.is_empty() || anchors(&there).contains(anchor), "{name}: {link}");
        }
        let readme = fs::read_to_string(deploy("../README.md")).unwrap();
        assert!(readme.contains(&format!("(docs/{name})")), "the README does not lead to {name}");
    }
}

#[test]
fn every_code_in_a_story_has_its_row() {
    let reasons = page("reasons.md");
    let mut told = BTreeSet::new();
    for name in PAGES {
        for code in page(name).split('`').skip(1).step_by(2) {
            let words: Vec<_> = code.split([' ', ':']).filter(|word| !word.is_empty()).collect();
            if let [verdict, code] = words.as_slice()
                && VERDICTS.contains(verdict)
                && code.starts_with(|first: char| first.is_ascii_uppercase())
            {
                told.insert((*code).to_owned());
            }
        }
    }
    assert!(told.len() > 25, "{told:?}");
    for code in told {
        assert!(reasons.contains(&format!("| `{code}` |")), "{code} has no row in docs/reasons.md");
    }
}
