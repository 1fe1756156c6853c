//! The page of the demo, asked for over HTTP.

use super::Place;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// How long the demo may take to have made a plan.
const SOON: Duration = Duration::from_secs(60);

struct Demo {
    child: Child,
    address: SocketAddr,
}

impl Demo {
    fn start(place: &Place) -> Self {
        let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let mut command = place.command(&["demo", "--listen", "127.0.0.1:0", "--policies"]);
        let mut child = command.arg(policies).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = lines.find_map(|line| line.unwrap().split_once("http://")?.1.split_once('/')?.0.parse().ok());
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: said.unwrap() }
    }

    /// The head and the body of an answer.
    fn get(&self, path: &str, head: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{head}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_demo_shows_itself_to_its_own_machine_alone() {
    let place = Place::new();
    let demo = Demo::start(&place);
    let (local, until) = ("Host: localhost\r\n", Instant::now() + SOON);
    let (head, page) = loop {
        let (head, page) = demo.get("/", local);
        if page.contains("clone-anna") {
            break (head, page);
        }
        assert!(Instant::now() < until, "{head}\n{page}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    for said in ["content-security-policy: default-src 'none';", "x-content-type-options: nosniff", "referrer-policy: no-referrer", "etag: \""] {
        assert!(head.contains(said), "`{said}` is not in {head}");
    }
    // The demo's day, by which its countdowns go.
    assert!(head.contains("date: Thu, 05 Feb 2026 "), "{head}");
    for said in ["<html lang=\"en\">", "data-clone=\"wordpress-staging/clone-anna\"", "data-until=\"2026-02-05T", "<caption>", "<noscript>"] {
        assert!(page.contains(said), "`{said}` is not in the page");
    }
    // The policy says what else would be loaded or run: nothing.
    for never in [" style=", " onclick", "<style", "<script>", "https://"] {
        assert!(!page.contains(never), "`{never}` is in the page");
    }
    for asset in ["/view/page.css", "/view/page.js", "/view/sign.svg", "/view/v1/openapi.json", "/healthz"] {
        assert!(demo.get(asset, "Host: elsewhere\r\n").0.starts_with("HTTP/1.1 200 "), "{asset}");
    }
    let view: serde_json::Value = serde_json::from_str(&demo.get("/view/v1", local).1).unwrap();
    assert_eq!((&view["version"], &view["head"]["role"]), (&1.into(), &"acting".into()), "{view}");
    assert!(view["clones"]["items"][0]["reason"]["message"].is_string() && view["namespaces"]["total"] == 2, "{view}");
    for stranger in
        ["Host: evil.example\r\n", "Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n", "Host: evil.example\r\nAuthorization: Bearer x\r\n"]
    {
        for path in ["/", "/view/v1", "/view/v1/clones"] {
            let (head, body) = demo.get(path, stranger);
            assert!(head.starts_with("HTTP/1.1 403 ") && !body.contains("clone-"), "{path} {stranger}: {head}\n{body}");
        }
    }
    // A browser that is made to connect here names whoever made it.
    assert!(demo.get("/metrics", "Host: evil.example\r\n").0.starts_with("HTTP/1.1 403 "));
    assert!(demo.get("/metrics", local).0.starts_with("HTTP/1.1 200 "));
    assert!(demo.get("/view/v1?limit=0", local).0.starts_with("HTTP/1.1 400 "));
}
