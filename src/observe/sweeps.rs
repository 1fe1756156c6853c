//! What the sweeps over AWS have found: of each region and list the last whole answer, with how well it is known.
//!
//! A list that fails keeps what was known, marked incomplete: missing is not empty. One region that fails holds only itself.

use super::billing;
use crate::{
    model::{Evidence, Snapshot, Source, cloud::CloudResource, evidence::CloudList},
    ports::{CloudError, Sweep},
};
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tracing::{info, warn};

/// How many sweeps may fail in a row before what the last one found is too old to act on.
const MISSED: i32 = 3;
/// How often in a row AWS must say that tags are gone to be believed.
const BELIEVED: u32 = 3;

/// The last sweeps. Cheap to share; every method takes the lock for a moment.
#[derive(Default)]
pub struct Sweeps(Mutex<Held>);

#[derive(Default)]
struct Held {
    lists: BTreeMap<Source, Known>,
    successes: BTreeMap<Arc<str>, Timestamp>,
    /// Since when each region is to be swept by this process.
    expected: BTreeMap<Arc<str>, Timestamp>,
    /// The account that answered last.
    account: Option<Arc<str>>,
    /// How often a bill is asked for, and since when; `None`: never.
    bills: Option<(Duration, Timestamp)>,
}

struct Known {
    evidence: Evidence,
    resources: Vec<Arc<CloudResource>>,
    /// How many sweeps in a row have shown less tags than before.
    tagless: u32,
}

impl Sweeps {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These regions will be swept: until then nothing is known of them, which is not that there is nothing.
    pub fn expect(&self, regions: &[Arc<str>], now: Timestamp) {
        let mut held = self.held();
        for region in regions {
            for list in CloudList::ALL {
                let unknown = || Known { evidence: Evidence::incomplete(now, "no sweep has ended yet"), resources: Vec::new(), tagless: 0 };
                held.lists.entry(Source::Cloud(Arc::clone(region), list)).or_insert_with(unknown);
            }
        }
    }

    /// From now on this process sweeps them: it holds the lease.
    pub fn due(&self, regions: &[Arc<str>], now: Timestamp) {
        let mut held = self.held();
        for region in regions {
            held.expected.entry(Arc::clone(region)).or_insert(now);
        }
    }

    /// Takes in a sweep; sweeps are made every `every`.
    pub fn take(&self, sweep: Sweep, every: Duration) {
        let mut held = self.held();
        let Sweep { region, account, begun, lists } = sweep;
        if account.is_some() {
            held.account = account;
        }
        let mut whole = true;
        for list in CloudList::ALL {
            let source = Source::Cloud(Arc::clone(&region), list);
            let answer = lists.get(&list).cloned().unwrap_or_else(|| Err(CloudError::NotWhole("it was not asked for".to_owned())));
            let before = held.lists.get(&source);
            let mut tagless = before.map_or(0, |known| known.tagless);
            let answer = answer.and_then(|resources| {
                let kept = keeps_its_tags(before.map_or(&[], |known| &known.resources), &resources);
                tagless = if kept.is_err() { tagless.saturating_add(1) } else { 0 };
                // What AWS says again and again is so: somebody took them off.
                kept.or_else(|error| if tagless >= BELIEVED { Ok(()) } else { Err(error) }).map(|()| resources)
            });
            match answer {
                Ok(resources) => {
                    let resources = follow(before.map_or(&[], |known| &known.resources), resources, begun);
                    let evidence = Evidence { valid_for: valid_for(every), ..Evidence::complete(begun) };
                    held.lists.insert(source, Known { evidence, resources, tagless: 0 });
                }
                Err(error) => {
                    whole = false;
                    let resources = held.lists.remove(&source).map(|known| known.resources).unwrap_or_default();
                    info!(%source, %error, "A sweep did not come to an end; what it would have shown is held.");
                    held.lists.insert(source, Known { evidence: Evidence::incomplete(begun, error.to_string()), resources, tagless });
                }
            }
        }
        if whole {
            held.successes.insert(region, begun);
        } else {
            warn!(%region, "The sweep of a region of AWS is not complete.");
        }
    }

    /// Bills will be asked for every so often, from now on.
    pub fn expect_bills(&self, every: Duration, now: Timestamp) {
        self.held().bills = Some((every, now));
    }

    /// Adds to a snapshot, which has its state already, what is known of AWS.
    pub fn add_to(&self, snapshot: &mut Snapshot) {
        let held = self.held();
        if let Some((every, since)) = held.bills {
            billing::add_to(snapshot, every, since);
        }
        snapshot.account.clone_from(&held.account);
        for (source, known) in &held.lists {
            snapshot.evidence.insert(source.clone(), known.evidence.clone());
            snapshot.cloud.extend(known.resources.iter().cloned());
        }
    }

    /// When the last complete sweep of each region began.
    #[must_use]
    pub fn successes(&self) -> BTreeMap<Arc<str>, Timestamp> {
        let held = self.held();
        let mut all = held.expected.clone();
        all.extend(held.successes.iter().map(|(region, at)| (Arc::clone(region), *at)));
        all
    }
}

/// How long what a sweep found may be acted on.
pub(super) fn valid_for(every: Duration) -> SignedDuration {
    let every = SignedDuration::try_from(every).unwrap_or(Evidence::MAX_AGE);
    every.checked_mul(MISSED).unwrap_or(Evidence::MAX_AGE).max(Evidence::MAX_AGE)
}

/// Tags do not vanish from half of everything at once: such an answer is not whole.
fn keeps_its_tags(before: &[Arc<CloudResource>], now: &[CloudResource]) -> Result<(), CloudError> {
    let tagged = |resource: &CloudResource| resource.tags.as_ref().is_some_and(|tags| !tags.is_empty());
    let had: HashMap<&str, bool> = before.iter().map(|resource| (resource.arn.as_str(), tagged(resource))).collect();
    let (mut kept, mut lost) = (0_usize, 0_usize);
    for resource in now.iter().filter(|resource| had.get(resource.arn.as_str()) == Some(&true)) {
        if tagged(resource) {
            kept = kept.saturating_add(1);
        } else {
            lost = lost.saturating_add(1);
        }
    }
    if lost > 0 && lost >= kept {
        return Err(CloudError::NotWhole(format!("{lost} of {} had tags before and have none now", lost.saturating_add(kept))));
    }
    Ok(())
}

/// Carries over since when something has been going.
fn follow(before: &[Arc<CloudResource>], now: Vec<CloudResource>, begun: Timestamp) -> Vec<Arc<CloudResource>> {
    let going: HashMap<&str, Timestamp> = before.iter().filter_map(|resource| Some((resource.arn.as_str(), resource.going_since?))).collect();
    let since = |resource: &CloudResource| resource.is_going().then(|| going.get(resource.arn.as_str()).copied().unwrap_or(begun));
    now.into_iter().map(|resource| Arc::new(CloudResource { going_since: since(&resource), ..resource })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn database(id: &str, status: &str, tags: &serde_json::Value) -> CloudResource {
        let object = json!({
            "DBInstanceIdentifier": id, "DBInstanceArn": format!("arn:aws:rds:us-east-1:123456789012:db:{id}"),
            "DbiResourceId": "db-1", "DBInstanceStatus": status, "TagList": tags,
        });
        CloudResource::read(CloudList::Instances, &object).unwrap()
    }

    fn sweep(begun: &str, instances: Result<Vec<CloudResource>, CloudError>) -> Sweep {
        let empty = [CloudList::Clusters, CloudList::Snapshots, CloudList::ClusterSnapshots].map(|list| (list, Ok(Vec::new())));
        let lists = empty.into_iter().chain([(CloudList::Instances, instances)]).collect();
        Sweep { region: Arc::from("us-east-1"), account: None, begun: begun.parse().unwrap(), lists }
    }

    fn look(sweeps: &Sweeps) -> (Option<String>, Vec<Arc<CloudResource>>) {
        let mut snapshot = Snapshot::default();
        sweeps.add_to(&mut snapshot);
        let source = Source::Cloud(Arc::from("us-east-1"), CloudList::Instances);
        (snapshot.evidence.lack(&source, "2026-02-05T14:03:00Z".parse().unwrap()), snapshot.cloud)
    }

    const EVERY: Duration = Duration::from_secs(300);

    #[test]
    fn a_failed_list_keeps_what_was_known_and_says_that_it_failed() {
        let sweeps = Sweeps::default();
        sweeps.expect(&[Arc::from("us-east-1")], "2026-02-05T13:59:00Z".parse().unwrap());
        assert_eq!(look(&sweeps).0.as_deref(), Some("no sweep has ended yet"));
        assert!(sweeps.successes().is_empty(), "a standby sweeps nothing, and nothing is silent");
        sweeps.due(&[Arc::from("us-east-1")], "2026-02-05T13:59:00Z".parse().unwrap());
        let waited_for = || sweeps.successes().values().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(waited_for(), ["2026-02-05T13:59:00Z"], "a region that never answers is silent since the start");
        sweeps.take(sweep("2026-02-05T14:00:00Z", Ok(vec![database("a", "available", &json!([]))])), EVERY);
        assert_eq!((look(&sweeps).0, look(&sweeps).1.len()), (None, 1));
        sweeps.take(sweep("2026-02-05T14:01:00Z", Err(CloudError::Unavailable("throttled".to_owned()))), EVERY);
        assert_eq!((look(&sweeps).0.as_deref(), look(&sweeps).1.len()), (Some("no answer: throttled"), 1));
        assert_eq!(waited_for(), ["2026-02-05T14:00:00Z"]);
    }

    #[test]
    fn tags_that_vanish_all_at_once_are_a_broken_answer() {
        let sweeps = Sweeps::default();
        let tags = json!([{"Key": "Cluster", "Value": "c"}]);
        let some = |tags: &[&serde_json::Value]| tags.iter().zip(["a", "b", "c"]).map(|(tags, id)| database(id, "available", tags)).collect();
        sweeps.take(sweep("2026-02-05T14:00:00Z", Ok(some(&[&tags, &tags, &tags]))), EVERY);
        // One of three may have lost them by somebody's hand.
        sweeps.take(sweep("2026-02-05T14:01:00Z", Ok(some(&[&tags, &tags, &json!([])]))), EVERY);
        assert_eq!(look(&sweeps).0, None);
        sweeps.take(sweep("2026-02-05T14:02:00Z", Ok(some(&[&json!([]), &json!([]), &json!([])]))), EVERY);
        assert!(look(&sweeps).0.is_some_and(|lack| lack.contains("2 of 2 had tags before")));
        // Said three times in a row, it is so.
        sweeps.take(sweep("2026-02-05T14:02:10Z", Ok(some(&[&json!([]), &json!([]), &json!([])]))), EVERY);
        assert!(look(&sweeps).0.is_some());
        sweeps.take(sweep("2026-02-05T14:02:20Z", Ok(some(&[&json!([]), &json!([]), &json!([])]))), EVERY);
        assert_eq!(look(&sweeps).0, None);
    }

    #[test]
    fn since_when_something_goes_is_remembered() {
        let sweeps = Sweeps::default();
        for (begun, status) in [("2026-02-05T14:00:00Z", "available"), ("2026-02-05T14:01:00Z", "deleting"), ("2026-02-05T14:02:00Z", "deleting")] {
            sweeps.take(sweep(begun, Ok(vec![database("a", status, &json!([]))])), EVERY);
        }
        let going = look(&sweeps).1.iter().map(|resource| resource.going_since).collect::<Vec<_>>();
        assert_eq!(going, ["2026-02-05T14:01:00Z".parse().ok()]);
    }
}
