//! The query of a request: `wait`, and nothing else.

use super::problem::Problem;
use std::time::Duration;

/// How long somebody may wait, in seconds.
pub(super) const LONGEST: u64 = 300;
/// The same as the document says it.
pub(super) const WAIT: &str = "^([1-9]|[1-9][0-9]|[12][0-9][0-9]|300)s$|^[1-5]m$";

/// How long is to be waited; `None`: not at all.
pub(super) fn wait(query: Option<&str>) -> Result<Option<Duration>, Problem> {
    let mut wait = None;
    for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match (key, &wait) {
            ("wait", None) => wait = Some(span(value)?),
            ("wait", Some(_)) => return Err(Problem::bad_request("the parameter `wait` is there twice: say it once")),
            _ => {
                let key: String = key.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
                return Err(Problem::bad_request(format!("there is no parameter `{key}`: there is `wait` alone, on GET")));
            }
        }
    }
    Ok(wait)
}

/// For requests that take no parameters.
pub(super) fn none(query: Option<&str>) -> Result<(), Problem> {
    match wait(query)? {
        None => Ok(()),
        Some(_) => Err(Problem::bad_request("the parameter `wait` is for GET alone")),
    }
}

fn span(text: &str) -> Result<Duration, Problem> {
    let bad = || Problem::bad_request(format!("`wait` is not a duration from 1s to {LONGEST}s: write it as `wait=300s` or `wait=5m`"));
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    let plain = !number.starts_with('0') && number.len() <= 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| plain).ok_or_else(bad)?;
    let seconds = match unit {
        "s" => number,
        "m" if number < 10 => number.saturating_mul(60),
        _ => return Err(bad()),
    };
    if (1..=LONGEST).contains(&seconds) { Ok(Duration::from_secs(seconds)) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_bounded_and_said_once() {
        for (query, seconds) in [("wait=300s", 300), ("wait=1s", 1), ("wait=5m", 300), ("&wait=90s&", 90)] {
            assert_eq!(wait(Some(query)).unwrap(), Some(Duration::from_secs(seconds)), "{query}");
        }
        assert_eq!((wait(None).unwrap(), wait(Some("")).unwrap()), (None, None));
        for odd in [
            "wait",
            "wait=",
            "wait=0s",
            "wait=301s",
            "wait=6m",
            "wait=1h",
            "wait=-1s",
            "wait=+1s",
            "wait=05s",
            "wait=1.5s",
            "wait=5m&wait=5m",
            "x=1",
            "wait=%35m",
        ] {
            assert!(wait(Some(odd)).is_err(), "{odd}");
        }
        assert!(none(Some("wait=5m")).is_err() && none(None).is_ok());
    }
}
