//! Chromium, driven over WebDriver: starts `chromedriver`, speaks its JSON, and takes both down again.
//!
//! The few commands that are needed are plain HTTP with a JSON body each, so they are written out here; see docs/libraries.md for what
//! a client library would bring. What Chromium is asked beyond WebDriver (schemes, sizes, a log of requests) goes by its own protocol.

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long anything may take that a person would hardly notice. The machine may have other things to do.
const WITHIN: Duration = Duration::from_secs(30);

/// A stranger's name, whose DNS leads the browser to this machine.
pub(crate) const STRANGER: &str = "stranger.example";

/// A browser with one window, and a profile of its own.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// Starts one whose window is that wide, in pixels of the page.
    pub(crate) fn start(width: u32) -> Self {
        // The shell outlives neither this process nor the pipe that it reads: whatever happens to the test, the whole group goes.
        let script = "chromedriver --port=0 & read -r _ || :; kill -s KILL -- -$$";
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().expect("/bin/sh starts");
        let port = port(&mut driver);
        let profile = std::env::temp_dir().join(format!("clonewarden-browser-{}-{port}", std::process::id()));
        let mut browser = Self { driver, address: SocketAddr::from(([127, 0, 0, 1], port)), session: String::new(), profile };
        let answer = browser.call("POST", "/session", &browser.wish());
        browser.session = answer["sessionId"].as_str().expect("a session").to_owned();
        browser.resize(width);
        browser
    }

    /// Root may not have a sandbox, and nothing but the page is to be asked for by the network.
    fn wish(&self) -> Value {
        let profile = format!("--user-data-dir={}", self.profile.display());
        let stranger = format!("--host-resolver-rules=MAP {STRANGER} 127.0.0.1");
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &stranger,
            "--hide-scrollbars",
            &profile,
        ];
        let options = json!({"binary": "/usr/bin/chromium", "args": flags});
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}});
        json!({"capabilities": {"alwaysMatch": wanted}})
    }

    /// One command of WebDriver; what went wrong fails the test.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(self.address).expect("chromedriver listens");
        stream.set_read_timeout(Some(WITHIN * 2)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n", self.address);
        write!(stream, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len()).unwrap();
        let mut answer = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while answer.read_line(&mut line).unwrap() > 2 {
            if let Some(("content-length", value)) = line.to_ascii_lowercase().split_once(':').map(|(name, value)| (name, value.trim())) {
                length = value.parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).unwrap();
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        let error = answer["value"]["error"].as_str();
        assert!(error.is_none(), "{method} {path}: {}", answer["value"]["message"]);
        answer["value"].clone()
    }

    fn ask(&self, command: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}/{command}", self.session), body)
    }

    /// A command of Chromium's own protocol.
    pub(crate) fn chromium(&self, command: &str, parameters: &Value) -> Value {
        self.ask("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.ask("url", &json!({"url": url}));
    }

    /// What a function body returns in the page.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.ask("execute/sync", &json!({"script": script, "args": []}))
    }

    /// What a function body returns that promises it.
    pub(crate) fn run_async(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(done, error => done({{error: String(error)}}));"
        );
        self.ask("execute/async", &json!({"script": script, "args": []}))
    }

    /// Waits until a script returns something that is true, and says how long that took.
    pub(crate) fn until(&self, what: &str, within: Duration, script: &str) -> Duration {
        let begin = Instant::now();
        loop {
            let found = self.run(script);
            if !matches!(found, Value::Null | Value::Bool(false)) && found != json!("") {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < within, "{what}: not within {within:?}; the page says:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What a person reads.
    pub(crate) fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Presses a key, by its code in WebDriver.
    pub(crate) fn press(&self, key: &str) {
        let keys = [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        self.ask("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]}));
    }

    /// Makes the window as wide as a device.
    pub(crate) fn resize(&self, width: u32) {
        let mobile = width < 600;
        self.chromium("Emulation.setDeviceMetricsOverride", &json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile}));
    }

    /// Prefers `light` or `dark`.
    pub(crate) fn prefer(&self, scheme: &str) {
        let features = [json!({"name": "prefers-color-scheme", "value": scheme})];
        self.chromium("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Switches scripts off for pages that are opened from now on.
    pub(crate) fn without_scripts(&self) {
        self.chromium("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    }

    /// What the console has said since it was last asked, errors and warnings alone.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let lines = self.ask("se/log", &json!({"type": "browser"}));
        let worth = |line: &&Value| ["SEVERE", "WARNING"].iter().any(|level| line["level"] == *level);
        lines.as_array().unwrap().iter().filter(worth).map(|line| line["message"].to_string()).collect()
    }

    /// Every address that was asked for since it was last asked.
    pub(crate) fn requests(&self) -> Vec<String> {
        let lines = self.ask("se/log", &json!({"type": "performance"}));
        let messages = lines.as_array().unwrap().iter().filter_map(|line| serde_json::from_str::<Value>(line["message"].as_str()?).ok());
        let sent = messages.filter(|event| event["message"]["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| event["message"]["params"]["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    /// Leaves the page, which asks on until then; what it asked for last is not the next one's.
    pub(crate) fn leave(&self) {
        self.open("about:blank");
        self.complaints();
        self.requests();
    }

    /// The top of the page as a PNG, in pixels.
    pub(crate) fn picture(&self, width: u32, height: u32) -> Vec<u8> {
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let shot = self.chromium("Page.captureScreenshot", &json!({"format": "png", "clip": clip}));
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, shot["data"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of the pipe: the shell kills its group, in which are the driver and the browser.
        drop(self.driver.stdin.take());
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// The port that the driver says it has found.
fn port(driver: &mut Child) -> u16 {
    let mut said = String::new();
    let mut lines = BufReader::new(driver.stdout.take().expect("its output"));
    while lines.read_line(&mut said).unwrap() > 0 {
        let port = said.split("started successfully on port ").nth(1).and_then(|rest| rest.trim().trim_end_matches('.').parse().ok());
        if let Some(port) = port {
            // What it says later must not stop it: somebody goes on reading.
            std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
            return port;
        }
    }
    panic!("cannot run `chromedriver`: apt-get install chromium chromium-driver; it said: {said}");
}
