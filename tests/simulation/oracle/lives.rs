//! The promises about the clones themselves: when one may be deleted, and what may be written on one.

use super::{LAG, Oracle, SKEW, Stay, WATCH_LAG, seconds};
use crate::{
    estate::text,
    rules::{self, Rule},
};
use clonewarden::{
    model::Kind,
    sandbox::{cluster::Deafness, history::Write},
};
use serde_json::Value;

impl Oracle {
    /// Whether a daemon may have missed since then what became of a clone, as of `at`: an event was lost, or the list that it began with
    /// was an old one and the watch has not caught up.
    pub(crate) fn misses_clones(&self, daemon: &str, since: i64, at: i64) -> bool {
        let missed = |deaf: &Deafness| deaf.kind == Kind::Clone && deaf.until.is_none_or(|until| seconds(until) > since);
        self.daemons.get(daemon).is_some_and(|known| known.since > at - 2 * WATCH_LAG || known.deaf.iter().any(missed))
    }

    pub(super) fn judge_delete(&mut self, daemon: &str, write: &Write) -> Result<(), (&'static str, String)> {
        let sent = seconds(write.issue.at);
        let Some(clone) = write.before.as_deref() else { return Err(("I8", "there was nothing".to_owned())) };
        let pinned = write
            .pin
            .as_ref()
            .is_some_and(|(uid, version)| uid == text(clone, "/metadata/uid") && version == text(clone, "/metadata/resourceVersion"));
        if !pinned {
            return Err(("I3", format!("its preconditions are {:?}", write.pin)));
        }
        self.definition_there(daemon, clone, sent)?;
        let mut wrong = ("I2", "no policy governs it".to_owned());
        let mut passed: Vec<(Rule, bool)> = Vec::new();
        for rule in self.candidates(daemon, &write.namespace, sent) {
            match self.may_go(clone, rule, &write.namespace, sent) {
                Ok(surprise) => passed.push((rule.clone(), surprise)),
                Err(why) => wrong = why,
            }
        }
        if passed.is_empty() {
            return Err(wrong);
        }
        self.deleted += 1;
        let uid = text(clone, "/metadata/uid");
        if passed.iter().any(|(_, surprise)| !surprise) || self.released.contains(uid) {
            return Ok(());
        }
        self.surprised += 1;
        if self.waiting.get(uid).is_some_and(|then| *then == said(clone)) {
            return Err(("I5", "it waited behind the brake, and nobody released it".to_owned()));
        }
        for stay in self.stays.entry(write.namespace.clone()).or_default().iter_mut().filter(|stay| stay.uid == uid) {
            stay.surprise = true;
        }
        self.brake(daemon, &passed, write.namespace.as_str(), sent)
    }

    /// A clone whose definition is known to have been there and is gone has no end.
    fn definition_there(&self, daemon: &str, clone: &Value, sent: i64) -> Result<(), (&'static str, String)> {
        if text(clone, "/metadata/labels/kro.run~1resource-graph-definition-name").is_empty() {
            return Ok(());
        }
        let heard = self.daemons.get(daemon).map_or(sent, |known| self.heard(known, Kind::Definition, sent));
        if self.definition.within(heard, sent).any(|there| *there) { Ok(()) } else { Err(("I2", "its definition is gone".to_owned())) }
    }

    /// Whether the clone, as it was, may go under this rule; whether its end comes as a surprise.
    fn may_go(&self, clone: &Value, rule: &Rule, namespace: &str, sent: i64) -> Result<bool, (&'static str, String)> {
        if !rule.enforce {
            return Err(("I2", format!("policy {} is in audit", rule.name)));
        }
        if rules::annotation(clone, "keep") == Some("true") {
            return Err(("I1", "it is kept".to_owned()));
        }
        let Some(life) = rules::life(clone, rule) else { return Err(("I9", "nobody knows how old it is".to_owned())) };
        if life.end > sent + SKEW {
            let promise = if life.unreadable { "I9" } else { "I1" };
            return Err((promise, format!("it has {} s to live under policy {}", life.end - sent, rule.name)));
        }
        let Some((announced, at)) = rules::announced(clone) else { return Err(("I1", "its end was not announced".to_owned())) };
        if announced < life.end || announced > sent + SKEW {
            return Err(("I1", format!("announced is {announced}, its end {}, now {sent}", life.end)));
        }
        if at < life.created {
            return Err(("I1", "it was announced before it was born".to_owned()));
        }
        let noticed = self.breaks.get(namespace).and_then(|pause| pause.noticed);
        if noticed.is_some_and(|noticed| at < noticed - SKEW) {
            return Err(("I1", format!("it was announced {at}, before the namespace was enforced again, {noticed:?}")));
        }
        Ok(announced > life.end)
    }

    /// Counts a surprise that nobody released.
    fn brake(&mut self, daemon: &str, passed: &[(Rule, bool)], namespace: &str, sent: i64) -> Result<(), (&'static str, String)> {
        let mut wrong = None;
        let started = self.daemons.get(daemon).map_or(sent, |known| known.since);
        for (rule, _) in passed {
            let line = self.surprises.entry(rule.name).or_default();
            line.push(sent);
            let counted = line.iter().filter(|at| **at > sent - rule.per + 2 * SKEW + LAG).count();
            // The daemon's clock may be off, so its window may begin a little earlier or later: it is given the best of these.
            // Nor does it know who went, announced, before it was started, or how old a clone is that cannot be dated.
            let stays = self.stays.get(namespace).map(Vec::as_slice).unwrap_or_default();
            let dated = |stay: &&Stay| self.forms.get(&stay.uid).is_none_or(|form| !text(form, "/metadata/creationTimestamp").is_empty());
            let there = |moment: i64, known: i64| {
                let stays = stays.iter().filter(|stay| stay.from <= moment && stay.until > moment);
                if known == 0 { stays.count() } else { stays.filter(|stay| stay.until > known || stay.surprise).filter(dated).count() }
            };
            let begins = sent - rule.per - SKEW - LAG..=sent - rule.per + SKEW + LAG;
            let before = || begins.clone().flat_map(|begin| [there(begin, 0), there(begin, started)]);
            let ok = counted <= rule.deletes && before().any(|before| before < 10 || counted * 100 <= rule.percent * before);
            if ok {
                return Ok(());
            }
            let most = before().max().unwrap_or_default();
            wrong = Some(format!("{counted} surprises of policy {} in {} s, at most {most} clones before", rule.name, rule.per));
        }
        wrong.map_or(Ok(()), |what| Err(("I5", what)))
    }

    pub(super) fn judge_annotation(&self, daemon: &str, write: &Write) -> Result<(), (&'static str, String)> {
        let (Some(before), Some(after)) = (write.before.as_deref(), write.after.as_deref()) else {
            return Err(("I8", "it is gone by it".to_owned()));
        };
        if write.pin.as_ref().is_none_or(|(uid, version)| uid.is_empty() || version.is_empty()) {
            return Err(("I3", format!("its preconditions are {:?}", write.pin)));
        }
        if without_ours(before) != without_ours(after) {
            return Err(("I8", "it changed more than its own annotations".to_owned()));
        }
        let (was, is) = (rules::annotation(before, "expires-at"), rules::annotation(after, "expires-at"));
        let candidates = self.candidates(daemon, &write.namespace, seconds(write.issue.at));
        if !candidates.iter().any(|rule| rule.enforce) {
            return Err(("I2", "no policy enforces anything there".to_owned()));
        }
        self.judge_recorded(before, after)?;
        if was == is && rules::annotation(before, "announced-at") == rules::annotation(after, "announced-at") {
            return Ok(());
        }
        if is.is_none() {
            let kept = rules::annotation(before, "keep") == Some("true");
            return if kept { Ok(()) } else { Err(("I4", "a promise was taken back".to_owned())) };
        }
        let Some((new, at)) = rules::announced(after) else { return Err(("I4", "what it announces cannot be read".to_owned())) };
        let sent = seconds(write.issue.at);
        if at > sent + SKEW || at < sent - SKEW - LAG {
            return Err(("I4", format!("announced-at is {at}, now is {sent}")));
        }
        let mut wrong = ("I4", "nobody knows how old it is".to_owned());
        for rule in candidates.into_iter().filter(|rule| rule.enforce) {
            let Some(life) = rules::life(before, rule) else { continue };
            // The earliest that the daemon may have taken for now.
            let now = sent - SKEW - LAG;
            let fresh = if life.end > now { life.end } else { now + rule.grace };
            let promised = rules::announced(before).filter(|(end, _)| *end >= life.end).map(|(end, _)| end.min(life.end.max(now + rule.grace)));
            let earliest = promised.map_or(fresh, |promised| promised.min(fresh));
            if new >= earliest {
                return Ok(());
            }
            wrong = (
                "I4",
                format!(
                    "it announces {new}, promised was {:?}, no earlier than {earliest} is allowed, its end is {}",
                    rules::announced(before),
                    life.end
                ),
            );
        }
        Err(wrong)
    }
}

/// What people have said on a clone about its life.
pub(super) fn said(clone: &Value) -> String {
    let annotation = |key| rules::annotation(clone, key);
    format!("{} {} {:?} {:?}", clone["metadata"]["creationTimestamp"], clone["spec"], annotation("keep"), annotation("extend-until"))
}

/// The object without what the daemon may write on it.
fn without_ours(object: &Value) -> Value {
    let mut rest = object.clone();
    if let Some(metadata) = rest.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        let mut annotations = metadata.remove("annotations").unwrap_or_default();
        if let Some(map) = annotations.as_object_mut() {
            let ours = ["expires-at", "announced-at", "warned", "credentials"];
            map.retain(|key, _| !key.strip_prefix("clonewarden.io/").is_some_and(|key| ours.contains(&key)));
            if !map.is_empty() {
                metadata.insert("annotations".to_owned(), annotations);
            }
        }
    }
    rest
}
