//! The adapter against a server that answers as AWS does, and as it does not.

mod cuts;
mod rights;
mod writes;

use super::fake::{
    ACCOUNT, Aws, REGION, Reply, backup, cluster, cluster_snapshot, fault, hasty, identity, instance, otherwise, page, patient, snapshot,
};
use super::*;
use std::time::Duration;

fn region() -> Arc<str> {
    Arc::from(REGION)
}

/// Sweeps a server that answers the first list so, and the others with nothing.
async fn instances(reply: impl Fn(&super::fake::Form, usize) -> Reply + Send + Sync + 'static) -> Result<Vec<CloudResource>, CloudError> {
    let aws = Aws::start(move |operation, form, nth| match operation {
        "DescribeDBInstances" => reply(form, nth),
        _ => otherwise(operation),
    })
    .await;
    let mut sweep = aws.cloud().sweep(&region()).await;
    let found = sweep.lists.remove(&CloudList::Instances).unwrap();
    for (list, others) in sweep.lists {
        assert_eq!(others, Ok(Vec::new()), "a failed list spoils {list:?}");
    }
    found
}

fn not_whole<T: std::fmt::Debug>(found: Result<T, CloudError>, why: &str) {
    match found {
        Err(CloudError::NotWhole(said)) if said.contains(why) => {}
        other => panic!("{why}: {other:?}"),
    }
}

#[tokio::test]
async fn a_sweep_reads_every_list() {
    let aws = Aws::start(|operation, _, _| match operation {
        "DescribeDBInstances" => page(operation, &[instance("one"), instance("two")], None),
        "DescribeDBClusters" => page(operation, &[cluster("aurora")], None),
        "DescribeDBSnapshots" => page(operation, &[snapshot("rds:one-2026-02-05-04-05", "one"), snapshot("one-final", "one")], Some("")),
        "DescribeDBClusterSnapshots" => page(operation, &[cluster_snapshot("aurora-final", "aurora")], None),
        _ => otherwise(operation),
    })
    .await;
    let cloud = aws.cloud();
    let before = Timestamp::now();
    let sweep = cloud.sweep(&region()).await;
    assert!(before <= sweep.begun && sweep.begun <= Timestamp::now());
    let list = |list| sweep.lists[&list].as_ref().unwrap();
    let [one, two] = list(CloudList::Instances).as_slice() else { panic!("{:?}", sweep.lists) };
    assert_eq!((one.id.as_str(), two.id.as_str(), one.resource_id.as_str()), ("one", "two", "db-ONE"));
    assert_eq!((one.tag("CloneUid"), one.protected, one.size.storage_gib), (Some("6f1c & 0de4"), Some(false), Some(20)));
    assert_eq!(one.created, Some("2026-02-05T14:30:22.104Z".parse().unwrap()));
    let [aurora] = list(CloudList::Clusters).as_slice() else { panic!("{:?}", sweep.lists) };
    assert_eq!(
        (aurora.members.as_slice(), aurora.protected, aurora.size.least_milli_acu),
        (["aurora-1".to_owned()].as_slice(), Some(true), Some(500))
    );
    let [own, last] = list(CloudList::Snapshots).as_slice() else { panic!("{:?}", sweep.lists) };
    assert_eq!((own.automated, last.automated, last.snapshot_of.as_deref(), last.tags.as_ref().unwrap().len()), (true, false, Some("one"), 0));
    assert_eq!(list(CloudList::ClusterSnapshots)[0].snapshot_of.as_deref(), Some("aurora"));
    // Whose they are was asked once, and everything is counted.
    cloud.sweep(&region()).await;
    assert_eq!((aws.count("GetCallerIdentity"), aws.count("DescribeDBInstances")), (1, 2));
    let counts = cloud.attempts().counts();
    assert_eq!(counts[&Attempt { operation: "DescribeDBInstances", outcome: "ok" }], 2);
    assert!(aws.asked.lock().unwrap().iter().skip(1).all(|form| form["MaxRecords"] == "100"));
}

#[tokio::test]
async fn pages_are_followed_to_the_last() {
    let pages = |form: &super::fake::Form, _: usize| match form.get("Marker").map(String::as_str) {
        None => page("DescribeDBInstances", &[instance("a"), instance("b")], Some("m1")),
        Some("m1") => page("DescribeDBInstances", &[instance("c")], Some("m2")),
        Some("m2") => page("DescribeDBInstances", &[instance("d")], None),
        other => panic!("{other:?}"),
    };
    let found = instances(pages).await.unwrap();
    assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn pages_that_lead_nowhere_are_no_list() {
    let say = |ids: &'static [&'static str], marker: Option<&'static str>| {
        let items: Vec<String> = ids.iter().map(|id| instance(id)).collect();
        page("DescribeDBInstances", &items, marker)
    };
    let circle = instances(move |_, nth| say([&["a"], &["b"], &["c"]][nth.min(2)], Some(["m1", "m2", "m1"][nth.min(2)])));
    not_whole(circle.await, "circle");
    not_whole(instances(move |_, nth| say(if nth == 0 { &["a"] } else { &[] }, Some(["m1", "m2"][nth]))).await, "empty");
    not_whole(instances(move |_, nth| say([&["a"], &["a"]][nth], [Some("m1"), None][nth])).await, "twice");
    not_whole(instances(move |_, _| say(&["a", "a"], None)).await, "twice");
    let endless = |_: &super::fake::Form, nth: usize| page("DescribeDBInstances", &[instance(&format!("i{nth}"))], Some(&format!("m{nth}")));
    not_whole(instances(endless).await, "too many");
    let third = |_: &super::fake::Form, nth: usize| match nth {
        0 => page("DescribeDBInstances", &[instance("a")], Some("m1")),
        _ => fault(400, "InvalidParameterValue"),
    };
    assert!(matches!(instances(third).await, Err(CloudError::Refused { .. })), "a page that fails is not the end");
}

#[tokio::test]
async fn what_an_item_must_say_is_there_or_the_list_is_not_whole() {
    for (from, to, why) in [
        ("<DBInstanceIdentifier>b</DBInstanceIdentifier>", "", "without its DBInstanceIdentifier"),
        ("<DbiResourceId>db-B</DbiResourceId>", "", "a resource id"),
        ("<DbiResourceId>db-B</DbiResourceId>", "<DbiResourceId/>", "a resource id"),
        ("<DBInstanceStatus>available</DBInstanceStatus>", "", "a status"),
        ("<DeletionProtection>false</DeletionProtection>", "", "deletion protection"),
        ("<DeletionProtection>false</DeletionProtection>", "<DeletionProtection>fals</DeletionProtection>", "not of its type"),
        ("<InstanceCreateTime>2026-02-05T14:30:22.104Z</InstanceCreateTime>", "", "time of creation"),
        ("2026-02-05T14:30:22.104Z", "2026-02-05T14:3", "not of its type"),
        ("<Key>Cluster</Key>", "", "without a key"),
        ("<Value>staging</Value>", "", "without a value"),
        ("<Key>Cluster</Key>", "<Key>Cluster</Key><Key>Klaster</Key>", "more than one"),
        ("arn:aws:rds:us-east-1:123456789012:db:b", "arn:aws:rds:us-east-1:123456789012:db:c", "not that of"),
        ("arn:aws:rds:us-east-1:123456789012:db:b", "arn:aws:rds:us-east-1:123456789012:cluster:b", "not that of"),
        ("<DBInstanceArn>arn:aws:rds:us-east-1:123456789012:db:b</DBInstanceArn>", "", "DBInstanceArn"),
        ("<Engine>mysql</Engine>", "<Engine>mysql</Engine><DeletionProtection>true</DeletionProtection>", ""),
    ] {
        let wrong = instance("b").replacen(from, to, 1);
        assert_ne!(wrong, instance("b"), "{from}");
        not_whole(instances(move |_, _| page("DescribeDBInstances", &[instance("a"), wrong.clone()], None)).await, why);
    }
    let without = format!("{}</DBInstance>", instance("b").split("<TagList>").next().unwrap());
    not_whole(instances(move |_, _| page("DescribeDBInstances", std::slice::from_ref(&without), None)).await, "a list of tags");
    let creating = instance("b").replace("available", "creating").replace("<InstanceCreateTime>2026-02-05T14:30:22.104Z</InstanceCreateTime>", "");
    assert_eq!(instances(move |_, _| page("DescribeDBInstances", std::slice::from_ref(&creating), None)).await.unwrap()[0].created, None);
}

#[tokio::test]
async fn another_account_or_region_is_elsewhere() {
    for (from, to) in [("123456789012", "210987654321"), (":us-east-1:", ":us-east-2:")] {
        let foreign = instance("b").replace(from, to);
        let found = instances(move |_, _| page("DescribeDBInstances", &[instance("a"), foreign.clone()], None)).await;
        assert!(matches!(found, Err(CloudError::Elsewhere(_))), "{found:?}");
    }
}

#[tokio::test]
async fn an_answer_to_something_else_is_no_answer() {
    for body in [
        super::fake::page_bytes("DescribeDBClusters", &[], None),
        super::fake::answer("DescribeDBInstances", ""),
        super::fake::answer("DescribeDBInstances", "<DBInstances/><DBInstances/>"),
        super::fake::answer("DescribeDBInstances", "<DBInstances><DBCluster/></DBInstances>"),
        super::fake::answer("DescribeDBInstances", "<DBInstances>x</DBInstances>"),
        b"<html><body>Welcome</body></html>".to_vec(),
        b"{}".to_vec(),
        Vec::new(),
    ] {
        let text = String::from_utf8(body.clone()).unwrap();
        let found = instances(move |_, _| Reply::Whole(200, body.clone())).await;
        assert!(matches!(found, Err(CloudError::NotWhole(_))), "{text}: {found:?}");
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart_and_tried_a_few_times() {
    let html = Reply::Whole(500, b"<html><title>500</title><p>Oops".to_vec());
    let cut = Reply::Whole(404, b"<ErrorResponse><Error><Code>DBInstanceNotFound</Code><Message>x".to_vec());
    for (reply, tries, outcome, expected) in [
        (fault(400, "Throttling"), 3, "throttled", "no answer: Throttling"),
        (fault(503, "ServiceUnavailable"), 3, "unavailable", "no answer: ServiceUnavailable"),
        (html, 3, "unavailable", "no answer: HTTP 500"),
        (fault(400, "ExpiredToken"), 1, "forbidden", "forbidden: ExpiredToken: AWS says ExpiredToken."),
        (fault(403, "AccessDenied"), 1, "forbidden", "forbidden: AccessDenied"),
        (fault(400, "InvalidParameterValue"), 1, "refused", "refused (InvalidParameterValue)"),
        (cut, 1, "cut", "not whole: HTTP 404"),
        (Reply::Reset, 3, "unavailable", "no answer"),
        (Reply::Short(b"<DescribeDBInstancesResponse>".to_vec()), 3, "unavailable", "no answer"),
    ] {
        let told = reply.clone();
        let aws = Aws::start(move |operation, _, _| match operation {
            "DescribeDBInstances" => told.clone(),
            _ => otherwise(operation),
        })
        .await;
        let cloud = aws.cloud();
        let sweep = cloud.sweep(&region()).await;
        let error = sweep.lists[&CloudList::Instances].as_ref().unwrap_err().to_string();
        assert!(error.contains(expected), "{reply:?}: {error}");
        assert_eq!(aws.count("DescribeDBInstances"), tries, "{reply:?}: {error}");
        let count = cloud.attempts().counts().get(&Attempt { operation: "DescribeDBInstances", outcome }).copied();
        assert_eq!(count, Some(tries as u64), "{reply:?}: {:?}", cloud.attempts().counts());
        assert_eq!(sweep.lists[&CloudList::Clusters], Ok(Vec::new()));
    }
}

#[tokio::test]
async fn what_is_throttled_once_is_read_after_all() {
    let once =
        |_: &super::fake::Form, nth: usize| if nth == 0 { fault(400, "Throttling") } else { page("DescribeDBInstances", &[instance("a")], None) };
    assert_eq!(instances(once).await.unwrap().len(), 1);
}

#[tokio::test]
async fn silence_ends() {
    let aws = Aws::start(|operation, _, _| if operation == "DescribeDBInstances" { Reply::Silence } else { otherwise(operation) }).await;
    let cloud = aws.within(hasty());
    cloud.account.said(ACCOUNT).unwrap();
    let found = cloud.describe(CloudList::Instances, REGION, "a").await;
    assert!(matches!(found, Err(CloudError::Unavailable(_))), "{found:?}");
    assert_eq!(cloud.attempts().counts()[&Attempt { operation: "DescribeDBInstances", outcome: "timeout" }], 3);
    let cloud = aws.within(Limits { call: Duration::from_millis(200), ..patient() });
    cloud.account.said(ACCOUNT).unwrap();
    let found = cloud.describe(CloudList::Instances, REGION, "a").await;
    assert!(matches!(found, Err(CloudError::Unavailable(_))), "{found:?}");
}

#[tokio::test]
async fn only_aws_itself_says_that_something_is_not_there() {
    let one = |reply: Reply| async move {
        let aws = Aws::start(move |operation, form, _| match operation {
            "DescribeDBInstances" => {
                assert_eq!(form["DBInstanceIdentifier"], "a");
                reply.clone()
            }
            _ => otherwise(operation),
        })
        .await;
        aws.cloud().describe(CloudList::Instances, REGION, "a").await
    };
    assert_eq!(one(page("DescribeDBInstances", &[instance("a")], None)).await.unwrap().unwrap().id, "a");
    assert_eq!(one(fault(404, "DBInstanceNotFound")).await, Ok(None));
    for (status, code) in [(404, "DBClusterNotFoundFault"), (400, "DBInstanceNotFound"), (404, "InvalidAction")] {
        assert!(matches!(one(fault(status, code)).await, Err(CloudError::Refused { .. })), "{status} {code}");
    }
    not_whole(one(page("DescribeDBInstances", &[], None)).await, "alone");
    not_whole(one(page("DescribeDBInstances", &[instance("b")], None)).await, "alone");
    not_whole(one(page("DescribeDBInstances", &[instance("a"), instance("b")], None)).await, "alone");
    not_whole(one(Reply::Whole(404, b"<html/>".to_vec())).await, "HTTP 404");
    let cloud = Aws::start(|operation, _, _| otherwise(operation)).await.cloud();
    for id in ["", "arn:aws:rds:us-east-1:123456789012:db:a", "a b", "*"] {
        assert!(matches!(cloud.describe(CloudList::Instances, REGION, id).await, Err(CloudError::Refused { .. })), "{id}");
    }
    assert!(matches!(cloud.describe(CloudList::Instances, "us-east-2", "a").await, Err(CloudError::Elsewhere(_))));
}

#[tokio::test]
async fn kin_is_whatever_is_left_of_an_identifier() {
    let script = |backups: Reply, of: &'static str| {
        move |operation: &str, form: &super::fake::Form, _: usize| match operation {
            "DescribeDBSnapshots" if form.get("SnapshotType").is_none() => page(operation, &[snapshot("old", of)], None),
            "DescribeDBSnapshots" => page(operation, &[snapshot("awsbackup:job-1", of)], None),
            "DescribeDBInstanceAutomatedBackups" => backups.clone(),
            _ => otherwise(operation),
        }
    };
    let backups = page("DescribeDBInstanceAutomatedBackups", &[backup("a", "EARLIER"), backup("a", "A")], None);
    let aws = Aws::start(script(backups, "a")).await;
    let kin = aws.cloud().kin(CloudList::Instances, REGION, "a").await.unwrap();
    let lives: Vec<&str> = kin.iter().map(|kin| kin.resource_id.as_str()).collect();
    assert_eq!(lives, ["db-A", "db-A", "db-EARLIER", "db-A"], "{kin:?}");
    assert!(aws.asked.lock().unwrap().iter().skip(1).all(|form| form["DBInstanceIdentifier"] == "a"));

    let none = Aws::start(script(fault(404, "DBInstanceAutomatedBackupNotFound"), "a")).await;
    assert_eq!(none.cloud().kin(CloudList::Instances, REGION, "a").await.unwrap().len(), 2);
    let bare = backup("a", "A").split("<DBInstanceAutomatedBackupsArn>").next().map(|start| format!("{start}</DBInstanceAutomatedBackup>"));
    let bare = Aws::start(script(page("DescribeDBInstanceAutomatedBackups", &[bare.unwrap()], None), "a")).await;
    let kin = bare.cloud().kin(CloudList::Instances, REGION, "a").await.unwrap();
    assert_eq!(kin[2], Kin { what: "automated backup of db-A".into(), resource_id: "db-A".into() }, "not every backup has an ARN of its own");
    let refused = Aws::start(script(fault(400, "InvalidAction"), "a")).await;
    assert!(refused.cloud().kin(CloudList::Instances, REGION, "a").await.is_err());
    let others = Aws::start(script(fault(404, "DBInstanceAutomatedBackupNotFound"), "b")).await;
    not_whole(others.cloud().kin(CloudList::Instances, REGION, "a").await, "not taken of");
    let others = Aws::start(script(page("DescribeDBInstanceAutomatedBackups", &[backup("b", "A")], None), "a")).await;
    not_whole(others.cloud().kin(CloudList::Instances, REGION, "a").await, "something else");
    let clusters = Aws::start(|operation, _, _| otherwise(operation)).await;
    assert_eq!(clusters.cloud().kin(CloudList::Clusters, REGION, "a").await, Ok(Vec::new()));
}

#[tokio::test]
async fn the_account_is_the_one_that_was_said_or_the_first() {
    let aws = Aws::start(|_, _, _| identity("210987654321")).await;
    let wrong = aws.cloud().check_account().await.unwrap_err();
    assert!(matches!(&wrong, CloudError::Elsewhere(said) if said.contains(ACCOUNT) && said.contains("210987654321")), "{wrong}");
    let sweep = aws.cloud().sweep(&region()).await;
    assert!(sweep.lists.len() == 4 && sweep.lists.values().all(|list| *list == Err(wrong.clone())));
    let any = RdsCloud::over(&aws.config(), &[region()], None, Arc::new(crate::daemon::run::SystemClock), patient());
    assert_eq!(any.check_account().await.as_deref(), Ok("210987654321"));

    let account = Account::new(None);
    assert_eq!(account.said("210987654321"), Ok(()));
    assert!(matches!(account.said(ACCOUNT), Err(CloudError::Elsewhere(_))));
    assert_eq!(account.fresh(), None, "after another one was seen it is asked for each time");
    assert_eq!(account.said("210987654321"), Ok(()));

    for reply in [fault(503, "ServiceUnavailable"), fault(403, "InvalidClientTokenId"), identity("12345"), identity("")] {
        let aws = Aws::start(move |operation, _, _| if operation == "GetCallerIdentity" { reply.clone() } else { otherwise(operation) }).await;
        assert!(!matches!(aws.cloud().check_account().await, Ok(_) | Err(CloudError::Elsewhere(_))));
        assert!(aws.cloud().sweep(&region()).await.lists.values().all(Result::is_err));
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_known() {
    let aws = Aws::start(|operation, _, _| otherwise(operation)).await;
    let config = aws.config_for(aws_sdk_rds::config::SharedCredentialsProvider::new(Nobody));
    let cloud = RdsCloud::over(&config, &[region()], None, Arc::new(crate::daemon::run::SystemClock), patient());
    assert!(matches!(cloud.check_account().await, Err(CloudError::Forbidden(said)) if said.starts_with("no credentials")));
    assert_eq!(aws.asked.lock().unwrap().len(), 0);
}

#[derive(Debug)]
struct Nobody;

impl aws_credential_types::provider::ProvideCredentials for Nobody {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        use aws_credential_types::provider::{error::CredentialsError, future::ProvideCredentials};
        ProvideCredentials::ready(Err(CredentialsError::not_loaded_no_source()))
    }
}

#[tokio::test]
async fn the_time_is_taken_from_answers() {
    let aws = Aws::start(|operation, _, _| match (operation, otherwise(operation)) {
        ("GetCallerIdentity", Reply::Whole(_, body)) => Reply::Dated("Sun, 06 Nov 1994 08:49:37 GMT".into(), body),
        (_, reply) => reply,
    })
    .await;
    let cloud = aws.cloud();
    assert_eq!(cloud.skew(Timestamp::now()), None);
    cloud.check_account().await.unwrap();
    let skew = cloud.skew("1994-11-06T08:50:37Z".parse().unwrap()).unwrap();
    assert!((skew - SignedDuration::from_secs(60)).abs() < SignedDuration::from_secs(30), "{skew}");
}
