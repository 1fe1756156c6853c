//! What the program itself serves while `clonewarden demo` runs, and what is said when it is gone.

use crate::{driver::Browser, live::SOON, looks::findings, row, unblemished, world::STAGING};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A demo that runs, and goes with the test.
pub(crate) struct Demo {
    child: Child,
    pub(crate) page: String,
}

impl Demo {
    pub(crate) fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clonewarden"));
        command.args(["demo", "--listen", "127.0.0.1:0", "--policies"]).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the demo starts");
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let page = loop {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the demo ended before it said where it is");
            if let Some(address) = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()) {
                break format!("http://{address}/");
            }
        };
        // What it says later must not stop it: somebody goes on reading.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let demo = Self { child, page };
        crate::until_served(&demo.page);
        demo
    }

    /// Kills it, as a node that burns would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn the_demo_is_followed_and_a_daemon_that_is_gone_is_told_of() {
    let mut demo = Demo::start();
    let browser = Browser::start(1_400);
    browser.open(&demo.page);
    browser.run("window.mark = 1");
    // Announced at 22 minutes, it goes at 32: after ten seconds of ours.
    let anna = row(STAGING, "clone-anna");
    browser.until("clone-anna lives", SOON, &format!("return {anna} !== null"));
    browser.until("clone-anna has gone", SOON * 2, &format!("return {anna} === null && document.querySelectorAll('[data-clone]').length > 1"));
    assert_eq!(browser.run("return window.mark"), 1, "the page was loaded again");
    unblemished(&browser, &demo.page);

    demo.kill();
    let took = browser.until("it says so", SOON, "return document.querySelector('#link').textContent.startsWith('The daemon does not answer')");
    assert!(took < Duration::from_secs(10), "{took:?}");
    browser.until("it says since when", SOON, "return /last seen [1-9]\\d*s ago/.test(document.querySelector('#link').textContent)");
    let stays = browser.run("return [document.querySelectorAll('[data-clone]').length > 0, document.querySelector('#link [role=status]') !== null]");
    assert_eq!(stays, serde_json::json!([true, true]), "what was known last is still to be read, and a reader is told");
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        assert_eq!(findings(&browser), [] as [String; 0], "a daemon that is gone, {scheme}");
    }
}
