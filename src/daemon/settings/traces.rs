//! Where traces are sent: our flags, then the standard variables of OpenTelemetry (`OTEL_…`).
//!
//! Contract: off unless an endpoint is said. The standard variables alone turn it on only where they ask for the protocol that is spoken here
//! (`http/json`): most collectors' addresses that are put into every Pod are for gRPC.

use super::Check;
use crate::{post, traces::Collector};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::path::PathBuf;

/// The path of traces, where the address of a collector has none.
const PATH: &str = "/v1/traces";

/// The flags, from wherever they were said.
pub(super) struct Wanted {
    pub(super) endpoint: Option<String>,
    pub(super) sample: Option<String>,
}

impl Wanted {
    pub(super) fn settle(self, check: &mut Check, variable: impl Fn(&str) -> Option<String>) -> Option<Collector> {
        let of_traces =
            |name: &str| variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}")).or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")));
        let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let standard = || {
            let asked = !disabled && of_traces("PROTOCOL").as_deref() == Some("http/json");
            let whole = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
            let base = || Some(format!("{}{PATH}", variable("OTEL_EXPORTER_OTLP_ENDPOINT")?.trim_end_matches('/')));
            if asked { whole.or_else(base) } else { None }
        };
        let said = self.endpoint.map(|endpoint| if has_path(&endpoint) { endpoint } else { format!("{}{PATH}", endpoint.trim_end_matches('/')) });
        let Some(endpoint) = said.or_else(standard) else {
            check.that(self.sample.is_none(), || "--otlp-sample: without --otlp-endpoint no traces are sent".to_owned());
            return None;
        };
        let sampler =
            || variable("OTEL_TRACES_SAMPLER").filter(|sampler| sampler.ends_with("traceidratio")).and_then(|_| variable("OTEL_TRACES_SAMPLER_ARG"));
        let text = self.sample.or_else(sampler).unwrap_or_else(|| "1".to_owned());
        let sample = text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).map(millionths);
        check.that(sample.is_some(), || format!("--otlp-sample: `{text}` is not a share from 0 to 1"));
        let address = post::address(&endpoint, true).inspect_err(|error| check.that(false, || format!("--otlp-endpoint: {error}"))).ok();
        let headers = headers(&of_traces("HEADERS").unwrap_or_default());
        let headers = headers.inspect_err(|error| check.that(false, || format!("OTEL_EXPORTER_OTLP_HEADERS: {error}"))).ok();
        let ca = of_traces("CERTIFICATE").map(PathBuf::from);
        let resource = resource(&variable);
        Some(Collector { endpoint: address?, headers: headers?, ca, resource, sample: sample? })
    }
}

fn has_path(endpoint: &str) -> bool {
    endpoint.parse::<http::Uri>().is_ok_and(|address| !matches!(address.path(), "" | "/"))
}

/// A share in millionths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and a million")]
fn millionths(ratio: f64) -> u32 {
    (ratio * 1_000_000.0).round() as u32
}

/// `key=value,key=value`; what the values say is not in an error.
fn headers(text: &str) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or("it is not written as `key=value,key=value`")?;
        let key = HeaderName::try_from(key.trim()).map_err(|_| "one of its keys is no name of a header")?;
        let mut value = HeaderValue::try_from(value.trim()).map_err(|_| "one of its values cannot be a header")?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// What is said of this process: its name and version, then what the standard variables add.
fn resource(variable: &impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let own = |key: &str, value: String| (key.to_owned(), value);
    let mut all = vec![
        own("service.name", variable("OTEL_SERVICE_NAME").unwrap_or_else(|| "clonewarden".to_owned())),
        own("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let host = variable("POD_NAME").or_else(|| variable("HOSTNAME"));
    all.extend(host.map(|host| own("service.instance.id", host)));
    let said = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    for (key, value) in said.split(',').filter_map(|pair| pair.split_once('=')) {
        // A name that is said by itself counts more than one in the list.
        if !all.iter().any(|(known, _)| known == key.trim()) {
            all.push(own(key.trim(), value.trim().to_owned()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(endpoint: Option<&str>, sample: Option<&str>, variables: &[(&str, &str)]) -> (Option<Collector>, Vec<String>) {
        let mut check = Check { problems: Vec::new() };
        let wanted = Wanted { endpoint: endpoint.map(str::to_owned), sample: sample.map(str::to_owned) };
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let collector = wanted.settle(&mut check, variable);
        (collector, check.problems)
    }

    #[test]
    fn it_is_off_until_an_endpoint_is_said_that_is_spoken_to_in_our_protocol() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        assert_eq!(settled(None, None, &[]), (None, Vec::new()));
        assert_eq!(settled(None, None, &[endpoint]), (None, Vec::new()));
        let json = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
        assert_eq!(settled(None, None, &[endpoint, json]).0.unwrap().endpoint, "http://collector:4318/v1/traces");
        assert_eq!(settled(None, None, &[endpoint, json, ("OTEL_SDK_DISABLED", "true")]).0, None);
        for (said, whole) in [("http://c:4318", "http://c:4318/v1/traces"), ("https://c/own/path", "https://c/own/path")] {
            assert_eq!(settled(Some(said), None, &[endpoint, json]).0.unwrap().endpoint, whole);
        }
    }

    #[test]
    fn headers_are_secret_and_the_rest_is_said_of_the_process() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer s3cret, x-team=a"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=staging,service.name=other"),
            ("OTEL_SERVICE_NAME", "warden"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ];
        let (collector, problems) = settled(Some("http://c:4318"), None, &variables);
        let collector = collector.unwrap();
        assert!(problems.is_empty() && collector.sample == 250_000, "{problems:?}");
        assert_eq!(collector.headers.get("authorization").unwrap(), "Bearer s3cret");
        assert!(!format!("{collector:?}").contains("s3cret"), "{collector:?}");
        let said = |key: &str| collector.resource.iter().filter(|(known, _)| known == key).map(|(_, value)| value.as_str()).collect::<Vec<_>>();
        assert_eq!((said("service.name"), said("deployment.environment")), (vec!["warden"], vec!["staging"]));
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let (_, problems) = settled(Some("collector:4318"), Some("2"), &[("OTEL_EXPORTER_OTLP_HEADERS", "s3cret")]);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(!problems.join("").contains("s3cret"));
        assert_eq!(settled(None, Some("0.5"), &[]).1.len(), 1);
    }
}
