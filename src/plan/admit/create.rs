//! A new clone: its lifetime and its owner are filled in, its database is chosen, and a place is promised to it, or not.

use super::{
    Claim, Refusal, Request, Town, Verdict, annotation, as_count, budget,
    census::Census,
    count::{Count, Of},
    edit::Edit,
    placement::{self, Choice},
    refusal::{Exhausted, Reached},
    shape,
};
use crate::{
    model::{Database, Kind, Month, Quantity, Reading, clone, names},
    policy::{AtLimit, ClonePolicy, Mode, Placement, Policies, Ttl},
};
use jiff::SignedDuration;
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde_json::{Value, json};

/// Annotations that say something only once the clone lives. A manifest that was exported from a living clone has them all.
const NOT_YET: [&str; 6] = [names::EXPIRES_AT, names::ANNOUNCED_AT, names::UNUSED_SINCE, names::WARNED, names::CREDENTIALS, names::RESERVATION];
/// From this share of a limit on, in percent, whoever takes one more place is told.
const NEAR: usize = 80;

pub(super) fn mutate(request: &Request, town: Town<'_>, policy: &ClonePolicy, reservation: &str) -> Result<Verdict, Refusal> {
    shape::identity(&request.object)?;
    shape::values(&request.object, &Value::Null)?;
    let mut warnings = Vec::new();
    let owner = request.user.as_str();
    let mut edit = introduced(&request.object, owner, policy, &mut warnings);

    let census = Census::around(town.residents, town.claims.values(), &request.namespace, &request.name);
    let facts = placement::facts(edit.object(), owner, &request.namespace, &census, policy, town.policies);
    let choice = placement::choose(&request.object, &facts, policy, town.policies, &census)?;
    let lives = lives_at_most(edit.object(), &policy.ttl, &census);
    let (choice, usd) = within_budget(choice, lives, policy, town.policies, &census, &mut warnings)?;
    warnings.extend(choice.warnings.iter().cloned());
    platform(&mut edit, &census, &mut warnings);
    place(&mut edit, &choice);
    if matches!(choice.database, Database::Shared(None)) {
        placement::check_room(clone::shared_host(edit.object()).as_deref(), policy, town.policies, &census)?;
    }
    edit.set(&["metadata", "annotations", names::PLACEMENT_REASON], json!(choice.reason()));
    edit.set(&["metadata", "annotations", names::RESERVATION], json!(reservation));

    let lives = (!usd.is_zero()).then_some(lives.as_secs());
    let claim = Claim { usd, lives, ..claim(edit.object(), &request.namespace, owner) };
    limits(&claim.owner, claim.dedicated, policy, &census, &mut warnings)?;
    quota(policy, &census, &request.namespace)?;
    let (rule, over_budget) = (choice.rule.map(Into::into), choice.over_budget);
    Ok(Verdict { patch: edit.into_patch(), warnings, claim: (!request.dry_run).then_some(claim), rule, over_budget, ..Verdict::default() })
}

/// The object with what it does not say itself: what the conditions of the policy look at.
pub(super) fn introduced(object: &Value, owner: &str, policy: &ClonePolicy, warnings: &mut Vec<String>) -> Edit {
    let mut edit = Edit::of(object);
    for key in NOT_YET {
        edit.unset(&["metadata", "annotations", key]);
    }
    lifetime(&mut edit, &policy.ttl, &policy.name, warnings);
    if annotation(object, names::OWNER).is_some_and(|named| named != owner) {
        warnings.push(format!("`{}` is whoever creates the clone: `{owner}`", names::OWNER));
    }
    edit.set(&["metadata", "annotations", names::OWNER], json!(owner));
    edit
}

pub(super) fn validate(request: &Request, town: Town<'_>, policy: &ClonePolicy) -> Result<Verdict, Refusal> {
    if policy.mode == Mode::Audit {
        // Nothing was filled in and nothing promised; what there is to say the mutating webhook has said.
        return Ok(Verdict::default());
    }
    shape::identity(&request.object)?;
    shape::values(&request.object, &Value::Null)?;
    let reservation = annotation(&request.object, names::RESERVATION).ok_or(Refusal::NotReviewed)?;
    if request.dry_run {
        // Nothing was promised, since nothing will be stored; the mutating webhook has judged it.
        return Ok(Verdict::default());
    }
    let promised = town.claims.get(reservation).ok_or(Refusal::NotReviewed)?;
    let owner = annotation(&request.object, names::OWNER).unwrap_or_default();
    let asked = claim(&request.object, &request.namespace, owner);
    match altered(promised, &asked, said_life(&request.object, &policy.ttl)) {
        Some(field) => Err(Refusal::Altered { field }),
        None => Ok(Verdict::default()),
    }
}

/// What another webhook has changed of that which was counted.
fn altered(promised: &Claim, asked: &Claim, lives: SignedDuration) -> Option<&'static str> {
    let fields = [
        ("metadata.name", (&promised.namespace, &promised.name) != (&asked.namespace, &asked.name)),
        (names::OWNER, promised.owner != asked.owner),
        ("spec.useDedicatedDatabase", promised.dedicated != asked.dedicated),
        ("spec.sharedDatabase.host", promised.host != asked.host),
        ("spec.databaseSize or spec.serverless", promised.class.is_some() && promised.class != asked.class),
        ("spec.ttlSeconds", promised.lives.is_some_and(|most| lives.as_secs() > most)),
    ];
    fields.into_iter().find_map(|(field, differs)| differs.then_some(field))
}

/// Fills in the default lifetime, and holds one that is said between the policy's bounds.
pub(super) fn lifetime(edit: &mut Edit, ttl: &Ttl, policy: &str, warnings: &mut Vec<String>) {
    let (seconds, warning) = bounded(&clone::read_ttl(edit.object().get("spec")), ttl, policy);
    warnings.extend(warning);
    if let Some(seconds) = seconds {
        edit.set(&["spec", "ttlSeconds"], json!(seconds));
    }
}

/// What is written in place of a lifetime as it is said, in seconds, and what the caller is told about it.
pub(super) fn bounded(said: &Reading<i64>, ttl: &Ttl, policy: &str) -> (Option<i64>, Option<String>) {
    let (minimum, maximum) = (ttl.minimum.as_secs(), ttl.maximum.as_secs());
    match said {
        Reading::Value(seconds) if *seconds < minimum => (
            Some(minimum),
            Some(format!("`spec.ttlSeconds` is raised from {seconds} to {minimum}, the minimum of policy `{policy}` ({})", ttl.minimum)),
        ),
        Reading::Value(seconds) if *seconds > maximum => (
            Some(maximum),
            Some(format!("`spec.ttlSeconds` is lowered from {seconds} to {maximum}, the maximum of policy `{policy}` ({})", ttl.maximum)),
        ),
        Reading::Value(_) | Reading::Unreadable(_) => (None, None),
        Reading::Absent => (Some(ttl.default.as_secs()), None),
    }
}

/// Fields that are the platform's say what the definition says: whoever could choose the image could run anything beside the
/// clone's password, and whoever could choose the host could live where nobody counts.
fn platform(edit: &mut Edit, census: &Census<'_>, warnings: &mut Vec<String>) {
    for (field, default) in &census.residents().platform {
        let path: Vec<&str> = std::iter::once("spec").chain(field.split('.')).collect();
        let said = edit.object().pointer(&format!("/{}", path.join("/"))).and_then(Value::as_str).filter(|said| said != default);
        if said.is_some() {
            warnings.push(format!("`spec.{field}` is the platform's to choose; it stays what the ResourceGraphDefinition says"));
            edit.set(&path, json!(default));
        }
    }
}

/// Writes the choice into the fields that the RGD reads.
fn place(edit: &mut Edit, choice: &Choice<'_>) {
    let dedicated = !matches!(choice.database, Database::Shared(_));
    edit.set(&["spec", "useDedicatedDatabase"], json!(dedicated));
    match &choice.database {
        Database::Shared(host) => {
            edit.unset(&["spec", "databaseSize"]);
            edit.unset(&["spec", "serverless"]);
            if let Some(host) = host {
                edit.set(&["spec", "sharedDatabase", "host"], json!(host));
            }
        }
        Database::Dedicated(class) => {
            edit.unset(&["spec", "serverless"]);
            edit.set(&["spec", "databaseSize"], json!(class));
        }
        Database::Serverless(least, most) => {
            edit.unset(&["spec", "databaseSize"]);
            let capacity = json!({"minACU": least.to_f64(), "maxACU": most.to_f64()});
            edit.set(&["spec", "serverless"], capacity);
        }
    }
}

/// The class or the range of a database of a clone's own.
pub(super) fn class(database: &Database) -> Option<String> {
    match database {
        Database::Shared(_) => None,
        Database::Dedicated(class) => Some(class.to_string()),
        Database::Serverless(least, most) => Some(format!("{}-{} ACU", least.normalize(), most.normalize())),
    }
}

/// What the object takes up.
fn claim(object: &Value, namespace: &str, owner: &str) -> Claim {
    Claim {
        namespace: namespace.to_owned(),
        name: object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        owner: owner.to_owned(),
        dedicated: clone::wants_dedicated(object),
        host: clone::shared_host(object),
        class: class(&Database::read(object)),
        usd: Decimal::ZERO,
        lives: None,
    }
}

/// How long the clone is to live.
pub(super) fn lives(said: &Reading<i64>, ttl: &Ttl) -> SignedDuration {
    match said {
        Reading::Value(seconds) => SignedDuration::from_secs(*seconds),
        Reading::Absent | Reading::Unreadable(_) => ttl.maximum.get(),
    }
}

/// The same, of an object.
fn said_life(object: &Value, ttl: &Ttl) -> SignedDuration {
    lives(&clone::read_ttl(object.get("spec")), ttl)
}

/// The same, with what it says of being kept or extended from the beginning.
fn lives_at_most(object: &Value, ttl: &Ttl, census: &Census<'_>) -> SignedDuration {
    let asked = said_life(object, ttl);
    let Some(money) = census.residents().money.as_deref() else { return asked };
    let said = |key| crate::model::meta::entry(object, "annotations", key);
    match (clone::read_keep(said(names::KEEP)), clone::read_date(said(names::EXTEND_UNTIL))) {
        (Reading::Value(true), _) => asked.max(money.at.duration_until(Month::of(money.at).end())),
        (_, Reading::Value(until)) => asked.max(money.at.duration_until(until).min(ttl.maximum.get())),
        _ => asked,
    }
}

/// What the month's budget leaves of a choice, and what the clone costs in that month at most.
pub(super) fn within_budget<'p>(
    mut choice: Choice<'p>,
    lives: SignedDuration,
    policy: &'p ClonePolicy,
    policies: &'p Policies,
    census: &impl Count,
    warnings: &mut Vec<String>,
) -> Result<(Choice<'p>, Decimal), Refusal> {
    let Some(weighed) = budget::weigh(&choice.database, lives, policy, census)? else { return Ok((choice, Decimal::ZERO)) };
    warnings.extend(weighed.warning);
    let Some(over) = weighed.over else { return Ok((choice, weighed.costs)) };
    match policy.budget.as_ref().map(|budget| budget.at_limit) {
        Some(AtLimit::Deny) => {
            let may_share = policy.databases.is_empty() || policy.databases.iter().any(|rule| matches!(rule.placement, Placement::Shared { .. }));
            let shared = placement::shared_instead(&choice, policy, policies, census).ok().filter(|_| may_share && choice.database.is_dedicated());
            let over = match shared {
                Some(shared) => budget::offering(over, &shared.database, policy, census),
                None => over,
            };
            Err(Refusal::BudgetSpent(Box::new(over)))
        }
        Some(AtLimit::Share) if choice.database.is_dedicated() => {
            let shared = placement::shared_instead(&choice, policy, policies, census)?;
            let usd = budget::weigh(&shared.database, lives, policy, census)?.map(|weighed| weighed.costs).unwrap_or_default();
            warnings.push(format!("it gets a shared database in place of its own: {over}"));
            Ok((shared, usd))
        }
        _ => {
            warnings.push(over.to_string());
            choice.over_budget = true;
            Ok((choice, weighed.costs))
        }
    }
}

/// Whether the namespace's quota can run one more clone. A Pod that it refuses would leave a clone that never works.
pub(super) fn quota(policy: &ClonePolicy, census: &impl Count, namespace: &str) -> Result<(), Refusal> {
    if !policy.quota.is_empty() {
        listed(census, &[Kind::Definition])?;
    }
    for (resource, hard) in &policy.quota {
        // Kubernetes takes `cpu` for `requests.cpu`.
        let full = match resource.as_str() {
            "cpu" => "requests.cpu",
            "memory" => "requests.memory",
            other => other,
        };
        let Some(need) = census.needs().get(full) else { continue };
        let others = census.used_by_others(resource, *need);
        let fit = usize::try_from(hard.amount.without(others).holds(*need)).unwrap_or(usize::MAX);
        if census.clones() >= fit {
            return Err(Refusal::QuotaFull(Box::new(Exhausted {
                resource: resource.clone(),
                needs: need.to_string(),
                hard: hard.text.clone(),
                others: (others != Quantity::default()).then(|| others.to_string()),
                fit,
                namespace: namespace.to_owned(),
                place: policy.place_of("quota"),
            })));
        }
    }
    Ok(())
}

/// Whether these kinds have been listed: what is missing from a list that failed cannot be counted.
fn listed(census: &impl Count, kinds: &[Kind]) -> Result<(), Refusal> {
    match kinds.iter().find(|kind| !census.is_listed(**kind)) {
        Some(kind) => Err(Refusal::NotNow(format!("objects of the kind {kind} could not be listed, and it counts on them"))),
        None => Ok(()),
    }
}

/// Whether there is room for one more under every limit.
pub(super) fn limits(owner: &str, dedicated: bool, policy: &ClonePolicy, census: &impl Count, warnings: &mut Vec<String>) -> Result<(), Refusal> {
    let mut check = |what: &dyn Fn() -> String, field: &'static str, most: Option<u32>, used: &dyn Fn() -> usize, leaving: &dyn Fn() -> usize| {
        let Some(most) = most else { return Ok(()) };
        let (used, room) = (used(), as_count(most));
        if used >= room {
            let (what, namespace, place) = (what(), census.namespace().to_owned(), policy.place_of(field));
            return Err(Refusal::LimitReached(Box::new(Reached { what, field, namespace, used, most, leaving: leaving(), place })));
        }
        let after = used.saturating_add(1);
        if after.saturating_mul(100) >= room.saturating_mul(NEAR) {
            warnings.push(format!("this makes {after} of {most} {} in `{}`", what(), census.namespace()));
        }
        Ok(())
    };
    let limits = policy.limits;
    check(&|| "clones".to_owned(), "limits.clones", limits.clones, &|| census.clones(), &|| census.leaving(Of::Everybody))?;
    if dedicated && limits.dedicated_databases.is_some() {
        listed(census, &[Kind::DbInstance, Kind::DbCluster])?;
    }
    if dedicated {
        let leaving = || census.leaving(Of::Dedicated);
        check(&|| "dedicated databases".to_owned(), "limits.dedicatedDatabases", limits.dedicated_databases, &|| census.dedicated(), &leaving)?;
    }
    let leaving = || census.leaving(Of::Owner(owner));
    check(&|| format!("clones of `{owner}`"), "limits.clonesPerOwner", limits.clones_per_owner, &|| census.owned_by(owner), &leaving)
}
