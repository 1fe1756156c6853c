//! Plain calls to the AWS endpoint, and to its control API: no SDK, so that a test sees what was really sent.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use clonewarden_platform::Platform;
use serde_json::Value;

pub(crate) const REGION: &str = "us-east-1";
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The endpoint of the platform.
pub(crate) struct Aws {
    address: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) date: String,
    pub(crate) body: String,
}

impl Answer {
    /// The texts of every element of that name, in their order; an element with others inside gives those as they are.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        self.body.split(&open).skip(1).filter_map(|rest| rest.split_once(&close)).map(|(text, _)| text).collect()
    }

    /// The text of the only element of that name.
    pub(crate) fn one(&self, name: &str) -> &str {
        match self.all(name).as_slice() {
            [text] => text,
            other => panic!("{} times <{name}> in {}", other.len(), self.body),
        }
    }

    /// The tags of the first resource, as `key=value`.
    pub(crate) fn tags(&self) -> Vec<String> {
        let list = self.all("TagList").first().copied().unwrap_or_default();
        let tags = list.split("<Tag>").skip(1).map(|tag| {
            let part = |name: &str| tag.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once('<')).map_or("", |(text, _)| text);
            format!("{}={}", part("Key"), part("Value"))
        });
        tags.collect()
    }
}

impl Aws {
    pub(crate) fn of(platform: &Platform) -> Self {
        Self { address: platform.aws_endpoint().unwrap().strip_prefix("http://").unwrap().to_owned() }
    }

    /// An action in the test's region that must be answered, with an error or without.
    pub(crate) fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.try_call(REGION, action, parameters).unwrap()
    }

    /// An action that must succeed.
    pub(crate) fn ok(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let answer = self.call(action, parameters);
        assert_eq!(answer.status, 200, "{action} {parameters:?} on {}: {}", answer.date, answer.body);
        answer
    }

    /// An action that must be refused with this code.
    pub(crate) fn refused(&self, action: &str, parameters: &[(&str, &str)], code: &str) {
        let answer = self.call(action, parameters);
        assert!(answer.status >= 400, "{action} {parameters:?}: {}", answer.body);
        assert_eq!(answer.one("Code"), code, "{action} {parameters:?}: {}", answer.body);
    }

    /// An action in some region, whatever becomes of it.
    pub(crate) fn try_call(&self, region: &str, action: &str, parameters: &[(&str, &str)]) -> io::Result<Answer> {
        let (service, version) = if action == "GetCallerIdentity" { ("sts", "2011-06-15") } else { ("rds", "2014-10-31") };
        let mut body = format!("Action={action}&Version={version}");
        for (name, value) in parameters {
            body.push_str(&format!("&{}={}", encoded(name), encoded(value)));
        }
        let headers = format!(
            "Content-Type: application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=testing/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=x\r\n"
        );
        self.send("POST", "/", &headers, &body)
    }

    /// Says something to the endpoint itself, which must take it.
    pub(crate) fn control(&self, path: &str, body: &Value) -> Value {
        let answer = self.send("POST", &format!("/control/{path}"), "", &body.to_string()).unwrap();
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Every call since the last reset, or those after the first so many.
    pub(crate) fn calls(&self, since: usize) -> Vec<Value> {
        serde_json::from_str(&self.send("GET", &format!("/control/calls?since={since}"), "", "").unwrap().body).unwrap()
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> io::Result<Answer> {
        self.send_bytes(method, path, headers, body.as_bytes())
    }

    /// The same with a body that is no text. What is no text in the answer is lost.
    pub(crate) fn send_bytes(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n", self.address, body.len());
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let ended = || io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended without an answer");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(ended)?;
        let (head, body) = bytes.split_at(end);
        let (head, body) = (String::from_utf8_lossy(head), body.strip_prefix(b"\r\n\r\n").ok_or_else(ended)?);
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
        let length: usize = header("Content-Length:").parse().unwrap();
        assert_eq!(length, body.len(), "the announced length is that of the body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(ended)?;
        Ok(Answer { status, date: header("Date:"), body: String::from_utf8_lossy(body).into_owned() })
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
