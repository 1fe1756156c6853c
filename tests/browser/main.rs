//! The page in a real Chromium: it follows what happens, without a reload; it is usable by keyboard, narrow, dark, and without scripts; it
//! says when the daemon is gone; and a kept checker of accessibility finds nothing in any of its states.
//!
//! Most of it is seen of a daemon in this process, over a cluster in memory (`world.rs`), whose clones end when the test says; what the
//! program itself serves, of `clonewarden demo`. Nothing is asked of the network. `cargo test --test browser -- --ignored` takes the
//! pictures for the README anew (`picture.rs`).

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "what a test cannot set up must fail it")]

mod demo;
mod driver;
mod keyboard;
mod live;
mod looks;
mod picture;
mod world;

use driver::Browser;
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// Waits until a page is there: before the first plan the daemon says that it starts, which the console would complain of.
fn until_served(page: &str) {
    let address = page.trim_start_matches("http://").trim_end_matches('/');
    let begin = Instant::now();
    loop {
        let mut stream = TcpStream::connect(address).expect("the daemon listens");
        write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        if answer.split(' ').nth(1) == Some("200") {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{page}: {answer}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Nothing was complained of, and nothing was asked for but what the daemon serves.
fn unblemished(browser: &Browser, page: &str) {
    assert_eq!(browser.complaints(), [] as [String; 0], "the console complains");
    let elsewhere = |url: &String| url.starts_with("http") && !url.starts_with(page) || url.starts_with("ws");
    let requests = browser.requests();
    assert!(requests.iter().any(|url| url.starts_with(page)), "{requests:?}");
    let elsewhere: Vec<_> = requests.iter().filter(|url| elsewhere(url)).collect();
    assert!(elsewhere.is_empty(), "asked for elsewhere: {elsewhere:?}");
}

/// A script that finds the row of a clone.
fn row(namespace: &str, name: &str) -> String {
    format!("document.querySelector('[data-clone=\"{namespace}/{name}\"]')")
}

/// The list of texts that a script returns.
fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}
