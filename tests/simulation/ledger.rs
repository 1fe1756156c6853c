//! The oracle's eye on the ledger: a clone's seconds are counted once, whoever counts them, and nothing that was counted is lost.

use crate::{
    estate::text,
    oracle::{Oracle, SKEW, WATCH_LAG, seconds},
};
use clonewarden::sandbox::history::Write;
use serde_json::Value;

impl Oracle {
    /// M1: what a checkpoint adds is no more than what clones lived since the last one, by the true clock; and it goes forward.
    pub(crate) fn judge_ledger(&self, write: &Write) -> Result<(), String> {
        let Some(after) = write.after.as_deref() else { return Ok(()) };
        let counted = |object: Option<&Value>| {
            let owners = object.and_then(|object| object["status"]["owners"].as_array()).into_iter().flatten();
            owners.filter_map(|owner| owner["cloneSeconds"].as_i64()).sum::<i64>()
        };
        let through = |object: &Value| text(object, "/status/accruedThrough").parse().map(seconds).ok();
        let Some(to) = through(after) else { return Ok(()) };
        let before = write.before.as_deref();
        let added = counted(Some(after)) - counted(before);
        let from = before.and_then(through);
        if added < 0 || from.is_some_and(|from| to < from) {
            return Err(format!("the ledger goes back: {added} s up to {to} after {from:?}"));
        }
        // What is estimated is marked, and knows no better.
        let estimated = |object: &Value| object["status"]["estimated"].as_str().map(str::to_owned);
        if estimated(after) != before.and_then(estimated) {
            return Ok(());
        }
        // A clock may be off by so much, and who is gone is seen to be gone so much later: by a watch that is late, after a list that is old.
        let (earliest, latest) = (from.map_or(i64::MIN, |from| from - SKEW), to + SKEW);
        let lived = |stay: (i64, i64)| (stay.1.saturating_add(2 * WATCH_LAG).min(latest) - stay.0.max(earliest)).max(0);
        let truth: i64 = self.stays_in(text(after, "/spec/namespace")).map(lived).sum();
        // Of a clone whose end it never heard of it cannot know better.
        let deaf = write.daemon().is_some_and(|daemon| self.misses_clones(daemon, earliest.saturating_sub(WATCH_LAG), to));
        if added > truth && !deaf { Err(format!("{added} s are added to the ledger up to {to}, and at most {truth} s were lived")) } else { Ok(()) }
    }
}
