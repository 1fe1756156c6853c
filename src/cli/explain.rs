//! `clonewarden explain NAMESPACE/NAME`: the life of one clone, for whoever asks why it was deleted, or why it was not.
//!
//! Contract: every date says where it comes from (a field, an annotation, a line of a policy), and nothing is decided here: the
//! verdict, its reason and what comes next are the plan's.

use super::{
    Failure,
    inputs::{Given, Inputs},
    output::{self, printable},
    table::relative,
};
use crate::{
    model::{Child, Health, Kind, Reading, WordPressClone, names, schema::schema_name},
    plan::{
        Action, Decision, Plan, Reason, Target,
        lifetime::{self, Cause, Lifetime},
        plan,
    },
    policy::{ClonePolicy, Governing, Mode},
};
use anyhow::anyhow;
use std::{fmt::Write, sync::Arc};

/// `explain`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The clone
    #[arg(value_name = "NAMESPACE/NAME", value_parser = path)]
    clone: String,
    #[command(flatten)]
    inputs: Inputs,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let given = args.inputs.read()?;
    let plan = plan(&given.snapshot, &given.policies, given.now);
    let mut story = Story { given: &given, plan: &plan, out: String::new() };
    let found = given.snapshot.clones.iter().find(|clone| clone.meta.path().as_ref() == args.clone);
    match found {
        Some(clone) => story.living(clone),
        None => story.gone(&args.clone).ok_or_else(|| {
            Failure::failed(anyhow!(
                "there is no clone `{}`, and nothing that it left behind: see `kubectl get wordpressclones -A`",
                printable(&args.clone)
            ))
        })?,
    }
    output::data(&story.out)
}

fn path(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => Ok(text.to_owned()),
        _ => Err("write it as NAMESPACE/NAME".to_owned()),
    }
}

struct Story<'a> {
    given: &'a Given,
    plan: &'a Plan,
    out: String,
}

impl<'a> Story<'a> {
    fn living(&mut self, clone: &Arc<WordPressClone>) {
        self.say(&format!("clone {}, uid {}, as of {:.0}", clone.meta.path(), clone.meta.uid, self.given.now));
        let labels = self.given.snapshot.namespaces.get(clone.meta.namespace());
        let verdict = self.verdict(clone);
        match self.given.policies.governing(clone.meta.namespace(), labels) {
            Governing::Nobody => self.say("no policy governs its namespace: clonewarden leaves it alone"),
            Governing::Conflict(one, other) => {
                self.say(&format!("policies `{}` ({}) and `{}` ({}) both govern its namespace", one.name, place(one), other.name, place(other)))
            }
            Governing::Policy(policy) => {
                let mode = if policy.mode == Mode::Audit { "audit: nothing is done, only said" } else { "enforce" };
                self.say(&format!("policy {} ({}), mode {mode}", policy.name, place(policy)));
                let life = verdict.and_then(|decision| decision.reason.life().copied()).unwrap_or_else(|| lifetime::lifetime(clone, &policy.ttl));
                self.dates(clone, policy, &life);
            }
        }
        self.verdicts(clone);
        if let Some(decision) = verdict {
            self.next(clone, decision);
        }
        self.belongings(&clone.meta.uid);
        self.access(clone);
        self.costs(clone);
    }

    /// What it costs, and what that is made of.
    fn costs(&mut self, clone: &WordPressClone) {
        let rate = self.plan.tariff.rate(&clone.database);
        let parts: Vec<String> = rate.parts().iter().map(|(part, usd)| format!("{} {}", part.word(), usd.round_dp(6).normalize())).collect();
        if parts.is_empty() {
            return;
        }
        let most = if rate.beyond.is_zero() { String::new() } else { format!(", at most ${}", rate.at_most_per_hour()) };
        let unpriced = if rate.unpriced.is_empty() { String::new() } else { format!("; without a price: {}", rate.unpriced.join(", ")) };
        self.say(&format!("costs ${} an hour{most}: {}{unpriced}", rate.per_hour(), parts.join(", ")));
    }

    /// How its Pod gets into its database.
    fn access(&mut self, clone: &WordPressClone) {
        let fate = self.fate(|target| matches!(target, Target::Secret(other) if other.meta.uid == clone.meta.uid));
        let state = match fate.strip_prefix("; ") {
            Some(fate) => fate,
            None if clone.has_credentials() => "made, by what the clone says",
            None => "not made, as far as the clone says",
        };
        self.say(&format!("  Secret {}/{}: {state}", clone.meta.namespace(), clone.secret_name()));
        if let (Some(host), Some(schema)) = (clone.database.host(), schema_name(&clone.meta.uid)) {
            let fate = self.fate(|target| matches!(target, Target::Schema(other) if other.name == schema));
            self.say(&format!("  Schema {schema} on {host}{fate}"));
        }
    }

    /// What is still known of a clone that is not there any more.
    fn gone(&mut self, path: &str) -> Option<()> {
        let unreadable = self
            .given
            .snapshot
            .unreadable
            .iter()
            .find(|object| object.kind == Kind::Clone && format!("{}/{}", object.namespace, object.name) == path);
        if let Some(object) = unreadable {
            self.say(&format!("clone {path} is there and cannot be read ({}): it counts as alive, and nothing of it is deleted", object.problem));
            return Some(());
        }
        let (namespace, name) = path.split_once('/')?;
        let lack = self.given.snapshot.evidence.lack(&crate::model::Source::Objects(Kind::Clone), self.given.now);
        let theirs = |child: &&Arc<Child>| {
            child.meta.namespace() == namespace && child.owner.as_ref().is_some_and(|owner| owner.name.as_deref() == Some(name))
        };
        let mut uids: Vec<&str> =
            self.given.snapshot.children.iter().filter(theirs).filter_map(|child| child.owner.as_ref()).map(|owner| owner.uid.as_ref()).collect();
        let tagged = self
            .given
            .snapshot
            .cloud
            .iter()
            .filter(|found| found.tag(names::TAG_NAMESPACE) == Some(namespace) && found.tag(names::TAG_CLONE_ID) == Some(name));
        uids.extend(tagged.filter_map(|found| found.tag(names::TAG_CLONE_UID)));
        uids.sort_unstable();
        uids.dedup();
        if uids.is_empty() && lack.is_none() {
            return None;
        }
        match lack {
            Some(lack) => self.say(&format!("whether the clone {path} lives is not known: {lack}")),
            None => self.say(&format!("the clone {path} is gone; it left something behind")),
        }
        for uid in uids {
            self.say(&format!("\nuid {uid}:"));
            self.belongings(uid);
        }
        Some(())
    }

    fn say(&mut self, line: &str) {
        for line in line.split('\n') {
            let _ = writeln!(self.out, "{}", printable(line));
        }
    }

    /// The plan's word on the clone itself, beside which there may be alerts.
    fn verdict(&self, clone: &WordPressClone) -> Option<&'a Decision> {
        self.about(clone).find(|decision| decision.action != Action::Alert)
    }

    fn about(&self, clone: &WordPressClone) -> impl Iterator<Item = &'a Decision> + use<'a> {
        let uid = clone.meta.uid.clone();
        self.plan.decisions.iter().filter(move |decision| matches!(&decision.target, Target::Clone(target) if target.meta.uid == uid))
    }

    /// Every date of its life, in the order of time, with where it comes from.
    fn dates(&mut self, clone: &WordPressClone, policy: &ClonePolicy, life: &Lifetime) {
        let mut dates = vec![
            (life.created, "created", "metadata.creationTimestamp".to_owned()),
            (life.ceiling, "latest end", format!("{}, spec.ttl.maximum: {}", place(policy), policy.ttl.maximum)),
            (life.end, "end", origin(clone, policy, life.cause)),
        ];
        if let (Reading::Value(asked), Cause::ExtendedToCeiling) = (&clone.extend_until, life.cause) {
            dates.push((*asked, "asked to live until", format!("annotation {}", names::EXTEND_UNTIL)));
        }
        if let Reading::Value(announced) = &clone.expires_at {
            let by = match &clone.announced_at {
                Reading::Value(at) => format!(", written {at}"),
                Reading::Absent => format!(", which does not count without {}", names::ANNOUNCED_AT),
                Reading::Unreadable(text) => format!(", which does not count: {} says `{text}`", names::ANNOUNCED_AT),
            };
            dates.push((*announced, "announced end", format!("annotation {}{by}", names::EXPIRES_AT)));
        }
        if let Reading::Value(since) = &clone.unused_since {
            dates.push((*since, "last use", format!("of its database, annotation {}", names::UNUSED_SINCE)));
        }
        if let Some(since) = clone.meta.terminating {
            dates.push((since, "deleted", "metadata.deletionTimestamp".to_owned()));
        }
        dates.push((self.given.now, "now", String::new()));
        // `now` comes after what has just passed: an end equal to now has passed.
        dates.sort_by_key(|(at, ..)| *at);
        self.say("\ndates");
        for (at, what, origin) in dates {
            let when = if what == "now" { String::new() } else { relative(at, self.given.now) };
            let line = format!("  {:<20}  {when:<12}  {what:<20}  {origin}", format!("{at:.0}"));
            self.say(line.trim_end());
        }
        match &clone.keep {
            Reading::Value(true) => self.say(&format!("  annotation {}: \"true\" keeps it, whatever the dates say", names::KEEP)),
            Reading::Value(false) | Reading::Absent => {}
            Reading::Unreadable(text) => self.say(&format!("  annotation {}: `{text}` is neither \"true\" nor \"false\"", names::KEEP)),
        }
        if let (Some(rule), Some(_), Reading::Absent) = (policy.idle, clone.database.host(), &clone.unused_since) {
            self.say(&format!(
                "  it ends earlier once nothing has used its database for {} ({}, spec.idle.after), as far as its host counts that",
                rule.after,
                place(policy)
            ));
        }
        if let Some(owner) = &clone.owner {
            self.say(&format!("  it belongs to {owner} (annotation {})", names::OWNER));
        }
    }

    fn verdicts(&mut self, clone: &WordPressClone) {
        self.say("\nnow");
        let said: Vec<String> = self
            .about(clone)
            .map(|decision| {
                let blocked = decision.blocked_by.map(|by| format!(" [{}]", by.word())).unwrap_or_default();
                format!("  {}{blocked}: {}: {}", decision.action.word(), decision.reason.code(), decision.reason.message(self.given.now))
            })
            .collect();
        if said.is_empty() {
            self.say("  nothing is decided about it");
        }
        for line in said {
            self.say(&line);
        }
    }

    fn next(&mut self, clone: &WordPressClone, decision: &Decision) {
        let Some(policy) = decision.policy.as_ref().and_then(|name| self.given.policies.policies.iter().find(|policy| policy.name == *name)) else {
            return;
        };
        let annotate =
            |what: &str| format!("  kubectl annotate wordpressclone -n {} {} --overwrite {what}", clone.meta.namespace(), clone.meta.name());
        let audit = policy.mode == Mode::Audit;
        let then = match &decision.reason {
            Reason::Terminating(_) => "  nothing more is decided: KRO takes its children down; it is watched until all of them are gone".to_owned(),
            Reason::Kept(..) => format!(
                "  nothing, while annotation {} stands; once it is lifted an end is announced, with the grace of {}",
                names::KEEP,
                policy.ttl.grace
            ),
            _ if decision.action == Action::Hold => "  it is judged again as soon as what is missing is known; until then it lives".to_owned(),
            Reason::Living(life) if audit => format!("  at {} its end has passed; under `enforce` it would then be deleted", life.end),
            Reason::LivingOn(_, at) if audit => {
                format!("  nothing by itself: the policy is in audit mode; from {at} on a person can have it deleted by `clonewarden apply`")
            }
            Reason::WouldAnnounce(_, at) => {
                format!("  nothing: the policy is in audit mode; under `enforce` an end would be announced now, and it would go at {at}")
            }
            Reason::Expired(..) if decision.effective() => "  it is deleted now".to_owned(),
            Reason::Expired(..) => {
                format!("  it would be deleted now, and is held back by {}", decision.blocked_by.map_or("nothing", crate::plan::BlockedBy::word))
            }
            reason => match reason.end() {
                Some(end) if reason.life().is_some_and(|life| matches!(life.cause, Cause::Idle(..))) => {
                    format!(
                        "  it is deleted at {end} ({}), if nothing uses its database and nobody extends or keeps it",
                        relative(end, self.given.now)
                    )
                }
                Some(end) => format!("  it is deleted at {end} ({}), if nobody extends or keeps it", relative(end, self.given.now)),
                None => "  nothing".to_owned(),
            },
        };
        self.say("\nnext");
        self.say(&then);
        self.say("\nwhat would change that");
        let life = decision.reason.life().copied().unwrap_or_else(|| lifetime::lifetime(clone, &policy.ttl));
        if clone.keep == Reading::Value(true) {
            self.say(&format!("{}    no longer keep it", annotate(&format!("{}-", names::KEEP))));
        } else if clone.meta.terminating.is_none() {
            if life.end < life.ceiling && life.ceiling > self.given.now {
                let until = format!("{}={}", names::EXTEND_UNTIL, life.ceiling);
                self.say(&format!("{}    the longest that the policy allows", annotate(&until)));
            }
            self.say(&format!("{}    keep it until somebody lifts that", annotate(&format!("{}=true", names::KEEP))));
            if matches!(life.cause, Cause::Idle(..)) {
                self.say("  any use of its database, such as a page of the site");
            }
        }
        self.say(&format!("  {}: spec.ttl and spec.mode of policy `{}`", place(policy), policy.name));
        match decision.blocked_by {
            Some(crate::plan::BlockedBy::Brake) => {
                self.say(&format!("  clonewarden brake release {} --reason …    after a look at `clonewarden brake status`", policy.name))
            }
            Some(crate::plan::BlockedBy::Pause) => self.say("  clonewarden resume"),
            Some(crate::plan::BlockedBy::Audit) | None => {}
        }
    }

    /// What the clone was expanded into, and what is decided about each part of it.
    fn belongings(&mut self, uid: &str) {
        let children: Vec<&Arc<Child>> =
            self.given.snapshot.children.iter().filter(|child| child.owner.as_ref().is_some_and(|owner| owner.uid.as_ref() == uid)).collect();
        let cloud: Vec<_> = self.given.snapshot.cloud.iter().filter(|found| found.tag(names::TAG_CLONE_UID) == Some(uid)).collect();
        self.say("\nwhat belongs to it");
        if children.is_empty() && cloud.is_empty() {
            let unasked: Vec<&str> =
                Kind::CHILDREN.into_iter().filter(|kind| self.given.snapshot.evidence.of(*kind).is_none()).map(Kind::plural).collect();
            self.say(&if unasked.is_empty() {
                "  nothing that is known".to_owned()
            } else {
                format!("  nothing that is known; not asked for: {}", unasked.join(", "))
            });
        }
        for child in children {
            let state = match (&child.health, child.meta.terminating) {
                (_, Some(since)) => format!("on its way out since {since}{}", held_by(child)),
                (Health::Fine, None) => "no trouble known".to_owned(),
                (Health::Waiting(why) | Health::Failed(why), None) => why.to_string(),
            };
            let fate = self.fate(|target| matches!(target, Target::Child(other) if other.meta.uid == child.meta.uid && other.kind == child.kind));
            self.say(&format!("  {} {}: {state}{fate}", child.kind, child.meta.path()));
        }
        for found in cloud {
            let fate = self.fate(|target| matches!(target, Target::Cloud(other) if other.arn == found.arn));
            self.say(&format!("  {} {} in {}: {}{fate}", found.kind(), found.id, found.region, found.status));
        }
    }

    fn fate(&self, is: impl Fn(&Target) -> bool) -> String {
        let found = self.plan.decisions.iter().find(|decision| is(&decision.target));
        found
            .map(|decision| format!("; {}: {}: {}", decision.action.word(), decision.reason.code(), decision.reason.message(self.given.now)))
            .unwrap_or_default()
    }
}

/// Where the end comes from.
fn origin(clone: &WordPressClone, policy: &ClonePolicy, cause: Cause) -> String {
    let ttl = clone.ttl.value().map_or_else(|| "spec.ttlSeconds".to_owned(), |seconds| format!("spec.ttlSeconds: {seconds}"));
    let place = place(policy);
    match cause {
        Cause::Default => format!("{place}, spec.ttl.default: {}", policy.ttl.default),
        Cause::Requested => ttl,
        Cause::RaisedToMinimum => format!("{ttl}, raised by {place}, spec.ttl.minimum: {}", policy.ttl.minimum),
        Cause::LoweredToMaximum => format!("{ttl}, lowered by {place}, spec.ttl.maximum: {}", policy.ttl.maximum),
        Cause::Extended => format!("annotation {}", names::EXTEND_UNTIL),
        Cause::ExtendedToCeiling => format!("annotation {}, bounded by {place}, spec.ttl.maximum: {}", names::EXTEND_UNTIL, policy.ttl.maximum),
        Cause::Unreadable => {
            let all: Vec<String> = lifetime::unreadable(clone).map(|(field, text)| format!("{field} says `{text}`")).collect();
            format!("{}, which cannot be read, so {place}, spec.ttl.maximum: {}", all.join(", "), policy.ttl.maximum)
        }
        Cause::OverLimit => format!("{place}, spec.limits: one of the newest over the limit"),
        Cause::Idle(since, after) => {
            format!("nothing has used its database since {since:.0} (annotation {}); {place}, spec.idle.after: {after}", names::UNUSED_SINCE)
        }
    }
}

fn place(policy: &ClonePolicy) -> String {
    format!("{}:{}", policy.file, policy.line)
}

fn held_by(child: &Child) -> String {
    if child.finalizers.is_empty() { String::new() } else { format!(", held by {}", child.finalizers.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_named_by_namespace_and_name() {
        assert!(path("wordpress-staging/clone-1").is_ok());
        for odd in ["clone-1", "/clone-1", "wordpress-staging/", "a/b/c", ""] {
            assert!(path(odd).is_err(), "{odd}");
        }
    }
}
