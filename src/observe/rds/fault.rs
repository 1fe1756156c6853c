//! What an answer that is not a success means. An error carries AWS' code and words, cut short; never a request, never
//! credentials.

use super::xml::Element;
use crate::ports::CloudError;
use aws_credential_types::provider::error::CredentialsError;
use std::error::Error;

/// How much of a message is passed on.
const CUT: usize = 300;

/// Codes by which AWS asks for fewer requests.
const THROTTLED: [&str; 10] = [
    // Cost Explorer.
    "LimitExceededException",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
    "PriorRequestNotComplete",
];

/// Codes that are about who asks. They come with 400 as well as with 403.
const FORBIDDEN: [&str; 17] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// A whole answer of AWS that says why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The HTTP status.
    pub(super) status: u16,
    /// AWS' code.
    pub(super) code: String,
    /// AWS' words.
    pub(super) message: String,
}

impl Fault {
    /// Reads the answer; `None` if that is not how AWS says that something went wrong.
    pub(super) fn read(status: u16, answer: &Element) -> Option<Self> {
        let error = Some(answer).filter(|root| root.name == "ErrorResponse")?.one("Error").ok()??;
        let code = error.text("Code").ok()??.to_owned();
        let message = error.text("Message").ok()?.unwrap_or_default();
        Some(Self { status, message: words(&code, message), code })
    }

    /// The same of a service that does not answer in XML.
    pub(crate) fn said(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: words(code, message) }
    }

    /// What it means for whoever asked for `operation`.
    pub(crate) fn error(&self, operation: &str) -> CloudError {
        let (code, message) = (self.code.clone(), self.message.clone());
        match self.outcome(operation) {
            "not_found" => CloudError::NotFound,
            "throttled" | "unavailable" => CloudError::Unavailable(format!("{code}: {message}")),
            "forbidden" => CloudError::Forbidden(format!("{code}: {message}")),
            "state" => CloudError::State { code, message },
            _ => CloudError::Refused { code, message },
        }
    }

    /// The same as a word for the counts.
    pub(crate) fn outcome(&self, operation: &str) -> &'static str {
        let code = self.code.as_str();
        if THROTTLED.contains(&code) || self.status == 429 {
            "throttled"
        } else if self.status >= 500 {
            "unavailable"
        } else if FORBIDDEN.contains(&code) || matches!(self.status, 401 | 403) {
            "forbidden"
        } else if self.status == 404 && absences(operation).contains(&code) {
            "not_found"
        } else if code.starts_with("Invalid") && code.contains("State") {
            "state"
        } else {
            "refused"
        }
    }
}

/// The codes by which AWS says that what an operation is about is not there. Any other 404 says that something else is missing,
/// and is no proof of anything.
fn absences(operation: &str) -> &'static [&'static str] {
    match operation {
        "DescribeDBInstances" | "DeleteDBInstance" => &["DBInstanceNotFound"],
        "DescribeDBClusters" | "DeleteDBCluster" => &["DBClusterNotFoundFault"],
        "DescribeDBSnapshots" | "DeleteDBSnapshot" => &["DBSnapshotNotFound"],
        "DescribeDBClusterSnapshots" | "DeleteDBClusterSnapshot" => &["DBClusterSnapshotNotFoundFault"],
        "DescribeDBInstanceAutomatedBackups" => &["DBInstanceAutomatedBackupNotFound"],
        "DescribeDBClusterAutomatedBackups" => &["DBClusterAutomatedBackupNotFoundFault"],
        "AddTagsToResource" => &["DBInstanceNotFound", "DBClusterNotFoundFault", "DBSnapshotNotFound", "DBClusterSnapshotNotFoundFault"],
        _ => &[],
    }
}

/// AWS' words, without what it repeats of the request: of a signature that it does not accept it shows what it expected to be
/// signed, session token and all.
fn words(code: &str, message: &str) -> String {
    if code.contains("Signature") {
        return "the credentials, or this machine's clock, are not what AWS expects".to_owned();
    }
    let keyless = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let key = bare.len() >= 16 && (bare.starts_with("AKIA") || bare.starts_with("ASIA"));
        if key { "…".to_owned() } else { word.to_owned() }
    };
    cut(&message.split(' ').map(keyless).collect::<Vec<_>>().join(" "))
}

/// Why no answer came that could be judged.
pub(crate) fn failure(error: &(dyn Error + 'static)) -> CloudError {
    let mut links = std::iter::successors(Some(error), |link| (**link).source());
    match links.find_map(|link| link.downcast_ref::<CredentialsError>()) {
        Some(CredentialsError::ProviderTimedOut(_)) => CloudError::Unavailable("whoever hands out credentials does not answer".to_owned()),
        Some(CredentialsError::CredentialsNotLoaded(_)) => {
            CloudError::Forbidden("no credentials: neither the environment, a profile, a web identity nor the machine has any".to_owned())
        }
        Some(refused) => CloudError::Forbidden(format!("no credentials: {}", chain(refused))),
        None => CloudError::Unavailable(chain(error)),
    }
}

/// An error with its causes, without those that only repeat the next one.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut links = std::iter::successors(Some(error), |link| (**link).source()).map(ToString::to_string).peekable();
    while let Some(link) = links.next() {
        match links.peek() {
            Some(cause) if link.ends_with(cause.as_str()) => {}
            Some(_) => text = format!("{text}{link}: "),
            None => text.push_str(&link),
        }
    }
    words("", &text)
}

/// A message of bounded length on one line.
fn cut(message: &str) -> String {
    message.chars().take(CUT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, code: &str, message: &str) -> Fault {
        let text = format!("<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>");
        Fault::read(status, &super::super::xml::parse(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn codes_mean_what_aws_says_they_mean() {
        for (operation, status, code, outcome) in [
            ("DescribeDBInstances", 404, "DBInstanceNotFound", "not_found"),
            ("DescribeDBInstances", 400, "DBInstanceNotFound", "refused"),
            ("DescribeDBInstances", 404, "DBClusterNotFoundFault", "refused"),
            ("DeleteDBCluster", 404, "DBClusterNotFoundFault", "not_found"),
            ("DescribeDBSnapshots", 404, "DBInstanceNotFound", "refused"),
            ("GetCallerIdentity", 404, "DBInstanceNotFound", "refused"),
            ("DeleteDBInstance", 400, "InvalidDBInstanceState", "state"),
            ("DeleteDBCluster", 400, "InvalidDBClusterStateFault", "state"),
            ("DeleteDBSnapshot", 400, "InvalidDBSnapshotState", "state"),
            ("DeleteDBClusterSnapshot", 400, "InvalidDBClusterSnapshotStateFault", "state"),
            ("DeleteDBInstance", 400, "InvalidParameterCombination", "refused"),
            ("DeleteDBInstance", 400, "DBSnapshotAlreadyExists", "refused"),
            ("DeleteDBInstance", 400, "Throttling", "throttled"),
            ("DeleteDBInstance", 429, "Whatever", "throttled"),
            ("DeleteDBInstance", 503, "ServiceUnavailable", "unavailable"),
            ("DeleteDBInstance", 400, "ExpiredToken", "forbidden"),
            ("DeleteDBInstance", 403, "Whatever", "forbidden"),
        ] {
            assert_eq!(fault(status, code, "x").outcome(operation), outcome, "{operation} {status} {code}");
        }
    }

    #[test]
    fn credentials_are_not_repeated() {
        let echo = "The Canonical String should have been 'POST x-amz-security-token:IQoJb3JpZ2lu'";
        let told = fault(403, "SignatureDoesNotMatch", echo).error("GetCallerIdentity").to_string();
        assert!(!told.contains("IQoJ") && told.contains("SignatureDoesNotMatch"), "{told}");
        let told = fault(403, "AccessDenied", "key (AKIAIOSFODNN7EXAMPLE) may not").error("GetCallerIdentity").to_string();
        assert!(!told.contains("AKIA") && told.contains("may not"), "{told}");
    }
}
