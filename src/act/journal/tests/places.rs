//! Real files in a real folder, and places that fail.

use super::*;
use crate::act::journal::{
    files::Files,
    queue::Queue,
    sink::{Sink, Stream},
};
use std::{
    collections::BTreeSet,
    os::unix::fs::{PermissionsExt, symlink},
    thread,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn write(files: &mut Files, text: &str) {
    files.write(format!("{text}\n").as_bytes()).unwrap();
}

#[test]
fn full_files_are_put_aside_and_the_oldest_goes() {
    let folder = Folder::new();
    let mut files = Files::open(&folder.kept(8, 3)).unwrap();
    for text in ["one", "two", "three", "longer than a file", "five"] {
        write(&mut files, text);
    }
    assert_eq!(folder.names(), ["journal", "journal.1", "journal.2"]);
    assert_eq!(["journal.2", "journal.1", "journal"].map(|name| folder.read(name)), ["three\n", "longer than a file\n", "five\n"]);
    assert!(folder.names().iter().all(|name| mode(&folder.path(name)) & !0o640 == 0), "others cannot read it");
    // Fewer are kept from now on; what only looks like one of ours stays.
    for name in ["journal.9", "journal.02", "journal.x", "journal.0", "other.7"] {
        fs::write(folder.path(name), "").unwrap();
    }
    let mut files = Files::open(&folder.kept(8, 2)).unwrap();
    write(&mut files, "seven");
    assert_eq!(folder.names(), ["journal", "journal.0", "journal.02", "journal.1", "journal.x", "other.7"]);
}

#[test]
fn a_restart_goes_on_where_the_last_process_was_and_its_half_line_spoils_nothing() {
    let folder = Folder::new();
    write(&mut Files::open(&folder.kept(100, 3)).unwrap(), "one");
    fs::write(folder.path("journal"), "one\n{\"time\":\"20").unwrap();
    fs::set_permissions(folder.path("journal"), fs::Permissions::from_mode(0o666)).unwrap();
    let mut files = Files::open(&folder.kept(100, 3)).unwrap();
    write(&mut files, "two");
    write(&mut files, "three");
    assert_eq!(folder.read("journal"), "one\n{\"time\":\"20\ntwo\nthree\n");
    assert_eq!(mode(&folder.path("journal")), 0o640);
    let mut files = Files::open(&folder.kept(8, 3)).unwrap();
    write(&mut files, "four");
    assert_eq!((folder.names(), folder.read("journal")), (vec!["journal".to_owned(), "journal.1".to_owned()], "four\n".to_owned()));
    // It died between two renames: the gap is filled first.
    fs::rename(folder.path("journal.1"), folder.path("journal.2")).unwrap();
    write(&mut files, "five");
    assert_eq!(["journal.2", "journal.1"].map(|name| folder.read(name).lines().last().unwrap().to_owned()), ["three", "four"]);
}

#[test]
fn two_processes_that_write_one_file_lose_no_line() {
    let folder = Folder::new();
    let threads = ["a", "b", "c"].map(|who| {
        let mut files = Files::open(&folder.kept(2_000, 1_000)).unwrap();
        thread::spawn(move || (0..1_000).for_each(|number| write(&mut files, &format!("{who}{number:04}"))))
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let whole = folder.whole("journal");
    let lines: BTreeSet<&str> = whole.lines().collect();
    assert_eq!((lines.len(), whole.lines().count()), (3_000, 3_000));
    assert!(whole.lines().all(|line| line.len() == 5) && folder.names().len() >= 3, "{:?}", folder.names());
}

#[test]
fn what_others_do_with_the_file_is_noticed() {
    let folder = Folder::new();
    let mut files = Files::open(&folder.kept(1_000, 3)).unwrap();
    write(&mut files, "one");
    fs::rename(folder.path("journal"), folder.path("taken")).unwrap();
    write(&mut files, "two");
    assert_eq!(["taken", "journal"].map(|name| folder.read(name)), ["one\n", "two\n"]);
    // Its folder is gone, and comes back.
    fs::rename(&folder.0, folder.0.with_extension("gone")).unwrap();
    let said = files.write(b"three\n").unwrap_err().to_string();
    assert!(said.contains("journal`: No such file"), "{said}");
    fs::rename(folder.0.with_extension("gone"), &folder.0).unwrap();
    write(&mut files, "three");
    assert_eq!(folder.read("journal"), "two\nthree\n");
    // Somebody wants it to be written elsewhere.
    fs::remove_file(folder.path("journal")).unwrap();
    fs::write(folder.path("victim"), "").unwrap();
    symlink(folder.path("victim"), folder.path("journal")).unwrap();
    assert!(files.write(b"four\n").unwrap_err().to_string().contains("symbolic link"));
    assert_eq!(folder.read("victim"), "");
    // A link that was there from the start is meant.
    let open = Outputs { file: Some(folder.kept(1_000, 2)), stdout: false }.open().unwrap();
    open.into_iter().for_each(|(_, mut sink)| sink.write(b"five\n").unwrap());
    assert_eq!((folder.read("victim"), is_there(&folder.path("journal"))), ("five\n".to_owned(), true));
    assert!(Files::open(&Kept { path: folder.0.clone(), size: 9, files: 2 }).is_err(), "a folder is no file");
}

#[test]
fn where_files_cannot_be_put_aside_the_present_one_grows() {
    let folder = Folder::new();
    let mut files = Files::open(&folder.kept(4, 2)).unwrap();
    fs::create_dir_all(folder.path("journal.1/in the way")).unwrap();
    for text in ["one", "two", "three"] {
        write(&mut files, text);
    }
    assert_eq!(folder.read("journal"), "one\ntwo\nthree\n");
    assert_eq!(files.rotation_failures().load(Ordering::Relaxed), 1, "it is not tried with each line");
}

/// A disk that is full when it is told to, in the middle of a line.
#[derive(Clone, Default)]
struct Disk {
    full: Arc<Mutex<bool>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let full = *self.full.lock().unwrap();
        let mut written = self.written.lock().unwrap();
        match bytes.len() {
            _ if full && written.last().is_some_and(|last| *last != b'\n') => Err(io::ErrorKind::StorageFull.into()),
            length => {
                let part = if full { length.div_ceil(2) } else { length };
                written.extend(&bytes[..part]);
                Ok(part)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk {
    fn text(&self) -> String {
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }

    fn fills(&self, full: bool) {
        *self.full.lock().unwrap() = full;
    }
}

fn line(text: &str) -> Arc<str> {
    format!("{text}\n").into()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[test]
fn a_full_disk_loses_nothing_that_can_wait_and_says_what_was_lost() {
    let disk = Disk::default();
    let queue = Queue::start("file", Box::new(Stream::to(disk.clone()))).unwrap();
    queue.put(&line("before"));
    while disk.text().is_empty() {
        thread::yield_now();
    }
    disk.fills(true);
    let long = "x".repeat(1 << 20);
    let begun = Instant::now();
    for number in 0..20 {
        queue.put(&line(&format!("{number} {long}")));
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "somebody waited for the disk");
    let tally = queue.tally();
    assert!((10..=13).contains(&tally.lost) && tally.failures > 0, "{tally:?}");
    disk.fills(false);
    queue.close(soon());
    let text = disk.text();
    let whole: Vec<&str> = text.lines().filter(|line| line.len() < 20 || line.len() > 1 << 20).collect();
    assert_eq!(whole.first(), Some(&"before"));
    assert_eq!(
        text.lines().filter(|line| line.ends_with(&long) && line.len() > 1 << 20).count() as u64,
        20 - tally.lost,
        "each of the others is there"
    );
    let hole = text.lines().find(|line| line.contains("\"lost\"")).unwrap();
    assert!(hole.ends_with(&format!("\"version\":1,\"facts\":{{\"lines\":{}}}}}", tally.lost)), "{hole}");
    assert_eq!(queue.tally().written, 1 + 20 - tally.lost + 1);
    queue.put(&line("too late"));
    assert_eq!(queue.tally().lost, tally.lost + 1);
}

#[test]
fn a_process_that_ends_waits_for_its_lines_and_not_for_a_dead_disk() {
    let folder = Folder::new();
    let journal = Journal::open(&Outputs { file: Some(folder.kept(1 << 20, 2)), stdout: false }).unwrap();
    for number in 0..500 {
        journal.noted("leaseAcquired", Timestamp::UNIX_EPOCH, serde_json::json!({"number": number}));
    }
    journal.close(Duration::from_secs(10));
    assert_eq!(folder.read("journal").lines().count(), 500);
    let tallies = journal.tallies();
    assert_eq!((tallies[0].output, tallies[0].written, tallies[0].lost), ("file", 500, 0));
    // The kernel's own disk that is always full; as a device it is not put aside.
    let full = Kept { path: PathBuf::from("/dev/full"), size: 1, files: 2 };
    let journal = Journal::open(&Outputs { file: Some(full), stdout: false }).unwrap();
    (0..3).for_each(|_| journal.noted("leaseAcquired", Timestamp::UNIX_EPOCH, Value::Null));
    let begun = Instant::now();
    journal.close(Duration::from_secs(10));
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited for a disk that is full");
    let tallies = journal.tallies();
    assert!(tallies[0].lost == 3 && tallies[0].failures >= 3, "{tallies:?}");
}

#[test]
fn a_journal_that_cannot_be_opened_is_said_before_anything_starts() {
    let folder = Folder::new();
    let nowhere = Kept { path: folder.path("none/journal"), size: 1, files: 2 };
    assert_eq!(Journal::open(&Outputs { file: Some(nowhere), stdout: false }).err().map(|error| error.kind()), Some(io::ErrorKind::NotFound));
}
