//! What an error of the server, or of the way to it, means.

use crate::ports::HostError;
use mysql_async::{DriverError, Error, IoError};

/// Why there was no answer, or which.
#[derive(Debug)]
pub(super) enum Fault {
    /// It took too long.
    Late(String),
    /// The library says.
    Library(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Library(error)
    }
}

impl From<Fault> for HostError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Late(what) => Self::Unavailable(what),
            Fault::Library(Error::Server(error)) => by_code(error.code, error.message),
            Fault::Library(Error::Io(IoError::Tls(error))) => not_trusted(&error.to_string()),
            // What the handshake has to say comes in the clothes of a broken stream.
            Fault::Library(Error::Io(IoError::Io(error))) if error.kind() == std::io::ErrorKind::InvalidData => not_trusted(&error.to_string()),
            Fault::Library(Error::Io(IoError::Io(error))) => Self::Unavailable(error.to_string()),
            Fault::Library(Error::Driver(DriverError::NoClientSslFlagFromServer)) => Self::Unavailable("the server offers no TLS".to_owned()),
            Fault::Library(error) => Self::Unavailable(error.to_string()),
        }
    }
}

fn not_trusted(why: &str) -> HostError {
    HostError::Unavailable(format!("TLS: {why}; is it the right CA bundle (--database-ca)?"))
}

/// An answer, where errors of some codes stand for one.
pub(super) fn unless<T>(answer: Result<T, Fault>, fine: &[u16], instead: T) -> Result<T, HostError> {
    match answer {
        Err(Fault::Library(Error::Server(error))) if fine.contains(&error.code) => Ok(instead),
        other => Ok(other?),
    }
}

/// The codes are MySQL's; MariaDB has the same below 1900, and those of the same meaning above.
fn by_code(code: u16, message: String) -> HostError {
    let said = format!("{message} ({code})");
    match code {
        1044 | 1045 | 1095 | 1130 | 1142 | 1143 | 1227 | 1370 | 1410 | 1698 => HostError::Forbidden(said),
        1290 | 1792 | 1836 => HostError::ReadOnly(said),
        1021 | 1037 | 1038 | 1040 | 1041 | 1114 | 1135 | 1203 | 1226 => HostError::Full(said),
        1205 | 1213 => HostError::Busy(said),
        1053 | 1077 | 1079 | 1158..=1161 | 1317 | 1927 | 1969 | 3024 | 3169 => HostError::Unavailable(said),
        _ => HostError::Refused { code, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_told_apart() {
        let of = |code| by_code(code, "words".to_owned());
        for (code, prefix) in [
            (1045, "forbidden: words (1045)"),
            (1290, "it is read-only: words"),
            (1836, "it is read-only: words"),
            (1021, "it is full: words"),
            (1114, "it is full: words"),
            (1040, "it is full: words"),
            (1205, "busy: words"),
            (1053, "no answer: words"),
            (1064, "refused (1064): words"),
        ] {
            assert!(of(code).to_string().starts_with(prefix), "{code}: {}", of(code));
            assert_eq!(of(code).is_of_host(), !matches!(code, 1205 | 1064), "{code}");
        }
    }
}
