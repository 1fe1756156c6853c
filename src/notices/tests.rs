//! Receivers on real sockets: what they answer, and what they get.

use super::{notice::tests::line, *};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

const QUICK: Patience = Patience { answer: Duration::from_secs(2), first_pause: Duration::from_millis(10), critical: Duration::from_secs(3_600) };

/// What was received: head and body.
type Got = (String, Value);

/// A receiver that answers each request with the next of these, and the last one from then on. `hang` says nothing, `reset` breaks off.
async fn receiver(answers: Vec<String>) -> (String, UnboundedReceiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/s3cret-path", listener.local_addr().unwrap());
    let (got, seen) = unbounded_channel();
    let (answers, next) = (Arc::new(answers), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answers, next, got) = (Arc::clone(&answers), Arc::clone(&next), got.clone());
            tokio::spawn(async move {
                while let Some(request) = read(&mut stream).await {
                    let _ = got.send(request);
                    let answer = &answers[next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
                    match answer.as_str() {
                        "hang" => std::future::pending().await,
                        "reset" => return,
                        answer => stream.write_all(answer.as_bytes()).await.unwrap(),
                    }
                }
            });
        }
    });
    (address, seen)
}

async fn read(stream: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
            if body.len() >= length {
                return Some((head.to_owned(), serde_json::from_str(body).unwrap()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn says(status: &str, more: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{more}content-length: 2\r\n\r\nok")
}

/// Notices for one receiver, whose address stands in a file.
struct Told {
    notices: Arc<Notices>,
    folder: PathBuf,
}

impl Told {
    fn by(address: &str, more: &str) -> Self {
        Self::with(address, more, QUICK)
    }

    fn with(address: &str, more: &str, patience: Patience) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("clonewarden-told-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let url = folder.join("url");
        fs::write(&url, address).unwrap();
        fs::write(folder.join("token"), "Bearer t0ken").unwrap();
        let text = format!(
            "receivers: [{{name: one, kind: webhook, urlFile: '{}', headerFiles: {{Authorization: '{}'}}}}]\ndefault: [one]\n{more}",
            url.display(),
            folder.join("token").display()
        );
        fs::write(folder.join("file"), text).unwrap();
        let config = Config::read(&folder.join("file")).unwrap();
        Self { notices: Arc::new(Notices::with(config, Fence::open(), patience).unwrap()), folder }
    }

    fn ended(&self, name: &str) {
        self.notices.hear(&line("acted", "delete", Some("done"), "Expired", name, "ada"));
    }

    fn count(&self, outcome: &str) -> u64 {
        self.notices.tallies().flat_map(|tally| tally.outcomes).filter(|(what, _)| *what == outcome).map(|(_, count)| count).sum()
    }

    fn critical(&self, name: &str) {
        // What is carried out is told at once, and not gathered as what stands is.
        self.notices.hear(&line("acted", "alert", Some("done"), "BrakeOn", name, "ada"));
    }

    fn late(&self) -> u64 {
        self.notices.tallies().map(|tally| tally.late).sum()
    }

    async fn until(&self, outcome: &str, count: u64) {
        let enough = async {
            while self.count(outcome) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), enough).await.unwrap_or_else(|_| panic!("{count} {outcome}: {}", self.count(outcome)));
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_work_later_is_tried_again_and_arrives_once_taken() {
    let answers = vec![says("429 Too Many", "retry-after: 1\r\n"), says("500 Error", ""), "reset".to_owned(), "hang".to_owned(), says("200 OK", "")];
    let (address, mut seen) = receiver(answers).await;
    let (told, begun) = (Told::by(&address, ""), Instant::now());
    told.ended("clone-1");
    told.until("sent", 1).await;
    assert!(begun.elapsed() >= Duration::from_secs(1), "Retry-After is obeyed");
    let mut ids = Vec::new();
    for _ in 0..5 {
        let (head, body) = seen.recv().await.unwrap();
        assert!(head.starts_with("POST /s3cret-path HTTP/1.1") && head.contains("authorization: Bearer t0ken"), "{head}");
        ids.push(head.lines().find(|line| line.starts_with("idempotency-key: ")).unwrap().to_owned());
        assert_eq!(body["line"]["target"]["name"], "clone-1");
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "a repeat can be recognised: {ids:?}");
    assert_eq!((told.count("failed"), told.count("dropped")), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_given_up_and_the_next_message_says_so() {
    let (elsewhere, mut elsewhere_seen) = receiver(vec![says("200 OK", "")]).await;
    let answers = vec![says("404 Not Found", ""), says("307 Moved", &format!("location: {elsewhere}\r\n")), says("200 OK", "")];
    let (address, mut seen) = receiver(answers).await;
    let told = Told::by(&address, "");
    for name in ["a", "b", "c"] {
        told.ended(name);
    }
    told.until("sent", 1).await;
    assert_eq!(told.count("failed"), 2);
    let bodies: Vec<Value> = [seen.recv().await, seen.recv().await, seen.recv().await].into_iter().map(|got| got.unwrap().1).collect();
    assert_eq!((&bodies[0]["lost"], &bodies[1]["lost"], &bodies[2]["lost"]), (&json!(0), &json!(1), &json!(2)));
    assert!(elsewhere_seen.try_recv().is_err(), "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_or_slow_answer_holds_nothing_up() {
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n{}", "x".repeat(200_000));
    let (address, _seen) = receiver(vec![endless]).await;
    let (told, begun) = (Told::by(&address, ""), Instant::now());
    told.ended("a");
    told.until("sent", 1).await;
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_receiver_keeps_nobody_waiting_and_all_that_is_lost_is_counted() {
    let told = Told::by("http://127.0.0.1:1/s3cret-path", "");
    let begun = Instant::now();
    for number in 0..5_000 {
        told.ended(&format!("clone-{number}"));
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let begun = Instant::now();
    told.notices.close(Duration::from_secs(3)).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!((told.count("failed"), told.count("dropped")), (5_000, 0), "there is room for all that come at once");
    told.ended("after the end");
    assert_eq!((told.count("failed"), told.count("dropped")), (5_000, 1));
    let lost: Vec<_> = told.notices.tallies().flat_map(|tally| tally.lost).collect();
    assert_eq!(lost, [("info", 5_001), ("warning", 0), ("critical", 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_critical_is_tried_on_after_a_refusal_and_nothing_waits_for_it() {
    let mut answers = vec![says("404 Not Found", ""), says("403 Forbidden", ""), says("200 OK", "")];
    answers.extend([says("200 OK", ""), says("200 OK", "")]);
    let (address, mut seen) = receiver(answers).await;
    let told = Told::by(&address, "");
    told.critical("brake");
    told.until("sent", 1).await;
    assert_eq!((told.count("failed"), told.late()), (0, 0));
    let ids: Vec<Value> = [seen.recv().await, seen.recv().await, seen.recv().await].into_iter().map(|got| got.unwrap().1["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "a repeat can be recognised: {ids:?}");

    let slow = Patience { first_pause: Duration::from_secs(60), ..QUICK };
    let (address, mut seen) = receiver(vec![says("403 Forbidden", ""), says("200 OK", "")]).await;
    let told = Told::with(&address, "", slow);
    told.critical("brake");
    assert_eq!(seen.recv().await.unwrap().1["severity"], "critical");
    told.ended("clone-1");
    told.until("sent", 1).await;
    assert_eq!((seen.recv().await.unwrap().1["severity"].clone(), told.late()), (json!("info"), 1));
    told.notices.close(Duration::from_secs(3)).await;
    assert_eq!((seen.recv().await.unwrap().1["code"].clone(), told.count("sent"), told.late()), (json!("BrakeOn"), 2, 0), "the end is one more try");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_critical_one_that_is_given_up_is_named_in_the_next_and_new_when_it_comes_again() {
    let answers = vec![says("403 Forbidden", ""), says("200 OK", ""), says("200 OK", ""), says("200 OK", "")];
    let (address, mut seen) = receiver(answers).await;
    let told = Told::with(&address, "digest: {window: 1s}", Patience { critical: Duration::ZERO, ..QUICK });
    told.critical("brake");
    told.until("failed", 1).await;
    told.ended("clone-1");
    told.critical("brake");
    told.until("sent", 2).await;
    assert_eq!(told.count("repeated"), 0);
    seen.recv().await.unwrap();
    let bodies = [seen.recv().await.unwrap().1, seen.recv().await.unwrap().1];
    let naming: Vec<_> = bodies.iter().filter_map(|body| body["lostCritical"][0].as_str()).collect();
    assert!(naming.len() == 1 && naming[0].contains("staging/brake") && naming[0].contains("BrakeOn"), "{bodies:?}");
    assert!(bodies.iter().any(|body| body["code"] == "BrakeOn"));
    assert_eq!(told.notices.tallies().next().unwrap().lost[2], ("critical", 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_critical_goes_before_what_waits_longer() {
    let (address, mut seen) = receiver(vec![says("503 Busy", "retry-after: 1\r\n"), says("200 OK", "")]).await;
    let told = Told::by(&address, "");
    told.ended("first");
    assert_eq!(seen.recv().await.unwrap().1["line"]["target"]["name"], "first");
    for name in ["a", "b", "c"] {
        told.ended(name);
    }
    told.critical("brake");
    told.until("sent", 5).await;
    assert_eq!(seen.recv().await.unwrap().1["code"], "BrakeOn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_a_slow_receiver_gets_all_that_waits_as_one() {
    let (address, mut seen) = receiver(vec![says("503 Busy", "retry-after: 60\r\n"), says("200 OK", "")]).await;
    let told = Told::by(&address, "digest: {atMost: 1000}");
    told.ended("clone-0");
    seen.recv().await.unwrap();
    for number in 1..40 {
        told.ended(&format!("clone-{number}"));
    }
    told.critical("brake");
    told.notices.close(Duration::from_secs(5)).await;
    assert_eq!((told.count("sent"), told.count("failed"), told.count("dropped")), (41, 0, 0));
    let mut bodies: Vec<Value> = Vec::new();
    while let Ok((_, body)) = seen.try_recv() {
        bodies.push(body);
    }
    assert!(bodies.len() == 1 && bodies[0]["kind"] == "digest" && bodies[0]["notices"][0]["severity"] == "critical", "{bodies:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_what_cannot_be_sent_takes_no_longer_than_it_may_and_is_counted() {
    let (address, _seen) = receiver(vec!["hang".to_owned()]).await;
    let told = Told::with(&address, "", Patience { answer: Duration::from_secs(60), ..QUICK });
    told.critical("brake");
    told.ended("clone-1");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    told.notices.close(Duration::from_secs(1)).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(told.count("failed"), 2);
    assert_eq!(told.notices.tallies().next().unwrap().lost, [("info", 1), ("warning", 0), ("critical", 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_a_few_messages_and_a_digest_also_where_the_process_ends() {
    let (address, mut seen) = receiver(vec![says("200 OK", "")]).await;
    let told = Told::by(&address, "digest: {window: 2s, atMost: 3}");
    for number in 0..50 {
        told.ended(&format!("clone-{number}"));
        told.ended(&format!("clone-{number}"));
    }
    told.until("sent", 50).await;
    assert_eq!(told.count("repeated"), 50);
    let mut kinds = Vec::new();
    while let Ok((_, body)) = seen.try_recv() {
        kinds.push((body["kind"].as_str().unwrap().to_owned(), body["count"].as_u64()));
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    assert_eq!(kinds[3], ("digest".to_owned(), Some(47)));
    for number in 50..60 {
        told.ended(&format!("clone-{number}"));
    }
    told.notices.close(Duration::from_secs(30)).await;
    assert_eq!(told.count("sent"), 60, "what waits for a digest is sent at the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_holder_tells_and_a_changed_address_counts_at_once() {
    let (address, mut seen) = receiver(vec![says("200 OK", "")]).await;
    let told = Told::by("http://127.0.0.1:1/old", "");
    fs::write(told.folder.join("url"), &address).unwrap();
    told.notices.fence.close();
    told.notices.hear(&line("decided", "alert", None, "BrakeOn", "a", "ada"));
    told.ended("done-while-the-lease-went");
    told.until("sent", 1).await;
    told.notices.close(Duration::from_secs(3)).await;
    assert_eq!(seen.recv().await.unwrap().1["line"]["target"]["name"], "done-while-the-lease-went");
    assert!(seen.try_recv().is_err(), "who does not hold the lease has told something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_says_what_came_back_and_never_the_address() {
    let quotes = "HTTP/1.1 404 Not Found\r\ncontent-length: 37\r\n\r\nno POST /s3cret-path for Bearer t0ken";
    for (answer, expected) in [
        (says("200 OK", ""), Ok("200 ok")),
        (says("403 Forbidden", ""), Err("it answers 403 Forbidden ok")),
        (says("503 Busy", ""), Err("it answers 503 Service Unavailable ok")),
        (quotes.to_owned(), Err("it answers 404 Not Found no POST … for … …")),
    ] {
        let (address, _seen) = receiver(vec![answer]).await;
        let told = Told::by(&address, "");
        let answer = send_sample(&told.notices.config, told.notices.config.receivers().next().unwrap()).await;
        assert_eq!(answer.as_deref().map_err(String::as_str), expected);
    }
    let told = Told::by("http://127.0.0.1:1/s3cret-path", "");
    let answer = send_sample(&told.notices.config, told.notices.config.receivers().next().unwrap()).await.unwrap_err();
    assert!(answer.contains("onnect") && !answer.contains("s3cret"), "{answer}");
}
