//! A span, and how it is written in the JSON encoding of OTLP.
//!
//! Contract: pure. What a span holds are ids, codes, names of objects and numbers; no text of an error, no spec, no address.

use jiff::Timestamp;
use serde_json::{Value, json};

/// Something that took time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    /// What it is a part of.
    pub(super) trace: u128,
    /// Its own id.
    pub(super) id: u64,
    /// The span that it is in, if it is in one.
    pub(super) parent: Option<u64>,
    /// What was done.
    pub(super) name: &'static str,
    /// Whether somebody else asked for it.
    pub(super) served: bool,
    /// When it began (UTC).
    pub(super) begun: Timestamp,
    /// When it ended (UTC).
    pub(super) ended: Timestamp,
    /// What there is to know of it.
    pub(super) attributes: Vec<Attribute>,
    /// Whether it did not work.
    pub(super) failed: bool,
}

/// Something to know of a span.
pub(crate) type Attribute = (&'static str, Value);

/// Who asks with a span of its own around: `traceparent`, as W3C Trace Context writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) sampled: bool,
}

impl Parent {
    /// Reads a `traceparent`; `None` for what is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
        // Later versions may have more parts; ff is none.
        if !hex(version, 2) || version == "ff" || !hex(flags, 2) || !hex(trace, 32) || !hex(id, 16) || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let (trace, id) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(id, 16).ok()?);
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (trace != 0 && id != 0).then_some(Self { trace, id, sampled })
    }
}

/// How a trace is called in the journal and everywhere else.
#[must_use]
pub(super) fn trace_id(trace: u128) -> String {
    format!("{trace:032x}")
}

/// The body of a request with these spans.
#[must_use]
pub(super) fn request(resource: &[(String, String)], spans: &[Span]) -> Value {
    let resource: Vec<Value> = resource.iter().map(|(key, value)| attribute(key, &json!(value))).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{
            "scope": {"name": "clonewarden", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans.iter().map(Span::written).collect::<Vec<_>>(),
        }],
    }]})
}

impl Span {
    fn written(&self) -> Value {
        let mut span = serde_json::Map::new();
        let mut put = |key: &str, value: Value| drop(span.insert(key.to_owned(), value));
        put("traceId", json!(trace_id(self.trace)));
        put("spanId", json!(format!("{:016x}", self.id)));
        if let Some(parent) = self.parent {
            put("parentSpanId", json!(format!("{parent:016x}")));
        }
        put("name", json!(self.name));
        put("kind", json!(if self.served { 2 } else { 1 }));
        put("startTimeUnixNano", json!(self.begun.as_nanosecond().to_string()));
        put("endTimeUnixNano", json!(self.ended.as_nanosecond().to_string()));
        put("attributes", self.attributes.iter().map(|(key, value)| attribute(key, value)).collect());
        put("status", if self.failed { json!({"code": 2}) } else { json!({}) });
        Value::Object(span)
    }
}

fn attribute(key: &str, value: &Value) -> Value {
    let value = match value {
        Value::Bool(flag) => json!({"boolValue": flag}),
        // 64 bits are a text in the JSON of protobuf.
        Value::Number(number) if !number.is_f64() => json!({"intValue": number.to_string()}),
        Value::Number(number) => json!({"doubleValue": number}),
        Value::String(text) => json!({"stringValue": text}),
        other => json!({"stringValue": other.to_string()}),
    };
    json!({"key": key, "value": value})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_as_otlp_has_it() {
        let begun: Timestamp = "2026-02-05T16:30:00.000000001Z".parse().unwrap();
        let span = Span {
            trace: 0xab,
            id: 0xcd,
            parent: Some(0xef),
            name: "act",
            served: false,
            begun,
            ended: "2026-02-05T16:30:01Z".parse().unwrap(),
            attributes: vec![("decision.id", json!("0123")), ("count", json!(7)), ("flag", json!(true))],
            failed: true,
        };
        let written = request(&[("service.name".to_owned(), "clonewarden".to_owned())], std::slice::from_ref(&span));
        assert_eq!(
            written["resourceSpans"][0]["scopeSpans"][0]["spans"][0],
            json!({
                "traceId": "000000000000000000000000000000ab", "spanId": "00000000000000cd", "parentSpanId": "00000000000000ef",
                "name": "act", "kind": 1, "startTimeUnixNano": "1770309000000000001", "endTimeUnixNano": "1770309001000000000",
                "attributes": [
                    {"key": "decision.id", "value": {"stringValue": "0123"}},
                    {"key": "count", "value": {"intValue": "7"}},
                    {"key": "flag", "value": {"boolValue": true}},
                ],
                "status": {"code": 2},
            })
        );
        let root = request(&[], &[Span { parent: None, failed: false, ..span }]);
        let root = &root["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert!(root.get("parentSpanId").is_none() && root["status"] == json!({}));
    }

    #[test]
    fn a_parent_is_read_or_none() {
        let read = Parent::read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!((trace_id(read.trace).as_str(), read.id, read.sampled), ("4bf92f3577b34da6a3ce929d0e0e4736", 0x00f0_67aa_0ba9_02b7, true));
        assert!(!Parent::read("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").unwrap().sampled);
        for none in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Parent::read(none), None, "{none}");
        }
    }
}
