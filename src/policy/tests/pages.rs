//! `docs/lint.md`: every code has a section, in order, and what it shows as bad is told that code.

use crate::policy::{Code, lint_files};

#[test]
fn every_code_has_a_section_and_no_section_is_left_over() {
    let page = include_str!("../../../docs/lint.md");
    let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let codes: Vec<&str> = Code::ALL.into_iter().chain(Code::OF_TESTS).map(Code::as_str).collect();
    assert_eq!(headings, codes);
    for code in Code::ALL.into_iter().chain(Code::OF_TESTS) {
        assert_eq!(Code::named(code.as_str()), Some(code));
        assert!(code.summary().ends_with('.') && code.summary().len() < 120, "{code}: {}", code.summary());
        for part in ["\n**Why.** ", "\n**What to do.** "] {
            assert!(code.page().contains(part), "{code} lacks {part:?}");
        }
    }
    assert!(Code::ALL.is_sorted_by_key(|code| code.is_warning()), "the page says that the warnings come last");
    let warnings = Code::ALL.into_iter().filter(|code| code.is_warning()).count();
    assert!(warnings == 9 && page.contains("from `selector-overlap` to `free-price`"), "{warnings}");
}

#[test]
fn every_example_is_told_the_code_of_its_section() {
    // What takes a folder, a megabyte, another encoding or a second file to show has no example of YAML.
    let without = [Code::Unreadable, Code::TooLarge, Code::NotUtf8, Code::EmptyFile];
    for code in Code::ALL {
        let example = code.page().split_once("```yaml\n").map(|(_, rest)| rest.split_once("```").unwrap().0);
        assert_eq!(example.is_none(), without.contains(&code), "{code}");
        let Some(example) = example else { continue };
        let linted = lint_files(vec![("staging.yaml".to_owned(), example.as_bytes().to_vec())]);
        let told: Vec<Code> = linted.problems.iter().map(|problem| problem.code).collect();
        assert_eq!(told, [code], "{code}: {}", linted.problems);
        assert_eq!(linted.policies.is_some(), code.is_warning(), "{code}");
    }
}

#[test]
fn the_examples_for_whoever_writes_policies_are_clean() {
    let page = include_str!("../../../docs/policies.md");
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).map(|block| block.split_once("```").unwrap().0).collect();
    let whole: Vec<&str> = blocks.into_iter().filter(|block| block.starts_with("apiVersion: ") && !block.contains("kind: PolicyTest")).collect();
    assert!(whole.len() >= 6, "{}", whole.len());
    for example in whole {
        // A price book alone governs nobody.
        let policy = (!example.contains("kind: ClonePolicy")).then_some(("b.yaml", super::SMALL));
        let files = std::iter::once(("a.yaml", example)).chain(policy);
        let linted = lint_files(files.map(|(name, text)| (name.to_owned(), text.into())).collect());
        assert_eq!(linted.problems.count(), 0, "{example}{}", linted.problems);
    }
}
