//! Why something could not be done to a clone: what failed, on which clone, and why, for whoever has to tell it and say what to do.

use crate::observe::kube::answer::Problem;
use std::fmt;

/// What kind of trouble it is.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The API server refused, or did not answer.
    Asked(Problem),
    /// The same for a creation of which nobody knows whether it was carried out.
    Unsure(Problem),
    /// There is no clone of that name.
    NoClone,
    /// There is another one of that name by now.
    MadeAgain,
    /// It is being deleted.
    Terminating,
    /// Somebody keeps it.
    Kept,
    /// It lives that long already.
    NoLonger,
    /// It does not say when it ends.
    Endless,
    /// What was asked for makes no sense, whatever the clone says.
    Nonsense,
    /// It changed again and again meanwhile.
    Changing,
    /// An answer of the API server cannot be read.
    Unreadable,
}

/// Why it could not be done.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) cause: Cause,
    /// The clone that it is about.
    pub(crate) name: String,
    what: String,
}

impl Trouble {
    pub(crate) fn new(cause: Cause, name: &str, what: String) -> Self {
        Self { cause, name: name.to_owned(), what }
    }

    /// What could not be done, because of what the API server said.
    pub(crate) fn asked(name: &str, what: String, problem: Problem) -> Self {
        Self::new(Cause::Asked(problem), name, what)
    }
}

impl fmt::Display for Trouble {
    /// In one line, with the API server's own words. These may quote what the person sent: it is for that person alone, never for
    /// a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.cause {
            Cause::Asked(problem) | Cause::Unsure(problem) => write!(f, ": {}", problem.words()),
            _ => Ok(()),
        }
    }
}
