//! What has been tried on an object, and when it is tried again.

use super::journal::Ending;
use std::time::Duration;
use tokio::time::Instant;

/// How long the watch may take to bring what was written. After that it is tried again: a conflict then leads to a read.
pub(super) const ECHO: Duration = Duration::from_secs(60);
/// How long something that failed is left alone at first; it doubles up to [`LONGEST_PAUSE`].
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How late something that keeps failing may be tried again once the reason is gone.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What has been tried on an object.
#[derive(Default)]
pub(super) struct Done {
    /// The resourceVersion on which something was carried out, and when.
    pub(super) on: Option<(Box<str>, Instant)>,
    pub(super) conflicts: u8,
    /// How the last try ended: that it still fails the same way is no news.
    pub(super) last: &'static str,
    /// How often it failed in a row, and until when it is left alone: one that always fails must not starve the others.
    pub(super) failures: u32,
    pub(super) not_before: Option<Instant>,
}

impl Done {
    /// Notes how a try ended. `slow`: it had to list the clones anew, and to ask AWS. What stands against it there stands until the
    /// next sweep or longer: tried again at once, it would do nothing else, and leave no turn to the others.
    pub(super) fn note(&mut self, version: &str, ending: &Ending, slow: bool) {
        match ending {
            Ending::Done | Ending::Begun | Ending::Gone => {
                *self = Self { on: Some((version.into(), Instant::now())), last: self.last, ..Self::default() };
            }
            Ending::Conflict(_) => {
                self.conflicts = self.conflicts.saturating_add(1);
                if slow {
                    self.pause();
                }
            }
            Ending::Failed(_) => self.pause(),
            Ending::Stopped => {}
        }
    }

    fn pause(&mut self) {
        self.failures = self.failures.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(8)).min(LONGEST_PAUSE);
        self.not_before = Some(Instant::now() + pause);
    }

    /// Whether that form of the object has been dealt with, and the watch may still be about to bring the next.
    pub(super) fn covers(&self, version: &str) -> bool {
        self.on.as_ref().is_some_and(|(on, at)| on.as_ref() == version && at.elapsed() < ECHO)
    }
}
