//! What changes something is sent once, and its answer is about what was judged.

use super::*;

fn judged(list: CloudList) -> CloudResource {
    let (part, resource_id) = match list {
        CloudList::Instances => ("db", "db-A"),
        CloudList::Clusters => ("cluster", "cluster-A"),
        CloudList::Snapshots => ("snapshot", "db-A"),
        CloudList::ClusterSnapshots => ("cluster-snapshot", "cluster-A"),
    };
    let database = matches!(list, CloudList::Instances | CloudList::Clusters);
    CloudResource {
        list,
        region: region(),
        arn: format!("arn:aws:rds:{REGION}:{ACCOUNT}:{part}:a"),
        id: "a".into(),
        resource_id: resource_id.into(),
        snapshot_of: None,
        status: "available".into(),
        created: None,
        tags: Some(BTreeMap::new()),
        protected: database.then_some(false),
        cluster: None,
        members: Vec::new(),
        automated: false,
        going_since: None,
        size: crate::model::cloud::Size::default(),
    }
}

fn accepted(operation: &str) -> Reply {
    let item = match operation {
        "DeleteDBInstance" => instance("a"),
        "DeleteDBCluster" => cluster("a"),
        "DeleteDBSnapshot" => snapshot("a", "a"),
        "DeleteDBClusterSnapshot" => cluster_snapshot("a", "a"),
        _ => return otherwise(operation),
    };
    Reply::Whole(200, super::super::fake::answer(operation, &item.replace("available", "deleting")))
}

#[tokio::test]
async fn each_kind_is_deleted_by_its_own_call() {
    let aws = Aws::start(|operation, _, _| accepted(operation)).await;
    let cloud = aws.cloud();
    for (list, operation, key) in [
        (CloudList::Instances, "DeleteDBInstance", "DBInstanceIdentifier"),
        (CloudList::Clusters, "DeleteDBCluster", "DBClusterIdentifier"),
        (CloudList::Snapshots, "DeleteDBSnapshot", "DBSnapshotIdentifier"),
        (CloudList::ClusterSnapshots, "DeleteDBClusterSnapshot", "DBClusterSnapshotIdentifier"),
    ] {
        let resource = judged(list);
        assert_eq!(cloud.delete(&resource, Farewell::Nothing).await, Ok(()), "{list:?}");
        let with = cloud.delete(&resource, Farewell::Snapshot("a-final-1")).await;
        let database = matches!(list, CloudList::Instances | CloudList::Clusters);
        assert_eq!(with.is_ok(), database, "{list:?}: {with:?}");
        let asked = aws.asked.lock().unwrap();
        let forms: Vec<_> = asked.iter().filter(|form| form["Action"] == operation).collect();
        assert!(forms.iter().all(|form| form[key] == "a" && !form.contains_key("DeleteAutomatedBackups")));
        if database {
            assert_eq!((forms.len(), forms[0]["SkipFinalSnapshot"].as_str(), forms[0].get("FinalDBSnapshotIdentifier")), (2, "true", None));
            assert_eq!((forms[1]["SkipFinalSnapshot"].as_str(), forms[1]["FinalDBSnapshotIdentifier"].as_str()), ("false", "a-final-1"));
        }
    }
}

#[tokio::test]
async fn a_delete_is_sent_once_whatever_comes_of_it() {
    for (reply, expected) in [
        (Reply::Reset, "no answer"),
        (Reply::Short(b"<DeleteDBInstanceResponse>".to_vec()), "no answer"),
        (Reply::Silence, "no answer"),
        (fault(500, "InternalFailure"), "no answer: InternalFailure"),
        (fault(400, "Throttling"), "no answer: Throttling"),
        (fault(404, "DBInstanceNotFound"), "not found"),
        (fault(404, "DBClusterNotFoundFault"), "refused (DBClusterNotFoundFault)"),
        (fault(400, "InvalidDBInstanceState"), "not in this state (InvalidDBInstanceState): AWS says InvalidDBInstanceState."),
        (fault(400, "InvalidParameterCombination"), "refused (InvalidParameterCombination)"),
        (fault(400, "SnapshotQuotaExceeded"), "refused (SnapshotQuotaExceeded)"),
        (fault(403, "AccessDenied"), "forbidden: AccessDenied"),
        (Reply::Whole(200, b"<DeleteDBInstanceResponse><DeleteDBInstanceResult>".to_vec()), "not whole"),
        (Reply::Whole(200, super::super::fake::answer("DeleteDBInstance", &instance("a").replace("db-A", "db-B"))), "AWS deletes another"),
        (Reply::Whole(200, super::super::fake::answer("DeleteDBInstance", &instance("b"))), "AWS deletes another"),
        (Reply::Whole(200, super::super::fake::answer("DeleteDBInstance", "")), "does not say"),
    ] {
        let told = reply.clone();
        let aws = Aws::start(move |operation, _, _| if operation == "DeleteDBInstance" { told.clone() } else { otherwise(operation) }).await;
        let cloud = if matches!(reply, Reply::Silence) { aws.within(Limits { attempts: 3, ..hasty() }) } else { aws.cloud() };
        // Not by asking: a slow machine would not hear of it within hasty limits.
        cloud.account.said(ACCOUNT).unwrap();
        let error = cloud.delete(&judged(CloudList::Instances), Farewell::Nothing).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{reply:?}: {error}");
        assert_eq!(aws.count("DeleteDBInstance"), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn what_must_not_be_deleted_is_not_even_asked_for() {
    let aws = Aws::start(|operation, _, _| accepted(operation)).await;
    let cloud = aws.cloud();
    let good = judged(CloudList::Instances);
    let foreign = |arn: &str| CloudResource { arn: arn.to_owned(), ..good.clone() };
    for wrong in [
        CloudResource { protected: Some(true), ..good.clone() },
        CloudResource { protected: None, ..good.clone() },
        CloudResource { region: Arc::from("us-east-2"), ..good.clone() },
        CloudResource { id: String::new(), ..good.clone() },
        CloudResource { id: "b".into(), ..good.clone() },
        CloudResource { automated: true, ..judged(CloudList::Snapshots) },
        foreign("arn:aws:rds:us-east-1:210987654321:db:a"),
        foreign("arn:aws:rds:us-east-2:123456789012:db:a"),
        foreign("arn:aws:rds:us-east-1:123456789012:cluster:a"),
    ] {
        assert!(cloud.delete(&wrong, Farewell::Nothing).await.is_err(), "{wrong:?}");
    }
    assert!(cloud.delete(&good, Farewell::Snapshot("")).await.is_err());
    let other = Aws::start(|operation, _, _| if operation == "GetCallerIdentity" { identity("210987654321") } else { accepted(operation) }).await;
    assert!(matches!(other.cloud().delete(&good, Farewell::Nothing).await, Err(CloudError::Elsewhere(_))));
    for aws in [aws, other] {
        assert_eq!(aws.count("DeleteDBInstance") + aws.count("DeleteDBSnapshot"), 0);
    }
}

#[tokio::test]
async fn tags_are_set_by_arn() {
    let done = "<AddTagsToResourceResponse><ResponseMetadata><RequestId>x</RequestId></ResponseMetadata></AddTagsToResourceResponse>";
    for (reply, sent) in [(Reply::Whole(200, done.into()), Ok(())), (fault(404, "DBSnapshotNotFound"), Err(CloudError::NotFound))] {
        let aws = Aws::start(move |operation, _, _| if operation == "AddTagsToResource" { reply.clone() } else { otherwise(operation) }).await;
        let resource = judged(CloudList::Snapshots);
        let tags = BTreeMap::from([("clonewarden.io/snapshot".to_owned(), "a".to_owned())]);
        assert_eq!(aws.cloud().tag(&resource, &tags).await, sent);
        let asked = aws.asked.lock().unwrap();
        let form = asked.iter().find(|form| form["Action"] == "AddTagsToResource").unwrap();
        assert_eq!((form["ResourceName"].as_str(), form["Tags.Tag.1.Key"].as_str()), (resource.arn.as_str(), "clonewarden.io/snapshot"));
    }
}
