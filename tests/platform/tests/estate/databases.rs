//! The databases that clones share, as ACK makes them: in AWS there is what the policies call a host, and it outlives its object.

use clonewarden_platform::Platform;
use serde_json::Value;

use crate::aws::Aws;
use crate::common::wait;
use crate::definition::{WITHIN, create, get, namespace};

/// The group that the endpoint has from the beginning: its subnets are the only ones there are.
const GROUP: &str = "clones";

/// Makes both environments' databases, sees them in AWS, takes the objects away, and sees them still.
pub(crate) fn made(platform: &Platform) {
    let aws = Aws::of(platform);
    let group = aws.ok("DescribeDBSubnetGroups", &[("DBSubnetGroupName", GROUP)]);
    let subnets = group.all("SubnetIdentifier");
    let [first, second] = subnets[..2] else { panic!("two subnets") };
    for (environment, kind, host) in [("staging", "dbinstance", "staging-mysql"), ("production", "dbcluster", "production-aurora")] {
        let own = format!("wordpress-{environment}");
        namespace(platform, &own);
        let (documents, _) = crate::rendered(platform, environment);
        let upper = environment.to_uppercase();
        let filled = documents.replace(&format!("subnet-REPLACE-{upper}-A"), first).replace(&format!("subnet-REPLACE-{upper}-B"), second);
        let objects: Vec<Value> = serde_saphyr::from_multiple(&filled.replace(&format!("sg-REPLACE-{upper}"), "sg-1")).unwrap();
        let databases: Vec<&Value> = objects.iter().filter(|object| object["apiVersion"] == "rds.services.k8s.aws/v1alpha1").collect();
        assert!(databases.len() >= 2, "{documents}");
        databases.iter().for_each(|object| create(platform, object));

        let (action, name, status) = if kind == "dbcluster" {
            ("DescribeDBClusters", "DBClusterIdentifier", "Status")
        } else {
            ("DescribeDBInstances", "DBInstanceIdentifier", "DBInstanceStatus")
        };
        let (found, took) = wait("the shared database is available", WITHIN, || {
            let answer = aws.call(action, &[(name, host)]);
            if answer.all(status).first() == Some(&"available") { Ok(answer) } else { Err(answer.body) }
        });
        println!("{host} is available after {:.1} s", took.as_secs_f64());
        // By itself ACK looks every 30 s.
        platform.restart("ack").unwrap();
        let field = if kind == "dbcluster" { "status" } else { "dbInstanceStatus" };
        let (object, _) = wait("its object says so", WITHIN, || {
            let object = get(platform, &[kind, host, "-n", &own]);
            if object["status"][field] == "available" { Ok(object) } else { Err(object["status"].to_string()) }
        });
        assert_eq!(found.one("DeletionProtection"), "true", "{}", found.body);
        assert_eq!(found.one(if kind == "dbcluster" { "DBClusterArn" } else { "DBInstanceArn" }), object["status"]["ackResourceMetadata"]["arn"]);
        assert_eq!(found.all("DBSubnetGroupName").first().or(found.all("DBSubnetGroup").first()), Some(&host), "{}", found.body);
        let tags = found.tags();
        assert!(tags.contains(&format!("environment={environment}")), "{tags:?}");
        assert!(tags.iter().all(|tag| !tag.starts_with("CloneUid=") && !tag.starts_with("CloneId=")), "it would be a clone's: {tags:?}");

        platform.kubectl(&["delete", "namespace", &own, "--timeout=120s"]).unwrap();
        assert_eq!(aws.ok(action, &[(name, host)]).all(status).first(), Some(&"available"), "{host} went with its object");
    }
    aws.control("reset", &serde_json::json!({}));
}
