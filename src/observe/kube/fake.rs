//! An API server that gives prepared answers, one after the other, and remembers what it was asked. There is no network: the
//! real client talks to it in memory, so that time can be paused.

use super::{KubeCluster, callers::Callers, person::Person};
use ::kube::Client;
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    response::Response,
};
use futures::{StreamExt, stream};
use http::{StatusCode, header};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

pub(crate) enum Answer {
    /// A JSON answer.
    Json(u16, Value),
    /// Something else.
    Text(u16, &'static str),
    /// A body in these pieces; then the end, or nothing more.
    Pieces(Vec<Vec<u8>>, Then),
    /// A good answer after this long.
    After(Duration),
    /// A good answer with these `Warning` headers.
    Warned(Vec<&'static str>),
}

#[derive(Clone, Copy)]
pub(crate) enum Then {
    End,
    EndAfter(Duration),
    Silence,
    Cut,
}

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) accept: String,
    pub(crate) content: String,
    pub(crate) authorization: String,
    /// The names of all headers.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Value,
}

/// Answers by what is asked.
type Answering = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

#[derive(Clone, Default)]
pub(crate) struct Fake {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    /// Answers what comes after the prepared ones.
    rest: Option<Answering>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> (KubeCluster, Self) {
        let fake = Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() };
        (KubeCluster::over(fake.client(), fake.client(), "ours".to_owned()), fake)
    }

    /// The same for a person in the namespace `a`.
    pub(crate) fn person(answers: impl IntoIterator<Item = Answer>) -> (Person, Self) {
        let fake = Self { answers: Arc::new(Mutex::new(answers.into_iter().collect())), ..Self::default() };
        (Person::over(fake.client(), "a".to_owned()), fake)
    }

    /// For whoever brings a token, and asks in no certain order.
    pub(crate) fn answering(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> (Callers, Self) {
        let fake = Self { rest: Some(Arc::new(answer)), ..Self::default() };
        (Callers::over(fake.client()), fake)
    }

    fn client(&self) -> Client {
        let handler = self.clone();
        Client::new(Router::new().fallback(move |request: Request| handler.clone().answer(request)), "default")
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Method and target of what was asked.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    async fn answer(self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let header = |name| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let asked = Asked {
            line: format!("{} {}", parts.method, parts.uri),
            accept: header(header::ACCEPT),
            content: header(header::CONTENT_TYPE),
            authorization: header(header::AUTHORIZATION),
            headers: parts.headers.keys().map(ToString::to_string).collect(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        self.asked.lock().unwrap().push(asked.clone());
        let prepared = self.answers.lock().unwrap().pop_front();
        let answer = prepared.or_else(|| self.rest.as_ref().map(|rest| rest(&asked))).expect("no answer was prepared for this request");
        let mut warnings = Vec::new();
        let (code, body) = match answer {
            Answer::Warned(said) => {
                warnings = said;
                (200, Body::from("{}"))
            }
            Answer::Json(code, body) => (code, Body::from(body.to_string())),
            Answer::Text(code, text) => (code, Body::from(text)),
            Answer::Pieces(pieces, then) => {
                let pieces = stream::iter(pieces).map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
                match then {
                    Then::End => (200, Body::from_stream(pieces)),
                    Then::EndAfter(time) => {
                        let wait = stream::once(tokio::time::sleep(time)).filter_map(|()| std::future::ready(None));
                        (200, Body::from_stream(pieces.chain(wait)))
                    }
                    Then::Silence => (200, Body::from_stream(pieces.chain(stream::pending()))),
                    Then::Cut => {
                        let cut = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                        (200, Body::from_stream(pieces.chain(stream::iter([Err(cut)]))))
                    }
                }
            }
            Answer::After(time) => {
                tokio::time::sleep(time).await;
                (200, Body::from("{}"))
            }
        };
        let date = (header::DATE, "Thu, 05 Feb 2026 16:30:00 GMT");
        let response = Response::builder().status(StatusCode::from_u16(code).unwrap()).header(date.0, date.1);
        warnings.into_iter().fold(response, |response, warning| response.header(header::WARNING, warning)).body(body).unwrap()
    }
}

/// A failure as the API server writes it.
pub(crate) fn failure(code: u16, reason: &str, message: &str, details: Value) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code,
    });
    Answer::Json(code, status)
}
