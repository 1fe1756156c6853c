//! The socket by which a test asks the supervisor to kill, stop, freeze or restart a part.
//!
//! One line `<verb> <part>` in, one JSON object out: `{"error": null}` or `{"error": "<what failed>"}`. The answer
//! comes when the thing is done; requests are served one after the other.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Whoever connects sends its line at once; one that does not must not hold up the supervisor.
const LINE_WITHIN: Duration = Duration::from_secs(1);
/// The longest wait is for a part that hangs: the supervisor gives up on it after 60 s, plus 5 for its end.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);

fn socket(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}

/// The supervisor's side.
#[derive(Debug)]
pub(crate) struct Listener(UnixListener);

/// One request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Request {
    /// `kill`, `stop`, `freeze`, `thaw` or `restart`.
    pub(crate) verb: String,
    /// Name of the part.
    pub(crate) part: String,
    stream: UnixStream,
}

impl Listener {
    /// Opens the socket in the run's folder.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let path = socket(dir);
        let listener = UnixListener::bind(&path).with_context(|| {
            format!("cannot open the socket {}: if its path is longer than 100 bytes, set TMPDIR to a shorter folder", path.display())
        })?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// The next request, if one waits.
    pub(crate) fn next(&self) -> Result<Option<Request>> {
        let (stream, _) = match self.0.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("cannot accept on the control socket"),
        };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(LINE_WITHIN))?;
        let mut line = String::new();
        let read = BufReader::new(stream.try_clone()?.take(256)).read_line(&mut line);
        let mut words = line.split_whitespace().map(str::to_owned);
        Ok(match (read, words.next(), words.next()) {
            (Ok(_), Some(verb), Some(part)) => Some(Request { verb, part, stream }),
            // Nothing to answer to.
            _ => None,
        })
    }
}

impl Request {
    /// Tells the asker how it went. An asker that has gone does not matter.
    pub(crate) fn answer(mut self, outcome: Result<()>) {
        let error = outcome.err().map(|error| format!("{error:#}"));
        let _ = writeln!(self.stream, "{}", json!({ "error": error }));
    }
}

/// The test's side: sends one request and waits until it is done.
pub(crate) fn ask(dir: &Path, verb: &str, part: &str) -> Result<()> {
    let path = socket(dir);
    let mut stream =
        UnixStream::connect(&path).with_context(|| format!("cannot reach the platform's supervisor at {}: has it ended?", path.display()))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    writeln!(stream, "{verb} {part}")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).with_context(|| format!("no answer to `{verb} {part}`"))?;
    let answer: Value = serde_json::from_str(&line).with_context(|| format!("the supervisor ended before it answered `{verb} {part}`"))?;
    match answer.get("error").and_then(Value::as_str) {
        None => Ok(()),
        Some(error) => bail!("`{verb} {part}`: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_and_an_error_is_told() {
        let dir = std::env::temp_dir().join(format!("clonewarden-control-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let listener = Listener::open(&dir).unwrap();
        let server = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while seen.len() < 2 {
                let Some(request) = listener.next().unwrap() else { continue };
                seen.push(format!("{} {}", request.verb, request.part));
                let outcome = if request.part == "etcd" { Ok(()) } else { Err(anyhow::anyhow!("no such part")) };
                request.answer(outcome);
            }
            seen
        });
        ask(&dir, "kill", "etcd").unwrap();
        assert_eq!(ask(&dir, "stop", "nothing").unwrap_err().to_string(), "`stop nothing`: no such part");
        assert_eq!(server.join().unwrap(), ["kill etcd", "stop nothing"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
