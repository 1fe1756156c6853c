//! Properties of the arithmetic of lives: never earlier than promised, never past the ceiling but for a keep and grace.

use super::lifetime::{self, Enforced, Step, announcement, judge};
use crate::model::{Reading, Span, WordPressClone, ceil_to_second, names};
use crate::policy::Ttl;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

const BIRTH: i64 = 1_770_000_000;

fn at(offset: i64) -> Timestamp {
    Timestamp::from_second(BIRTH + offset).unwrap()
}

fn clone_of(ttl: &serde_json::Value, extend: Option<i64>) -> WordPressClone {
    let mut object = json!({
        "metadata": {"namespace": "n", "name": "c", "uid": "u", "resourceVersion": "1", "creationTimestamp": at(0), "annotations": {}},
        "spec": {"ttlSeconds": ttl},
    });
    if let Some(extend) = extend {
        object["metadata"]["annotations"][names::EXTEND_UNTIL] = json!(at(extend));
    }
    WordPressClone::read(&object).unwrap()
}

fn policy() -> impl Strategy<Value = Ttl> {
    (60i64..7_200, 0i64..86_400, 0i64..86_400, 1i64..3_600).prop_map(|(minimum, more, most, grace)| Ttl {
        minimum: Span::seconds(minimum),
        default: Span::seconds(minimum + more),
        maximum: Span::seconds(minimum + more + most),
        warnings: vec![Span::hours(1), Span::minutes(10)],
        grace: Span::seconds(grace),
    })
}

proptest! {
    #[test]
    fn a_life_lies_between_minimum_and_ceiling(ttl in policy(), seconds in prop_oneof![1i64..200_000, Just(i64::MAX)], extend in proptest::option::of(-1_000_000i64..1_000_000)) {
        let clone = clone_of(&json!(seconds), extend);
        let life = lifetime::lifetime(&clone, &ttl);
        prop_assert!(life.end >= at(ttl.minimum.as_secs()));
        prop_assert!(life.end <= life.ceiling);
        prop_assert_eq!(life.ceiling, at(ttl.maximum.as_secs()));
        let asked = seconds.min(ttl.maximum.as_secs());
        prop_assert!(life.end >= at(asked), "it never gets less than it asked for, up to the ceiling");
        // An extension never shortens, and is honoured up to the ceiling.
        let plain = lifetime::lifetime(&clone_of(&json!(seconds), None), &ttl);
        prop_assert!(life.end >= plain.end);
        if let Some(extend) = extend {
            prop_assert!(life.end >= at(extend).min(life.ceiling));
        }
    }

    #[test]
    fn what_cannot_be_read_lives_longest(ttl in policy(), odd in prop_oneof![Just(json!("2h")), Just(json!(0)), Just(json!(-5)), Just(json!(1.5)), Just(json!({}))]) {
        let life = lifetime::lifetime(&clone_of(&odd, None), &ttl);
        prop_assert_eq!(life.end, life.ceiling);
    }

    #[test]
    fn nothing_goes_before_both_ends_have_passed(end in -10_000i64..10_000, announced in proptest::option::of(-10_000i64..10_000), grace in 1i64..5_000, now in -10_000i64..10_000) {
        let (end, announced, now) = (at(end), announced.map(at), at(now));
        let step = judge(end, announced, SignedDuration::from_secs(grace), now);
        let promised = announced.filter(|announced| *announced > now);
        match step {
            Step::Delete { announced: gone, surprise } => {
                prop_assert!(end <= now && end <= gone && gone <= now);
                prop_assert_eq!(Some(gone), announced);
                prop_assert_eq!(surprise, gone > end);
            }
            Step::Announce(to) => {
                prop_assert!(to > now && to >= end, "only an end that lies ahead is announced");
                prop_assert_ne!(Some(to), announced);
                // A promise that stands is shortened to no less than the grace.
                if let Some(promised) = promised {
                    prop_assert!(to >= promised.min(now + SignedDuration::from_secs(grace)));
                }
                // Announced once, it stands: nothing moves until something changes.
                prop_assert_eq!(judge(end, Some(to), SignedDuration::from_secs(grace), now), Step::Wait);
                // And it is kept: one second before, it still waits; then it goes.
                prop_assert_ne!(judge(end, Some(to), SignedDuration::from_secs(grace), to), Step::Wait);
            }
            Step::Wait => prop_assert!(announced.is_some_and(|announced| announced >= end && announced > now)),
        }
    }

    #[test]
    fn an_announcement_from_before_does_not_count(made in -1_000i64..1_000, since in -1_000i64..1_000, now in -1_000i64..1_000) {
        let mut clone = clone_of(&json!(60), None);
        clone.expires_at = Reading::Value(at(60));
        clone.announced_at = Reading::Value(at(made));
        let counts = announcement(&clone, Enforced::Since(at(since)), at(now)).is_some();
        prop_assert_eq!(counts, made >= 0 && made >= since && made <= now + 60);
        prop_assert_eq!(announcement(&clone, Enforced::No, at(now)), None);
        // What a person had announced in audit counts there, if it was in this life.
        prop_assert_eq!(announcement(&clone, Enforced::Audited, at(now)).is_some(), made >= 0 && made <= now + 60);
    }
}

#[test]
fn dates_are_rounded_up_and_never_wrap() {
    let half = Timestamp::from_millisecond(1_500).unwrap();
    assert_eq!(ceil_to_second(half).as_second(), 2);
    assert_eq!(ceil_to_second(Timestamp::from_second(2).unwrap()).as_second(), 2);
    assert_eq!(crate::model::later(Timestamp::MAX, SignedDuration::from_hours(1)), Timestamp::MAX);
}

#[test]
fn warnings_are_given_once_each_and_again_after_an_extension() {
    let ttl = Ttl::default();
    let mut clone = clone_of(&json!(7_200), None);
    let due = |clone: &WordPressClone, end: i64, now: i64| lifetime::warning_due(clone, at(end), &ttl, at(now)).map(|before| before.as_secs());
    assert_eq!(due(&clone, 7_200, 3_599), None);
    assert_eq!(due(&clone, 7_200, 3_600), Some(3_600));
    clone.warned = Some(lifetime::warned_text(at(7_200), SignedDuration::from_hours(1)).into());
    assert_eq!(due(&clone, 7_200, 3_601), None);
    assert_eq!(due(&clone, 7_200, 6_600), Some(600));
    clone.warned = Some(lifetime::warned_text(at(7_200), SignedDuration::from_mins(10)).into());
    assert_eq!(due(&clone, 7_200, 7_000), None);
    assert_eq!(due(&clone, 10_800, 7_200), Some(3_600), "the end has moved, so the warning is given again");
    clone.warned = Some("nonsense".into());
    assert_eq!(due(&clone, 7_200, 7_000), Some(600), "a mark that cannot be read warns once too often, never too seldom");
}

#[test]
fn the_pure_half_has_no_effects() {
    let banned = [
        "kube::",
        "tokio::",
        "axum::",
        "aws_sdk",
        "aws_config",
        "reqwest::",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "rand::",
        "TcpStream",
        "UdpSocket",
        "std::process",
        "crate::observe",
        "crate::act",
        "crate::daemon",
        "crate::ports",
    ];
    let mut read = 0;
    for part in ["model", "policy", "cost", "plan", "simulate", "approve"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(part);
        let mut folders = vec![folder];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for path in entries.map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
                    read += 1;
                    for (number, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
                        let code = line.split("//").next().unwrap_or_default();
                        let found = banned.iter().find(|word| code.contains(**word));
                        assert_eq!(found, None, "{}:{}: {line}", path.display(), number + 1);
                    }
                }
            }
        }
    }
    assert!(read > 20, "the pure half was not found");
}

#[test]
fn every_reason_code_has_a_line_in_the_docs() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = ["src/plan/reason.rs", "src/plan/quota/finding.rs"].map(|file| std::fs::read_to_string(root.join(file)).unwrap()).concat();
    let docs = std::fs::read_to_string(root.join("docs/reasons.md")).unwrap();
    let codes: std::collections::BTreeSet<&str> = source
        .lines()
        .filter(|line| line.trim_start().starts_with("Self::") && line.contains("=> \""))
        .filter_map(|line| line.split('"').nth(1))
        .filter(|word| word.chars().next().is_some_and(char::is_uppercase) && word.chars().all(char::is_alphanumeric))
        .collect();
    assert!(codes.len() > 25, "the codes were not found: {codes:?}");
    for code in codes {
        assert!(docs.contains(&format!("| `{code}` |")), "docs/reasons.md has no line for `{code}`");
    }
}
