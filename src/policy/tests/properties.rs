//! What holds for every file: nothing panics, nothing raw reaches the terminal, and what is written is what is read.

use super::*;
use proptest::prelude::*;

/// Pieces that YAML and policies are made of, so that random texts get further than the first byte.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "apiVersion: clonewarden.io/v1alpha1\n",
        "kind: ClonePolicy\n",
        "kind: DatabaseHost\n",
        "metadata: {name: a}\n",
        "spec:\n",
        "  ttl:",
        "  namespaces: {names: [a]}\n",
        "  databases:\n",
        "    - {name: x, use: shared, hosts: [a]}\n",
        " ",
        "\n",
        "\r\n",
        "\t",
        "---\n",
        "...\n",
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "? ",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"",
        "'",
        "|\n",
        ">-\n",
        "#",
        "%",
        "@",
        "\\",
        "\0",
        "\u{feff}",
        "\u{2028}",
        "\u{85}",
        "ü",
        "\u{1f600}",
        "null",
        "~",
        "1e999",
        ".nan",
        "0x10",
        "-1",
        "2h",
        "default",
        "\u{202e}",
        "\u{1b}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), mark in any::<bool>()) {
        let bytes = if mark { [b"\xef\xbb\xbf".as_slice(), &bytes].concat() } else { bytes };
        if let Err(problems) = load_files(vec![("a.yaml".to_owned(), bytes)]) {
            prop_assert!(!problems.render(true).is_empty());
        }
    }

    #[test]
    fn no_text_makes_it_panic(head in pieces(), tail in pieces()) {
        let files = vec![("a.yaml".to_owned(), head.into_bytes()), ("b.yaml".to_owned(), format!("{SMALL}{tail}").into_bytes())];
        if let Err(problems) = load_files(files) {
            let text = problems.render(false);
            prop_assert!(!text.contains('\u{1b}') && !text.contains('\0'), "raw control characters: {text:?}");
            for problem in &problems {
                prop_assert!(problem.place.file.is_empty() || problem.place.line > 0, "{problem:?}");
            }
        }
    }

    /// Every form of a report is one of the same problems, and none of them holds what could end a line or turn its direction.
    #[test]
    fn no_text_breaks_a_report_or_a_fixture(head in pieces(), tail in pieces()) {
        let linted = lint_files(vec![("a.yaml".to_owned(), format!("{SMALL}{head}---\n{tail}").into_bytes())]);
        prop_assert_eq!(linted.policies.is_some(), linted.problems.errors() == 0);
        let test = format!("apiVersion: clonewarden.io/v1alpha1\nkind: PolicyTest\nmetadata: {{name: t}}\nspec:\n  now: 2026-02-05T16:30:22Z\n{head}{tail}");
        let fixtures = fixture::Fixtures::of_files(vec![("a_test.yaml".to_owned(), test.into_bytes())]);
        for problems in [Some(linted.problems), fixtures.err()].iter().flatten() {
            let kept = problems.count() - problems.omitted();
            let commands = report::github(problems);
            prop_assert_eq!(commands.lines().count(), kept);
            prop_assert!(!commands.contains(['\u{1b}', '\r', '\u{202e}']), "{commands:?}");
            prop_assert_eq!(report::sarif(problems)["runs"][0]["results"].as_array().map(Vec::len), Some(kept));
            prop_assert_eq!(report::document(problems, None)["problems"].as_array().map(Vec::len), Some(kept));
        }
    }

    #[test]
    fn a_policy_reads_back_as_it_was_written(
        (minimum, default, maximum) in (60i64..10_000, 0i64..10_000, 0i64..1_000_000).prop_map(|(a, b, c)| (a, a + b, a + b + c)),
        grace in 1i64..100_000,
        clones in proptest::option::of(0u32..1_000),
        names in prop::collection::btree_set("[a-z]([a-z0-9-]{0,20}[a-z0-9])?", 1..5),
        cents in 1i64..10_000_000,
        (enforce, quoted, snapshot) in any::<(bool, bool, bool)>(),
        (percent, observations) in (1u32..=100, 1u32..50),
    ) {
        let quote = if quoted { "\"" } else { "" };
        let money = Decimal::new(cents, 2);
        let span = Span::seconds;
        let mut text = "apiVersion: clonewarden.io/v1alpha1\nkind: ClonePolicy\nmetadata: {name: p}\nspec:\n".to_owned();
        text += &format!("  mode: {}\n", if enforce { "enforce" } else { "audit" });
        text += &format!("  namespaces: {{names: [{}]}}\n", names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "));
        text += &format!("  ttl: {{default: {quote}{}{quote}, minimum: {}, maximum: {}, grace: {}}}\n", span(default), span(minimum), span(maximum), span(grace));
        text += &clones.map(|clones| format!("  limits: {{clones: {clones}}}\n")).unwrap_or_default();
        text += &format!("  budget: {{monthly: {quote}{money}{quote}, warnAt: {percent}}}\n");
        text += &format!("  orphans: {{finalSnapshot: {snapshot}, observations: {observations}}}\n  brake: {{percent: {percent}}}\n");
        let set = load_text(&text);
        prop_assert!(set.is_ok(), "{}", set.unwrap_err());
        let policy = Arc::clone(&set.unwrap().policies[0]);
        prop_assert_eq!(policy.mode == Mode::Enforce, enforce);
        prop_assert_eq!(&policy.namespaces, &Namespaces::Names(names.into_iter().collect()));
        let ttl = (policy.ttl.default, policy.ttl.minimum, policy.ttl.maximum, policy.ttl.grace);
        prop_assert_eq!(ttl, (span(default), span(minimum), span(maximum), span(grace)));
        prop_assert_eq!(policy.limits.clones, clones);
        prop_assert_eq!(policy.budget.as_ref().map(|budget| (budget.monthly, budget.warn_at)), Some((money, percent)));
        prop_assert_eq!((policy.orphans.final_snapshot, policy.orphans.observations), (snapshot, observations));
        prop_assert_eq!(policy.brake.percent, percent);
    }
}
