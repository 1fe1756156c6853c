//! CloudWatch behind [`FigureStore`], by the AWS SDK.
//!
//! Contract: a request is sent once, over a connection of its own. `PutMetricData` cannot be repeated without being counted twice, so
//! what is said of a failure is whether AWS has certainly not taken it: that is so without a connection, and where AWS answers with an
//! error. A connection that breaks after that, or an answer that does not come, is [`PutError::Unknown`].

use crate::{
    observe::rds::http,
    ports::{Datum, FigureStore, Measure, PutError, Said},
};
use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudwatch::{
    Client,
    config::{Builder, http::HttpResponse},
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTime,
    types::{Dimension, MetricDatum, StandardUnit},
};
use aws_smithy_http_client::proxy::ProxyConfig;
use futures::{FutureExt, future::BoxFuture};
use std::{error::Error, fmt, time::Duration};

/// Until there is a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take. A thousand figures take AWS well under a second.
const WITHIN: Duration = Duration::from_secs(20);
/// What the SDK's own bound cannot break off, such as a name that is looked up.
const AT_LAST: Duration = Duration::from_secs(25);

/// CloudWatch in one region, and the namespace in it.
pub struct CloudWatch {
    shared: SdkConfig,
    namespace: String,
}

impl fmt::Debug for CloudWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudWatch").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl CloudWatch {
    /// Finds credentials and endpoint by the SDK's own variables and files. Nothing is sent yet.
    pub async fn connect(region: &str, namespace: &str) -> Self {
        let region = aws_config::Region::new(region.to_owned());
        let http = http(ProxyConfig::from_env());
        let shared = aws_config::defaults(BehaviorVersion::latest()).region(region).http_client(http).load().await;
        Self { shared, namespace: namespace.to_owned() }
    }

    /// Over a connection of its own: one that was kept since the last request may be half closed, and whether what was written to
    /// it had arrived nobody could tell.
    fn client(&self) -> Client {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(WITHIN).build();
        let config =
            Builder::from(&self.shared).timeout_config(timeouts).retry_config(RetryConfig::disabled()).http_client(http(ProxyConfig::from_env()));
        Client::from_conf(config.build())
    }

    async fn send(&self, figures: &[Datum]) -> Result<(), PutError> {
        let data = figures.iter().map(datum).collect();
        let call = self.client().put_metric_data().namespace(&self.namespace).set_metric_data(Some(data));
        match tokio::time::timeout(AT_LAST, Box::pin(call.send())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => judge(error),
            Err(_) => Err(PutError::Unknown(format!("nothing within {AT_LAST:?}"))),
        }
    }
}

impl FigureStore for CloudWatch {
    fn put<'a>(&'a self, figures: &'a [Datum]) -> BoxFuture<'a, Result<(), PutError>> {
        self.send(figures).boxed()
    }
}

fn datum(figure: &Datum) -> MetricDatum {
    let labels = figure.id.labels.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let unit = match figure.measure {
        Measure::Count => StandardUnit::Count,
        Measure::Seconds => StandardUnit::Seconds,
        Measure::Bytes => StandardUnit::Bytes,
        Measure::Other => StandardUnit::None,
    };
    let one = MetricDatum::builder()
        .metric_name(&figure.id.name)
        .set_dimensions(Some(labels.collect()).filter(|labels: &Vec<_>| !labels.is_empty()))
        // To the second: what is finer says nothing at one figure a minute.
        .timestamp(DateTime::from_secs(figure.at.as_second()))
        .unit(unit);
    match &figure.said {
        Said::One(value) => one.value(*value).build(),
        Said::Spread(values) => {
            let counts = values.iter().map(|(_, count)| crate::export::figures::number(usize::try_from(*count).unwrap_or(usize::MAX)));
            one.set_values(Some(values.iter().map(|(value, _)| *value).collect())).set_counts(Some(counts.collect())).build()
        }
    }
}

/// Whether AWS has certainly not taken it.
fn judge<E>(error: SdkError<E, HttpResponse>) -> Result<(), PutError>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let not_taken = |why, message| Err(PutError::NotTaken { why, message });
    match &error {
        SdkError::ConstructionFailure(_) => not_taken("unsent", chain(&error)),
        SdkError::DispatchFailure(failure) if failure.is_user() || never_sent(&error) => not_taken("unsent", chain(&error)),
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            match (answer.err().code(), status) {
                // Something between us and AWS, which may have passed it on; or AWS, which does not know itself.
                (None, 500..) | (_, 500 | 502 | 504) => Err(PutError::Unknown(format!("HTTP {status}"))),
                (code, _) => {
                    let code = code.unwrap_or("without a code");
                    not_taken(kind(code, status), format!("{code} (HTTP {status}): {}", answer.err().message().unwrap_or_default()))
                }
            }
        }
        // It took it: all that is missing is an empty body.
        SdkError::ResponseError(answer) if answer.raw().status().is_success() => Ok(()),
        _ => Err(PutError::Unknown(chain(&error))),
    }
}

fn kind(code: &str, status: u16) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| code.contains(word));
    if says(&["Throttl", "LimitExceeded", "TooManyRequests", "RequestLimit"]) || status == 429 {
        "throttled"
    } else if says(&["AccessDenied", "NotAuthorized", "UnrecognizedClient", "InvalidClientTokenId", "ExpiredToken", "Signature"]) || status == 403 {
        "forbidden"
    } else if status >= 500 {
        "unavailable"
    } else {
        "refused"
    }
}

/// Whether it came to nothing before anything could have been sent: there were no credentials to sign it with, or no connection.
fn never_sent(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(one) = cause {
        let unconnected = one.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(hyper_util::client::legacy::Error::is_connect);
        if unconnected || one.is::<CredentialsError>() {
            return true;
        }
        cause = one.source();
    }
    false
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        said.push_str(": ");
        said.push_str(&one.to_string());
        cause = one.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::SeriesId;
    use aws_config::Region;
    use aws_credential_types::{credential_fn::provide_credentials_fn, provider::SharedCredentialsProvider};

    fn figure() -> Datum {
        let id = SeriesId { name: "clonewarden_leader".to_owned(), labels: Vec::new() };
        Datum { id, measure: Measure::Other, at: jiff::Timestamp::UNIX_EPOCH, said: Said::One(1.0) }
    }

    /// Credentials may be away for a minute, and what was counted in it is not to be lost.
    #[tokio::test]
    async fn what_was_never_sent_is_known_not_to_have_been_taken() {
        crate::observe::kube::install_tls();
        let none = || provide_credentials_fn(|| async { Err(CredentialsError::provider_error("the metadata service does not answer")) });
        let some = aws_credential_types::Credentials::new("key", "secret", None, None, "test");
        // Nobody listens on port 1.
        for (credentials, why) in [(SharedCredentialsProvider::new(none()), "metadata service"), (SharedCredentialsProvider::new(some), "connect")] {
            let shared = SdkConfig::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .endpoint_url("http://127.0.0.1:1")
                .credentials_provider(credentials)
                .build();
            let store = CloudWatch { shared, namespace: "Clonewarden".to_owned() };
            match store.put(&[figure()]).await {
                Err(PutError::NotTaken { why: "unsent", message }) => assert!(message.contains(why), "{message}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
