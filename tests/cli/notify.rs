//! `clonewarden notify`: a sample to each receiver, what came back, and the exit code.

use super::*;
use std::thread;

/// A service that answers one request so; its address, with a path that nobody is to say.
fn service(status: &'static str) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/s3cret", listener.local_addr().unwrap());
    let task = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut text, mut bytes) = (String::new(), [0; 8_192]);
        while !text.contains("clonewarden-notify-test") {
            let count = stream.read(&mut bytes).unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 8\r\n\r\nno\x1b[31mok").unwrap();
        text
    });
    (address, task)
}

#[test]
fn a_sample_is_sent_to_each_and_the_exit_code_says_whether_all_took_it() {
    let place = Place::new();
    let (good, took) = service("200 OK");
    let (bad, refused) = service("403 Forbidden");
    place.write("good-url", good);
    place.write("bad-url", bad);
    place.write(
        "notifications.yaml",
        "receivers:\n- {name: good, kind: slack, urlFile: good-url}\n- {name: bad, kind: webhook, urlFile: bad-url}\ndefault: [good]\n",
    );
    let ran = place.run(&["notify", "test", "--notifications", "notifications.yaml"]);
    assert!(ran.code == Some(1) && ran.err.contains("error: bad: not taken: it answers 403 Forbidden"), "{ran:?}");
    assert!(ran.out.starts_with("good: taken: 200 no"), "{}", ran.out);
    let said = format!("{}{}", ran.out, ran.err);
    assert!(!said.contains("s3cret") && !said.contains('\x1b'), "{said}");
    assert!(took.join().unwrap().contains("nothing was deleted"));
    assert!(refused.join().unwrap().contains("idempotency-key"));
}

#[test]
fn a_file_that_cannot_be_used_ends_it_with_2_before_anything_is_sent() {
    let place = Place::new();
    let test = |more: &[&str]| place.run(&[&["notify", "test", "--notifications", "notifications.yaml"], more].concat());
    test(&[]).refused(2, &["notifications.yaml", "cannot be read"]);
    place.write("url", "http://relay.internal/s3cret");
    place.write("notifications.yaml", "receivers: [{name: a, kind: slack, urlFile: url, template: '{{ nmae }}'}]\ndefault: [b]\n");
    test(&[]).refused(2, &["line 1, column", "`b`, and no receiver"]);
    place.write("notifications.yaml", "receivers: [{name: a, kind: slack, urlFile: url}]\ndefault: [a]\n");
    let ran = test(&[]);
    ran.refused(2, &["receiver `a`", "it is not https"]);
    assert!(!ran.err.contains("s3cret"), "{}", ran.err);
    place.write("url", "https://127.0.0.1:9/x");
    test(&["--receiver", "b"]).refused(2, &["no receiver is called `b`; there are a"]);
    place.run(&["run", "--policies", "policies", "--notifications", "none.yaml"]).refused(2, &["--notifications: `none.yaml` cannot be read"]);
    place.run(&["run", "--policies", "policies", "--otlp-sample", "7"]).refused(2, &["--otlp-sample: without --otlp-endpoint"]);
    let schema = place.run(&["notify", "schema"]);
    assert!(schema.out.contains("urlFile") && schema.out.contains("\"additionalProperties\": false"), "{}", schema.out);
}
