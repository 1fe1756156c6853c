//! Looks whether a part is ready, once a call; the caller decides how long to go on.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::parts::Ready;
use crate::site::Site;

/// kubectl costs about 80 ms of CPU, which the starting parts need more.
const BETWEEN_COMMANDS: Duration = Duration::from_millis(120);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Looks at one part.
#[derive(Debug)]
pub(crate) struct Probe {
    checks: &'static [Ready],
    /// How many of them held so far; those are not looked at again.
    held: usize,
    port: Option<u16>,
    kubectl: String,
    kubeconfig: String,
    cache: String,
    /// Whether the port has been seen to answer: until then no command is spent.
    listens: bool,
    last_command: Option<Instant>,
    last_answer: String,
}

impl Probe {
    /// A probe of a part whose first port is `port`.
    pub(crate) fn new(checks: &'static [Ready], port: Option<u16>, site: &Site) -> Self {
        Self {
            checks,
            held: 0,
            port,
            kubectl: site.path("bin/kubectl"),
            kubeconfig: site.kubeconfig("admin"),
            cache: site.path("kubectl-cache"),
            listens: false,
            last_command: None,
            last_answer: "none".to_owned(),
        }
    }

    /// What the part answered last.
    pub(crate) fn last_answer(&self) -> &str {
        &self.last_answer
    }

    /// Forgets what it saw: the part is started anew.
    pub(crate) fn reset(&mut self) {
        self.held = 0;
        self.listens = false;
        self.last_command = None;
        "none".clone_into(&mut self.last_answer);
    }

    /// Whether it is ready now.
    pub(crate) fn look(&mut self) -> Result<bool> {
        while let Some(check) = self.checks.get(self.held) {
            if !self.holds(check)? {
                return Ok(false);
            }
            self.held += 1;
            self.last_command = None;
        }
        Ok(true)
    }

    fn holds(&mut self, check: &Ready) -> Result<bool> {
        match check {
            Ready::Http(path) => Ok(self.http(path)),
            Ready::Greets => Ok(self.greets()),
            Ready::Https(path, says) => {
                let server = format!("--server=https://127.0.0.1:{}", self.port.unwrap_or_default());
                let raw = format!("--raw={path}");
                // Without any credential kubectl asks for a user name; this one means nothing to the part.
                self.command(&["--kubeconfig=/dev/null", &server, "--insecure-skip-tls-verify", "--token=none", "get", &raw], *says)
            }
            Ready::Kubectl(args, says) => {
                let kubeconfig = format!("--kubeconfig={}", self.kubeconfig);
                let args: Vec<_> = std::iter::once(kubeconfig.as_str()).chain(args.iter().copied()).collect();
                self.command(&args, *says)
            }
        }
    }

    fn http(&mut self, path: &str) -> bool {
        match get(self.port.unwrap_or_default(), path) {
            Ok(status_line) => {
                let ready = status_line.contains(" 200 ");
                self.last_answer = status_line;
                ready
            }
            Err(error) => {
                self.last_answer = error.to_string();
                false
            }
        }
    }

    fn greets(&mut self) -> bool {
        let said = connect(self.port.unwrap_or_default()).and_then(|mut stream| {
            stream.set_read_timeout(Some(ANSWER_WITHIN))?;
            stream.read_exact(&mut [0; 5])
        });
        self.last_answer = said.as_ref().map_or_else(ToString::to_string, |()| "a greeting".to_owned());
        said.is_ok()
    }

    fn command(&mut self, args: &[&str], says: Option<&str>) -> Result<bool> {
        if let Some(port) = self.port.filter(|_| !self.listens) {
            self.listens = connect(port).is_ok();
            if !self.listens {
                self.last_answer = format!("nothing listens on port {port}");
                return Ok(false);
            }
        }
        if self.last_command.is_some_and(|at| at.elapsed() < BETWEEN_COMMANDS) {
            return Ok(false);
        }
        let output = Command::new(&self.kubectl)
            .args(args)
            .arg("--request-timeout=5s")
            .env("KUBECACHEDIR", &self.cache)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", self.kubectl))?;
        self.last_command = Some(Instant::now());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let ready = output.status.success() && says.is_none_or(|says| said.contains(says));
        self.last_answer = format!("{said}{}", String::from_utf8_lossy(&output.stderr)).trim_end().to_owned();
        Ok(ready)
    }
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ANSWER_WITHIN)
}

/// The status line of a plain GET.
fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = connect(port)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    // In one piece: whoever answers after the first line and hangs up would reset the rest.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_get_returns_the_status_line_and_an_error_where_nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.0 503 Service Unavailable\r\n\r\nno").unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        assert_eq!(get(port, "/readyz").unwrap(), "HTTP/1.0 503 Service Unavailable");
        assert!(server.join().unwrap().starts_with("GET /readyz HTTP/1.0\r\n"));
        assert!(get(port, "/readyz").is_err());
    }
}
