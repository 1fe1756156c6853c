//! `journal`: what it finds in files, in what is written to standard output among logs, and in what is still being written.

use super::{Place, Ran};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

const OLD: &str = include_str!("journal/old.jsonl");
const NEW: &str = include_str!("journal/new.jsonl");

/// A journal in three files, the last line of each cut.
fn place() -> Place {
    let place = Place::new();
    let (early, late) = NEW.split_at(NEW.find("{\"time\":\"2026-02-05T16:32:00Z").unwrap());
    place.write("journal.jsonl.2", OLD);
    place.write("journal.jsonl.1", early);
    place.write("journal.jsonl", late);
    place
}

fn piped(place: &Place, args: &[&str], input: &[u8]) -> Ran {
    let mut command = place.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    Ran::from(child.wait_with_output().unwrap())
}

#[test]
fn a_journal_is_a_table_for_people() {
    let ran = place().run(&["journal", "journal.jsonl"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(ran.out, include_str!("journal/table.txt"));
}

#[test]
fn for_pipelines_lines_are_what_they_are() {
    let place = place();
    let ran = place.run(&["journal", "journal.jsonl", "-o", "json"]);
    assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (Some(0), "", [OLD, NEW].concat().as_str()));
    let about = place.run(&["journal", "journal.jsonl", "-o", "json", "--clone", "wordpress-staging/clone-1", "--since", "2026-02-05T16:00:00Z"]);
    let ids: Vec<_> = about.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].clone()).collect();
    assert_eq!(ids, ["acted", "gone"]);
    let last = place.run(&["journal", "journal.jsonl", "-o", "json", "--action", "delete", "--limit", "1"]);
    assert_eq!(last.out.lines().collect::<Vec<_>>(), [NEW.lines().nth(2).unwrap()]);
}

#[test]
fn a_journal_is_found_among_logs() {
    let mixed: String =
        NEW.lines().map(|line| format!("2026-02-05T16:30:22Z  INFO started\n[pod/clonewarden-0] {line}\n{{\"timestamp\":\"…\"}}\n")).collect();
    let ran = piped(&place(), &["journal", "-", "-o", "json"], mixed.as_bytes());
    assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (Some(0), "", NEW));
}

#[test]
fn what_is_not_in_the_answer_is_said() {
    let place = place();
    let newer = "{\"time\":\"2026-02-05T16:30:22Z\",\"event\":\"acted\",\"version\":9,\"outcome\":\"done\"}\n";
    let text = [OLD, newer, &newer.replace("\"done\"", "{}"), "{\"time\":\"2026-02", "\n", NEW.split_at(90).0].concat().into_bytes();
    let ran =
        piped(&place, &["journal", "-", "-o", "json"], &[&text[..], b"\n\xff\xfe{\"time\":\"\xff\n", "x".repeat(3 << 20).as_bytes(), b"\n"].concat());
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 3), "{ran:?}");
    for note in ["note: 2 lines passed over: cut by a crash", "note: 1 line passed over: written by a newer", "note: 1 line written by a newer"] {
        assert!(ran.err.contains(note), "{note}: {}", ran.err);
    }
    let none = place.run(&["journal", "journal.jsonl", "--owner", "nobody"]);
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (Some(0), "", "note: nothing matches (of 8 lines)\n"));
    let logs = piped(&place, &["journal", "-"], b"one\ntwo\n");
    assert_eq!((logs.code, logs.out.as_str(), logs.err.as_str()), (Some(0), "", "note: there is no line of a journal (of 2 lines in all)\n"));
}

#[test]
fn what_cannot_be_read_or_meant_is_refused_by_name() {
    let place = place();
    place.run(&["journal", "nowhere.jsonl"]).refused(2, &["`nowhere.jsonl` cannot be read", "No such file"]);
    place.run(&["journal", "policies"]).refused(2, &["`policies` cannot be read", "it is a folder"]);
    place.write("old.gz", b"\x1f\x8b\x08");
    place.run(&["journal", "old.gz"]).refused(2, &["`old.gz` is compressed", "zcat"]);
    place.run(&["journal", "journal.jsonl", "--since", "yesterday"]).refused(2, &["--since: `yesterday` is neither"]);
    place.run(&["journal"]).refused(2, &["FILE"]);
}

#[test]
fn several_journals_are_one_in_the_order_of_time_and_each_file_counts_once() {
    let place = place();
    place.write("other.jsonl", NEW.lines().nth(1).unwrap().replace("clone-9", "clone-8").replace("16:31:00", "16:31:30") + "\n");
    let ran = place.run(&["journal", "other.jsonl", "journal.jsonl", "journal.jsonl.1", "journal.jsonl.2", "-o", "json"]);
    let times: Vec<&str> = ran.out.lines().map(|line| line.split('"').nth(3).unwrap()).collect();
    assert_eq!(times.len(), 9, "{ran:?}");
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_journal_is_followed_through_rotations() {
    let place = place();
    let mut command = place.command(&["journal", "journal.jsonl", "-o", "json", "--follow", "--event", "paused,resumed"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), NEW.lines().last().unwrap());
    let event = |number: u32| format!("{{\"time\":\"2026-02-05T17:00:{number:02}Z\",\"event\":\"resumed\",\"version\":1}}");
    let append = |name: &str, text: &str| {
        let mut file = fs::File::options().create(true).append(true).open(place.0.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let aside = |from: &str, to: &str| fs::rename(place.0.join(from), place.0.join(to)).unwrap();
    // Half a line is none until its other half is there.
    let first = event(1);
    let (half, rest) = first.split_at(30);
    append("journal.jsonl", half);
    std::thread::sleep(Duration::from_millis(600));
    append("journal.jsonl", &format!("{rest}\n{}\n", event(2)));
    assert_eq!([next(), next()], [event(1), event(2)]);
    // Two rotations, one right after the other.
    append("journal.jsonl", &format!("{}\n", event(3)));
    aside("journal.jsonl", "journal.jsonl.3");
    append("journal.jsonl", &format!("{}\n", event(4)));
    aside("journal.jsonl.2", "journal.jsonl.5");
    aside("journal.jsonl.1", "journal.jsonl.4");
    aside("journal.jsonl.3", "journal.jsonl.2");
    aside("journal.jsonl", "journal.jsonl.1");
    append("journal.jsonl", &format!("{}\n", event(5)));
    assert_eq!([next(), next(), next()], [event(3), event(4), event(5)]);
    // Copied and cut off, as others rotate.
    fs::write(place.0.join("journal.jsonl"), "").unwrap();
    std::thread::sleep(Duration::from_millis(600));
    append("journal.jsonl", &format!("{}\n", event(6)));
    assert_eq!(next(), event(6));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn memory_does_not_grow_with_the_journal() {
    let place = place();
    let mut child = place.command(&["journal", "-", "--action", "hold"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let many = NEW.repeat(200);
    let (begun, mut bytes) = (Instant::now(), 0);
    let output = std::thread::spawn({
        let out = child.stdout.take().unwrap();
        move || BufReader::new(out).lines().map_while(Result::ok).last()
    });
    while bytes < 48 << 20 && begun.elapsed() < Duration::from_secs(30) {
        input.write_all(many.as_bytes()).unwrap();
        bytes += many.len();
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB").parse::<usize>().unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
    let foot = output.join().unwrap().unwrap();
    assert!(foot.ends_with(" lines"), "{foot}");
    assert!(bytes > 20 << 20 && peak < 64 << 10, "{peak} KiB for {bytes} bytes");
}

/// The schema beside the docs is what the types say, and the docs name every field. After a change of the types:
/// `clonewarden journal --schema > docs/journal.schema.json`.
#[test]
fn the_format_is_documented() {
    let ran = Place::new().run(&["journal", "--schema"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    assert!(ran.out == fs::read_to_string(docs.join("journal.schema.json")).unwrap(), "docs/journal.schema.json is another one");
    let page = fs::read_to_string(docs.join("journal.md")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    for field in schema["properties"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("| `{field}` |")), "docs/journal.md says nothing of `{field}`");
    }
}
