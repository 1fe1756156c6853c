use super::*;
use serde_json::json;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_770_300_000 + seconds).unwrap()
}

fn clone(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = json!({
        "metadata": {"namespace": "n", "name": "clone-1", "uid": "c0000001-aaaa", "resourceVersion": "1", "creationTimestamp": at(0)},
        "spec": {"cloneId": "clone-1"}, "status": {"state": "ACTIVE"},
    });
    change(&mut object);
    object
}

fn dedicated(object: &mut Value) {
    object["spec"]["useDedicatedDatabase"] = json!(true);
}

fn child(kind: Kind, name: &str, status: Value) -> Child {
    let labels = json!({
        names::CLONE_UID: "c0000001-aaaa", names::KRO_INSTANCE_ID: "c0000001-aaaa", names::KRO_INSTANCE_KIND: "WordPressClone",
    });
    let object = json!({
        "metadata": {"namespace": "n", "name": name, "uid": name, "creationTimestamp": at(0), "labels": labels}, "status": status,
    });
    Child::read(kind, &object).unwrap().unwrap()
}

fn job() -> Child {
    child(Kind::Job, "job", json!({}))
}

fn pod(status: Value) -> Child {
    child(Kind::Pod, "pod", status)
}

fn runs() -> Child {
    pod(json!({"phase": "Running"}))
}

struct Case {
    object: Value,
    children: Vec<Child>,
    unseen: BTreeMap<Kind, String>,
    refused: Option<&'static str>,
    secret_awaited: bool,
}

impl Case {
    fn new(object: Value, children: impl IntoIterator<Item = Child>) -> Self {
        Self { object, children: children.into_iter().collect(), unseen: BTreeMap::new(), refused: None, secret_awaited: false }
    }

    fn unseen(mut self, kind: Kind) -> Self {
        self.unseen.insert(kind, format!("cannot list {}", kind.plural()));
        self
    }

    fn after(&self, seconds: i64) -> State {
        let (clone, told) = (WordPressClone::read(&self.object).unwrap(), Told::read(&self.object));
        let children = self.children.iter().collect();
        let sight = Sight { clone: &clone, told: &told, children, unseen: &self.unseen, refused: self.refused, secret_awaited: self.secret_awaited };
        sight.state(at(seconds))
    }

    /// It comes up, and one of the things that are missing is this.
    #[track_caller]
    fn starting(&self, words: &str) {
        match self.after(10) {
            State::Starting(why) => assert!(why.iter().any(|why| why.contains(words)), "`{words}` is not in {why:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_clone_works_when_all_of_it_does() {
    assert_eq!(Case::new(clone(|_| ()), [job(), runs()]).after(10), State::Works);
    let database = child(Kind::DbInstance, "db", json!({"dbInstanceStatus": "available", "endpoint": {"address": "x"}}));
    assert_eq!(Case::new(clone(dedicated), [job(), runs(), database]).after(10), State::Works);
}

#[test]
fn kro_s_active_is_not_enough() {
    let active = || clone(|_| ());
    Case::new(active(), []).starting("no Job");
    Case::new(active(), [job()]).starting("no Pod");
    let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]});
    Case::new(active(), [job(), pod(unscheduled)]).starting("0/3 nodes");
    let secret = json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"x\" not found"}}}]});
    Case::new(active(), [job(), pod(secret)]).starting("secret \"x\" not found");
    Case::new(clone(|object| object["status"] = json!({})), [job(), runs()]).starting("KRO has not finished");
    let applying = clone(|object| {
        object["status"] = json!({"state": "IN_PROGRESS", "conditions": [{"type": "Ready", "status": "False", "message": "jobs is forbidden"}]});
    });
    Case::new(applying.clone(), []).starting("KRO has not finished: jobs is forbidden");
    let pulls = pod(json!({"phase": "Pending"}));
    let State::Starting(why) = Case::new(applying, [job(), pulls]).after(10) else { panic!() };
    assert_eq!(why, ["Pod `pod`: Pod is not running yet", "KRO has not finished"], "what waits says it better");
    let mut refused = Case::new(active(), [job()]);
    refused.refused = Some("exceeded quota: clonewarden");
    refused.starting("exceeded quota");
}

#[test]
fn a_database_of_its_own_must_have_an_address() {
    let with = |status: Value| Case::new(clone(dedicated), [job(), runs(), child(Kind::DbInstance, "db", status)]);
    with(json!({"dbInstanceStatus": "creating"})).starting("RDS says `creating`");
    with(json!({})).starting("has no address yet");
    let recoverable = json!({"conditions": [{"type": "ACK.Recoverable", "status": "True", "message": "DBSubnetGroupNotFoundFault"}]});
    with(recoverable).starting("DBSubnetGroupNotFoundFault");
    Case::new(clone(dedicated), [job(), runs()]).starting("no database yet");
    // A backup has another state and the same address.
    assert_eq!(with(json!({"dbInstanceStatus": "backing-up", "endpoint": {"address": "x"}})).after(10), State::Works);
}

#[test]
fn a_secret_is_awaited_only_where_somebody_makes_them() {
    let mut case = Case::new(clone(|_| ()), [job(), runs()]);
    case.secret_awaited = true;
    case.starting("Secret `clone-1-c0000001-secret` is not made yet");
    case.object["metadata"]["annotations"] = json!({names::CREDENTIALS: "made"});
    assert_eq!(case.after(10), State::Works);
}

#[test]
fn what_cannot_be_seen_is_not_taken_for_there_or_not_there() {
    let blind = Case::new(clone(|_| ()), [job()]).unseen(Kind::Pod);
    assert_eq!(blind.after(10), State::Unknown(vec!["cannot list pods".to_owned()]));
    assert!(matches!(blind.after(10_000), State::Unknown(_)), "nobody knows that it has no Pod");
    let mut database = Case::new(clone(dedicated), [job(), runs()]).unseen(Kind::DbInstance);
    assert!(matches!(database.after(10), State::Unknown(_)));
    // KRO tells the address to whoever may see the clone.
    database.object["status"]["databaseEndpoint"] = json!("x.rds.amazonaws.com");
    assert_eq!(database.after(10), State::Works);
    // On a shared host there is no such object.
    assert_eq!(Case::new(clone(|_| ()), [job(), runs()]).unseen(Kind::DbInstance).after(10), State::Works);
}

#[test]
fn what_nobody_tries_again_is_broken_for_good() {
    let failed = child(Kind::Job, "job", json!({"conditions": [{"type": "Failed", "status": "True", "message": "backoff limit"}]}));
    let State::Broken { why, for_good } = Case::new(clone(|_| ()), [failed]).after(10) else { panic!() };
    assert!(for_good && why[0].contains("backoff limit"), "{why:?}");
    let terminal =
        child(Kind::DbInstance, "db", json!({"conditions": [{"type": "ACK.Terminal", "status": "True", "message": "InvalidParameterValue"}]}));
    assert!(matches!(Case::new(clone(dedicated), [job(), terminal]).after(10), State::Broken { for_good: true, .. }));
    // The Job makes another Pod.
    let evicted = || child(Kind::Pod, "old", json!({"phase": "Failed", "reason": "Evicted"}));
    assert!(matches!(Case::new(clone(|_| ()), [job(), evicted()]).after(10), State::Broken { for_good: false, .. }));
    assert_eq!(Case::new(clone(|_| ()), [job(), evicted(), runs()]).after(10), State::Works);
}

#[test]
fn what_takes_too_long_is_broken_and_still_awaited() {
    let pulls = || pod(json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}));
    assert!(matches!(Case::new(clone(|_| ()), [job(), pulls()]).after(299), State::Starting(_)));
    assert!(matches!(Case::new(clone(|_| ()), [job(), pulls()]).after(300), State::Broken { for_good: false, .. }));
    let mut refused = Case::new(clone(|_| ()), [job()]);
    refused.refused = Some("exceeded quota");
    let State::Broken { why, .. } = refused.after(300) else { panic!() };
    assert!(why.iter().any(|why| why.contains("exceeded quota")), "{why:?}");
}

#[test]
fn one_that_is_being_deleted_says_what_is_left() {
    let going = clone(|object| object["metadata"]["deletionTimestamp"] = json!(at(5)));
    let case = Case::new(going, [job()]);
    assert_eq!(case.after(10), State::Terminating(vec!["Job `job` is still there".to_owned()]));
}
